/** Keys, transactions, leases: what calls answer and how they fail. */
import { createCoordClient } from '../../../coord/client/create.ts'
import {
  bytes,
  type ClientSuite,
  type CoordSuite,
  endpointsOf,
  failureOf,
  newClient,
  newPrefix,
  NOBODY,
  PARTS,
  prefixEnd,
  sharedClient,
  text,
} from './kit.ts'
import { RANGE_DEFAULTS } from '../../../coord/client/range-defaults.ts'

export function callTests(suite: ClientSuite): void {
  const { test, name } = suite

  test(`${name}: a put is read back with its revisions, and each write has a higher one`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const first = await client.put({ key, value: bytes('1') })
    const second = await client.put({ key, value: bytes('2'), prevKv: true })
    t.is(second.revision, first.revision + 1)
    t.is(text(second.prevKv?.value), '1')
    const { kvs, count, more, revision } = await client.range({ key })
    t.deepEqual([kvs.length, count, more, revision], [1, 1, false, second.revision])
    t.like(kvs[0], { createRevision: first.revision, modRevision: second.revision, version: 2 })
    t.is(text(kvs[0]?.value), '2')
    const old = await client.range({ key, revision: first.revision })
    t.is(text(old.kvs[0]?.value), '1')
    t.is(old.revision, second.revision)
  })

  test(`${name}: a range of a prefix comes in order and knows of more`, async (t) => {
    const client = await suite.client(t)
    const prefix = newPrefix()
    for (const letter of ['c', 'a', 'b']) await client.put({ key: bytes(prefix + letter) })
    const range = { key: bytes(prefix), rangeEnd: prefixEnd(prefix) }
    const { kvs, count, more } = await client.range({ ...range, limit: 2 })
    t.deepEqual(
      kvs.map(({ key }) => text(key).slice(-1)),
      ['a', 'b'],
    )
    t.deepEqual([count, more], [3, true])
    const { deleted, prevKvs } = await client.deleteRange({ ...range, prevKv: true })
    t.deepEqual([deleted, prevKvs.length], [3, 3])
    t.is((await client.range(range)).count, 0)
  })

  test(`${name}: a transaction takes one branch, whole, under one revision`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const request = {
      compare: [{ key, rangeEnd: bytes(''), result: 0, target: 1, createRevision: 0 }],
      success: [
        { requestPut: putOf(key, 'made') },
        { requestTxn: { compare: [], success: [{ requestRange: rangeOf(key) }], failure: [] } },
      ],
      failure: [{ requestRange: rangeOf(key) }],
    }
    const made = await client.txn(request)
    t.true(made.succeeded)
    const nested = made.responses[1]?.responseTxn?.responses[0]?.responseRange?.kvs[0]
    t.is(nested?.modRevision, made.revision, 'an operation sees the ones before it')
    const again = await client.txn(request)
    t.false(again.succeeded)
    t.is(text(again.responses[0]?.responseRange?.kvs[0]?.value), 'made')
    t.is(again.revision, made.revision)
  })

  test(`${name}: a refusal carries the status and the text of the server, and nothing has landed`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const lease = await failureOf(t, client.put({ key, lease: 4_711n }))
    t.like(lease, {
      status: 5,
      message: 'etcdserver: requested lease not found',
      outcome: 'failed',
    })
    const empty = await failureOf(t, client.put({ key: bytes('') }))
    t.like(empty, { status: 3, message: 'etcdserver: key is not provided', outcome: 'failed' })
    const { revision } = await client.put({ key })
    const future = await failureOf(t, client.range({ key, revision: revision + 1_000_000 }))
    t.like(future, {
      status: 11,
      message: 'etcdserver: mvcc: required revision is a future revision',
    })
    await client.compact(revision)
    const gone = await failureOf(t, client.range({ key, revision: revision - 1 }))
    t.like(gone, { status: 11, message: 'etcdserver: mvcc: required revision has been compacted' })
  })

  test(`${name}: a lease is granted, listed, renewed, and takes its keys with it`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const id = 0x7fff_ffff_ffff_0000n + BigInt(Math.floor(PARTS.random.float() * 60_000))
    t.deepEqual(pick(await client.leaseGrant(60, { id })), { id, ttl: 60 })
    await client.put({ key, lease: id })
    t.true((await client.leases()).includes(id))
    t.is((await client.leaseKeepAliveOnce(id)).ttl, 60)
    const { grantedTtl, ttl, keys } = await client.leaseTimeToLive(id, { keys: true })
    t.is(grantedTtl, 60)
    t.true(ttl >= 55 && ttl <= 60, String(ttl))
    t.deepEqual(keys.map(text), [text(key)])
    await client.leaseRevoke(id)
    t.is((await client.range({ key })).count, 0)
    t.is((await client.leaseKeepAliveOnce(id)).ttl, 0)
    t.is((await client.leaseTimeToLive(id)).ttl, -1)
    const again = await failureOf(t, client.leaseRevoke(id))
    t.like(again, { status: 5, message: 'etcdserver: requested lease not found' })
  })

  test(`${name}: a call that was aborted before it was sent has failed`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const early = await failureOf(t, client.put({ key }, { signal: AbortSignal.abort('no') }))
    t.like(early, { status: 1, outcome: 'failed', cause: 'no' })
    t.is((await client.range({ key })).count, 0)
  })
}

/** What only a client of a distant server can meet. */
export function wireTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: a call that is aborted after it was sent is unknown`, async (t) => {
    const client = await sharedClient(t, suite)
    const key = bytes(`${newPrefix()}a`)
    t.is((await client.range({ key })).count, 0)
    const later = new AbortController()
    const put = client.put({ key }, { signal: later.signal })
    later.abort('stop')
    t.like(await failureOf(t, put), { status: 1, outcome: 'unknown' })
  })

  test(`${name}: where nobody listens a write has failed, and the error says where and why`, async (t) => {
    const client = newClient(t, [NOBODY], { attemptMs: 1_000, readMs: 1_000 })
    const error = await failureOf(t, client.put({ key: bytes('a') }))
    t.like(error, { status: 14, outcome: 'failed' })
    t.regex(error.message, /^cannot connect to 127\.0\.0\.1:9: .*ECONNREFUSED/)
    const started = performance.now()
    const read = await failureOf(t, client.range({ key: bytes('a') }))
    t.is(read.status, 14)
    t.true(performance.now() - started >= 900, 'a read is tried until its time is over')
  })

  test(`${name}: reads and writes pass over an endpoint where nobody listens`, async (t) => {
    const endpoints = endpointsOf(await suite.shared())
    const key = bytes(`${newPrefix()}a`)
    for (let chance = 0; chance < 1; chance += 0.25) {
      const random = { ...PARTS.random, float: () => chance }
      const config = { endpoints: [NOBODY, ...endpoints, NOBODY], attemptMs: 2_000, readMs: 4_000 }
      await using client = createCoordClient(config, { ...PARTS, random })
      await client.put({ key })
      t.is((await client.range({ key })).count, 1)
    }
    const [kv] = (await newClient(t, endpoints).range({ key })).kvs
    t.is(kv?.version, 4, 'each put landed once')
  })
}

function putOf(key: Uint8Array, value: string) {
  return {
    key,
    value: bytes(value),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }
}

function rangeOf(key: Uint8Array) {
  return { ...RANGE_DEFAULTS, key }
}

function pick({ id, ttl }: { readonly id: bigint; readonly ttl: number }) {
  return { id, ttl }
}

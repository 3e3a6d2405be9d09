import test from 'ava'
import { portSuite } from '../../test/conformance/coord-client-suite.ts'
import { bytes, failureOf, PARTS } from '../../test/conformance/coord-client/kit.ts'
import { CoordError } from '../client/client.ts'
import { createLocalCoord, createLocalCoordClient } from './local-client.ts'

const shared = createLocalCoord(PARTS)
portSuite({
  test: test.serial,
  name: 'in-process',
  client: async (t) => {
    const client = shared.connect()
    t.teardown(() => client[Symbol.asyncDispose]())
    return client
  },
})
test.after.always(() => shared[Symbol.dispose]())

test('a lease that nobody renews ends after its TTL, with its keys', async (t) => {
  await using client = createLocalCoordClient(PARTS)
  const granted = PARTS.clock.monotonic()
  const { id, ttl } = await client.leaseGrant(1)
  t.is(ttl, 2, 'the least there is')
  const key = bytes('a')
  const { revision } = await client.put({ key, lease: id })
  for await (const batch of client.watch(key, { startRevision: revision + 1 }))
    if (batch.kind === 'events') break
  const lasted = PARTS.clock.monotonic() - granted
  t.true(lasted >= 2_000 && lasted < 4_000, `${lasted} ms`)
  t.deepEqual(await client.leases(), [])
})

test('history is compacted by itself, and a watch that stayed behind is told', async (t) => {
  await using client = createLocalCoordClient(PARTS, { revisionsKept: 20 })
  const key = bytes('a')
  for (let step = 0; step < 60; step++) await client.put({ key })
  const error = await failureOf(t, client.range({ key, revision: 5 }))
  t.is(error.message, 'etcdserver: mvcc: required revision has been compacted')
  const batches = await Array.fromAsync(client.watch(key, { startRevision: 5 }))
  t.is(batches[0]?.kind, 'compacted')
})

test('when the coordinator is closed, calls fail, watches wait and sessions are lost in time', async (t) => {
  const coord = createLocalCoord(PARTS)
  const client = coord.connect()
  const session = await client.session(2)
  coord[Symbol.dispose]()
  const error = await failureOf(t, client.put({ key: bytes('a') }))
  t.like(error, { status: 14, outcome: 'failed' })
  const until = session.certainUntil()
  await new Promise((resolve) => session.lost.addEventListener('abort', resolve))
  t.true(PARTS.clock.monotonic() >= until)
  t.true(session.lost.reason instanceof CoordError)
  const watcher = client.watch(bytes('a'))
  await client[Symbol.asyncDispose]()
  t.deepEqual(await Array.fromAsync(watcher), [])
})

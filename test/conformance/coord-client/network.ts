/** One member behind proxies that break connections: nothing is lost, doubled, or believed too long. */
import type { ExecutionContext } from 'ava'
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts'
import {
  aborted,
  bytes,
  type CoordSuite,
  endpointAt,
  eventsUntil,
  failureOf,
  historyOf,
  LATE_MS,
  newClient,
  newPrefix,
  PARTS,
  prefixEnd,
  putLast,
  startWriter,
} from './kit.ts'

/** The member, and a proxy in front of it that ends with the test. */
async function proxied(
  t: ExecutionContext,
  suite: CoordSuite,
): Promise<{ readonly direct: string; readonly proxy: TcpProxy }> {
  const direct = endpointAt(await suite.shared(), 0)
  const proxy = await startTcpProxy(direct)
  t.teardown(() => proxy[Symbol.asyncDispose]())
  return { direct, proxy }
}

/** Parts with which a client begins at its first endpoint. */
const AT_FIRST = { ...PARTS, random: { ...PARTS.random, float: () => 0 } }

export function networkTests(suite: CoordSuite): void {
  callTests(suite)
  watchTests(suite)
  sessionTests(suite)
}

function callTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: a write whose answer does not come is unknown, and is sent nowhere else`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const key = bytes(`${newPrefix()}a`)
    const client = newClient(t, [proxy.endpoint, direct], { attemptMs: 700, parts: AT_FIRST })
    await client.put({ key, value: bytes('1') })
    t.is(proxy.connections(), 1)
    proxy.stall('to-client')
    const error = await failureOf(t, client.put({ key, value: bytes('2') }))
    t.is(error.outcome, 'unknown')
    const [kv] = (await newClient(t, [direct]).range({ key })).kvs
    t.is(kv?.version, 2, 'it landed, once')
  })

  test(`${name}: a write that may still be under way when the connection is reset is unknown`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const key = bytes(`${newPrefix()}a`)
    const client = newClient(t, [proxy.endpoint, direct], { parts: AT_FIRST })
    await client.put({ key })
    proxy.stall('to-server')
    const put = client.put({ key })
    // The request is on its way once the loop has turned.
    await PARTS.clock.sleep(50)
    proxy.reset()
    t.is((await failureOf(t, put)).outcome, 'unknown')
    const [kv] = (await newClient(t, [direct]).range({ key })).kvs
    t.is(kv?.version, 1, 'it was held back, and not sent again')
  })

  test(`${name}: a read that is not answered is answered elsewhere within its time`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const key = bytes(`${newPrefix()}a`)
    const options = { attemptMs: 500, readMs: 4_000, parts: AT_FIRST }
    const client = newClient(t, [proxy.endpoint, direct], options)
    await client.put({ key })
    proxy.stall('both')
    t.is((await client.range({ key })).count, 1)
  })

  test(`${name}: a connection that went silent is replaced, with no other endpoint to go to`, async (t) => {
    const { proxy } = await proxied(t, suite)
    const key = bytes(`${newPrefix()}a`)
    const client = newClient(t, [proxy.endpoint], { attemptMs: 300, readMs: 6_000 })
    await client.put({ key })
    // As if the machine in the middle forgot the connection: only a new one gets through.
    proxy.freeze()
    t.is((await client.range({ key })).count, 1)
  })
}

function watchTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: through resets and refusals a watch sees every event once and in order (K2)`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const prefix = newPrefix()
    const writer = newClient(t, [direct])
    const options = { rangeEnd: prefixEnd(prefix) }
    await using watcher = newClient(t, [proxy.endpoint]).watch(bytes(prefix), options)
    const from = (await watcher.created) + 1
    const events = eventsUntil(watcher, `${prefix}last`)
    const writing = startWriter(writer, prefix)
    for (let round = 0; round < 6; round++) {
      await PARTS.clock.sleep(150)
      if (round % 2 === 0) await proxy.refuse()
      proxy.reset()
      await PARTS.clock.sleep(100)
      if (round % 2 === 0) await proxy.accept()
    }
    const acknowledged = await writing.stop()
    await putLast(writer, `${prefix}last`)
    const seen = await events
    t.deepEqual(seen, await historyOf(t, direct, prefix, from, `${prefix}last`))
    t.is(seen.length, acknowledged + 1)
  })

  test(`${name}: a watch whose host is gone without a word goes on elsewhere within seconds`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const prefix = newPrefix()
    const writer = newClient(t, [direct])
    const client = newClient(t, [proxy.endpoint, direct], { parts: AT_FIRST })
    const options = { rangeEnd: prefixEnd(prefix) }
    await using watcher = client.watch(bytes(prefix), options)
    const from = (await watcher.created) + 1
    const events = eventsUntil(watcher, `${prefix}last`)
    await writer.put({ key: bytes(`${prefix}a`) })
    proxy.stall('both')
    const started = PARTS.clock.monotonic()
    await writer.put({ key: bytes(`${prefix}b`) })
    await putLast(writer, `${prefix}last`)
    const seen = await events
    t.true(PARTS.clock.monotonic() - started < 12_000)
    t.deepEqual(seen, await historyOf(t, direct, prefix, from, `${prefix}last`))
  })
}

function sessionTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: a session on a half-open connection renews elsewhere in time`, async (t) => {
    const { direct, proxy } = await proxied(t, suite)
    const client = newClient(t, [proxy.endpoint, direct], { parts: AT_FIRST })
    await using session = await client.session(3)
    proxy.stall('both')
    await PARTS.clock.sleep(6_000)
    t.false(session.lost.aborted)
    t.true((await newClient(t, [direct]).leaseTimeToLive(session.lease)).ttl >= 0)
  })

  for (const direction of ['to-server', 'to-client', 'both'] as const)
    test(`${name}: a session whose only connection stalls ${direction} is lost in time, not early`, async (t) => {
      const { direct, proxy } = await proxied(t, suite)
      const client = newClient(t, [proxy.endpoint], { attemptMs: 500 })
      const session = await client.session(3)
      t.teardown(() => session[Symbol.asyncDispose]())
      await PARTS.clock.sleep(1_500)
      proxy.stall(direction)
      const until = session.certainUntil()
      await aborted(session.lost, 3_000 + LATE_MS)
      const late = PARTS.clock.monotonic() - until
      t.true(late >= 0 && late < LATE_MS, `${late} ms after it stopped being certain`)
      if (direction !== 'to-client') return
      // Renewals got through, their answers did not: the holder gives up while the lease still stands.
      t.true((await newClient(t, [direct]).leaseTimeToLive(session.lease)).ttl >= 0)
    })
}

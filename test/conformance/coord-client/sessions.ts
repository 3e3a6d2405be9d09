/** Sessions where nothing is broken: they last, they end when they are told, and everybody sees it. */
import { aborted, bytes, type ClientSuite, LATE_MS, newPrefix, PARTS } from './kit.ts'

export function sessionTests(suite: ClientSuite): void {
  const { test, name } = suite

  test(`${name}: a session outlives its TTL, and its lease is revoked when it is disposed of`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const session = await client.session(2)
    t.is(session.ttlMs, 2_000)
    await client.put({ key, lease: session.lease })
    const first = session.certainUntil()
    t.true(first > PARTS.clock.monotonic())
    await PARTS.clock.sleep(3_500)
    t.false(session.lost.aborted)
    t.true(session.certainUntil() >= first + 1_500)
    t.true(session.certainUntil() <= PARTS.clock.monotonic() + 2_000)
    t.is((await client.range({ key })).count, 1)
    await session[Symbol.asyncDispose]()
    t.true(session.lost.aborted)
    t.true(session.certainUntil() < PARTS.clock.monotonic())
    t.is((await client.range({ key })).count, 0)
    t.is((await client.leaseTimeToLive(session.lease)).ttl, -1)
    await session[Symbol.asyncDispose]()
  })

  test(`${name}: a session whose lease somebody revokes is lost with the next renewal`, async (t) => {
    const client = await suite.client(t)
    await using session = await client.session(3)
    await client.leaseRevoke(session.lease)
    const until = session.certainUntil()
    await aborted(session.lost, 1_000 + LATE_MS)
    t.true(PARTS.clock.monotonic() < until, 'the answer told, not the clock')
    t.regex(String(session.lost.reason), /does not know the lease any more/)
  })

  test(`${name}: a session that is aborted before it is granted is none`, async (t) => {
    const client = await suite.client(t)
    await t.throwsAsync(client.session(5, { signal: AbortSignal.abort() }), { name: 'CoordError' })
  })
}

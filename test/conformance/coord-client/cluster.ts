/** Three members, of which some die or freeze, while a session renews and a watch watches. */
import type { ExecutionContext } from 'ava'
import { createAdminClient } from '../../../coord/client/admin.ts'
import {
  aborted,
  bytes,
  type CoordMember,
  type CoordPlace,
  type CoordSuite,
  endpointsOf,
  eventsUntil,
  failureOf,
  historyOf,
  LATE_MS,
  newClient,
  newPrefix,
  ownPlace,
  PARTS,
  prefixEnd,
  putLast,
  startWriter,
} from './kit.ts'

const TTL_S = 8

export function clusterTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: the leader is killed: no event is lost or doubled, the session stays, until nobody answers`, async (t) => {
    const place = await ownPlace(t, suite, 3)
    const leader = await leaderOf(place)
    const others = place.members.filter((member) => member !== leader)
    const session = await throughFault(t, endpointsFrom(place, leader), async () => {
      await leader.kill()
      await PARTS.clock.sleep(4_000)
    })
    await Promise.all(others.map((member) => member.kill()))
    const until = session.certainUntil()
    await aborted(session.lost, TTL_S * 1_000 + LATE_MS)
    const late = PARTS.clock.monotonic() - until
    t.true(late >= 0 && late < LATE_MS, `${late} ms after it stopped being certain`)
    const client = newClient(t, endpointsOf(place), { readMs: 500 })
    t.is((await failureOf(t, client.put({ key: bytes('a') }))).outcome, 'failed')
  })

  test(`${name}: the member behind session and watch dies in the middle: both go on elsewhere`, async (t) => {
    const place = await ownPlace(t, suite, 3)
    const leader = await leaderOf(place)
    const follower = place.members.find((member) => member !== leader) ?? leader
    await throughFault(t, endpointsFrom(place, follower), async () => {
      await follower.kill()
      await PARTS.clock.sleep(1_000)
      await follower.start()
    })
  })

  test(`${name}: the member behind session and watch freezes: both go on elsewhere`, async (t) => {
    const place = await ownPlace(t, suite, 3)
    const leader = await leaderOf(place)
    const follower = place.members.find((member) => member !== leader) ?? leader
    await throughFault(t, endpointsFrom(place, follower), async () => {
      follower.pause()
      await PARTS.clock.sleep(10_000)
    })
    follower.resume()
  })
}

/** Runs `fault` under a session, a watch and a writer that begin at the first endpoint; the session lives on. */
async function throughFault(
  t: ExecutionContext,
  endpoints: readonly string[],
  fault: () => Promise<void>,
) {
  const prefix = newPrefix()
  const parts = { ...PARTS, random: { ...PARTS.random, float: () => 0 } }
  const client = newClient(t, endpoints, { parts, attemptMs: 1_000 })
  const session = await client.session(TTL_S)
  t.teardown(() => session[Symbol.asyncDispose]())
  const key = bytes(`${prefix}held`)
  await client.put({ key, lease: session.lease })
  const watcher = client.watch(bytes(prefix), { rangeEnd: prefixEnd(prefix) })
  t.teardown(() => watcher[Symbol.asyncDispose]())
  const from = (await watcher.created) + 1
  const events = eventsUntil(watcher, `${prefix}last`)
  const writing = startWriter(client, prefix)
  await fault()
  const acknowledged = await writing.stop()
  await putLast(client, `${prefix}last`)
  const seen = await events
  t.deepEqual(seen, await historyOf(t, endpoints.slice(1), prefix, from, `${prefix}last`))
  t.true(seen.length > acknowledged, 'what was acknowledged is there')
  t.true(acknowledged > 0)
  t.false(session.lost.aborted)
  t.is((await client.range({ key })).count, 1)
  return session
}

/** All endpoints, beginning with that of `first`. */
function endpointsFrom(place: CoordPlace, first: CoordMember): string[] {
  const others = endpointsOf(place).filter((endpoint) => endpoint !== first.endpoint)
  return [first.endpoint, ...others]
}

async function leaderOf(place: CoordPlace): Promise<CoordMember> {
  const config = { endpoints: endpointsOf(place), attemptMs: 2_000, readMs: 4_000 }
  await using admin = createAdminClient(config, PARTS)
  for (const member of place.members) {
    const { header, leader } = await admin.status(member.endpoint)
    if (header?.memberId === leader) return member
  }
  throw new Error('no member leads')
}

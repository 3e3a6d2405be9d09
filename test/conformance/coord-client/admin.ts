/** What an operator asks: members, status, hashes, alarms, snapshots. */
import { createAdminClient } from '../../../coord/client/admin.ts'
import { type CoordSuite, endpointsOf, endpointAt, failureOf, PARTS } from './kit.ts'

export function adminTests(suite: CoordSuite): void {
  const { test, name } = suite

  test(`${name}: an operator sees members, status, hash and alarms of a member`, async (t) => {
    const place = await suite.shared()
    const endpoint = endpointAt(place, 0)
    const config = { endpoints: endpointsOf(place), attemptMs: 2_000, readMs: 4_000 }
    await using admin = createAdminClient(config, PARTS)
    const { clusterId, members } = await admin.memberList()
    t.is(members.length, 1)
    t.not(clusterId, 0n)
    const status = await admin.status(endpoint)
    t.is<bigint | undefined, bigint | undefined>(status.leader, members[0]?.id)
    t.is(status.header?.clusterId, clusterId)
    t.regex(status.version, /^\d+\.\d+\.\d+/)
    const one = await admin.hashKv(endpoint, 0)
    t.is((await admin.hashKv(endpoint, one.header?.revision ?? 0)).hash, one.hash)
    t.deepEqual(await admin.alarms(), [])
    t.deepEqual(await admin.disarm(), [])
    await admin.defragment(endpoint)
    const refused = await failureOf(t, admin.memberRemove(4_711n))
    t.like(refused, { status: 5, message: 'etcdserver: member not found', outcome: 'failed' })
  })

  test(`${name}: a snapshot comes in pieces that count down, and may be left half way`, async (t) => {
    const place = await suite.shared()
    const config = { endpoints: endpointsOf(place), attemptMs: 2_000, readMs: 4_000 }
    await using admin = createAdminClient(config, PARTS)
    let total = 0
    const remaining: number[] = []
    for await (const { blob, remainingBytes } of admin.snapshot(endpointAt(place, 0))) {
      total += blob.length
      remaining.push(Number(remainingBytes))
    }
    t.is(total % 512, 32, 'whole blocks and a checksum')
    t.deepEqual(
      remaining,
      remaining.toSorted((a, b) => b - a),
    )
    for await (const part of admin.snapshot(endpointAt(place, 0))) {
      t.true(part.blob.length > 0)
      break
    }
  })
}

/** The leader is killed with SIGKILL under puts: how long until the next one is acknowledged. */
import { setTimeout as delay } from 'node:timers/promises'
import { createAdminClient } from '../../coord/client/admin.ts'
import { createCoordClient } from '../../coord/client/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { BenchCluster, BenchMember } from './contenders.ts'

const TRY_MS = 150
const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }

/** Milliseconds from the kill to the first acknowledgement by a survivor. */
export async function measureFailover(cluster: BenchCluster): Promise<number> {
  const leader = await findLeader(cluster)
  const survivors = cluster.members.filter((member) => member !== leader)
  await using client = createCoordClient(
    { endpoints: survivors.map(({ endpoint }) => endpoint), attemptMs: TRY_MS, readMs: TRY_MS },
    PARTS,
  )
  await client.put({ key: Buffer.from('before') })
  await leader.kill()
  const killed = performance.now()
  for (let attempt = 0; ; attempt++) {
    const sent = performance.now()
    const isDone = await client.put({ key: Buffer.from(`after/${attempt}`) }).then(
      () => true,
      () => false,
    )
    if (isDone) break
    await delay(Math.max(0, 20 - (performance.now() - sent)))
  }
  const tookMs = Math.round(performance.now() - killed)
  await leader.start()
  await findLeader(cluster)
  return tookMs
}

/** Asks until all members agree on one leader. */
export async function findLeader(cluster: BenchCluster): Promise<BenchMember> {
  await using admin = createAdminClient(
    { endpoints: cluster.members.map(({ endpoint }) => endpoint), attemptMs: 1_000, readMs: 1_000 },
    PARTS,
  )
  for (;;) {
    const said = await Promise.all(
      cluster.members.map(({ endpoint }) => admin.status(endpoint).catch(() => undefined)),
    )
    const leaders = new Set(said.map((one) => one?.leader))
    const leader = said.findIndex((one) => one !== undefined && one.leader === one.header?.memberId)
    const found = cluster.members[leader]
    if (found && leaders.size === 1) return found
    await delay(50)
  }
}

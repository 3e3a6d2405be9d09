/**
 * `node test/cluster/rounds.ts [--rounds=200] [--seed=N]`: three real coordinators under writes; each round
 * kills, pauses or restarts one or two of them by lot, and heals. After each round writes go on; at the end
 * every acknowledged write is there once, and all members hash alike. Prints `N passed, N failed`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createAdminClient } from '../../coord/client/admin.ts'
import { createCoordClient } from '../../coord/client/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { startCoordCluster, untilReady, type CoordCluster } from '../support/coord-cluster.ts'
import { auditWrites, startWriters, type Writers } from './history.ts'
import { mulberry } from './random.ts'

const words = process.argv.slice(2)
const flag = (name: string, fallback: number): number => {
  const word = words.find((candidate) => candidate.startsWith(`--${name}=`))
  return word === undefined ? fallback : Number(word.slice(name.length + 3))
}
const rounds = flag('rounds', 200)
const seed = flag('seed', Math.floor(systemRandom.float() * 2 ** 31))
const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const WRITERS = 4
/** Writes that have to be acknowledged between two rounds. */
const PROGRESS_MIN = 5
const PROGRESS_MS = 20_000

type Fault = 'kill' | 'pause' | 'terminate' | 'kill two' | 'pause leader-long'
const FAULTS: readonly Fault[] = [
  'kill',
  'kill',
  'pause',
  'pause',
  'terminate',
  'kill two',
  'pause leader-long',
]

async function strike(
  cluster: CoordCluster,
  fault: Fault,
  first: number,
  holdMs: number,
): Promise<void> {
  const one = cluster.members[first]!
  const other = cluster.members[(first + 1) % cluster.members.length]!
  switch (fault) {
    case 'kill':
      await one.signal('SIGKILL')
      await delay(holdMs)
      return one.start()
    case 'kill two':
      await Promise.all([one.signal('SIGKILL'), other.signal('SIGKILL')])
      await delay(holdMs)
      await Promise.all([one.start(), other.start()])
      return
    case 'pause':
    case 'pause leader-long':
      await one.signal('SIGSTOP')
      await delay(fault === 'pause' ? holdMs : holdMs + 1_200)
      await one.signal('SIGCONT')
      return
    case 'terminate':
      await one.signal('SIGTERM')
      return one.start()
  }
}

async function untilProgress(writers: Writers): Promise<void> {
  const end = performance.now() + PROGRESS_MS
  for (let count = 0; (count += writers.takeProgress()) < PROGRESS_MIN; await delay(10))
    if (performance.now() > end)
      throw new Error(`only ${count} writes in ${PROGRESS_MS} ms after healing`)
}

/** Equal hashes at one revision on all members. */
async function auditHashes(cluster: CoordCluster): Promise<readonly string[]> {
  await using admin = createAdminClient(
    { endpoints: cluster.endpoints, attemptMs: 5_000, readMs: 5_000 },
    PARTS,
  )
  await using client = clientOf(cluster.endpoints)
  const { revision } = await client.range({ key: Buffer.from('w/'), limit: 1 })
  const hashes = await Promise.all(
    cluster.endpoints.map(async (endpoint) => {
      // A linearizable read through the member itself: it has applied everything up to now.
      await using own = clientOf([endpoint])
      await own.range({ key: Buffer.from('w/'), limit: 1 })
      return (await admin.hashKv(endpoint, revision)).hash
    }),
  )
  return new Set(hashes).size === 1
    ? []
    : [`hashes differ at revision ${revision}: ${hashes.join(', ')}`]
}

function clientOf(endpoints: readonly string[]) {
  return createCoordClient({ endpoints, attemptMs: 2_000, readMs: 20_000 }, PARTS)
}

async function main(): Promise<void> {
  const random = mulberry(seed)
  console.log(`seed ${seed}, ${rounds} rounds`)
  const args = ['--heartbeat-interval', '50ms', '--election-timeout', '400ms']
  await using cluster = await startCoordCluster({ members: 3, args })
  await using client = clientOf(cluster.endpoints)
  const writers = startWriters(client, WRITERS)
  const problems: string[] = []
  let passed = 0
  for (let round = 1; round <= rounds && problems.length === 0; round++) {
    const fault = FAULTS[Math.floor(random() * FAULTS.length)]!
    const first = Math.floor(random() * cluster.members.length)
    try {
      await strike(cluster, fault, first, Math.floor(random() * 300))
      await untilProgress(writers)
      passed++
    } catch (error) {
      problems.push(`round ${round} (${fault} of member ${first + 1}): ${String(error)}`)
    }
    if (round % 20 === 0) console.log(`  ${round} rounds, ${writers.acknowledged.size} writes`)
  }
  await writers.stop()
  if (problems.length === 0) {
    await untilReady(cluster.endpoints)
    problems.push(...(await auditWrites(client, writers)), ...(await auditHashes(cluster)))
  }
  console.log(`${writers.acknowledged.size} writes acknowledged of ${writers.sent.size} sent`)
  for (const problem of problems.slice(0, 20)) console.log(`✗ ${problem}`)
  if (problems.length > 0) {
    for (const member of cluster.members)
      console.log(`── ${member.endpoint}\n${member.output().slice(-3_000)}`)
    console.log(`replay: node test/cluster/rounds.ts --rounds=${rounds} --seed=${seed}`)
  }
  console.log(`${passed} passed, ${problems.length} failed`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

await main()

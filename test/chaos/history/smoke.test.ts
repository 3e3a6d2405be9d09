import test from 'ava'
import { createCoordClient } from '../../../coord/client/create.ts'
import { createLocalCoord } from '../../../coord/local/local-client.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { startCoordCluster } from '../../support/coord-cluster.ts'
import { checkRound } from './check.ts'
import { readRounds } from './ndjson.ts'
import { startHistory, type ChaosHistory, type HistoryOptions } from './start.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const KINDS = ['registers', 'keys', 'locks', 'leases'] as const

/** Runs until a round of each kind is over. */
async function run(
  options: Pick<HistoryOptions, 'endpoints' | 'connect' | 'save'>,
): Promise<ChaosHistory> {
  const over = new Set<string>()
  const { promise, resolve } = Promise.withResolvers<void>()
  const history = startHistory({
    ...options,
    ...PARTS,
    roundMs: 5_000,
    pauseMs: 10,
    onRound(round) {
      over.add(round.kind)
      if (over.size === KINDS.length) resolve()
    },
  })
  await promise
  await history.stop()
  return history
}

test.serial('a coordinator in this process keeps every promise', async (t) => {
  using coord = createLocalCoord(PARTS)
  const lines: string[] = []
  const history = await run({
    endpoints: ['here'],
    connect: () => coord.connect(),
    save: (line) => void lines.push(JSON.stringify(line)),
  })
  t.deepEqual(history.check(), [])
  t.log(history.counts)
  const rounds = await readRounds(lines)
  t.deepEqual(
    rounds.flatMap((round) => checkRound(round)),
    [],
  )
  const operations = rounds.reduce((sum, round) => sum + round.operations.length, 0)
  t.is(operations, history.counts.operations)
})

test.serial('a real coordinator keeps every promise', async (t) => {
  await using cluster = await startCoordCluster({ members: 1 })
  const history = await run({
    endpoints: cluster.endpoints,
    connect: (endpoints) =>
      createCoordClient({ endpoints, attemptMs: 1_000, readMs: 2_000 }, PARTS),
  })
  t.deepEqual(history.check(), [])
  t.log(history.counts)
})

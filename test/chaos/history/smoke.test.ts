import test from 'ava'
import { CoordError, type CoordClient } from '../../../coord/client/client.ts'
import { createCoordClient } from '../../../coord/client/create.ts'
import { createLocalCoord } from '../../../coord/local/local-client.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { STATUS } from '../../../lib/grpc-status.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { startCoordCluster } from '../../support/coord-cluster.ts'
import { checkRound } from './check.ts'
import { readRounds } from './ndjson.ts'
import { startHistory, type ChaosHistory, type HistoryOptions } from './start.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
/** Four rounds; by then one is over, or stuck. */
const STUCK_MS = 16_000
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

test.serial("a write that was given up and lands at the very end is nobody else's", async (t) => {
  using coord = createLocalCoord(PARTS)
  const real = coord.connect()
  let landLate: (() => Promise<unknown>) | undefined
  let landed = 0
  const over = Promise.withResolvers<void>()
  const history = startHistory({
    endpoints: ['here'],
    connect: () => ({
      ...coord.connect(),
      put(request, options) {
        if (landLate) return real.put(request, options)
        landLate = () => real.put(request)
        return Promise.reject(new CoordError(STATUS.deadlineExceeded, 'given up', 'unknown'))
      },
      async range(request, options) {
        const answer = await real.range(request, options)
        const isWhole = Buffer.from(request.key).toString().endsWith('/keys1/')
        if (!isWhole || !landLate || landed > 0) return answer
        // The last look at everything: the write lands behind it, and a watch shows that.
        const { rangeEnd = request.key } = request
        const range = { rangeEnd, startRevision: answer.revision + 1 }
        await using watch = real.watch(Buffer.from(request.key), range)
        await landLate()
        for await (const batch of watch) if (batch.kind === 'events') break
        landed = answer.revision + 1
        return answer
      },
    }),
    ...PARTS,
    kinds: ['keys'],
    roundMs: 500,
    pauseMs: 10,
    onRound({ finalRevision = 0 }) {
      if (landed > finalRevision) over.resolve()
      else over.reject(new Error('it has not landed behind the last write'))
    },
  })
  await over.promise
  await history.stop()
  t.deepEqual(history.check(), [])
})

/** What a client does to what it is told. */
const LIES: Readonly<Record<string, (real: CoordClient) => Partial<CoordClient>>> = {
  'answers reads with what it read before': (real) => {
    const answers = new Map<string, Awaited<ReturnType<CoordClient['range']>>>()
    return {
      async range(request, options) {
        const name = Buffer.from(request.key).toString()
        const old = answers.get(name)
        if (old && systemRandom.float() < 0.2) return old
        const answer = await real.range(request, options)
        answers.set(name, answer)
        return answer
      },
    }
  },
  'acknowledges writes that it drops': (real) => ({
    put: (request, options) =>
      systemRandom.float() < 0.05
        ? real.range({ key: request.key }, options)
        : real.put(request, options),
  }),
  'sends writes twice': (real) => ({
    async txn(request, options) {
      if (systemRandom.float() < 0.05) await real.txn(request, options)
      return real.txn(request, options)
    },
  }),
  'leaves events out': (real) => ({
    watch(key, options) {
      const watcher = real.watch(key, options)
      return Object.assign(Object.create(watcher) as typeof watcher, {
        async *[Symbol.asyncIterator]() {
          for await (const batch of watcher) if (systemRandom.float() < 0.9) yield batch
        },
      })
    },
  }),
  'renews no lease': (real) => ({
    leaseKeepAliveOnce: () => Promise.resolve({ ttl: 3 }),
    leaseTimeToLive: (...asked) => real.leaseTimeToLive(...asked),
  }),
}

for (const [title, lie] of Object.entries(LIES))
  test.serial(`a coordinator is caught that ${title}`, async (t) => {
    using coord = createLocalCoord(PARTS)
    const caught = Promise.withResolvers<void>()
    const history = startHistory({
      endpoints: ['here'],
      connect() {
        const real = coord.connect()
        return { ...real, ...lie(real) }
      },
      ...PARTS,
      roundMs: 4_000,
      pauseMs: 10,
      finishMs: 1_000,
      onRound: (_round, problems) => problems.length > 0 && caught.resolve(),
    })
    // A round that waits for an event which was left out ends only when it is stopped.
    const waiting = new AbortController()
    const long = systemClock.sleep(STUCK_MS, waiting.signal).catch(() => undefined)
    await Promise.race([caught.promise, long])
    waiting.abort()
    await history.stop()
    t.log([...new Set(history.check().map(({ round, rule }) => `${round}: ${rule}`))].slice(0, 8))
    t.true(history.check().some(({ rule }) => rule !== 'round-open'))
  })

import test from 'ava'
import { setImmediate as turn } from 'node:timers/promises'
import { HakiriError } from '../../lib/error.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { pendingPart } from '../../test/support/run-shard.ts'
import { createExecutor, type ExecutorParts } from './executor.ts'
import { shardUnit } from './units.ts'

/** Far more often than five waits need. */
const LOOKS_MAX = 1_000

/** A worker that holds nothing and knows nothing but what is given. */
function partsOf(given: object, deps: object): ExecutorParts {
  const parts = {
    deps: {
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      observer: { queueChanged: () => undefined },
      settings: { slots: 2, pollMs: 1_000 },
      identity: { name: 'w' },
      ...deps,
    },
    feed: { current: () => undefined },
    workshop: {},
    othersFor: () => 0,
    tell: () => undefined,
    ...given,
  }
  return parts as unknown as ExecutorParts
}

test('a part of a run that is not known here is looked up again after a while, not at once', async (t) => {
  const pending = pendingPart('s', { runId: 2 })
  const ended = new AbortController()
  const waits: number[] = []
  let now = 0
  let looks = 0
  let readings = 0
  const deps = {
    catalog: {
      pendingShards: () => Promise.resolve([pending]),
      pendingParts: () => {
        readings += 1
        return Promise.resolve([pending])
      },
    },
    clock: {
      now: () => now,
      monotonic: () => now,
      sleep: async (ms: number) => {
        waits.push(ms)
        now += ms
        if (waits.length === 5) ended.abort()
        await turn()
      },
    },
  }
  const runs = {
    // Another run of the pipeline is at work; this one has come since, or is over.
    current() {
      // Else this would never end: what turns in place lets nobody else have a turn.
      if (++looks > LOOKS_MAX) ended.abort()
      return [{ id: 1, pipeline: 'p', status: 'running' }]
    },
  }
  const executor = createExecutor(partsOf({ runs }, deps))
  executor.take([shardUnit('p', 's')])
  await executor.run(ended.signal)
  t.true(looks < LOOKS_MAX, 'it is looked at again and again')
  t.is(waits.length, 5)
  t.true(now >= 900, `${waits.join(', ')} ms`)
  t.true(readings >= 2, 'it is read again what became of it')
})

test('what is at work when the worker ends is waited for, though its session was lost', async (t) => {
  const pending = pendingPart('s', { runId: 1 })
  const opening = Promise.withResolvers<never>()
  const atWork = Promise.withResolvers<void>()
  const ended = new AbortController()
  const given = {
    feed: { current: () => ({ manifest: { pipelines: { p: { destination: 'd' } } } }) },
    runs: { current: () => [{ id: 1, pipeline: 'p', status: 'running' }] },
    workshop: {
      destination() {
        atWork.resolve()
        return opening.promise
      },
    },
  }
  const catalog = { pendingShards: () => Promise.resolve([pending]) }
  const executor = createExecutor(partsOf(given, { catalog }))
  executor.take([shardUnit('p', 's')])
  let isOver = false
  const running = executor.run(ended.signal).then(() => (isOver = true))
  await atWork.promise
  executor.loseSession()
  ended.abort()
  for (let turns = 0; turns < 100; turns++) await turn()
  t.false(isOver, 'what the work uses may not be closed yet')
  opening.reject(new HakiriError('STORE_UNREACHABLE', 'away'))
  await running
  t.is(executor.load().atWork, 0)
})

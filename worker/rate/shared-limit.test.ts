/** Workers that share one limit over one catalog, in virtual time: never too many, no standstill, fair. */
import test from 'ava'
import fc from 'fast-check'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Catalog } from '../../catalog/catalog.ts'
import type { RateLimit, TokenGrant } from '../../catalog/cluster.ts'
import type { Clock, LogLevel, Random } from '../../lib/ports.ts'
import { openCatalog } from '../../catalog/open.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { createSharedLimit, type SharedLimit } from './shared-limit.ts'

const never = new AbortController().signal

/** Time that passes only when everything waits. */
type Time = Clock & {
  /** Runs `until` the given moment. */
  run(untilMs: number): Promise<void>
}

function virtualTime(): Time {
  type Sleeper = { readonly at: number; readonly wake: () => void }
  let now = 0
  const sleepers = new Set<Sleeper>()
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2; turn++)
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
  }
  return {
    now: () => now,
    monotonic: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const sleeper = { at: now + ms, wake: resolve }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper)
          reject(signal.reason)
        })
      }),
    async run(untilMs) {
      for (;;) {
        await settle()
        const next = [...sleepers].reduce<Sleeper | undefined>(
          (first, each) => (first && first.at <= each.at ? first : each),
          undefined,
        )
        if (!next || next.at > untilMs) break
        now = Math.max(now, next.at)
        sleepers.delete(next)
        next.wake()
      }
      now = untilMs
      await settle()
    },
  }
}

/** A bucket as the catalog keeps it. */
function tokenBucket(time: Time) {
  let [tokens, at] = [Infinity, 0]
  const world = {
    calls: 0,
    away: false,
    hangs: false,
    granted: [] as { at: number; count: number }[],
  }
  const takeTokens = async (_: string, want: number, limit: RateLimit): Promise<TokenGrant> => {
    world.calls++
    if (world.hangs) return new Promise(() => undefined)
    if (world.away) throw new Error('the catalog is away')
    const now = time.monotonic()
    tokens = Math.min(limit.burst, tokens + ((now - at) / 1_000) * limit.perSecond)
    at = now
    const granted = Math.min(want, Math.floor(tokens + 1e-9))
    tokens -= granted
    world.granted.push({ at: now, count: granted })
    return { granted, waitMs: granted > 0 ? 0 : ((1 - tokens) / limit.perSecond) * 1_000 }
  }
  return { world, catalog: { takeTokens } }
}

function seeded(seed: number): Random {
  let state = seed
  return {
    float: () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31,
    uuid: () => 'unused',
  }
}

type Crew = {
  readonly time: Time
  readonly world: ReturnType<typeof tokenBucket>['world']
  readonly limits: readonly SharedLimit[]
  /** Moments at which each worker's requests were admitted. */
  readonly admitted: readonly number[][]
  readonly logged: readonly LogLevel[]
  /** The worker asks again as soon as it was admitted, `lines` times at once. */
  hurry(worker: number, lines?: number, signal?: AbortSignal): void
}

function crewOf(workers: number, limit: RateLimit, seed = 1): Crew {
  const time = virtualTime()
  const { world, catalog } = tokenBucket(time)
  const logged: LogLevel[] = []
  const limits = Array.from({ length: workers }, (_, index) =>
    createSharedLimit('b', limit, {
      catalog,
      clock: time,
      random: seeded(seed + index),
      logger: { log: (level) => void logged.push(level) },
      workers: () => workers,
    }),
  )
  const admitted: number[][] = limits.map(() => [])
  return {
    time,
    world,
    limits,
    admitted,
    logged,
    hurry(worker, lines = 1, signal = never) {
      const ask = async (): Promise<void> => {
        for (;;) {
          await limits[worker]!.take(signal)
          admitted[worker]!.push(time.monotonic())
          // A request takes time.
          await time.sleep(1, signal)
        }
      }
      for (let line = 0; line < lines; line++) ask().catch(() => undefined)
    },
  }
}

/** The most that were admitted in any window of this length. */
function mostWithin(moments: readonly number[], windowMs: number): number {
  const sorted = moments.toSorted((a, b) => a - b)
  return sorted.reduce(
    (most, start, index) =>
      Math.max(most, sorted.findLastIndex((at) => at <= start + windowMs) - index + 1),
    0,
  )
}

test('three workers that hurry never exceed the limit in any window, and leave little of it unused', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        perSecond: fc.constantFrom(0.5, 3, 10, 40),
        burst: fc.constantFrom(1, 5, 40),
        lines: fc.integer({ min: 1, max: 4 }),
        seed: fc.integer({ min: 1, max: 1_000 }),
      }),
      async ({ perSecond, burst, lines, seed }) => {
        const crew = crewOf(3, { perSecond, burst }, seed)
        for (const worker of [0, 1, 2]) crew.hurry(worker, lines)
        await crew.time.run(10_000)
        const all = crew.admitted.flat()
        for (const windowMs of [1, 500, 1_000, 5_000, 10_000]) {
          // A token may be used a second after it was granted.
          const most = burst + (perSecond * (windowMs + 1_000)) / 1_000
          t.true(mostWithin(all, windowMs) <= most, `${windowMs} ms`)
        }
        const whole = burst + perSecond * 10
        t.true(all.length <= whole, 'nobody is admitted without a token')
        t.true(
          all.length >= Math.floor(0.8 * perSecond * 10),
          `${all.length} of ${whole} were used`,
        )
      },
    ),
    { numRuns: 8 },
  )
})

test('over one real catalog, three workers with connections of their own keep to the limit and use it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-limit-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const time = virtualTime()
  const limit = { perSecond: 10, burst: 5 }
  const admitted: number[] = []
  const stop = new AbortController()
  const deps = { clock: time, random: seeded(7) }
  const catalogs: Catalog[] = []
  for (let count = 0; count < 3; count++)
    catalogs.push(await openCatalog(join(folder, 'c.db'), deps))
  const asking = catalogs.flatMap((catalog) => {
    const shared = createSharedLimit('b', limit, {
      ...deps,
      catalog,
      logger: silentLogger,
      workers: () => 3,
    })
    return [1, 2].map(async () => {
      for (;;) {
        await shared.take(stop.signal)
        admitted.push(time.monotonic())
        await time.sleep(1, stop.signal)
      }
    })
  })
  await time.run(30_000)
  stop.abort()
  await Promise.allSettled(asking)
  for (const catalog of catalogs) await catalog[Symbol.asyncDispose]()
  for (const windowMs of [1, 1_000, 10_000])
    t.true(mostWithin(admitted, windowMs) <= 5 + (10 * (windowMs + 1_000)) / 1_000)
  t.true(admitted.length <= 5 + 10 * 30)
  t.true(admitted.length >= 0.8 * 10 * 30, `${admitted.length}`)
})

test('each of three workers gets a part of the limit, and one alone gets nearly all of it', async (t) => {
  const three = crewOf(3, { perSecond: 20, burst: 20 })
  for (const worker of [0, 1, 2]) three.hurry(worker, 2)
  await three.time.run(60_000)
  for (const moments of three.admitted) t.true(moments.length > 60 * 20 * 0.15, `${moments.length}`)
  const one = crewOf(3, { perSecond: 20, burst: 20 })
  one.hurry(1, 4)
  await one.time.run(60_000)
  t.true(one.admitted[1]!.length > 60 * 20 * 0.9)
})

test('an unlucky worker hoards no more than ten tokens, and forgets them after a second', async (t) => {
  const crew = crewOf(2, { perSecond: 100, burst: 100 })
  const leaves = new AbortController()
  crew.hurry(0, 1, leaves.signal)
  await crew.time.run(49)
  leaves.abort()
  t.true(crew.world.granted.every(({ count }) => count <= 10))
  const granted = crew.world.granted.reduce((sum, { count }) => sum + count, 0)
  const left = granted - crew.admitted[0]!.length
  t.true(left > 0 && left <= 10, `${left} were granted and not used`)
  // What is left of the stock is too old to be used.
  await crew.time.run(10_000)
  const calls = crew.world.calls
  await crew.limits[0]!.take(never)
  t.is(crew.world.calls, calls + 1)
})

test('a busy worker asks the catalog less often than it is admitted', async (t) => {
  const crew = crewOf(1, { perSecond: 1_000, burst: 1_000 })
  crew.hurry(0, 4)
  await crew.time.run(5_000)
  t.true(crew.admitted[0]!.length > 1_000)
  t.true(crew.world.calls < crew.admitted[0]!.length / 4)
})

test('callers are admitted in order, and one who gives up holds nobody up', async (t) => {
  const crew = crewOf(1, { perSecond: 2, burst: 1 })
  const order: string[] = []
  const gone = new AbortController()
  const ask = (name: string, signal: AbortSignal): void => {
    crew.limits[0]!.take(signal).then(
      () => void order.push(name),
      () => void order.push(`${name} gave up`),
    )
  }
  ask('a', never)
  ask('b', gone.signal)
  ask('c', never)
  await crew.time.run(100)
  gone.abort(new Error('enough'))
  await crew.time.run(600)
  t.deepEqual(order, ['a', 'b gave up', 'c'])
  // The line was empty in between; it starts again.
  ask('d', never)
  await crew.time.run(2_000)
  t.deepEqual(order.at(-1), 'd')
  await t.throwsAsync(crew.limits[0]!.take(AbortSignal.abort(new Error('before'))), {
    message: 'before',
  })
})

for (const how of ['away', 'hangs'] as const)
  test(`while the catalog ${how === 'away' ? 'is away' : 'hangs'} the workers keep to the limit together and go on, and share again afterwards`, async (t) => {
    const crew = crewOf(3, { perSecond: 10, burst: 10 })
    for (const worker of [0, 1, 2]) crew.hurry(worker, 2)
    await crew.time.run(10_000)
    crew.world[how] = true
    await crew.time.run(13_000)
    const before = crew.admitted.map((moments) => moments.length)
    await crew.time.run(43_000)
    const during = crew.admitted.map((moments, worker) => moments.length - before[worker]!)
    const all = crew.admitted.flat().filter((at) => at > 13_000)
    const most = mostWithin(all, 1_000)
    t.true(most <= 10 + 3, `${most}: one in hand for each worker`)
    for (const count of during) t.true(count >= 30 * (10 / 3) * 0.5, `${count} in 30 s`)
    crew.world[how] = false
    await crew.time.run(53_000)
    const calls = crew.world.calls
    await crew.time.run(63_000)
    t.true(
      crew.world.calls > calls + 20,
      `${crew.world.calls - calls} calls: the bucket is asked again`,
    )
    t.is(crew.logged.filter((level) => level === 'warn').length, 3, 'one line for each worker')
    t.is(crew.logged.filter((level) => level === 'info').length, 3)
    const longest = mostWithin(crew.admitted.flat(), 10_000)
    // Two workers may still keep to their part for two seconds when the first one shares again.
    t.true(longest <= 10 + 10 * 11 + 3 + 14, `${longest} in ten seconds`)
  })

test('a Retry-After that one worker got stops it for that long and takes the burst from the others', async (t) => {
  const crew = crewOf(2, { perSecond: 5, burst: 50 })
  crew.limits[0]!.pause(4_000)
  await crew.time.run(100)
  crew.hurry(0)
  crew.hurry(1, 8)
  await crew.time.run(3_999)
  t.is(crew.admitted[0]!.length, 0)
  t.true(crew.admitted[1]!.length <= 5 * 4 + 1, `${crew.admitted[1]!.length} without a burst`)
  t.true(crew.admitted[1]!.length >= 15)
  await crew.time.run(8_000)
  t.true(crew.admitted[0]!.length > 0)
})

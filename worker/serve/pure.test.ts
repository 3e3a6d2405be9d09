/** The parts of a worker that only decide: schedules, choices, reconciliation, settlements, names. */
import test from 'ava'
import fc from 'fast-check'
import type { RunShard } from '../../catalog/cluster.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Schedule } from '../../manifest/manifest.ts'
import { newestStart } from '../../manifest/newest-start.ts'
import { pendingPart } from '../../test/support/run-shard.ts'
import { type Candidate, type ChoosePolicy, chooseWork, GROUP_MAX, GROUP_MIN } from './choose.ts'
import { createHealth } from './health.ts'
import { createPartsList } from './parts-list.ts'
import { type Holding, reconcile } from './reconcile.ts'
import { dueStart, MISSED_AFTER_MS } from './schedule.ts'
import { settlementOf } from './settle.ts'
import { parseUnit, publishUnit, runUnit, shardUnit } from './units.ts'

// ── Schedules ─────────────────────────────────────────────────────────────────────────────────────

const HOURLY: Schedule = {
  cron: '0 * * * *',
  everyMs: undefined,
  tz: 'UTC',
  overlap: 'skip',
  catchup: false,
  jitterMs: 0,
}
const at = (text: string): number => Date.parse(`2026-11-26T${text}Z`)
const due = (schedule: Schedule, now: number, last?: number, since = 0) =>
  dueStart({ pipeline: 'p', schedule, last, since, now, newest: newestStart })

test('a cron start is due at its time, and is named by it', (t) => {
  t.deepEqual(due(HOURLY, at('10:00:00')), {
    at: at('10:00:00'),
    fireKey: 'p@2026-11-26T10:00:00.000Z',
  })
  t.is(due(HOURLY, at('10:00:30'))?.at, at('10:00:00'))
  t.is(due(HOURLY, at('10:00:30'), at('10:00:00')), undefined)
})

test('a start that was missed is let go, unless catchup asks for the newest one', (t) => {
  const late = at('10:00:00') + MISSED_AFTER_MS + 1
  t.is(due(HOURLY, late, at('07:00:00')), undefined)
  t.is(due({ ...HOURLY, catchup: true }, late, at('07:00:00'))?.at, at('10:00:00'))
})

test('a pipeline is not due for starts before it was there', (t) => {
  t.is(due({ ...HOURLY, catchup: true }, at('10:00:10'), undefined, at('10:00:05')), undefined)
})

test('a start that was missed is caught up although the manifest was applied anew since', (t) => {
  const [now, applied] = [at('10:05:00'), at('10:04:00')]
  t.is(due({ ...HOURLY, catchup: true }, now, at('09:00:00'), applied)?.at, at('10:00:00'))
})

test('an interval starts at once, then on a grid that all planners share', (t) => {
  const every = { ...HOURLY, cron: undefined, everyMs: 600_000 }
  t.is(due(every, at('10:07:00'))?.at, at('10:00:00'))
  t.is(due(every, at('10:09:59'), at('10:00:00')), undefined)
  t.is(due(every, at('10:10:00'), at('10:00:00'))?.at, at('10:10:00'))
})

test('jitter delays a start by the same time on every planner, within its bound', (t) => {
  const schedule = { ...HOURLY, jitterMs: 30_000 }
  const offsets = new Set<number>()
  for (let hour = 0; hour < 24; hour++) {
    const start = at(`${String(hour).padStart(2, '0')}:00:00`)
    let offset = 0
    while (due(schedule, start + offset)?.at !== start) offset += 100
    t.true(offset <= 30_000)
    t.is(due(schedule, start + offset)?.at, start)
    offsets.add(offset)
  }
  t.true(offsets.size > 12, 'offsets differ from start to start')
})

test('cron follows the clocks of its time zone', (t) => {
  const newest = newestStart('30 2 * * *', 'Europe/Berlin', 0, Date.parse('2026-03-30T12:00:00Z'))
  t.is(new Date(newest ?? 0).toISOString(), '2026-03-30T00:30:00.000Z')
})

// ── Choosing ──────────────────────────────────────────────────────────────────────────────────────

const candidate = (shard: string, more: Partial<RunShard> = {}, readyAt = 0): Candidate => ({
  part: pendingPart(shard, more),
  readyAt,
  isLarge: false,
})
const many = (count: number): readonly Candidate[] =>
  Array.from({ length: count }, (_, index) => candidate(String(index).padStart(5, '0')))

const PROVEN = new Set(['1 t', '2 t', '1 u'])
const choose = (candidates: readonly Candidate[], policy: Partial<ChoosePolicy> = {}) =>
  chooseWork(candidates, { worker: 'w', now: 0, slots: 4, proven: PROVEN, ...policy })

test('few parts go alone, many as a group that leaves some for the other slots', (t) => {
  t.is(choose(many(GROUP_MIN - 1), { proven: new Set() }).work?.length, 1)
  t.is(choose(many(GROUP_MIN), { proven: new Set() }).work?.length, GROUP_MIN)
  t.is(choose(many(GROUP_MIN - 1)).work?.length, GROUP_MIN - 1, 'what is left of small ones')
  t.is(choose(many(1)).work?.length, 1)
  t.is(choose(many(200)).work?.length, 50)
  t.is(choose(many(5_000)).work?.length, GROUP_MAX)
})

test('a first group of a run and table is small, until one has succeeded', (t) => {
  t.is(choose(many(5_000), { proven: new Set() }).work?.length, GROUP_MIN)
})

test('what failed before, or was too large, goes alone', (t) => {
  const odd = { ...candidate('0', { attempts: 1 }), readyAt: 0 }
  t.deepEqual(
    choose([odd, ...many(50)]).work?.map(({ shard }) => shard),
    ['0'],
  )
  const large = { ...candidate('0'), isLarge: true }
  t.is(choose([large, ...many(50)]).work?.length, 1)
})

test('a part is left alone before its time, and where it failed for good', (t) => {
  const later = candidate('a', {}, 50)
  t.deepEqual(choose([later], { now: 10 }), { work: undefined, nextAt: 50 })
  t.deepEqual(choose([candidate('a', { failedOn: ['w'] })]), {
    work: undefined,
    nextAt: Infinity,
  })
})

test('a group is of one run and table, in order', (t) => {
  const mixed = [
    ...many(20).map((each) => ({ ...each, part: { ...each.part, runId: 2 } })),
    ...many(20).map((each) => ({ ...each, part: { ...each.part, table: 'u' } })),
    ...many(20),
  ]
  const { work } = choose(mixed, { slots: 1 })
  t.is(work?.length, 20)
  t.is(new Set(work?.map(({ runId, table }) => `${runId} ${table}`)).size, 1)
  t.deepEqual(
    work?.map(({ shard }) => shard),
    work?.map(({ shard }) => shard).toSorted(),
  )
})

// ── Reconciling ───────────────────────────────────────────────────────────────────────────────────

test('a worker claims what is assigned to it and free, and gives up what is not its own', (t) => {
  const view = {
    assignments: new Map([
      ['a', 'me'],
      ['b', 'me'],
      ['c', 'other'],
    ]),
    claims: new Map([['b', 'other']]),
  }
  const holdings = new Map<string, Holding>([
    ['c', 'held'],
    ['d', 'giving-up'],
  ])
  t.deepEqual(reconcile('me', view, holdings, false), {
    claim: ['a'],
    giveUp: ['c'],
    waiting: ['b'],
  })
  t.deepEqual(reconcile('me', view, holdings, true), { claim: [], giveUp: ['c'], waiting: [] })
})

test('a claim of this worker that it knows nothing of is given back', (t) => {
  const view = { assignments: new Map([['b', 'me']]), claims: asMap({ a: 'me', b: 'me', c: 'x' }) }
  const { claim, giveUp } = reconcile('me', view, new Map(), false)
  t.deepEqual({ claim, giveUp }, { claim: ['b'], giveUp: ['a'] })
})

test('property: a worker never claims what another is known to hold, nor what it holds', (t) => {
  const worker = fc.constantFrom('me', 'x', 'y')
  const map = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), worker)
  fc.assert(
    fc.property(map, map, fc.uniqueArray(fc.constantFrom('a', 'b', 'c')), (wanted, had, own) => {
      const view = { assignments: asMap(wanted), claims: asMap(had) }
      const holdings = new Map(own.map((unit) => [unit as string, 'held'] as const))
      const { claim, giveUp } = reconcile('me', view, holdings, false)
      for (const unit of claim) {
        t.is(wanted[unit], 'me')
        t.true(had[unit] === undefined || had[unit] === 'me')
        t.false(holdings.has(unit))
      }
      for (const unit of giveUp) t.not(wanted[unit], 'me')
      for (const unit of own) t.true(wanted[unit] === 'me' || giveUp.includes(unit))
    }),
  )
})

function asMap(record: { readonly [key: string]: string }): ReadonlyMap<string, string> {
  return new Map(Object.entries(record))
}

// ── Settling ──────────────────────────────────────────────────────────────────────────────────────

const RANDOM = { float: () => 0.5, uuid: () => 'u' }
const settled = (
  error: HakiriError,
  more: Partial<RunShard> = {},
  others = 0,
  progressed = false,
) =>
  settlementOf(
    pendingPart('a', more),
    { kind: 'failed', error, progressed },
    {
      retries: { retriesMax: 2, firstMs: 1_000, mostMs: 60_000 },
      worker: 'w',
      epoch: 7,
      others,
      now: 10_000,
      random: RANDOM,
    },
  ).end
const AWAY = new HakiriError('SOURCE_UNREACHABLE', 'no answer')
const BROKEN = new HakiriError('SOURCE_DATA', 'no JSON')

test('a curable failure is tried again later, as often as the pipeline allows', (t) => {
  const text = 'SOURCE_UNREACHABLE: no answer'
  t.deepEqual(settled(AWAY), { kind: 'retry', attempts: 1, nextAt: 10_750, error: text })
  t.deepEqual(settled(AWAY, { attempts: 1 }), {
    kind: 'retry',
    attempts: 2,
    nextAt: 11_500,
    error: text,
  })
  t.is(settled(AWAY, { attempts: 2 }).kind, 'failed')
})

test('progress is never punished: attempts count from the last commit', (t) => {
  t.like(settled(AWAY, { attempts: 2 }, 0, true), { kind: 'retry', attempts: 1 })
})

test('a source that names a time is not asked before', (t) => {
  const rate = new HakiriError('SOURCE_RATE', 'slow down', { retryAfterMs: 30_000 })
  t.like(settled(rate), { nextAt: 40_000 })
})

test('a failure for good is left to other workers, of whom three at the most try', (t) => {
  t.is(settled(BROKEN, {}, 2).kind, 'elsewhere')
  t.is(settled(BROKEN, { failedOn: ['x'] }, 1).kind, 'elsewhere')
  t.is(settled(BROKEN, { failedOn: ['x', 'y'] }, 1).kind, 'failed')
  t.is(settled(BROKEN, {}, 0).kind, 'failed')
})

// ── Names ─────────────────────────────────────────────────────────────────────────────────────────

test('units are told apart by their names, whatever stands in a shard id', (t) => {
  t.deepEqual(parseUnit(shardUnit('p', 'a/b~c:d')), {
    kind: 'shard',
    pipeline: 'p',
    shard: 'a/b~c:d',
  })
  t.deepEqual(parseUnit(runUnit('p')), { kind: 'run', pipeline: 'p' })
  t.deepEqual(parseUnit(publishUnit('p', 'p.t')), { kind: 'publish', pipeline: 'p', table: 'p.t' })
})

// ── The list of pending parts ─────────────────────────────────────────────────────────────────────

function newList(rows: Map<string, RunShard>, held: readonly string[]) {
  let now = 0
  const asked: string[] = []
  const during: { run: () => void } = { run: () => undefined }
  const list = createPartsList({
    catalog: {
      async pendingShards() {
        asked.push('all')
        const found = [...rows.values()]
        during.run()
        return found
      },
      async pendingParts(keys) {
        asked.push(keys.map(({ shard }) => shard).join(' '))
        const found = keys.flatMap(({ shard }) => rows.get(shard) ?? [])
        during.run()
        return found
      },
    },
    clock: { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() },
    held: new Set(held),
    isRunning: () => true,
    onRead: () => undefined,
  })
  const names = (): readonly string[] => [...list.parts.keys()].toSorted()
  return { list, asked, during, names, pass: (ms: number) => (now += ms) }
}

test('units that were taken are looked up by name, everything only when it is due', async (t) => {
  const rows = new Map(['a', 'b', 'c'].map((shard) => [shard, pendingPart(shard)]))
  const { list, asked, names, pass } = newList(rows, ['p/a', 'p/b'])
  await list.refresh()
  t.deepEqual(names(), ['p/a', 'p/b'], 'what others hold is not in it')
  rows.set('b', pendingPart('b', { attempts: 3 }))
  list.lookUp(['p/b', 'p/c'])
  t.deepEqual(names(), ['p/a'])
  await list.refresh()
  t.is(list.parts.get('p/b')?.attempts, 3)
  await list.refresh()
  t.deepEqual(asked, ['all', 'b'], 'nothing is due')
  pass(2_000)
  await list.refresh()
  list.lookAtAll()
  await list.refresh()
  t.deepEqual(asked, ['all', 'b', 'all', 'all'])
})

test('what happens to a part while the list is read is not undone by what was read', async (t) => {
  const rows = new Map(['a', 'b', 'c'].map((shard) => [shard, pendingPart(shard)]))
  const { list, asked, during, names } = newList(rows, ['p/a', 'p/b', 'p/c'])
  during.run = () => {
    during.run = () => undefined
    list.drop('p/a')
    rows.delete('a')
    list.lookUp(['p/b'])
    rows.set('b', pendingPart('b', { attempts: 1 }))
  }
  await list.refresh()
  t.deepEqual(asked, ['all', 'b'])
  t.deepEqual(names(), ['p/b', 'p/c'])
  t.is(list.parts.get('p/b')?.attempts, 1)
  during.run = () => {
    throw new HakiriError('CATALOG_UNREACHABLE', 'away')
  }
  list.lookUp(['p/c'])
  await t.throwsAsync(list.refresh())
  during.run = () => undefined
  await list.refresh()
  t.deepEqual(asked.slice(2), ['c', 'c'], 'a look that failed is made again')
  t.deepEqual(names(), ['p/b', 'p/c'])
})

test('a list that took long to read is not read again soon', async (t) => {
  const { list, asked, during, pass } = newList(new Map([['a', pendingPart('a')]]), ['p/a'])
  during.run = () => pass(500)
  await list.refresh()
  pass(9_000)
  await list.refresh()
  t.is(asked.length, 1)
  pass(1_000)
  await list.refresh()
  t.is(asked.length, 2)
})

// ── Health ────────────────────────────────────────────────────────────────────────────────────────

test('each change of what a worker stands on is told once, and two buckets do not answer for each other', (t) => {
  const said: string[] = []
  const changes: boolean[] = []
  const health = createHealth({
    clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
    logger: {
      log: (_, message, fields) => void said.push(`${message} ${String(fields?.['place'])}`),
    },
    observer: { dependencyChanged: (_, isUp) => void changes.push(isUp) },
  })
  health.isDown('bucket', 'refused', 'lake')
  health.isDown('bucket', 'refused', 'lake')
  health.isUp('bucket', 'archive')
  t.deepEqual(health.reasons(), ['bucket: refused'])
  health.isDown('bucket', 'slow', 'archive')
  health.isUp('bucket', 'lake')
  t.deepEqual(health.reasons(), ['bucket: slow'])
  t.deepEqual(changes, [false])
  health.isUp('bucket', 'archive')
  health.isUp('bucket', 'archive')
  t.deepEqual(health.reasons(), [])
  t.deepEqual(changes, [false, true])
  t.deepEqual(said, [
    'the bucket is away lake',
    'the bucket is away archive',
    'the bucket is back lake',
    'the bucket is back archive',
  ])
})

import test from 'ava'
import fc from 'fast-check'
import { checkByRevision } from './by-revision.ts'
import { checkRound } from './check.ts'
import { draws, manyKeysRound } from './generate.ts'
import { linesOf, readRounds } from './ndjson.ts'
import type {
  Kv,
  KvRequest,
  KvResponse,
  Operation,
  Round,
  StepResult,
  WatchBatch,
} from './types.ts'
import { checkWatches } from './watch.ts'

const MANY = { min: 30, max: 150 }
const rules = (problems: readonly { readonly rule: string }[]): string[] => [
  ...new Set(problems.map(({ rule }) => rule)),
]

test('every history of a real store is in order, and so is what its watchers see', (t) => {
  fc.assert(
    fc.property(draws({ min: 1, max: 150 }), (drawn) => {
      t.deepEqual(checkRound(manyKeysRound(drawn).round), [])
    }),
    { numRuns: 300 },
  )
})

test('a history comes back from its lines as it was', async (t) => {
  const [drawn] = fc.sample(draws(MANY), { numRuns: 1, seed: 7 })
  const { round } = manyKeysRound(drawn!)
  const lines = [...linesOf([round])].map((line) => JSON.stringify(line))
  const [back] = await readRounds(lines)
  t.deepEqual(back, round)
  // The end is missing, as after a crash.
  const [cut] = await readRounds(lines.slice(0, lines.length / 2))
  t.true(rules(checkRound(cut!)).includes('round-open'))
  await t.throwsAsync(readRounds([...lines, '{"entry":"x"}']), { message: /^line \d+ is no part/ })
  await t.throwsAsync(readRounds(['{']), { message: /^line 1 is no part/ })
})

// ── Broken histories of many keys, by mutation of valid ones ─────────────────────────────────────

type Ok = Operation & { readonly request: KvRequest; readonly response: KvResponse }

function answered({ operations }: Round): Ok[] {
  return operations.flatMap((op): Ok[] => {
    const { request, outcome } = op
    if (request.kind !== 'kv' || outcome.kind !== 'ok' || outcome.response.kind !== 'kv') return []
    return [{ ...op, request, response: outcome.response }]
  })
}

const isWrite = ({ response }: Ok): boolean =>
  response.results.some(
    (result) => result.kind === 'put' || (result.kind === 'deleted' && result.count > 0),
  )
const kvsIn = ({ response }: Ok): Kv[] =>
  response.results.flatMap((result) => (result.kind === 'got' ? result.kvs : []))
const isPlainRead = (op: Ok): boolean => !isWrite(op) && !op.request.isSerializable

/** The round with other answers of some operations; undefined leaves one as it is. */
function answer(round: Round, change: (op: Ok) => Partial<KvResponse> | undefined): Round {
  const changed = new Map(answered(round).map((op) => [op.id, change(op)]))
  const operations = round.operations.map((op): Operation => {
    const part = changed.get(op.id)
    if (!part || op.outcome.kind !== 'ok' || op.outcome.response.kind !== 'kv') return op
    return { ...op, outcome: { kind: 'ok', response: { ...op.outcome.response, ...part } } }
  })
  return { ...round, operations }
}

/** Changes every key that an operation read. */
function reread(round: Round, id: number, change: (kv: Kv, at: number) => Kv | undefined): Round {
  return answer(round, (op) => {
    if (op.id !== id) return undefined
    let at = 0
    const results = op.response.results.map((result): StepResult => {
      if (result.kind !== 'got') return result
      return { ...result, kvs: result.kvs.flatMap((kv) => change(kv, at++) ?? []) }
    })
    return { results }
  })
}

type Mutation = {
  readonly rules: readonly string[]
  /** The broken round; undefined where there is nothing to break in this one. */
  readonly of: (round: Round) => Round | undefined
}

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'a stale read': {
    rules: ['read-stale'],
    of(round) {
      const all = answered(round)
      const read = all.findLast((op) => isPlainRead(op) && op.client !== 'audit')
      const older = all.find(
        (op) =>
          isPlainRead(op) &&
          read &&
          sameRequest(op, read) &&
          op.response.revision < latestBefore(all, read),
      )
      if (!read || !older) return undefined
      return answer(round, (op) => (op.id === read.id ? older.response : undefined))
    },
  },
  'a lost write': {
    rules: ['read-wrong', 'write-wrong', 'serializable-read-wrong', 'condition-wrong'],
    of(round) {
      const write = answered(round).find(
        (op) => isWrite(op) && op.request.compare.length === 0 && op.request.success.length > 1,
      )
      if (!write) return undefined
      const token = tokenOf(write)
      // Acknowledged, and in nobody's answer.
      return answer(round, ({ response }) => ({
        results: response.results.map((result): StepResult =>
          result.kind === 'got'
            ? { ...result, kvs: result.kvs.filter(({ value }) => value !== token) }
            : result,
        ),
      }))
    },
  },
  'a write that landed twice': {
    rules: ['write-twice'],
    of(round) {
      const write = round.operations.find(({ outcome }) => outcome.kind === 'unknown')
      const token = write && tokenOf(write)
      const sights = answered(round).filter((op) => kvsIn(op).some(({ value }) => value === token))
      if (!sights[0]) return undefined
      const all = reread(round, sights[0].id, (kv) =>
        kv.value === token ? { ...kv, mod: kv.mod + 1, version: kv.version + 1 } : kv,
      )
      return sights.length > 1 ? all : undefined
    },
  },
  'a transaction half seen': {
    rules: ['read-wrong', 'serializable-read-wrong'],
    of(round) {
      const read = answered(round).find(
        (op) => !isWrite(op) && kvsIn(op).length > 1 && kvsIn(op)[0]!.mod === kvsIn(op)[1]!.mod,
      )
      return read && reread(round, read.id, (one, at) => (at === 0 ? undefined : one))
    },
  },
  'two writes of one revision': {
    rules: ['revision-twice'],
    of(round) {
      const [a, b] = answered(round).filter((op) => isWrite(op) && op.client !== 'audit')
      if (!a || !b) return undefined
      return answer(round, (op) => (op.id === b.id ? { revision: a.response.revision } : undefined))
    },
  },
  'a write that goes back in time': {
    rules: ['write-back-in-time'],
    of(round) {
      const all = answered(round).filter(isWrite)
      const late = all.findLast((op) => op.client !== 'audit' && all[0]!.completedUs < op.invokedUs)
      return late && answer(round, (op) => (op.id === late.id ? { revision: 1 } : undefined))
    },
  },
  'a write that was refused and landed': {
    rules: ['refused-write-landed'],
    of(round) {
      const seen = new Set(
        answered(round)
          .flatMap(kvsIn)
          .map(({ value }) => value),
      )
      const write = answered(round).find((op) =>
        op.request.success.some((step) => step.kind === 'put' && seen.has(step.value)),
      )
      const operations = round.operations.map((op): Operation =>
        op.id === write?.id ? { ...op, outcome: { kind: 'failed', why: 'planted' } } : op,
      )
      return write && { ...round, operations }
    },
  },
  'a wrong version': {
    rules: ['read-wrong'],
    of(round) {
      const read = answered(round).find((op) => isPlainRead(op) && kvsIn(op).length > 0)
      return read && reread(round, read.id, (one) => ({ ...one, version: one.version + 1 }))
    },
  },
  'a serializable read of what never was': {
    rules: ['serializable-read-wrong'],
    of(round) {
      const read = answered(round).find((op) => op.request.isSerializable && kvsIn(op).length > 0)
      return read && reread(round, read.id, (one) => ({ ...one, value: 'never' }))
    },
  },
  'a wrong value before a write': {
    rules: ['write-wrong'],
    of(round) {
      const write = answered(round).find(({ response }) =>
        response.results.some((result) => result.kind === 'put' && result.prev),
      )
      return (
        write &&
        answer(round, (op) =>
          op.id === write.id
            ? {
                results: op.response.results.map((result) =>
                  result.kind === 'put' && result.prev
                    ? { ...result, prev: { ...result.prev, value: 'never' } }
                    : result,
                ),
              }
            : undefined,
        )
      )
    },
  },
  'a condition that was judged wrongly': {
    rules: ['condition-wrong'],
    of(round) {
      const write = answered(round).find(
        ({ request, response }) => request.compare.length > 0 && !response.succeeded,
      )
      return write && answer(round, (op) => (op.id === write.id ? { succeeded: true } : undefined))
    },
  },
  'a delete that found more than there was': {
    rules: ['write-wrong'],
    of(round) {
      const found = (result: StepResult): boolean => result.kind === 'deleted' && result.count > 0
      const remove = answered(round).find(({ response }) => response.results.some(found))
      return (
        remove &&
        answer(round, (op) =>
          op.id === remove.id
            ? {
                results: op.response.results.map((result) =>
                  result.kind === 'deleted' ? { ...result, count: result.count + 1 } : result,
                ),
              }
            : undefined,
        )
      )
    },
  },
}

function tokenOf({ request }: Operation): string {
  const step =
    request.kind === 'kv' ? request.success.find(({ kind }) => kind === 'put') : undefined
  return step?.kind === 'put' ? step.value : ''
}
const sameRequest = (a: Ok, b: Ok): boolean =>
  JSON.stringify(a.request) === JSON.stringify(b.request)
const latestBefore = (all: readonly Ok[], { invokedUs }: Ok): number =>
  Math.max(
    0,
    ...all.filter((op) => op.completedUs < invokedUs).map(({ response }) => response.revision),
  )

/** Breaks many generated rounds in one way; each must be found, and there must be some. */
function breaks(
  mutation: Mutation,
  check: (round: Round) => readonly { rule: string }[],
): string[] {
  let broken = 0
  const missed: string[] = []
  for (const drawn of fc.sample(draws(MANY), { numRuns: 80, seed: 5 })) {
    const { round } = manyKeysRound(drawn)
    const other = mutation.of(round)
    if (!other) continue
    broken++
    const found = rules(check(other))
    if (!mutation.rules.some((rule) => found.includes(rule)))
      missed.push(found.join(' ') || 'nothing')
  }
  return broken < 3 ? [`only ${broken} rounds could be broken so`] : missed
}

for (const [title, mutation] of Object.entries(MUTATIONS))
  test(`many keys: ${title} is found`, (t) => {
    t.deepEqual(breaks(mutation, checkByRevision), [])
  })

// ── Broken watches ────────────────────────────────────────────────────────────────────────────────

/** The first watch with other batches. */
function rewatch(
  round: Round,
  change: (batches: WatchBatch[]) => WatchBatch[] | undefined,
): Round | undefined {
  const [first, ...rest] = round.watches
  const batches = change(structuredClone([...first!.batches]))
  return batches && { ...round, watches: [{ ...first!, batches }, ...rest] }
}
const eventsOf = (batch: WatchBatch | undefined) => (batch?.kind === 'events' ? batch.events : [])
const events = (...those: ReturnType<typeof eventsOf>): WatchBatch => ({
  kind: 'events',
  atUs: 1,
  events: those,
})

const WATCH_MUTATIONS: Readonly<Record<string, Mutation>> = {
  'events in another order': {
    rules: ['event-order'],
    of: (round) => rewatch(round, ([a, b, ...rest]) => (a && b ? [b, a, ...rest] : undefined)),
  },
  'a gap': {
    rules: ['event-lost'],
    of: (round) =>
      rewatch(round, ([a, , ...rest]) => (a && rest.length > 0 ? [a, ...rest] : undefined)),
  },
  'a batch that comes twice': {
    rules: ['event-order'],
    of: (round) => rewatch(round, ([a, ...rest]) => (a ? [a, a, ...rest] : undefined)),
  },
  'an event that comes twice': {
    rules: ['event-twice'],
    of: (round) =>
      rewatch(round, ([a, ...rest]) => {
        const [first] = eventsOf(a)
        return first ? [events(first, ...eventsOf(a)), ...rest] : undefined
      }),
  },
  'a revision without one of its events': {
    rules: ['event-torn'],
    of: (round) =>
      rewatch(round, ([a, ...rest]) => {
        const [first, second, ...more] = eventsOf(a)
        return first && first.kv.mod === second?.kv.mod
          ? [events(second, ...more), ...rest]
          : undefined
      }),
  },
  'a revision in two batches': {
    rules: ['event-order'],
    of: (round) =>
      rewatch(round, ([a, ...rest]) => {
        const [first, second, ...more] = eventsOf(a)
        return first && first.kv.mod === second?.kv.mod
          ? [events(first), events(second, ...more), ...rest]
          : undefined
      }),
  },
  'a wrong value before': {
    rules: ['event-prev'],
    of: (round) =>
      rewatch(round, (batches) => {
        const event = batches.flatMap(eventsOf).find(({ prev }) => prev) as
          { prev?: Kv } | undefined
        if (!event?.prev) return undefined
        event.prev = { ...event.prev, value: 'never' }
        return batches
      }),
  },
  'no value before where there was one': {
    rules: ['event-prev-missing'],
    of: (round) =>
      rewatch(round, (batches) => {
        const event = batches.flatMap(eventsOf).find(({ prev }) => prev) as
          { prev?: Kv } | undefined
        if (!event) return undefined
        delete event.prev
        return batches
      }),
  },
  'a wrong value': {
    rules: ['event-wrong'],
    of: (round) =>
      rewatch(round, ([a, ...rest]) => {
        const [first, ...more] = eventsOf(a)
        return first?.type === 'put'
          ? [events({ ...first, kv: { ...first.kv, value: 'never' } }, ...more), ...rest]
          : undefined
      }),
  },
  'a delete that is told as a put': {
    rules: ['event-wrong'],
    of: (round) =>
      rewatch(round, (batches) => {
        const event = batches.flatMap(eventsOf).find(({ type }) => type === 'delete') as
          { type: string } | undefined
        if (!event) return undefined
        event.type = 'put'
        return batches
      }),
  },
  'an event that nobody caused': {
    rules: ['event-phantom'],
    of: (round) =>
      rewatch(round, ([a, ...rest]) => {
        const [first, ...more] = eventsOf(a)
        return first
          ? [events(first, { ...first, kv: { ...first.kv, key: 'm/9' } }, ...more), ...rest]
          : undefined
      }),
  },
  'an event of a key that is not watched': {
    rules: ['event-foreign'],
    of: (round) => {
      const [a, b, part] = round.watches
      return part && { ...round, watches: [a!, b!, { ...part, end: 'm/0' }] }
    },
  },
  'progress that overtakes events': {
    rules: ['event-lost', 'event-order'],
    of: (round) =>
      rewatch(round, (batches) => {
        const last = eventsOf(batches.at(-1)).at(-1)
        return last && [{ kind: 'progress', atUs: 1, revision: last.kv.mod }, ...batches]
      }),
  },
  'a watcher that skips when it goes on': {
    rules: ['watch-skipped'],
    of: (round) => {
      const [first, second, part] = round.watches
      return { ...round, watches: [first!, { ...second!, from: second!.from + 1 }, part!] }
    },
  },
  'history that is said to be gone and is not': {
    rules: ['compacted-untrue'],
    of: (round) =>
      rewatch(round, (batches) => [...batches, { kind: 'compacted', atUs: 1, compactRevision: 1 }]),
  },
  'a watcher that is stuck': {
    rules: ['watch-stuck'],
    of: (round) => ({
      ...round,
      watches: round.watches
        .filter(({ batches }) => batches.length > 0)
        .map((part, at) => (at === 1 ? { ...part, batches: part.batches.slice(0, -1) } : part)),
    }),
  },
}

for (const [title, mutation] of Object.entries(WATCH_MUTATIONS))
  test(`watches: ${title} is found`, (t) => {
    t.deepEqual(breaks(mutation, checkRound), [])
  })

// A coordinator was away while others compacted beyond the end of a round (seed 20261126, etcd).
test('watches: one from whom the end was compacted away is not stuck', (t) => {
  const changes = [3, 4].map((revision) => ({
    key: 'l/a',
    value: 'v',
    create: 3,
    mod: revision,
    version: revision - 2,
  }))
  const truth = {
    changes: changes.map((kv) => ({ revision: kv.mod, changes: [{ key: 'l/a', kv }] })),
    loose: new Set<string>(),
    mayBeCompacted: () => true,
  }
  const watch = (...batches: Round['watches'][number]['batches']) => ({
    watches: [{ watcher: 'a', key: 'l/', end: 'l0', hasPrev: false, from: 3, batches }],
    finalRevision: 4,
  })
  const first = events({ type: 'put', kv: changes[0]! })
  t.deepEqual(rules(checkWatches(watch(first), truth)), ['watch-stuck'])
  const gone = (compactRevision: number) =>
    ({ kind: 'compacted', atUs: 2, compactRevision }) as const
  t.deepEqual(checkWatches(watch(first, gone(9)), truth), [])
  t.deepEqual(rules(checkWatches(watch(first, gone(3)), truth)), [
    'compacted-untrue',
    'watch-stuck',
  ])
})

test('watches must agree about what only they can tell', (t) => {
  const put = { key: 'l/a', value: 'v', create: 2, mod: 2, version: 1, lease: '7' }
  const seen = (watcher: string, mod: number): Round['watches'][number] => ({
    watcher,
    key: 'l/',
    end: 'l0',
    hasPrev: true,
    from: 2,
    batches: [
      events({ type: 'put', kv: put }),
      events({ type: 'delete', kv: { ...put, mod }, prev: put }),
    ],
  })
  const truth = {
    changes: [{ revision: 2, changes: [{ key: 'l/a', kv: put }] }],
    loose: new Set(['l/a']),
    mayBeCompacted: () => false,
  }
  const two = (mod: number) => ({ watches: [seen('a', 5), seen('b', mod)] })
  t.deepEqual(checkWatches(two(5), truth), [])
  t.true(rules(checkWatches(two(6), truth)).includes('event-disputed'))
  t.true(rules(checkWatches(two(5), { ...truth, loose: new Set() })).includes('event-phantom'))
})

test('what was there before an event may be missing only once that was compacted away', (t) => {
  const [drawn] = fc.sample(draws(MANY), { numRuns: 1, seed: 7 })
  const { round } = manyKeysRound(drawn!)
  const bare = (batch: WatchBatch): WatchBatch =>
    batch.kind === 'events'
      ? { ...batch, atUs: 100, events: batch.events.map(({ type, kv }) => ({ type, kv })) }
      : batch
  const watches = round.watches.map((part) => ({ ...part, batches: part.batches.map(bare) }))
  const compacted = (revision: number, invokedUs: number): Round => ({
    ...round,
    watches,
    operations: [
      {
        id: -1,
        client: 'any',
        invokedUs,
        completedUs: Infinity,
        request: { kind: 'compact', revision },
        outcome: { kind: 'unknown', why: 'it was not answered' },
      },
      ...round.operations,
    ],
  })
  const last = round.finalRevision ?? 0
  t.deepEqual(checkRound(compacted(last, 99)), [])
  t.deepEqual(rules(checkRound(compacted(last, 101))), ['event-prev-missing'])
  t.deepEqual(rules(checkRound(compacted(3, 99))), ['event-prev-missing'])
})

// What grows with the square would take hours.
test('two hundred thousand operations can be checked', (t) => {
  const operations = Array.from({ length: 200_000 }, (_, id): Operation => {
    const key = `k/${id % 1_000}`
    const [invokedUs, revision] = [id * 10, Math.floor(id / 2) + 2]
    const mod = Math.floor((id - 1) / 2) + 2
    const isPut = id % 2 === 0
    // Each key is put once in its own place, under a name that is not in order, and read at once.
    const name = `${isPut ? key : `k/${(id - 1) % 1_000}`}/${isPut ? id : id - 1}`
    const value = `v${isPut ? id : id - 1}`
    const found: Kv = { key: name, value, create: mod, mod, version: 1 }
    const step = isPut
      ? ({ kind: 'put', key: name, value } as const)
      : ({ kind: 'get', key: name } as const)
    const result: StepResult = isPut ? { kind: 'put', prev: null } : { kind: 'got', kvs: [found] }
    const response = { kind: 'kv', revision, succeeded: true, results: [result] } as const
    const request = { kind: 'kv', compare: [], success: [step], failure: [] } as const
    return {
      id,
      client: 'c',
      invokedUs,
      completedUs: invokedUs + 15,
      request,
      outcome: { kind: 'ok', response },
    }
  })
  t.deepEqual(checkByRevision({ operations }), [])
})

/**
 * Valid histories for the tests of the checkers: requests are carried out one after the other on a model,
 * each within the time that its operation takes, so that operations overlap as they do in a real run;
 * some are never answered, having landed or not, and some are refused.
 */
import fc from 'fast-check'
import { createStoreModel, type Change } from './store-model.ts'
import type { Kv, KvRequest, Operation, Outcome, Round, Step, WatchBatch } from './types.ts'

/** What chance decides about an operation. */
export type Draw = {
  readonly what: number
  readonly keys: readonly [number, number]
  readonly client: number
  /** How far before its moment it is sent, and after it answered, in moments. */
  readonly before: number
  readonly after: number
  readonly fate: 'answered' | 'landed' | 'lost' | 'refused'
}

const CLIENTS = 8
const MOMENT_US = 1_000

export function draws(count: { readonly min: number; readonly max: number }): fc.Arbitrary<Draw[]> {
  const fate = fc.oneof(
    { weight: 40, arbitrary: fc.constant('answered' as const) },
    { weight: 2, arbitrary: fc.constant('landed' as const) },
    { weight: 2, arbitrary: fc.constant('lost' as const) },
    { weight: 1, arbitrary: fc.constant('refused' as const) },
  )
  const draw = fc.record({
    what: fc.nat(99),
    keys: fc.tuple(fc.nat(5), fc.nat(5)),
    client: fc.nat(CLIENTS - 1),
    before: fc.nat(5_000),
    after: fc.nat(9_000),
    fate,
  })
  return fc.array(draw, { minLength: count.min, maxLength: count.max })
}

type Timing = { readonly client: string; readonly invokedUs: number; readonly completedUs: number }

/** Times around moments that are in order: a client sends only when it has its last answer. */
function createTiming(): (at: number, draw: Draw) => Timing {
  const freeAt = Array.from({ length: CLIENTS }, () => 0)
  return (at, draw) => {
    const moment = (at + 10) * MOMENT_US
    const free = freeAt.map((until, client) => ({ until, client }))
    const idle = free.filter(({ until }) => until < moment)
    // With everybody busy the one who is free first is answered sooner than was drawn.
    const chosen = idle[draw.client % idle.length] ?? free.toSorted((a, b) => a.until - b.until)[0]!
    const soonest = idle.length > 0 ? chosen.until + 1 : moment - 1
    const invokedUs = Math.max(soonest, moment - draw.before)
    const after = idle.length > 1 ? draw.after : 400
    const completedUs = moment + 1 + (draw.before % 7) + after
    freeAt[chosen.client] = completedUs
    return { client: `c${chosen.client}`, invokedUs, completedUs }
  }
}

const isIn = (what: number, from: number, to: number): boolean => what >= from && what < to

/** A request to one of two registers; `seen` is what is there, for exchanges that can succeed. */
function registerRequest({ what, keys }: Draw, id: number, seen: Kv | undefined): KvRequest {
  const key = `r${keys[0] % 2}`
  const get: Step = { kind: 'get', key }
  const put = { kind: 'put', key, value: `v${id}` } as const
  const plain = (step: Step): KvRequest => ({
    kind: 'kv',
    compare: [],
    success: [step],
    failure: [],
  })
  if (isIn(what, 0, 35)) return plain(get)
  if (isIn(what, 35, 55)) return plain({ ...put, isBlind: true })
  if (isIn(what, 55, 60)) return plain(put)
  if (isIn(what, 60, 68)) return plain({ kind: 'delete', key, isBlind: true })
  if (isIn(what, 68, 72)) return plain({ kind: 'delete', key })
  const compare =
    seen && what < 95
      ? ({ key, target: 'value', is: '=', than: what < 90 ? seen.value : 'v0' } as const)
      : ({ key, target: 'create', is: '=', than: 0 } as const)
  return { kind: 'kv', compare: [compare], success: [{ ...put, isBlind: true }], failure: [get] }
}

function manyKeysRequest(
  { what, keys, before }: Draw,
  id: number,
  seen: Kv | undefined,
): KvRequest {
  const [key, other] = keys.map((at) => `m/${at}`) as [string, string]
  const value = `v${id}`
  const kv = { kind: 'kv', compare: [], failure: [] } as const
  const witness: Step = { kind: 'put', key: `w/${value}`, value }
  const puts: Step[] = [...new Set([key, other])].map((one) => ({ kind: 'put', key: one, value }))
  const gets: Step[] = [...new Set([key, other])].map((one) => ({ kind: 'get', key: one }))
  const all: Step = { kind: 'get', key: 'm/', end: 'm0' }
  if (isIn(what, 0, 15)) return { ...kv, success: gets }
  if (isIn(what, 15, 25)) return { ...kv, success: [all] }
  if (isIn(what, 25, 32)) return { ...kv, success: [all], isSerializable: true }
  if (isIn(what, 32, 45)) return { ...kv, success: [{ kind: 'put', key: `p/${value}`, value }] }
  if (isIn(what, 45, 50)) return { ...kv, success: [{ kind: 'delete', key: `p/v${before % id}` }] }
  if (isIn(what, 50, 60))
    return { ...kv, success: [{ kind: 'delete', key: 'm/1', end: 'm/4' }, witness] }
  if (isIn(what, 60, 70)) return { ...kv, success: [{ kind: 'delete', key }, witness] }
  if (isIn(what, 70, 85)) return { ...kv, success: [...puts, witness] }
  const compare = [{ key, target: 'mod', is: '=', than: what < 95 ? (seen?.mod ?? 0) : 1 } as const]
  return { ...kv, compare, success: [...puts, witness], failure: gets }
}

export type Generated = {
  readonly round: Round
  readonly changes: readonly { readonly revision: number; readonly changes: readonly Change[] }[]
}

type Maker = (draw: Draw, id: number, seen: Kv | undefined) => KvRequest

function generate(
  kind: 'registers' | 'keys',
  drawn: readonly Draw[],
  make: Maker,
  seenKey: (draw: Draw) => string,
  last: readonly KvRequest[],
): Generated {
  const model = createStoreModel()
  const timing = createTiming()
  const changes: { revision: number; changes: readonly Change[] }[] = []
  let revision = 1
  const land = (request: KvRequest): Outcome => {
    const answer = model.apply(request, revision + 1)
    if (answer.changes.length > 0) changes.push({ revision: ++revision, changes: answer.changes })
    const steps = answer.succeeded ? request.success : request.failure
    const results = answer.results.map((result, at) => {
      const step = steps[at]!
      const isBlind = step.kind !== 'get' && step.isBlind
      if (!isBlind) return result
      return result.kind === 'deleted'
        ? { kind: result.kind, count: result.count }
        : { kind: 'put' as const }
    })
    return { kind: 'ok', response: { kind: 'kv', revision, succeeded: answer.succeeded, results } }
  }
  const operations = drawn.map((draw, id): Operation => {
    const request = make(draw, id + 1, model.get(seenKey(draw)))
    const times = timing(id, draw)
    const landed = draw.fate === 'answered' || draw.fate === 'landed' ? land(request) : undefined
    if (landed && draw.fate === 'answered') return { id, ...times, request, outcome: landed }
    const kindOf = draw.fate === 'refused' ? 'failed' : 'unknown'
    // It may be given up before it lands.
    const completedUs = kindOf === 'unknown' ? times.invokedUs + 1 : times.completedUs
    return { id, ...times, completedUs, request, outcome: { kind: kindOf, why: 'drawn' } }
  })
  const end = (drawn.length + 40) * MOMENT_US
  const audit = last.map((request, at): Operation => {
    const id = drawn.length + at
    const invokedUs = end + at * 10
    return {
      id,
      client: 'audit',
      invokedUs,
      completedUs: invokedUs + 5,
      request,
      outcome: land(request),
    }
  })
  const all = [...operations, ...audit].toSorted((a, b) => a.invokedUs - b.invokedUs)
  const rest = { watches: [], holds: [], calm: [], finalRevision: revision }
  return { round: { kind, number: 1, operations: all, ...rest }, changes }
}

const read = (key: string, end?: string): KvRequest => ({
  kind: 'kv',
  compare: [],
  success: [{ kind: 'get', key, ...(end !== undefined && { end }) }],
  failure: [],
})

export function registerRound(drawn: readonly Draw[]): Generated {
  const last = [read('r0'), read('r1')]
  return generate('registers', drawn, registerRequest, ({ keys }) => `r${keys[0] % 2}`, last)
}

/** With watchers of everything and of a part, one resumed half-way. */
export function manyKeysRound(drawn: readonly Draw[]): Generated {
  const put: Step = { kind: 'put', key: 'm/1', value: 'last' }
  const bookmark: KvRequest = { kind: 'kv', compare: [], success: [put], failure: [] }
  const last = [bookmark, read('', '~')]
  const made = generate('keys', drawn, manyKeysRequest, ({ keys }) => `m/${keys[0]}`, last)
  return { ...made, round: { ...made.round, watches: watchesOf(made) } }
}

function watchesOf({ changes, round }: Generated): Round['watches'] {
  const half = changes[Math.floor(changes.length / 2)]?.revision ?? 1
  const end = round.finalRevision ?? 0
  const part = (watcher: string, range: { key: string; end: string }, from: number, to: number) => {
    const batches = batchesOf(changes, range, from, to)
    return { watcher, ...range, hasPrev: true, from, batches }
  }
  const all = { key: '', end: '~' }
  const some = { key: 'm/', end: 'm/3' }
  const first = part('all', all, 2, half)
  // It goes on behind what it has seen.
  const seen = Math.max(1, ...changes.map(({ revision }) => revision).filter((one) => one <= half))
  return [first, part('all', all, seen + 1, end), part('some', some, 2, end)]
}

/** Two revisions in a batch, as servers like to do when a watcher is behind. */
function batchesOf(
  changes: Generated['changes'],
  range: { readonly key: string; readonly end: string },
  from: number,
  to: number,
): WatchBatch[] {
  const shown = changes
    .filter(({ revision }) => revision >= from && revision <= to)
    .map(({ revision, changes: those }) =>
      those
        .filter(({ key }) => key >= range.key && key < range.end)
        .map(({ key, kv, prev }) => ({
          type: kv ? ('put' as const) : ('delete' as const),
          kv: kv ?? { key, value: '', create: 0, mod: revision, version: 0 },
          ...(prev && { prev }),
        })),
    )
    .filter((events) => events.length > 0)
  return shown.flatMap((events, at): WatchBatch[] =>
    at % 2 === 0
      ? [{ kind: 'events', atUs: at, events: [...events, ...(shown[at + 1] ?? [])] }]
      : [],
  )
}

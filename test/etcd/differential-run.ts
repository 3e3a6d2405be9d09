/**
 * Runs a script on one server and gives what should be the same on any server: all fields of all
 * answers, with revisions counted from the start of the script. Left out are the ids of cluster and
 * member, the term, how answers of a watch are cut, and what depends on the clock.
 */
import { systemClock } from '../../lib/system/clock.ts'
import {
  kvService,
  leaseService,
  type Compare,
  type RequestOp,
  type WatchResponse,
} from '../../proto/gen/rpc.ts'
import type { Init } from '../../proto/wire.ts'
import type { Answer, Side, WatchLog } from './differential-client.ts'
import { OLD, type Script, type Step, type TxnStep } from './differential-script.ts'

/** What a step gave, as text that can be compared and read. */
export type Observation = string

/** etcd brings a watch of old revisions up to date in a loop that runs every 100 ms. */
const CATCH_UP_MS = 250
const SENTINEL = Buffer.from('~sentinel')
const SENTINEL_WATCH = 4_242
const ALL = { key: Buffer.of(0), rangeEnd: Buffer.of(0) }

type Run = {
  readonly side: Side
  readonly base: number
  log: WatchLog
  hasWatch: boolean
  needsCatchUp: boolean
  /** The latest start of a watch. */
  startsMax: number
}

/** One observation for each step, then one for each watch. */
export async function runScript(side: Side, script: Script): Promise<readonly Observation[]> {
  const run = await prepare(side)
  try {
    const seen: Observation[] = []
    for (const step of script) seen.push(await observe(run, step))
    await settle(run)
    return [...seen, ...watchObservations(run)]
  } finally {
    run.log.close()
  }
}

/** Empties the store, compacts its history, and opens a watch stream. */
async function prepare(side: Side): Promise<Run> {
  await must(side.call(kvService.put, { key: SENTINEL }))
  await must(side.call(kvService.put, { key: SENTINEL }))
  const { leases } = await must(side.call(leaseService.leaseLeases, {}))
  for (const { id } of leases) await must(side.call(leaseService.leaseRevoke, { id }))
  const { header } = await must(side.call(kvService.deleteRange, ALL))
  const base = header?.revision ?? 0
  await must(side.call(kvService.compact, { revision: base, physical: true }))
  const run: Run = {
    side,
    base,
    log: side.watches(),
    hasWatch: false,
    needsCatchUp: false,
    startsMax: 0,
  }
  await watchSentinel(run)
  return run
}

async function watchSentinel({ log }: Run): Promise<void> {
  log.send({ createRequest: { key: SENTINEL, watchId: SENTINEL_WATCH } })
  if (!(await log.next(0, ({ created }) => created)))
    throw new Error(`no watch could be opened: ${log.ended() ?? 'no answer'}`)
}

async function must<A>(call: Promise<Answer<A>>): Promise<A> {
  const outcome = await call
  if (!outcome.ok) throw new Error(`the server is not usable: ${outcome.message}`)
  return outcome.answer
}

async function observe(run: Run, step: Step): Promise<Observation> {
  const { side } = run
  switch (step.kind) {
    case 'put':
      return show(run, await side.call(kvService.put, step.request))
    case 'range':
      return show(run, await side.call(kvService.range, shiftRange(run, step.request)))
    case 'delete':
      return show(run, await side.call(kvService.deleteRange, step.request))
    case 'txn':
      return show(run, await side.call(kvService.txn, shiftTxn(run, step.request)))
    case 'compact':
      return compact(run, step)
    case 'grant':
      return grant(run, step)
    case 'revoke':
      return show(run, await side.call(leaseService.leaseRevoke, { id: step.id }))
    case 'keep-alive':
      return show(run, await side.keepAlive(step.id))
    case 'time-to-live':
      return timeToLive(run, step)
    case 'leases':
      return leases(run)
    case 'watch':
      return watch(run, step)
    case 'cancel':
      return cancel(run, step.watchId)
    case 'progress':
      return progress(run)
  }
}

/** Whatever a watch still has to send could not be sent any more after a compaction. */
async function compact(run: Run, step: Step & { kind: 'compact' }): Promise<Observation> {
  await settle(run)
  const revision = shift(run, step.revision)
  return show(run, await run.side.call(kvService.compact, { revision, physical: step.physical }))
}

async function grant(run: Run, step: Step & { kind: 'grant' }): Promise<Observation> {
  const { id, ttl } = step
  const outcome = await run.side.call(leaseService.leaseGrant, { id, ttl })
  if (step.revoke && outcome.ok)
    await must(run.side.call(leaseService.leaseRevoke, { id: outcome.answer.id }))
  if (!outcome.ok || id !== 0n) return show(run, outcome)
  const chosen = outcome.answer.id > 0n ? 'positive' : 'not positive'
  return `${chosen} ${show(run, { ok: true, answer: { ...outcome.answer, id: 0n } })}`
}

async function timeToLive(run: Run, step: Step & { kind: 'time-to-live' }): Promise<Observation> {
  const { id, keys } = step
  const outcome = await run.side.call(leaseService.leaseTimeToLive, { id, keys })
  if (!outcome.ok) return show(run, outcome)
  const { ttl, grantedTtl } = outcome.answer
  const isFresh = ttl > grantedTtl - 60 && ttl <= grantedTtl
  const sorted = outcome.answer.keys.toSorted((a, b) => Buffer.compare(a, b))
  const answer = { ...outcome.answer, keys: sorted, ttl: isFresh ? 'fresh' : ttl }
  return show(run, { ok: true, answer })
}

/** Their order depends on when they expire; an id that the server chose counts, but is not shown. */
async function leases(run: Run): Promise<Observation> {
  const outcome = await run.side.call(leaseService.leaseLeases, {})
  if (!outcome.ok) return show(run, outcome)
  const ids = outcome.answer.leases.map(({ id }) => id)
  const isOurs = (id: bigint): boolean => id < 10_000n || id === 0x7fff_ffff_ffff_ffffn
  const ours = ids.filter(isOurs).toSorted((a, b) => (a < b ? -1 : 1))
  return `${ids.length} leases, of them ${ours.join(' ')}`
}

async function watch(run: Run, step: Step & { kind: 'watch' }): Promise<Observation> {
  // etcd 3.4 keeps the id of a watch that ended by compaction.
  const { watchId } = step.request
  if (watchId) await settle(run)
  if (watchId && endedByCompaction(run.log, watchId)) return 'not asked: the id was used'
  const from = run.log.answers.length
  const startRevision = shift(run, step.request.startRevision ?? 0)
  run.log.send({ createRequest: { ...step.request, startRevision } })
  const answer = await run.log.next(from, ({ created }) => created)
  if (!answer) return endedOr(run, 'no answer')
  run.hasWatch = true
  if (startRevision !== 0) run.needsCatchUp = true
  run.startsMax = Math.max(run.startsMax, startRevision)
  return show(run, { ok: true, answer: { ...answer, events: [] } })
}

async function cancel(run: Run, watchId: number): Promise<Observation> {
  const isOpen = isWatchOpen(run.log, watchId)
  await settle(run)
  // etcd 3.4 answers for a watch that ended by compaction as if it stood.
  if (endedByCompaction(run.log, watchId)) return 'not asked: the watch has ended'
  const from = run.log.answers.length
  run.log.send({ cancelRequest: { watchId } })
  if (!isOpen || !isWatchOpen(run.log, watchId)) return 'nothing to cancel'
  const fits = (answer: WatchResponse): boolean => answer.canceled && answer.watchId === watchId
  return (await run.log.next(from, fits)) ? 'canceled' : endedOr(run, 'no answer')
}

async function progress(run: Run): Promise<Observation> {
  const revision = await settle(run)
  // etcd 3.4 tells of progress that a watch from the future has not made yet.
  if (run.startsMax > revision) return 'not asked: a watch begins in the future'
  const from = run.log.answers.length
  run.log.send({ progressRequest: {} })
  const answer = await run.log.next(from, ({ watchId }) => watchId === -1)
  return answer ? show(run, { ok: true, answer }) : endedOr(run, 'no answer')
}

function endedOr({ log }: Run, otherwise: string): string {
  const why = log.ended()
  return why === undefined ? otherwise : `the stream ended: ${why}`
}

function isWatchOpen({ answers }: WatchLog, id: number): boolean {
  const of = answers.filter(({ watchId }) => watchId === id)
  return of.some(({ created }) => created) && !of.some(({ canceled }) => canceled)
}

function endedByCompaction({ answers }: WatchLog, id: number): boolean {
  return answers.some(({ watchId, compactRevision }) => watchId === id && compactRevision > 0)
}

/** Returns when everything that the watches have to say up to the revision it gives has come. */
async function settle(run: Run): Promise<number> {
  if (!run.hasWatch) return 0
  if (run.needsCatchUp) await systemClock.sleep(CATCH_UP_MS)
  run.needsCatchUp = false
  const { header } = await must(run.side.call(kvService.put, { key: SENTINEL }))
  const revision = header?.revision ?? 0
  const fits = ({ watchId, events }: WatchResponse): boolean =>
    watchId === SENTINEL_WATCH && events.some(({ kv }) => (kv?.modRevision ?? 0) >= revision)
  if (!(await run.log.next(0, fits)))
    throw new Error(`a watch did not see a put: ${endedOr(run, 'no answer')}`)
  return revision
}

/** For each watch everything it said, however it was cut into answers. */
function watchObservations(run: Run): Observation[] {
  const ids = new Set(run.log.answers.map(({ watchId }) => watchId))
  const watches = [...ids].filter((id) => id !== SENTINEL_WATCH && id !== -1)
  const said = watches
    .toSorted((a, b) => a - b)
    .map((id) => {
      const answers = run.log.answers.filter(({ watchId }) => watchId === id)
      // Which watch hears of the sentinel first is left to the server, and so is the last one of all.
      const events = answers
        .flatMap((answer) => answer.events)
        .filter(({ kv }) => !kv || Buffer.compare(kv.key, SENTINEL) !== 0)
      const ends = answers
        .filter(({ canceled }) => canceled)
        .map(({ compactRevision, cancelReason }) => ({ compactRevision, cancelReason }))
      return `watch ${id}: ${show(run, { ok: true, answer: { events, ends } })}${splits(answers)}`
    })
  return [...said, endedOr(run, 'the stream stands')]
}

/** A revision must not be spread over answers that are no fragments. */
function splits(answers: readonly WatchResponse[]): string {
  const wrong = answers.filter((answer, at) => {
    const next = answers[at + 1]?.events[0]?.kv?.modRevision
    const last = answer.events.at(-1)?.kv?.modRevision
    return last !== undefined && next === last && !answer.fragment
  })
  return wrong.length > 0 ? ' with a revision split over answers' : ''
}

function shift({ base }: Run, revision: number): number {
  if (revision === OLD) return base - 1
  return revision > 0 ? base + revision : revision
}

type Range = NonNullable<Init<RequestOp>['requestRange']>

function shiftRange(run: Run, request: Range): Range {
  return {
    ...request,
    revision: shift(run, request.revision ?? 0),
    minModRevision: shift(run, request.minModRevision ?? 0),
    maxModRevision: shift(run, request.maxModRevision ?? 0),
    minCreateRevision: shift(run, request.minCreateRevision ?? 0),
    maxCreateRevision: shift(run, request.maxCreateRevision ?? 0),
  }
}

function shiftTxn(run: Run, request: Init<TxnStep>): Init<TxnStep> {
  const op = (one: Init<RequestOp>): Init<RequestOp> => ({
    ...one,
    ...(one.requestRange ? { requestRange: shiftRange(run, one.requestRange) } : {}),
    ...(one.requestTxn ? { requestTxn: shiftTxn(run, one.requestTxn) } : {}),
  })
  return {
    compare: (request.compare ?? []).map((one) => shiftCompare(run, one)),
    success: (request.success ?? []).map(op),
    failure: (request.failure ?? []).map(op),
  }
}

function shiftCompare(run: Run, compare: Init<Compare>): Init<Compare> {
  const { createRevision, modRevision } = compare
  return {
    ...compare,
    ...(createRevision === undefined ? {} : { createRevision: shift(run, createRevision) }),
    ...(modRevision === undefined ? {} : { modRevision: shift(run, modRevision) }),
  }
}

const REVISIONS: ReadonlySet<string> = new Set([
  'revision',
  'createRevision',
  'modRevision',
  'compactRevision',
])
const LEFT_OUT: ReadonlySet<string> = new Set(['clusterId', 'memberId', 'raftTerm', 'fragment'])

/** The answer as text, the same for equal answers. */
function show({ base }: Run, outcome: Answer<unknown>): Observation {
  if (!outcome.ok) return `error ${outcome.status} ${outcome.message}`
  return JSON.stringify(outcome.answer, (name, value: unknown) => {
    if (LEFT_OUT.has(name)) return undefined
    if (typeof value === 'bigint') return `${value}n`
    if (REVISIONS.has(name) && typeof value === 'number' && value > 0)
      return `start+${value - base}`
    return asText(value)
  })
}

/** Bytes as text; they come here as they are, or as Node writes a Buffer to JSON. */
export function asText(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (typeof value !== 'object' || value === null || !('type' in value)) return value
  return value.type === 'Buffer' && 'data' in value && Array.isArray(value.data)
    ? Buffer.from(value.data as number[]).toString('latin1')
    : value
}

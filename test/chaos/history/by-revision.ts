/**
 * Strict serializability by the revisions that answers carry. Writes in the order of their revisions are
 * given to a model, and every read must be what the model has at its revision; revisions must also
 * follow real time. Asks of the workload: a value belongs to one operation; a write whose outcome can be
 * unknown puts a key that nobody else touches, or only deletes single keys that nobody writes again;
 * the last operation reads everything, so that what has landed is known.
 */
import { createStoreModel, type Answer, type Change, type StoreModel } from './store-model.ts'
import type { Finding, Kv, KvRequest, KvResponse, Operation, Round, StepResult } from './types.ts'

/** What changed at a revision, in the order in which it was done. */
export type RevisionChanges = { readonly revision: number; readonly changes: readonly Change[] }

export type Replay = {
  readonly findings: readonly Finding[]
  readonly changes: readonly RevisionChanges[]
  /** Keys that a delete without an answer may have taken away at a revision that is not known. */
  readonly loose: ReadonlySet<string>
}

/** An operation and the revision at which it stands. */
type Placed = {
  readonly op: Operation
  readonly request: KvRequest
  /** Undefined for a write that was not answered but seen. */
  readonly response: KvResponse | undefined
  readonly revision: number
  readonly isWrite: boolean
}

export function checkByRevision(round: Pick<Round, 'operations'>): readonly Finding[] {
  return replay(round).findings
}

/**
 * The checks, and the history that they make out. What is not to be replayed, because it shows keys that
 * go with a lease, still tells which writes have landed.
 */
export function replay(
  { operations }: Pick<Round, 'operations'>,
  isReplayed: (op: Operation) => boolean = () => true,
): Replay {
  const findings: Finding[] = []
  const answered = operations.flatMap(placeAnswered)
  const unanswered = placeUnanswered(operations, answered, findings)
  const placed = [...answered.filter(({ op }) => isReplayed(op)), ...unanswered]
  const all = [...answered, ...unanswered]
  findings.push(...checkUnique(all), ...checkRealTime(operations, all))
  const floating = floatingDeletes(operations)
  const changes = replayAll(placed, floating, findings)
  return { findings, changes, loose: new Set(floating.keys()) }
}

function placeAnswered(op: Operation): readonly Placed[] {
  const { request, outcome } = op
  if (request.kind !== 'kv' || outcome.kind !== 'ok' || outcome.response.kind !== 'kv') return []
  const { response } = outcome
  const isWrite = response.results.some(
    (result) => result.kind === 'put' || (result.kind === 'deleted' && result.count > 0),
  )
  return [{ op, request, response, isWrite, revision: request.atRevision ?? response.revision }]
}

/** Writes without an answer that somebody has seen stand at the revision of what was seen. */
function placeUnanswered(
  operations: readonly Operation[],
  answered: readonly Placed[],
  findings: Finding[],
): readonly Placed[] {
  const owners = new Map<string, Operation>()
  for (const op of operations)
    if (op.outcome.kind !== 'ok') for (const value of valuesOf(op)) owners.set(value, op)
  const found = new Map<Operation, { readonly revision: number; readonly by: Operation }>()
  for (const { op: by, response } of answered)
    for (const kv of response?.results.flatMap(kvsOf) ?? []) {
      const op = owners.get(kv.value)
      if (!op) continue
      const before = found.get(op)
      if (!before) found.set(op, { revision: kv.mod, by })
      else if (before.revision !== kv.mod)
        findings.push({
          rule: 'write-twice',
          text: `${kv.value} was written at ${before.revision} and again at ${kv.mod}`,
          operations: [op.id, before.by.id, by.id],
        })
    }
  for (const [op, { by }] of found)
    if (op.outcome.kind === 'failed')
      findings.push({
        rule: 'refused-write-landed',
        text: `a write was refused (${op.outcome.why}), yet its value was read`,
        operations: [op.id, by.id],
      })
  return [...found].flatMap(([op, { revision }]) =>
    op.request.kind === 'kv'
      ? [{ op, request: op.request, response: undefined, revision, isWrite: true }]
      : [],
  )
}

function valuesOf({ request }: Operation): readonly string[] {
  if (request.kind !== 'kv') return []
  return [...request.success, ...request.failure].flatMap((step) =>
    step.kind === 'put' ? [step.value] : [],
  )
}

function kvsOf(result: StepResult): readonly Kv[] {
  switch (result.kind) {
    case 'got':
      return result.kvs
    case 'put':
      return result.prev ? [result.prev] : []
    case 'deleted':
      return result.prevs ?? []
  }
}

function checkUnique(placed: readonly Placed[]): Finding[] {
  const writers = new Map<number, Placed>()
  return placed.flatMap((one) => {
    if (!one.isWrite) return []
    const other = writers.get(one.revision)
    writers.set(one.revision, one)
    if (!other) return []
    const text = `two writes have revision ${one.revision}`
    return [{ rule: 'revision-twice', text, operations: [other.op.id, one.op.id] }]
  })
}

/**
 * Whoever begins after another one's end has a revision that is not lower, and a higher one if it
 * writes. A serializable read may lag, but what it has seen exists from then on.
 */
function checkRealTime(operations: readonly Operation[], placed: readonly Placed[]): Finding[] {
  const byOp = new Map(placed.map((one) => [one.op, one]))
  const begun = operations.filter((op) => byOp.has(op))
  const starts = begun.toSorted((a, b) => a.invokedUs - b.invokedUs)
  const ends = begun
    .filter(({ outcome }) => outcome.kind === 'ok')
    .toSorted((a, b) => a.completedUs - b.completedUs)
  const findings: Finding[] = []
  let most: { readonly revision: number; readonly op?: Operation } = { revision: 0 }
  let at = 0
  for (const op of starts) {
    for (; at < ends.length && ends[at]!.completedUs < op.invokedUs; at++) {
      const revision = headerOf(byOp.get(ends[at]!)!)
      if (revision > most.revision) most = { revision, op: ends[at]! }
    }
    const { request, isWrite } = byOp.get(op)!
    const revision = headerOf(byOp.get(op)!)
    const isBack = isWrite ? revision <= most.revision : revision < most.revision
    if (!isBack || request.isSerializable || !most.op) continue
    const rule = isWrite ? 'write-back-in-time' : 'read-stale'
    const text = `revision ${revision} comes after ${most.revision} was answered`
    findings.push({ rule, text, operations: [most.op.id, op.id] })
  }
  return findings
}

const headerOf = ({ response, revision }: Placed): number => response?.revision ?? revision

/** Deletes without an answer, by the key that they may have taken away. */
function floatingDeletes(operations: readonly Operation[]): Map<string, Operation> {
  const floating = new Map<string, Operation>()
  for (const op of operations) {
    if (op.request.kind !== 'kv' || op.outcome.kind !== 'unknown') continue
    const [step, ...more] = op.request.success
    const isOne = step?.kind === 'delete' && more.length === 0 && step.end === undefined
    if (isOne && !floating.has(step.key)) floating.set(step.key, op)
  }
  return floating
}

function replayAll(
  placed: readonly Placed[],
  floating: ReadonlyMap<string, Operation>,
  findings: Finding[],
): readonly RevisionChanges[] {
  const model = createStoreModel()
  const changes: RevisionChanges[] = []
  const order = (a: Placed, b: Placed): number =>
    a.revision - b.revision || Number(b.isWrite) - Number(a.isWrite)
  for (const one of placed.toSorted(order)) {
    const { op, request, response, revision } = one
    if (response) settleDeletes(model, one, floating)
    const answer = model.apply(request, revision)
    if (answer.changes.length > 0) changes.push({ revision, changes: answer.changes })
    const text = response ? differenceOf(answer, response) : unseenDifference(answer)
    if (text !== undefined)
      findings.push({
        rule: ruleOf(one, answer),
        text: `at ${revision}: ${text}`,
        operations: [op.id],
      })
  }
  return changes
}

function ruleOf({ isWrite, response, request }: Placed, answer: Answer): string {
  if (response && response.succeeded !== answer.succeeded) return 'condition-wrong'
  if (isWrite) return 'write-wrong'
  return request.isSerializable ? 'serializable-read-wrong' : 'read-wrong'
}

/** A delete without an answer has happened at the latest before the first answer that lacks its key. */
function settleDeletes(
  model: StoreModel,
  { op, request, response }: Placed,
  floating: ReadonlyMap<string, Operation>,
): void {
  if (floating.size === 0 || !response) return
  const steps = response.succeeded ? request.success : request.failure
  for (const [at, step] of steps.entries()) {
    const result = response.results[at]
    const isBlind = result?.kind === 'deleted' && result.count > 0 && !result.prevs
    if (!result || isBlind || step.kind === 'put') continue
    const present = new Set(kvsOf(result).map(({ key }) => key))
    for (const { key } of model.range(step.key, step.end)) {
      const by = floating.get(key)
      if (by && !present.has(key) && by.invokedUs < op.completedUs) model.remove(key)
    }
  }
}

function unseenDifference({ succeeded }: Answer): string | undefined {
  return succeeded ? undefined : 'a write landed although its condition does not hold'
}

/** The first thing in an answer that is not as the model has it. */
function differenceOf(expected: Answer, got: KvResponse): string | undefined {
  if (expected.succeeded !== got.succeeded)
    return `the condition ${expected.succeeded ? 'holds' : 'does not hold'}, but was judged otherwise`
  if (expected.results.length !== got.results.length)
    return `${got.results.length} results instead of ${expected.results.length}`
  for (const [at, result] of expected.results.entries()) {
    const text = resultDifference(result, got.results[at]!)
    if (text !== undefined) return `step ${at + 1}: ${text}`
  }
  return undefined
}

function resultDifference(expected: StepResult, got: StepResult): string | undefined {
  if (expected.kind === 'got' && got.kind === 'got') return kvsDifference(expected.kvs, got.kvs)
  if (expected.kind === 'put' && got.kind === 'put') {
    if (got.prev === undefined) return undefined
    return kvDifference(expected.prev ?? undefined, got.prev ?? undefined)
  }
  if (expected.kind === 'deleted' && got.kind === 'deleted') {
    if (expected.count !== got.count) return `${got.count} deleted instead of ${expected.count}`
    return got.prevs && kvsDifference(expected.prevs ?? [], got.prevs)
  }
  return `an answer to ${got.kind} instead of ${expected.kind}`
}

function kvsDifference(expected: readonly Kv[], got: readonly Kv[]): string | undefined {
  for (let at = 0; at < Math.max(expected.length, got.length); at++) {
    const text = kvDifference(expected[at], got[at])
    if (text !== undefined) return text
  }
  return undefined
}

/** How a key differs from what it should be; undefined when it does not. */
export function kvDifference(expected: Kv | undefined, got: Kv | undefined): string | undefined {
  const isSame =
    expected?.key === got?.key &&
    expected?.value === got?.value &&
    expected?.create === got?.create &&
    expected?.mod === got?.mod &&
    expected?.version === got?.version &&
    expected?.lease === got?.lease
  return isSame ? undefined : `${textOf(got)} instead of ${textOf(expected)}`
}

function textOf(kv: Kv | undefined): string {
  if (!kv) return 'nothing'
  return `${kv.key}=${kv.value} (created ${kv.create}, written ${kv.mod}, version ${kv.version})`
}

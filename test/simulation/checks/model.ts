/**
 * The reference store: the same commands, applied one by one in the order of the committed log, by
 * code that shares nothing with the store it judges. It keeps everything: compaction only moves a mark.
 */
import type {
  Compare,
  DeleteRangeRequest,
  KvCommand,
  KvErrorCode,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../../coord/kv/types.ts'
import { deleteText, putText, rangeText, txnText } from './answer-text.ts'
import { isInRange, kvText, text } from './model-types.ts'
import type { ModelEvent, ModelKv, ModelOutcome, ModelRecord } from './model-types.ts'

export type ModelLease = { readonly ttl: number; readonly grantIndex: number }
/** A lease that went away, and how. */
export type RemovedLease = ModelLease & { readonly index: number; readonly isExpiry: boolean }

export type Model = {
  apply(index: number, command: KvCommand): ModelRecord
  /** Forgets everything. */
  reset(): void
  /** The revision is so far ahead, and all before is compacted. */
  leap(by: number): void
  revision(): number
  compactRevision(): number
  /** Events of one revision, in the order of their keys' changes. */
  eventsAt(revision: number): readonly ModelEvent[]
  at(key: string, revision: number): ModelKv | undefined
  range(request: RangeRequest, revision: number): string
  /** What a transaction would answer at a revision, if it writes nothing. */
  txnAt(request: TxnRequest, revision: number): string
  readonly leases: ReadonlyMap<bigint, ModelLease>
  removedLease(id: bigint): readonly RemovedLease[]
}

class Refused extends Error {
  readonly code: KvErrorCode
  constructor(code: KvErrorCode) {
    super(code)
    this.code = code
  }
}

/** A state that one command sees and changes; dropped when the command is refused. */
type Draft = { readonly revision: number; readonly changes: ModelEvent[] }

export function createModel(firstRevision = 1): Model {
  const versions = new Map<string, ModelEvent[]>()
  const events = new Map<number, readonly ModelEvent[]>()
  const leases = new Map<bigint, ModelLease>()
  const removed = new Map<bigint, RemovedLease[]>()
  let [revision, compactRevision] = [firstRevision, 0]

  function at(key: string, when: number): ModelKv | undefined {
    return versions.get(key)?.findLast((event) => event.revision <= when)?.now
  }
  function current(draft: Draft, key: string): ModelKv | undefined {
    const change = draft.changes.findLast((event) => event.key === key)
    return change ? change.now : at(key, draft.revision)
  }
  function keysIn(draft: Draft, from: string, end: string): string[] {
    const known = new Set([...versions.keys(), ...draft.changes.map(({ key }) => key)])
    return [...known]
      .filter((key) => isInRange(key, from, end) && current(draft, key))
      .toSorted((a, b) => (a < b ? -1 : 1))
  }
  const view = (when: number): Draft => ({ revision: when, changes: [] })

  function range(request: RangeRequest, draft: Draft): string {
    const when = request.revision > 0 ? view(request.revision) : draft
    const found = keysIn(when, text(request.key), text(request.rangeEnd)).map((key) =>
      current(when, key)!,
    )
    if (request.countOnly) return rangeText([], found.length, false)
    const kept = sorted(
      request,
      found.filter((kv) => passes(request, kv)),
    )
    const cut = request.limit > 0 ? kept.slice(0, request.limit) : kept
    const shown = request.keysOnly ? cut.map((kv) => ({ ...kv, value: '' })) : cut
    return rangeText(shown.map(kvText), found.length, cut.length < kept.length)
  }

  function put(request: PutRequest, draft: Draft): string {
    const key = text(request.key)
    const before = current(draft, key)
    if ((request.ignoreValue || request.ignoreLease) && !before) throw new Refused('key-not-found')
    const lease = request.ignoreLease ? before!.lease : request.lease
    if (lease !== 0n && !leases.has(lease)) throw new Refused('lease-not-found')
    const mod = draft.revision + 1
    const now: ModelKv = {
      key,
      value: request.ignoreValue ? before!.value : text(request.value),
      create: before?.create ?? mod,
      mod,
      version: (before?.version ?? 0) + 1,
      lease,
    }
    draft.changes.push({ key, revision: mod, now, before })
    return putText(request.prevKv && before ? kvText(before) : undefined)
  }

  function remove(request: DeleteRangeRequest, draft: Draft): string {
    const keys = keysIn(draft, text(request.key), text(request.rangeEnd))
    const before = keys.map((key) => current(draft, key)!)
    for (const kv of before)
      draft.changes.push({ key: kv.key, revision: draft.revision + 1, now: undefined, before: kv })
    return deleteText(keys.length, request.prevKv ? before.map(kvText) : [])
  }

  function holds(compare: Compare, draft: Draft): boolean {
    const from = text(compare.key)
    const end = text(compare.rangeEnd)
    if (end === '') return compares(compare, current(draft, from))
    return keysIn(draft, from, end).every((key) => compares(compare, current(draft, key)))
  }
  /** Compares of nested transactions are judged before anything is written, as the outer ones are. */
  function txn(request: TxnRequest, draft: Draft, base = view(draft.revision)): string {
    const succeeded = request.compare.every((compare) => holds(compare, base))
    const parts = (succeeded ? request.success : request.failure).map((op) => step(op, draft, base))
    return txnText(succeeded, parts)
  }
  function step(op: RequestOp, draft: Draft, base: Draft): string {
    if (op.requestRange) return range(op.requestRange, draft)
    if (op.requestPut) return put(op.requestPut, draft)
    if (op.requestDeleteRange) return remove(op.requestDeleteRange, draft)
    return op.requestTxn ? txn(op.requestTxn, draft, base) : 'nothing'
  }

  /** All that a lease held goes in one revision; two leases that end together make two. */
  function dropLease(id: bigint, index: number, isExpiry: boolean, draft: Draft): void {
    const lease = leases.get(id)!
    leases.delete(id)
    removed.set(id, [...(removed.get(id) ?? []), { ...lease, index, isExpiry }])
    const attached = keysIn(draft, '', '\0').filter((key) => current(draft, key)?.lease === id)
    for (const key of attached) {
      const before = current(draft, key)
      draft.changes.push({ key, revision: draft.revision + 1, now: undefined, before })
    }
  }

  function keep({ changes }: Draft): void {
    if (changes.length === 0) return
    revision++
    events.set(revision, changes)
    for (const change of changes) {
      const line = versions.get(change.key)
      if (line) line.push(change)
      else versions.set(change.key, [change])
    }
  }

  function perform(index: number, command: KvCommand, draft: Draft): string {
    switch (command.kind) {
      case 'put':
        return put(command.request, draft)
      case 'delete-range':
        return remove(command.request, draft)
      case 'txn':
        return txn(command.request, draft)
      case 'compact':
        if (command.request.revision <= compactRevision) throw new Refused('compacted')
        if (command.request.revision > revision) throw new Refused('future-revision')
        compactRevision = command.request.revision
        return 'compact'
      case 'lease-grant': {
        const { id, ttl } = command.request
        if (leases.has(id)) throw new Refused('lease-exists')
        leases.set(id, { ttl, grantIndex: index })
        return `granted ${id} ${ttl}`
      }
      case 'lease-revoke':
        if (!leases.has(command.request.id)) throw new Refused('lease-not-found')
        dropLease(command.request.id, index, false, draft)
        return 'lease-revoke'
      case 'lease-expire': {
        const due = command.request.leases
          .filter(({ id, grantIndex }) => leases.get(id)?.grantIndex === grantIndex)
          .map(({ id }) => id)
        for (const id of due) {
          const own = view(revision)
          dropLease(id, index, true, own)
          keep(own)
        }
        return `expired ${due.toSorted((a, b) => (a < b ? -1 : 1)).join(' ')}`
      }
      case 'alarm':
      case 'quota':
        return command.kind
    }
  }

  function outcomeOf(index: number, command: KvCommand, draft: Draft): ModelOutcome {
    try {
      return { kind: 'done', text: perform(index, command, draft) }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      draft.changes.length = 0
      return { kind: 'refused', error: error.code }
    }
  }

  return {
    apply(index, command) {
      const draft: Draft = { revision, changes: [] }
      const outcome = outcomeOf(index, command, draft)
      keep(draft)
      return { index, revision, outcome }
    },
    reset() {
      for (const kept of [versions, events, leases, removed]) kept.clear()
      ;[revision, compactRevision] = [firstRevision, 0]
    },
    leap(by) {
      revision += by
      compactRevision = revision
    },
    revision: () => revision,
    compactRevision: () => compactRevision,
    eventsAt: (when) => events.get(when) ?? [],
    at,
    range: (request, when) => range(request, view(when)),
    txnAt: (request, when) => txn(request, view(when)),
    leases,
    removedLease: (id) => removed.get(id) ?? [],
  }
}

function passes(request: RangeRequest, kv: ModelKv): boolean {
  return (
    (request.minModRevision === 0 || kv.mod >= request.minModRevision) &&
    (request.maxModRevision === 0 || kv.mod <= request.maxModRevision) &&
    (request.minCreateRevision === 0 || kv.create >= request.minCreateRevision) &&
    (request.maxCreateRevision === 0 || kv.create <= request.maxCreateRevision)
  )
}

const SORT_VALUES: readonly ((kv: ModelKv) => string | number)[] = [
  (kv) => kv.key,
  (kv) => kv.version,
  (kv) => kv.create,
  (kv) => kv.mod,
  (kv) => kv.value,
]

function sorted(request: RangeRequest, kvs: readonly ModelKv[]): readonly ModelKv[] {
  if (request.sortOrder === 0 && request.sortTarget === 0) return kvs
  const value = SORT_VALUES[request.sortTarget]!
  const sign = request.sortOrder === 2 ? -1 : 1
  const order = (a: ModelKv, b: ModelKv): number =>
    value(a) === value(b) ? 0 : value(a) < value(b) ? -sign : sign
  return kvs.toSorted(order)
}

function compares(compare: Compare, kv: ModelKv | undefined): boolean {
  const [is, want] = sides(compare, kv)
  if (is === undefined || want === undefined) return false
  switch (compare.result) {
    case 0:
      return is === want
    case 1:
      return is > want
    case 2:
      return is < want
  }
  return is !== want
}

type Side = string | number | bigint | undefined

/** A missing key counts as zero, but has no value that could be compared. */
function sides(compare: Compare, kv: ModelKv | undefined): readonly [is: Side, want: Side] {
  switch (compare.target) {
    case 0:
      return [kv?.version ?? 0, compare.version ?? 0]
    case 1:
      return [kv?.create ?? 0, compare.createRevision ?? 0]
    case 2:
      return [kv?.mod ?? 0, compare.modRevision ?? 0]
    case 3:
      return [kv?.value, text(compare.value ?? new Uint8Array())]
  }
  return [kv?.lease ?? 0n, compare.lease ?? 0n]
}

/**
 * A store as one would write it to explain it: the whole state is copied for every revision, nothing
 * is packed, nothing is ever forgotten. Slow, and short enough to be read; the real store must agree.
 */
import type { Compare, DeleteRangeRequest, KvCommand, PutRequest } from '../../coord/kv/types.ts'
import type { RangeRequest, RequestOp, TxnRequest } from '../../coord/kv/types.ts'

export type Entry = {
  readonly key: string
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
  readonly lease: bigint
}
export type ModelEvent = {
  readonly type: 'put' | 'delete'
  readonly revision: number
  readonly entry: Entry
  readonly before: Entry | undefined
}
type State = ReadonlyMap<string, Entry>
export type ModelRange = { readonly key: string; readonly end: string }
type Answer = { readonly error: string } | { readonly value: unknown; readonly error?: undefined }

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

export function isIn(key: string, { key: start, end }: ModelRange): boolean {
  if (end === '') return key === start
  return key >= start && (end === '\0' || key < end)
}

export class Model {
  revision = 1
  compact = 0
  /** The state after each revision, by revision. */
  readonly states: State[] = [new Map(), new Map()]
  readonly events: ModelEvent[] = []
  leases = new Map<bigint, { ttl: number; grantIndex: number }>()
  #now = new Map<string, Entry>()
  #changed: ModelEvent[] = []

  apply(command: KvCommand, index: number): Answer {
    const answer = this.#run(command, index)
    this.#commit()
    return answer
  }

  at(revision: number): State {
    return this.states[revision] ?? new Map()
  }

  range(request: RangeRequest): Answer {
    const error = this.#readable(request.revision)
    return error ? { error } : { value: this.#range(request) }
  }

  eventsOf(range: ModelRange, from: number, to: number): ModelEvent[] {
    return this.events.filter(
      ({ entry, revision }) => revision >= from && revision <= to && isIn(entry.key, range),
    )
  }

  leaseKeys(id: bigint): string[] {
    const entries = [...this.#now.values()].filter(({ lease }) => lease === id)
    return entries.map(({ key }) => key).toSorted(byText)
  }

  /** What the quota counts: changes from the compaction on, values that were there at it, leases. */
  sizeBytes(): number {
    const base = [...this.at(this.compact).values()].filter(({ mod }) => mod < this.compact)
    const kept = this.events.filter(({ revision }) => revision >= this.compact)
    const entries = [...base, ...kept.map(({ entry }) => entry)]
    const bytes = entries.reduce((sum, { key, value }) => sum + 64 + key.length + value.length, 0)
    return bytes + this.leases.size * 64
  }

  #run(command: KvCommand, index: number): Answer {
    switch (command.kind) {
      case 'put': {
        const error = this.#checkLease(command.request) ?? this.#checkPut(command.request)
        return error ? { error } : { value: this.#put(command.request) }
      }
      case 'delete-range':
        return { value: this.#delete(command.request) }
      case 'txn': {
        const path = this.#decide(command.request)
        const puts = path.ops.flatMap(({ requestPut: put }) => (put ? [this.#checkPut(put)] : []))
        const reads = path.ops.flatMap(({ requestRange: read }) =>
          read ? [this.#readable(read.revision)] : [],
        )
        const error = [...puts, ...reads].find((found) => found !== undefined)
        return error ? { error } : { value: path.run() }
      }
      case 'compact': {
        const { revision } = command.request
        if (revision <= this.compact) return { error: 'compacted' }
        if (revision > this.revision) return { error: 'future-revision' }
        this.compact = revision
        return { value: undefined }
      }
      case 'lease-grant': {
        const { id, ttl } = command.request
        if (this.leases.has(id)) return { error: 'lease-exists' }
        this.leases.set(id, { ttl: Math.max(2, ttl), grantIndex: index })
        return { value: { id, ttl: Math.max(2, ttl) } }
      }
      case 'lease-revoke':
        if (!this.leases.has(command.request.id)) return { error: 'lease-not-found' }
        this.#revoke(command.request.id)
        return { value: undefined }
      case 'lease-expire': {
        const expired = command.request.leases.filter(({ id, grantIndex }) => {
          const isThere = this.leases.get(id)?.grantIndex === grantIndex
          if (isThere) this.#revoke(id)
          return isThere
        })
        return { value: expired.map(({ id }) => id) }
      }
      case 'alarm':
      case 'quota':
        return { value: undefined }
    }
  }

  /** The ops that are going to run, nested ones flat for checking, and how to run them. */
  #decide(txn: TxnRequest): { ops: RequestOp[]; run: () => unknown } {
    const succeeded = txn.compare.every((compare) => this.#holds(compare))
    const steps = (succeeded ? txn.success : txn.failure).map((op) => {
      if (op.requestTxn) return this.#decide(op.requestTxn)
      return { ops: [op], run: () => this.#runOp(op) }
    })
    return {
      ops: steps.flatMap(({ ops }) => ops),
      run: () => ({ succeeded, responses: steps.map(({ run }) => run()) }),
    }
  }

  #runOp(op: RequestOp): unknown {
    if (op.requestPut) return this.#put(op.requestPut)
    if (op.requestDeleteRange) return this.#delete(op.requestDeleteRange)
    return op.requestRange && this.#range(op.requestRange)
  }

  #holds(compare: Compare): boolean {
    const found = this.#in(this.#now, { key: text(compare.key), end: text(compare.rangeEnd) })
    if (found.length === 0 && compare.target === 3) return false
    const missing = { key: '', value: '', create: 0, mod: 0, version: 0, lease: 0n }
    return (found.length > 0 ? found : [missing]).every((entry) => {
      const [left, right] = [
        [entry.version, compare.version ?? 0],
        [entry.create, compare.createRevision ?? 0],
        [entry.mod, compare.modRevision ?? 0],
        [entry.value, text(compare.value ?? Buffer.alloc(0))],
        [entry.lease, compare.lease ?? 0n],
      ][compare.target] ?? [0, 0]
      return [left === right, left! > right!, left! < right!, left !== right][compare.result]
    })
  }

  #readable(revision: number): string | undefined {
    if (revision === 0) return undefined
    if (revision > this.revision) return 'future-revision'
    return revision < this.compact ? 'compacted' : undefined
  }

  #in(state: State, range: ModelRange): Entry[] {
    return [...state.values()]
      .filter(({ key }) => isIn(key, range))
      .toSorted((a, b) => byText(a.key, b.key))
  }

  #range(request: RangeRequest): unknown {
    const state = request.revision === 0 ? this.#now : this.at(request.revision)
    const all = this.#in(state, { key: text(request.key), end: text(request.rangeEnd) })
    if (request.countOnly) return { kvs: [], more: false, count: all.length }
    const field = (['key', 'version', 'create', 'mod', 'value'] as const)[request.sortTarget]!
    const sorted = all
      .filter(({ mod }) => mod >= request.minModRevision)
      .filter(({ mod }) => request.maxModRevision === 0 || mod <= request.maxModRevision)
      .filter(({ create }) => create >= request.minCreateRevision)
      .filter(
        ({ create }) => request.maxCreateRevision === 0 || create <= request.maxCreateRevision,
      )
      .toSorted((a, b) => {
        const order = a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0
        return request.sortOrder === 2 ? -order : order
      })
    const kvs = request.limit > 0 ? sorted.slice(0, request.limit) : sorted
    return {
      kvs: kvs.map((entry) => (request.keysOnly ? { ...entry, value: '' } : entry)),
      more: kvs.length < sorted.length,
      count: all.length,
    }
  }

  #checkPut(put: PutRequest): string | undefined {
    if ((put.ignoreValue || put.ignoreLease) && !this.#now.has(text(put.key)))
      return 'key-not-found'
    return this.#checkLease(put)
  }

  #checkLease({ lease }: PutRequest): string | undefined {
    return lease === 0n || this.leases.has(lease) ? undefined : 'lease-not-found'
  }

  #put(put: PutRequest): unknown {
    const key = text(put.key)
    const before = this.#now.get(key)
    const entry = {
      key,
      value: put.ignoreValue ? before!.value : text(put.value),
      create: before?.create ?? this.revision + 1,
      mod: this.revision + 1,
      version: (before?.version ?? 0) + 1,
      lease: put.ignoreLease ? before!.lease : put.lease,
    }
    this.#now.set(key, entry)
    this.#note('put', entry)
    return { prevKv: put.prevKv ? before : undefined }
  }

  #delete(request: DeleteRangeRequest): unknown {
    const range = { key: text(request.key), end: text(request.rangeEnd) }
    const found = this.#in(this.#now, range)
    for (const { key } of found) this.#drop(key)
    return { deleted: found.length, prevKvs: request.prevKv ? found : [] }
  }

  #drop(key: string): void {
    this.#now.delete(key)
    const mod = this.revision + 1
    this.#note('delete', { key, value: '', create: 0, mod, version: 0, lease: 0n })
  }

  #note(type: 'put' | 'delete', entry: Entry): void {
    const before = this.at(this.revision).get(entry.key)
    this.#changed.push({ type, revision: this.revision + 1, entry, before })
  }

  #revoke(id: bigint): void {
    for (const key of this.leaseKeys(id)) this.#drop(key)
    this.leases.delete(id)
    this.#commit()
  }

  #commit(): void {
    if (this.#changed.length === 0) return
    this.revision += 1
    this.states[this.revision] = new Map(this.#now)
    this.events.push(...this.#changed)
    this.#changed = []
  }
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

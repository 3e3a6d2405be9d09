/**
 * A key-value store as the etcd v3 API describes it, one transaction after the other: what the checkers
 * hold answers against. Our own and plain, so that it has nothing in common with what it judges.
 */
import { createSortedKeys } from './sorted-keys.ts'
import type { Compare, Kv, KvRequest, Step, StepResult } from './types.ts'

export type Change = { readonly key: string; readonly kv?: Kv; readonly prev?: Kv }

export type Answer = {
  readonly succeeded: boolean
  readonly results: readonly StepResult[]
  readonly changes: readonly Change[]
}

export type StoreModel = {
  get(key: string): Kv | undefined
  range(key: string, end: string | undefined): readonly Kv[]
  /** Carries out a transaction whose writes have this revision. */
  apply(request: KvRequest, revision: number): Answer
  /** Takes a key away, at whatever revision. */
  remove(key: string): void
}

export function createStoreModel(): StoreModel {
  const kvs = new Map<string, Kv>()
  const keys = createSortedKeys()
  const set = (kv: Kv): void => {
    if (!kvs.has(kv.key)) keys.add(kv.key)
    kvs.set(kv.key, kv)
  }
  const remove = (key: string): void => {
    if (kvs.delete(key)) keys.remove(key)
  }
  const range: StoreModel['range'] = (key, end) => {
    const kv = kvs.get(key)
    if (end === undefined) return kv ? [kv] : []
    return keys.between(key, end).map((one) => kvs.get(one)!)
  }
  const step = (one: Step, revision: number, changes: Change[]): StepResult => {
    switch (one.kind) {
      case 'get':
        return { kind: 'got', kvs: range(one.key, one.end) }
      case 'put': {
        const prev = kvs.get(one.key)
        const kv = after(one, prev, revision)
        set(kv)
        changes.push({ key: one.key, kv, ...(prev && { prev }) })
        return { kind: 'put', prev: prev ?? null }
      }
      case 'delete': {
        const prevs = range(one.key, one.end)
        for (const prev of prevs) {
          remove(prev.key)
          changes.push({ key: prev.key, prev })
        }
        return { kind: 'deleted', count: prevs.length, prevs }
      }
    }
  }
  return {
    get: (key) => kvs.get(key),
    range,
    remove,
    apply({ compare, success, failure }, revision) {
      const succeeded = compare.every((one) => holds(one, kvs.get(one.key)))
      const changes: Change[] = []
      const steps = succeeded ? success : failure
      const results = steps.map((one) => step(one, revision, changes))
      return { succeeded, results, changes }
    },
  }
}

function after(
  { key, value, lease }: Step & { readonly kind: 'put' },
  prev: Kv | undefined,
  mod: number,
): Kv {
  const create = prev?.create ?? mod
  const version = (prev?.version ?? 0) + 1
  return { key, value, create, mod, version, ...(lease !== undefined && { lease }) }
}

/** A key that is not there has revisions and version 0, and no value that equals anything. */
function holds(compare: Compare, kv: Kv | undefined): boolean {
  const { is, target } = compare
  if (target === 'value') return kv !== undefined && isSo(kv.value, is, compare.than)
  return isSo(kv?.[target] ?? 0, is, compare.than)
}

function isSo<T extends string | number>(a: T, is: Compare['is'], b: T): boolean {
  switch (is) {
    case '=':
      return a === b
    case '!=':
      return a !== b
    case '<':
      return a < b
    case '>':
      return a > b
  }
}

/** The first key after all that begin with `prefix`; its last character must not be the last there is. */
export function endOf(prefix: string): string {
  const last = prefix.length - 1
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}

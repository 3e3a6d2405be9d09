/**
 * A key-value store as the etcd v3 API describes it, one transaction after the other: what the checkers
 * hold answers against. Our own and plain, so that it has nothing in common with what it judges.
 * Invariant: keys stand sorted in folders (up to the last slash), so ranges and inserts stay cheap.
 */
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
  const folders = new Map<string, string[]>()
  const set = (kv: Kv): void => {
    if (!kvs.has(kv.key)) {
      const names = folders.get(folderOf(kv.key)) ?? []
      folders.set(folderOf(kv.key), names)
      names.splice(placeOf(names, kv.key), 0, kv.key)
    }
    kvs.set(kv.key, kv)
  }
  const remove = (key: string): void => {
    if (!kvs.delete(key)) return
    const names = folders.get(folderOf(key)) ?? []
    names.splice(placeOf(names, key), 1)
  }
  const range: StoreModel['range'] = (key, end) => {
    if (end === undefined) return kvs.has(key) ? [kvs.get(key)!] : []
    const found: Kv[] = []
    const places = foldersIn(folders, key, end)
    for (const folder of places)
      for (let at = placeOf(folder, key); at < folder.length && folder[at]! < end; at++)
        found.push(kvs.get(folder[at]!)!)
    // Keys of a folder may stand between those of another.
    return places.length > 1 ? found.toSorted((a, b) => (a.key < b.key ? -1 : 1)) : found
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

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1)
}

/** Folders that can have keys in a range. */
function foldersIn(
  folders: ReadonlyMap<string, string[]>,
  key: string,
  end: string,
): readonly string[][] {
  const own = folderOf(key)
  const isInside = own !== '' && end <= endOf(own)
  const names = [...folders.keys()].filter((name) => !isInside || name.startsWith(own))
  return names.map((name) => folders.get(name)!)
}

/** The first key after all that begin with `prefix`; its last character must not be the last there is. */
export function endOf(prefix: string): string {
  const last = prefix.length - 1
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}

/** Where a key stands among sorted keys, or would. */
function placeOf(names: readonly string[], key: string): number {
  let low = 0
  let high = names.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (names[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * A map of many entries that is replaced, never mutated, without copying all of it: it consists of
 * chunks, and an edit copies only the chunks that it touches, each once. Reading costs what a Map costs;
 * the order of entries is none in particular.
 */

const CHUNKS = 1_024

export type MapEdit<V> = {
  set(key: string, value: V): void
  delete(key: string): void
  /** The map with all changes so far; what was handed out before stays as it is. */
  done(): ReadonlyMap<string, V>
}

/** A sequence of edits, beginning with an empty map. */
export function createMapEdit<V>(): MapEdit<V> {
  const empty = new Map<string, V>()
  let chunks: Map<string, V>[] = Array.from({ length: CHUNKS }, () => empty)
  let own = new Set<number>()
  let size = 0
  let last: ReadonlyMap<string, V> | undefined

  const chunkFor = (key: string): Map<string, V> => {
    const at = chunkOf(key)
    const found = chunks[at] ?? empty
    if (own.has(at)) return found
    // Nothing of what was handed out is touched from here on.
    if (own.size === 0) chunks = [...chunks]
    own.add(at)
    return (chunks[at] = new Map(found))
  }
  return {
    set(key, value) {
      const chunk = chunkFor(key)
      size += chunk.has(key) ? 0 : 1
      chunk.set(key, value)
      last = undefined
    },
    delete(key) {
      if (!(chunks[chunkOf(key)] ?? empty).has(key)) return
      size -= chunkFor(key).delete(key) ? 1 : 0
      last = undefined
    },
    done() {
      last ??= viewOf(chunks, size)
      own = new Set()
      return last
    },
  }
}

/** Number of the chunk for a key: FNV-1a over its characters. */
function chunkOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return (hash >>> 8) % CHUNKS
}

function viewOf<V>(
  chunks: readonly ReadonlyMap<string, V>[],
  size: number,
): ReadonlyMap<string, V> {
  function* entries(): Generator<[string, V], undefined, unknown> {
    for (const chunk of chunks) yield* chunk
  }
  function* keys(): Generator<string, undefined, unknown> {
    for (const chunk of chunks) yield* chunk.keys()
  }
  function* values(): Generator<V, undefined, unknown> {
    for (const chunk of chunks) yield* chunk.values()
  }
  const chunkAt = (key: string): ReadonlyMap<string, V> | undefined => chunks[chunkOf(key)]
  const view: ReadonlyMap<string, V> = {
    size,
    get: (key) => chunkAt(key)?.get(key),
    has: (key) => chunkAt(key)?.has(key) ?? false,
    forEach: (visit) => {
      for (const chunk of chunks) chunk.forEach((value, key) => visit(value, key, view))
    },
    entries,
    keys,
    values,
    [Symbol.iterator]: entries,
  }
  return view
}

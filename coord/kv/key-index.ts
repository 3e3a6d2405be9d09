/** The keys of the store in order, each with its number: sorted chunks under one sorted list of chunks. */

type Chunk = { readonly keys: string[]; readonly ids: number[] }

export type KeyIndex = { readonly chunks: Chunk[]; size: number }

const CHUNK_KEYS_MAX = 256

export function createKeyIndex(): KeyIndex {
  return { chunks: [], size: 0 }
}

/** The number of the key, or -1. */
export function findKey(index: KeyIndex, key: string): number {
  const chunk = index.chunks[chunkOf(index, key)]
  if (!chunk) return -1
  const at = lowerBound(chunk.keys, key)
  return chunk.keys[at] === key ? (chunk.ids[at] ?? -1) : -1
}

/** Adds a key that is not there. */
export function insertKey(index: KeyIndex, key: string, id: number): void {
  index.size += 1
  const at = chunkOf(index, key)
  const chunk = index.chunks[at]
  if (!chunk) {
    index.chunks.push({ keys: [key], ids: [id] })
    return
  }
  const place = lowerBound(chunk.keys, key)
  chunk.keys.splice(place, 0, key)
  chunk.ids.splice(place, 0, id)
  if (chunk.keys.length > CHUNK_KEYS_MAX) split(index, at, chunk, place)
}

/** Removes a key that is there. */
export function removeKey(index: KeyIndex, key: string): void {
  const at = chunkOf(index, key)
  const chunk = index.chunks[at]
  const place = chunk ? lowerBound(chunk.keys, key) : -1
  if (!chunk || chunk.keys[place] !== key) return
  index.size -= 1
  chunk.keys.splice(place, 1)
  chunk.ids.splice(place, 1)
  if (chunk.keys.length === 0) index.chunks.splice(at, 1)
  else mergeWithNext(index, at, chunk)
}

/** Visits the numbers of the keys from `start` up to but not including `end`, in order. */
export function eachKey(
  index: KeyIndex,
  start: string,
  end: string | undefined,
  visit: (id: number) => void,
): void {
  let at = chunkOf(index, start)
  let place = lowerBound(index.chunks[at]?.keys ?? [], start)
  for (; at < index.chunks.length; at += 1, place = 0) {
    const chunk = index.chunks[at]
    if (!chunk) return
    const isLast = end !== undefined && (chunk.keys.at(-1) ?? '') >= end
    const until = isLast ? lowerBound(chunk.keys, end) : chunk.keys.length
    for (let i = place; i < until; i += 1) visit(chunk.ids[i] ?? -1)
    if (isLast) return
  }
}

/** The last chunk that starts at or before the key; the first for a key before all. */
function chunkOf({ chunks }: KeyIndex, key: string): number {
  let low = 0
  let high = chunks.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((chunks[middle]?.keys[0] ?? '') <= key) low = middle
    else high = middle - 1
  }
  return low
}

/** The first place whose key is not below the given one. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}

/** Keys that come in ascending order leave full chunks behind, others halves. */
function split(index: KeyIndex, at: number, chunk: Chunk, place: number): void {
  const cut = place === chunk.keys.length - 1 ? place : chunk.keys.length >> 1
  const keys = chunk.keys.splice(cut)
  const ids = chunk.ids.splice(cut)
  index.chunks.splice(at + 1, 0, { keys, ids })
}

function mergeWithNext(index: KeyIndex, at: number, chunk: Chunk): void {
  const next = index.chunks[at + 1]
  if (!next || chunk.keys.length + next.keys.length > CHUNK_KEYS_MAX / 2) return
  chunk.keys.push(...next.keys)
  chunk.ids.push(...next.ids)
  index.chunks.splice(at + 1, 1)
}

/**
 * The hash that members compare: a sum, modulo 2^32, over every kept change up to the revision, of a
 * murmur3 hash of (revision, sub, record bytes), finished with the revision and the compact revision.
 * A sum does not depend on the order in which memory is walked, and what is kept is a function of
 * the commands, so equal histories with equal compactions have equal hashes (K3).
 */
import { isInUse, payloadOf, revisionOf } from './history.ts'
import type { KvState } from './state.ts'

const C1 = 0xcc9e2d51
const C2 = 0x1b873593

export function hashState({ history, compactRevision }: KvState, revision: number): number {
  let sum = 0
  for (let slot = 0; slot < history.slotCount; slot += 1) {
    const changed = revisionOf(history, slot)
    if (!isInUse(history, slot) || changed > revision) continue
    const seed = mixNumber(mixNumber(0, changed), history.subs[slot] ?? 0)
    sum = (sum + hashBytes(seed, payloadOf(history, slot))) >>> 0
  }
  return finish(mixNumber(mixNumber(sum, revision), compactRevision), 0)
}

function hashBytes(seed: number, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const words = bytes.length - (bytes.length % 4)
  let hash = seed
  for (let i = 0; i < words; i += 4) hash = mix(hash, view.getUint32(i, true))
  let rest = 0
  for (let i = words; i < bytes.length; i += 1) rest = (rest << 8) | (bytes[i] ?? 0)
  return finish(mix(hash, rest), bytes.length)
}

/** Both halves of a safe integer. */
function mixNumber(hash: number, value: number): number {
  return mix(mix(hash, value >>> 0), Math.floor(value / 2 ** 32))
}

function mix(hash: number, word: number): number {
  let k = Math.imul(word, C1)
  k = Math.imul((k << 15) | (k >>> 17), C2)
  const h = hash ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

function finish(hash: number, length: number): number {
  let h = hash ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

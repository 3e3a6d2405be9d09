/**
 * Ids that every member of a new cluster works out for itself and that come out the same everywhere:
 * FNV-1a over 64 bits, of texts with their lengths, so that no two lists read alike.
 */
import type { MemberId } from '../raft/types.ts'

const OFFSET = 0xcbf29ce484222325n
const PRIME = 0x100000001b3n
const MASK = 0xffffffffffffffffn

function hash(parts: readonly string[]): bigint {
  let value = OFFSET
  for (const part of parts)
    for (const byte of Buffer.from(`${part.length}:${part}`))
      value = ((value ^ BigInt(byte)) * PRIME) & MASK
  // 0 stands for nobody.
  return value === 0n ? 1n : value
}

export function clusterIdOf(token: string, peerUrls: readonly string[]): bigint {
  return hash(['cluster', token, ...peerUrls.toSorted()])
}

/** The id of a member that is there from the beginning. */
export function firstMemberId(token: string, peerUrl: string): MemberId {
  return hash(['member', token, peerUrl])
}

/** An id by lot, for a member that comes later; never one that is or was taken. */
export function drawMemberId(random: () => number, isTaken: (id: MemberId) => boolean): MemberId {
  const half = (): bigint => BigInt(Math.floor(random() * 2 ** 32))
  for (;;) {
    const id = (half() << 32n) | half()
    if (id !== 0n && !isTaken(id)) return id
  }
}

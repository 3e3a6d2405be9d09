/**
 * Which commands have been applied: for each origin the last sequence number. A command whose number
 * is not above it was applied before, or lost its place to a later one, and is skipped by every
 * member alike. Bounded: the origin that was silent longest is forgotten first, by log order.
 */
import type { ImageChange } from '../kv/types.ts'

type Seen = { readonly seq: number; readonly index: number }

export type Origins = {
  /** Whether the command is new; if so it counts as applied from now on. */
  admit(origin: number, seq: number, index: number): boolean
  takeImageChanges(): readonly ImageChange[]
}

/** More processes than this never have commands under way at the same time. */
export const ORIGINS_MAX = 1024

/** `seen` in any order. */
export function createOrigins(seen: ReadonlyMap<number, Seen>): Origins {
  // In the order of the last command of each: the first is the one to forget.
  const table = new Map([...seen].toSorted(([, a], [, b]) => a.index - b.index))
  const changed = new Set<number>()
  return {
    admit(origin, seq, index) {
      const last = table.get(origin)
      if (last !== undefined && seq <= last.seq) return false
      if (last !== undefined) table.delete(origin)
      table.set(origin, { seq, index })
      changed.add(origin)
      if (table.size > ORIGINS_MAX) {
        const oldest = table.keys().next().value as number
        table.delete(oldest)
        changed.add(oldest)
      }
      return true
    },
    takeImageChanges() {
      const changes = [...changed].map((origin) => {
        const last = table.get(origin)
        return { key: originKey(origin), value: last && encodeSeen(last) }
      })
      changed.clear()
      return changes
    },
  }
}

const KEY_BYTES = 10

/** 0x01 'o' and the origin. */
function originKey(origin: number): Uint8Array {
  const key = Buffer.alloc(KEY_BYTES)
  key[0] = 1
  key[1] = 0x6f
  key.writeBigUInt64BE(BigInt(origin), 2)
  return key
}

function encodeSeen({ seq, index }: Seen): Uint8Array {
  const value = Buffer.alloc(16)
  value.writeBigUInt64BE(BigInt(seq), 0)
  value.writeBigUInt64BE(BigInt(index), 8)
  return value
}

/** One record of the image; undefined when it is of another kind. */
export function readOrigin(
  key: Uint8Array,
  value: Uint8Array,
): readonly [origin: number, seen: Seen] | undefined {
  if (key[1] !== 0x6f || key.length !== KEY_BYTES || value.length !== 16) return undefined
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset)
  const number = (bytes: Uint8Array, at: number): number => Number(view(bytes).getBigUint64(at))
  return [number(key, 2), { seq: number(value, 0), index: number(value, 8) }]
}

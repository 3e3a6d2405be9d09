/**
 * Keys inside the store are latin1 strings, one character per byte: their order is the unsigned order
 * of the bytes, they compare fast, and they are values of a Map.
 */

export const NO_BYTES: Uint8Array = Buffer.alloc(0)

/** The smallest key; as a range end it stands for "no end". */
const FIRST_KEY = '\0'

export function toKey(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('latin1')
}

export function fromKey(key: string): Uint8Array {
  return Buffer.from(key, 'latin1')
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A half-open range of keys; `end` undefined: no end. A range that starts at its end is empty. */
export type KeyRange = {
  readonly start: string
  readonly end: string | undefined
  /** The range is one key. */
  readonly isPoint: boolean
}

/** The range that a request means: no end is the key alone, the end "\0" is every key from there on. */
export function toKeyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const start = toKey(key)
  if (rangeEnd.length === 0) return { start, end: start + FIRST_KEY, isPoint: true }
  const end = toKey(rangeEnd)
  return { start, end: end === FIRST_KEY ? undefined : end, isPoint: false }
}

export function isInRange(key: string, { start, end }: KeyRange): boolean {
  return key >= start && (end === undefined || key < end)
}

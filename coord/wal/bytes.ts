/** Little-endian numbers at a place in a buffer. The 64-bit ones are safe integers unless they are ids. */
import { assert } from '../../lib/assert.ts'

const HIGH = 2 ** 32

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

export function getU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  )
}

/** A non-negative safe integer in eight bytes. */
export function putU53(bytes: Uint8Array, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `no place in a log: ${value}`)
  putU32(bytes, at, value % HIGH)
  putU32(bytes, at + 4, Math.floor(value / HIGH))
}

/** Undefined if it is beyond the safe integers. */
export function getU53(bytes: Uint8Array, at: number): number | undefined {
  const value = getU32(bytes, at + 4) * HIGH + getU32(bytes, at)
  return Number.isSafeInteger(value) ? value : undefined
}

export function putId(bytes: Uint8Array, at: number, id: bigint): void {
  putU32(bytes, at, Number(id & 0xffffffffn))
  putU32(bytes, at + 4, Number((id >> 32n) & 0xffffffffn))
}

export function getId(bytes: Uint8Array, at: number): bigint {
  return (BigInt(getU32(bytes, at + 4)) << 32n) | BigInt(getU32(bytes, at))
}

/**
 * What all records of an image add up to: how many, how many bytes, and the sum of a 64-bit hash of
 * each (kept in two halves, each modulo 2^32), whatever their order. It changes with each record that
 * comes or goes, so it is never reckoned anew; a load that does not arrive at it has lost something.
 */

export type Tally = {
  readonly count: number
  readonly bytes: number
  readonly low: number
  readonly high: number
}

export const EMPTY_TALLY: Tally = { count: 0, bytes: 0, low: 0, high: 0 }

/** Adds up records while they pass. */
export type Counter = {
  add(key: Uint8Array, value: Uint8Array): void
  remove(key: Uint8Array, value: Uint8Array): void
  tally(): Tally
}

export function createCounter(from: Tally): Counter {
  let { count, bytes, low, high } = from
  const lanes = new Int32Array(2)
  return {
    add(key, value) {
      hashRecord(lanes, key, value)
      count++
      bytes += key.length + value.length
      low = (low + lanes[0]!) >>> 0
      high = (high + lanes[1]!) >>> 0
    },
    remove(key, value) {
      hashRecord(lanes, key, value)
      count--
      bytes -= key.length + value.length
      low = (low - lanes[0]!) >>> 0
      high = (high - lanes[1]!) >>> 0
    },
    tally: () => ({ count, bytes, low, high }),
  }
}

export function isSameTally(a: Tally, b: Tally): boolean {
  return a.count === b.count && a.bytes === b.bytes && a.low === b.low && a.high === b.high
}

/** The lengths go in first, so that a byte cannot move from a key to its value unnoticed. */
function hashRecord(lanes: Int32Array, key: Uint8Array, value: Uint8Array): void {
  lanes[0] = key.length
  lanes[1] = value.length
  mix(lanes, key)
  mix(lanes, value)
  const low = scatter(lanes[0] ^ Math.imul(lanes[1], 0x9e3779b1))
  lanes[0] = low
  lanes[1] = scatter(lanes[1] + low)
}

/** Takes in a word at a time; each step can be undone, so two inputs of one length never meet early. */
function mix(lanes: Int32Array, bytes: Uint8Array): void {
  let a = lanes[0]!
  let b = lanes[1]!
  const whole = bytes.length & ~3
  for (let at = 0; at < whole; at += 4) {
    const word =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    a = Math.imul(a ^ word, 0x2c1b3c6d)
    a ^= a >>> 15
    b = Math.imul(((b << 13) | (b >>> 19)) + word, 0x297a2d39)
  }
  for (let at = whole; at < bytes.length; at++) {
    a = Math.imul(a ^ bytes[at]!, 0x2c1b3c6d)
    a ^= a >>> 15
    b = Math.imul(((b << 13) | (b >>> 19)) + bytes[at]!, 0x297a2d39)
  }
  lanes[0] = a
  lanes[1] = b
}

function scatter(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return mixed ^ (mixed >>> 15)
}

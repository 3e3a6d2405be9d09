/**
 * The dice of a simulation: every bit of chance in a run comes from one seed. Forks have names, so
 * that drawing more often in one part of the world does not change the fortune of another.
 */

export type Dice = {
  /** Uniform in [0, 1). */
  float(): number
  /** Uniform whole number in [0, below). */
  int(below: number): number
  between(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
  /** Mostly short, seldom long: the gap of a Poisson process. */
  exponential(mean: number): number
  shuffle<T>(from: readonly T[]): T[]
  /** Random bits in the range of the ids that clients and members have, never 0. */
  id(): bigint
  bytes(length: number): Uint8Array
  fork(name: string): Dice
}

/** FNV-1a over a text: names of forks, and digests of traces. */
export function hashText(text: string, start = 0x811c9dc5): number {
  let hash = start
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** FNV-1a over bytes. */
export function hashBytes(bytes: Uint8Array, start = 0x811c9dc5): number {
  let hash = start
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** Small fast counting generator (sfc32): 128 bits of state, no bad seeds after the warm-up. */
function createBits(seed: number, stream: number): () => number {
  let [a, b, c, counter] = [seed | 0, stream | 0, (seed / 2 ** 32) | 0, 1]
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  for (let i = 0; i < 15; i++) next()
  return next
}

export function createDice(seed: number, stream = 0): Dice {
  const bits = createBits(seed, stream)
  const float = (): number => (bits() >>> 5) / 2 ** 27
  const int = (below: number): number => Math.floor(float() * below)
  return {
    float,
    int,
    between: (low, high) => low + (high - low) * float(),
    chance: (probability) => float() < probability,
    pick: (from) => from[int(from.length)]!,
    exponential: (mean) => -Math.log(1 - float()) * mean,
    shuffle: (from) => {
      const result = [...from]
      for (let i = result.length - 1; i > 0; i--) {
        const j = int(i + 1)
        ;[result[i], result[j]] = [result[j]!, result[i]!]
      }
      return result
    },
    id: () => (BigInt(bits() >>> 1) << 32n) | BigInt((bits() | 1) >>> 0),
    bytes: (length) => Uint8Array.from({ length }, () => bits() & 255),
    fork: (name) => createDice(bits(), hashText(name)),
  }
}

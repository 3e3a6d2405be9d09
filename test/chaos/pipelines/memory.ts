/** Whether processes stayed within the memory that was promised of them, by samples of the run. Pure. */
import type { Problem } from './problem.ts'

export type MemorySample = {
  readonly atMs: number
  readonly name: string
  /** Of the process and its children. */
  readonly rssBytes: number
}

export type MemoryBound = {
  /** Of the process, as in the samples. */
  readonly name: string
  readonly bytesMax: number
}

const MB = 1_000_000

export const COORDINATOR_BYTES_MAX = 150 * MB
/** Beside `--memory`: what Node and the two engines of a worker and its encoder weigh. */
const WORKER_OVERHEAD_BYTES = 300 * MB

/** What a worker may have that was started with this `--memory`. */
export function workerBytesMax(memoryBytes: number): number {
  return memoryBytes + WORKER_OVERHEAD_BYTES
}

/** Each process that was over its bound, at its highest; and each bound that nothing was measured for. */
export function auditMemory(
  samples: readonly MemorySample[],
  bounds: readonly MemoryBound[],
): readonly Problem[] {
  return bounds.flatMap(({ name, bytesMax }): Problem[] => {
    const own = samples.filter((sample) => sample.name === name)
    const highest = own.toSorted((a, b) => b.rssBytes - a.rssBytes)[0]
    if (!highest) return [{ check: 'memory-unseen', text: `${name} was never measured` }]
    if (highest.rssBytes <= bytesMax) return []
    const over = own.filter(({ rssBytes }) => rssBytes > bytesMax).length
    const text = `${name} had ${inMb(highest.rssBytes)} after ${Math.round(highest.atMs / 1_000)} s, ${inMb(bytesMax)} are meant; ${over} of ${own.length} samples are over`
    return [{ check: 'memory', text }]
  })
}

function inMb(bytes: number): string {
  return `${Math.round(bytes / MB)} MB`
}

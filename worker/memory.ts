/** How a memory budget is shared out. Pure; the numbers it gives are hard limits for who gets them. */

export type MemoryPlan = {
  /** The encoder's own limit; its process stays within this plus a fixed overhead. */
  readonly encoderBytes: number
  /** A batch is sealed at this size. Each shard has one open and at most one being written. */
  readonly batchBytes: number
  readonly chunkBytes: number
}

/** Two batches a shard: one fills while the other is encoded. */
const BATCHES_PER_SHARD = 2
/** Smaller batches than this help nobody, whatever the budget. */
export const BATCH_BYTES_MIN = 256e3
const CHUNK_BYTES_MAX = 1e6

/**
 * Half of the budget belongs to the encoder, the rest to batches of the shards that run at once. A
 * batch never exceeds `batchBytesMax`, where the encoder works best.
 */
export function planMemory(
  memoryBytes: number,
  concurrency: number,
  batchBytesMax: number,
): MemoryPlan {
  const encoderBytes = Math.floor(memoryBytes / 2)
  const share = Math.floor((memoryBytes - encoderBytes) / (concurrency * BATCHES_PER_SHARD))
  const batchBytes = Math.max(BATCH_BYTES_MIN, Math.min(batchBytesMax, share))
  return {
    encoderBytes,
    batchBytes,
    chunkBytes: Math.min(CHUNK_BYTES_MAX, Math.ceil(batchBytes / 4)),
  }
}

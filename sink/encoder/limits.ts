/** Sizes at which the encoder works well, as measured (see DESIGN.md), and where it refuses. */

/** Bytes of csv or ndjson in one batch: larger ones only cost memory. */
export const BATCH_BYTES = 48_000_000
/** Files of one batch. */
export const PARTITIONS_MAX = 1_000
/** The largest row that is encoded; larger ones are rejected. */
export const ROW_BYTES_MAX = 32 << 20
/** Jobs waiting for one encoder process. */
export const QUEUE_MAX = 256

/** Memory of the process beside the engine's buffers: runtime, libraries, allocator. */
const PROCESS_BYTES = 110_000_000
const ENGINE_BYTES_MIN = 64_000_000
/** What the engine reserves for each column while it works; small batches touch little of it. */
const COLUMN_BYTES = 800_000
/** Columns that are within the plain limit. */
const NARROW_COLUMNS = 32

/** The engine's own limit within the memory given to its process, for a job over so many columns. */
export function engineBytes(memoryBytes: number, columns: number): number {
  const base = Math.max(ENGINE_BYTES_MIN, memoryBytes - PROCESS_BYTES)
  return base + Math.max(0, columns - NARROW_COLUMNS) * COLUMN_BYTES
}

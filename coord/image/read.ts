/** Reading a whole image, held against its tally; and letting go of one that nobody reads any more. */
import { rm } from 'node:fs/promises'
import type { Generation } from './generation.ts'
import { levelError, type Database } from './generation.ts'
import type { ImageRecord } from './image.ts'
import { imageDamaged, MARK_KEY } from './mark.ts'
import { createCounter, EMPTY_TALLY, isSameTally, type Tally } from './tally.ts'

/** A generation and who still reads it. */
export type Shared = { readonly generation: Generation; views: number; isRetired: boolean }

/** Closes and removes a replaced image once its last view is gone. */
export async function retire(shared: Shared): Promise<void> {
  if (!shared.isRetired || shared.views > 0) return
  await shared.generation.database.close()
  await rm(shared.generation.folder, { recursive: true, force: true })
}

const PORTION_RECORDS = 1_000
const PORTION_BYTES = 256 * 1024

/** All records, in portions; throws IMAGE_DAMAGED after the last if they are not what was written. */
export async function* readVerified(
  { database, folder }: Generation,
  snapshot: ReturnType<Database['snapshot']>,
  expected: Tally,
  signal: AbortSignal,
): AsyncGenerator<readonly ImageRecord[]> {
  const counter = createCounter(EMPTY_TALLY)
  const iterator = database.iterator({
    snapshot,
    gt: MARK_KEY,
    highWaterMarkBytes: PORTION_BYTES,
    fillCache: false,
  })
  try {
    for (;;) {
      signal.throwIfAborted()
      const portion = await iterator.nextv(PORTION_RECORDS)
      if (portion.length === 0) break
      yield portion.map(([key, value]) => {
        counter.add(key, value)
        return { key, value }
      })
    }
  } catch (error) {
    throw signal.aborted ? error : levelError(error, folder)
  } finally {
    await iterator.close()
  }
  const found = counter.tally()
  if (isSameTally(found, expected)) return
  const counts = `${found.count} records of ${found.bytes} bytes, where ${expected.count} of ${expected.bytes} were written`
  throw imageDamaged(folder, `its records are not those that were written: ${counts}`)
}

/**
 * Takes a streamed image in. The records go where they will stay while they arrive; at their end the
 * replica is asked whether it still wants them, and only then the new image replaces the old one.
 */
import { HakiriError } from '../../lib/error.ts'
import type { Image, ImageRecord } from '../image/image.ts'
import type { KvLimits } from '../kv/types.ts'
import type { SnapshotMark } from '../raft/types.ts'
import { createStateLoader } from './state.ts'
import type { LoadedState } from './types.ts'

/** Ends an installation that nobody wants any more, from inside its stream. */
class Unwanted extends Error {
  override readonly name = 'Unwanted'
}

/**
 * Undefined if the snapshot is not wanted; then, and when `records` fail, the image is as it was. A
 * failure after `isWanted` said yes is one of the disk.
 */
export async function takeSnapshot(
  image: Image,
  mark: SnapshotMark,
  records: AsyncIterable<readonly ImageRecord[]>,
  limits: KvLimits,
  isWanted: () => boolean,
): Promise<LoadedState | undefined> {
  const loader = createStateLoader(limits)
  let isAccepted = false
  async function* arriving(): AsyncIterable<readonly ImageRecord[]> {
    for await (const portion of records) {
      loader.add(portion)
      yield portion
    }
    if (!isWanted()) throw new Unwanted('the snapshot is not wanted any more')
    isAccepted = true
  }
  try {
    await image.install(mark, arriving())
  } catch (error) {
    if (!isAccepted && isUnwanted(error)) return undefined
    if (!isAccepted || error instanceof HakiriError) throw error
    throw new HakiriError('DISK_FAILED', 'a snapshot could not be installed', { cause: error })
  }
  return loader.finish(mark)
}

function isUnwanted(error: unknown): boolean {
  if (error instanceof Unwanted) return true
  return error instanceof Error && error.cause !== undefined && isUnwanted(error.cause)
}

/** How a member begins: with an empty disk at first, and after each crash from what its disk gives back. */
import { HakiriError } from '../../lib/error.ts'
import type { ImageRecord } from '../../coord/image/image.ts'
import type { KvLimits } from '../../coord/kv/types.ts'
import type { Member } from '../../coord/node/node.ts'
import {
  createStateLoader,
  firstImage,
  firstLog,
  fitLog,
  joiningImage,
} from '../../coord/node/state.ts'
import type { LoadedState, ReplicaStart } from '../../coord/node/types.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import type { WalBatch } from '../../coord/wal/wal.ts'
import type { ImageState } from './image-disk.ts'
import type { Storage } from './storage.ts'

export function loadState(
  limits: KvLimits,
  image: ImageState & { readonly mark: SnapshotMark },
): LoadedState {
  const loader = createStateLoader(limits)
  loader.add(image.records)
  return loader.finish(image.mark)
}

function keepAtOnce(storage: Storage, batch: WalBatch): void {
  storage.wal.append({ kind: 'batch', batch })
  storage.wal.beginFrame()
  storage.wal.completeFrame()
}

/** Writes what a disk holds before the first start; gives what its log holds. */
export function prepareDisk(
  storage: Storage,
  members: readonly Member[],
  joins: boolean,
  records: readonly ImageRecord[],
): WalBatch {
  const { mark, changes } = joins ? joiningImage(members) : firstImage(members)
  const batch = { mark, changes: [...changes, ...records] }
  storage.image.write(batch)
  storage.image.sync()
  const log = firstLog(batch.mark)
  keepAtOnce(storage, log)
  return log
}

/** Undefined if the disk is refused. */
export function startFrom(limits: KvLimits, storage: Storage): ReplicaStart | undefined {
  const recovery = storage.wal.recover()
  const { mark, records } = storage.image.state()
  if (!recovery || !mark) return undefined
  const state = loadState(limits, { mark, records })
  try {
    const fitted = fitLog(recovery, state)
    if (fitted.repair) keepAtOnce(storage, fitted.repair)
    const { hardState, mark: begin, entries } = fitted
    return { hardState, mark: begin, entries, state, formation: storage.formation }
  } catch (error) {
    if (error instanceof HakiriError) return undefined
    throw error
  }
}

/**
 * The durable image of a member's state: batches that are written stay loose until a sync, and a crash
 * may take any number of the loose ones, the newest first (D3). Replacing the whole image is one step
 * that a crash leaves done or undone (D7).
 */
import type { ImageBatch, ImageRecord } from '../../coord/image/image.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import type { Dice } from './random.ts'

export type ImageState = {
  readonly mark: SnapshotMark | undefined
  /** In key order. */
  readonly records: readonly ImageRecord[]
}

export type ImageDisk = {
  write(batch: ImageBatch): void
  sync(): SnapshotMark | undefined
  install(state: ImageState): void
  crash(): void
  /** Everything that was written, loose batches included. */
  state(): ImageState
  /** Marks of images that lie behind: what an operator might put back. */
  older(): readonly ImageState[]
  putBack(state: ImageState): void
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

type Records = Map<string, ImageRecord>

function applyBatch(records: Records, batch: ImageBatch): void {
  for (const { key, value } of batch.changes) {
    const name = latin1(key)
    if (value) records.set(name, { key, value })
    else records.delete(name)
  }
}

function inOrder(records: Records): ImageRecord[] {
  return [...records].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record)
}

const OLDER_MAX = 4

export function createImageDisk(dice: Dice): ImageDisk {
  let safe: Records = new Map()
  let safeMark: SnapshotMark | undefined
  let loose: ImageBatch[] = []
  const behind: ImageState[] = []

  function settle(count: number): void {
    for (const batch of loose.slice(0, count)) {
      applyBatch(safe, batch)
      safeMark = batch.mark
    }
  }
  function adopt({ mark, records }: ImageState): void {
    safe = new Map(records.map((record) => [latin1(record.key), record]))
    safeMark = mark
    loose = []
  }

  return {
    write({ mark, changes }) {
      // What is written is a copy: its memory may serve other ends afterwards.
      const copies = changes.map(({ key, value }) => ({ key: key.slice(), value: value?.slice() }))
      loose.push({ mark, changes: copies })
    },
    sync() {
      if (loose.length > 0 && safeMark && dice.chance(0.3)) {
        behind.push({ mark: safeMark, records: inOrder(safe) })
        if (behind.length > OLDER_MAX) behind.shift()
      }
      settle(loose.length)
      loose = []
      return safeMark
    },
    install(state) {
      adopt(state)
      behind.length = 0
    },
    crash() {
      settle(dice.int(loose.length + 1))
      loose = []
    },
    state() {
      const all = new Map(safe)
      for (const batch of loose) applyBatch(all, batch)
      return { mark: loose.at(-1)?.mark ?? safeMark, records: inOrder(all) }
    },
    older: () => behind,
    putBack: adopt,
  }
}

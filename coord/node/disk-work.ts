/**
 * What a replica wants done on the disk, in the order it must happen there. The log takes batches as
 * fast as they come and syncs them in groups; the image takes one thing after another; and while a
 * snapshot comes in, both wait for it. The first failure ends the node: nothing is tried again.
 */
import { assert } from '../../lib/assert.ts'
import type { Image, ImageView } from '../image/image.ts'
import type { SnapshotMark } from '../raft/types.ts'
import type { Wal } from '../wal/wal.ts'
import type { Effect } from './types.ts'

type Of<K extends Effect['kind']> = Extract<Effect, { readonly kind: K }>

export type DiskWork = {
  persist(effect: Of<'persist'>): void
  image(effect: Of<'image'>): void
  release(effect: Of<'release'>): void
  /** Something with the image that fits between two other things; `work` may take its time. */
  withImage<T>(work: (image: Image) => Promise<T>): Promise<T>
  /** From now on what changes the image waits; until `resume`. */
  holdImage(): void
  /** And what goes into the log: it belongs behind the snapshot that is being installed. */
  holdLog(): void
  /** Goes on; what was meant for an image that is behind `installed` is not written any more. */
  resume(installed: SnapshotMark | undefined): void
  /** A view at or beyond `index`. */
  view(index: number): Promise<ImageView>
  /** Once everything handed in so far is done. */
  drain(): Promise<void>
}

export type DiskEvents = {
  readonly onPersisted: (effect: Of<'persist'>) => void
  readonly onImageWritten: (mark: SnapshotMark, durationMs: number) => void
  readonly onFailure: (error: unknown) => void
}

export function createDiskWork(
  wal: Wal,
  image: Image,
  monotonic: () => number,
  events: DiskEvents,
): DiskWork {
  let logWork: Promise<void> = Promise.resolve()
  let imageWork: Promise<void> = Promise.resolve()
  let isImageHeld = false
  let isLogHeld = false
  let held: Of<'persist' | 'image' | 'release'>[] = []
  let written = image.mark?.index ?? 0

  const enqueue = <T>(work: () => Promise<T>): Promise<T> => {
    const result = imageWork.then(work)
    imageWork = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }
  const watchOver = (work: Promise<void>): void => {
    work.catch(events.onFailure)
  }

  const persist = (effect: Of<'persist'>): void => {
    const { mark, hardState, entries } = effect.batch
    const isEmpty = !mark && !hardState && entries.length === 0
    const durable = isEmpty ? logWork : wal.append(effect.batch)
    logWork = durable.then(() => events.onPersisted(effect))
    watchOver(logWork)
  }
  const writeImage = ({ batch }: Of<'image'>): void =>
    watchOver(
      enqueue(async () => {
        const from = monotonic()
        await image.write(batch)
        written = batch.mark.index
        events.onImageWritten(batch.mark, monotonic() - from)
      }),
    )
  const release = (effect: Of<'release'>): void =>
    watchOver(
      enqueue(async () => {
        const synced = await image.sync()
        if (synced && synced.index >= effect.image) await wal.release(effect.log)
      }),
    )

  const go = (effect: Of<'persist' | 'image' | 'release'>): void => {
    if (effect.kind === 'persist' ? isLogHeld : isImageHeld) held.push(effect)
    else if (effect.kind === 'persist') persist(effect)
    else if (effect.kind === 'image') writeImage(effect)
    else release(effect)
  }

  return {
    persist: go,
    image: go,
    release: go,
    withImage: (work) => enqueue(() => work(image)),
    holdImage() {
      assert(!isImageHeld, 'one snapshot comes in at a time')
      isImageHeld = true
    },
    holdLog() {
      assert(isImageHeld, 'a snapshot is installed that did not come in')
      isLogHeld = true
    },
    resume(installed) {
      isImageHeld = false
      isLogHeld = false
      if (installed) written = installed.index
      const waiting = held
      held = []
      for (const effect of waiting) {
        if (effect.kind !== 'image' || effect.batch.mark.index > (installed?.index ?? 0)) go(effect)
        else events.onImageWritten(effect.batch.mark, 0)
      }
    },
    view: (index) =>
      enqueue(() => {
        assert(written >= index, 'a snapshot is asked for that the image does not hold')
        return image.view()
      }),
    async drain() {
      for (let before: unknown; before !== logWork;) {
        before = logWork
        await logWork.catch(() => undefined)
      }
      for (let before: unknown; before !== imageWork;) {
        before = imageWork
        await imageWork
      }
    },
  }
}

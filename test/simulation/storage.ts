/**
 * What a member's machine keeps, and how long that takes: the log, the image and the note of how the
 * cluster was formed. Syncs may be slow, stall, fail once or meet a full disk (D1, D2, D6).
 */
import type { ImageBatch } from '../../coord/image/image.ts'
import type { Formation } from '../../coord/node/types.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import type { WalItem } from '../../coord/wal/record.ts'
import type { WalBatch } from '../../coord/wal/wal.ts'
import { createImageDisk } from './image-disk.ts'
import type { ImageDisk, ImageState } from './image-disk.ts'
import type { Dice } from './random.ts'
import type { Timeline } from './timeline.ts'
import { createWalDisk } from './wal-disk.ts'
import type { WalDisk } from './wal-disk.ts'

export type StorageHooks = {
  /** The batch cannot be lost any more. */
  readonly synced: (batch: WalBatch) => void
  /** The process ends: it may not go on after this. */
  readonly failed: (why: string) => void
}

export type Storage = {
  readonly wal: WalDisk
  readonly image: ImageDisk
  formation: Formation
  persist(batch: WalBatch, done: () => void): void
  install(state: ImageState & { readonly mark: SnapshotMark }, done: () => void): void
  writeImage(batch: ImageBatch, done: () => void): void
  release(image: number, log: SnapshotMark): void
  form(formation: Formation, done: () => void): void
  /** Everything under way ends: power is gone, or just the process. */
  crash(isPowerLoss: boolean): void
  stall(ms: number): void
  failNextSync(): void
  setFull(isFull: boolean): void
  /** No more faults. */
  calm(): void
  setSyncMs(ms: number): void
}

type Job =
  | { readonly kind: 'log'; readonly item: WalItem; readonly done: () => void }
  | { readonly kind: 'install'; readonly state: ImageState; readonly done: () => void }

export function createStorage(
  timeline: Timeline,
  dice: Dice,
  formation: Formation,
  hooks: StorageHooks,
): Storage {
  const wal = createWalDisk(dice.fork('wal'))
  const image = createImageDisk(dice.fork('image'))
  let jobs: Job[] = []
  let underway: Job[] = []
  let [life, stalledUntil, syncMs, installs] = [0, 0, 1, 0]
  let [isBusy, isFull, isFailing] = [false, false, false]

  function later(ms: number, act: () => void): void {
    const born = life
    const start = Math.max(timeline.now(), stalledUntil) - timeline.now()
    timeline.after(start + ms, () => {
      if (life === born) act()
    })
  }

  function nextJobs(): Job[] {
    const first = jobs[0]!
    if (first.kind === 'install') return jobs.splice(0, 1)
    const end = jobs.findIndex(({ kind }) => kind === 'install')
    return jobs.splice(0, end < 0 ? jobs.length : end)
  }

  function finish(): void {
    for (const job of underway) {
      if (job.kind === 'install') {
        installs++
        image.install(job.state)
      } else if (job.item.kind === 'batch') hooks.synced(job.item.batch)
    }
  }

  function pump(): void {
    if (isBusy || jobs.length === 0) return
    if (isFull) {
      later(0, () => hooks.failed('no space'))
      return
    }
    isBusy = true
    underway = nextJobs()
    for (const job of underway) if (job.kind === 'log') wal.append(job.item)
    if (wal.hasWaiting()) wal.beginFrame()
    later(dice.exponential(syncMs), () => {
      if (isFailing) {
        isFailing = false
        hooks.failed('a sync failed')
        return
      }
      wal.completeFrame()
      finish()
      const done = underway
      underway = []
      isBusy = false
      for (const job of done) job.done()
      pump()
    })
  }

  function enqueue(job: Job): void {
    jobs.push(job)
    pump()
  }

  const storage: Storage = {
    wal,
    image,
    formation,
    persist: (batch, done) => enqueue({ kind: 'log', item: { kind: 'batch', batch }, done }),
    install: (state, done) => enqueue({ kind: 'install', state, done }),
    writeImage(batch, done) {
      const era = installs
      later(dice.exponential(syncMs), () => {
        // An installation that came after it has replaced what it wrote.
        if (era === installs) image.write(batch)
        done()
      })
    },
    release(reach, log) {
      later(dice.exponential(syncMs * 2), () => {
        const mark = image.sync()
        if (!mark || mark.index < reach) return
        enqueue({ kind: 'log', item: { kind: 'release', mark: log }, done: () => undefined })
      })
    },
    form(next, done) {
      later(dice.exponential(syncMs), () => {
        storage.formation = next
        done()
      })
    },
    crash(isPowerLoss) {
      life++
      if (isPowerLoss) {
        wal.crash()
        image.crash()
      } else if (isBusy) {
        wal.completeFrame()
        finish()
      }
      if (!isPowerLoss) image.sync()
      ;[jobs, underway, isBusy] = [[], [], false]
    },
    stall: (ms) => void (stalledUntil = timeline.now() + ms),
    failNextSync: () => void (isFailing = true),
    setFull: (next) => void (isFull = next),
    calm() {
      ;[isFull, isFailing, stalledUntil] = [false, false, 0]
      syncMs = Math.min(syncMs, 1)
    },
    setSyncMs: (ms) => void (syncMs = ms),
  }
  return storage
}

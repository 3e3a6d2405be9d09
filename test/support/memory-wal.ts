/**
 * The log of a coordinator in memory, synchronous, for simulation: the same frames and the same
 * recovery as on a disk, with every sync and every crash in the hands of the test. What `sync` was
 * called for survives; of what was written since, a crash leaves what it is told to leave.
 */
import { assert } from '../../lib/assert.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import { recoverWal, type WalOutcome } from '../../coord/wal/recover.ts'
import type { WalItem } from '../../coord/wal/record.ts'
import type { WalBatch, WalIdentity } from '../../coord/wal/wal.ts'
import {
  createWalWriter,
  firstSegment,
  type WalStart,
  type WalWrite,
} from '../../coord/wal/writer.ts'

/** What a crash leaves of the write that was not synced. */
export type Tear =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'whole' }
  /** Its first bytes only. */
  | { readonly kind: 'prefix'; readonly bytes: number }
  /** Those of its 512-byte sectors, counted from its first, for which `has` says so. */
  | { readonly kind: 'sectors'; readonly has: (nth: number) => boolean }

export type MemoryFile = { readonly name: string; readonly bytes: Uint8Array }

export type MemoryWal = {
  /** Written, not durable. */
  append(batch: WalBatch): void
  release(mark: SnapshotMark): void
  /** Everything written is durable; superfluous segments go. */
  sync(): void
  /** Forgets what was not synced, but for what `tear` leaves; only `recover` may follow. */
  crash(tear?: Tear): void
  /** Reads the disk; if the log is whole it can be written to again. */
  recover(): WalOutcome
  sizeBytes(): number
  /** The disk itself, to be damaged by a test. */
  files(): readonly MemoryFile[]
}

const SECTOR_BYTES = 512
const SEGMENT_BYTES = 65536

/** A new, durable log. */
export function createMemoryWal(
  identity: WalIdentity,
  start: WalStart,
  segmentBytes = SEGMENT_BYTES,
): MemoryWal {
  const disk = new Map<string, Uint8Array>()
  const first = firstSegment(identity, start, segmentBytes)
  let pending: WalItem[] = []
  let isCrashed = false
  const perform = (write: WalWrite, tear: Tear): void => {
    if (write.kind === 'segment') {
      // A segment has its name only once its first frame is durable.
      if (tear.kind !== 'whole') return
      disk.set(write.name, new Uint8Array(write.sizeBytes))
    }
    tearInto(disk.get(write.name)!, write.offset, write.bytes, tear)
  }
  perform(first.write, { kind: 'whole' })
  let writer = createWalWriter(first.tail, segmentBytes)
  const writeOut = (): void => {
    while (pending.length > 0) {
      const write = writer.place(pending)
      perform(write, { kind: 'whole' })
      pending = pending.slice(write.taken)
    }
  }
  return {
    append(batch) {
      assert(!isCrashed, 'a crashed log is recovered first')
      pending.push({ kind: 'batch', batch })
    },
    release(mark) {
      assert(!isCrashed, 'a crashed log is recovered first')
      pending.push({ kind: 'release', mark })
    },
    sync() {
      writeOut()
      for (const name of writer.takeDroppable()) disk.delete(name)
    },
    crash(tear = { kind: 'nothing' }) {
      if (pending.length > 0 && tear.kind !== 'nothing') perform(writer.place(pending), tear)
      pending = []
      isCrashed = true
    },
    recover() {
      const outcome = recoverWal([...disk].map(([name, bytes]) => ({ name, bytes })))
      assert(outcome, 'a log that was created has a segment')
      if (outcome.ok) {
        disk.get(outcome.tail.segments.at(-1)!.name)!.fill(0, outcome.tail.offset)
        writer = createWalWriter(outcome.tail, segmentBytes)
        pending = []
        isCrashed = false
      }
      return outcome
    },
    sizeBytes: () => writer.sizeBytes(),
    files: () => [...disk].map(([name, bytes]) => ({ name, bytes })),
  }
}

/** Puts what a torn write leaves of `bytes` into `file` at `offset`. */
export function tearInto(file: Uint8Array, offset: number, bytes: Uint8Array, tear: Tear): void {
  switch (tear.kind) {
    case 'nothing':
      return
    case 'whole':
      file.set(bytes, offset)
      return
    case 'prefix':
      file.set(bytes.subarray(0, tear.bytes), offset)
      return
    case 'sectors': {
      let nth = 0
      for (let at = 0; at < bytes.length; nth++) {
        const next = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES))
        if (tear.has(nth)) file.set(bytes.subarray(at, next), offset + at)
        at = next
      }
    }
  }
}

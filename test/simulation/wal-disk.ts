/**
 * The disk under a log, byte by byte: batches that wait share one frame, one frame is on its way at a
 * time, and a crash leaves of that frame all, nothing or any part (D3, D4). What a restart finds is read
 * back from these bytes, with damage if there was any (D5).
 */
import { FRAME_HEADER_BYTES, findFrame, frameBytes, sealFrame } from '../../coord/wal/frame.ts'
import type { Chain } from '../../coord/wal/frame.ts'
import { itemBytes, putItem, readRecords } from '../../coord/wal/record.ts'
import type { WalItem, WalRecord } from '../../coord/wal/record.ts'
import type { WalBatch } from '../../coord/wal/wal.ts'
import type { Entry, HardState, SnapshotMark } from '../../coord/raft/types.ts'
import type { Dice } from './random.ts'

/** What a restart finds. */
export type DiskRecovery = {
  readonly hardState: HardState
  readonly mark: SnapshotMark
  readonly entries: readonly Entry[]
  /** The same, as batches: for those who look on. */
  readonly batches: readonly WalBatch[]
  readonly cutBytes: number
}

export type WalDisk = {
  /** Puts an item behind all others; it waits for the next frame. */
  append(item: WalItem): void
  hasWaiting(): boolean
  /** Takes all that waits into one frame and begins to write it; gives its items. */
  beginFrame(): readonly WalItem[]
  /** The frame is safe now. */
  completeFrame(): void
  /** Power goes: the frame on its way may be whole, torn or gone; what waited is gone. */
  crash(): void
  flipBit(): void
  /**
   * A sector is not what was written there: it holds another one's bytes, or what was there before its
   * last frames. Says whether a recovery takes for its log what was never written so; a tail that is cut
   * short is no such thing. `heal` puts it right.
   */
  misread(): { readonly isServed: boolean; readonly heal: () => void }
  /** Undefined if the bytes are refused. */
  recover(): DiskRecovery | undefined
  sizeBytes(): number
}

const SECTOR_BYTES = 512
const EMPTY_MARK: SnapshotMark = {
  index: 0,
  term: 0,
  membership: { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false },
}

export function createWalDisk(dice: Dice): WalDisk {
  let file = new Uint8Array(1 << 16)
  let length = 0
  let chain: Chain = { number: 0, crc: 0 }
  let waiting: WalItem[] = []
  let underway: { readonly bytes: Uint8Array; readonly chain: Chain } | undefined

  function write(bytes: Uint8Array): void {
    if (length + bytes.length > file.length) {
      const grown = new Uint8Array(Math.max(file.length * 2, length + bytes.length))
      grown.set(file.subarray(0, length))
      file = grown
    }
    file.set(bytes, length)
  }

  /** Some sectors made it, some did not; within one, only its beginning may have. */
  function tear(bytes: Uint8Array): Uint8Array {
    const torn = bytes.slice()
    const isInOrder = dice.chance(0.6)
    const cut = dice.int(bytes.length)
    if (isInOrder) return torn.fill(0, cut)
    for (let at = 0; at < torn.length;) {
      const next = Math.min(torn.length, at + SECTOR_BYTES - ((length + at) % SECTOR_BYTES))
      if (dice.chance(0.5)) torn.fill(0, at, next)
      at = next
    }
    return torn
  }

  function frameOf(items: readonly WalItem[]): { bytes: Uint8Array; chain: Chain } {
    const bodyBytes = items.reduce((sum, item) => sum + itemBytes(item), 0)
    const bytes = new Uint8Array(frameBytes(bodyBytes))
    let at = FRAME_HEADER_BYTES
    for (const item of items) at = putItem(bytes, at, item)
    return { bytes, chain: sealFrame(bytes, bodyBytes, chain, length) }
  }

  function misread(): { readonly isServed: boolean; readonly heal: () => void } {
    const good = readFrames(file)
    const whole = file.slice()
    const heal = (): void => file.set(whole)
    const sectors = Math.floor(length / SECTOR_BYTES)
    if (!good || sectors < 2) return { isServed: false, heal }
    const at = dice.int(sectors) * SECTOR_BYTES
    const other = dice.int(sectors) * SECTOR_BYTES
    const isStale = dice.chance(0.5)
    // Bytes are only ever added: what was there before ends where one of the frames begins.
    if (isStale) file.fill(0, at + dice.int(SECTOR_BYTES), at + SECTOR_BYTES)
    else file.copyWithin(at, other, other + SECTOR_BYTES)
    const found = readFrames(file)
    const texts = (records: readonly WalRecord[]): readonly string[] => records.map(recordText)
    const [told, written] = [texts(found?.records ?? []), texts(good.records)]
    const isWrong = told.some((text, place) => text !== written[place])
    const isShort = !!found && told.length < safeRecords(good, at)
    return { isServed: isWrong || isShort, heal }
  }

  return {
    append: (item) => void waiting.push(item),
    hasWaiting: () => waiting.length > 0,
    sizeBytes: () => length,
    beginFrame() {
      const items = waiting
      waiting = []
      underway = frameOf(items)
      return items
    },
    completeFrame() {
      if (!underway) return
      write(underway.bytes)
      length += underway.bytes.length
      chain = underway.chain
      underway = undefined
    },
    crash() {
      waiting = []
      if (!underway) return
      const fate = dice.float()
      if (fate < 0.25) write(underway.bytes)
      else if (fate < 0.75) write(tear(underway.bytes))
      underway = undefined
    },
    flipBit() {
      if (length === 0) return
      const at = dice.int(length)
      file[at] = file[at]! ^ (1 << dice.int(8))
    },
    misread,
    recover() {
      const found = readFrames(file)
      if (!found) return undefined
      file.fill(0, found.length)
      length = found.length
      chain = found.chain
      return { ...fold(found.records), cutBytes: found.cutBytes }
    },
  }
}

/**
 * What a recovery has to give, or refuse, with this sector wrong. The last frame may pass for one that was
 * under way, and with it those before it whose beginning lies in the same sector: nothing is left then
 * that could tell where one ended and the next began.
 */
function safeRecords({ frames, records }: Frames, sector: number): number {
  const last = frames.at(-1)
  if (!last) return records.length
  const isLost = last.at >= sector && last.at < sector + SECTOR_BYTES
  return isLost ? frames.find(({ at }) => at >= sector)!.before : last.before
}

const recordText = (record: WalRecord): string =>
  JSON.stringify(record, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))

type Frames = {
  readonly records: readonly WalRecord[]
  /** Where each frame begins, and how many records stand before it. */
  readonly frames: readonly { readonly at: number; readonly before: number }[]
  readonly length: number
  readonly chain: Chain
  readonly cutBytes: number
}

function readFrames(file: Uint8Array): Frames | undefined {
  const records: WalRecord[] = []
  let chain: Chain = { number: 0, crc: 0 }
  const frames: { at: number; before: number }[] = []
  for (let at = 0; ;) {
    const found = findFrame(file, at, chain)
    if (found.kind === 'end') return { records, frames, length: at, chain, cutBytes: 0 }
    if (found.kind === 'torn') {
      const cutBytes = file.findLastIndex((byte) => byte !== 0) + 1 - at
      return { records, frames, length: at, chain, cutBytes }
    }
    if (found.kind !== 'frame') return undefined
    const read = readRecords(file, found.frame.bodyFrom, found.frame.bodyTo)
    if (!read) return undefined
    frames.push({ at, before: records.length })
    for (const record of read) records.push(record)
    at = found.frame.end
    chain = found.frame.chain
  }
}

const copyOf = (entry: Entry): Entry => ({ ...entry, data: entry.data.slice() })

function fold(records: readonly WalRecord[]): Omit<DiskRecovery, 'cutBytes'> {
  let hardState: HardState = { term: 0, vote: 0n, commit: 0 }
  let mark = EMPTY_MARK
  let entries: Entry[] = []
  for (const record of records) {
    if (record.kind === 'hard-state') hardState = record.hardState
    else if (record.kind === 'entry') {
      entries.length = Math.max(0, Math.min(entries.length, record.entry.index - mark.index - 1))
      entries.push(copyOf(record.entry))
    } else if (record.kind === 'install') {
      mark = record.mark
      entries = []
    } else if (record.kind === 'release' && record.mark.index > mark.index) {
      entries = entries.filter(({ index }) => index > record.mark.index)
      mark = record.mark
    }
  }
  return { hardState, mark, entries, batches: [{ mark, hardState, entries }] }
}

/**
 * Decides what is written where, without writing: items in, one write out. Each write is one frame and
 * has to be durable before the next is asked for.
 */
import { assert } from '../../lib/assert.ts'
import type { HardState, SnapshotMark } from '../raft/types.ts'
import { FRAME_HEADER_BYTES, frameBytes, sealFrame, type Chain } from './frame.ts'
import {
  itemBytes,
  putItem,
  putRecord,
  recordBytes,
  type WalItem,
  type WalRecord,
} from './record.ts'
import type { SegmentState, WalTail } from './recover.ts'
import { segmentName } from './segment.ts'
import type { WalIdentity } from './wal.ts'

export const SEGMENT_BYTES = 16 * 2 ** 20
/** Items share a write up to this size; a larger one has a write of its own. */
const GROUP_BYTES_MAX = 2 ** 20
/** Kept between writes; what is larger is let go. */
const SCRATCH_BYTES_MAX = 256 * 1024

/** One write. `bytes` are only valid until the next. */
export type WalWrite = {
  /** A new segment appears under its name only once its first frame is durable. */
  readonly kind: 'append' | 'segment'
  readonly name: string
  readonly offset: number
  /** The size of the whole segment. */
  readonly sizeBytes: number
  readonly bytes: Uint8Array
  /** How many items, from the front, are inside. */
  readonly taken: number
}

export type WalWriter = {
  place(items: readonly WalItem[]): WalWrite
  /** Segments that a durable release has made superfluous, oldest first; they are forgotten here. */
  takeDroppable(): readonly string[]
  /** Bytes of all segments. */
  sizeBytes(): number
  /** The part of the current segment that is used, from 0 to 1. */
  fill(): number
  tail(): WalTail
}

/** Where a log begins that has nothing yet. */
export type WalStart = { readonly mark: SnapshotMark; readonly hardState: HardState }

/** The first segment of a new log, to be made durable before it is used. */
export function firstSegment(
  identity: WalIdentity,
  { mark, hardState }: WalStart,
  segmentBytes: number,
): { readonly write: WalWrite; readonly tail: WalTail } {
  const writer = createWalWriter(
    {
      identity,
      chain: { number: 0, crc: 0 },
      sequence: 0,
      offset: 0,
      segments: [],
      mark,
      hardState,
      lastIndex: mark.index,
    },
    segmentBytes,
  )
  const write = writer.place([])
  return { write, tail: writer.tail() }
}

type State = {
  readonly identity: WalIdentity
  readonly segmentBytes: number
  chain: Chain
  sequence: number
  offset: number
  segments: SegmentState[]
  mark: SnapshotMark
  hardState: HardState
  lastIndex: number
  scratch: Buffer
}

/** Takes up where `tail` says; every frame it makes follows the one before. */
export function createWalWriter(tail: WalTail, segmentBytes = SEGMENT_BYTES): WalWriter {
  const state: State = {
    ...tail,
    segments: [...tail.segments],
    segmentBytes,
    scratch: Buffer.alloc(0),
  }
  return {
    place: (items) => place(state, items),
    takeDroppable: () => takeDroppable(state),
    sizeBytes: () => state.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    fill: () => state.offset / (state.segments.at(-1)?.sizeBytes ?? 1),
    tail: () => {
      const { identity, chain, sequence, offset, mark, hardState, lastIndex } = state
      const segments = [...state.segments]
      return { identity, chain, sequence, offset, segments, mark, hardState, lastIndex }
    },
  }
}

function place(state: State, items: readonly WalItem[]): WalWrite {
  const current = state.segments.at(-1)
  const room = current ? current.sizeBytes - state.offset : 0
  const first = items[0]
  if (current && frameBytes(first ? itemBytes(first) : 0) <= room) {
    const { taken, bodyBytes } = fit(items, 0, room)
    const bytes = frame(state, undefined, items, taken, bodyBytes, state.offset)
    const write = { kind: 'append', name: current.name, offset: state.offset, bytes } as const
    state.offset += bytes.length
    return { ...write, sizeBytes: current.sizeBytes, taken }
  }
  const { identity, mark, hardState, lastIndex } = state
  const sequence = state.sequence + 1
  const head: WalRecord = { kind: 'head', head: { identity, sequence, mark, hardState, lastIndex } }
  const { taken, bodyBytes } = fit(items, recordBytes(head), state.segmentBytes)
  const name = segmentName({ sequence, firstIndex: lastIndex + 1 })
  const sizeBytes = Math.max(state.segmentBytes, frameBytes(bodyBytes))
  state.sequence = sequence
  state.segments.push({ name, sizeBytes, highestIndex: 0 })
  const bytes = frame(state, head, items, taken, bodyBytes, 0)
  state.offset = bytes.length
  return { kind: 'segment', name, offset: 0, sizeBytes, bytes, taken }
}

/** How many items go together: the first always, others while there is room. */
function fit(
  items: readonly WalItem[],
  headBytes: number,
  room: number,
): { readonly taken: number; readonly bodyBytes: number } {
  const bytesMax = Math.min(room, GROUP_BYTES_MAX)
  let bodyBytes = headBytes
  let taken = 0
  for (const item of items) {
    const next = bodyBytes + itemBytes(item)
    if (taken > 0 && frameBytes(next) > bytesMax) break
    bodyBytes = next
    taken++
  }
  return { taken, bodyBytes }
}

function frame(
  state: State,
  head: WalRecord | undefined,
  items: readonly WalItem[],
  taken: number,
  bodyBytes: number,
  offset: number,
): Uint8Array {
  const bytes = scratch(state, frameBytes(bodyBytes))
  let at = FRAME_HEADER_BYTES
  if (head) at = putRecord(bytes, at, head)
  for (let nth = 0; nth < taken; nth++) {
    const item = items[nth]!
    note(state, item)
    at = putItem(bytes, at, item)
  }
  assert(at === FRAME_HEADER_BYTES + bodyBytes, 'a frame has the size that was reckoned')
  state.chain = sealFrame(bytes, bodyBytes, state.chain, offset)
  return bytes
}

function scratch(state: State, size: number): Buffer {
  if (size > SCRATCH_BYTES_MAX) return Buffer.allocUnsafeSlow(size)
  if (size > state.scratch.length)
    state.scratch = Buffer.allocUnsafeSlow(Math.min(SCRATCH_BYTES_MAX, 2 * size))
  return state.scratch.subarray(0, size)
}

/** Follows what the log holds, and refuses what would break it. */
function note(state: State, item: WalItem): void {
  if (item.kind === 'close') return
  if (item.kind === 'release') {
    assert(item.mark.index <= state.lastIndex, 'only what is in the log is released')
    // A snapshot may have been installed since it was asked for.
    if (item.mark.index > state.mark.index) state.mark = item.mark
    return
  }
  const { mark, hardState, entries } = item.batch
  if (mark) {
    state.mark = mark
    state.lastIndex = mark.index
  }
  if (hardState) {
    assertForward(state.hardState, hardState)
    state.hardState = hardState
  }
  for (const { index } of entries) {
    assert(index > state.mark.index, `entry ${index} is at or before the mark ${state.mark.index}`)
    assert(index <= state.lastIndex + 1, `entry ${index} leaves a gap after ${state.lastIndex}`)
    state.lastIndex = index
  }
  const segment = state.segments.at(-1)
  const highest = entries.reduce((most, { index }) => Math.max(most, index), 0)
  if (segment && highest > segment.highestIndex)
    state.segments[state.segments.length - 1] = { ...segment, highestIndex: highest }
}

/** R5: neither term nor commit goes back, and a vote once given in a term stays. */
function assertForward(before: HardState, after: HardState): void {
  assert(after.term >= before.term, `term ${before.term} goes back to ${after.term}`)
  assert(after.commit >= before.commit, `commit ${before.commit} goes back to ${after.commit}`)
  const isVoteKept = before.vote === 0n || before.vote === after.vote
  assert(after.term > before.term || isVoteKept, `a vote in term ${after.term} is changed`)
}

function takeDroppable(state: State): readonly string[] {
  let count = 0
  while (
    count < state.segments.length - 1 &&
    state.segments[count]!.highestIndex <= state.mark.index
  )
    count++
  return state.segments.splice(0, count).map(({ name }) => name)
}

/**
 * From the bytes of the segments to what the log holds, or to what is wrong with them. Everything that
 * was acknowledged comes back, or nothing does: only a torn last frame of the last segment is left out.
 */
import { assert } from '../../lib/assert.ts'
import type { Entry, HardState, SnapshotMark } from '../raft/types.ts'
import { findFrame, type Chain, type Frame } from './frame.ts'
import { readRecords, type WalHead, type WalRecord } from './record.ts'
import { parseSegmentName } from './segment.ts'
import type { WalIdentity, WalRecovery } from './wal.ts'

/** What is wrong, and where. */
export type WalDamage = {
  readonly kind: 'damaged' | 'newer'
  readonly file: string
  readonly offset: number
  readonly reason: string
}

/** A segment and the highest index that was ever written to it. */
export type SegmentState = {
  readonly name: string
  readonly sizeBytes: number
  readonly highestIndex: number
}

/** Where a writer takes up: behind the last whole frame. */
export type WalTail = {
  readonly identity: WalIdentity
  readonly chain: Chain
  readonly sequence: number
  readonly offset: number
  /** Oldest first; the last is the one to write to. */
  readonly segments: readonly SegmentState[]
  readonly mark: SnapshotMark
  readonly hardState: HardState
  readonly lastIndex: number
}

export type WalOutcome =
  | { readonly ok: true; readonly recovery: WalRecovery; readonly tail: WalTail }
  | { readonly ok: false; readonly damage: WalDamage }

/** Takes the segments one by one, so that they need not be in memory together. */
export type Recoverer = {
  /** In the order of their names. Keeps no part of `bytes`. */
  add(name: string, bytes: Uint8Array, isLast: boolean): void
  finish(): WalOutcome
}

/** Recovers from all segments at once; order and other files in the list do not matter. */
export function recoverWal(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
): WalOutcome | undefined {
  const segments = files
    .filter(({ name }) => parseSegmentName(name))
    .toSorted((a, b) => compareSegments(a.name, b.name))
  if (segments.length === 0) return undefined
  const recoverer = createRecoverer()
  segments.forEach(({ name, bytes }, nth) => {
    recoverer.add(name, bytes, nth === segments.length - 1)
  })
  return recoverer.finish()
}

export function compareSegments(a: string, b: string): number {
  return (parseSegmentName(a)?.sequence ?? 0) - (parseSegmentName(b)?.sequence ?? 0)
}

type State = {
  damage: WalDamage | undefined
  head: WalHead | undefined
  chain: Chain | undefined
  sequence: number
  offset: number
  cutBytes: number
  segments: SegmentState[]
  mark: SnapshotMark
  hardState: HardState
  /** Index of the first of `entries`, or of the next entry if there is none. */
  base: number
  entries: Entry[]
}

export function createRecoverer(): Recoverer {
  const state: State = {
    damage: undefined,
    head: undefined,
    chain: undefined,
    sequence: 0,
    offset: 0,
    cutBytes: 0,
    segments: [],
    mark: { index: 0, term: 0, membership: NO_MEMBERSHIP },
    hardState: { term: 0, vote: 0n, commit: 0 },
    base: 1,
    entries: [],
  }
  return {
    add(name, bytes, isLast) {
      if (!state.damage) state.damage = addSegment(state, name, bytes, isLast)
    },
    finish: () => finish(state),
  }
}

const NO_MEMBERSHIP = {
  voters: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
}

function addSegment(
  state: State,
  name: string,
  bytes: Uint8Array,
  isLast: boolean,
): WalDamage | undefined {
  const wrong = (
    offset: number,
    reason: string,
    kind: WalDamage['kind'] = 'damaged',
  ): WalDamage => ({ kind, file: name, offset, reason })
  const sequence = parseSegmentName(name)?.sequence ?? 0
  if (state.head && sequence !== state.sequence + 1)
    return wrong(0, `the segment before it, number ${sequence - 1}, is missing`)
  state.sequence = sequence
  let highestIndex = 0
  let offset = 0
  for (;;) {
    const found = findFrame(bytes, offset, state.chain)
    if (found.kind === 'damaged') return wrong(offset, found.reason)
    if (found.kind === 'newer')
      return wrong(offset, `its format ${found.version} is newer than this Hakiri`, 'newer')
    if (found.kind !== 'frame') {
      if (offset === 0) return wrong(0, 'it has no whole frame')
      if (found.kind === 'torn' && !isLast) return wrong(offset, 'it ends in a broken frame')
      if (found.kind === 'torn') state.cutBytes = lastNonZero(bytes) + 1 - offset
      break
    }
    const records = readRecords(bytes, found.frame.bodyFrom, found.frame.bodyTo)
    const reason = records ? addFrame(state, records, offset === 0, found.frame) : 'unreadable'
    if (reason !== undefined || !records) return wrong(offset, `a frame is ${reason}`)
    for (const record of records)
      if (record.kind === 'entry') highestIndex = Math.max(highestIndex, record.entry.index)
    offset = found.frame.end
  }
  state.offset = offset
  state.segments.push({ name, sizeBytes: bytes.length, highestIndex })
  packEntries(state, bytes)
  return undefined
}

/** Applies the records of a frame; gives what is wrong with them. */
function addFrame(
  state: State,
  records: readonly WalRecord[],
  isFirst: boolean,
  frame: Frame,
): string | undefined {
  for (const [nth, record] of records.entries()) {
    if ((record.kind === 'head') !== (isFirst && nth === 0)) return 'out of place'
    const reason = addRecord(state, record)
    if (reason) return reason
  }
  if (isFirst && records.length === 0) return 'without its head'
  state.chain = frame.chain
  return undefined
}

function addRecord(state: State, record: WalRecord): string | undefined {
  switch (record.kind) {
    case 'head':
      return addHead(state, record.head)
    case 'hard-state':
      state.hardState = record.hardState
      return undefined
    case 'entry':
      return addEntry(state, record.entry)
    case 'install':
      state.mark = record.mark
      state.base = record.mark.index + 1
      state.entries = []
      return undefined
    case 'release':
      release(state, record.mark)
      return undefined
    case 'close':
      return undefined
  }
}

function addHead(state: State, head: WalHead): string | undefined {
  const lastIndex = state.base + state.entries.length - 1
  if (head.sequence !== state.sequence) return 'of another segment'
  if (!state.head) {
    state.mark = head.mark
    state.hardState = head.hardState
    state.base = head.lastIndex + 1
  } else if (!isSameIdentity(head.identity, state.head.identity)) return 'of another log'
  else if (head.lastIndex !== lastIndex) return `for index ${head.lastIndex}, not ${lastIndex}`
  state.head = head
  return undefined
}

/** Entries replace from their index on; one below all that is held replaces all of it. */
function addEntry(state: State, entry: Entry): string | undefined {
  const next = state.base + state.entries.length
  if (entry.index > next) return `for index ${entry.index}, where ${next} is next`
  if (entry.index < state.base) {
    state.base = entry.index
    state.entries = []
  } else state.entries.length = entry.index - state.base
  state.entries.push(entry)
  return undefined
}

function release(state: State, mark: SnapshotMark): void {
  if (mark.index <= state.mark.index) return
  state.mark = mark
  if (mark.index < state.base) return
  state.entries = state.entries.slice(mark.index + 1 - state.base)
  state.base = mark.index + 1
}

export function isSameIdentity(a: WalIdentity, b: WalIdentity): boolean {
  return a.clusterId === b.clusterId && a.memberId === b.memberId
}

function lastNonZero(bytes: Uint8Array): number {
  let at = bytes.length - 1
  while (at >= 0 && bytes[at] === 0) at--
  return at
}

const PACK_BYTES = 65536

/** Moves the data of new entries out of the segment's buffer, so that it can go. */
function packEntries(state: State, segment: Uint8Array): void {
  let pack = Buffer.alloc(0)
  let used = 0
  for (let nth = 0; nth < state.entries.length; nth++) {
    const entry = state.entries[nth]!
    if (entry.data.buffer !== segment.buffer) continue
    const { length } = entry.data
    if (length > pack.length - used) {
      pack = Buffer.allocUnsafeSlow(Math.max(PACK_BYTES, length))
      used = 0
    }
    pack.set(entry.data, used)
    state.entries[nth] = { ...entry, data: pack.subarray(used, used + length) }
    used += length
  }
}

function finish(state: State): WalOutcome {
  const { damage, head, chain, mark, hardState, entries } = state
  if (damage) return { ok: false, damage }
  assert(head && chain, 'a log has a first segment')
  if (mark.index < state.base - 1) {
    const reason = `entries ${mark.index + 1} to ${state.base - 1} are missing: older segments are gone`
    const file = state.segments[0]?.name ?? ''
    return { ok: false, damage: { kind: 'damaged', file, offset: 0, reason } }
  }
  const { identity } = head
  const tail = {
    identity,
    chain,
    sequence: state.sequence,
    offset: state.offset,
    segments: state.segments,
    mark,
    hardState,
    lastIndex: state.base + entries.length - 1,
  }
  const recovery = { identity, hardState, mark, entries, cutBytes: state.cutBytes }
  return { ok: true, recovery, tail }
}

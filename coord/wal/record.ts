/**
 * The records inside a frame: `type u8 | length u32 | payload`. A frame's checksum covers them, so a
 * record that cannot be read is a bug or a newer format, never a torn write.
 */
import type { Entry, EntryKind, HardState, Membership, SnapshotMark } from '../raft/types.ts'
import { getId, getU32, getU53, putId, putU32, putU53 } from './bytes.ts'
import type { WalBatch, WalIdentity } from './wal.ts'

/** What each segment begins with, so that those before it may go. */
export type WalHead = {
  readonly identity: WalIdentity
  readonly sequence: number
  readonly mark: SnapshotMark
  readonly hardState: HardState
  /** The last entry of the log when the segment was begun; its own first entry follows, or replaces. */
  readonly lastIndex: number
}

export type WalRecord =
  | { readonly kind: 'head'; readonly head: WalHead }
  | { readonly kind: 'hard-state'; readonly hardState: HardState }
  | { readonly kind: 'entry'; readonly entry: Entry }
  /** The log begins anew after the mark. */
  | { readonly kind: 'install'; readonly mark: SnapshotMark }
  /** Entries up to the mark are not needed any more; later ones stay. */
  | { readonly kind: 'release'; readonly mark: SnapshotMark }
  /** The log was closed in order. */
  | { readonly kind: 'close' }

/** One thing that a caller wants in the log. */
export type WalItem =
  | { readonly kind: 'batch'; readonly batch: WalBatch }
  | { readonly kind: 'release'; readonly mark: SnapshotMark }
  | { readonly kind: 'close' }

const TYPE = { head: 1, 'hard-state': 2, entry: 3, install: 4, release: 5, close: 6 } as const
const ENTRY_KINDS: readonly EntryKind[] = ['empty', 'command', 'membership']
const PREFIX_BYTES = 5
const HARD_STATE_BYTES = 24
const ENTRY_BYTES = 17

/** Bytes that the records of an item take. */
export function itemBytes(item: WalItem): number {
  switch (item.kind) {
    case 'batch':
      return batchBytes(item.batch)
    case 'release':
      return recordBytes(item)
    case 'close':
      return PREFIX_BYTES
  }
}

function batchBytes({ mark, hardState, entries }: WalBatch): number {
  let bytes = mark ? PREFIX_BYTES + markBytes(mark) : 0
  if (hardState) bytes += PREFIX_BYTES + HARD_STATE_BYTES
  for (const entry of entries) bytes += PREFIX_BYTES + ENTRY_BYTES + entry.data.length
  return bytes
}

/** Writes the records of an item; gives the place after them. */
export function putItem(bytes: Uint8Array, at: number, item: WalItem): number {
  if (item.kind !== 'batch') return putRecord(bytes, at, item)
  const { mark, hardState, entries } = item.batch
  if (mark) at = putRecord(bytes, at, { kind: 'install', mark })
  if (hardState) at = putRecord(bytes, at, { kind: 'hard-state', hardState })
  for (const entry of entries) at = putEntry(bytes, at, entry)
  return at
}

/** Bytes that a record takes. */
export function recordBytes(record: WalRecord): number {
  switch (record.kind) {
    case 'head':
      return PREFIX_BYTES + 32 + HARD_STATE_BYTES + markBytes(record.head.mark)
    case 'hard-state':
      return PREFIX_BYTES + HARD_STATE_BYTES
    case 'entry':
      return PREFIX_BYTES + ENTRY_BYTES + record.entry.data.length
    case 'install':
    case 'release':
      return PREFIX_BYTES + markBytes(record.mark)
    case 'close':
      return PREFIX_BYTES
  }
}

/** Writes a record; gives the place after it. */
export function putRecord(bytes: Uint8Array, at: number, record: WalRecord): number {
  if (record.kind === 'entry') return putEntry(bytes, at, record.entry)
  bytes[at] = TYPE[record.kind]
  putU32(bytes, at + 1, recordBytes(record) - PREFIX_BYTES)
  at += PREFIX_BYTES
  switch (record.kind) {
    case 'head':
      return putHead(bytes, at, record.head)
    case 'hard-state':
      return putHardState(bytes, at, record.hardState)
    case 'install':
    case 'release':
      return putMark(bytes, at, record.mark)
    case 'close':
      return at
  }
}

function putEntry(bytes: Uint8Array, at: number, { term, index, kind, data }: Entry): number {
  bytes[at] = TYPE.entry
  putU32(bytes, at + 1, ENTRY_BYTES + data.length)
  bytes[at + 5] = ENTRY_KINDS.indexOf(kind)
  putU53(bytes, at + 6, term)
  putU53(bytes, at + 14, index)
  bytes.set(data, at + PREFIX_BYTES + ENTRY_BYTES)
  return at + PREFIX_BYTES + ENTRY_BYTES + data.length
}

function putHead(bytes: Uint8Array, at: number, head: WalHead): number {
  putId(bytes, at, head.identity.clusterId)
  putId(bytes, at + 8, head.identity.memberId)
  putU53(bytes, at + 16, head.sequence)
  putU53(bytes, at + 24, head.lastIndex)
  return putMark(bytes, putHardState(bytes, at + 32, head.hardState), head.mark)
}

function putHardState(bytes: Uint8Array, at: number, { term, vote, commit }: HardState): number {
  putU53(bytes, at, term)
  putId(bytes, at + 8, vote)
  putU53(bytes, at + 16, commit)
  return at + HARD_STATE_BYTES
}

const memberLists = (membership: Membership): readonly (readonly bigint[])[] => [
  membership.voters,
  membership.outgoing,
  membership.learners,
  membership.learnersNext,
]

function markBytes({ membership }: SnapshotMark): number {
  return memberLists(membership).reduce((bytes, ids) => bytes + 4 + 8 * ids.length, 17)
}

function putMark(bytes: Uint8Array, at: number, mark: SnapshotMark): number {
  putU53(bytes, at, mark.index)
  putU53(bytes, at + 8, mark.term)
  bytes[at + 16] = mark.membership.autoLeave ? 1 : 0
  at += 17
  for (const ids of memberLists(mark.membership)) {
    putU32(bytes, at, ids.length)
    at += 4
    for (const id of ids) {
      putId(bytes, at, id)
      at += 8
    }
  }
  return at
}

/** The records in `bytes[from, to)`; undefined if they are not in this format. Data is not copied. */
export function readRecords(
  bytes: Uint8Array,
  from: number,
  to: number,
): readonly WalRecord[] | undefined {
  const records: WalRecord[] = []
  for (let at = from; at < to;) {
    if (at + PREFIX_BYTES > to) return undefined
    const end = at + PREFIX_BYTES + getU32(bytes, at + 1)
    const record = end <= to ? readRecord(bytes, at, end) : undefined
    if (!record) return undefined
    records.push(record)
    at = end
  }
  return records
}

function readRecord(bytes: Uint8Array, at: number, end: number): WalRecord | undefined {
  const from = at + PREFIX_BYTES
  const type = bytes[at]
  if (type === TYPE.entry) {
    const entry = readEntry(bytes, from, end)
    return entry && { kind: 'entry', entry }
  }
  if (type === TYPE.head) {
    const head = readHead(bytes, from, end)
    return head && { kind: 'head', head }
  }
  if (type === TYPE['hard-state']) {
    const hardState = readHardState(bytes, from, end)
    return hardState && { kind: 'hard-state', hardState }
  }
  if (type === TYPE.install || type === TYPE.release) {
    const mark = readMark(bytes, from, end)
    return mark && { kind: type === TYPE.install ? 'install' : 'release', mark }
  }
  return type === TYPE.close ? { kind: 'close' } : undefined
}

function readEntry(bytes: Uint8Array, at: number, end: number): Entry | undefined {
  if (end - at < ENTRY_BYTES) return undefined
  const kind = ENTRY_KINDS[bytes[at]!]
  const term = getU53(bytes, at + 1)
  const index = getU53(bytes, at + 9)
  if (kind === undefined || term === undefined || index === undefined) return undefined
  return { term, index, kind, data: bytes.subarray(at + ENTRY_BYTES, end) }
}

function readHead(bytes: Uint8Array, at: number, end: number): WalHead | undefined {
  if (end - at < 32 + HARD_STATE_BYTES) return undefined
  const sequence = getU53(bytes, at + 16)
  const lastIndex = getU53(bytes, at + 24)
  const hardState = readHardState(bytes, at + 32, end)
  const mark = readMark(bytes, at + 32 + HARD_STATE_BYTES, end)
  if (sequence === undefined || lastIndex === undefined || !hardState || !mark) return undefined
  const identity = { clusterId: getId(bytes, at), memberId: getId(bytes, at + 8) }
  return { identity, sequence, lastIndex, hardState, mark }
}

function readHardState(bytes: Uint8Array, at: number, end: number): HardState | undefined {
  if (end - at < HARD_STATE_BYTES) return undefined
  const term = getU53(bytes, at)
  const commit = getU53(bytes, at + 16)
  if (term === undefined || commit === undefined) return undefined
  return { term, vote: getId(bytes, at + 8), commit }
}

function readMark(bytes: Uint8Array, at: number, end: number): SnapshotMark | undefined {
  if (end - at < 17) return undefined
  const index = getU53(bytes, at)
  const term = getU53(bytes, at + 8)
  const autoLeave = bytes[at + 16] === 1
  at += 17
  const lists: bigint[][] = []
  for (let list = 0; list < 4; list++) {
    const count = at + 4 <= end ? getU32(bytes, at) : Infinity
    at += 4
    if (at + 8 * count > end) return undefined
    lists.push(Array.from({ length: count }, (_, nth) => getId(bytes, at + 8 * nth)))
    at += 8 * count
  }
  const [voters = [], outgoing = [], learners = [], learnersNext = []] = lists
  if (index === undefined || term === undefined) return undefined
  return { index, term, membership: { voters, outgoing, learners, learnersNext, autoLeave } }
}

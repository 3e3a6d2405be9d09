/**
 * The state between two lives of a process: out of an image, into the first image of a new cluster,
 * and how image and log fit together after a crash.
 */
import { HakiriError } from '../../lib/error.ts'
import { createKvLoader } from '../kv/store.ts'
import type { KvLimits } from '../kv/types.ts'
import type { ImageBatch, ImageRecord } from '../image/image.ts'
import { leapRecord } from '../kv/image-records.ts'
import type { Entry, HardState, Membership, SnapshotMark } from '../raft/types.ts'
import { NOBODY } from '../raft/types.ts'
import type { WalBatch } from '../wal/wal.ts'
import type { Member } from './node.ts'
import { memberRecord, readMemberRecord } from './member-table.ts'
import { readLevel } from './level.ts'
import { readOrigin } from './origins.ts'
import { FIRST_LEVEL } from './protocol.ts'
import type { LoadedState, StateLoader } from './types.ts'

/** The first byte of the records that are the node's own; all others are the store's. */
const NODE_RECORD = 1

export function createStateLoader(limits: KvLimits): StateLoader {
  const kv = createKvLoader(limits)
  const members = new Map<bigint, Member>()
  const removed = new Set<bigint>()
  const origins = new Map<number, { readonly seq: number; readonly index: number }>()
  let level = FIRST_LEVEL
  return {
    add(records) {
      const own = records.filter(({ key }) => key[0] === NODE_RECORD)
      kv.add(own.length === 0 ? records : records.filter(({ key }) => key[0] !== NODE_RECORD))
      for (const { key, value } of own) {
        const origin = readOrigin(key, value)
        const member = origin ? undefined : readMemberRecord(key, value)
        if (origin) origins.set(...origin)
        else if (member && 'member' in member) members.set(member.member.id, member.member)
        else if (member) removed.add(member.removed)
        else level = readLevel(key, value) ?? level
      }
    },
    finish: (mark) => ({ mark, store: kv.finish(), members, removed, origins, level }),
  }
}

const NO_MEMBERS: Membership = {
  voters: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
}

/**
 * A cluster begins at index 1 and term 1, with a membership that no log entry has brought. A member
 * that joins begins at 0 and so never takes entries for the whole story: it is sent an image first.
 */
export function firstImage(members: readonly Member[]): ImageBatch {
  const voters = members.map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1))
  return {
    mark: { index: 1, term: 1, membership: { ...NO_MEMBERS, voters } },
    changes: members.map(memberRecord),
  }
}

/** What a member that joins knows: where the others are. Its own membership comes with its first image. */
export function joiningImage(members: readonly Member[]): ImageBatch {
  const mark = { index: 0, term: 0, membership: NO_MEMBERS }
  return { mark, changes: members.map(memberRecord) }
}

/** The log of a member whose image stands at `mark` and that has not voted or acknowledged anything. */
export function firstLog(mark: SnapshotMark): WalBatch & { readonly hardState: HardState } {
  const hardState = { term: mark.term, vote: NOBODY, commit: mark.index }
  return { mark, hardState, entries: [] }
}

/** What of a backup goes into a new cluster: members and commands seen are that cluster's own. */
export function carryOver(records: readonly ImageRecord[], leapBy: number): readonly ImageRecord[] {
  return records
    .filter(({ key }) => key[0] !== NODE_RECORD)
    .map((record) => leapRecord(record, leapBy))
}

type Log = {
  readonly mark: SnapshotMark
  readonly hardState: HardState
  readonly entries: readonly Entry[]
}

/**
 * Fits the log to the image. The image is never behind the log's mark; where it is ahead of all that
 * the log holds, or of another history, a snapshot was installed and the log begins anew: `repair`.
 */
export function fitLog(
  log: Log,
  { mark }: Pick<LoadedState, 'mark'>,
): Log & { readonly repair: WalBatch | undefined } {
  if (mark.index < log.mark.index)
    throw new HakiriError(
      'IMAGE_DAMAGED',
      `the image ends at index ${mark.index}, but the log begins only after ${log.mark.index}`,
      { suggestion: 'Replace this member: hakiri ctl member replace.' },
    )
  const at =
    mark.index === log.mark.index
      ? log.mark.term
      : log.entries[mark.index - log.mark.index - 1]?.term
  if (at === mark.term) {
    const begin = { ...log.mark, membership: mark.membership }
    return { ...log, mark: begin, repair: undefined }
  }
  const { term, vote } = log.hardState
  const isOlder = term < mark.term
  const hardState: HardState = {
    term: isOlder ? mark.term : term,
    vote: isOlder ? NOBODY : vote,
    commit: mark.index,
  }
  return { mark, hardState, entries: [], repair: { mark, hardState, entries: [] } }
}

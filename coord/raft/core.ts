/**
 * The whole state of one member, and the few things every part does with it: sending, and moving the
 * commit index. The state belongs to one `Raft` and changes only within its calls.
 */
import { assert } from '../../lib/assert.ts'
import { appendEntries, createLog, entriesBetween, entryBytes, lastIndex, lastTerm } from './log.ts'
import type { Log } from './log.ts'
import { isVoter } from './membership.ts'
import type { Progress } from './progress.ts'
import { NOBODY } from './types.ts'
import type {
  Entry,
  EntryKind,
  HardState,
  MemberId,
  Membership,
  Message,
  RaftConfig,
  RaftStart,
  Role,
  SnapshotMark,
} from './types.ts'

/** Who asked for a read, and under which context the answer is expected. */
export type ReadRequest = { readonly from: MemberId; readonly context: number }
/** Reads that share one question to the quorum, or to the leader. */
export type ReadRound = {
  readonly context: number
  readonly index: number
  readonly requests: readonly ReadRequest[]
}

export type Core = {
  readonly config: RaftConfig
  readonly self: MemberId
  role: Role
  term: number
  vote: MemberId
  leader: MemberId
  commit: number
  /** Handed out to be applied; and reported as applied. */
  appliedHanded: number
  applied: number
  readonly log: Log
  /** As of the last membership entry that was applied. */
  membership: Membership

  /** Ticks since the start, and when a leader was last heard. */
  nowTick: number
  contactTick: number
  electionElapsed: number
  electionTimeout: number
  heartbeatElapsed: number

  /** Answers to this member's candidacy, its own included once that may count. */
  readonly votes: Map<MemberId, boolean>

  /** Leader only: all members but this one. */
  readonly followers: Map<MemberId, Progress>
  transferee: MemberId
  transferElapsed: number
  uncommittedBytes: number
  /** The last membership entry in the log that may not be applied yet. */
  changeIndex: number
  /** A leader whose own vote is gone leads until this is committed without it; 0 otherwise. */
  leavingIndex: number

  /** Reads that wait for a round, and rounds that wait for an answer, oldest first. */
  readsWaiting: ReadRequest[]
  readonly readRounds: ReadRound[]
  readTick: number
  nextContext: number

  /** What the next portion will hold. */
  portion: number
  snapshot: SnapshotMark | undefined
  messages: Message[]
  messagesAfterSync: Message[]
  readsDone: { readonly context: number; readonly index: number }[]
  readsFailed: number[]
  /** As last handed to the driver, by portion until durable; the newest durable one. */
  handed: HardState
  readonly handedVotes: { readonly portion: number; readonly hardState: HardState }[]
  durable: HardState
}

export function createCore(config: RaftConfig, start: RaftStart): Core {
  const log = createLog(start.mark, start.entries)
  const { hardState, mark, applied } = start
  assert(config.firstContext > 0, 'read contexts count from 1')
  // A newcomer that replayed the log from its start would count with its own idea of the founders.
  const isNewcomer = mark.membership.voters.length === 0
  assert(isNewcomer === (applied === 0), 'founders begin at 1, and a newcomer with a snapshot')
  assert(applied >= mark.index && applied <= lastIndex(log), 'the log does not reach the image')
  const commit = Math.max(hardState.commit, applied)
  assert(commit <= lastIndex(log), 'R5: committed entries are missing from the log')
  // A crash between installing a snapshot and noting its term leaves a log that is ahead of the vote.
  const isBehind = hardState.term < lastTerm(log)
  const term = isBehind ? lastTerm(log) : hardState.term
  const vote = isBehind ? NOBODY : hardState.vote
  return {
    config,
    self: config.self,
    role: 'follower',
    term,
    vote,
    leader: NOBODY,
    commit,
    appliedHanded: applied,
    applied,
    log,
    membership: mark.membership,
    nowTick: 0,
    contactTick: 0,
    electionElapsed: 0,
    electionTimeout: drawElectionTimeout(config),
    heartbeatElapsed: 0,
    votes: new Map(),
    followers: new Map(),
    transferee: NOBODY,
    transferElapsed: 0,
    uncommittedBytes: 0,
    changeIndex: 0,
    leavingIndex: 0,
    readsWaiting: [],
    readRounds: [],
    readTick: 0,
    nextContext: config.firstContext,
    portion: 0,
    snapshot: undefined,
    messages: [],
    messagesAfterSync: [],
    readsDone: [],
    readsFailed: [],
    handed: hardState,
    handedVotes: [],
    durable: hardState,
  }
}

/** A fresh lot for each candidacy and each term, so that ties do not repeat. */
export function drawElectionTimeout({ electionTicks, random }: RaftConfig): number {
  return electionTicks + Math.floor(random() * electionTicks)
}

type Body<M> = M extends Message ? Omit<M, 'from' | 'to' | 'term'> : never
export type MessageBody = Body<Message>

/**
 * Sends in this member's term. Votes and acknowledged entries wait until what they rest on is durable
 * (R5, R6); so does asking for votes, for a candidate must not boast of entries that it may lose.
 */
export function send(core: Core, to: MemberId, body: MessageBody, term = core.term): void {
  const message = { ...body, from: core.self, to, term } as Message
  const isResting =
    body.kind === 'vote' || body.kind === 'vote-reply' || body.kind === 'append-reply'
  if (isResting) core.messagesAfterSync.push(message)
  else core.messages.push(message)
}

/** Moves the commit index forward; R4: never back, never past the log. */
export function commitTo(core: Core, index: number): void {
  if (index <= core.commit) return
  assert(index <= lastIndex(core.log), `commit ${index} is past the log: entries were lost`)
  if (core.role === 'leader') {
    for (const entry of entriesBetween(core.log, core.commit + 1, index))
      core.uncommittedBytes -= entryBytes(entry)
  }
  core.commit = index
}

/** A leader adds entries of its own term. */
export function addEntries(core: Core, kind: EntryKind, contents: readonly Uint8Array[]): void {
  assert(core.role === 'leader', 'only a leader adds entries')
  let index = lastIndex(core.log)
  const entries: Entry[] = contents.map((data) => ({ term: core.term, index: ++index, kind, data }))
  appendEntries(core.log, entries)
  for (const entry of entries) core.uncommittedBytes += entryBytes(entry)
  if (kind === 'membership') core.changeIndex = index
}

/**
 * Whether this member may stand for election: its vote counts, and no membership that it knows to be
 * committed is still to be applied, for then it would count with the wrong voters.
 */
export function canCampaign(core: Core): boolean {
  if (core.role === 'leader' || !isVoter(core.membership, core.self)) return false
  return !core.snapshot && !hasOpenChange(core)
}

/** Whether a membership is committed that is not in force here yet. */
export function hasOpenChange({ log, applied, commit }: Core): boolean {
  return entriesBetween(log, applied + 1, commit).some(({ kind }) => kind === 'membership')
}

/** The last membership entry after what is applied, or 0. */
export function lastChangeIndex(core: Core): number {
  const open = entriesBetween(core.log, core.applied + 1, lastIndex(core.log))
  return open.findLast(({ kind }) => kind === 'membership')?.index ?? 0
}

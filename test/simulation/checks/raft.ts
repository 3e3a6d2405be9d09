/**
 * Raft's promises, judged from outside: the batches that go to disks, what of them is safe there, the
 * messages that leave, and what members say of themselves. R1 one leader per term · R2 log matching ·
 * R3 leader completeness · R4 equal index, equal command · R5 nothing forgotten across restarts ·
 * R6 nothing said before it is durable.
 */
import type { Entry, MemberId, Membership, Message, RaftStatus } from '../../../coord/raft/types.ts'
import type { WalBatch } from '../../../coord/wal/wal.ts'
import { createLogView, entryHash } from './log-view.ts'
import type { LogView } from './log-view.ts'
import { demand } from './violation.ts'

/** One place of the committed log, as the world first saw it committed. */
export type CommittedEntry = {
  readonly entry: Entry
  readonly hash: number
  /** In which it was seen to be. */
  readonly term: number
}
/** Where and when an entry came into being: the first time a leader had it written. */
export type Birth = { readonly member: MemberId; readonly atMs: number }

export type RaftChecker = {
  /** The member had this written; it is not safe yet. */
  written(member: MemberId, batch: WalBatch): void
  /** This is safe on the member's disk now. */
  synced(member: MemberId, batch: WalBatch): void
  sent(member: MemberId, message: Message): void
  /** The member works again, from what its disk gave back. */
  restarted(member: MemberId, batches: readonly WalBatch[], status: RaftStatus): void
  /** After every step of a member. */
  looked(member: MemberId, status: RaftStatus): void
  committedIndex(): number
  committed(index: number): CommittedEntry | undefined
  birth(entry: Entry): Birth | undefined
  syncedLog(member: MemberId): LogView
}

type Seen = { readonly term: number; readonly hash: number; readonly prevTerm: number | undefined }
type MemberLogs = {
  written: LogView
  synced: LogView
  /** For each term, how far the log reached at most while that term was the durable one. */
  reached: Map<number, number>
  commit: number
  ledTerm: number
  /** As of the last look: what was committed since was so by this membership, or by the one after. */
  membership: Membership | undefined
}

export type RaftWatcher = {
  readonly now: () => number
  /** Called for every committed entry once, in order. */
  readonly onCommitted: (entry: Entry) => void
  /** Where the log of the cluster begins: 0, or the mark of a restored backup. */
  readonly startIndex: number
}

export function createRaftChecker({ now, onCommitted, startIndex }: RaftWatcher): RaftChecker {
  const logs = new Map<MemberId, MemberLogs>()
  const leaders = new Map<number, MemberId>()
  const grants = new Map<string, MemberId>()
  const entries = new Map<number, Seen[]>()
  const births = new Map<string, Birth>()
  const committed = new Map<number, CommittedEntry>()
  let committedTop = startIndex

  function logsOf(member: MemberId): MemberLogs {
    let found = logs.get(member)
    if (!found) {
      found = {
        written: createLogView(),
        synced: createLogView(),
        reached: new Map(),
        commit: 0,
        ledTerm: 0,
        membership: undefined,
      }
      logs.set(member, found)
    }
    return found
  }

  /** R2: equal index and term means the equal entry after an equal log. */
  function match(member: MemberId, entry: Entry, log: LogView): void {
    const { index, term } = entry
    const hash = entryHash(entry)
    const prevTerm = log.termAt(index - 1)
    const known = entries.get(index) ?? []
    const same = known.find((seen) => seen.term === term)
    if (!same) {
      entries.set(index, [...known, { term, hash, prevTerm }])
      births.set(`${index}/${term}`, { member, atMs: now() })
      return
    }
    const agrees = same.hash === hash && (same.prevTerm ?? prevTerm) === (prevTerm ?? same.prevTerm)
    demand(agrees, 'R2', () => `${member} holds another entry ${index} of term ${term}`)
  }

  function hasQuorum(membership: Membership, index: number, term: number): boolean {
    const isSafe = (member: MemberId): boolean => {
      const log = logs.get(member)?.synced
      return !!log && (log.termAt(index) === term || log.markIndex > index)
    }
    const hasMajority = (voters: readonly MemberId[]): boolean =>
      voters.filter(isSafe).length * 2 > voters.length || voters.length === 0
    return hasMajority(membership.voters) && hasMajority(membership.outgoing)
  }

  function commitOne(member: MemberId, index: number, status: RaftStatus): void {
    const entry = logsOf(member).written.entryAt(index)
    const known = committed.get(index)
    if (known) {
      const isSame = !entry || (entry.term === known.entry.term && entryHash(entry) === known.hash)
      const terms = (): string => `${known.entry.term} and ${entry?.term}`
      demand(isSame, 'R4', () => `${member} commits another entry ${index}: terms ${terms()}`)
      return
    }
    demand(!!entry, 'R6', () => `${member} commits ${index}, which nobody wrote`)
    const before = logsOf(member).membership ?? status.membership
    const isSafe =
      hasQuorum(before, index, entry.term) || hasQuorum(status.membership, index, entry.term)
    demand(isSafe, 'R6', () => `${member} commits ${index}, not durable on a quorum`)
    committed.set(index, { entry, hash: entryHash(entry), term: status.term })
    committedTop = index
    onCommitted(entry)
  }

  function advance(member: MemberId, status: RaftStatus): void {
    const log = logsOf(member)
    const { commit } = status
    demand(commit >= log.commit, 'R5', () => `${member}: commit ${log.commit} → ${commit}`)
    if (commit === log.commit) return
    if (status.role === 'leader' && log.ledTerm === status.term && commit > committedTop) {
      const term = log.written.termAt(commit)
      const words = (): string => `${member} commits ${commit} of term ${term} in ${status.term}`
      demand(term === status.term, 'R3', words)
    }
    // A log that began anew at a snapshot says nothing of what came before it.
    const from = Math.max(log.commit, startIndex, Math.min(log.written.markIndex, committedTop))
    for (let index = from + 1; index <= commit; index++) commitOne(member, index, status)
    log.commit = commit
  }

  function lead(member: MemberId, { term }: RaftStatus): void {
    const log = logsOf(member)
    const leader = leaders.get(term)
    if (leader === undefined) leaders.set(term, member)
    else demand(leader === member, 'R1', () => `${leader} and ${member} both lead term ${term}`)
    if (log.ledTerm === term) return
    log.ledTerm = term
    // Elected long ago, it may learn of that only now: it has what was committed before its term.
    let place = committedTop
    while (place > startIndex && (committed.get(place)?.term ?? 0) >= term) place--
    const top = committed.get(place)?.entry
    if (!top || log.written.markIndex > place) return
    const held = log.written.termAt(place)
    demand(
      held === top.term,
      'R3',
      () => `${member} leads term ${term} without committed ${place}: ${held}/${top.term}`,
    )
  }

  function grant(member: MemberId, term: number, to: MemberId): void {
    const { synced } = logsOf(member)
    const key = `${member}/${term}`
    const before = grants.get(key) ?? to
    demand(before === to, 'R5', () => `${member} votes twice in term ${term}: ${before}, ${to}`)
    grants.set(key, to)
    const isSafe = synced.term > term || (synced.term === term && synced.vote === to)
    demand(isSafe, 'R6', () => `${member} votes for ${to} in ${term} before that is durable`)
  }

  /** A later batch may have replaced it by now: the word for it was true when it became durable. */
  function acknowledge(member: MemberId, index: number, term: number): void {
    const { synced, reached } = logsOf(member)
    const what = (): string => `${member} acknowledges ${index} in ${term}`
    const end = (): string => `durable are ${synced.lastIndex} in ${synced.term}`
    demand((reached.get(term) ?? 0) >= index, 'R6', () => `${what()}, ${end()}`)
  }

  function reach({ synced, reached }: MemberLogs): void {
    reached.set(synced.term, Math.max(reached.get(synced.term) ?? 0, synced.lastIndex))
  }

  return {
    committedIndex: () => committedTop,
    committed: (index) => committed.get(index),
    birth: ({ index, term }) => births.get(`${index}/${term}`),
    syncedLog: (member) => logsOf(member).synced,
    written(member, batch) {
      const { written } = logsOf(member)
      const first = batch.entries[0]
      for (const [place, entry] of batch.entries.entries()) {
        const index = first!.index + place
        demand(entry.index === index, 'R2', () => `${member} writes a gap before ${entry.index}`)
      }
      written.apply(batch)
      for (const entry of batch.entries) match(member, entry, written)
    },
    synced(member, batch) {
      const log = logsOf(member)
      log.synced.apply(batch)
      reach(log)
    },
    sent(member, message) {
      if (message.kind === 'vote') grant(member, message.term, member)
      if (message.kind === 'vote-reply' && message.isGranted)
        grant(member, message.term, message.to)
      if (message.kind === 'append-reply') acknowledge(member, message.index, message.term)
    },
    restarted(member, batches, status) {
      const log = logsOf(member)
      const { synced } = log
      const fresh = createLogView()
      for (const batch of batches) fresh.apply(batch)
      const said = (): string => `${member}: term ${status.term}, vote ${status.vote}`
      demand(status.term >= synced.term, 'R5', () => `${said()} after ${synced.term}`)
      const keepsVote =
        status.term > synced.term || synced.vote === 0n || status.vote === synced.vote
      demand(keepsVote, 'R5', () => `${said()} after a vote for ${synced.vote}`)
      demand(
        status.commit >= synced.commit,
        'R5',
        () => `${member}: commit ${synced.commit} → ${status.commit}`,
      )
      // What it held of another history may go; what is committed may not.
      const top = Math.min(committedTop, synced.lastIndex)
      const isHeld = synced.termAt(top) === committed.get(top)?.entry.term
      const lost = (): string => `${member} lost entries: ${top} → ${status.lastIndex}`
      demand(!isHeld || status.lastIndex >= top, 'R6', lost)
      log.written = fresh
      log.synced = createLogView()
      for (const batch of batches) log.synced.apply(batch)
      reach(log)
      log.ledTerm = 0
      log.membership = undefined
      log.commit = Math.min(log.commit, status.commit)
    },
    looked(member, status) {
      if (status.role === 'leader') lead(member, status)
      advance(member, status)
      logsOf(member).membership = status.membership
    },
  }
}

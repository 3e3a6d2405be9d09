/**
 * Watches a cluster from outside and throws at the first breach of R1 to R6 or of a linearizable
 * read. It knows nothing of how the cores work: only disks, messages, what was applied and the status.
 */
import type { Entry, MemberId, Membership, Message } from '../../coord/raft/types.ts'
import type { Disk, Lab, LabMember, LabObserver } from './lab.ts'

export type Oracle = {
  readonly observer: LabObserver
  /** Between steps of the cluster: what only shows when the members are compared. */
  check(lab: Lab): void
  /** A read was asked for, or is answered. */
  readAsked(member: MemberId, context: number): void
  readAnswered(member: MemberId, context: number, index: number): void
  readonly committed: number
}

export function createOracle(diskOf: (member: MemberId) => Disk): Oracle {
  const leaders = new Map<number, MemberId>()
  /** Term by index of everything that was ever committed. */
  const history = new Map<number, number>()
  const contents = new Map<number, string>()
  const reads = new Map<string, number>()
  const memberships = new Map<MemberId, Membership>()
  let committed = 0

  const noteCommit = (leader: LabMember): void => {
    const { commit, membership } = leader.raft.status()
    const before = memberships.get(leader.id) ?? membership
    memberships.set(leader.id, membership)
    for (let index = committed + 1; index <= commit; index++) {
      const term = leader.raft.termAt(index) as number
      const holds = (id: MemberId): boolean => isOnDisk(diskOf(id), index, term)
      // A membership may have come into force right behind the commit that it needed.
      if (!isQuorum(membership, holds) && !isQuorum(before, holds))
        throw new Error(`R6: entry ${index} is committed by ${leader.id} without a quorum of disks`)
      history.set(index, term)
    }
    committed = Math.max(committed, commit)
  }
  const noteStep = (member: LabMember): void => {
    const { role, term } = member.raft.status()
    if (term < member.disk.hardState.term)
      throw new Error(`R5: the term of ${member.id} fell to ${term}`)
    if (role !== 'leader') return
    if (!leaders.has(term)) checkCompleteness(member, history, committed)
    if ((leaders.get(term) ?? member.id) !== member.id)
      throw new Error(`R1: ${member.id} and ${leaders.get(term)} both lead term ${term}`)
    leaders.set(term, member.id)
    noteCommit(member)
  }
  return {
    get committed() {
      return committed
    },
    observer: {
      onSend: checkSend,
      onStep: noteStep,
      onApply(member, entry) {
        const known = contents.get(entry.index) ?? textOf(entry)
        if (known !== textOf(entry))
          throw new Error(
            `R4: ${member.id} applies ${textOf(entry)} at ${entry.index}, not ${known}`,
          )
        if (!isOnDisk(member.disk, entry.index, entry.term))
          throw new Error(`R6: ${member.id} applies ${entry.index} before it is durable`)
        contents.set(entry.index, known)
      },
    },
    check: (lab) => checkMatching([...lab.members.values()].filter(({ isUp }) => isUp)),
    readAsked: (member, context) => void reads.set(`${member}/${context}`, committed),
    readAnswered(member, context, index) {
      const floor = reads.get(`${member}/${context}`)
      if (floor === undefined) throw new Error(`${member} answers read ${context}, never asked`)
      if (index < floor) throw new Error(`stale read at ${member}: ${index} instead of ${floor}`)
    },
  }
}

function textOf({ term, kind, data }: Entry): string {
  return `${term} ${kind} ${Buffer.from(data).toString()}`
}

function isOnDisk({ mark, entries }: Disk, index: number, term: number): boolean {
  return index <= mark.index || entries[index - mark.index - 1]?.term === term
}

function isQuorum({ voters, outgoing }: Membership, holds: (id: MemberId) => boolean): boolean {
  return [voters, outgoing].every(
    (half) => half.length === 0 || half.filter(holds).length * 2 > half.length,
  )
}

/** R5, R6: what a vote or an acknowledgement promises is on the sender's disk when it leaves. */
function checkSend({ id, disk }: LabMember, message: Message): void {
  const { hardState, mark, entries } = disk
  if (message.kind === 'append-reply' && message.index > mark.index + entries.length)
    throw new Error(`R6: ${id} acknowledges ${message.index} before it is durable`)
  if (message.kind === 'append-reply' && hardState.term < message.term)
    throw new Error(`R5: ${id} acknowledges in term ${message.term} before that is durable`)
  const isVote = message.kind === 'vote-reply' && message.isGranted
  // In a later term the vote itself is no longer needed: nobody can ask for another one.
  const isLost = hardState.term < message.term
  const isOther = hardState.term === message.term && hardState.vote !== message.to
  if (isVote && (isLost || isOther))
    throw new Error(`R5: ${id} votes for ${message.to} before that is durable`)
}

/** R3: a leader holds everything that was committed before its term began. */
function checkCompleteness(
  { id, raft }: LabMember,
  history: ReadonlyMap<number, number>,
  committed: number,
): void {
  const { firstIndex } = raft.status()
  for (let index = Math.max(firstIndex, 1); index <= committed; index++)
    if (raft.termAt(index) !== history.get(index))
      throw new Error(`R3: the new leader ${id} lacks the committed entry ${index}`)
}

/** R2: two logs that agree at a place agree everywhere before it. */
function checkMatching(members: readonly LabMember[]): void {
  for (const [place, one] of members.entries()) {
    for (const other of members.slice(place + 1)) {
      const [a, b] = [one.raft.status(), other.raft.status()]
      let mustAgree = false
      const first = Math.max(a.firstIndex, b.firstIndex)
      for (let index = Math.min(a.lastIndex, b.lastIndex); index >= first; index--) {
        const isSame = one.raft.termAt(index) === other.raft.termAt(index)
        if (mustAgree && !isSame)
          throw new Error(`R2: ${one.id} and ${other.id} part at ${index} and meet again`)
        mustAgree ||= isSame
      }
    }
  }
}

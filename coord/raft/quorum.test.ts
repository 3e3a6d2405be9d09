import test from 'ava'
import fc from 'fast-check'
import { majorityValue, majorityVote, quorumValue, quorumVote } from './quorum.ts'
import { changeMembership, isJoint, membersOf } from './membership.ts'
import type { MemberChange, MemberId, Membership, MembershipChange } from './types.ts'

const ids = fc.uniqueArray(fc.bigInt({ min: 1n, max: 7n }), { maxLength: 7 })
const acks = fc.array(fc.nat(6), { minLength: 8, maxLength: 8 })
const ballots = fc.array(fc.constantFrom(true, false, undefined), { minLength: 8, maxLength: 8 })

const membership = (voters: readonly MemberId[], outgoing: readonly MemberId[]): Membership => ({
  voters,
  outgoing,
  learners: [],
  learnersNext: [],
  autoLeave: false,
})

/** Tries every value in turn and counts heads. */
function largestOfMajority(voters: readonly MemberId[], valueOf: (id: MemberId) => number): number {
  for (let value = 6; value > 0; value--)
    if (voters.filter((id) => valueOf(id) >= value).length > voters.length / 2) return value
  return 0
}

test('a majority has reached exactly the value that counting heads finds', (t) => {
  fc.assert(
    fc.property(ids, acks, (voters, values) => {
      fc.pre(voters.length > 0)
      const valueOf = (id: MemberId): number => values[Number(id)] as number
      return majorityValue(voters, valueOf) === largestOfMajority(voters, valueOf)
    }),
  )
  t.is(
    majorityValue([], () => 0),
    Number.POSITIVE_INFINITY,
  )
})

test('a joint quorum has reached a value only when either half has', (t) => {
  fc.assert(
    fc.property(ids, ids, acks, (voters, outgoing, values) => {
      fc.pre(voters.length > 0 && outgoing.length > 0)
      const valueOf = (id: MemberId): number => values[Number(id)] as number
      const both = Math.min(
        largestOfMajority(voters, valueOf),
        largestOfMajority(outgoing, valueOf),
      )
      return quorumValue(membership(voters, outgoing), valueOf) === both
    }),
  )
  t.pass()
})

/** Whether the election can still end well, and whether it can still end badly: by trying all the rest. */
function outcomesOf(
  halves: readonly (readonly MemberId[])[],
  votes: ReadonlyMap<MemberId, boolean>,
): ReadonlySet<boolean> {
  const open = [...new Set(halves.flat())].filter((id) => !votes.has(id))
  const outcomes = new Set<boolean>()
  for (let pattern = 0; pattern < 1 << open.length; pattern++) {
    const isFor = (id: MemberId): boolean =>
      votes.get(id) ?? ((pattern >> open.indexOf(id)) & 1) === 1
    outcomes.add(halves.every((half) => half.filter(isFor).length * 2 > half.length))
  }
  return outcomes
}

test('a vote is decided exactly when no further vote can change it', (t) => {
  fc.assert(
    fc.property(ids, ids, ballots, (voters, outgoing, given) => {
      fc.pre(voters.length > 0)
      const votes = new Map<MemberId, boolean>()
      for (const [id, vote] of given.entries()) if (vote !== undefined) votes.set(BigInt(id), vote)
      const halves = outgoing.length > 0 ? [voters, outgoing] : [voters]
      const outcomes = outcomesOf(halves, votes)
      const expected = outcomes.size === 2 ? 'pending' : outcomes.has(true) ? 'won' : 'lost'
      return quorumVote(membership(voters, outgoing), votes) === expected
    }),
  )
  t.is(majorityVote([], new Map()), 'won')
})

const changes: fc.Arbitrary<MembershipChange> = fc.record({
  joint: fc.boolean(),
  changes: fc.array(
    fc.record<MemberChange>({
      kind: fc.constantFrom('add-voter', 'add-learner', 'remove'),
      member: fc.bigInt({ min: 1n, max: 6n }),
    }),
    { maxLength: 3 },
  ),
})

/** Every set of members that is a quorum, by trying all of them. */
function quorums(now: Membership): Set<MemberId>[] {
  const all = [1n, 2n, 3n, 4n, 5n, 6n]
  const found: Set<MemberId>[] = []
  for (let pattern = 0; pattern < 64; pattern++) {
    const set = new Set(all.filter((_, place) => (pattern >> place) & 1))
    const halves = isJoint(now) ? [now.voters, now.outgoing] : [now.voters]
    if (halves.every((half) => half.filter((id) => set.has(id)).length * 2 > half.length))
      found.push(set)
  }
  return found
}

const isDisjoint = (one: ReadonlySet<MemberId>, other: ReadonlySet<MemberId>): boolean =>
  ![...one].some((id) => other.has(id))

test('any quorum before a change shares a member with any quorum after it', (t) => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 8 }), (story) => {
      let now = membership([1n, 2n, 3n], [])
      for (const change of story) {
        const next = changeMembership(now, change)
        if (!next) continue
        const after = quorums(next)
        for (const one of quorums(now))
          for (const other of after) if (isDisjoint(one, other)) return false
        now = next
      }
      return true
    }),
    { numRuns: 60 },
  )
  t.pass()
})

test('a joint change ends with what its changes, made one by one, come to', (t) => {
  fc.assert(
    fc.property(changes, ({ changes: list }) => {
      const start = { ...membership([1n, 2n, 3n], []), learners: [4n] }
      const entered = changeMembership(start, { changes: list, joint: true })
      if (!entered) return true
      const left = changeMembership(entered, { changes: [], joint: false })
      const voters = new Set(start.voters)
      const learners = new Set(start.learners)
      for (const { kind, member } of list) {
        voters.delete(member)
        learners.delete(member)
        if (kind === 'add-voter') voters.add(member)
        if (kind === 'add-learner') learners.add(member)
      }
      const isSame = (a: readonly MemberId[], b: ReadonlySet<MemberId>): boolean =>
        a.length === b.size && a.every((id) => b.has(id))
      return (
        left !== undefined &&
        !isJoint(left) &&
        isSame(left.voters, voters) &&
        isSame(left.learners, learners) &&
        membersOf(left).length === voters.size + learners.size
      )
    }),
  )
  t.pass()
})

test('a change that makes no sense is refused', (t) => {
  const now = { ...membership([1n], []), learners: [2n] }
  const refuse = (kind: MemberChange['kind'], member: MemberId): void => {
    t.is(changeMembership(now, { changes: [{ kind, member }], joint: false }), undefined)
  }
  refuse('add-voter', 1n)
  refuse('add-learner', 2n)
  refuse('remove', 3n)
  refuse('remove', 1n)
  t.is(changeMembership(now, { changes: [], joint: false }), undefined)
})

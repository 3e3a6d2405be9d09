import test from 'ava'
import { bytesOf, createLab } from '../../test/raft/lab.ts'
import { createRaft } from './raft.ts'
import type { Entry, Message, Raft, SnapshotMark } from './types.ts'

test('three members elect a leader and apply what it takes in', (t) => {
  const lab = createLab({ voters: [1n, 2n, 3n] })
  lab.member(1n).raft.campaign()
  lab.settle()
  t.is(lab.member(1n).raft.status().role, 'leader')
  t.is(lab.member(1n).raft.propose([bytesOf('a'), bytesOf('b')]), 'accepted')
  t.is(lab.member(2n).raft.propose([bytesOf('c')]), 'forwarded')
  lab.settle()
  for (const id of [1n, 2n, 3n]) t.deepEqual(lab.member(id).image.commands, ['a', 'b', 'c'])
})

test('news of a commit alone is not answered; an answer that was lost is asked for again', (t) => {
  const lab = createLab({ voters: [1n, 2n, 3n] })
  const leader = lab.member(1n).raft
  leader.campaign()
  lab.settle()
  const seen: string[] = []
  leader.propose([bytesOf('a')])
  lab.settle(({ kind, from, to }) => {
    if (from === 2n || to === 2n) seen.push(kind)
    return false
  })
  t.deepEqual(seen, ['append', 'append-reply', 'append'])
  leader.propose([bytesOf('b')])
  lab.settle(({ kind }) => kind === 'append-reply')
  t.is(leader.status().commit, leader.status().lastIndex - 1)
  for (let tick = 0; tick < 20; tick++) {
    leader.tick()
    lab.settle()
  }
  for (const id of [1n, 2n, 3n]) t.deepEqual(lab.member(id).image.commands, ['a', 'b'])
})

const MEMBERS = { voters: [1n, 2n, 3n], outgoing: [], learners: [], learnersNext: [] }
const FOUNDED: SnapshotMark = { index: 1, term: 1, membership: { ...MEMBERS, autoLeave: false } }

/** Member 3 alone; what the others say is made up. */
function openThird(): Raft {
  return createRaft(
    {
      self: 3n,
      electionTicks: 3,
      heartbeatTicks: 1,
      random: () => 0,
      firstContext: 1,
      inflightAppendsMax: 4,
      appendBytesMax: 1000,
      uncommittedBytesMax: 1000,
    },
    { hardState: { term: 1, vote: 0n, commit: 1 }, mark: FOUNDED, entries: [], applied: 1 },
  )
}

const entry = (index: number, term: number): Entry => {
  return { index, term, kind: 'command', data: bytesOf(`${index}@${term}`) }
}
const append = (
  term: number,
  prevIndex: number,
  prevTerm: number,
  entries: readonly Entry[],
  commit = 1,
): Message => {
  const from = BigInt((term % 2) + 1)
  return { kind: 'append', from, to: 3n, term, prevIndex, prevTerm, entries, commit }
}

test('R6: entries that were replaced and come back equal are durable only with their last portion', (t) => {
  const raft = openThird()
  raft.step(append(2, 1, 1, [entry(2, 2)]))
  const first = raft.takeReady()
  raft.step(append(3, 1, 1, [entry(2, 3)]))
  const second = raft.takeReady()
  raft.step(append(4, 1, 1, [entry(2, 2), entry(3, 4)], 3))
  const third = raft.takeReady()
  t.deepEqual(
    third?.entries.map(({ term }) => term),
    [2, 4],
  )
  for (const [portion, applied] of [
    [first, []],
    [second, []],
    [third, [2, 3]],
  ] as const) {
    raft.persisted(portion?.number ?? 0)
    t.deepEqual(raft.takeReady()?.committed.map(({ index }) => index) ?? [], applied)
  }
})

test('R5: a vote of a portion that is not durable is not counted by the candidate itself', (t) => {
  const raft = openThird()
  raft.campaign()
  raft.takeReady()
  raft.step({
    kind: 'pre-vote-reply',
    from: 1n,
    to: 3n,
    term: 2,
    isGranted: true,
    commit: 1,
    hintTerm: 1,
  })
  const ready = raft.takeReady()
  t.deepEqual(ready?.hardState, { term: 2, vote: 3n, commit: 1 })
  t.deepEqual(ready?.messages, [])
  t.deepEqual(
    ready?.messagesAfterSync.map(({ kind }) => kind),
    ['vote', 'vote'],
  )
  raft.step({ kind: 'vote-reply', from: 1n, to: 3n, term: 2, isGranted: true })
  t.is(raft.status().role, 'candidate')
  raft.persisted(ready?.number ?? 0)
  t.is(raft.status().role, 'leader')
})

const snapshot = (index: number, term: number): Message => {
  const from = BigInt((term % 2) + 1)
  return { kind: 'snapshot', from, to: 3n, term, mark: { ...FOUNDED, index, term } }
}

test('a second snapshot is ignored while the first is on its way to the disk', (t) => {
  const raft = openThird()
  raft.step(snapshot(10, 2))
  const first = raft.takeReady()
  t.is(first?.snapshot?.index, 10)
  t.deepEqual(
    first?.messagesAfterSync.map((message) => message.kind === 'append-reply' && message.index),
    [10],
  )
  raft.step(snapshot(20, 2))
  t.is(raft.takeReady(), undefined)
  t.is(raft.status().commit, 10)
  raft.persisted(first?.number ?? 0)
  raft.step(snapshot(20, 2))
  t.is(raft.takeReady()?.snapshot?.index, 20)
})

test('a snapshot of what is committed already is answered, not installed', (t) => {
  const raft = openThird()
  raft.step(append(2, 1, 1, [entry(2, 2), entry(3, 2)], 3))
  raft.persisted(raft.takeReady()?.number ?? 0)
  for (const { index } of raft.takeReady()?.committed ?? []) raft.applied(index)
  raft.step(snapshot(2, 2))
  const ready = raft.takeReady()
  t.is(ready?.snapshot, undefined)
  t.deepEqual(
    ready?.messages.map((message) => message.kind === 'append-reply' && message.index),
    [3],
  )
})

test('a member stands for no election before a membership that it knows to be committed is applied', (t) => {
  const raft = openThird()
  const change: Entry = { index: 2, term: 2, kind: 'membership', data: bytesOf('-1') }
  raft.step(append(2, 1, 1, [change], 2))
  raft.persisted(raft.takeReady()?.number ?? 0)
  raft.campaign()
  t.is(raft.status().role, 'follower')
  t.is(raft.takeReady()?.committed.length, 1)
  raft.applyMembership({ changes: [{ kind: 'remove', member: 1n }], joint: false })
  raft.applied(2)
  raft.campaign()
  t.is(raft.status().role, 'pre-candidate')
})

test('members that begin at 0 as if they were founders are refused', (t) => {
  const start = { hardState: { term: 0, vote: 0n, commit: 0 }, entries: [], applied: 0 }
  const config = { self: 1n, electionTicks: 3, heartbeatTicks: 1, random: () => 0, firstContext: 1 }
  const limits = { inflightAppendsMax: 4, appendBytesMax: 1000, uncommittedBytesMax: 1000 }
  const mark = { ...FOUNDED, index: 0, term: 0 }
  t.throws(() => createRaft({ ...config, ...limits }, { ...start, mark }), { message: /founders/ })
})

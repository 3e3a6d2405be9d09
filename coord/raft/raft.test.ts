import test from 'ava'
import { bytesOf, createLab } from '../../test/raft/lab.ts'

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

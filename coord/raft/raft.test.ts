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

import test from 'ava'
import { runChaos } from './chaos.ts'

const SEEDS = 120

test('random faults break no invariant, and a healed cluster agrees', (t) => {
  const total = { committed: 0, reads: 0, changes: 0, snapshots: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const { committed, reads, changes, snapshots } = runChaos(seed, 6000)
      total.committed += committed
      total.reads += reads
      total.changes += changes
      total.snapshots += snapshots
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
  // The runs reach what they are to prove.
  t.true(total.committed > 5000, JSON.stringify(total))
  t.true(total.reads > 1000, JSON.stringify(total))
  t.true(total.changes > 200, JSON.stringify(total))
  t.true(total.snapshots > 100, JSON.stringify(total))
})

test('the same seed gives the same run', (t) => {
  t.deepEqual(runChaos(7, 3000), runChaos(7, 3000))
})

test('a leader that took its own vote away leaves nobody behind who cannot elect', (t) => {
  t.notThrows(() => runChaos(424, 6000))
})

/** A long backlog does not take the process for itself. */
import test from 'ava'
import { workShare } from './slices.ts'

/** A backlog of slices that take so long each. */
function backlog(
  slices: number,
  sliceMs: number,
): { readonly turns: number; readonly most: number } {
  let [nowMs, left, turns, most] = [0, slices, 0, 0]
  while (left > 0) {
    const from = nowMs
    let taken = 0
    workShare(
      {
        hasWork: () => left > 0,
        work() {
          left--
          nowMs += sliceMs
        },
        takeEffects: () => [],
      },
      () => nowMs,
      () => true,
      () => taken++,
    )
    turns++
    most = Math.max(most, nowMs - from)
  }
  return { turns, most }
}

test('slices share a turn as far as its time goes, and no further', (t) => {
  t.deepEqual(backlog(80, 0.125), { turns: 2, most: 5 })
  t.deepEqual(backlog(10, 2), { turns: 4, most: 6 })
  t.deepEqual(backlog(3, 40), { turns: 3, most: 40 })
})

test('a turn without a backlog takes the effects once; a node that ends takes no more', (t) => {
  let taken = 0
  const idle = { hasWork: () => false, work: () => t.fail(), takeEffects: () => [] }
  workShare(
    idle,
    () => 0,
    () => true,
    () => taken++,
  )
  t.is(taken, 1)
  const busy = { hasWork: () => true, work: () => undefined, takeEffects: () => [] }
  workShare(
    busy,
    () => 0,
    () => false,
    () => taken++,
  )
  t.is(taken, 2)
})

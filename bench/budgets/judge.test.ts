import test from 'ava'
import { judge } from './judge.ts'

const row = { profile: 'coord', what: 'size', may: 50 }

test('a figure over its budget, or none at all, is over; one that equals it is not', (t) => {
  const judged = judge([50, 50.01, Number.NaN].map((is) => ({ ...row, is })))
  t.deepEqual(
    judged.map(({ isOver }) => isOver),
    [false, true, true],
  )
})

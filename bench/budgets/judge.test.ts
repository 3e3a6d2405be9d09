import test from 'ava'
import { figuresOf, judge, table } from './judge.ts'

const row = { profile: 'coord', what: 'size', may: 50 }

test('a figure over its budget, or none at all, is over; one that equals it is not', (t) => {
  const judged = judge([50, 50.01, Number.NaN].map((is) => ({ ...row, is })))
  t.deepEqual(
    judged.map(({ isOver }) => isOver),
    [false, true, true],
  )
})

test('a figure stands beside that of the time before, which another file does not have', (t) => {
  const before = figuresOf(judge([{ ...row, is: 41.26 }]))
  const lines = table(
    judge([row, { ...row, profile: 'core' }].map((one) => ({ ...one, is: 51 }))),
    before,
  )
  const cells = lines
    .split('\n')
    .slice(2)
    .map((line) => line.split('|').map((cell) => cell.trim()))
  t.deepEqual(cells, [
    ['', 'coord', 'size', '41.3', '51', '50', '✗', ''],
    ['', 'core', 'size', '', '51', '50', '✗', ''],
  ])
})

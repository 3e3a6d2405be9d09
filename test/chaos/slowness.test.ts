import test from 'ava'
import { createSlowness, stretchOf } from './slowness.ts'

test('times are stretched beyond what processes of a run usually do to each other, within a bound', (t) => {
  t.is(stretchOf(1), 1)
  t.is(stretchOf(2), 1)
  t.is(stretchOf(6), 3)
  t.is(stretchOf(100), 5)
})

test('a machine that has just become slow counts as slow, one that was slow stays so', async (t) => {
  let spent = { ranNs: 0, waitedNs: 0 }
  const slowness = createSlowness(() => Promise.resolve(spent))
  const pass = async (looks: number, ranNs: number, waitedNs: number): Promise<void> => {
    for (let at = 0; at < looks; at++) {
      spent = { ranNs: spent.ranNs + ranNs, waitedNs: spent.waitedNs + waitedNs }
      await slowness.look([1])
    }
  }
  t.is(slowness.factor(), 1)
  await pass(1_000, 100, 100)
  t.true(slowness.factor() < 2.1)
  await pass(30, 10, 100)
  t.true(slowness.factor() > 10, 'the last minute alone')
  await pass(1_000, 100, 500)
  await pass(100, 100, 0)
  t.true(slowness.factor() > 3, 'all of it')
})

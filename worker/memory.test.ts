import test from 'ava'
import fc from 'fast-check'
import { BATCH_BYTES_MIN, planMemory } from './memory.ts'

test('encoder and batches of all shards stay within the budget, above the floor of a batch', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 64e6, max: 8e9 }),
      fc.integer({ min: 1, max: 64 }),
      (memory, concurrency) => {
        fc.pre(memory / 4 / concurrency >= BATCH_BYTES_MIN)
        const plan = planMemory(memory, concurrency, 64e6)
        const batches = plan.batchBytes * concurrency * 2
        return plan.encoderBytes + batches <= memory && plan.chunkBytes <= plan.batchBytes
      },
    ),
  )
  t.pass()
})

test('a large budget does not make batches larger than the encoder likes', (t) => {
  t.is(planMemory(16e9, 1, 64e6).batchBytes, 64e6)
})

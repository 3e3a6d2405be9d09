import test from 'ava'
import { createSlab } from './slab.ts'

test('small things are copied next to each other, and none is written over', (t) => {
  const keep = createSlab()
  const given = Array.from({ length: 500 }, (_, nth) => Buffer.alloc(1 + (nth % 700), nth))
  const kept = given.map((bytes) => keep(bytes))
  for (const bytes of given) bytes.fill(0xff)
  kept.forEach((bytes, nth) => t.deepEqual(bytes, Buffer.alloc(1 + (nth % 700), nth)))
  t.true(new Set(kept.map(({ buffer }) => buffer)).size <= 4)
})

test('what is large stays where it is', (t) => {
  const large = Buffer.alloc(100_000)
  t.is(createSlab()(large), large)
})

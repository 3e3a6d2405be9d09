import test from 'ava'
import { createOutbox, type Outbox } from './outbox.ts'

/** An outbox that keeps the list of what its hooks were told. */
function newOutbox(): { readonly outbox: Outbox<number>; readonly told: string[] } {
  const told: string[] = []
  const outbox = createOutbox<number>({
    onFull: () => told.push('full'),
    onRoom: () => told.push('room'),
    onLeft: () => told.push('left'),
  })
  return { outbox, told }
}

test('items come out in order, whether the consumer waits or not', async (t) => {
  const { outbox } = newOutbox()
  const consumer = outbox.take()
  const early = consumer.next()
  for (const item of [1, 2, 3]) outbox.put(item, 1)
  const items = [await early, await consumer.next(), await consumer.next()]
  t.deepEqual(
    items.map(({ value }) => value as number),
    [1, 2, 3],
  )
})

test('too many items, or too many bytes, make it full until one of them is taken', async (t) => {
  const many = newOutbox()
  for (let item = 0; item < 63; item++) many.outbox.put(item, 0)
  t.false(many.outbox.isFull())
  many.outbox.put(63, 0)
  t.true(many.outbox.isFull())
  await many.outbox.take().next()
  t.false(many.outbox.isFull())
  t.deepEqual(many.told, ['full', 'room'])

  const large = newOutbox()
  large.outbox.put(0, 3 * 1024 * 1024)
  large.outbox.put(1, 1024 * 1024)
  await large.outbox.take().next()
  t.deepEqual(large.told, ['full', 'room'])
})

test('what was put before the end is handed out, then the end with its error', async (t) => {
  const { outbox } = newOutbox()
  outbox.put(1, 0)
  outbox.end(new Error('gone'))
  outbox.end()
  const consumer = outbox.take()
  t.is((await consumer.next()).value, 1)
  await t.throwsAsync(consumer.next(), { message: 'gone' })
})

test('a consumer that waits is told of the end', async (t) => {
  const { outbox } = newOutbox()
  const waiting = outbox.take().next()
  outbox.end()
  t.deepEqual(await waiting, { done: true, value: undefined })
})

test('a consumer that leaves says so, and what is left is dropped', async (t) => {
  const { outbox, told } = newOutbox()
  outbox.put(1, 0)
  for await (const item of { [Symbol.asyncIterator]: () => outbox.take() }) {
    t.is(item, 1)
    break
  }
  t.deepEqual(told, ['left'])
})

/** Watches where nothing is broken: order, history, compaction, slow consumers, ends. */
import {
  bytes,
  type ClientSuite,
  eventsOf,
  eventsUntil,
  failureOf,
  newPrefix,
  prefixEnd,
} from './kit.ts'

export function watchTests(suite: ClientSuite): void {
  const { test, name } = suite

  test(`${name}: a watch sees what happens after its creation, once and in order`, async (t) => {
    const client = await suite.client(t)
    const prefix = newPrefix()
    await client.put({ key: bytes(`${prefix}before`) })
    await using watcher = client.watch(bytes(prefix), { rangeEnd: prefixEnd(prefix), prevKv: true })
    const from = await watcher.created
    const put = await client.put({ key: bytes(`${prefix}a`), value: bytes('1') })
    t.true(put.revision > from)
    const gone = await client.deleteRange({ key: bytes(prefix), rangeEnd: prefixEnd(prefix) })
    await client.put({ key: bytes(`${prefix}z`) })
    t.deepEqual(
      (await eventsUntil(watcher, `${prefix}z`)).map((event) => ({
        ...event,
        key: event.key.slice(prefix.length),
      })),
      [
        { revision: put.revision, type: 0, key: 'a', value: '1' },
        { revision: gone.revision, type: 1, key: 'a', value: '' },
        { revision: gone.revision, type: 1, key: 'before', value: '' },
        { revision: gone.revision + 1, type: 0, key: 'z', value: '' },
      ],
    )
  })

  test(`${name}: a watch from an old revision replays history, then goes on`, async (t) => {
    const client = await suite.client(t)
    const prefix = newPrefix()
    const key = bytes(`${prefix}a`)
    const { revision } = await client.put({ key, value: bytes('1') })
    await client.put({ key, value: bytes('2') })
    await using watcher = client.watch(key, { startRevision: revision, prevKv: true })
    await watcher.created
    await client.put({ key, value: bytes('3') })
    const values: string[] = []
    const before: (string | undefined)[] = []
    for await (const batch of watcher) {
      values.push(...eventsOf(batch).map(({ value }) => value))
      if (batch.kind === 'events')
        before.push(
          ...batch.events.map(({ prevKv }) => prevKv && Buffer.from(prevKv.value).toString()),
        )
      if (values.length === 3) break
    }
    t.deepEqual(values, ['1', '2', '3'])
    t.deepEqual(before, [undefined, '1', '2'])
  })

  test(`${name}: a watch of compacted revisions says from where history is left, and ends`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const { revision } = await client.put({ key })
    await client.put({ key })
    await client.compact(revision + 1)
    await using watcher = client.watch(key, { startRevision: revision })
    const batches = await Array.fromAsync(watcher)
    t.deepEqual(batches, [{ kind: 'compacted', compactRevision: revision + 1 }])
  })

  test(`${name}: a watch of an impossible range fails with the reason`, async (t) => {
    const client = await suite.client(t)
    await using watcher = client.watch(bytes('b'), { rangeEnd: bytes('a') })
    const iterator = watcher[Symbol.asyncIterator]()
    t.is((await failureOf(t, iterator.next())).status, 3)
    t.is((await failureOf(t, watcher.created)).status, 3)
  })

  test(`${name}: a consumer that falls far behind misses nothing and holds up nobody`, async (t) => {
    const client = await suite.client(t)
    const prefix = newPrefix()
    const options = { rangeEnd: prefixEnd(prefix) }
    await using slow = client.watch(bytes(prefix), options)
    await using quick = client.watch(bytes(prefix), options)
    await Promise.all([slow.created, quick.created])
    const value = Buffer.alloc(128 * 1024, 'x')
    const count = 120
    for (let step = 0; step < count; step++)
      await client.put({ key: bytes(`${prefix}${step}`), value })
    const last = `${prefix}${count - 1}`
    const quickly = await eventsUntil(quick, last)
    t.deepEqual(
      quickly.map(({ key }) => key),
      Array.from({ length: count }, (_, step) => `${prefix}${step}`),
    )
    t.deepEqual(await eventsUntil(slow, last), quickly)
    await client.deleteRange({ key: bytes(prefix), ...options })
  })

  test(`${name}: a watch ends with its signal, with its disposal, and with its client`, async (t) => {
    const client = await suite.client(t)
    const key = bytes(`${newPrefix()}a`)
    const stop = new AbortController()
    const stopped = client.watch(key, { signal: stop.signal })
    await stopped.created
    stop.abort()
    t.deepEqual(await Array.fromAsync(stopped), [])
    const disposed = client.watch(key)
    await disposed[Symbol.asyncDispose]()
    t.deepEqual(await Array.fromAsync(disposed), [])
    t.is((await failureOf(t, disposed.created)).status, 1)
    const orphan = client.watch(key)
    await orphan.created
    await client[Symbol.asyncDispose]()
    t.deepEqual(await Array.fromAsync(orphan), [])
  })
}

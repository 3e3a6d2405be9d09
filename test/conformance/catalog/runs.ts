/** Runs, counters, events. */
import { NO_COUNTERS } from '../../../catalog/catalog.ts'
import { declare, newRun, newWorld, newWriter, type Suite } from './kit.ts'

export function runTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a run is created running and finished once it has an end`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    const id = await newRun(catalog, { kind: 'backfill', worker: 'w1', shardsTotal: 4 })
    const begun = await catalog.run(id)
    t.deepEqual(begun, {
      id,
      pipeline: 'p',
      kind: 'backfill',
      status: 'running',
      worker: 'w1',
      startedAt: 1_000,
      endedAt: null,
      shardsTotal: 4,
      shardsDone: 0,
      shardsFailed: 0,
      counters: NO_COUNTERS,
      error: null,
    })
    clock.now = 3_000
    const end = { status: 'partial', shardsDone: 3, shardsFailed: 1, error: 'broke\0' } as const
    await catalog.finishRun(id, end)
    t.deepEqual(await catalog.run(id), {
      ...begun!,
      ...end,
      error: 'broke\u{fffd}',
      endedAt: 3_000,
    })
    t.is(await catalog.run(id + 1), undefined)
  })

  test(`${name}: counters add up over shards, commits and passes without one`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const shards = Array.from({ length: 40 }, (_, index) => `s${index}`)
    await declare(catalog, ...shards)
    const runId = await newRun(catalog)
    const connections = [catalog, await another()]
    await Promise.all(
      shards.map(async (shard, index) => {
        const writer = await newWriter(connections[index % 2]!, { shard })
        await writer.commit({ runId, counters: { rowsRead: 2, bytesWritten: 10 } })
      }),
    )
    await catalog.addCounters(runId, { notModified: 7, rowsRead: 1 })
    await catalog.addCounters(runId, {})
    const expected = { ...NO_COUNTERS, rowsRead: 81, bytesWritten: 400, notModified: 7 }
    t.deepEqual((await catalog.run(runId))?.counters, expected)
  })

  test(`${name}: runs are listed newest first, for one pipeline or all`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const ids = []
    for (const pipeline of ['p', 'q', 'p']) ids.push(await newRun(catalog, { pipeline }))
    const [first, second, third] = ids
    const listed = async (filter: { pipeline?: string; limit: number }) =>
      (await catalog.runs(filter)).map((run) => run.id)
    t.deepEqual(await listed({ limit: 10 }), [third, second, first])
    t.deepEqual(await listed({ limit: 1 }), [third])
    t.deepEqual(await listed({ pipeline: 'p', limit: 10 }), [third, first])
  })

  test(`${name}: only the running runs of a worker that crashed are lost`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const mine = await newRun(catalog, { worker: 'w1' })
    const ended = await newRun(catalog, { worker: 'w1' })
    const others = await newRun(catalog, { worker: 'w2' })
    const end = { status: 'succeeded', shardsDone: 1, shardsFailed: 0, error: null } as const
    await catalog.finishRun(ended, end)
    t.is(await catalog.markLost('w1'), 1)
    const status = async (id: number) => (await catalog.run(id))?.status
    t.deepEqual(
      [await status(mine), await status(ended), await status(others)],
      ['lost', 'succeeded', 'running'],
    )
    t.is(await catalog.markLost('w1'), 0)
  })

  test(`${name}: events come back in the order they were added`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const runId = await newRun(catalog)
    const other = await newRun(catalog)
    const event = (id: number, at: number) =>
      ({
        runId: id,
        at,
        level: 'warn',
        shard: at % 2 ? 's' : null,
        kind: 'retry',
        message: `attempt ${at}`,
        data: { at, list: [null] },
      }) as const
    await catalog.addEvents([event(runId, 2), event(other, 9), event(runId, 1)])
    await catalog.addEvents([])
    await catalog.addEvents([event(runId, 3)])
    t.deepEqual(await catalog.events(runId), [event(runId, 2), event(runId, 1), event(runId, 3)])
  })
}

/** What a planner reads, and acquiring only what is pending. */
import { clusterRun, keysOf, newGroup, settlement, startRun } from './cluster-kit.ts'
import { declare, KEY, newWorld, newWriter, type Suite } from './kit.ts'

export function planningTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a planner sees shards that may be held, with what keeps them from it`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 'a', 'b', 'c')
    await catalog.ensureShards([
      { pipeline: 'p', shard: 'compact', table: 't', spec: null, upkeep: true },
      { pipeline: 'other', shard: 'x', table: 't', spec: null },
    ])
    await catalog.pauseShard({ pipeline: 'p', shard: 'b' }, true)
    await catalog.quarantineShard({ pipeline: 'p', shard: 'c' }, 'it broke')
    await catalog.dropShards('p', ['a'])
    t.deepEqual(await catalog.plannedShards(['p']), [
      { pipeline: 'p', shard: 'b', table: 't', weight: 0, paused: true, quarantine: null },
      { pipeline: 'p', shard: 'c', table: 't', weight: 0, paused: false, quarantine: 'it broke' },
    ])
    t.deepEqual(await catalog.plannedShards([]), [])
  })

  test(`${name}: one shard is found by its key, until it is dropped`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await newWriter(catalog)
    t.like(await catalog.shard(KEY), { shard: 's', epoch: 1 })
    t.is(await catalog.shard({ pipeline: 'p', shard: 'none' }), undefined)
    await catalog.dropShards('p', ['s'])
    t.is(await catalog.shard(KEY), undefined)
  })

  test(`${name}: parts that failed for good somewhere are listed while they are pending`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 'a', 'b')
    const { runId } = await startRun(catalog, ['a', 'b'])
    t.deepEqual(await catalog.failedParts(), [])
    const { rows } = await newGroup(catalog, ['a', 'b'], { runId })
    const elsewhere = { kind: 'elsewhere', error: 'no' } as const
    await catalog.settleShards(rows.map((row) => settlement(runId, row, elsewhere, 'w1')))
    t.deepEqual(await catalog.failedParts(), [
      { pipeline: 'p', shard: 'a', failedOn: ['w1'] },
      { pipeline: 'p', shard: 'b', failedOn: ['w1'] },
    ])
    const failed = { kind: 'failed', error: 'no', quarantineAfter: 9 } as const
    await catalog.settleShards([settlement(runId, rows[0]!, failed, 'w2')])
    t.deepEqual(
      (await catalog.failedParts()).map(({ shard }) => shard),
      ['b'],
    )
  })

  test(`${name}: a part that is done is not taken up again, whatever an old list says (S3)`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 'a', 'b')
    const { runId } = await startRun(catalog, ['a', 'b'])
    const take = (shards: readonly string[], ifPendingIn: number) =>
      catalog.acquireShards(
        keysOf(shards).map((key) => ({ ...key, generation: 1, ifPendingIn })),
        'w',
      )
    const group = await newGroup(catalog, ['a'], { runId })
    await group.commit({ adds: ['f'], done: true })
    const rows = await take(['a', 'b'], runId)
    t.deepEqual(
      rows.map(({ shard }) => shard),
      ['b'],
    )
    t.like(await catalog.shard({ pipeline: 'p', shard: 'a' }), { epoch: 1 }, 'its epoch stays')
    const next = await catalog.requestRun(clusterRun())
    t.deepEqual(await take(['b'], next.runId), [], 'and none of a run that it is no part of')
  })

  test(`${name}: parts come with what their connector needs`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await catalog.ensureShards([{ pipeline: 'p', shard: 'x', table: 't', spec: { from: 7 } }])
    const { runId } = await startRun(catalog, ['x'])
    t.like((await catalog.runShards(runId))[0], { shard: 'x', spec: { from: 7 } })
    t.like((await catalog.pendingShards(['p']))[0], { shard: 'x', spec: { from: 7 } })
  })
}

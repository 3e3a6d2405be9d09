/** Runs of the cluster: asked for once, looked after by one steward, worked off part by part. */
import type { NewClusterRun, RunShardState } from '../../../catalog/cluster.ts'
import { clusterRun, newGroup, settlement, startRun, statesOf } from './cluster-kit.ts'
import { declare, newRun, newWorld, newWriter, type Suite } from './kit.ts'

const ABC = ['a', 'b', 'c']
const ENDED = { status: 'succeeded', shardsDone: 3, shardsFailed: 0, error: null } as const

export function clusterRunTests(suite: Suite): void {
  requestTests(suite)
  stewardTests(suite)
  partTests(suite)
  settleTests(suite)
}

function requestTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a run that is asked for is queued with all that was asked`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const run = clusterRun({ kind: 'backfill', fireKey: 'p@1', trigger: 'schedule' })
    const admission = await catalog.requestRun(run)
    const { runId } = admission
    t.deepEqual(admission, { kind: 'created', runId })
    const [open] = await catalog.openRuns()
    t.deepEqual(open, {
      ...(await catalog.run(runId))!,
      trigger: 'schedule',
      request: run.request,
      plan: null,
      epoch: 0,
      scheduledAt: 500,
      manifestVersion: 1,
      isCancelled: false,
    })
    t.like(open, {
      status: 'queued',
      kind: 'backfill',
      worker: '',
      startedAt: 1_000,
      endedAt: null,
    })
    t.deepEqual(await catalog.requestRun(run), { kind: 'known', runId })
    t.is((await catalog.runs({ limit: 9 })).length, 1)
  })

  test(`${name}: a fire key fires once, whoever asks at the same time`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    for (let round = 0; round < 10; round++) {
      const run = clusterRun({ fireKey: `p@${round}`, trigger: 'schedule' })
      const asked = [...connections, ...connections].map((each) => each.requestRun(run))
      const admissions = await Promise.all(asked)
      t.is(admissions.filter(({ kind }) => kind === 'created').length, 1)
      t.is(new Set(admissions.map(({ runId }) => runId)).size, 1)
    }
    t.is((await catalog.openRuns()).length, 10)
  })

  test(`${name}: of runs that may not overlap one is open, whoever asks at the same time`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    await newRun(catalog, { pipeline: 'p' })
    for (let round = 0; round < 5; round++) {
      const asked = connections.map((each, index) =>
        each.requestRun(clusterRun({ overlap: 'skip', fireKey: `p@${round}.${index}` })),
      )
      const admissions = await Promise.all(asked)
      const kinds = admissions.map(({ kind }) => kind).toSorted()
      t.deepEqual(kinds, ['created', 'skipped', 'skipped'], 'a run of one process is no obstacle')
      for (const { kind, runId } of admissions) {
        if (kind === 'created') t.is(await catalog.cancelRun(runId), 'cancelled')
        else t.like(await catalog.run(runId), { status: 'skipped', endedAt: 1_000 })
      }
    }
    const again = await catalog.requestRun(clusterRun({ overlap: 'skip', fireKey: 'p@0.0' }))
    t.is(again.kind, 'known', 'skipped or not, its key was used')
    t.is((await catalog.requestRun(clusterRun({ overlap: 'queue' }))).kind, 'created')
    t.is((await catalog.requestRun(clusterRun({ overlap: 'queue' }))).kind, 'created')
    t.is((await catalog.requestRun(clusterRun({ overlap: 'skip' }))).kind, 'skipped')
    const other = clusterRun({ overlap: 'skip', pipeline: 'q' })
    t.is((await catalog.requestRun(other)).kind, 'created')
  })

  test(`${name}: the newest scheduled start is known for each pipeline, skipped ones too`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    t.deepEqual(await catalog.lastScheduled(), new Map())
    const scheduled = (run: Partial<NewClusterRun>) =>
      catalog.requestRun(clusterRun({ trigger: 'schedule', overlap: 'skip', ...run }))
    await scheduled({ scheduledAt: 100, fireKey: '1' })
    await scheduled({ scheduledAt: 300, fireKey: '2' })
    await scheduled({ scheduledAt: 200, fireKey: '3' })
    await scheduled({ scheduledAt: 50, fireKey: '4', pipeline: 'q' })
    await scheduled({ scheduledAt: 999, fireKey: '2' })
    await catalog.requestRun(clusterRun({ scheduledAt: 5_000, pipeline: 'q' }))
    await catalog.requestRun(clusterRun({ scheduledAt: 5_000, pipeline: 'r' }))
    t.deepEqual(
      await catalog.lastScheduled(),
      new Map([
        ['p', 300],
        ['q', 50],
      ]),
    )
  })
}

function stewardTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a run goes from queued over running and finishing to its end`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const { runId } = await catalog.requestRun(clusterRun())
    const taken = (await catalog.takeRun(runId, 'w1'))!
    t.like(taken, { id: runId, epoch: 1, worker: 'w1', status: 'queued' })
    t.false(await catalog.closeRun(runId, 1), 'it has not begun')
    clock.now = 2_000
    const parts = ABC.map((shard) => ({ shard, table: 't' }))
    t.true(await catalog.startRun(runId, 1, { n: [1] }, parts))
    t.false(await catalog.startRun(runId, 1, { n: [2] }, parts), 'it has begun')
    t.like((await catalog.openRuns())[0], {
      status: 'running',
      plan: { n: [1] },
      shardsTotal: 3,
      startedAt: 2_000,
    })
    t.false(await catalog.closeRun(runId, 1), 'nothing is done')
    const group = await newGroup(catalog, ABC, { runId })
    await group.commit({ adds: ['x'], done: true })
    t.true(await catalog.closeRun(runId, 1))
    t.like((await catalog.openRuns())[0], { status: 'finishing' })
    clock.now = 3_000
    t.true(await catalog.endRun(runId, 1, ENDED))
    t.like(await catalog.run(runId), { ...ENDED, endedAt: 3_000 })
    t.deepEqual(await catalog.openRuns(), [])
    t.is(await catalog.takeRun(runId, 'w2'), undefined)
    t.is(await catalog.takeRun(runId + 99, 'w2'), undefined)
    t.false(await catalog.endRun(runId, 1, { ...ENDED, status: 'failed' }), 'once')
  })

  test(`${name}: a steward that lost its run changes nothing in any state of it`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const other = await another()
    const { runId } = await catalog.requestRun(clusterRun())
    const parts = ABC.map((shard) => ({ shard, table: 't' }))
    const lost = async (epoch: number) => {
      const before = [await catalog.openRuns(), await statesOf(catalog, runId)]
      t.false(await catalog.startRun(runId, epoch, 'lost', parts))
      t.false(await catalog.closeRun(runId, epoch))
      t.false(await catalog.endRun(runId, epoch, ENDED))
      t.deepEqual([await catalog.openRuns(), await statesOf(catalog, runId)], before)
    }
    t.is((await catalog.takeRun(runId, 'w1'))?.epoch, 1)
    t.is((await other.takeRun(runId, 'w2'))?.epoch, 2)
    await lost(1)
    t.true(await other.startRun(runId, 2, null, parts))
    await catalog.takeRun(runId, 'w3')
    await lost(2)
    await newGroup(catalog, ABC, { runId }).then((group) => group.commit({ done: true }))
    await lost(2)
    t.true(await catalog.closeRun(runId, 3))
    await catalog.takeRun(runId, 'w4')
    await lost(3)
    t.true(await catalog.endRun(runId, 4, ENDED))
  })

  test(`${name}: an open run of any status can end, and nothing of it stays pending`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const queued = (await catalog.requestRun(clusterRun())).runId
    await catalog.takeRun(queued, 'w')
    const end = { status: 'failed', shardsDone: 0, shardsFailed: 1, error: 'no \0 plan' } as const
    t.true(await catalog.endRun(queued, 1, end))
    t.like(await catalog.run(queued), { ...end, error: 'no \u{fffd} plan' })
    const { runId, epoch } = await startRun(catalog, ABC)
    t.true(await catalog.endRun(runId, epoch, end))
    t.deepEqual(await catalog.runProgress(runId), { pending: 0, done: 0, failed: 0, stopped: 3 })
  })

  test(`${name}: a cancel ends a queued run at once and asks a running one`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const queued = (await catalog.requestRun(clusterRun())).runId
    t.is(await catalog.cancelRun(queued), 'cancelled')
    t.like(await catalog.run(queued), { status: 'cancelled', endedAt: 1_000 })
    t.is(await catalog.cancelRun(queued), 'over')
    const { runId, epoch } = await startRun(catalog, ABC)
    t.is(await catalog.cancelRun(runId), 'asked')
    t.like((await catalog.openRuns())[0], { id: runId, status: 'running', isCancelled: true })
    t.deepEqual(await catalog.pendingShards(['p']), [], 'nobody takes its parts up any more')
    t.is(await catalog.cancelRun(runId), 'asked')
    t.like(await catalog.runProgress(runId), { pending: 0, stopped: 3 })
    t.true(await catalog.closeRun(runId, epoch))
    t.is(await catalog.cancelRun(runId), 'asked')
    t.true(await catalog.endRun(runId, epoch, { ...ENDED, status: 'cancelled' }))
    t.is(await catalog.cancelRun(runId), 'over')
    t.is(await catalog.cancelRun(4711), 'unknown')
    t.is(await catalog.cancelRun(await newRun(catalog)), 'unknown', 'a run of one process')
  })

  test(`${name}: runs of one process are no runs of the cluster, nor the other way`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const own = await newRun(catalog, { worker: 'steward' })
    const { runId } = await startRun(catalog, ABC)
    t.deepEqual(
      (await catalog.openRuns()).map((run) => run.id),
      [runId],
    )
    t.is(await catalog.takeRun(own, 'w'), undefined)
    t.is(await catalog.markLost('steward'), 1)
    t.like(await catalog.run(own), { status: 'lost' })
    t.like(await catalog.run(runId), { status: 'running', worker: 'steward' })
  })
}

function partTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a commit that is done ends the part of the run, and no other`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const { runId } = await startRun(catalog, ABC)
    const writer = await newWriter(catalog, { shard: 'a' })
    await writer.commit({ runId, adds: ['x'] })
    t.is((await statesOf(catalog, runId))['a'], 'pending')
    await writer.commit({ runId, adds: ['y'], done: true })
    const states = { a: 'done', b: 'pending', c: 'pending' }
    t.deepEqual(await statesOf(catalog, runId), states)
    const old = await newWriter(catalog, { shard: 'b' })
    await newWriter(catalog, { shard: 'b' })
    t.is((await old.commit({ runId, adds: ['z'], done: true })).kind, 'fenced')
    t.deepEqual(await statesOf(catalog, runId), states, 'a fenced commit leaves it pending')
    const group = await newGroup(catalog, ['b', 'c'], { runId, holder: 'w7' })
    await group.commit({ adds: ['v'], done: true })
    t.deepEqual(await statesOf(catalog, runId), { a: 'done', b: 'done', c: 'done' })
    t.is((await catalog.runShards(runId))[2]?.worker, 'w7')
    t.deepEqual(await catalog.runProgress(runId), { pending: 0, done: 3, failed: 0, stopped: 0 })
  })

  test(`${name}: parts are listed in order, by state and from a shard on`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const shards = ['c', 'a', 'b', 'd']
    await declare(catalog, ...shards)
    const { runId } = await startRun(catalog, shards)
    await newGroup(catalog, ['b'], { runId }).then((group) => group.commit({ done: true }))
    const listed = async (filter?: { state?: RunShardState; limit?: number; after?: string }) =>
      (await catalog.runShards(runId, filter)).map((part) => part.shard).join('')
    t.is(await listed(), 'abcd')
    t.is(await listed({ state: 'pending' }), 'acd')
    t.is(await listed({ limit: 2 }), 'ab')
    t.is(await listed({ limit: 2, after: 'b' }), 'cd')
    t.is(await listed({ state: 'pending', limit: 1, after: 'a' }), 'c')
    t.deepEqual((await catalog.runShards(runId))[0], {
      runId,
      pipeline: 'p',
      shard: 'a',
      table: 't',
      spec: null,
      state: 'pending',
      attempts: 0,
      nextAt: 0,
      worker: null,
      error: null,
      failedOn: [],
    })
    t.deepEqual(await catalog.runShards(runId + 99), [])
  })

  test(`${name}: pending are the parts of running runs of the pipelines asked for`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    await catalog.ensureShards([{ pipeline: 'q', shard: 'a', table: 't', spec: null }])
    const { runId, epoch } = await startRun(catalog, ABC)
    const q = await startRun(catalog, ['a'], { pipeline: 'q' })
    const pending = async (...pipelines: string[]) =>
      (await catalog.pendingShards(pipelines)).map((part) => `${part.pipeline}/${part.shard}`)
    t.deepEqual(await pending('p', 'q'), ['p/a', 'p/b', 'p/c', 'q/a'])
    t.deepEqual(await pending('q', 'nowhere'), ['q/a'])
    t.deepEqual(await pending(), [])
    const among = async (...shards: string[]) => {
      const keys = shards.map((shard) => ({ pipeline: 'p', shard }))
      return (await catalog.pendingParts(keys)).map((part) => part.shard)
    }
    t.deepEqual(await among('c', 'b', 'nowhere'), ['b', 'c'])
    t.deepEqual(await among(), [])
    const [[part], [listed]] = [
      await catalog.pendingParts([{ pipeline: 'q', shard: 'a' }]),
      await catalog.pendingShards(['q']),
    ]
    t.deepEqual(part, listed)
    await newGroup(catalog, ['b'], { runId }).then((group) => group.commit({ done: true }))
    t.deepEqual(await pending('p'), ['p/a', 'p/c'])
    t.deepEqual(await among(...ABC), ['a', 'c'])
    await catalog.endRun(runId, epoch, ENDED)
    t.deepEqual(await pending('p', 'q'), ['q/a'])
    t.deepEqual(await among(...ABC), [])
    t.like((await catalog.pendingShards(['q']))[0], { runId: q.runId, table: 't' })
  })

  test(`${name}: a shard that is paused, quarantined or dropped ends its pending part`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, ...ABC, 'd')
    const { runId, epoch } = await startRun(catalog, [...ABC, 'd'])
    await newGroup(catalog, ['d'], { runId }).then((group) => group.commit({ done: true }))
    t.like(await catalog.pauseShard({ pipeline: 'p', shard: 'a' }, true), { paused: true })
    const bad = await catalog.quarantineShard({ pipeline: 'p', shard: 'b' }, 'bad\0')
    t.like(bad, { quarantine: 'bad\u{fffd}' })
    await catalog.dropShards('p', ['c'])
    await catalog.pauseShard({ pipeline: 'p', shard: 'd' }, true)
    t.deepEqual(await statesOf(catalog, runId), {
      a: 'stopped',
      b: 'stopped',
      c: 'stopped',
      d: 'done',
    })
    t.true(await catalog.closeRun(runId, epoch))
    const next = await startRun(await another(), [...ABC, 'd'])
    t.is((await catalog.runProgress(next.runId)).stopped, 4, 'nor are they pending in a later run')
    t.like(await catalog.pauseShard({ pipeline: 'p', shard: 'a' }, false), { paused: false })
    t.like(await catalog.quarantineShard({ pipeline: 'p', shard: 'b' }, null), { quarantine: null })
    t.is((await catalog.runProgress((await startRun(catalog, ['a', 'b'])).runId)).pending, 2)
    for (const shard of ['c', 'nowhere']) {
      t.is(await catalog.pauseShard({ pipeline: 'p', shard }, true), undefined)
      t.is(await catalog.quarantineShard({ pipeline: 'p', shard }, 'why'), undefined)
    }
  })

  test(`${name}: a pause beside a start leaves no part pending`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const shards = Array.from({ length: 40 }, (_, index) => `s${index}`)
    await declare(catalog, ...shards)
    const other = await another()
    for (const shard of shards.slice(0, 12)) {
      const [{ runId }] = await Promise.all([
        startRun(catalog, shards),
        other.pauseShard({ pipeline: 'p', shard }, true),
      ])
      t.is((await statesOf(catalog, runId))[shard], 'stopped')
    }
  })
}

function settleTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: each end of a holder's work is recorded as it was told`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    const shards = ['done', 'elsewhere', 'failed', 'retry', 'stopped']
    await declare(catalog, ...shards)
    const { runId } = await startRun(catalog, shards)
    const { rows } = await newGroup(catalog, shards, { runId })
    const [done, elsewhere, failed, retry, stopped] = rows
    clock.now = 2_000
    const count = await catalog.settleShards([
      settlement(runId, done!, { kind: 'done' }),
      settlement(runId, elsewhere!, { kind: 'elsewhere', error: 'no \0 here' }, 'w2'),
      settlement(runId, failed!, { kind: 'failed', error: 'broken', quarantineAfter: 3 }),
      settlement(runId, retry!, { kind: 'retry', attempts: 2, nextAt: 9_000, error: 'slow' }),
      settlement(runId, stopped!, { kind: 'stopped' }),
    ])
    t.is(count, 5)
    const about = { runId, pipeline: 'p', table: 't', spec: null }
    const part = { ...about, attempts: 0, nextAt: 0, worker: 'w' }
    const none = { error: null, failedOn: [] }
    t.deepEqual(await catalog.runShards(runId), [
      { ...part, ...none, shard: 'done', state: 'done' },
      {
        ...part,
        shard: 'elsewhere',
        state: 'pending',
        nextAt: 2_000,
        worker: 'w2',
        error: 'no \u{fffd} here',
        failedOn: ['w2'],
      },
      { ...part, ...none, shard: 'failed', state: 'failed', error: 'broken' },
      {
        ...part,
        ...none,
        shard: 'retry',
        state: 'pending',
        attempts: 2,
        nextAt: 9_000,
        error: 'slow',
      },
      { ...part, ...none, shard: 'stopped', state: 'stopped' },
    ])
    t.deepEqual(await catalog.runProgress(runId), { pending: 2, done: 1, failed: 1, stopped: 1 })
    t.is((await catalog.shards('p')).find((row) => row.shard === 'failed')?.failures, 1)
    t.is(await catalog.settleShards([]), 0)
  })

  test(`${name}: what is settled, or told by an older holder, stays as it is`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const { runId } = await startRun(catalog, ABC)
    const { rows: old } = await newGroup(catalog, ABC, { runId })
    const { rows } = await newGroup(await another(), ABC, { runId, holder: 'w2' })
    const ends = [
      { kind: 'done' },
      { kind: 'failed', error: 'x', quarantineAfter: 1 },
      { kind: 'retry', attempts: 1, nextAt: 5, error: 'x' },
      { kind: 'elsewhere', error: 'x' },
      { kind: 'stopped' },
    ] as const
    const before = [await catalog.runShards(runId), await catalog.shards('p')]
    for (const end of ends) {
      t.is(await catalog.settleShards(old.map((row) => settlement(runId, row, end))), 0)
    }
    t.deepEqual([await catalog.runShards(runId), await catalog.shards('p')], before)
    const mixed = [...old.slice(0, 2), rows[2]!].map((row) =>
      settlement(runId, row, { kind: 'done' }),
    )
    t.is(await catalog.settleShards(mixed), 1, 'the others of the call count')
    t.deepEqual(await statesOf(catalog, runId), { a: 'pending', b: 'pending', c: 'done' })
    for (const end of ends) t.is(await catalog.settleShards([settlement(runId, rows[2]!, end)]), 0)
    t.is((await statesOf(catalog, runId))['c'], 'done')
    t.is(await catalog.settleShards([settlement(runId + 1, rows[0]!, { kind: 'done' })]), 0)
  })

  test(`${name}: a commit ends a row of failed attempts`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const { runId } = await startRun(catalog, ABC)
    const group = await newGroup(catalog, ABC, { runId })
    const retry = { kind: 'retry', attempts: 4, nextAt: 5, error: 'x' } as const
    await catalog.settleShards(group.rows.map((row) => settlement(runId, row, retry)))
    t.is((await catalog.runShards(runId))[0]?.attempts, 4)
    await group.commit({ adds: ['x'] })
    for (const part of await catalog.runShards(runId)) {
      t.like(part, { attempts: 0, error: null, state: 'pending' })
    }
  })

  test(`${name}: a shard that fails in run after run is quarantined, until it is lifted`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 'a', 'b')
    const failed = { kind: 'failed', error: 'broken', quarantineAfter: 3 } as const
    const fail = async (end: Parameters<typeof settlement>[2]) => {
      const { runId } = await startRun(catalog, ['a', 'b'])
      const { rows } = await newGroup(catalog, ['a', 'b'], { runId })
      await catalog.settleShards(rows.map((row) => settlement(runId, row, end)))
      return (await catalog.shards('p'))[0]!
    }
    t.like(await fail(failed), { failures: 1, quarantine: null })
    t.like(await fail({ kind: 'done' }), { failures: 0, quarantine: null })
    await fail(failed)
    const { runId } = await startRun(catalog, ['a', 'b'])
    const group = await newGroup(catalog, ['a', 'b'], { runId })
    await group.commit({ done: true })
    t.is((await catalog.shards('p'))[0]?.failures, 0, 'a pass that was committed counts as well')
    await fail(failed)
    await fail(failed)
    t.like(await fail(failed), { failures: 3, quarantine: 'failed in 3 runs in a row: broken' })
    const later = await startRun(catalog, ['a', 'b'])
    t.is((await catalog.runProgress(later.runId)).stopped, 2)
    const lifted = await catalog.quarantineShard({ pipeline: 'p', shard: 'a' }, null)
    t.like(lifted, { failures: 0, quarantine: null })
  })

  test(`${name}: what failed is pending again when it is retried, in a run that still runs`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const { runId, epoch } = await startRun(catalog, ABC)
    const { rows } = await newGroup(catalog, ABC, { runId })
    const failed = { kind: 'failed', error: 'x', quarantineAfter: 9 } as const
    await catalog.settleShards(rows.map((row) => settlement(runId, row, failed)))
    await catalog.pauseShard({ pipeline: 'p', shard: 'c' }, true)
    t.is(await catalog.retryFailed(runId), 2)
    t.deepEqual(await statesOf(catalog, runId), { a: 'pending', b: 'pending', c: 'failed' })
    t.like((await catalog.runShards(runId))[0], { attempts: 0, nextAt: 0, failedOn: [] })
    t.false(await catalog.closeRun(runId, epoch))
    await catalog.settleShards(rows.map((row) => settlement(runId, row, failed)))
    t.true(await catalog.closeRun(runId, epoch))
    t.is(await catalog.retryFailed(runId), 0)
    t.is((await catalog.runProgress(runId)).failed, 3)
  })
}

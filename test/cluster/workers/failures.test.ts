/**
 * A shard that fails: where one worker lacks what it needs, another takes it; where none can, the run ends
 * as partial, and after three such runs the shard is left alone until somebody lifts that. No other shard
 * waits for it.
 */
import test from 'ava'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { until } from '../../support/until.ts'
import { apiPipeline, openWorkerCluster } from '../../support/worker-cluster.ts'

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

const PARTS = ['0', '1', '2', '3', '4', '5']

test.serial('shards that fail for want of a secret on one worker run on another', async (t) => {
  await using place = await startHakiriPlace(1)
  const lab = await openWorkerCluster(t, { postgres, place, parts: PARTS.length, rows: 200 })
  await lab.apply(
    apiPipeline('shop', lab.api.url, PARTS, { source: 'headers = { "x-key" = "env:SHOP_KEY" }' }),
  )
  const poor = await lab.start('poor')
  await lab.start('rich', { env: { SHOP_KEY: 'secret' } })
  await until('both hold something', async () => (await lab.view()).members.size === 2)
  const run = await lab.run()
  t.is((await lab.ended(run)).status, 'succeeded')
  await lab.audit(t)
  const failed = poor.lines().filter(({ message }) => message.startsWith('a shard failed'))
  t.true(failed.length > 0, 'it had some of them at first')
  t.deepEqual([...new Set(failed.map(({ next }) => next))], ['elsewhere'])
  t.regex(failed[0]?.message ?? '', /SHOP_KEY/)
  t.deepEqual(
    [...new Set((await lab.catalog.shards('shop')).map(({ holder }) => holder))],
    ['rich'],
  )
})

test.serial(
  'a shard that fails everywhere holds nobody up, is quarantined, and can be brought back',
  async (t) => {
    await using place = await startHakiriPlace(1)
    const lab = await openWorkerCluster(t, { postgres, place, parts: PARTS.length, rows: 200 })
    await lab.apply()
    await lab.start('one')
    await lab.start('two')
    await until('both are there', async () => (await lab.view()).members.size === 2)
    const key = { pipeline: 'shop', shard: 'events/part=3' }
    lab.api.broken.add('3')
    for (const time of [1, 2, 3]) {
      const row = await lab.ended(await lab.run())
      t.is(row.status, 'partial', `run ${time}`)
      t.deepEqual([row.shardsDone, row.shardsFailed], [PARTS.length - 1, 1])
      t.regex(row.error ?? '', /no such part/)
      const parts = await lab.catalog.runShards(row.id, { state: 'failed' })
      t.deepEqual(
        parts.map(({ shard }) => shard),
        [key.shard],
      )
      t.is((await lab.catalog.shard(key))?.failures, time)
    }
    t.regex((await lab.catalog.shard(key))?.quarantine ?? '', /failed in 3 runs in a row/)
    const why = await until('the planner has seen it', async () => {
      const { stdout } = await lab.hakiri('shards', '--why', 'shop/events/part=3')
      return stdout.includes('is quarantined') && stdout
    })
    t.regex(why, /no such part/)
    t.regex(why, /hakiri shard resume shop\/events\/part=3/)
    // It is left out, and everybody else goes on.
    lab.api.rows += 50
    const without = await lab.ended(await lab.run())
    t.is(without.status, 'succeeded')
    t.is(without.shardsDone, PARTS.length - 1)

    lab.api.broken.clear()
    t.is((await lab.hakiri('shard', 'resume', 'shop/events/part=3')).code, 0)
    await lab.runThrough()
    await lab.audit(t)
  },
)

test.serial(
  'a shard in backoff frees its slot, and the others of its run are done meanwhile',
  async (t) => {
    await using place = await startHakiriPlace(1)
    const lab = await openWorkerCluster(t, { postgres, place, parts: PARTS.length, rows: 200 })
    await lab.apply(
      apiPipeline('shop', lab.api.url, PARTS).replace(
        'backoff = "100ms..1s"',
        'backoff = "10m..10m"',
      ),
    )
    lab.api.unwell.add('0').add('1')
    await lab.start('one')
    const run = await lab.run()
    await until('all others are done', async () => (await lab.catalog.runProgress(run)).done === 4)
    await until('both wait', async () => {
      const pending = await lab.catalog.runShards(run, { state: 'pending' })
      return pending.every(({ attempts, nextAt }) => attempts === 1 && nextAt > Date.now())
    })
    t.is(await lab.catalog.cancelRun(run), 'asked')
    t.is((await lab.ended(run)).status, 'cancelled')
    lab.api.unwell.clear()
    await lab.runThrough()
    await lab.audit(t)
  },
)

test.serial('a shard that is paused just before it is taken up is not read', async (t) => {
  await using place = await startHakiriPlace(1)
  const ttlMs = 600_000
  const lab = await openWorkerCluster(t, { postgres, place, parts: 1, rows: 200, ttlMs })
  await lab.apply()
  const worker = await lab.start('one', { plant: 'stop:before-acquire:1' })
  const run = await lab.run()
  await worker.until(({ message }) => message === 'planted', 'its taking up the shard')
  t.is((await lab.hakiri('shard', 'pause', 'shop/events/part=0')).code, 0)
  await worker.signal('SIGCONT')
  t.is((await lab.ended(run)).status, 'cancelled')
  const key = { pipeline: 'shop', shard: 'events/part=0' }
  t.deepEqual([(await lab.catalog.shard(key))?.epoch, lab.api.requests.length], [0, 0])
  t.is((await lab.hakiri('shard', 'resume', 'shop/events/part=0')).code, 0)
  await lab.runThrough()
  await lab.audit(t)
})

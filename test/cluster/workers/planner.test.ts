/**
 * The planner dies at a bad moment: in the middle of two thousand assignments, just before and just after
 * it has asked for a scheduled run. The next one completes the plan; each start happens once.
 */
import test from 'ava'
import pg from 'pg'
import { etcdMissing } from '../../etcd/start-etcd.ts'
import { forEachBackend } from '../../support/coord-backends.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { until } from '../../support/until.ts'
import { apiPipeline, openWorkerCluster, type WorkerCluster } from '../../support/worker-cluster.ts'

const missing = await etcdMissing()

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

const SHARDS = 2_000

type Fire = {
  readonly id: number
  readonly key: string
  readonly at: number
  readonly status: string
}

/** Scheduled runs, oldest first, as the catalog has them. */
async function fires({ catalogUrl }: WorkerCluster, pipeline = 'shop'): Promise<readonly Fire[]> {
  const client = new pg.Client(catalogUrl)
  await client.connect()
  try {
    const { rows } = await client.query<{
      id: string
      fire_key: string
      scheduled_at: string
      status: string
    }>(
      `select id, fire_key, scheduled_at, status from hakiri.run
       where trigger_kind = 'schedule' and pipeline = $1 order by scheduled_at, id`,
      [pipeline],
    )
    return rows.map((row) => ({
      id: Number(row.id),
      key: row.fire_key,
      at: Number(row.scheduled_at),
      status: row.status,
    }))
  } finally {
    await client.end()
  }
}

const atLeast = (lab: WorkerCluster, count: number): Promise<readonly Fire[]> =>
  until(`${count} starts`, async () => {
    const found = await fires(lab)
    return found.length >= count && found
  })

const PARTS = ['0', '1']
const scheduled = (url: string, schedule: string): string =>
  apiPipeline('shop', url, PARTS, { pipeline: `schedule = { ${schedule} }` })

forEachBackend(test, missing, (backend) => {
  test.serial(
    `a planner that dies among ${SHARDS} assignments leaves a plan that the next one completes: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, {
        postgres,
        place: await backend.shared(),
        parts: SHARDS,
        rows: 2,
      })
      await lab.apply()
      const victim = await lab.start('victim', { plant: 'kill:amid-plan:1' })
      await victim.until(
        ({ message }) => message === 'this worker plans for the cluster',
        'its office',
      )
      const other = await lab.start('other')
      const run = await lab.run()
      t.is(await victim.ended(), 'SIGKILL')
      const { assignments } = await lab.view()
      const shards = [...assignments.keys()].filter((unit) => !unit.includes('/~'))
      t.true(shards.length > 0 && shards.length < SHARDS, `${shards.length} were assigned`)
      await other.until(
        ({ message }) => message === 'this worker plans for the cluster',
        'the office',
      )
      t.is((await lab.ended(run, 120_000)).status, 'succeeded')
      const after = await lab.view()
      t.is(after.assignments.size, SHARDS + 2, 'every shard, the steward and the publisher')
      t.deepEqual([...new Set(after.assignments.values())], ['other'])
      await until('all is claimed', async () => (await lab.view()).claims.size === SHARDS + 2)
      await lab.audit(t)
    },
  )

  for (const point of ['before-fire', 'after-fire']) {
    test.serial(
      `each start happens once, whoever dies ${point.replace('-', ' ')}: ${backend.name}`,
      async (t) => {
        const lab = await openWorkerCluster(t, {
          postgres,
          place: await backend.shared(),
          parts: 2,
          rows: 50,
        })
        await lab.apply(scheduled(lab.api.url, 'every = "4s", overlap = "queue"'))
        const victim = await lab.start('victim', { plant: `kill:${point}:2` })
        await victim.until(
          ({ message }) => message === 'this worker plans for the cluster',
          'its office',
        )
        await lab.start('two')
        await lab.start('three')
        await atLeast(lab, 1)
        t.is(await victim.ended(), 'SIGKILL')
        const known = await fires(lab)
        const found = await atLeast(lab, known.length + 2)
        t.is(new Set(found.map(({ key }) => key)).size, found.length)
        for (const { at, key } of found) {
          t.is(at % 4_000, 0)
          t.is(key, `shop@${new Date(at).toISOString()}`)
        }
        // What a planner lives to see it asks for at once: from the new planner's first start on none is left out.
        const later = found.slice(known.length).map(({ at }) => at)
        t.deepEqual(
          later,
          later.map((_, index) => later[0]! + index * 4_000),
        )
        for (const { id } of known) t.is((await lab.ended(id)).status, 'succeeded')
        await lab.audit(t)
      },
    )
  }

  test.serial(
    `what overlaps is skipped or queued, what was missed is caught up once: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, {
        postgres,
        place: await backend.shared(),
        parts: 2,
        rows: 100,
      })
      await lab.apply(scheduled(lab.api.url, 'every = "3s", overlap = "skip"'))
      const gate = lab.api.hold(() => true)
      const one = await lab.start('one')
      const [first, second] = await atLeast(lab, 2)
      t.is(second?.status, 'skipped')
      gate.open()
      t.is((await lab.ended(first?.id ?? 0)).status, 'succeeded')

      const again = lab.api.hold(() => true)
      await lab.apply(scheduled(lab.api.url, 'every = "3s", overlap = "queue"'))
      const waiting = await until('two are queued', async () => {
        const queued = (await fires(lab)).filter(({ status }) => status === 'queued')
        return queued.length >= 2 && queued
      })
      again.open()
      for (const { id } of waiting.slice(0, 2)) t.is((await lab.ended(id)).status, 'succeeded')

      t.is(await one.signal('SIGTERM'), 0)
      // As if everybody had been away for two hours, in which an hourly start was due five minutes ago.
      const minute = new Date(Date.now() - 300_000).getUTCMinutes()
      const missed = (name: string, more: string): string =>
        apiPipeline(name, lab.api.url, PARTS, {
          pipeline: `schedule = { cron = "${minute} * * * *"${more} }`,
        })
      await lab.apply(missed('late', '') + missed('caught', ', catchup = true'))
      const client = new pg.Client(lab.catalogUrl)
      await client.connect()
      await client.query('update hakiri.manifest set applied_at = applied_at - 7200000')
      await client.end()
      await lab.start('two')
      const caught = await until('the missed start', async () => {
        const found = await fires(lab, 'caught')
        return found.length > 0 && found
      })
      t.is(caught.length, 1, 'the newest stands for all that were missed')
      t.is((await lab.ended(caught[0]?.id ?? 0)).status, 'succeeded')
      t.deepEqual(await fires(lab, 'late'), [])
      await lab.audit(t, 'caught')
    },
  )
})

/**
 * kill -9 anywhere: afterwards a run completes and the table equals its source (S1, S2, S3). Each
 * combination of catalog and store meets every point of the commit path and random moments.
 */
import test, { type ExecutionContext } from 'ava'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { bucketSource } from '../support/bucket-source.ts'
import { assertDelta } from '../support/delta-lint.ts'
import { readDelta, type TableSource } from '../support/delta-reader.ts'
import { CRASH_POINTS } from '../support/crash-points.ts'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, finished, HAKIRI, type Project } from '../support/project.ts'
import { startS3Stub, type S3Stub } from '../support/s3-stub.ts'

const CRASH_RUN = fileURLToPath(new URL('../support/crash-run.ts', import.meta.url))
/** Random kills of each combination; four of them make a hundred. */
const RANDOM_KILLS = Number(process.env['HAKIRI_CRASH_KILLS'] ?? 25)

let postgres: Postgres
let stub: S3Stub
test.before(async () => {
  postgres = await startPostgres()
  stub = await startS3Stub()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
})

type Lab = {
  readonly project: Project
  readonly source: pg.Client
  readonly table: TableSource
  /** Adds rows to the source and changes nothing else. */
  grow(rows: number): Promise<void>
}

let labs = 0

async function openLab(
  t: ExecutionContext,
  catalog: 'sqlite' | 'postgres',
  store: 'folder' | 's3',
): Promise<Lab> {
  const url = await postgres.newDatabase()
  const bucket = `lab${labs++}`
  stub.createBucket(bucket)
  const destination =
    store === 'folder'
      ? 'type = "file"\nurl = "./lake"'
      : `type = "s3"\nurl = "s3://${bucket}/lake"\nendpoint = "${stub.endpoint}"\nregion = "us-east-1"\ncredentials = "env:LAB"`
  const project = await createProject(`version = 1
[catalog]
url = "${catalog === 'sqlite' ? 'sqlite:.hakiri/catalog.db' : 'env:LAB_CATALOG'}"
[destination.lake]
${destination}
publish_interval = "1ms"
[defaults]
memory = "64MB"
[pipelines.shop]
source = { type = "postgres", url = "env:LAB_SOURCE", tables = ["orders"] }
mode = "incremental"
shard_by = { key = "id", ranges = 3 }
write = { mode = "append", cursor = "nr" }
destination = "lake"
`)
  Object.assign(project.env, {
    LAB_SOURCE: url,
    LAB_CATALOG: await postgres.newDatabase(),
    LAB_ACCESS_KEY_ID: stub.credentials.accessKeyId,
    LAB_SECRET_ACCESS_KEY: stub.credentials.secretAccessKey,
  })
  const source = new pg.Client(url)
  await source.connect()
  await source.query('create table orders (id bigint primary key, nr bigserial, note text)')
  t.teardown(async () => {
    await source.end()
    await project[Symbol.asyncDispose]()
  })
  const grow = async (rows: number): Promise<void> => {
    // Keys scatter over all three ranges, so that every run has work in every shard.
    await source.query(
      `insert into orders (id, note)
       select (n * 7919) % 1000003, repeat(md5(n::text), 8) from generate_series(
         (select count(*) + 1 from orders), (select count(*) + $1::int from orders)) n`,
      [rows],
    )
  }
  return {
    project,
    source,
    grow,
    table:
      store === 'folder'
        ? project.table('shop.orders')
        : bucketSource(stub, bucket, 'lake/shop/orders/'),
  }
}

/** Completes a run, then compares the table with the source row by row. */
async function settle(t: ExecutionContext, lab: Lab): Promise<void> {
  const ran = await lab.project.hakiri('run', '--json')
  t.is(ran.code, 0, ran.stdout + ran.stderr)
  await assertDelta(lab.table)
  const table = await readDelta(lab.table)
  const seen = new Map<string, unknown>()
  for await (const row of table.rows()) {
    const id = (row['id'] as bigint).toString()
    t.false(seen.has(id), `row ${id} is doubled`)
    seen.set(id, row['note'])
  }
  const { rows } = await lab.source.query<{ id: string; note: string }>(
    'select id::text, note from orders',
  )
  const wrong = rows.filter(({ id, note }) => seen.get(id) !== note)
  t.deepEqual({ lost: wrong.length, extra: seen.size - rows.length }, { lost: 0, extra: 0 })
}

/** No file of the bucket stays unnamed once orphans are collected without grace. */
async function collectOrphans(t: ExecutionContext, lab: Lab): Promise<void> {
  const ran = await lab.project.hakiri('tables', 'vacuum', '--grace', '0s', '--json')
  t.is(ran.code, 0, ran.stdout + ran.stderr)
  const { orphans } = await assertDelta(lab.table)
  t.deepEqual(orphans, [])
}

for (const catalog of ['sqlite', 'postgres'] as const) {
  for (const store of ['folder', 's3'] as const) {
    test(`kill -9 at each point of the commit path loses and doubles nothing: ${catalog}, ${store}`, async (t) => {
      const lab = await openLab(t, catalog, store)
      for (const point of CRASH_POINTS) {
        // The log is put once a run at the least; all other points are met once a shard.
        for (const nth of point.includes('log') ? ['1'] : ['1', '2']) {
          await lab.grow(1_500)
          const crashed = await finished(lab.project.start(process.execPath, CRASH_RUN, point, nth))
          t.is(crashed.signal, 'SIGKILL', `${point} was never reached: ${crashed.stderr}`)
          await settle(t, lab)
        }
      }
      await collectOrphans(t, lab)
    })

    test(`kill -9 at ${RANDOM_KILLS} random moments loses and doubles nothing: ${catalog}, ${store}`, async (t) => {
      const lab = await openLab(t, catalog, store)
      await lab.grow(1_000)
      await settle(t, lab)
      let killed = 0
      for (let round = 0; round < RANDOM_KILLS; round++) {
        await lab.grow(2_000)
        const child = lab.project.start(HAKIRI, 'run', '--quiet')
        const ended = finished(child)
        const moment = 150 + Math.random() * 900
        await Promise.race([delay(moment), ended])
        if (child.exitCode === null && child.kill('SIGKILL')) killed++
        const { code, stderr } = await ended
        t.true(code === null || code === 0, `run ${round} failed by itself: ${stderr}`)
      }
      t.log(`${killed} of ${RANDOM_KILLS} were killed while at work`)
      t.true(killed > 0)
      await settle(t, lab)
      await collectOrphans(t, lab)
    })
  }
}

test('the files of a killed run stay invisible until a commit names them', async (t) => {
  const lab = await openLab(t, 'sqlite', 'folder')
  await lab.grow(2_000)
  await finished(lab.project.start(process.execPath, CRASH_RUN, 'before-commit', '1'))
  await settle(t, lab)
  const { orphans } = await assertDelta(lab.table)
  t.true(orphans.length > 0, 'the crash left an upload behind')
  t.true(orphans.every((path) => !path.startsWith(join('_delta_log', ''))))
  await collectOrphans(t, lab)
})

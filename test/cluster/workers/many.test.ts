/**
 * Twenty thousand small shards on four workers, one of which is killed half-way: each row once. Shards of
 * a table share files and transactions here, each still fenced by its own epoch (L3, S3).
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import test from 'ava'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { assertDelta } from '../../support/delta-lint.ts'
import { readDelta } from '../../support/delta-reader.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster } from '../../support/worker-cluster.ts'

/** Fewer only where somebody says so: the promise is about twenty thousand. */
const SHARDS = Number(process.env['HAKIRI_WORKERS_SHARDS'] ?? 20_000)
const ROWS = 5
const RUN_MS_MAX = 600_000

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

test.serial(
  `${SHARDS} small shards on four workers, one killed half-way, are each there once`,
  async (t) => {
    t.timeout(RUN_MS_MAX * 2)
    await using place = await startHakiriPlace(1)
    const lab = await openWorkerCluster(t, { postgres, place })
    const files = join(lab.folder, 'files')
    await mkdir(files)
    for (let shard = 0; shard < SHARDS; shard++) {
      const rows = Array.from(
        { length: ROWS },
        (_, row) => `{"id":${shard * ROWS + row},"shard":${shard}}\n`,
      )
      await writeFile(join(files, `${String(shard).padStart(6, '0')}.ndjson`), rows.join(''))
    }
    await lab.apply(
      `
[pipelines.many]
mode = "incremental"
write = { mode = "append" }
shard_by = "file"
destination = "lake"
source = { type = "file", paths = [${JSON.stringify(`${files}/*.ndjson`)}], format = "ndjson", table = "events" }
`,
      '5m',
    )
    const names = ['one', 'two', 'three', 'four']
    const workers = []
    for (const name of names) workers.push(await lab.start(name, { args: ['--session-ttl', '5s'] }))
    const run = await lab.run('many')
    const began = performance.now()
    await until(
      'half of it is done',
      async () => (await lab.catalog.runProgress(run)).done >= SHARDS / 2,
      RUN_MS_MAX,
      async () => JSON.stringify(await lab.catalog.runProgress(run)),
    )
    const victim = workers[2]
    t.is(await victim?.signal('SIGKILL'), 'SIGKILL')
    const { status, error, shardsDone } = await lab.ended(run, RUN_MS_MAX)
    t.log(
      `${Math.round(SHARDS / ((performance.now() - began) / 1_000))} shards/s, kill and takeover included`,
    )
    t.is(status, 'succeeded', error ?? '')
    t.is(shardsDone, SHARDS)

    await assertDelta(lab.table('many.events'), { values: false })
    const { files: live } = await readDelta(lab.table('many.events'))
    const paths = live.map(({ path }) => `'${join(lab.folder, 'lake', 'many', 'events', path)}'`)
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    const reader = await connection.runAndReadAll(`
    select count(*), count(distinct id), min(id), max(id), count(*) filter (id // ${ROWS} <> shard)
    from read_parquet([${paths.join(', ')}])`)
    connection.closeSync()
    instance.closeSync()
    const rows = SHARDS * ROWS
    t.deepEqual((reader.getRows()[0] ?? []).map(Number), [rows, rows, 0, rows - 1, 0])
  },
)

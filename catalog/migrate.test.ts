/** From each released schema to the newest: nothing is lost, and programs of before carry on beside. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import pg from 'pg'
import { systemClock, systemRandom } from '../lib/system/clock.ts'
import { type Postgres, startPostgres } from '../test/support/postgres.ts'
import type { Catalog } from './catalog.ts'
import type { Migration } from './migrate.ts'
import { POSTGRES_MIGRATIONS } from './migrations/postgres.ts'
import { SQLITE_MIGRATIONS } from './migrations/sqlite.ts'
import { openPostgresCatalog } from './postgres.ts'
import { openSqliteCatalog } from './sqlite.ts'

const deps = { clock: systemClock, random: systemRandom }
let server: Postgres

test.before(async () => {
  server = await startPostgres()
})
test.after.always(async () => server?.stop())

/** A database without a catalog; `exec` is another program's connection. */
type Bare = {
  readonly migrations: readonly Migration[]
  exec(sql: string): Promise<void>
  open(): Promise<Catalog>
}

const PLACES: readonly (readonly [string, (t: ExecutionContext) => Promise<Bare>])[] = [
  ['sqlite', bareSqlite],
  ['postgres', barePostgres],
]

for (const [name, newPlace] of PLACES) {
  test.serial(`${name}: what a catalog of the first schema held is there after it`, async (t) => {
    const place = await newPlace(t)
    await createFirst(place)
    await place.exec(OLD_ROWS)
    await using catalog = await place.open()
    const [shard] = await catalog.shards()
    t.like(shard, { shard: 's', seq: 1, quarantine: null, failures: 0, holder: null, weight: 0 })
    t.like(await catalog.run(7), { status: 'running', counters: { files: 1 } })
    t.deepEqual(
      (await catalog.events(7)).map((event) => [event.kind, event.data]),
      [
        ['one', { a: 1 }],
        ['two', null],
      ],
    )
    t.like(await catalog.clusterEvents({ afterId: 3, limit: 9 }), [{ id: 5, kind: 'two' }])
    await catalog.addEvents([{ ...EVENT, runId: 7 }])
    const ids = (await catalog.clusterEvents({ afterId: 0, limit: 9 })).map((event) => event.id)
    t.is(ids.length, 3)
    t.true(ids[2]! > 5, 'ids go on')
    t.is(await catalog.markLost('old:1'), 1)
    await using again = await place.open()
    t.is((await again.events(7)).length, 3)
  })

  test.serial(`${name}: a program of the first schema writes on after the second`, async (t) => {
    const place = await newPlace(t)
    await createFirst(place)
    await using catalog = await place.open()
    await place.exec(OLD_ROWS)
    await place.exec(`update table_commit set version = 0 where version is null and id <= 1`)
    await place.exec(`update run set status = 'lost', ended_at = 5 where worker = 'old:1'`)
    t.like((await catalog.shards())[0], { shard: 's', seq: 1 })
    t.like(await catalog.run(7), { status: 'lost', endedAt: 5 })
    t.is((await catalog.events(7)).length, 2)
    t.deepEqual(await catalog.openRuns(), [])
  })
}

const EVENT = {
  at: 3,
  level: 'info',
  shard: null,
  kind: 'three',
  message: 'm',
  data: null,
} as const

/** Rows as the first program wrote them: it names no column that came later. */
const OLD_ROWS = `
  insert into data_table (name, uuid, destination, mode, key_columns, partition_by, generation,
    generation_max, schema_revision, columns, next_version, publish_epoch, created_at)
    values ('t', 'u', 'lake', 'append', '[]', '[]', 1, 1, 0, '[]', 0, 0, 1);
  insert into shard (pipeline, shard, table_name, seq, epoch, generation) values ('p', 's', 't', 1, 1, 1);
  insert into table_commit (table_name, pipeline, shard, seq, epoch, run_id, generation, done,
    data_change, files, fingerprint, committed_at)
    values ('t', 'p', 's', 1, 1, 7, 1, false, true, 0, 'f', 1);
  insert into run (id, pipeline, kind, status, worker, started_at, shards_total)
    OVERRIDING values (7, 'p', 'run', 'running', 'old:1', 1, 1);
  insert into run_counter (run_id, slot, rows_read, rows_written, rows_quarantined, bytes_read,
    bytes_written, files, requests, not_modified, retries) values (7, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0);
  insert into run_event (id, run_id, at, level, kind, message, data)
    OVERRIDING values (3, 7, 1, 'info', 'one', 'm', '{"a":1}');
  insert into run_event (id, run_id, at, level, kind, message)
    OVERRIDING values (5, 7, 2, 'info', 'two', 'm');
`

async function createFirst(place: Bare): Promise<void> {
  await place.exec(`create table migration (
      id bigint primary key, name text not null, applied_at bigint not null);
    ${place.migrations[0]!.sql};
    insert into migration (id, name, applied_at) values (1, 'start', 1);
    insert into meta (key, value) values ('catalog_id', 'old');`)
}

async function bareSqlite(t: ExecutionContext): Promise<Bare> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-migrate-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'catalog.db')
  return {
    migrations: SQLITE_MIGRATIONS,
    exec: async (sql) => {
      using database = new DatabaseSync(path)
      database.exec(sql.replaceAll('OVERRIDING', ''))
    },
    open: () => openSqliteCatalog(path, deps),
  }
}

async function barePostgres(): Promise<Bare> {
  const url = await server.newDatabase()
  return {
    migrations: POSTGRES_MIGRATIONS,
    exec: async (sql) => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      const text = sql
        .replaceAll('OVERRIDING', 'overriding system value')
        // As ids that the sequence gave, which must not give them again.
        .concat(sql.includes('run_event') && sql.includes('OVERRIDING') ? SEQUENCE : '')
      await client.query(`create schema if not exists hakiri; set search_path to hakiri; ${text}`)
      await client.end()
    },
    open: () => openPostgresCatalog(url, deps),
  }
}

const SEQUENCE = `; select setval(pg_get_serial_sequence('run_event', 'id'), 5)`

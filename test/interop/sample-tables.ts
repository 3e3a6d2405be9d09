/**
 * Tables for the comparison with foreign readers, written by the command line itself: every Postgres
 * type that has a column type of its own, keys that are merged, partitions, a column that comes later,
 * files of text, and enough versions for a table to be compacted.
 */
import { execFile } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../support/postgres.ts'

const run = promisify(execFile)
const HAKIRI = fileURLToPath(new URL('../../hakiri', import.meta.url))
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

const PROJECT = `version = 1

[destination.lake]
type = "file"
url = "lake"

[destination.lake.files]
compact = { min_files = 2 }

[defaults]
destination = "lake"

[pipelines.shop]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["public.everything"] }
mode = "incremental"
write = { mode = "upsert", cursor = "changed_at", key = ["id"] }

[pipelines.visits]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["public.visits"] }
mode = "incremental"
write = { mode = "append", cursor = "id" }
partition_by = ["day(at)", "country"]

[pipelines.places]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["public.places"] }
mode = "incremental"
write = { mode = "append", cursor = "id" }
partition_by = ["_2_zone"]

[pipelines.events]
source = { type = "file", paths = ["events/*.ndjson"], table = "events" }
mode = "incremental"
shard_by = "file"
write = { mode = "append" }

[pipelines.orders]
source = { type = "file", paths = ["orders/*.csv"], table = "orders" }
types = { amount = "decimal(12,2)" }
`

const TABLES = `
create table everything (
  id bigint primary key, changed_at timestamptz not null, small smallint, plain integer, big bigint,
  single real, wide double precision, exact numeric(30,10), short_exact numeric(9,2), loose numeric,
  flag boolean, day date, moment timestamptz, local timestamp, clock time, raw bytea, words text,
  fixed char(5), tag uuid, document jsonb, list integer[], gap interval);
create table visits (id bigint primary key, at timestamptz not null, country text, pages integer);
create table places (id bigint primary key, "2 zone" text)`

/** Rows whose values sit at the edges of their types, beside plain ones and nulls. */
const EVERYTHING = `
insert into everything
select i, '2024-01-01Z'::timestamptz + i * interval '1 hour', i % 32767, -i, 9007199254740993 + i,
  i / 3.0, -i / 7.0, 12345678901234567890.0123456789 + i, i / 100.0, i * 1e12 + 0.5,
  i % 2 = 0, date '0001-01-01' + i * 3650, '1969-12-31 23:59:59.999999Z'::timestamptz + i * interval '1 us',
  '2024-02-29 12:00:00.123456'::timestamp, '23:59:59.999999', decode(lpad(to_hex(i), 8, '0'), 'hex'),
  repeat('Zoë 🦀 ', i % 9) || i, 'ab', ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid,
  jsonb_build_object('i', i, 'nested', jsonb_build_array(null, 'x')), array[i, null], i * interval '1 day'
from generate_series($1::int, $2::int) i`
const NULLS = `
insert into everything (id, changed_at, single, wide)
values ($1, '2024-06-01Z', 'NaN', '-Infinity'), ($1 + 1, '2024-06-02Z', '-0', 5e-324)`
const VISITS = `
insert into visits select i, '2024-03-01Z'::timestamptz + i * interval '7 hours',
  (array['de', 'a/b c=%', null, 'Zoë'])[1 + i % 4], i from generate_series($1::int, $2::int) i`
/** Two loads of one size a zone, so that every zone is compacted. */
const PLACES = `
insert into places select i, (array['de', 'a/b c=%', null, 'Zoë', '%2F', '..', 'a+b', '007', repeat('é', 40),
  E'\\n~''*(!)"<&>'])[1 + i % 10] from generate_series($1::int, $2::int) i`
const CHANGES = `
update everything set words = 'changed', changed_at = '2024-07-01Z' where id % 10 = 0;
alter table everything add column added_later numeric(12,3);
update everything set added_later = id / 8.0, changed_at = '2024-07-02Z' where id % 25 = 0`

/** Builds the tables below `folder` and returns their folders. */
export async function buildSampleTables(folder: string): Promise<string[]> {
  await using postgres = await startPostgres()
  const url = await postgres.newDatabase()
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await mkdir(join(folder, 'events'), { recursive: true })
    await mkdir(join(folder, 'orders'), { recursive: true })
    await writeFile(join(folder, 'hakiri.toml'), PROJECT)
    await client.query(TABLES)
    await client.query(EVERYTHING, [1, 400])
    await client.query(NULLS, [1000])
    await client.query(VISITS, [1, 60])
    await client.query(PLACES, [1, 50])
    await writeFile(join(folder, 'orders/1.csv'), csv(1, 500))
    await writeFile(join(folder, 'events/1.ndjson'), events(1, 300, false))
    await hakiri(folder, url, 'run')
    await client.query(CHANGES)
    await client.query(VISITS, [61, 90])
    await client.query(PLACES, [51, 100])
    await writeFile(join(folder, 'orders/2.csv'), csv(501, 40))
    await writeFile(join(folder, 'events/2.ndjson'), events(301, 200, true))
    await hakiri(folder, url, 'run')
    await hakiri(folder, url, 'tables', 'compact')
  } finally {
    await client.end()
  }
  return await findTables(join(folder, 'lake'))
}

async function hakiri(cwd: string, database: string, ...args: string[]): Promise<void> {
  const env = { ...process.env, SHOP_DB: database }
  await run(HAKIRI, args, { cwd, env, maxBuffer: OUTPUT_BYTES_MAX })
}

function csv(from: number, count: number): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const id = from + index
    const note = id % 7 === 0 ? '' : id % 5 === 0 ? `"say ""${id}"", Zoë 🦀"` : `note ${id}`
    return `${id},${(id * 1.25).toFixed(2)},${id % 2 === 0},2024-0${(id % 9) + 1}-15,${note}`
  })
  return ['id,amount,paid,due,note', ...rows, ''].join('\n')
}

function events(from: number, count: number, withCity: boolean): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const id = from + index
    const at = new Date(Date.UTC(2024, 0, 1 + (id % 4), id % 24, id % 60, 1, id % 1000))
    const city = withCity && id % 3 === 0 ? { city: `Ville ${id}` } : {}
    const value = id % 11 === 0 ? null : id / 3
    return JSON.stringify({ id, at: at.toISOString(), value, tags: { k: id }, ...city })
  })
  return rows.join('\n') + '\n'
}

/** Folders with a table log, at any depth. */
async function findTables(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true })
  const logs = names.filter((name) => name === '_delta_log' || name.endsWith('/_delta_log'))
  return logs.map((name) => join(root, dirname(name))).toSorted()
}

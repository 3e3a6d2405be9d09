/**
 * Partition values that a folder has to encode live through everything that is done with a table: runs,
 * queries, compaction, vacuum, a rebuild of the catalog, in a folder and in a bucket alike.
 */
import test, { type ExecutionContext } from 'ava'
import pg from 'pg'
import { openFolderStore } from '../../sink/store/folder.ts'
import { openS3Store } from '../../sink/store/s3.ts'
import type { StoreDeps } from '../../sink/store/store-deps.ts'
import type { ObjectStore } from '../../sink/store/store.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { join } from 'node:path'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, type Project } from '../support/project.ts'
import { startS3Stub, type S3Stub } from '../support/s3-stub.ts'

const deps: StoreDeps = { clock: systemClock, random: systemRandom, logger: silentLogger }
/** The fourth is too long for a folder, the rest is told by it. */
const ZONES = ['a/b c=%', null, '%2F', 'é'.repeat(300), "..'~"] as const
const ORPHAN = 'shop/places/_2_zone=a%2Fb%20c%3D%25/orphan.parquet'

let postgres: Postgres
let stub: S3Stub
test.before(async () => {
  postgres = await startPostgres()
  stub = await startS3Stub()
  stub.createBucket('zones')
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
})

test('a folder keeps every partition value through all that is done with a table', (t) =>
  live(t, 'type = "file"\nurl = "./lake"', (project) =>
    openFolderStore(join(project.folder, 'lake'), deps),
  ))

test('a bucket keeps every partition value through all that is done with a table', (t) => {
  const { endpoint, region, credentials } = stub
  const url = 's3://zones/lake'
  return live(
    t,
    `type = "s3"\nurl = "${url}"\nendpoint = "${endpoint}"\nregion = "${region}"\ncredentials = "env:LAB"`,
    async () => openS3Store({ url, endpoint, region, credentials }, deps),
  )
})

async function live(
  t: ExecutionContext,
  destination: string,
  openStore: (project: Project) => Promise<ObjectStore>,
): Promise<void> {
  const url = await postgres.newDatabase()
  await using project = await createProject(toml(destination))
  await using store = await openStore(project)
  Object.assign(project.env, {
    LAB_SOURCE: url,
    LAB_ACCESS_KEY_ID: stub.credentials.accessKeyId,
    LAB_SECRET_ACCESS_KEY: stub.credentials.secretAccessKey,
  })
  const hakiri = async (...args: readonly string[]): Promise<unknown> => {
    const ran = await project.json(...args)
    t.is(ran.code, 0, ran.stdout + ran.stderr)
    return ran.envelope.result
  }
  const source = new pg.Client(url)
  await source.connect()
  try {
    await source.query('create table places (id bigint primary key, "2 zone" text)')
    for (const round of [0, 1]) {
      await insert(source, round)
      await hakiri('run')
    }
    await check(t, hakiri, 2)
    await hakiri('tables', 'compact')
    await check(t, hakiri, 2)
    t.is((await dataKeys(store)).length, ZONES.length, 'one file of each zone is left')
    await store.put(ORPHAN, new Uint8Array([1]))
    await hakiri('tables', 'vacuum', '--grace', '0s')
    t.is(await store.head(ORPHAN), undefined)
    t.is((await dataKeys(store)).length, ZONES.length)
    await hakiri('catalog', 'rebuild', '--from-bucket', '--catalog', 'sqlite:.hakiri/second.db')
    await insert(source, 2)
    await hakiri('run', '--catalog', 'sqlite:.hakiri/second.db')
    await check(t, hakiri, 3)
  } finally {
    await source.end()
  }
}

const toml = (destination: string): string => `version = 1
[destination.lake]
${destination}
[destination.lake.files]
compact = { min_files = 2, retain = "0s" }
[pipelines.shop]
source = { type = "postgres", url = "env:LAB_SOURCE", tables = ["places"] }
mode = "incremental"
write = { mode = "append", cursor = "id" }
partition_by = ["_2_zone"]
destination = "lake"
`

/** One row a zone. */
async function insert(source: pg.Client, round: number): Promise<void> {
  for (const [index, zone] of ZONES.entries())
    await source.query('insert into places values ($1, $2)', [round * ZONES.length + index, zone])
}

async function check(
  t: ExecutionContext,
  hakiri: (...args: readonly string[]) => Promise<unknown>,
  rounds: number,
): Promise<void> {
  const wanted = Array.from({ length: rounds * ZONES.length }, (_, id) => [
    id,
    ZONES[id % ZONES.length] ?? null,
  ])
  const sql = 'select id::integer as id, "_2_zone" from shop.places order by id'
  const { rows } = (await hakiri('query', sql)) as { readonly rows: readonly unknown[] }
  t.deepEqual(rows, wanted)
}

async function dataKeys(store: ObjectStore): Promise<readonly string[]> {
  const objects = await Array.fromAsync(store.list('shop/places/_2_zone='))
  return objects.map(({ key }) => key)
}

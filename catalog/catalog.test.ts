/** Both adapters against the catalog's specification, and what each one says when its engine fails. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import pg from 'pg'
import { catalogSuite, type Place } from '../test/conformance/catalog-suite.ts'
import { declare, depsOf, newWriter } from '../test/conformance/catalog/kit.ts'
import { type Postgres, startPostgres } from '../test/support/postgres.ts'
import { openCatalog } from './open.ts'
import { openPostgresCatalog } from './postgres.ts'
import { openSqliteCatalog } from './sqlite.ts'

const deps = depsOf({ now: 1_000 })
let server: Postgres
let databaseUrl: string

test.before(async () => {
  server = await startPostgres()
  databaseUrl = await server.newDatabase()
})
test.after.always(async () => server?.stop())

catalogSuite(test, 'sqlite', async (t) => {
  const path = join(await newFolder(t), 'catalog.db')
  return {
    open: (deps) => openSqliteCatalog(path, deps),
    exec: async (sql) => {
      using database = new DatabaseSync(path)
      database.exec(sql)
    },
  }
})

// One after the other: together they would want more connections than a server allows, and SQLite's
// tests, which never leave the thread, would let none of them be made in time.
catalogSuite(test.serial, 'postgres', async (): Promise<Place> => {
  const schema = `Catalog ${randomBytes(6).toString('hex')}`
  return {
    open: (deps) => openPostgresCatalog(databaseUrl, deps, { schema, connectionsMax: 3 }),
    exec: async (sql) => {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      await client.query(`set search_path to ${pg.escapeIdentifier(schema)}; ${sql}`)
      await client.end()
    },
  }
})

test.serial('a URL or a path chooses the adapter', async (t) => {
  const folder = await newFolder(t)
  for (const url of [`sqlite:${folder}/new/a.db`, `${folder}/b.db`, `sqlite://${folder}/c.db`]) {
    await using catalog = await openCatalog(url, deps)
    t.regex(catalog.label, /^sqlite:\/.*\/[abc]\.db$/)
  }
  await using catalog = await openCatalog(databaseUrl.replace('postgres:', 'postgresql:'), deps)
  const { host, pathname } = new URL(databaseUrl)
  t.is(catalog.label, `postgres://${host}${pathname}`)
  for (const url of ['mysql://user:hunter2@host/db', 'sqlite:', '', 'postgres://a:hunter2@[x/db']) {
    const error = await t.throwsAsync(openCatalog(url, deps), { code: 'CONFIG_INVALID' })
    t.false(error?.message.includes('hunter2'))
  }
})

test.serial('an unreachable server is named, without its password', async (t) => {
  const error = await t.throwsAsync(
    openPostgresCatalog('postgres://me:hunter2@127.0.0.1:1/db', deps),
    {
      code: 'CATALOG_UNREACHABLE',
      message: /^postgres:\/\/127\.0\.0\.1:1\/db does not answer: .*REFUSED/,
    },
  )
  t.regex(String(error && 'suggestion' in error && error.suggestion), /runs/)
})

test.serial('a database that does not exist is refused, not awaited', async (t) => {
  const url = new URL(databaseUrl)
  url.pathname = '/nowhere'
  await t.throwsAsync(openPostgresCatalog(url.href, deps), {
    code: 'CATALOG_REFUSED',
    message: /nowhere/,
  })
})

test.serial('tokens come back by the clock of the server, not by that of the worker', async (t) => {
  await using catalog = await openPostgresCatalog(databaseUrl, deps, { schema: 'limits' })
  const limit = { perSecond: 50, burst: 1 }
  t.is((await catalog.takeTokens('b', 1, limit)).granted, 1)
  // The clock of `deps` stands still.
  for (let granted = 0, asked = 0; granted < 3; asked++) {
    granted += (await catalog.takeTokens('b', 1, limit)).granted
    if (asked > 100_000) return t.fail('none came back')
  }
  t.pass()
})

const embedded = process.env['PGURL'] ? test.skip : test.serial

embedded('the catalog answers again when its server does, without being reopened', async (t) => {
  await using own = await startPostgres()
  await using catalog = await openPostgresCatalog(own.url, deps)
  await declare(catalog, 's')
  const writer = await newWriter(catalog)
  await writer.commit({ adds: ['a'] })
  await own.down('immediate')
  await t.throwsAsync(writer.commit({ adds: ['b'] }), { code: 'CATALOG_UNREACHABLE' })
  await own.up()
  t.deepEqual(await writer.commit({ adds: ['b'] }), { kind: 'committed', seq: 2 })
})

embedded('a worker stopped inside a transaction does not hold its shard for ever', async (t) => {
  await using own = await startPostgres()
  await using catalog = await openPostgresCatalog(own.url, deps)
  await declare(catalog, 's')
  const client = new pg.Client({ connectionString: own.url })
  client.on('error', () => undefined)
  await client.connect()
  // As the adapter begins, with less patience.
  await client.query('begin; set local idle_in_transaction_session_timeout = 200')
  await client.query('update hakiri.shard set epoch = 99')
  t.is((await catalog.acquireShard({ pipeline: 'p', shard: 's' }, 1)).epoch, 1)
  await client.end()
})

test.serial('a deadlock is run again, and both transactions are done', async (t) => {
  const schema = `deadlock_${randomBytes(6).toString('hex')}`
  await using one = await openPostgresCatalog(databaseUrl, deps, { schema })
  await using two = await openPostgresCatalog(databaseUrl, deps, { schema })
  const shards = Array.from({ length: 200 }, (_, index) => `s${index}`)
  await declare(one, ...shards)
  const declared = (names: readonly string[]) =>
    names.map((shard) => ({ pipeline: 'q', shard, table: 't', spec: null }))
  for (let round = 0; round < 5; round++) {
    const names = shards.map((shard) => `${shard}-${round}`)
    await Promise.all([
      one.ensureShards(declared(names)),
      two.ensureShards(declared(names.toReversed())),
    ])
  }
  t.is((await one.shards('q')).length, 1_000)
})

test('a file that is no catalog is refused and left as it was', async (t) => {
  const path = join(await newFolder(t), 'notes.txt')
  await writeFile(path, 'not a database, but long enough to look like a file '.repeat(50))
  await t.throwsAsync(openSqliteCatalog(path, deps), { code: 'CATALOG_REFUSED' })
  await t.throwsAsync(openSqliteCatalog(join(path, 'c.db'), deps), { code: 'CATALOG_REFUSED' })
  await t.throwsAsync(openSqliteCatalog(join(path, '..'), deps), { code: 'CATALOG_REFUSED' })
})

test('a file that another process keeps locked is reported after a bounded wait', async (t) => {
  const path = join(await newFolder(t), 'catalog.db')
  await using catalog = await openSqliteCatalog(path, deps)
  await declare(catalog, 's')
  using other = new DatabaseSync(path)
  other.exec('begin immediate')
  t.is((await catalog.shards()).length, 1, 'readers do not wait')
  await t.throwsAsync(catalog.acquireShard({ pipeline: 'p', shard: 's' }, 1), {
    code: 'CATALOG_LOCKED',
  })
  other.exec('rollback')
  t.is((await catalog.acquireShard({ pipeline: 'p', shard: 's' }, 1)).epoch, 1)
})

test.serial(
  'a process killed while it commits loses nothing it was told, and others go on',
  async (t) => {
    const sqlite = `sqlite:${join(await newFolder(t), 'catalog.db')}`
    for (const url of [sqlite, await server.newDatabase()]) {
      await using catalog = await openCatalog(url, deps)
      await declare(catalog, 'a', 'b', 'c')
      const children = ['a', 'b', 'c'].map((shard) => startCommitting(t, url, shard))
      const told = await Promise.all(children.map((child) => killAfter(child, 20)))
      for (const [index, row] of (await catalog.shards()).entries()) {
        t.true(told[index]! >= 20)
        t.true(row.seq === told[index]! || row.seq === told[index]! + 1, 'one may be on its way')
        t.deepEqual(row.cursor, { at: row.seq })
        const paths = Array.from({ length: row.seq + 2 }, (_, seq) => `${row.shard}${seq + 1}`)
        t.is((await catalog.knownPaths('t', paths)).size, row.seq)
      }
      const writer = await newWriter(catalog, { shard: 'a' })
      t.is((await writer.commit({ adds: ['after'] })).kind, 'committed')
    }
  },
)

/** A process that commits one file after the other and prints each seq once it counts. */
function startCommitting(t: ExecutionContext, url: string, shard: string): ChildProcess {
  const script = `
    import { openCatalog } from ${JSON.stringify(import.meta.resolve('./open.ts'))}
    import { newWriter } from ${JSON.stringify(import.meta.resolve('../test/conformance/catalog/kit.ts'))}
    import { systemClock as clock, systemRandom as random } from ${JSON.stringify(import.meta.resolve('../lib/system/clock.ts'))}
    import { writeSync } from 'node:fs'
    const catalog = await openCatalog(${JSON.stringify(url)}, { clock, random })
    const writer = await newWriter(catalog, { shard: '${shard}' })
    for (let seq = 1; ; seq++) {
      await writer.commit({ adds: ['${shard}' + seq] })
      writeSync(1, seq + '\\n')
    }`
  const flags = ['--input-type=module', '-e', script]
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Kills the process once it has printed `lines`; gives the last number that it printed. */
async function killAfter(child: ChildProcess, lines: number): Promise<number> {
  let last = 0
  for await (const line of createInterface({ input: child.stdout! })) {
    last = Number(line)
    if (last === lines) child.kill('SIGKILL')
  }
  return last
}

async function newFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-catalog-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

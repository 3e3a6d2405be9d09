/** Bad places: catalogs, stores and table logs that refuse, are damaged, or belong to somebody else. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { mkdir, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { APPEND, feed, SECRETS, toml, type Bench } from './bad-input-lab.ts'
import { rowsOf, type Case, type Refusal } from './bad-input-case.ts'

/** A pipeline that was never run, into a destination of its own. */
const into = (destination: string): string =>
  toml(
    { far: feed('/seed', 'mode = "full"\ndestination = "far"') },
    `[destination.far]\n${destination}\n`,
  )

const s3 = (url: string, endpoint: string, credentials = 'env:LAKE'): string =>
  into(
    `type = "s3"\nurl = "${url}"\nendpoint = "${endpoint}"\nregion = "us-east-1"\ncredentials = "${credentials}"`,
  )

const stored = (
  name: string,
  text: string | ((bench: Bench) => string),
  expect: Refusal,
): Case => ({
  name,
  prepare: (bench) => bench.write('hakiri.toml', typeof text === 'string' ? text : text(bench)),
  command: ['run', 'far'],
  expect,
})

const STORES: readonly Case[] = [
  stored('a destination that may not be written to', into('type = "file"\nurl = "/sys/hakiri"'), {
    exit: 3,
    code: 'STORE_AUTH',
    message: '/sys/hakiri',
  }),
  stored('a file where the destination should be', into('type = "file"\nurl = "./hakiri.toml"'), {
    exit: 3,
    code: 'STORE_REFUSED',
    message: 'hakiri.toml',
  }),
  stored('a bucket whose server is not there', s3('s3://lake/raw', 'http://127.0.0.1:1'), {
    exit: 3,
    code: 'STORE_UNREACHABLE',
    message: 'ECONNREFUSED',
  }),
  stored(
    'a bucket that is not there',
    (bench) => s3('s3://no-such-bucket', bench.lab.stub.endpoint),
    {
      exit: 3,
      code: 'STORE_NOT_FOUND',
      message: 'NoSuchBucket',
    },
  ),
  {
    ...stored('a bucket and a wrong key', (bench) => s3('s3://lake/raw', bench.lab.stub.endpoint), {
      exit: 3,
      code: 'STORE_AUTH',
      message: '403',
    }),
    prepare: async (bench) => {
      bench.env['LAKE_SECRET_ACCESS_KEY'] = SECRETS.wrongPassword
      await bench.write('hakiri.toml', s3('s3://lake/raw', bench.lab.stub.endpoint))
    },
  },
  stored(
    'a bucket and no key at all',
    (bench) => s3('s3://lake/raw', bench.lab.stub.endpoint, 'env:NOWHERE'),
    { exit: 2, code: 'SECRET_MISSING', message: 'NOWHERE_ACCESS_KEY_ID' },
  ),
]

const catalog = (name: string, url: string, fault: Refusal): Case => ({
  name,
  command: ['--catalog', url, 'status'],
  expect: fault,
})
const CATALOG = '.hakiri/catalog.db'

/** Moves what SQLite keeps beside the file into it, then opens it. */
function openCatalog(bench: Bench): DatabaseSync {
  const database = new DatabaseSync(join(bench.folder, CATALOG))
  database.exec('pragma wal_checkpoint(truncate)')
  return database
}

const CATALOGS: readonly Case[] = [
  catalog('a catalog server that is not there', 'postgres://u@127.0.0.1:1/catalog', {
    exit: 3,
    code: 'CATALOG_UNREACHABLE',
    message: '127.0.0.1',
  }),
  {
    name: 'a catalog database that is not there',
    prepare: (bench) => {
      const url = new URL(String(bench.env['SHOP_URL']))
      url.pathname = '/no_such_catalog'
      bench.env['CATALOG_URL'] = url.href
      return bench.write('hakiri.toml', toml({}, '[catalog]\nurl = "env:CATALOG_URL"\n'))
    },
    command: ['status'],
    expect: { exit: 3, code: 'CATALOG_REFUSED', message: 'no_such_catalog' },
  },
  {
    name: 'a catalog file that is no catalog',
    prepare: (bench) => bench.write(CATALOG, 'This is not a database. '.repeat(1000)),
    command: ['run', 'feed'],
    expect: { exit: 3, code: 'CATALOG_REFUSED', message: 'is not a catalog or is damaged' },
  },
  {
    name: 'a catalog file that was cut off',
    prepare: async (bench) => {
      openCatalog(bench).close()
      await truncate(join(bench.folder, CATALOG), 20_000)
    },
    command: ['run', 'feed'],
    expect: { exit: 3, code: 'CATALOG_REFUSED', message: 'is not a catalog or is damaged' },
  },
  {
    name: 'a folder where the catalog file should be',
    prepare: (bench) => mkdir(join(bench.folder, 'folder.db')),
    command: ['--catalog', 'sqlite:folder.db', 'status'],
    expect: { exit: 3, code: 'CATALOG_REFUSED', message: 'folder.db' },
  },
  {
    name: 'a catalog from a newer version',
    prepare: (bench) => {
      const database = openCatalog(bench)
      database.exec(`insert into migration (id, name, applied_at) values (999, 'later', 0)`)
      database.close()
      return Promise.resolve()
    },
    command: ['run', 'feed'],
    expect: { exit: 3, code: 'CATALOG_VERSION', message: 'schema version 999' },
  },
  {
    name: 'a catalog that another process holds for writing',
    prepare: (bench) => {
      const database = openCatalog(bench)
      database.exec('begin immediate')
      held.set(bench.folder, database)
      return Promise.resolve()
    },
    command: ['state', 'set', 'shop', 'public.orders', 'null'],
    expect: { exit: 3, code: 'CATALOG_LOCKED', message: '' },
  },
]

/** Open for the length of a case; the process ends with its test file. */
const held = new Map<string, DatabaseSync>()

const LOG = 'lake/feed/rows/_delta_log'
const firstLog = `${LOG}/00000000000000000000.json`
const more = toml({ feed: feed('/more', APPEND) })
const addRow = (bench: Bench): void =>
  void bench.lab.replies.set('/more', { body: '[{"id":3,"n":30,"name":"c"}]' })

const LOGS: readonly Case[] = [
  {
    name: 'a table log that somebody else wrote to',
    toml: more,
    prepare: (bench) => {
      addRow(bench)
      return bench.write(`${LOG}/00000000000000000001.json`, '{"commitInfo":{"by":"them"}}\n')
    },
    command: ['run', 'feed'],
    expect: {
      exit: 1,
      code: 'LOG_CONFLICT',
      message: 'was written by somebody else',
      // What is committed stays committed, and is published once the way is free.
      instead: async (t, bench) => {
        const foreign = `${LOG}/00000000000000000001.json`
        t.is(await bench.read(foreign), '{"commitInfo":{"by":"them"}}\n')
        await rm(join(bench.folder, foreign))
        const again = await bench.run('run', 'feed')
        t.is(again.code, 0, again.stdout)
        t.deepEqual(
          (await rowsOf(bench, 'feed.rows')).map((row) => Number(row['id'])),
          [1, 2, 3],
        )
      },
    },
  },
  {
    name: 'a query of a log whose entry was cut off',
    prepare: async (bench) => {
      const text = await bench.read(firstLog)
      await bench.write(firstLog, text.slice(0, text.length / 2))
    },
    command: ['query', 'from feed.rows'],
    expect: { exit: 1, code: 'LOG_DAMAGED', message: 'version 0' },
  },
  {
    name: 'a query of a log that does not begin at its beginning',
    toml: more,
    prepare: async (bench) => {
      addRow(bench)
      await bench.run('run', 'feed')
      await rm(join(bench.folder, firstLog))
    },
    command: ['query', 'from feed.rows'],
    expect: { exit: 1, code: 'LOG_DAMAGED', message: 'so one is missing' },
  },
  {
    name: 'a query of a log that wants a newer reader',
    prepare: async (bench) => {
      const text = await bench.read(firstLog)
      await bench.write(firstLog, text.replace('"minReaderVersion":1', '"minReaderVersion":9'))
    },
    command: ['query', 'from feed.rows'],
    expect: { exit: 1, code: 'LOG_DAMAGED', message: '9' },
  },
  {
    name: 'a query of a table that lost a file',
    prepare: (bench) => removeData(bench),
    command: ['query', 'from feed.rows'],
    expect: { exit: 3, code: 'STORE_NOT_FOUND', message: '.parquet' },
  },
  {
    name: 'a query of a table whose file was cut off',
    prepare: (bench) => eachData(bench, (path) => truncate(path, 100)),
    command: ['query', 'from feed.rows'],
    expect: { exit: 1, code: 'LOG_DAMAGED', message: '.parquet' },
  },
]

const removeData = (bench: Bench): Promise<void> => eachData(bench, (path) => rm(path))

async function eachData(bench: Bench, work: (path: string) => Promise<void>): Promise<void> {
  const folder = join(bench.folder, 'lake/feed/rows')
  for (const name of await readdir(folder))
    if (name.endsWith('.parquet')) await work(join(folder, name))
}

export const PLACE_CASES: readonly Case[] = [...STORES, ...CATALOGS, ...LOGS]

/** True where a small file system can be mounted, which full disks are made of. */
export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'hakiri-mount-'))
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status === 0
  if (mounted) spawnSync('umount', [folder])
  rmdirSync(folder)
  return mounted
}

/** A disk of one megabyte, gone when disposed. */
export function mountSmallDisk(): Disposable & { readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'hakiri-full-'))
  mkdirSync(folder, { recursive: true })
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder])
  if (status !== 0) throw new Error(`no disk could be mounted: ${String(stderr)}`)
  return {
    folder,
    [Symbol.dispose]: () => {
      spawnSync('umount', [folder])
      rmdirSync(folder)
    },
  }
}

/** The destination lies on a disk that is smaller than the rows. */
export function fullDisk(folder: string): Case {
  const noise = (from: number): string =>
    Array.from({ length: 4000 }, (_, at) => ((from + at) * 2_654_435_761 * 997).toString(36)).join()
  return {
    name: 'a disk that is full',
    toml: toml(
      { far: feed('/noise', 'mode = "full"\ndestination = "far"') },
      `[destination.far]\ntype = "file"\nurl = "${folder}/lake"\n`,
    ),
    prepare: (bench) => {
      const rows = Array.from({ length: 100 }, (_, id) => ({ id, text: noise(id * 4000) }))
      bench.lab.replies.set('/noise', { body: JSON.stringify(rows) })
      return Promise.resolve()
    },
    command: ['run', 'far'],
    expect: { exit: 3, code: 'DISK_FULL', message: folder },
  }
}

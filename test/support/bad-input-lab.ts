/**
 * What the table of bad input works on: one Postgres, one HTTP source, one S3 stub, and a project in
 * which every pipeline has run once. Each case gets a copy of that project, so cases cannot meet.
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { folderSource, type TableSource } from './delta-reader.ts'
import { startPostgres, type Postgres } from './postgres.ts'
import { finished, HAKIRI, type Envelope, type Ran } from './project.ts'
import { startS3Stub, type S3Stub } from './s3-stub.ts'

/** Every secret that a command could print; none ever may. */
export const SECRETS = {
  password: 'pw-6c1f0e9ad7b24',
  wrongPassword: 'pw-mistaken-5e0b71c2',
  token: 'tok-93ab77c0de551',
  literal: 'literal-2f8e6d1c4b',
  s3: 'stub-secret-key',
  dotenv: 'dotenv-8b7a6c5d4e',
} as const

export type Reply = {
  readonly status?: number
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Uint8Array
  /** The connection ends after the body, which is shorter than the length that was announced. */
  readonly cut?: boolean
}

export type Lab = AsyncDisposable & {
  readonly postgres: Postgres
  readonly stub: S3Stub
  /** Of the source database, as its owner. */
  readonly source: pg.Client
  readonly feedUrl: string
  /** What the HTTP source answers at a path. */
  readonly replies: Map<string, Reply>
  /** A copy of the project, gone when disposed. */
  copy(): Promise<Bench>
}

export type Bench = AsyncDisposable & {
  readonly lab: Lab
  readonly folder: string
  readonly env: Record<string, string | undefined>
  write(path: string, text: string | Uint8Array): Promise<void>
  read(path: string): Promise<string>
  /** Runs with --json. */
  run(...args: readonly string[]): Promise<Ran & { readonly envelope: Envelope }>
  table(name: string): TableSource
}

/** Every output of every command of the table, for the check that no secret is in it. */
export const OUTPUTS: string[] = []

/** hakiri.toml of the project: `sections` replaces pipelines or adds to them. */
export function toml(sections: Readonly<Record<string, string>> = {}, extra = ''): string {
  const all = { ...PIPELINES, ...sections }
  const text = Object.entries(all).map(([name, body]) => `[pipelines.${name}]\n${body}\n`)
  return `${HEAD}${text.join('')}${extra}`
}

const HEAD = `version = 1
[destination.lake]
type = "file"
url = "./lake"
[defaults]
destination = "lake"
retries = { max = 1, backoff = "1ms..2ms" }
memory = "256MB"
`

/** A pipeline over the HTTP source. */
export function feed(path: string, more = '', stream = ''): string {
  return `source = { type = "http", base = "env:FEED_URL", auth = { type = "bearer", token = "env:FEED_TOKEN" }, streams = { rows = { path = "${path}"${stream} } } }
${more}`
}

export const APPEND = 'write = { mode = "append", cursor = "id" }\n'

/** A pipeline over tables of the Postgres source. */
export function tables(names: string, more = 'mode = "full"', url = 'env:SHOP_URL'): string {
  return `source = { type = "postgres", url = "${url}", tables = [${names}] }\n${more}\n`
}

const PIPELINES: Readonly<Record<string, string>> = {
  feed: feed('/seed', APPEND),
  keyed: feed(
    '/seed',
    'write = { mode = "upsert", key = ["id"], cursor = "id" }\nquarantine = { max_rows = 0 }',
    ', key = ["id"]',
  ),
  whole: feed('/seed', 'mode = "full"'),
  shop: tables('"orders"', 'write = { mode = "append", cursor = "id" }'),
  gone: tables('"gone"', 'write = { mode = "append", cursor = "id" }'),
  locked: tables('"locked"', 'write = { mode = "append", cursor = "id" }', 'env:READER_URL'),
}

export async function openLab(): Promise<Lab> {
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await startPostgres())
  const stub = stack.use(await startS3Stub({ buckets: ['lake'] }))
  const replies = new Map<string, Reply>()
  const web = stack.use(await startWeb(replies))
  const url = await postgres.newDatabase()
  const source = new pg.Client(url)
  await source.connect()
  stack.defer(() => source.end())
  const reader = new URL(url)
  reader.username = `reader_${process.pid}`
  reader.password = SECRETS.password
  stack.defer(() => dropReader(source, reader.username))
  await source.query(SOURCE_SQL)
  await source.query(`create role ${reader.username} login password '${SECRETS.password}'`)
  await source.query(`grant select on locked to ${reader.username}`)
  await askForPassword(postgres, source, reader.username)
  const root = await mkdtemp(join(tmpdir(), 'hakiri-bad-input-'))
  stack.defer(() => rm(root, { recursive: true, force: true }))
  const env = {
    ...process.env,
    NO_COLOR: '1',
    FEED_URL: web.url,
    FEED_TOKEN: SECRETS.token,
    SHOP_URL: url,
    READER_URL: reader.href,
    LAKE_ACCESS_KEY_ID: stub.credentials.accessKeyId,
    LAKE_SECRET_ACCESS_KEY: stub.credentials.secretAccessKey,
  }
  const seed = join(root, 'seed')
  await mkdir(seed)
  let copies = 0
  const made = stack.move()
  const lab: Lab = {
    postgres,
    stub,
    source,
    feedUrl: web.url,
    replies,
    async copy() {
      const folder = join(root, `copy-${copies++}`)
      await cp(seed, folder, { recursive: true, preserveTimestamps: true })
      return bench(lab, folder, { ...env })
    },
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  }
  replies.set('/seed', {
    body: JSON.stringify([
      { id: 1, n: 10, name: 'a' },
      { id: 2, n: 20, name: 'b' },
    ]),
  })
  const first = bench(lab, seed, { ...env })
  await first.write('hakiri.toml', toml())
  const ran = await first.run('run')
  if (ran.code !== 0) throw new Error(`the project does not run: ${ran.stdout}${ran.stderr}`)
  await source.query(`drop table gone; revoke select on locked from ${reader.username}`)
  return lab
}

/** A server of our own trusts everybody; the reader has to show its password. */
async function askForPassword(server: Postgres, source: pg.Client, user: string): Promise<void> {
  if (server.dataFolder === undefined) return
  const path = join(server.dataFolder, 'pg_hba.conf')
  const rules = await readFile(path, 'utf8')
  await writeFile(path, `host all ${user} 127.0.0.1/32 scram-sha-256\n${rules}`)
  await source.query('select pg_reload_conf()')
}

async function dropReader(source: pg.Client, name: string): Promise<void> {
  await source.query(`drop owned by ${name}; drop role ${name}`)
}

function bench(lab: Lab, folder: string, env: Bench['env']): Bench {
  return {
    lab,
    folder,
    env,
    async write(path, text) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    },
    read: (path) => readFile(join(folder, path), 'utf8'),
    async run(...args) {
      const child = spawn(HAKIRI, [...args, '--json'], {
        cwd: folder,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const ran = await finished(child)
      OUTPUTS.push(ran.stdout, ran.stderr)
      return { ...ran, envelope: parse(ran) }
    },
    table: (name) => folderSource(join(folder, 'lake', name.replaceAll('.', '/'))),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

function parse(ran: Ran): Envelope {
  try {
    return JSON.parse(ran.stdout) as Envelope
  } catch (cause) {
    throw new Error(`no JSON on stdout (exit ${ran.code}): ${ran.stdout}\n${ran.stderr}`, { cause })
  }
}

type Web = AsyncDisposable & { readonly url: string }

/** Answers what the map says; anything else is 404. It repeats credentials, as careless servers do. */
async function startWeb(replies: ReadonlyMap<string, Reply>): Promise<Web> {
  const server = http.createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://source').pathname
    const reply = replies.get(path) ?? { status: 404, body: 'nothing here' }
    const echo = reply.status === 401 ? ` you sent ${request.headers.authorization}` : ''
    const body = Buffer.concat([Buffer.from(reply.body ?? ''), Buffer.from(echo)])
    const length = body.length + (reply.cut ? 1 : 0)
    response.writeHead(reply.status ?? 200, { 'content-length': length, ...reply.headers })
    if (reply.cut) response.write(body, () => response.destroy())
    else response.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const SOURCE_SQL = `
create table orders (id bigint primary key, n integer, note text);
insert into orders select i, i, 'n' || i from generate_series(1, 20) i;
create table gone as select * from orders;
create table locked as select * from orders;
create table empty (id bigint primary key, note text);
create table nothing ();
create table "O'Brien ""x""" ("Id" int, "id" int, "a b" int, "a
b" int, "日本" int, "sel;ect" int);
insert into "O'Brien ""x""" values (1, 2, 3, 4, 5, 6);
create table extremes (
  id int primary key, f8 float8, f4 float4, num numeric, dec numeric(38, 2), d date, ts timestamp,
  tz timestamptz, i8 bigint, txt text, bin bytea, arr int[]);
insert into extremes values
  (1, 'NaN', 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity', 9223372036854775807, '', '', '{}'),
  (2, 'Infinity', 'Infinity', 1e30, 999999999999999999999999999999999999.99, '9999-12-31',
    '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', -9223372036854775808, E'\\\\N',
    '\\x00ff', '{1,null}'),
  (3, '-Infinity', '-Infinity', -0.000000000000000000001, -0.01, '-infinity', '-infinity', '-infinity',
    0, E'a\\nb"c,d', null, null),
  (4, '-0', 1e-45, 12345678901234567890.123456789, null, '4713-01-01 BC', '0044-03-15 12:00:00 BC',
    '0044-03-15 12:00:00+00 BC', null, U&'\\+01F600', '\\xdeadbeef', '{3}'),
  (5, 5e-324, 3.4028235e38, null, 0, '0001-01-01', '0001-01-01', '0001-01-01 00:00:00+00', 1, null, null, null);
`

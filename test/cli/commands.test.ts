/** What each command does, as a process over a real Postgres: output, envelope, exit code, effect. */
import test, { type ExecutionContext } from 'ava'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { COMMANDS } from '../../cli/commands.ts'
import { commandName } from '../../cli/parse.ts'
import { assertDelta } from '../support/delta-lint.ts'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, finished, HAKIRI, type Envelope, type Project } from '../support/project.ts'

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

type Lab = { readonly project: Project; readonly source: pg.Client }

/** `shop.orders` merges by key, `feed.events` only grows, in two shards. */
async function open(t: ExecutionContext, extra = ''): Promise<Lab> {
  const url = await postgres.newDatabase()
  const source = new pg.Client(url)
  await source.connect()
  const project = await createProject(`version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "lake"
publish_interval = "1ms"
[defaults]
memory = "64MB"
destination = "lake"
[pipelines.shop]
source = { type = "postgres", url = "env:LAB_SOURCE", tables = ["orders"] }
mode = "incremental"
write = { mode = "upsert", key = ["id"], cursor = "updated_at" }
${extra}
[pipelines.feed]
source = { type = "postgres", url = "env:LAB_SOURCE", tables = ["events"] }
mode = "incremental"
shard_by = { key = "id", ranges = 2 }
write = { mode = "append", cursor = "id" }
`)
  project.env['LAB_SOURCE'] = url
  t.teardown(async () => {
    await source.end()
    await project[Symbol.asyncDispose]()
  })
  await source.query(`
    create table orders (id int primary key, customer text, updated_at date not null);
    insert into orders select n, 'c' || n, date '2026-01-01' + n from generate_series(1, 90) n;
    create table events (id bigint primary key, note text);
    insert into events select n, 'e' || n from generate_series(1, 1000) n`)
  return { project, source }
}

/** The command must succeed; its result. */
async function result<T>(t: ExecutionContext, project: Project, ...args: string[]): Promise<T> {
  const { code, envelope, stderr } = await project.json(...args)
  t.is(code, 0, `${args.join(' ')}: ${JSON.stringify(envelope.error)} ${stderr}`)
  return envelope.result as T
}

async function ask(t: ExecutionContext, project: Project, sql: string): Promise<unknown> {
  return (await result<{ rows: unknown }>(t, project, 'query', sql)).rows
}

async function fails(
  t: ExecutionContext,
  project: Project,
  exit: number,
  ...args: string[]
): Promise<Envelope> {
  const { code, envelope } = await project.json(...args)
  t.is(code, exit, `${args.join(' ')}: ${JSON.stringify(envelope)}`)
  t.false(envelope.ok)
  return envelope
}

/** Reading commands after one run: exit code for people, what they read, and a look at the result. */
const READERS: readonly (readonly [line: string, human: RegExp, machine: RegExp])[] = [
  ['validate', /✓ 1 file\(s\), 2 pipeline\(s\)/, /"pipelines":\["shop","feed"\]/],
  [
    'plan',
    /pipeline shop[^]*shop\.orders +public\.orders +upsert[^]*✓ no changes/,
    /"changes":\[\]/,
  ],
  ['plan shop --check', /no changes/, /"table":"shop\.orders"/],
  ['status', /feed +#2 succeeded .* 1000 +2[^]*✓ 2 pipeline/, /"pendingDecisions":0/],
  ['runs', /2 +feed +run +succeeded[^]*1 +shop +run +succeeded/, /"status":"succeeded"/],
  ['runs shop --limit 5', /1 run\(s\); next: hakiri runs show 1/, /"pipeline":"shop"/],
  ['runs show 2', /shards +2 done, 0 failed, 2 in all[^]*rowsRead +1000/, /"rowsRead":1000/],
  ['runs logs 2', /info .*shard-done \d+ rows/, /"kind":"shard-done"/],
  ['tables', /feed\.events +append +1000 [^]*shop\.orders +upsert +90 /, /"rows":1000/],
  ['tables show shop.orders', /customer +string[^]*in lake\/shop\/orders/, /"key":\["id"\]/],
  ['tables show orders', /customer +string/, /"name":"shop.orders"/],
  [
    'tables history shop.orders',
    /changed +yes[^]*version\(s\) of shop\.orders/,
    /"published":true/,
  ],
  ['state get', /feed +public\.events[^]*shop +public\.orders/, /"cursor"/],
  ['schema', /feed\.events \(revision 1\)[^]*shop\.orders/, /"columns"/],
  ['schema shop.orders', /updated_at +date/, /"pending":\[\]|"decisions":\[\]/],
  ['schema log', /shop\.orders +1 /, /"revision":1/],
  ['schema log feed.events', /feed\.events +1 /, /"table":"feed.events"/],
  ['connector list', /postgres +Postgres tables/, /"type":"http"/],
  ['connector check shop', /✓ 1 source\(s\) answer/, /"severity":"ok"/],
  ['doctor', /machine[^]*catalog[^]*destination lake[^]*source of feed[^]*✓ all well/, /free in/],
]

test('reading commands agree for people and machines, and --quiet is silent', async (t) => {
  const { project } = await open(t)
  const ran = await project.hakiri('run')
  t.is(ran.code, 0, ran.stderr)
  t.regex(ran.stdout, /pipeline +status +rows +written +files +time +retries +304s +quarantined/)
  t.regex(ran.stdout, /shop +succeeded +90 [^]*feed +succeeded +1000 /)
  t.regex(ran.stdout, /1,090 rows · next: hakiri query "from shop\.orders limit 10"\n$/)
  for (const [line, forPeople, forMachines] of READERS) {
    const args = line.split(' ')
    const [human, machine, quiet] = await Promise.all([
      project.hakiri(...args),
      project.json(...args),
      project.hakiri(...args, '--quiet'),
    ])
    t.deepEqual([human.code, machine.code, quiet.code], [0, 0, 0], line + human.stderr)
    t.regex(human.stdout, forPeople, line)
    t.deepEqual([human.stderr, machine.stderr, quiet.stdout, quiet.stderr], ['', '', '', ''], line)
    t.deepEqual(
      Object.keys(machine.envelope),
      ['command', 'ok', 'summary', 'result', 'error'],
      line,
    )
    t.true(line.startsWith(machine.envelope.command), line)
    t.true(COMMANDS.some((spec) => commandName(spec) === machine.envelope.command))
    t.deepEqual([machine.envelope.ok, machine.envelope.error], [true, null], line)
    t.true(human.stdout.includes(machine.envelope.summary), line)
    t.regex(machine.stdout, forMachines, line)
    t.is(machine.stdout.trimEnd().split('\n').length, 1, line)
  }
})

test('init makes a project that validates, and never overwrites one', async (t) => {
  const { project } = await open(t)
  const made = await project.hakiri('init', 'fresh')
  t.regex(made.stdout, /✓ project made; next: cd fresh && hakiri run/)
  t.is((await project.hakiri('--config', 'fresh', 'validate')).code, 0)
  const before = await readFile(join(project.folder, 'fresh/hakiri.toml'), 'utf8')
  t.regex((await fails(t, project, 2, 'init', 'fresh')).error?.message ?? '', /already has/)
  t.is(await readFile(join(project.folder, 'fresh/hakiri.toml'), 'utf8'), before)
})

test('validate shows every problem with its place and exits with 2', async (t) => {
  const { project } = await open(t)
  await project.write('broken/hakiri.toml', 'version = 1\n[pipelines.a]\nsorce = 1\nmode = 7\n')
  const human = await project.hakiri('validate', '-c', 'broken')
  t.is(human.code, 2)
  t.regex(human.stdout, /broken\/hakiri\.toml:3:\d+ \(pipelines\.a\.sorce\)/)
  t.regex(human.stdout, /broken\/hakiri\.toml:4:\d+ \(pipelines\.a\.mode\)/)
  const envelope = await fails(t, project, 2, 'validate', '-c', 'broken')
  t.true((envelope.result as { problems: unknown[] }).problems.length >= 2)
})

test('plan --check exits with 4 for what a run would change, and with 0 after the run', async (t) => {
  const { project, source } = await open(t)
  const fresh = await fails(t, project, 4, 'plan', '--check')
  t.regex(JSON.stringify(fresh.result), /new table shop\.orders/)
  t.deepEqual(await readdir(project.folder), ['.hakiri', 'hakiri.toml'], 'plan wrote tables')
  t.is((await project.hakiri('plan')).code, 0, 'without --check changes are no failure')
  await result(t, project, 'run')
  await result(t, project, 'plan', '--check')
  await source.query(`alter table orders add column note text;
    insert into orders values (91, 'late', '2026-05-01', 'hi')`)
  const human = await project.hakiri('plan', 'shop', '--check')
  t.deepEqual([human.code, human.stderr], [4, ''])
  t.regex(human.stdout, /~ .*note/)
  const ran = await project.hakiri('run', 'shop')
  t.regex(ran.stdout, /\+ shop\.orders: .*note/)
  await result(t, project, 'plan', '--check')
})

test('query answers as table, JSON, CSV and Parquet, to stdout and into files', async (t) => {
  const { project } = await open(t)
  await result(t, project, 'run')
  const sql = 'select id, customer from shop.orders order by id limit 2'
  t.is(
    (await project.hakiri('query', sql, '--quiet')).stdout,
    'id  customer\n──  ────────\n 1  c1\n 2  c2\n',
  )
  t.is((await project.hakiri('query', sql, '--format', 'csv')).stdout, 'id,customer\n1,c1\n2,c2\n')
  const json = await project.hakiri('query', sql, '-f', 'json')
  t.deepEqual(JSON.parse(json.stdout), [
    { id: 1, customer: 'c1' },
    { id: 2, customer: 'c2' },
  ])
  const piped = await finished(
    project.start('bash', '-c', `"${HAKIRI}" query "${sql}" --format parquet | head -c 4`),
  )
  t.is(piped.stdout, 'PAR1')
  for (const name of ['out/a.csv', 'a.json', 'a.parquet'])
    t.regex((await project.hakiri('query', sql, '--output', name)).stdout, /✓ 2 row\(s\) in .*a\./)
  t.is(await readFile(join(project.folder, 'out/a.csv'), 'utf8'), 'id,customer\n1,c1\n2,c2\n')
  t.is((await readFile(join(project.folder, 'a.parquet'))).subarray(0, 4).toString(), 'PAR1')
  t.is((JSON.parse(await readFile(join(project.folder, 'a.json'), 'utf8')) as unknown[]).length, 2)
  const limited = await project.hakiri('query', 'from feed.events', '--limit', '3')
  t.regex(limited.stdout, /3 row\(s\) shown, there are more/)
  const bad = await fails(t, project, 2, 'query', 'select nothing from shop.orders')
  t.is(bad.error?.code, 'QUERY_INVALID')
})

test('statements on standard input run one by one; the first that fails ends them', async (t) => {
  const { project } = await open(t)
  await result(t, project, 'run', 'shop')
  const feed = (text: string, ...args: string[]): ReturnType<Project['hakiri']> =>
    finished(
      project.start('bash', '-c', `printf '%s' '${text}' | "${HAKIRI}" query ${args.join(' ')}`),
    )
  const two = await feed('select count(*) as n\nfrom shop.orders;\nselect 7 as last')
  t.deepEqual([two.code, two.stderr], [0, ''])
  t.is(two.stdout, ' n\n──\n90\n1 row(s)\nlast\n────\n   7\n1 row(s)\n')
  const broken = await feed('select 1 as one;\nselect nope;\nselect 3 as three;\n')
  t.is(broken.code, 2)
  t.regex(broken.stderr, /QUERY_INVALID/)
  t.regex(broken.stdout, /one/)
  t.notRegex(broken.stdout, /three/)
  const json = JSON.parse(
    (await feed('select 1; select 2;\nselect 3;', '--json')).stdout,
  ) as Envelope
  t.deepEqual(
    (json.result as { rows: unknown }[]).map((each) => each.rows),
    [[[2]], [[3]]],
  )
})

test('--at shows a table as of a version and as of a time', async (t) => {
  const { project, source } = await open(t)
  await result(t, project, 'run', 'feed')
  const [{ version, at } = { version: -1, at: 0 }] = await result<
    { version: number; at: number }[]
  >(t, project, 'tables', 'history', 'feed.events')
  await source.query(`insert into events select n, 'e' || n from generate_series(1001, 1500) n`)
  await result(t, project, 'run', 'feed')
  const count = 'select count(*) from feed.events'
  const asOf = async (...args: string[]): Promise<unknown> =>
    (await result<{ rows: unknown }>(t, project, 'query', count, ...args)).rows
  t.deepEqual(await asOf(), [['1500']])
  t.deepEqual(await asOf('--at', String(version)), [['1000']])
  t.deepEqual(await asOf('--at', new Date(at).toISOString()), [['1000']])
  t.is((await fails(t, project, 2, 'query', count, '--at', '999')).error?.code, 'NOT_FOUND')
})

test('state set and reset move cursors; reset of an append table is refused', async (t) => {
  const { project } = await open(t)
  await result(t, project, 'run')
  const rowsOfRun = async (): Promise<unknown> =>
    (await result<{ counters: { rowsRead: number } }[]>(t, project, 'run', 'shop'))[0]?.counters
      .rowsRead
  const [{ shard, cursor } = { shard: '', cursor: null }] = await result<
    { shard: string; cursor: unknown }[]
  >(t, project, 'state', 'get', 'shop')
  t.truthy(cursor)
  const settled = await rowsOfRun()
  t.true(Number(settled) <= 1, `a second run read ${String(settled)} rows`)
  await result(t, project, 'state', 'reset', 'shop', shard)
  t.is(await rowsOfRun(), 90)
  t.deepEqual(await ask(t, project, 'select count(*), count(distinct id) from shop.orders'), [
    ['90', '90'],
  ])
  const again = await result<{ cursor: unknown }>(
    t,
    project,
    'state',
    'set',
    'shop',
    shard,
    JSON.stringify(cursor),
  )
  t.deepEqual(again.cursor, cursor)
  t.is(await rowsOfRun(), settled)
  const refused = await fails(t, project, 2, 'state', 'reset', 'feed')
  t.is(refused.error?.code, 'STATE_INVALID')
  t.regex(refused.error?.suggestion ?? '', /hakiri run feed --full-refresh/)
  t.is(
    (await fails(t, project, 2, 'state', 'set', 'shop', shard, '{')).error?.code,
    'STATE_INVALID',
  )
  t.is((await fails(t, project, 2, 'state', 'set', 'shop', 'none', '1')).error?.code, 'NOT_FOUND')
})

test('run --full-refresh loads anew, run --shard one shard, and neither doubles a row', async (t) => {
  const { project, source } = await open(t)
  await result(t, project, 'run', 'feed')
  await source.query('delete from events where id <= 10')
  const [refreshed] = await result<{ counters: { rowsRead: number } }[]>(
    t,
    project,
    'run',
    'feed',
    '--full-refresh',
  )
  t.is(refreshed?.counters.rowsRead, 990)
  const count = 'select count(*), count(distinct id) from feed.events'
  t.deepEqual(await ask(t, project, count), [['990', '990']])
  await source.query(`insert into events select n, 'x' from generate_series(1001, 1100) n`)
  const shards = await result<{ shard: string }[]>(t, project, 'state', 'get', 'feed')
  t.is(shards.length, 2)
  for (const { shard } of shards) {
    const [run] = await result<{ status: string }[]>(t, project, 'run', 'feed', '--shard', shard)
    t.is(run?.status, 'succeeded')
  }
  t.deepEqual(await ask(t, project, count), [['1090', '1090']])
  const none = await fails(t, project, 2, 'run', 'feed', '--shard', 'none')
  t.true(none.error?.suggestion?.includes(shards[0]?.shard ?? '?'))
  await assertDelta(project.table('feed.events'))
})

test('backfill reads a range again and merges it; without a key it is refused', async (t) => {
  const { project, source } = await open(t)
  await result(t, project, 'run')
  await source.query(`update orders set customer = 'back' where id between 10 and 19`)
  const range = ['--from', '2026-01-11', '--to', '2026-01-16']
  const [run] = await result<{ counters: { rowsRead: number } }[]>(
    t,
    project,
    'backfill',
    'shop',
    ...range,
  )
  t.is(run?.counters.rowsRead, 5)
  t.deepEqual(
    await ask(t, project, `select count(*), count(*) filter (customer = 'back') from shop.orders`),
    [['90', '5']],
  )
  const refused = await fails(t, project, 2, 'backfill', 'feed', '--from', '1', '--to', '9')
  t.is(refused.error?.code, 'BACKFILL_UNSAFE')
})

test('a schema change that asks waits for approve or deny', async (t) => {
  const { project, source } = await open(t, 'schema = { columns = "ask" }')
  await result(t, project, 'run', 'shop')
  await source.query(`alter table orders add column good text, add column bad text;
    insert into orders values (91, 'late', '2026-05-01', 'yes', 'no')`)
  await result(t, project, 'run', 'shop')
  type Decisions = { decisions: { id: number; change: unknown }[] }
  const { decisions } = await result<Decisions>(t, project, 'schema')
  t.is(decisions.length, 2, JSON.stringify(decisions))
  const idOf = (column: string): string =>
    String(decisions.find(({ change }) => JSON.stringify(change).includes(`"${column}"`))?.id)
  t.regex(
    (await project.hakiri('schema')).stdout,
    /\? \d+ +shop\.orders: .*good[^]*2 decision\(s\) wait/,
  )
  t.regex((await project.hakiri('status')).stdout, /2 schema decision\(s\) wait: hakiri schema/)
  await result(t, project, 'schema', 'approve', idOf('good'))
  await result(t, project, 'schema', 'deny', idOf('bad'))
  await source.query(`insert into orders values (92, 'later', '2026-06-01', 'yes', 'no')`)
  await result(t, project, 'run', 'shop')
  t.deepEqual((await result<Decisions>(t, project, 'schema')).decisions, [])
  const columns = await ask(t, project, `select column_name from (describe shop.orders)`)
  t.deepEqual(columns, [['id'], ['customer'], ['updated_at'], ['good']])
  t.deepEqual(await ask(t, project, `select id, good from shop.orders where id = 92`), [
    [92, 'yes'],
  ])
})

test('tables compact and vacuum leave the same rows in fewer files', async (t) => {
  const { project, source } = await open(t)
  for (let round = 0; round < 4; round++) {
    await source.query(`insert into events select max(id) + 1, 'r' from events`)
    await result(t, project, 'run', 'feed')
  }
  const files = async (): Promise<number> =>
    (await result<{ table: string; files: number }[]>(t, project, 'tables'))[0]?.files ?? 0
  const before = await files()
  t.true(before >= 4)
  const compacted = await project.hakiri('tables', 'compact', 'feed.events')
  t.is(compacted.code, 0, compacted.stderr)
  t.regex(compacted.stdout, new RegExp(`feed\\.events +${before} +`))
  t.true((await files()) < before)
  t.deepEqual(await ask(t, project, 'select count(*), count(distinct id) from feed.events'), [
    ['1004', '1004'],
  ])
  await project.write('lake/feed/events/stray.parquet', 'PAR1')
  const swept = await project.hakiri('tables', 'vacuum', '--grace', '0s')
  t.is(swept.code, 0, swept.stderr)
  t.deepEqual((await assertDelta(project.table('feed.events'))).orphans, [])
  t.is((await fails(t, project, 2, 'tables', 'vacuum', '--grace', 'soon')).error?.code, 'USAGE')
})

test('catalog rebuild brings a lost catalog back; the next run adds no row twice', async (t) => {
  const { project, source } = await open(t)
  await result(t, project, 'run')
  const counts = `select (select count(*) from shop.orders), (select count(*) from feed.events),
    (select count(distinct id) from feed.events)`
  t.deepEqual(await ask(t, project, counts), [['90', '1000', '1000']])
  await rm(join(project.folder, '.hakiri'), { recursive: true })
  const rebuilt = await project.hakiri('catalog', 'rebuild', '--from-bucket')
  t.is(rebuilt.code, 0, rebuilt.stderr)
  t.regex(rebuilt.stdout, /feed\.events[^]*shop\.orders[^]*2 table\(s\) restored/)
  await result(t, project, 'run')
  t.deepEqual(await ask(t, project, counts), [['90', '1000', '1000']])
  await source.query(`insert into events values (1001, 'new')`)
  await result(t, project, 'run')
  t.deepEqual(await ask(t, project, counts), [['90', '1001', '1001']])
  await assertDelta(project.table('feed.events'))
})

test('an unreachable source: findings and exit code 3 from doctor, check and run', async (t) => {
  const { project } = await open(t)
  project.env['LAB_SOURCE'] = 'postgres://nobody:hunter22@127.0.0.1:1/none'
  await project.write(
    'hakiri.toml',
    (await readFile(join(project.folder, 'hakiri.toml'), 'utf8')) + '\n',
  )
  const doctor = await project.hakiri('doctor')
  t.is(doctor.code, 3)
  t.regex(doctor.stdout, /source of shop\n +✗ [^]*✗ 2 problem\(s\)/)
  const machine = await fails(t, project, 3, 'doctor')
  t.regex(JSON.stringify(machine.result), /"severity":"error"/)
  t.is((await project.hakiri('connector', 'check', 'shop')).code, 3)
  const toml = await readFile(join(project.folder, 'hakiri.toml'), 'utf8')
  await project.write(
    'hakiri.toml',
    toml.replace('[defaults]', '[defaults]\nretries = { max = 0 }'),
  )
  const run = await project.hakiri('run', 'shop')
  t.is(run.code, 3, run.stdout + run.stderr)
  t.regex(run.stderr, /SOURCE_UNREACHABLE/)
  for (const said of [doctor, run]) t.false((said.stdout + said.stderr).includes('hunter22'))
  const both = await fails(t, project, 3, 'run')
  t.is((both.result as { failures: unknown[] }[]).length, 2)
})

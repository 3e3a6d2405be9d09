/**
 * The command line in a real terminal: what a person sees during a run, and what Ctrl-C does. Whatever
 * stops a run, the next one completes it: no row is lost, none is doubled.
 */
import test, { type ExecutionContext } from 'ava'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, HAKIRI, type Project } from '../support/project.ts'
import { KEYS, openTerminal, type Terminal } from '../support/terminal.ts'

const ROWS = 400_000

let postgres: Postgres
let url: string
test.before(async () => {
  postgres = await startPostgres()
  url = await postgres.newDatabase()
  const source = new pg.Client(url)
  await source.connect()
  await source.query(`create table orders (id int primary key, note text);
    insert into orders select n, repeat(md5(n::text), 6) from generate_series(1, ${ROWS}) n;
    analyze orders`)
  await source.end()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

async function open(t: ExecutionContext): Promise<Project> {
  const project = await createProject(`version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "lake"
publish_interval = "1ms"
[pipelines.shop]
destination = "lake"
memory = "64MB"
source = { type = "postgres", url = "env:LAB_SOURCE", tables = ["orders"] }
mode = "incremental"
shard_by = { key = "id", ranges = 4 }
limits = { concurrency = 2 }
write = { mode = "append", cursor = "id" }
`)
  project.env['LAB_SOURCE'] = url
  t.teardown(() => project[Symbol.asyncDispose]())
  return project
}

function terminal(t: ExecutionContext, project: Project, ...args: string[]): Terminal {
  const opened = openTerminal(HAKIRI, args, {
    cwd: project.folder,
    env: { LAB_SOURCE: url },
    columns: 120,
  })
  t.teardown(() => opened[Symbol.asyncDispose]())
  return opened
}

async function isWhole(t: ExecutionContext, project: Project): Promise<void> {
  const next = await project.json('run')
  t.is(next.code, 0, next.stdout + next.stderr)
  const { envelope } = await project.json(
    'query',
    'select count(*), count(distinct id), min(id), max(id) from shop.orders',
  )
  t.deepEqual((envelope.result as { rows: unknown }).rows, [[String(ROWS), String(ROWS), 1, ROWS]])
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    return
  }
}

/** Far enough for batches to have been encoded, and not at the end. */
const WORKING = /[1-3]\d\d,\d{3} rows [^]*(reading|flushing) +public\.orders/

test.serial(
  'a run shows totals, rate, memory and its shards, redrawn, then a summary',
  async (t) => {
    const project = await open(t)
    const screen = terminal(t, project, 'run')
    const block = await screen.waitFor(WORKING, 60_000)
    t.regex(block, /\d rows +[\d,]+ rows\/s +[\d.]+ [KM]B +\d\/4 shards.* \d+ MB memory/)
    const { code } = await screen.exited
    t.is(code, 0)
    const end = screen.screen()
    t.regex(end, /pipeline +status +rows +written +files[^]*shop +succeeded +400000 /)
    t.regex(end, /400,000 rows · next: hakiri query "from shop\.orders limit 10"$/)
    t.notRegex(end, /rows\/s/, 'the block is gone')
    t.true(screen.raw().split('\u001B[0J').length > 3, 'the block was redrawn in place')
    t.true(screen.raw().includes('ETA'))
    await isWhole(t, project)
  },
)

test.serial('one Ctrl-C drains to a clean commit, says so and exits with 130', async (t) => {
  const project = await open(t)
  const screen = terminal(t, project, 'run')
  await screen.waitFor(WORKING, 60_000)
  screen.send(KEYS.ctrlC)
  const said = await screen.waitFor('stopping after the current batch', 60_000)
  t.regex(said, /press Ctrl-C again to stop at once/)
  t.is((await screen.exited).code, 130, screen.screen())
  t.regex(screen.screen(), /shop +cancelled[^]*stopped early; `hakiri run` carries on from here$/)
  await isWhole(t, project)
})

test.serial('two Ctrl-C end at once with 130', async (t) => {
  const project = await open(t)
  const screen = terminal(t, project, 'run')
  await screen.waitFor(WORKING, 60_000)
  const encoders = await childrenOf(screen.pid)
  t.true(encoders.length > 0)
  // A drain that cannot end, so that only the second Ctrl-C can have ended it.
  for (const pid of encoders) process.kill(pid, 'SIGSTOP')
  t.teardown(() => encoders.forEach((pid) => killQuietly(pid)))
  screen.send(KEYS.ctrlC)
  await screen.waitFor('stopping after the current batch', 60_000)
  screen.send(KEYS.ctrlC)
  t.is((await screen.exited).code, 130)
  t.notRegex(screen.screen(), /pipeline +status/)
  await isWhole(t, project)
})

test.serial('SIGTERM drains as well and exits with 143', async (t) => {
  const project = await open(t)
  const screen = terminal(t, project, 'run')
  await screen.waitFor(WORKING, 60_000)
  process.kill(screen.pid, 'SIGTERM')
  t.is((await screen.exited).code, 143, screen.screen())
  t.regex(screen.screen(), /shop +cancelled/)
  await isWhole(t, project)
})

test.serial(
  'the prompt answers, goes on over lines, survives errors and Ctrl-C, and leaves',
  async (t) => {
    const project = await open(t)
    const screen = terminal(t, project, 'query')
    await screen.waitFor('hakiri>', 60_000)
    screen.send(`select 40 + 2${KEYS.enter}`)
    await screen.waitFor('     ->')
    screen.send(`as answer;${KEYS.enter}`)
    await screen.waitFor(/answer\n─+\n +42\n1 row\(s\)\nhakiri>$/)
    screen.send(`select nope;${KEYS.enter}`)
    await screen.waitFor(/QUERY_INVALID[^]*hakiri> ?$/)
    screen.send('select half')
    await screen.waitFor('select half')
    screen.send(KEYS.ctrlC)
    await screen.waitFor(/select half\s*\nhakiri> ?$/)
    screen.send(
      `select count(*) as big from range(1e12::bigint) a, range(1000) b where a.range % 7 = b.range;${KEYS.enter}`,
    )
    screen.send(KEYS.ctrlC)
    await screen.waitFor(/CANCELLED[^]*hakiri> ?$/)
    screen.send(`select 'still' || ' here' as x;${KEYS.enter}`)
    await screen.waitFor('still here')
    screen.send(KEYS.ctrlD)
    t.is((await screen.exited).code, 0)
  },
)

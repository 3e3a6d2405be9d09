/**
 * `npm run demo`: a real Postgres with a public dataset becomes Parquet tables, and a question about
 * them gets an answer, checked against the source. Uses the command line as a user would.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../support/postgres.ts'
import { loadFlights, sourceTruth } from './flights.ts'

const HAKIRI = fileURLToPath(new URL('../../hakiri', import.meta.url))
const AIRPORTS = fileURLToPath(
  new URL('../../node_modules/vega-datasets/data/airports.csv', import.meta.url),
)
const QUESTION = `
  select a.name as airport, count(*) as departures, round(avg(f.delay), 1) as mean_delay_minutes
  from flights f join airports a on a.iata = f.origin
  group by all order by departures desc limit 5`

const folder = await mkdtemp(join(tmpdir(), 'hakiri-demo-'))
try {
  await using postgres = await startPostgres()
  const url = await postgres.newDatabase('demo')
  say(
    'Loading 3,000,000 flights (US DOT, from the vega-datasets package) into a Postgres of our own',
  )
  await loadFlights(url, folder)
  await writeFile(join(folder, 'hakiri.toml'), manifest())
  const env = { ...process.env, SHOP_DB: url }
  for (const args of [['validate'], ['run'], ['tables'], ['query', QUESTION], ['run']])
    await show(args, env)
  await verify(url, env)
} finally {
  await rm(folder, { recursive: true, force: true })
}

function manifest(): string {
  return `version = 1

[destination.lake]
type = "file"
url = "./lake"

[pipelines.us]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["flights"] }
mode = "incremental"
shard_by = { key = "id", ranges = 4 }
write = { mode = "append", cursor = "id" }
destination = "lake"

[pipelines.world]
source = { type = "file", paths = [${JSON.stringify(AIRPORTS)}], table = "airports" }
write = { mode = "replace" }
mode = "full"
destination = "lake"
`
}

/** The table must hold what Postgres holds; anything else fails the demo. */
async function verify(url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const truth = await sourceTruth(url)
  const sql =
    'select count(*) as rows, sum(delay) as delay, sum(distance) as distance, count(distinct id) as ids from flights'
  const answer = JSON.parse(await capture(['query', sql, '--json'], env)) as {
    result: { rows: unknown[][] }
  }
  const table = (answer.result.rows[0] ?? []).map(Number)
  const [rows = 0, delay, distance, ids = 0] = table
  const lost = truth.rows - ids
  const doubled = rows - ids
  say(`source ${truth.rows} rows · table ${rows} rows · lost ${lost} · doubled ${doubled}`)
  if (lost !== 0 || doubled !== 0 || delay !== truth.delay || distance !== truth.distance) {
    throw new Error(`the table differs from its source: ${JSON.stringify({ truth, table })}`)
  }
}

function say(text: string): void {
  process.stdout.write(`\n— ${text}\n`)
}

async function show(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  process.stdout.write(
    `\n$ hakiri ${args.map((arg) => (arg.includes(' ') ? `"${arg.replaceAll(/\s+/g, ' ').trim()}"` : arg)).join(' ')}\n`,
  )
  await launch(args, env, 'inherit')
}

async function capture(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return launch(args, env, 'pipe')
}

function launch(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdout: 'inherit' | 'pipe',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(HAKIRI, args, { cwd: folder, env, stdio: ['ignore', stdout, 'inherit'] })
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part))
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`hakiri ${args[0]} ended with ${code}`)),
    )
  })
}

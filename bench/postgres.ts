/** Postgres → zstd Parquet table, beside the two scripts it replaces, and resumed after kill -9. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { startPostgres } from '../test/support/postgres.ts'
import { measure, median, type Cost } from './measure.ts'
import {
  DUCKDB_FINGERPRINT,
  normal,
  seedEvents,
  sourceFingerprint,
  type Fingerprint,
} from './seed.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const HAKIRI = fileURLToPath(new URL('../hakiri', import.meta.url))

export type Sample = Omit<Cost, 'stdout'> & { readonly name: string; readonly rows: number }

export type PostgresReport = {
  readonly rows: number
  readonly samples: readonly Sample[]
  readonly summary: Readonly<
    Record<string, { rowsPerS: number; cpuSPerMillion: number; peakRssMb: number }>
  >
  readonly ratios: Readonly<Record<string, number>>
  readonly resume: {
    readonly rowsAtKill: number
    readonly rowsReRead: number
    readonly lost: number
    readonly doubled: number
  }
}

type Contender = {
  /** Takes minutes: measured in the first round alone. */
  readonly once?: true
  readonly name: string
  readonly run: (folder: string) => Promise<{ cost: Cost; files: string }>
}

/**
 * Alternates the contenders, `repeats` times each (the slowest one once); every output is read back and
 * compared.
 */
export async function benchPostgres(
  rows: number,
  repeats: number,
  log: (line: string) => void,
): Promise<PostgresReport> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-'))
  try {
    await using postgres = await startPostgres({
      settings: { shared_buffers: '1GB', max_wal_size: '4GB' },
    })
    const url = await postgres.newDatabase('bench')
    log(`seeding ${rows} rows`)
    await seedEvents(url, rows)
    const truth = await sourceFingerprint(url)
    const samples: Sample[] = []
    for (let round = 0; round < repeats; round++) {
      for (const contender of contenders(url)) {
        if (contender.once && round > 0) continue
        const work = join(folder, `${contender.name.replaceAll(' ', '-')}-${round}`)
        await mkdir(work)
        const { cost, files } = await contender.run(work)
        await compare(files, truth, contender.name)
        const { stdout: _, ...facts } = cost
        samples.push({ name: contender.name, rows, ...facts })
        log(
          `${contender.name}: ${Math.round(rows / cost.wallS)} rows/s, ${cost.cpuS.toFixed(1)} CPU-s, ${Math.round(cost.peakRssMb)} MB`,
        )
        await rm(work, { recursive: true })
      }
    }
    const resume = await killAndResume(url, join(folder, 'resume'), rows)
    return { rows, samples, ...summarise(samples), resume }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Hakiri stands in twice: the two must agree, or the machine is too noisy to tell anything. */
function contenders(url: string): readonly Contender[] {
  const script = (name: string, file: string): Contender => ({
    name,
    run: async (folder) => ({
      cost: await measure([process.execPath, join(HERE, file), url, folder], {
        cwd: folder,
        env: process.env,
      }),
      files: join(folder, '*.parquet'),
    }),
  })
  return [
    { name: 'hakiri', run: (folder) => runHakiri(url, folder) },
    script('copy csv, then duckdb', 'baseline-copy.ts'),
    { name: 'hakiri again', run: (folder) => runHakiri(url, folder) },
    { ...script('keyset pages, js writer', 'baseline-keyset.ts'), once: true },
  ]
}

export async function writeProject(folder: string): Promise<void> {
  await writeFile(
    join(folder, 'hakiri.toml'),
    `version = 1
[destination.lake]
type = "file"
url = "./lake"
[pipelines.shop]
source = { type = "postgres", url = "env:BENCH_DB", tables = ["events"] }
mode = "full"
write = { mode = "replace" }
destination = "lake"
`,
  )
}

async function runHakiri(url: string, folder: string): Promise<{ cost: Cost; files: string }> {
  await writeProject(folder)
  const env = { ...process.env, BENCH_DB: url }
  const cost = await measure([HAKIRI, 'run', '--json'], { cwd: folder, env })
  return { cost, files: join(folder, 'lake/shop/events/**/*.parquet') }
}

async function fingerprint(files: string): Promise<Fingerprint> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(`SET TimeZone = 'UTC'`)
    const sql = `SELECT ${DUCKDB_FINGERPRINT} FROM (SELECT * REPLACE (CAST(amount AS DECIMAL(12,2)) AS amount) FROM read_parquet('${files}'))`
    const reader = await connection.runAndReadAll(sql)
    return normal(reader.getRowsJson()[0] ?? [])
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

async function compare(files: string, truth: Fingerprint, name: string): Promise<void> {
  const found = await fingerprint(files)
  if (JSON.stringify(found) !== JSON.stringify(truth)) {
    throw new Error(
      `${name}: output differs from the source\n${found.join(' ')}\n${truth.join(' ')}`,
    )
  }
}

/** kill -9 when half of the rows are committed; then run again and count what was read twice. */
async function killAndResume(
  url: string,
  folder: string,
  rows: number,
): Promise<PostgresReport['resume']> {
  await mkdir(folder)
  await writeProject(folder)
  const env = { ...process.env, BENCH_DB: url }
  const data = join(folder, 'lake/shop/events')
  const bytesExpected = rows * 45
  const killWhen = async (): Promise<boolean> => (await bytesUnder(data)) > bytesExpected / 2
  await measure([HAKIRI, 'run', '--quiet'], { cwd: folder, env }, { killWhen })
  const first = await runCounters(folder, env)
  await measure([HAKIRI, 'run', '--quiet'], { cwd: folder, env })
  const second = await runCounters(folder, env)
  const { total, distinct } = await counts(folder, env)
  return {
    rowsAtKill: first,
    rowsReRead: first + second - rows,
    lost: rows - distinct,
    doubled: total - distinct,
  }
}

async function counts(
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<{ total: number; distinct: number }> {
  const sql = 'select count(*), count(distinct id) from events'
  const { stdout } = await measure([HAKIRI, 'query', sql, '--json'], { cwd: folder, env })
  const answer = JSON.parse(stdout) as { result: { rows: [unknown, unknown][] } }
  const [total, distinct] = (answer.result.rows[0] ?? []).map(Number)
  return { total: total ?? 0, distinct: distinct ?? 0 }
}

/** Rows that the newest run committed. */
async function runCounters(folder: string, env: NodeJS.ProcessEnv): Promise<number> {
  const { stdout } = await measure([HAKIRI, 'runs', '--json', '--limit', '1'], { cwd: folder, env })
  const answer = JSON.parse(stdout) as { result: { counters: { rowsRead: number } }[] }
  return answer.result[0]?.counters.rowsRead ?? 0
}

async function bytesUnder(folder: string): Promise<number> {
  const { stat } = await import('node:fs/promises')
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (entry) => (entry.isFile() ? entry.size : 0),
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function summarise(samples: readonly Sample[]): Pick<PostgresReport, 'summary' | 'ratios'> {
  const names = [...new Set(samples.map((sample) => sample.name))]
  const of = (name: string, pick: (sample: Sample) => number): number =>
    median(samples.filter((sample) => sample.name === name).map(pick))
  const summary = Object.fromEntries(
    names.map((name) => [
      name,
      {
        rowsPerS: Math.round(of(name, (sample) => sample.rows / sample.wallS)),
        cpuSPerMillion: Number(of(name, (sample) => (sample.cpuS / sample.rows) * 1e6).toFixed(2)),
        peakRssMb: Math.round(of(name, (sample) => sample.peakRssMb)),
      },
    ]),
  )
  const rate = (name: string): number => summary[name]?.rowsPerS ?? Number.NaN
  const ratios = Object.fromEntries(
    names
      .filter((name) => name !== 'hakiri')
      .map((name) => [`hakiri / ${name}`, Number((rate('hakiri') / rate(name)).toFixed(2))]),
  )
  return { summary, ratios }
}

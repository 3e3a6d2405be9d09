/** NDJSON → table, beside DuckDB alone reading the same file into one Parquet file. */
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { measure, median } from './measure.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const HAKIRI = fileURLToPath(new URL('../hakiri', import.meta.url))

export type NdjsonReport = {
  readonly rows: number
  readonly megabytes: number
  readonly samples: readonly {
    readonly name: string
    readonly wallS: number
    readonly cpuS: number
    readonly peakRssMb: number
  }[]
  readonly rowsPerS: Readonly<Record<string, number>>
  readonly ratio: number
}

export async function benchNdjson(
  rows: number,
  repeats: number,
  log: (line: string) => void,
): Promise<NdjsonReport> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-'))
  try {
    const input = join(folder, 'issues.ndjson')
    const bytes = await writeIssues(input, rows)
    const samples: NdjsonReport['samples'][number][] = []
    for (let round = 0; round < repeats; round++) {
      for (const name of ['hakiri', 'duckdb alone', 'hakiri again'] as const) {
        const work = join(folder, `${name.replaceAll(' ', '-')}-${round}`)
        await mkdir(work)
        const { wallS, cpuS, peakRssMb } = await contender(name, work, input)
        await verify(join(work, '**/*.parquet'), rows)
        samples.push({ name, wallS, cpuS, peakRssMb })
        log(
          `${name}: ${Math.round(rows / wallS)} rows/s, ${cpuS.toFixed(1)} CPU-s, ${Math.round(peakRssMb)} MB`,
        )
        await rm(work, { recursive: true })
      }
    }
    const rate = (name: string): number =>
      Math.round(
        rows /
          median(samples.filter((sample) => sample.name === name).map((sample) => sample.wallS)),
      )
    const rowsPerS = {
      hakiri: rate('hakiri'),
      'hakiri again': rate('hakiri again'),
      'duckdb alone': rate('duckdb alone'),
    }
    return {
      rows,
      megabytes: Math.round(bytes / 1e6),
      samples,
      rowsPerS,
      ratio: Number((rowsPerS.hakiri / rowsPerS['duckdb alone']).toFixed(2)),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function contender(name: string, folder: string, input: string) {
  if (name === 'duckdb alone') {
    return measure([process.execPath, join(HERE, 'baseline-ndjson.ts'), input, folder], {
      cwd: folder,
      env: process.env,
    })
  }
  await writeFile(
    join(folder, 'hakiri.toml'),
    `version = 1
[destination.lake]
type = "file"
url = "./lake"
[pipelines.github]
source = { type = "file", paths = [${JSON.stringify(input)}], table = "issues" }
mode = "incremental"
write = { mode = "append" }
destination = "lake"
`,
  )
  return measure([HAKIRI, 'run', '--json'], { cwd: folder, env: process.env })
}

async function verify(files: string, rows: number): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const reader = await connection.runAndReadAll(
    `SELECT count(*), count(DISTINCT id), sum(comments) FROM read_parquet('${files}')`,
  )
  const [count, distinct, comments] = (reader.getRows()[0] ?? []).map(Number)
  connection.closeSync()
  instance.closeSync()
  const expected = Array.from({ length: rows }, (_, n) => n % 41).reduce(
    (sum, value) => sum + value,
    0,
  )
  if (count !== rows || distinct !== rows || comments !== expected)
    throw new Error(`read back ${count} rows, ${distinct} ids`)
}

/** Nested rows of about 700 bytes in the shape of an issue tracker's API. */
async function writeIssues(path: string, rows: number): Promise<number> {
  const out = createWriteStream(path, { highWaterMark: 1 << 20 })
  let bytes = 0
  for (let n = 0; n < rows; n++) {
    const line = `${JSON.stringify(issue(n))}\n`
    bytes += line.length
    if (!out.write(line)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'finish')
  return bytes
}

function issue(n: number): Record<string, unknown> {
  const user = {
    login: `user${n % 5003}`,
    id: n % 5003,
    url: `https://api.example.com/users/user${n % 5003}`,
    site_admin: n % 500 === 0,
  }
  return {
    id: n,
    number: n % 10_000,
    title: `Crash when the ${n % 97} th widget is closed twice (${(n * 2654435761) % 1_000_003})`,
    state: n % 3 === 0 ? 'open' : 'closed',
    comments: n % 41,
    score: n % 7 === 0 ? null : (n % 1000) / 8,
    locked: n % 11 === 0,
    user,
    labels: Array.from({ length: n % 4 }, (_, index) => ({
      id: index,
      name: `label-${(n + index) % 37}`,
      color: 'ededed',
    })),
    milestone: n % 5 === 0 ? null : { id: n % 20, title: `v${n % 20}`, open_issues: n % 300 },
    body: `Steps: open the page, press the button ${n % 13} times. Expected nothing, got trace ${((n * 40503) % 65_537).toString(16).repeat(8)}.`,
    created_at: new Date(1_700_000_000_000 + n * 1000).toISOString(),
    updated_at: new Date(1_710_000_000_000 + n * 1000).toISOString(),
  }
}

/**
 * The same pipeline and data by `hakiri run` and by a cluster of one worker: wall time and CPU of the
 * processes that read and write. Both use the same Postgres as catalog, take turns, and replace the table.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measure, median } from '../measure.ts'
import { log } from '../report.ts'
import { HAKIRI, isOver, type Lab, mustSucceed, startLab, untilSettled } from './lab.ts'
import { cpuBetween, cpuBy } from './proc.ts'

const FILES = 8
const SLOTS = 4

type Round = {
  /** As the run's row says: from its planning to its published end. */
  readonly wallS: number
  readonly cpuS: number
}

export type Overhead = {
  readonly rows: number
  readonly run: readonly Round[]
  readonly serve: readonly (Round & {
    readonly coordinatorsS: number
    readonly fromRequestS: number
  })[]
  /** `hakiri run` of a row a file: its start and that of its encoder, which a worker has behind it. */
  readonly start: Round
  readonly wallRatio: number
  readonly cpuRatio: number
  /** The same, with the start of `hakiri run` taken off what it took: the harder comparison for us. */
  readonly wallRatioWithoutStart: number
  readonly cpuRatioWithoutStart: number
}

export async function measureOverhead(rows: number, repeats: number): Promise<Overhead> {
  const source = await mkdtemp(join(tmpdir(), 'hakiri-bench-files-'))
  try {
    await writeFiles(source, rows)
    await using lab = await startLab()
    await lab.apply(manifestOf(source, join(lab.folder, 'lake')))
    await lab.addWorker('w1', ['--slots', String(SLOTS), '--memory', '512MB'])
    const alone = join(lab.folder, 'alone')
    await mkdir(alone)
    const url = await lab.postgres.newDatabase()
    await writeFile(join(alone, 'hakiri.toml'), manifestOf(source, join(alone, 'lake')))
    const [tiny, tinySource] = [join(lab.folder, 'tiny'), join(lab.folder, 'tiny-source')]
    for (const folder of [tiny, tinySource]) await mkdir(folder)
    await writeFiles(tinySource, FILES)
    await writeFile(join(tiny, 'hakiri.toml'), manifestOf(tinySource, join(tiny, 'lake')))
    const tinyUrl = await lab.postgres.newDatabase()
    const runOnce = () => runAlone(alone, url, rows)
    const serveOnce = () => runServed(lab, rows)
    // The first round of each plans its shards, and starts the worker's encoder.
    await runOnce()
    await serveOnce()
    await untilSettled(lab, FILES + 2, 1)
    const run: Round[] = []
    const serve: Overhead['serve'][number][] = []
    const starts: Round[] = []
    for (let round = 0; round < repeats; round++) {
      run.push(await runOnce())
      serve.push(await serveOnce())
      starts.push(await runAlone(tiny, tinyUrl, FILES))
      log(`overhead ${round + 1}: ${JSON.stringify([run.at(-1), serve.at(-1), starts.at(-1)])}`)
    }
    const of = (rounds: readonly Round[], what: keyof Round) =>
      median(rounds.map((each) => each[what]))
    const start = { wallS: of(starts, 'wallS'), cpuS: of(starts, 'cpuS') }
    const ratio = (what: keyof Round, off: number) => of(serve, what) / (of(run, what) - off)
    return {
      rows,
      run,
      serve,
      start,
      wallRatio: ratio('wallS', 0),
      cpuRatio: ratio('cpuS', 0),
      wallRatioWithoutStart: ratio('wallS', start.wallS),
      cpuRatioWithoutStart: ratio('cpuS', start.cpuS),
    }
  } finally {
    await rm(source, { recursive: true, force: true })
  }
}

async function runAlone(folder: string, url: string, rows: number): Promise<Round> {
  const command = [HAKIRI, 'run', '--json', '--catalog', url]
  const { stdout, cpuS } = await measure(command, { cwd: folder, env: process.env })
  const [result] = (
    JSON.parse(stdout) as {
      readonly result: readonly {
        readonly durationMs: number
        readonly counters: { readonly rowsRead: number }
      }[]
    }
  ).result
  if (result?.counters.rowsRead !== rows)
    throw new Error(`run read ${result?.counters.rowsRead} rows`)
  return { wallS: result.durationMs / 1000, cpuS }
}

async function runServed(lab: Lab, rows: number) {
  const [began, before] = [performance.now(), cpuBy(lab.pids())]
  const id = await lab.start('files')
  const run = mustSucceed(await lab.untilRun(id, isOver))
  const fromRequestS = (performance.now() - began) / 1000
  const { workers = 0, coordinators = 0 } = cpuBetween(before, cpuBy(lab.pids()))
  if (run.counters.rowsRead !== rows)
    throw new Error(`the worker read ${run.counters.rowsRead} rows`)
  const wallS = ((run.endedAt ?? 0) - run.startedAt) / 1000
  return { wallS, cpuS: workers, coordinatorsS: coordinators, fromRequestS }
}

async function writeFiles(folder: string, rows: number): Promise<void> {
  const each = rows / FILES
  for (let file = 0; file < FILES; file++) {
    const lines: string[] = []
    for (let row = 0; row < each; row++) {
      const id = file * each + row
      const at = new Date(1_790_000_000_000 + id * 1_000).toISOString()
      const note = `note ${id} `.repeat(1 + (id % 4))
      lines.push(
        JSON.stringify({ id, account: (id * 7_919) % 100_003, note, price: (id % 997) / 4, at }),
      )
    }
    await writeFile(join(folder, `part-${file}.ndjson`), `${lines.join('\n')}\n`)
  }
}

function manifestOf(source: string, lake: string): string {
  return `version = 1
[destination.lake]
type = "file"
url = "${lake}"
[pipelines.files]
shard_by = "file"
write = { mode = "replace" }
limits = { concurrency = ${SLOTS} }
memory = "512MB"
[pipelines.files.source]
type = "file"
paths = ["${source}/*.ndjson"]
table = "files"
`
}

/**
 * A batch as the encoder reads it: where its rows are, how many there must be, and what to do when the
 * engine cannot read them. A batch is opened plainly first; `repaired` opens it again without its bad
 * rows.
 */
import { open, rm, stat } from 'node:fs/promises'
import type { ColumnType } from '../../lib/column.ts'
import type { BatchInput } from '../plan/batch-plan.ts'
import { eachBlock } from './blocks.ts'
import { csvCounter } from './csv-records.ts'
import type { RejectedRow } from './encoder.ts'
import { runStatement } from './job.ts'
import type { Job } from './job.ts'
import { repairCsv, repairNdjson } from './repair.ts'
import type { Repaired } from './repair.ts'
import { scanLines, scanResult, startNdjsonScan } from './scan-ndjson.ts'
import type { ScanResult } from './scan-ndjson.ts'
import { describeParquet, parquetRowTexts, parquetSource } from './sql-parquet.ts'
import type { ParquetColumn } from './sql-parquet.ts'
import { csvSource, ndjsonSource } from './sql-read.ts'
import type { Source } from './sql-read.ts'

export type OpenBatch = {
  /** The file that is read; the repaired one when there is one. */
  readonly path: string
  readonly source: (demands: ReadonlyMap<string, ReadonlySet<ColumnType>>) => Source
  /** Rows that the engine must find; may take as long as reading the file. */
  readonly expectedRows: () => Promise<number>
  /** Rows that were taken out. */
  readonly rejected: readonly RejectedRow[]
  /** Parquet: a query for the numbers and JSON texts of some rows. */
  readonly rowTexts?: (rows: readonly number[]) => string
  /** Deletes what was made for reading it. */
  readonly release?: () => Promise<void>
  /** The batch without its bad rows; undefined when it has been repaired already or cannot be. */
  readonly repaired: (() => Promise<OpenBatch>) | undefined
}

type CsvInput = Extract<BatchInput, { format: 'csv' }>
type ParquetInput = Extract<BatchInput, { format: 'parquet' }>

/** Opens a csv or Parquet batch. NDJSON is opened from a scan. */
export async function openTyped(input: CsvInput | ParquetInput, job: Job): Promise<OpenBatch> {
  return input.format === 'csv' ? openCsv(input, job) : openParquet(input, job)
}

async function openCsv(input: CsvInput, job: Job): Promise<OpenBatch> {
  const repaired = async (): Promise<OpenBatch> => {
    const result = await repairCsv(input.path, input.columns.length, job.temporary())
    return repairedCsv(input, result)
  }
  if (await startsWithMark(input.path)) return repaired()
  return {
    path: input.path,
    source: () => csvSource(input.path, input.columns, 0),
    expectedRows: async () => input.rows ?? countCsv(input.path, job.signal),
    rejected: [],
    repaired,
  }
}

function repairedCsv(input: CsvInput, { path, rows, longest, rejected }: Repaired): OpenBatch {
  return {
    path,
    source: () => csvSource(path, input.columns, longest),
    expectedRows: () =>
      Promise.resolve(input.rows === undefined ? rows : input.rows - rejected.length),
    rejected,
    release: () => rm(path, { force: true }),
    repaired: undefined,
  }
}

async function countCsv(path: string, signal: AbortSignal): Promise<number> {
  const counter = csvCounter()
  await eachBlock(path, signal, (block) => counter.take(block))
  return counter.result().records
}

/** A byte order mark at the start is data here, and the engine would drop it. */
async function startsWithMark(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const { buffer } = await file.read(Buffer.alloc(3), 0, 3, 0)
    return buffer.equals(Buffer.from('\ufeff'))
  } finally {
    await file.close()
  }
}

async function openParquet(input: ParquetInput, job: Job): Promise<OpenBatch> {
  const columns = await describe(input.path, job)
  return {
    path: input.path,
    source: () => parquetSource(input.path, input.from, input.rows, columns),
    rowTexts: (rows) => parquetRowTexts(input.path, input.from, columns, rows),
    expectedRows: () => Promise.resolve(input.rows),
    rejected: [],
    repaired: undefined,
  }
}

/** Columns of a Parquet file. */
export async function describe(path: string, job: Job): Promise<readonly ParquetColumn[]> {
  const rows = await runStatement(job, describeParquet(path))
  return rows.map(([name, engine]) => ({ name: String(name), engine: String(engine) }))
}

// ── NDJSON ────────────────────────────────────────────────────────────────────────────────────────

/** What is known of an NDJSON file; stays true while `stamp` does. */
export type NdjsonFacts = {
  readonly path: string
  readonly stamp: string
  readonly scan: ScanResult
  /** Set when bad rows were taken out; its file is the one to read. */
  readonly repaired: Repaired | undefined
}

/** Looks at every row. Rows that are no plain objects are taken out first, into a new file. */
export async function learnNdjson(path: string, job: Job): Promise<NdjsonFacts> {
  const stamp = await stampOf(path)
  const scan = await scanFile(path, job.signal)
  if (scan.malformed === 0) return { path, stamp, scan, repaired: undefined }
  return repairFacts({ path, stamp, scan, repaired: undefined }, job)
}

async function repairFacts(facts: NdjsonFacts, job: Job): Promise<NdjsonFacts> {
  const repaired = await repairNdjson(facts.path, job.session, job.temporary())
  return { ...facts, scan: await scanFile(repaired.path, job.signal), repaired }
}

async function scanFile(path: string, signal: AbortSignal): Promise<ScanResult> {
  const scan = startNdjsonScan()
  await eachBlock(path, signal, (block) => scanLines(scan, block))
  return scanResult(scan)
}

/** Changes when the file does. */
export async function stampOf(path: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(path)
  return `${size} ${mtimeMs} ${ino}`
}

/** `learn` takes note of facts found later. */
export function openNdjson(
  facts: NdjsonFacts,
  job: Job,
  learn: (facts: NdjsonFacts) => Promise<void>,
): OpenBatch {
  const { scan, repaired } = facts
  const path = repaired?.path ?? facts.path
  return {
    path,
    source: (demands) => ndjsonSource(path, scan, demands),
    expectedRows: () => Promise.resolve(scan.rows),
    rejected: repaired?.rejected ?? [],
    repaired: repaired
      ? undefined
      : async () => {
          const better = await repairFacts(facts, job)
          await learn(better)
          return openNdjson(better, job, learn)
        },
  }
}

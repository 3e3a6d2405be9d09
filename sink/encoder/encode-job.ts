/**
 * One batch into files. Tries the fast way first; every doubt (an engine error, a row too few) sends the
 * batch through repair, which takes the bad rows out by name. Nothing is ever read with errors ignored.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '../../lib/assert.ts'
import { HakiriError } from '../../lib/error.ts'
import type { BatchInput, BatchPlan } from '../plan/batch-plan.ts'
import type { OpenBatch } from './batch.ts'
import { csvRecords } from './csv-records.ts'
import type { EncodedFile, EncodeJob, EncodeOutcome, RejectedRow } from './encoder.ts'
import { isMisfit, mayBeBadInput } from './failure.ts'
import { finishFile } from './file-stats.ts'
import type { FileColumn } from './file-stats.ts'
import { runCopy, runStatement } from './job.ts'
import type { Job } from './job.ts'
import { PARTITIONS_MAX } from './limits.ts'
import { rawText } from './raw-text.ts'
import { lineSpans } from './repair.ts'
import * as sql from './sql-encode.ts'
import type { Source } from './sql-read.ts'
import { copyStatement, ONE_ROW_GROUP } from './sql-text.ts'

/** From so many partitions on, sorting the batch once is cheaper than searching it for each. */
const SORTED_PARTITIONS = 24

/** Encodes one opened batch into `outFolder`. */
export async function encodeBatch(
  { input, plan, outFolder }: EncodeJob,
  batch: OpenBatch,
  job: Job,
): Promise<EncodeOutcome> {
  try {
    return await encodeOnce(input, plan, outFolder, batch, job)
  } catch (error) {
    const isDoubtful = mayBeBadInput(error) || error instanceof RowsLost
    if (!isDoubtful || !batch.repaired || job.signal.aborted) throw error
    const repaired = await batch.repaired()
    try {
      return await encodeOnce(input, plan, outFolder, repaired, job)
    } finally {
      await repaired.release?.()
    }
  }
}

/** The engine found another number of rows than there are. */
class RowsLost extends HakiriError {
  constructor(found: number, expected: number) {
    super('ENCODE_FAILED', `The batch has ${expected} rows, but ${found} were read`)
  }
}

async function encodeOnce(
  input: BatchInput,
  plan: BatchPlan,
  outFolder: string,
  batch: OpenBatch,
  job: Job,
): Promise<EncodeOutcome> {
  const source = batch.source(sql.demandedTypes(plan))
  const [written, expected] = await Promise.allSettled([
    sql.needsStaging(plan)
      ? writeStaged(input, plan, outFolder, batch, source, job)
      : writeStream(plan, outFolder, source, job),
    batch.expectedRows(),
  ])
  if (written.status === 'rejected') {
    if (!isMisfit(written.reason)) throw written.reason
    return { kind: 'misfit', columns: await misfitColumns(plan, source, job) }
  }
  if (expected.status === 'rejected') throw expected.reason
  const { files, rejected, rowsRead } = written.value
  if (rowsRead !== expected.value) {
    await Promise.all(files.map(({ localPath }) => rm(localPath, { force: true })))
    throw new RowsLost(rowsRead, expected.value)
  }
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  return { kind: 'encoded', files, rows, rejected: [...batch.rejected, ...rejected] }
}

async function misfitColumns(
  plan: BatchPlan,
  source: Source,
  job: Job,
): Promise<readonly string[]> {
  const query = sql.misfitQuery(plan, source)
  const [row] = await runStatement(job, query.sql)
  return [...new Set(query.columns.filter((_, index) => row?.[index] === true))]
}

type Written = {
  readonly files: readonly EncodedFile[]
  readonly rejected: readonly RejectedRow[]
  readonly rowsRead: number
}

async function writeStream(
  plan: BatchPlan,
  outFolder: string,
  source: Source,
  job: Job,
): Promise<Written> {
  if (plan.outputs.length === 0) return { files: [], rejected: [], rowsRead: 0 }
  const path = filePath(outFolder, 0)
  const file = await writeFile(plan, path, sql.streamSelect(plan, source), {}, job)
  return { files: file ? [file] : [], rejected: [], rowsRead: file?.rows ?? 0 }
}

function filePath(folder: string, index: number): string {
  return join(folder, `part-${String(index).padStart(5, '0')}.parquet`)
}

/** Undefined when there was no row to write. */
async function writeFile(
  plan: BatchPlan,
  path: string,
  select: string,
  partition: EncodedFile['partition'],
  job: Job,
): Promise<EncodedFile | undefined> {
  const rows = await runCopy(job, copyStatement(select, path, sql.fieldIds(plan), ONE_ROW_GROUP))
  if (rows === 0) {
    await rm(path, { force: true })
    return undefined
  }
  const columns: readonly FileColumn[] = sql.fileColumns(plan).map(({ column }) => column)
  return finishFile(job.session, path, rows, columns, partition)
}

// ── Staged ────────────────────────────────────────────────────────────────────────────────────────

async function writeStaged(
  input: BatchInput,
  plan: BatchPlan,
  outFolder: string,
  batch: OpenBatch,
  source: Source,
  job: Job,
): Promise<Written> {
  try {
    await runStatement(job, sql.stageStatement(plan, source))
    const [counts] = await runStatement(job, sql.STAGED_COUNTS)
    const rowsRead = Number(counts?.[0])
    const hasRejects = Number(counts?.[1]) > 0
    const rejected = hasRejects ? await rejectedRows(input, batch, job) : []
    if (plan.outputs.length > 0 && sql.fileColumns(plan).length === 0) throw nothingToStore()
    const files = plan.outputs.length > 0 ? await writePartitions(plan, outFolder, job) : []
    return { files, rejected, rowsRead }
  } finally {
    for (const statement of sql.DROP_STAGED) await job.session.rows(statement)
  }
}

async function writePartitions(
  plan: BatchPlan,
  outFolder: string,
  job: Job,
): Promise<readonly EncodedFile[]> {
  if (plan.merge) await runStatement(job, sql.keepStatement(plan.merge.key))
  const partitions = await partitionValues(plan, job)
  const files: EncodedFile[] = []
  for (const [index, partition] of partitions.entries()) {
    const path = filePath(outFolder, index)
    const file = await writeFile(plan, path, sql.stagedSelect(plan, index), partition, job)
    if (file) files.push(file)
  }
  return files
}

async function partitionValues(
  plan: BatchPlan,
  job: Job,
): Promise<readonly EncodedFile['partition'][]> {
  if (plan.partitions.length === 0) return [{}]
  await runStatement(job, sql.partitionsStatement(plan))
  const rows = await runStatement(job, sql.PARTITION_VALUES)
  if (rows.length > PARTITIONS_MAX) throw tooManyPartitions(plan, rows.length)
  await runStatement(job, sql.numberStatement(plan))
  if (rows.length >= SORTED_PARTITIONS) {
    for (const statement of sql.SORT_STATEMENTS) await runStatement(job, statement)
  }
  return rows.map((row) =>
    Object.fromEntries(
      plan.partitions.map(({ name }, index) => {
        const value = row[index]
        return [name, typeof value === 'string' ? value : null]
      }),
    ),
  )
}

function nothingToStore(): HakiriError {
  return new HakiriError('SCHEMA_INVALID', 'Every column of the table is a partition column', {
    suggestion: 'Leave a column out of partition_by.',
  })
}

function tooManyPartitions(plan: BatchPlan, count: number): HakiriError {
  const names = plan.partitions.map(({ transform, column }) => `${transform}(${column})`).join(', ')
  return new HakiriError(
    'ENCODE_FAILED',
    `One batch falls into ${count} partitions of ${names}, at most ${PARTITIONS_MAX}`,
    { suggestion: 'Partition by something coarser, e.g. month instead of day.' },
  )
}

/** The rows that a rule rejected, as they stand in the input. */
async function rejectedRows(
  input: BatchInput,
  batch: OpenBatch,
  job: Job,
): Promise<readonly RejectedRow[]> {
  const found = await runStatement(job, sql.REJECTED_ROWS)
  const reasons = new Map(found.map(([row, reason]) => [Number(row), String(reason)]))
  if (input.format === 'parquet') return rejectedParquet(reasons, batch, job)
  const bytes = await readFile(batch.path)
  const spans = input.format === 'csv' ? csvRecords(bytes, input.columns.length) : lineSpans(bytes)
  const rejected: RejectedRow[] = []
  let index = 0
  for (const { start, end } of spans) {
    const reason = reasons.get(index++)
    if (reason !== undefined) rejected.push({ reason, raw: rawText(bytes.subarray(start, end)) })
  }
  return rejected
}

async function rejectedParquet(
  reasons: ReadonlyMap<number, string>,
  batch: OpenBatch,
  job: Job,
): Promise<readonly RejectedRow[]> {
  assert(batch.rowTexts, 'a Parquet batch gives its rows as text')
  const rows = await runStatement(job, batch.rowTexts([...reasons.keys()]))
  return rows.map(([row, raw]) => ({
    reason: reasons.get(Number(row)) ?? '',
    raw: rawText(Buffer.from(String(raw))),
  }))
}

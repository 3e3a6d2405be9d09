/**
 * Many files of one table and partition into one, within the engine's memory: keys are compared first,
 * in passes of their own, and rows then stream. Columns are matched by field id, so files of older schema
 * revisions read as null where they lack a column.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SEQUENCE_COLUMN, SEQUENCE_FIELD_ID } from '../plan/batch-plan.ts'
import type { EncodedFile, RewriteJob } from './encoder.ts'
import { finishFile } from './file-stats.ts'
import { runCopy, runStatement } from './job.ts'
import type { Job } from './job.ts'
import { copyStatement, engineType, ident, literal } from './sql-text.ts'

/** Uncompressed bytes of one row group: what the writer holds in memory at once. */
const ROW_GROUP_BYTES = 24_000_000
const ROW_GROUP_ROWS_MAX = 122_880
const ROW_GROUP_ROWS_MIN = 2_048

export async function rewriteFiles(rewrite: RewriteJob, job: Job): Promise<EncodedFile> {
  const columns = fileColumns(rewrite)
  const files = await readFacts(rewrite.inputs, job)
  const flagsPath = job.temporary()
  try {
    const reader = readerOf(rewrite, columns)
    const key = rewrite.mergeKey ?? []
    if (key.length > 0) await writeFlags(flagsPath, await newestRows(reader, key, files, job))
    const list = columns.map(({ name }) => ident(name)).join(', ')
    const rows = key.length > 0 ? flagged(reader, flagsPath) : reader
    const path = join(rewrite.outFolder, 'rewritten.parquet')
    const ids = new Map(columns.map(({ name, id }) => [name, id]))
    const select = `SELECT ${list} FROM ${rows}`
    const written = await runCopy(job, copyStatement(select, path, ids, rowsPerGroup(files)))
    const stored = rewrite.columns.filter(({ name }) => !Object.hasOwn(rewrite.partition, name))
    return await finishFile(job.session, path, written, stored, rewrite.partition)
  } finally {
    await rm(flagsPath, { force: true })
  }
}

type FileColumn = { readonly id: number; readonly name: string; readonly type: string }

/** Columns of the files: the table's, without its partition columns, and the sequence of an upsert. */
function fileColumns({ columns, mergeKey, partition }: RewriteJob): readonly FileColumn[] {
  const stored = columns
    .filter(({ name }) => !Object.hasOwn(partition, name))
    .map(({ id, name, type }) => ({ id, name, type: engineType(type) }))
  return mergeKey
    ? [...stored, { id: SEQUENCE_FIELD_ID, name: SEQUENCE_COLUMN, type: 'BIGINT' }]
    : stored
}

function readerOf({ inputs }: RewriteJob, columns: readonly FileColumn[]): string {
  const files = inputs.map(literal).join(', ')
  const schema = columns
    .map(
      ({ id, name, type }) =>
        `${id}: {'name': ${literal(name)}, 'type': ${literal(type)}, 'default_value': NULL}`,
    )
    .join(', ')
  return `read_parquet([${files}], schema=MAP {${schema}}, file_row_number=true, hive_partitioning=false)`
}

// ── Newest per key ────────────────────────────────────────────────────────────────────────────────

/** Rows whose keys are compared in one pass. */
const PASS_ROWS = 1_000_000
/** Row numbers within a file. */
const PLACE_BITS = 40

const [YES, NO, NEWLINE] = [116, 102, 10]

/**
 * One byte a row, in the order of reading: whether it is the newest of its key. Among equal sequences
 * the last in log order wins. Keys are compared in passes over a part of them each, and a row is known
 * by one number, so that memory does not grow with the files.
 */
async function newestRows(
  reader: string,
  key: readonly string[],
  files: FileFacts,
  job: Job,
): Promise<Uint8Array> {
  const flags = new Uint8Array(files.rows).fill(NO)
  const columns = key.map(ident).join(', ')
  const passes = Math.ceil(files.rows / PASS_ROWS)
  const version = `CAST(coalesce(${ident(SEQUENCE_COLUMN)}, 0) AS HUGEINT) << 64`
  const place = `(CAST(file_index AS HUGEINT) << ${PLACE_BITS}) + file_row_number`
  for (let pass = 0; pass < passes; pass++) {
    job.signal.throwIfAborted()
    const newest =
      `SELECT max((${version}) + ${place}) AS newest FROM ${reader} ` +
      `WHERE hash(${columns}) % ${passes} = ${pass} GROUP BY ${columns}`
    const parts =
      `CAST((newest >> ${PLACE_BITS}) & ${2 ** 24 - 1} AS INTEGER), ` +
      `CAST(newest & ${2 ** PLACE_BITS - 1} AS DOUBLE)`
    await job.session.chunks(`SELECT ${parts} FROM (${newest})`, ([indexes = [], rows = []]) => {
      for (let i = 0; i < rows.length; i++) {
        flags[files.firstRows[Number(indexes[i])]! + Number(rows[i])] = YES
      }
    })
  }
  return flags
}

async function writeFlags(path: string, flags: Uint8Array): Promise<void> {
  const lines = Buffer.alloc(flags.length * 2, NEWLINE)
  for (let i = 0; i < flags.length; i++) lines[2 * i] = flags[i]!
  await writeFile(path, lines)
}

/** Reads flags beside rows: a join by position streams and keeps the order. */
function flagged(reader: string, flagsPath: string): string {
  const flags =
    `read_csv(${literal(flagsPath)}, columns={'#keep': 'BOOLEAN'}, auto_detect=false, ` +
    `header=false, delim=',', new_line='\\n', parallel=false, buffer_size=4194304, ` +
    `max_line_size=1048576)`
  return `(SELECT * FROM ${reader}) POSITIONAL JOIN ${flags} WHERE "#keep"`
}

// ── Facts ─────────────────────────────────────────────────────────────────────────────────────────

type FileFacts = {
  readonly rows: number
  /** For each file, the number of its first row. */
  readonly firstRows: readonly number[]
  readonly uncompressedBytes: number
}

async function readFacts(inputs: readonly string[], job: Job): Promise<FileFacts> {
  const firstRows: number[] = []
  let rows = 0
  let uncompressedBytes = 0
  for (const path of inputs) {
    const [fact] = await runStatement(
      job,
      `SELECT (SELECT num_rows FROM parquet_file_metadata(${literal(path)})), ` +
        `(SELECT CAST(coalesce(sum(total_uncompressed_size), 0) AS BIGINT) FROM parquet_metadata(${literal(path)}))`,
    )
    firstRows.push(rows)
    rows += Number(fact?.[0] ?? 0)
    uncompressedBytes += Number(fact?.[1] ?? 0)
  }
  return { rows, firstRows, uncompressedBytes }
}

function rowsPerGroup({ rows, uncompressedBytes }: FileFacts): number {
  const rowBytes = uncompressedBytes / Math.max(1, rows)
  const fitting = Math.floor(ROW_GROUP_BYTES / Math.max(1, rowBytes))
  return Math.min(ROW_GROUP_ROWS_MAX, Math.max(ROW_GROUP_ROWS_MIN, fitting))
}

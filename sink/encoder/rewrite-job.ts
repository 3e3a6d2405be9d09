/**
 * Many files of one table and partition into one, within the engine's memory: keys are compared in a
 * pass of their own, and rows then stream. Columns are matched by field id, so files of older schema
 * revisions read as null where they lack a column.
 */
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
const KEPT = '"#kept"'

export async function rewriteFiles(rewrite: RewriteJob, job: Job): Promise<EncodedFile> {
  const path = join(rewrite.outFolder, 'rewritten.parquet')
  const columns = fileColumns(rewrite)
  const reader = readerOf(rewrite, columns)
  const list = columns.map(({ name }) => ident(name)).join(', ')
  const key = rewrite.mergeKey ?? []
  if (key.length > 0) await runStatement(job, keepNewest(reader, key))
  const kept = key.length > 0 ? ` WHERE (file_index, file_row_number) IN (FROM ${KEPT})` : ''
  const ids = new Map(columns.map(({ name, id }) => [name, id]))
  const rowGroupRows = await rowsPerGroup(rewrite.inputs, job)
  const copy = copyStatement(`SELECT ${list} FROM ${reader}${kept}`, path, ids, rowGroupRows)
  const rows = await runCopy(job, copy)
  const stored = rewrite.columns.filter(({ name }) => !Object.hasOwn(rewrite.partition, name))
  return finishFile(job.session, path, rows, stored, rewrite.partition)
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

/** Where the newest version of each key is; among equal sequences the last in log order wins. */
function keepNewest(reader: string, key: readonly string[]): string {
  const columns = key.map(ident).join(', ')
  const place = `{'file_index': file_index, 'file_row_number': file_row_number}`
  const order = `{'sequence': ${ident(SEQUENCE_COLUMN)}, 'file': file_index, 'row': file_row_number}`
  return (
    `CREATE OR REPLACE TEMP TABLE ${KEPT} AS SELECT place.file_index, place.file_row_number FROM ` +
    `(SELECT arg_max(${place}, ${order}) AS place FROM ${reader} GROUP BY ${columns})`
  )
}

async function rowsPerGroup(inputs: readonly string[], job: Job): Promise<number> {
  const files = inputs.map(literal).join(', ')
  const [row] = await runStatement(
    job,
    `SELECT CAST(coalesce(sum(total_uncompressed_size), 0) AS BIGINT), (SELECT CAST(coalesce(sum(num_rows), 0) ` +
      `AS BIGINT) FROM parquet_file_metadata([${files}])) FROM parquet_metadata([${files}])`,
  )
  const rowBytes = Number(row?.[0] ?? 0) / Math.max(1, Number(row?.[1] ?? 0))
  const rows = Math.floor(ROW_GROUP_BYTES / Math.max(1, rowBytes))
  return Math.min(ROW_GROUP_ROWS_MAX, Math.max(ROW_GROUP_ROWS_MIN, rows))
}

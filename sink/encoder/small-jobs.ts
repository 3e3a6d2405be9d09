/** The small files: rejected rows for the quarantine table, and checkpoints of a table log. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFile, syncFolder } from '../../lib/system/fs.ts'
import { QUARANTINE_COLUMNS } from '../plan/quarantine-columns.ts'
import type { EncodedFile, RejectRecord } from './encoder.ts'
import { finishFile } from './file-stats.ts'
import { runCopy } from './job.ts'
import type { Job } from './job.ts'
import { copyStatement, literal, ONE_ROW_GROUP } from './sql-text.ts'

/** Writes rejected rows as a file of the quarantine table. */
export async function encodeRejects(
  records: readonly RejectRecord[],
  outFolder: string,
  job: Job,
): Promise<EncodedFile> {
  const rowsPath = job.temporary()
  const path = join(outFolder, 'rejects.parquet')
  await writeFile(rowsPath, records.map(rejectLine).join(''))
  try {
    const ids = new Map(QUARANTINE_COLUMNS.map(({ name, id }) => [name, id]))
    const rows = await runCopy(job, copyStatement(rejectSelect(rowsPath), path, ids, ONE_ROW_GROUP))
    return await finishFile(job.session, path, rows, QUARANTINE_COLUMNS, {})
  } finally {
    await rm(rowsPath, { force: true })
  }
}

function rejectLine(record: RejectRecord): string {
  const row = {
    reason: record.reason.toWellFormed(),
    raw: record.raw.toWellFormed(),
    pipeline: record.pipeline,
    shard: record.shard,
    run_id: record.runId,
    rejected_at: Math.round(record.rejectedAt * 1000),
  }
  return `${JSON.stringify(row)}\n`
}

function rejectSelect(path: string): string {
  const types = QUARANTINE_COLUMNS.map(
    ({ name, type }) => `${literal(name)}: '${type === 'string' ? 'VARCHAR' : 'BIGINT'}'`,
  )
  return (
    `SELECT * REPLACE (make_timestamptz(rejected_at) AS rejected_at) FROM ` +
    `read_json(${literal(path)}, columns={${types.join(', ')}}, format='newline_delimited', ` +
    `auto_detect=false, maximum_object_size=4194304)`
  )
}

// ── Checkpoints ───────────────────────────────────────────────────────────────────────────────────

const MAP = 'MAP(VARCHAR, VARCHAR)'
const FORMAT = `STRUCT(provider VARCHAR, options ${MAP})`

/** Columns of a V1 checkpoint: one action a row, the other columns null. */
const ACTIONS: readonly (readonly [name: string, type: string])[] = [
  ['txn', 'STRUCT(appId VARCHAR, version BIGINT, lastUpdated BIGINT)'],
  [
    'add',
    `STRUCT(path VARCHAR, partitionValues ${MAP}, size BIGINT, modificationTime BIGINT, ` +
      `dataChange BOOLEAN, stats VARCHAR, tags ${MAP})`,
  ],
  [
    'remove',
    `STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, ` +
      `extendedFileMetadata BOOLEAN, partitionValues ${MAP}, size BIGINT)`,
  ],
  [
    'metaData',
    `STRUCT(id VARCHAR, name VARCHAR, description VARCHAR, format ${FORMAT}, ` +
      `schemaString VARCHAR, partitionColumns VARCHAR[], configuration ${MAP}, createdTime BIGINT)`,
  ],
  ['protocol', 'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER)'],
]

/** A metaData action holds the whole schema twice escaped: 2 000 columns are under a megabyte. */
const ACTION_BYTES_MAX = 16 << 20
const CHECKPOINT_GROUP_ROWS = 20_480

/** Writes a checkpoint from NDJSON actions; their maps are JSON objects. */
export async function encodeCheckpoint(
  actionsPath: string,
  outPath: string,
  job: Job,
): Promise<void> {
  const columns = ACTIONS.map(([name, type]) => `'${name}': '${type}'`).join(', ')
  const select =
    `SELECT * FROM read_json(${literal(actionsPath)}, columns={${columns}}, ` +
    `format='newline_delimited', auto_detect=false, maximum_object_size=${ACTION_BYTES_MAX})`
  await runCopy(job, copyStatement(select, outPath, undefined, CHECKPOINT_GROUP_ROWS))
  await syncFile(outPath)
  await syncFolder(join(outPath, '..'))
}

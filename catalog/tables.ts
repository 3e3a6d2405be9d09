/** Tables and their schemas: who wins when two workers declare or change the same one. */
import { createHash } from 'node:crypto'
import type { Column } from '../lib/column.ts'
import { HakiriError } from '../lib/error.ts'
import { type Json, stableStringify } from '../lib/json.ts'
import type { Catalog, NewTable, SchemaDecision, SchemaRevision, TableRow } from './catalog.ts'
import {
  type CatalogDeps,
  type Engine,
  jsonOf,
  numberOf,
  numberOrNull,
  type Row,
  type RowLock,
  type Sql,
  textOf,
} from './sql.ts'

type TableMethods = Pick<
  Catalog,
  | 'ensureTable'
  | 'table'
  | 'tables'
  | 'evolveSchema'
  | 'schemaRevisions'
  | 'requestDecision'
  | 'decisions'
  | 'decide'
>

export function tableMethods(engine: Engine, deps: CatalogDeps): TableMethods {
  return {
    ensureTable: (table) => engine.write((sql) => ensureTable(sql, deps, table)),
    table: (name) =>
      engine.read(async (sql) => {
        const row = await findTable(sql, name)
        return row && toTable(row)
      }),
    tables: () =>
      engine.read(async (sql) =>
        (await sql.rows('select * from data_table order by name')).map(toTable),
      ),
    evolveSchema: (table, base, columns, changes, runId) =>
      engine.write((sql) => evolveSchema(sql, deps, table, base, columns, changes, runId)),
    schemaRevisions: (table) =>
      engine.read(async (sql) => {
        const where = table === undefined ? '' : 'where table_name = ?'
        const text = `select * from schema_revision ${where} order by table_name, revision`
        return (await sql.rows(text, ...(table === undefined ? [] : [table]))).map(toRevision)
      }),
    requestDecision: (table, pipeline, change) =>
      engine.write((sql) => requestDecision(sql, deps, table, pipeline, change)),
    decisions: (status) =>
      engine.read(async (sql) => {
        const where = status === undefined ? '' : 'where status = ?'
        const text = `select * from schema_decision ${where} order by id`
        return (await sql.rows(text, ...(status === undefined ? [] : [status]))).map(toDecision)
      }),
    decide: (id, status) =>
      engine.write(async (sql) => {
        const text = 'update schema_decision set status = ? where id = ? returning *'
        const [row] = await sql.rows(text, status, id)
        return row && toDecision(row)
      }),
  }
}

/** The stored row of a table, with the columns that the port does not show. */
export async function findTable(sql: Sql, name: string, lock?: RowLock): Promise<Row | undefined> {
  const clause = lock ? sql.lock(lock) : ''
  const [row] = await sql.rows(`select * from data_table where name = ? ${clause}`, name)
  return row
}

export async function needTable(sql: Sql, name: string, lock?: RowLock): Promise<Row> {
  const row = await findTable(sql, name, lock)
  if (!row) throw new HakiriError('NOT_FOUND', `the catalog has no table "${name}"`)
  return row
}

export function toTable(row: Row): TableRow {
  return {
    name: textOf(row, 'name'),
    uuid: textOf(row, 'uuid'),
    destination: textOf(row, 'destination'),
    mode: textOf(row, 'mode') as TableRow['mode'],
    key: jsonOf<readonly string[]>(row, 'key_columns'),
    partitionBy: jsonOf<readonly string[]>(row, 'partition_by'),
    generation: numberOf(row, 'generation'),
    staging: numberOrNull(row, 'staging'),
    schemaRevision: numberOf(row, 'schema_revision'),
    columns: jsonOf<readonly Column[]>(row, 'columns'),
    nextVersion: numberOf(row, 'next_version'),
    publishEpoch: numberOf(row, 'publish_epoch'),
  }
}

async function ensureTable(sql: Sql, deps: CatalogDeps, table: NewTable): Promise<TableRow> {
  const key = JSON.stringify(table.key)
  const partitionBy = JSON.stringify(table.partitionBy)
  await sql.run(
    `insert into data_table (name, uuid, destination, mode, key_columns, partition_by, generation,
       generation_max, schema_revision, columns, next_version, publish_epoch, created_at)
     values (?, ?, ?, ?, ?, ?, 1, 1, 0, '[]', 0, 0, ?) on conflict (name) do nothing`,
    table.name,
    deps.random.uuid(),
    table.destination,
    table.mode,
    key,
    partitionBy,
    deps.clock.now(),
  )
  // Excludes commits while we look for files: the change must not meet a first file on its way.
  const row = await needTable(sql, table.name, 'update')
  const [file] = await sql.rows('select 1 from table_file where table_name = ? limit 1', table.name)
  if (file || numberOf(row, 'next_version') > 0) return toTable(row)
  const [updated] = await sql.rows(
    'update data_table set mode = ?, key_columns = ?, partition_by = ? where name = ? returning *',
    table.mode,
    key,
    partitionBy,
    table.name,
  )
  return toTable(updated!)
}

async function evolveSchema(
  sql: Sql,
  deps: CatalogDeps,
  table: string,
  base: number,
  columns: readonly Column[],
  changes: readonly string[],
  runId: number | null,
): Promise<{ readonly kind: 'evolved' | 'conflict'; readonly table: TableRow }> {
  const [row] = await sql.rows(
    `update data_table set schema_revision = schema_revision + 1, columns = ?
     where name = ? and schema_revision = ? returning *`,
    JSON.stringify(columns),
    table,
    base,
  )
  if (!row) return { kind: 'conflict', table: toTable(await needTable(sql, table)) }
  await sql.run(
    `insert into schema_revision (table_name, revision, columns, changes, run_id, created_at)
     values (?, ?, ?, ?, ?, ?)`,
    table,
    base + 1,
    JSON.stringify(columns),
    JSON.stringify(changes),
    runId,
    deps.clock.now(),
  )
  return { kind: 'evolved', table: toTable(row) }
}

function toRevision(row: Row): SchemaRevision {
  return {
    table: textOf(row, 'table_name'),
    revision: numberOf(row, 'revision'),
    columns: jsonOf<readonly Column[]>(row, 'columns'),
    changes: jsonOf<readonly string[]>(row, 'changes'),
    runId: numberOrNull(row, 'run_id'),
    createdAt: numberOf(row, 'created_at'),
  }
}

async function requestDecision(
  sql: Sql,
  deps: CatalogDeps,
  table: string,
  pipeline: string,
  change: Json,
): Promise<SchemaDecision> {
  const text = stableStringify(change)
  const hash = createHash('sha256').update(text).digest('hex')
  await sql.run(
    `insert into schema_decision (table_name, pipeline, change, change_hash, status, created_at)
     values (?, ?, ?, ?, 'pending', ?) on conflict (table_name, pipeline, change_hash) do nothing`,
    table,
    pipeline,
    text,
    hash,
    deps.clock.now(),
  )
  const [row] = await sql.rows(
    'select * from schema_decision where table_name = ? and pipeline = ? and change_hash = ?',
    table,
    pipeline,
    hash,
  )
  return toDecision(row!)
}

function toDecision(row: Row): SchemaDecision {
  return {
    id: numberOf(row, 'id'),
    table: textOf(row, 'table_name'),
    pipeline: textOf(row, 'pipeline'),
    change: jsonOf(row, 'change'),
    status: textOf(row, 'status') as SchemaDecision['status'],
    createdAt: numberOf(row, 'created_at'),
  }
}

/** Rules of the Delta linter about data files: sizes, row groups, Parquet types and statistics. */
import type { RowGroup } from 'hyparquet'
import { openParquet } from './delta-parquet.ts'
import type { ParquetFile } from './delta-parquet.ts'
import { decodePath, parseSchema, readDataFile } from './delta-reader.ts'
import type { AddFile, LogState, Metadata, TableSource } from './delta-reader.ts'
import { compareValues, decimalOf, parseExactJson, parseText } from './delta-values.ts'
import type { DeltaField, Value } from './delta-values.ts'

type Report = (problem: string) => void

/** Checks every live file and returns the number of rows they hold. */
export async function lintDataFiles(
  source: TableSource,
  state: LogState,
  objects: ReadonlyMap<string, number>,
  withValues: boolean,
  report: Report,
): Promise<number> {
  if (!state.metadata) return 0
  const schema = soundSchema(state.metadata)
  if (!schema) return 0
  const fieldIds = new Map<string, number>()
  let rows = 0
  for (const [path, add] of state.files) {
    const here: Report = (problem) => report(`file ${path}: ${problem}`)
    const bytes = objects.get(path)
    if (bytes === undefined) here('is live but missing')
    else if (bytes !== add.size) here(`size is ${add.size} in the log, ${bytes} in the store`)
    if (!(add.modificationTime > 0)) here(`modificationTime is ${add.modificationTime}`)
    if (add.deletionVector) here('has a deletion vector')
    if (bytes === undefined) continue
    try {
      rows += await lintDataFile(source, state.metadata, schema, add, fieldIds, withValues, here)
    } catch (error) {
      here(`cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return rows
}

function soundSchema(metadata: Metadata): readonly DeltaField[] | undefined {
  try {
    return parseSchema(metadata.schemaString)
  } catch {
    return undefined
  }
}

async function lintDataFile(
  source: TableSource,
  metadata: Metadata,
  schema: readonly DeltaField[],
  add: AddFile,
  fieldIds: Map<string, number>,
  withValues: boolean,
  here: Report,
): Promise<number> {
  const file = await openParquet((await source.get(decodePath(add.path))) ?? new Uint8Array())
  lintRowGroups(file, here)
  lintPhysicalTypes(file, metadata, schema, here)
  lintFieldIds(file, fieldIds, here)
  const stats = statsOf(add, here)
  if (!stats) return file.rows
  if (stats.numRecords?.number !== String(file.rows))
    here(`numRecords is ${stats.numRecords?.number ?? 'absent'}, the file has ${file.rows} rows`)
  lintStatsNames(stats, metadata, schema, here)
  if (!withValues) return file.rows
  const values = await readDataFile(source, metadata, schema, add)
  for (const field of schema)
    if (!metadata.partitionColumns.includes(field.name))
      lintColumnStats(stats, field, values.columns.get(field.name) ?? [], here)
  return file.rows
}

// ── Parquet shape ─────────────────────────────────────────────────────────────────────────────────

/** A reader opens each row group for itself: files cut into scraps are slow in every engine. */
const GROUP_ROWS_MIN = 2_048

/**
 * Files may have any number of row groups, and large ones should. Readers that leave some out, or start
 * in the middle, count on what the footer says of each.
 */
function lintRowGroups(file: ParquetFile, here: Report): void {
  const groups = file.metadata.row_groups
  if (groups.length === 0) here('has no row group')
  const rows = groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
  if (rows !== file.rows) here(`row groups hold ${rows} rows, the file ${file.rows}`)
  groups.forEach((group, index) => {
    const inGroup: Report = (problem) => here(`row group ${index + 1} ${problem}`)
    lintRowGroup(group, index === groups.length - 1, inGroup)
  })
}

function lintRowGroup(group: RowGroup, isLast: boolean, here: Report): void {
  const rows = Number(group.num_rows)
  if (rows === 0) here('is empty')
  else if (rows < GROUP_ROWS_MIN && !isLast) here(`has only ${rows} rows and is not the last`)
  for (const { meta_data: chunk } of group.columns)
    if (chunk && Number(chunk.num_values) < rows)
      here(`has ${rows} rows, but ${chunk.num_values} values of ${chunk.path_in_schema.join('.')}`)
}

function lintPhysicalTypes(
  file: ParquetFile,
  metadata: Metadata,
  schema: readonly DeltaField[],
  here: Report,
): void {
  for (const column of file.columns) {
    const field = schema.find((candidate) => candidate.name === column.name)
    if (!field) here(`has column ${column.name}, which the schema lacks`)
    else if (metadata.partitionColumns.includes(column.name))
      here(`stores the partition column ${column.name}`)
    else if (typeof field.type === 'string') {
      const found = physicalName(column)
      const allowed = physicalNames(field.type)
      if (!allowed.includes(found))
        here(`column ${field.name} (${field.type}) is stored as ${found}, not ${allowed[0]}`)
    }
  }
}

function physicalName(column: ParquetFile['columns'][number]): string {
  const { type, logical_type: logical, converted_type: converted } = column
  const base = type ?? 'a group'
  if (!logical) return converted === undefined ? base : `${base} ${convertedName(column)}`
  if (logical.type === 'TIMESTAMP')
    return `${base} TIMESTAMP ${logical.unit} ${logical.isAdjustedToUTC ? 'UTC' : 'local'}`
  if (logical.type === 'DECIMAL') return `${base} DECIMAL(${logical.precision},${logical.scale})`
  if (logical.type === 'INTEGER')
    return `${base} ${logical.isSigned ? 'INT' : 'UINT'}_${logical.bitWidth}`
  return `${base} ${logical.type === 'STRING' ? 'UTF8' : logical.type}`
}

function convertedName(column: ParquetFile['columns'][number]): string {
  const { converted_type: converted, precision = 0, scale = 0 } = column
  if (converted === 'DECIMAL') return `DECIMAL(${precision},${scale})`
  return converted === 'TIMESTAMP_MICROS' ? 'TIMESTAMP MICROS UTC' : String(converted)
}

/** The stored forms that every engine accepts for a type, the usual one first. */
function physicalNames(type: string): readonly string[] {
  const decimal = decimalOf(type)
  if (decimal) {
    const { precision, scale } = decimal
    const base = precision <= 9 ? 'INT32' : precision <= 18 ? 'INT64' : 'FIXED_LEN_BYTE_ARRAY'
    return [base, 'FIXED_LEN_BYTE_ARRAY'].map(
      (stored) => `${stored} DECIMAL(${precision},${scale})`,
    )
  }
  return PHYSICAL[type] ?? []
}

const PHYSICAL: { readonly [type: string]: readonly string[] } = {
  boolean: ['BOOLEAN'],
  byte: ['INT32 INT_8'],
  short: ['INT32 INT_16'],
  integer: ['INT32', 'INT32 INT_32'],
  long: ['INT64', 'INT64 INT_64'],
  float: ['FLOAT'],
  double: ['DOUBLE'],
  string: ['BYTE_ARRAY UTF8'],
  binary: ['BYTE_ARRAY'],
  date: ['INT32 DATE'],
  timestamp: ['INT64 TIMESTAMP MICROS UTC'],
}

/** A column keeps its id from file to file, and no two share one. */
function lintFieldIds(file: ParquetFile, known: Map<string, number>, here: Report): void {
  const inFile = new Map<number, string>()
  for (const { name, field_id: id } of file.columns) {
    if (id === undefined) {
      here(`column ${name} has no field id`)
      continue
    }
    const other = inFile.get(id)
    if (other !== undefined) here(`columns ${other} and ${name} share the field id ${id}`)
    inFile.set(id, name)
    const before = known.get(name)
    if (before !== undefined && before !== id)
      here(`column ${name} has the field id ${id}, in another file ${before}`)
    known.set(name, id)
  }
}

// ── Statistics ────────────────────────────────────────────────────────────────────────────────────

/** Numbers keep their text, see parseExactJson. */
type ExactNumber = { readonly number: string }
type Bounds = { readonly [column: string]: unknown }
type Stats = {
  readonly numRecords?: ExactNumber
  readonly minValues?: Bounds
  readonly maxValues?: Bounds
  readonly nullCount?: Bounds
}

function statsOf(add: AddFile, here: Report): Stats | undefined {
  if (typeof add.stats !== 'string') {
    here('has no statistics')
    return undefined
  }
  try {
    const stats = parseExactJson(add.stats)
    if (typeof stats === 'object' && stats !== null) return stats
  } catch {
    // Reported below, as is a value that is no object.
  }
  here('statistics are not a JSON object')
  return undefined
}

function lintStatsNames(
  stats: Stats,
  metadata: Metadata,
  schema: readonly DeltaField[],
  here: Report,
): void {
  for (const kind of ['minValues', 'maxValues', 'nullCount'] as const)
    for (const name of Object.keys(stats[kind] ?? {})) {
      if (metadata.partitionColumns.includes(name)) here(`${kind} has the partition column ${name}`)
      if (!schema.some((field) => field.name === name))
        here(`${kind} has ${name}, which the schema lacks`)
    }
}

function lintColumnStats(
  stats: Stats,
  field: DeltaField,
  values: readonly Value[],
  here: Report,
): void {
  const nulls = values.filter((value) => value === null).length
  const said = (stats.nullCount?.[field.name] as ExactNumber | undefined)?.number
  if (said !== undefined && said !== String(nulls))
    here(`nullCount of ${field.name} is ${said}, the file has ${nulls}`)
  lintBound('minValues', stats.minValues?.[field.name], field, values, here)
  lintBound('maxValues', stats.maxValues?.[field.name], field, values, here)
}

function lintBound(
  kind: 'minValues' | 'maxValues',
  bound: unknown,
  field: DeltaField,
  values: readonly Value[],
  here: Report,
): void {
  if (bound === undefined || bound === null) return
  const { name, type } = field
  if (typeof type !== 'string' || type === 'binary')
    return here(`${kind} of ${name}: ${JSON.stringify(type)} has no bounds`)
  const limit = boundValue(type, bound)
  if (limit === undefined)
    return here(`${kind} of ${name} is ${JSON.stringify(bound)}, not a ${type}`)
  const side = kind === 'minValues' ? -1 : 1
  // In the order of most engines NaN is above every number: no maximum can bound it.
  const outside = values.find(
    (value) =>
      value !== null &&
      (Number.isNaN(value) ? side > 0 : side * compareValues(type, value, limit) > 0),
  )
  if (outside !== undefined)
    here(`${kind} of ${name} is ${show(limit)}, but the file holds ${show(outside)}`)
}

function show(value: Value): string {
  return typeof value === 'string' ? JSON.stringify(value) : `${value as number}`
}

const TEXT_BOUNDS = new Set(['string', 'date', 'timestamp'])

/** A bound as a value; undefined when its JSON form is not the one for the type. */
function boundValue(type: string, bound: unknown): Value | undefined {
  const isNumber = typeof bound === 'object' && bound !== null && 'number' in bound
  const text = isNumber ? String(bound.number) : String(bound)
  const expected = type === 'boolean' ? 'boolean' : TEXT_BOUNDS.has(type) ? 'string' : 'object'
  if (typeof bound !== expected) return undefined
  try {
    return parseText(type, text)
  } catch {
    return undefined
  }
}

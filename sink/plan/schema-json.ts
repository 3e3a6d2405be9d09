/**
 * Columns as the log's schemaString and back. What Hakiri knows of a column beyond name and type goes
 * into the field's metadata, so that a log alone gives the columns back exactly.
 */
import type { TableMode } from '../../catalog/catalog.ts'
import type { Column, Semantic } from '../../lib/column.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import { SEQUENCE_COLUMN, SEQUENCE_FIELD_ID } from './batch-plan.ts'
import { isObject } from './json-shape.ts'
import { parseColumnType } from './types.ts'

const SEMANTICS: readonly string[] = [
  'json',
  'uuid',
  'time',
  'interval',
  'text',
  'local-timestamp',
] satisfies readonly Semantic[]

/** The schemaString of a table; an upsert table ends in the column that orders versions of a row. */
export function schemaString(columns: readonly Column[], mode: TableMode): string {
  const fields = columns.map((column) => field(column.name, column.type, columnMetadata(column)))
  if (mode === 'upsert') {
    fields.push(field(SEQUENCE_COLUMN, 'long', { 'hakiri.id': SEQUENCE_FIELD_ID }))
  }
  return stableStringify({ type: 'struct', fields })
}

/**
 * The columns that a schemaString names, without the sequence column. Undefined when it is not a schema
 * of plain columns. Fields that Hakiri did not write get their place as id and their name as source.
 */
export function columnsOf(text: string): readonly Column[] | undefined {
  const schema = parse(text)
  const fields = isObject(schema) ? schema['fields'] : undefined
  if (!Array.isArray(fields)) return undefined
  const columns: Column[] = []
  for (const [index, item] of (fields as readonly Json[]).entries()) {
    const column = columnOf(item, index + 1)
    if (!column) return undefined
    if (column.name !== SEQUENCE_COLUMN) columns.push(column)
  }
  return columns
}

function field(name: string, type: string, metadata: { readonly [key: string]: Json }): Json {
  return { name, type, nullable: true, metadata }
}

function columnMetadata(column: Column): { readonly [key: string]: Json } {
  return {
    'hakiri.id': column.id,
    'hakiri.source': column.source,
    'hakiri.sourceType': column.sourceType,
    ...(column.semantic === undefined ? {} : { 'hakiri.semantic': column.semantic }),
    ...(column.role === undefined ? {} : { 'hakiri.role': column.role }),
  }
}

function columnOf(item: Json, place: number): Column | undefined {
  if (!isObject(item)) return undefined
  const { name, type } = item
  const columnType = typeof type === 'string' ? parseColumnType(type) : undefined
  if (typeof name !== 'string' || columnType === undefined) return undefined
  const metadata = isObject(item['metadata']) ? item['metadata'] : {}
  const id = metadata['hakiri.id']
  const semantic = semanticOf(metadata['hakiri.semantic'])
  const role = metadata['hakiri.role']
  return {
    id: typeof id === 'number' ? id : place,
    name,
    type: columnType,
    source: textOr(metadata['hakiri.source'], name),
    sourceType: textOr(metadata['hakiri.sourceType'], columnType),
    ...(semantic === undefined ? {} : { semantic }),
    ...(role === 'variant' || role === 'partition' ? { role } : {}),
  }
}

function semanticOf(value: Json | undefined): Semantic | undefined {
  return typeof value === 'string' && SEMANTICS.includes(value) ? (value as Semantic) : undefined
}

const textOr = (value: Json | undefined, otherwise: string): string =>
  typeof value === 'string' ? value : otherwise

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

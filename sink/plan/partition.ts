/**
 * Partition columns: an identity partition is a column of the table itself, kept in the folder and the
 * log instead of the files; the others are columns that Hakiri derives from a date or a timestamp.
 */
import { unreachable } from '../../lib/assert.ts'
import type { Column, ColumnType } from '../../lib/column.ts'
import type { PartitionField, PartitionTransform } from '../../lib/policy.ts'
import type { PartitionOutput } from './batch-plan.ts'
import { failed, type Failed } from './failure.ts'
import { free } from './names.ts'

export type Partitioned = {
  readonly kind: 'partitioned'
  readonly columns: readonly Column[]
  readonly partitions: readonly PartitionOutput[]
  readonly changes: readonly string[]
}

/** The type of a derived partition column; undefined when `type` cannot be partitioned that way. */
export function partitionType(
  transform: PartitionTransform,
  type: ColumnType,
): ColumnType | undefined {
  const isTime = type === 'timestamp' || (type === 'date' && transform !== 'hour')
  switch (transform) {
    case 'identity':
      return isIdentityType(type) ? type : undefined
    case 'year':
      return isTime ? 'integer' : undefined
    case 'month':
    case 'hour':
      return isTime ? 'string' : undefined
    case 'day':
      return isTime ? 'date' : undefined
    default:
      return unreachable(transform)
  }
}

/** Adds the derived columns that the table does not have yet. `field.column` is a source or table name. */
export function addPartitions(
  table: string,
  columns: readonly Column[],
  fields: readonly PartitionField[],
): Partitioned | Failed {
  let all = columns
  const partitions: PartitionOutput[] = []
  const changes: string[] = []
  for (const field of fields) {
    const base = findBase(columns, field.column)
    if (!base) return missingColumn(table, field)
    const type = partitionType(field.transform, base.type)
    if (type === undefined) return wrongType(table, field, base)
    const column = field.transform === 'identity' ? base : derivedColumn(all, field, base, type)
    if (!all.includes(column)) {
      all = [...all, column]
      changes.push(`added partition column ${column.name} (${column.type})`)
    }
    partitions.push({ name: column.name, transform: field.transform, column: base.name })
  }
  return { kind: 'partitioned', columns: all, partitions, changes }
}

function findBase(columns: readonly Column[], name: string): Column | undefined {
  const own = columns.filter((column) => column.role === undefined)
  return own.find((column) => column.source === name) ?? own.find((column) => column.name === name)
}

function derivedColumn(
  columns: readonly Column[],
  field: PartitionField,
  base: Column,
  type: ColumnType,
): Column {
  const sourceType = `${field.transform}(${base.name})`
  const present = columns.find(
    (column) => column.role === 'partition' && column.sourceType === sourceType,
  )
  if (present) return present
  const taken = new Set(columns.map((column) => column.name))
  const id = columns.reduce((highest, column) => Math.max(highest, column.id), 0) + 1
  const name = free(`${base.name}_${field.transform}`, taken)
  return { id, name, type, source: base.source, sourceType, role: 'partition' }
}

/** Types whose text in the log every reader reads back as the same value. */
function isIdentityType(type: ColumnType): boolean {
  return ['boolean', 'short', 'integer', 'long', 'string', 'date'].includes(type)
}

function missingColumn(table: string, field: PartitionField): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table}: partition_by names ${field.column}, which the source does not have or has only nulls in`,
    `Correct partition_by, or say what the column is: types = { ${field.column} = "timestamp" }.`,
  )
}

function wrongType(table: string, field: PartitionField, base: Column): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table}: ${field.column} is ${base.type}, which cannot be partitioned by ${field.transform}`,
    field.transform === 'identity'
      ? 'Partition by a boolean, whole number, string or date, or by day(column) of a timestamp.'
      : 'Partition a timestamp by year, month, day or hour, a date by year, month or day.',
  )
}

/** Pieces of the statements that read rows. Pure; every column is spelled s."name". */
import { quoteName, quoteText } from './names.ts'
import {
  fromItem,
  orderIdentity,
  type Relation,
  type RelationColumn,
  type RelationKind,
} from './relation.ts'
import { isFloat, isNumeric, isTime, selectExpression } from './types.ts'
import type { Position } from './cursor.ts'

/** A stored text as a value of the column's type. */
export function valueOf(column: RelationColumn, text: string): string {
  return `${quoteText(text)}::${column.type.cast}`
}

export function columnOf(column: RelationColumn): string {
  return `s.${quoteName(column.name)}`
}

/** Row-wise comparison with a position in the same order. */
export function compare(
  order: readonly RelationColumn[],
  operator: '>' | '<=',
  values: readonly string[],
): string {
  const left = order.map((column) => columnOf(column)).join(', ')
  const right = order.map((column, index) => valueOf(column, values[index]!)).join(', ')
  return order.length === 1 ? `${left} ${operator} ${right}` : `(${left}) ${operator} (${right})`
}

export type Select = {
  readonly relation: Relation
  readonly columns: readonly RelationColumn[]
  readonly where: readonly string[]
  readonly order: readonly RelationColumn[]
  /** Settles the order of rows that are equal in `order`, where the place of a row is known. */
  readonly byPlace?: boolean
}

/** Where a row lies, by kind of relation; unchanged as long as the row is. */
const PLACES: Readonly<Record<RelationKind, readonly string[]>> = {
  table: ['s.ctid'],
  matview: ['s.ctid'],
  partitioned: ['s.tableoid', 's.ctid'],
  view: [],
  foreign: [],
}

/** The rows as CSV on the wire. `encoding` only where the server cannot vouch for UTF-8. */
export function copySql(select: Select, encoding: string | undefined): string {
  const list = select.columns.map((column) => selectExpression(column.name, column.type)).join(', ')
  const places = select.byPlace ? PLACES[select.relation.kind] : []
  const order = [...select.order.map((column) => columnOf(column)), ...places].join(', ')
  const query = `SELECT ${list} ${fromWhere(select)}${order ? ` ORDER BY ${order}` : ''}`
  const options = encoding ? `FORMAT csv, ENCODING ${quoteText(encoding)}` : 'FORMAT csv'
  return `COPY (${query}) TO STDOUT (${options})`
}

/** The largest value of a column among the selected rows, as text in column "value". */
export function largestSql(
  select: Pick<Select, 'relation' | 'where'>,
  column: RelationColumn,
): string {
  return `SELECT ${columnOf(column)}::text AS value ${fromWhere(select)} ORDER BY ${columnOf(column)} DESC LIMIT 1`
}

/**
 * The condition under which a value has a place in the order of a cursor column: not null, not
 * infinite, not NaN. Undefined when that holds for every row.
 */
export function placed(column: RelationColumn, version: number): string | undefined {
  const name = columnOf(column)
  const known = column.notNull ? [] : [`${name} IS NOT NULL`]
  const { cast } = column.type
  if (isTime(column.type) || isFloat(column.type)) {
    known.push(`${name} > '-infinity'::${cast}`, `${name} < 'infinity'::${cast}`)
  } else if (isNumeric(column.type)) {
    const least = version >= 14 ? [`${name} > '-infinity'::${cast}`] : []
    known.push(...least, `${name} < '${version >= 14 ? 'infinity' : 'NaN'}'::${cast}`)
  }
  return known.length > 0 ? known.join(' AND ') : undefined
}

export function positionIn(order: readonly RelationColumn[], values: readonly string[]): Position {
  return {
    columns: order.map((column) => column.name),
    types: order.map((column) => orderIdentity(column)),
    values,
  }
}

function fromWhere(select: Pick<Select, 'relation' | 'where'>): string {
  const where = select.where.map((condition) => `(${condition})`).join(' AND ')
  return `FROM ${fromItem(select.relation)}${where ? ` WHERE ${where}` : ''}`
}

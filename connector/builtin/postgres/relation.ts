/**
 * What a server's catalog says about tables, as plain data, and what follows from it alone: which
 * columns are read, and which key orders the rows. Pure.
 */
import type { SourceColumn } from '../../../lib/column.ts'
import type { TableName } from './errors.ts'
import { quoteName, tableLabel } from './names.ts'
import { printsCanonically, toSourceColumn, type PostgresType } from './types.ts'

export type RelationKind = 'table' | 'partitioned' | 'view' | 'matview' | 'foreign'

export type RelationColumn = {
  readonly name: string
  readonly type: PostgresType
  readonly notNull: boolean
  /** False for a collation that finds different texts equal. */
  readonly deterministic: boolean
  /** Collation when it is not the database's own, else "". */
  readonly collation: string
  /** Schema of the operators that order the type, e.g. that of an extension. */
  readonly operatorSchema: string
  /** The user may read it. */
  readonly readable: boolean
}

/** Columns of a unique index without holes: no predicate, no expression. */
type UniqueKey = {
  readonly primary: boolean
  readonly columns: readonly string[]
  /** Every index column uses the collation of its table column. */
  readonly sameCollation: boolean
}

export type Relation = TableName & {
  readonly kind: RelationKind
  readonly columns: readonly RelationColumn[]
  readonly uniqueKeys: readonly UniqueKey[]
  readonly rowsEstimate: number | null
  readonly schemaReadable: boolean
  /** Policies decide which rows the user sees. */
  readonly rowSecurity: boolean
  /** Other tables inherit from this plain table. */
  readonly hasChildren: boolean
}

export function relationLabel(relation: TableName): string {
  return tableLabel(relation.schema, relation.name)
}

/**
 * The FROM item, alias s. ONLY for a plain table: rows of inheriting tables are read with those
 * tables, so each row is read once.
 */
export function fromItem(relation: Relation): string {
  const only = relation.kind === 'table' ? 'ONLY ' : ''
  return `${only}${quoteName(relation.schema)}.${quoteName(relation.name)} AS s`
}

/** Columns that are read, in the table's order. */
export function readColumns(
  relation: Relation,
  exclude: readonly string[],
): readonly RelationColumn[] {
  return relation.columns.filter((column) => !exclude.includes(column.name))
}

export function announce(columns: readonly RelationColumn[]): readonly SourceColumn[] {
  return columns.map((column) => toSourceColumn(column.name, column.type))
}

/**
 * The key that a resumable read goes by: the primary key, else the smallest unique key, of columns
 * that are read, are never null, and whose printed text leads back to the same place in the order.
 */
export function readingKey(
  relation: Relation,
  exclude: readonly string[],
): readonly RelationColumn[] | undefined {
  const byName = new Map(readColumns(relation, exclude).map((column) => [column.name, column]))
  const usable = relation.uniqueKeys.flatMap((key) => {
    const columns = key.columns.flatMap((name) => byName.get(name) ?? [])
    const complete = columns.length === key.columns.length && columns.length > 0
    const orderable = columns.every((column) => column.notNull && !column.type.array)
    const unique = key.sameCollation || columns.every((column) => column.deterministic)
    return complete && orderable && unique ? [{ primary: key.primary, columns }] : []
  })
  const ranked = usable.toSorted(
    (a, b) => Number(b.primary) - Number(a.primary) || a.columns.length - b.columns.length,
  )
  return ranked[0]?.columns
}

/** True when equal values of the column always print as equal text. */
export function isCanonical(column: RelationColumn): boolean {
  return column.deterministic && printsCanonically(column.type)
}

/** What the order of a column depends on; a cursor made under another order does not hold. */
export function orderIdentity(column: RelationColumn): string {
  const type = /^(smallint|integer|bigint)$/.test(column.type.cast) ? 'integer' : column.type.cast
  return column.collation === '' ? type : `${type} collate ${column.collation}`
}

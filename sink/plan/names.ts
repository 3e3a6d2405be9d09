/**
 * What things are called: tables, columns, folders, objects. Every name here is built from
 * [A-Za-z0-9._=/-] alone; only the values of partitions (data-path.ts) need more.
 *
 * A column keeps its name for ever, found again by the exact source name; names are unique ignoring
 * case because all of them are lower case.
 */
import type { Column } from '../../lib/column.ts'
import { identifier, numbered, RESERVED_PREFIX, shorten } from './identifier.ts'

export { dataFilePath, isDataPath } from './data-path.ts'
export { NAME_LENGTH_MAX, RESERVED_PREFIX } from './identifier.ts'

export type ColumnNames =
  | { readonly kind: 'named'; readonly names: ReadonlyMap<string, string> }
  /** A source column whose name would be one of Hakiri's own. */
  | { readonly kind: 'reserved'; readonly source: string }

/**
 * A name for each source column. Known ones keep theirs; among new ones that want the same name
 * (`Id` and `id`, `a b` and `a_b`) the one already spelled that way wins, the others are numbered
 * (`id_2`) in the order of their source names, whatever order they arrive in.
 */
export function columnNames(sources: readonly string[], existing: readonly Column[]): ColumnNames {
  const known = new Map(
    existing
      .filter((column) => column.role === undefined)
      .map((column) => [column.source, column.name]),
  )
  const fresh = [...new Set(sources)].filter((source) => !known.has(source))
  const reserved = fresh.find((source) => isReserved(identifier(source, 'column')))
  if (reserved !== undefined) return { kind: 'reserved', source: reserved }
  const taken = new Set(existing.map((column) => column.name))
  const chosen = assign(fresh, taken, (source) => identifier(source, 'column'))
  const names = new Map<string, string>()
  for (const source of sources) names.set(source, known.get(source) ?? chosen.get(source)!)
  return { kind: 'named', names }
}

/** The column that holds, as text, what does not fit `name`. */
export function variantName(name: string, taken: ReadonlySet<string>): string {
  return free(shorten(`${name}__string`, `${name}__string`), taken)
}

/** `name`, or the first of `name_2`, `name_3` … that is not taken. */
export function free(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name
  for (let number = 2; ; number++) {
    const candidate = numbered(name, number)
    if (!taken.has(candidate)) return candidate
  }
}

/** "public.orders" of pipeline shop → "shop.orders"; another schema stays: "shop.sales_orders". */
export function tableName(pipeline: string, sourceTable: string): string {
  return `${pipelinePart(pipeline)}.${identifier(withoutDefaultSchema(sourceTable), 'table')}`
}

/**
 * Table names of a whole source. Where two source tables want one name, those in `existing` keep
 * theirs, the one already spelled that way wins over the rest, and the rest are numbered.
 */
export function tableNames(
  pipeline: string,
  sourceTables: readonly string[],
  existing: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const prefix = `${pipelinePart(pipeline)}.`
  const taken = new Set([...existing.values()].map((name) => name.slice(prefix.length)))
  const fresh = [...new Set(sourceTables)].filter((source) => !existing.has(source))
  const chosen = assign(fresh, taken, (source) => identifier(withoutDefaultSchema(source), 'table'))
  return new Map(
    sourceTables.map((source) => [source, existing.get(source) ?? prefix + chosen.get(source)!]),
  )
}

/** "shop.orders" → "shop/orders", the table's folder under the destination. */
export function tableFolder(table: string): string {
  return table.replaceAll('.', '/')
}

/** Where rejected rows of a table go: "_quarantine.shop.orders", in "_quarantine/shop/orders". */
export function quarantineTable(table: string): string {
  return `${QUARANTINE}${table}`
}

/** The table whose rejected rows `name` holds; undefined for a table that is no quarantine. */
export function quarantineOf(name: string): string | undefined {
  return name.startsWith(QUARANTINE) ? name.slice(QUARANTINE.length) : undefined
}

/** "shop/orders/_delta_log/00000000000000000007.json". */
export function logKey(table: string, version: number): string {
  return `${logFolder(table)}/${paddedVersion(version)}.json`
}

export function checkpointKey(table: string, version: number): string {
  return `${logFolder(table)}/${paddedVersion(version)}.checkpoint.parquet`
}

export function lastCheckpointKey(table: string): string {
  return `${logFolder(table)}/_last_checkpoint`
}

/** The version that a key of the log folder holds; undefined for a checkpoint or anything else. */
export function logVersion(key: string): number | undefined {
  const match = /(?:^|\/)_delta_log\/(\d{20})\.json$/.exec(key)
  return match ? Number(match[1]) : undefined
}

/** "shop/orders/_delta_log". */
export function logFolder(table: string): string {
  return `${tableFolder(table)}/_delta_log`
}

const QUARANTINE = '_quarantine.'
const DEFAULT_SCHEMA = /^(public|main|dbo)\.(?=.)/

function isReserved(name: string): boolean {
  return `${name}_`.startsWith(RESERVED_PREFIX)
}

function withoutDefaultSchema(sourceTable: string): string {
  return sourceTable.replace(DEFAULT_SCHEMA, '')
}

/** A pipeline's name is kept, as far as a folder can be called so. */
function pipelinePart(pipeline: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(pipeline)) return pipeline
  return identifier(pipeline, 'pipeline').replace(/^_/, 'p_')
}

function assign(
  sources: readonly string[],
  alreadyTaken: ReadonlySet<string>,
  wish: (source: string) => string,
): ReadonlyMap<string, string> {
  const taken = new Set(alreadyTaken)
  const wishes = sources
    .map((source) => ({ source, name: wish(source) }))
    .toSorted((a, b) => rank(a) - rank(b) || (a.source < b.source ? -1 : 1))
  const chosen = new Map<string, string>()
  for (const { source, name } of wishes) {
    const settled = free(name, taken)
    taken.add(settled)
    chosen.set(source, settled)
  }
  return chosen
}

const rank = (wish: { readonly source: string; readonly name: string }): number =>
  wish.source === wish.name ? 0 : 1

function paddedVersion(version: number): string {
  return String(version).padStart(20, '0')
}

/** Finds relations on the server, by pattern or by name. */
import { HakiriError } from '../../../lib/error.ts'
import { DESCRIBE_RELATIONS, LIST_RELATIONS, PROBE_RELATION } from './catalog-queries.ts'
import type { PostgresConfig, PostgresShardBy, PostgresTableOptions } from './config.ts'
import type { TableName } from './errors.ts'
import { quoteName, tableLabel } from './names.ts'
import { isNameOf, selectByPatterns, similarNames, type Named, type Selection } from './patterns.ts'
import { relationLabel, type Relation, type RelationColumn } from './relation.ts'
import type { Session } from './session.ts'

type Listed = Named & { readonly oid: string }

/** Everything the user could name, and what the patterns make of it. */
export type Listing = Selection<Listed> & { readonly all: readonly Listed[] }

type ListRow = Omit<Listed, 'label'>

/** Lists every relation outside the system's schemas, and applies the patterns. */
export async function listRelations(session: Session, config: PostgresConfig): Promise<Listing> {
  const rows = await session.rows<ListRow>(LIST_RELATIONS)
  const all = rows.map((row) => ({ ...row, label: tableLabel(row.schema, row.name) }))
  return { ...selectByPatterns(config.tables, all), all }
}

/** Describes relations by oid, in order of schema and name. */
export async function describeRelations(
  session: Session,
  oids: readonly string[],
): Promise<readonly Relation[]> {
  if (oids.length === 0) return []
  const rows = await session.rows<{ readonly relation: Relation }>(DESCRIBE_RELATIONS, [oids])
  return rows.map((row) => row.relation)
}

/**
 * Opens the reading transaction on one relation and describes it under a lock that keeps its columns
 * and its storage as they are. The lock comes before the snapshot: a rewrite in between would
 * otherwise show an empty table. Throws SOURCE_FATAL when the relation is gone.
 */
export async function lockRelation(session: Session, table: TableName): Promise<Relation> {
  const names = [table.schema, table.name]
  type Probe = { readonly oid: string; readonly kind: string; readonly readable: boolean }
  const [probe] = await session.rows<Probe>(PROBE_RELATION, names)
  await session.begin()
  if (probe?.readable && /^[rpv]$/.test(probe.kind)) {
    const only = probe.kind === 'r' ? 'ONLY ' : ''
    const name = `${quoteName(table.schema)}.${quoteName(table.name)}`
    await session.rows(`LOCK TABLE ${only}${name} IN ACCESS SHARE MODE`)
  }
  const [relation] = probe ? await describeRelations(session, [probe.oid]) : []
  if (relation) return relation
  const label = relationLabel(table)
  throw new HakiriError('SOURCE_FATAL', `${session.server}: there is no table ${label} any more`, {
    suggestion: 'Take the table out of the pipeline, or restore it on the server.',
  })
}

/** Lets operators of extension types be found for the columns that a statement compares. */
export async function useOperators(
  session: Session,
  columns: readonly RelationColumn[],
): Promise<void> {
  const schemas = new Set(['pg_catalog', ...columns.map((column) => column.operatorSchema)])
  if (schemas.size > 1) await session.rows(`SET LOCAL search_path = ${[...schemas].join(', ')}`)
}

/** Options of a table, found by any spelling of its name. */
export function optionsOf(config: PostgresConfig, table: TableName): PostgresTableOptions {
  const label = relationLabel(table)
  const named = { ...table, label, inner: false }
  const found = Object.entries(config.perTable ?? {}).find(([name]) => isNameOf(name, named))
  return found?.[1] ?? {}
}

/** How a table is cut; throws CONFIG_INVALID for a way that only other connectors know. */
export function shardByOf(config: PostgresConfig, table: TableName): PostgresShardBy {
  const shardBy = optionsOf(config, table).shardBy ?? config.shardBy ?? { kind: 'pipeline' }
  if (shardBy.kind !== 'file' && shardBy.kind !== 'named') return shardBy
  const word = shardBy.kind === 'named' ? shardBy.name : shardBy.kind
  throw new HakiriError('CONFIG_INVALID', `a postgres source cannot be cut by "${word}"`, {
    suggestion: 'Use "table" or { key = "column", ranges = 8 }.',
    place: { key: 'shard_by' },
  })
}

/** Throws CONFIG_INVALID when a table named in full is missing, or nothing is selected at all. */
export function requireSelection(session: Session, listing: Listing): void {
  const missing = listing.unmatched.find(({ pattern, exact }) => exact && !pattern.startsWith('!'))
  if (!missing && listing.selected.length > 0) return
  const what = missing
    ? `no table is named "${missing.pattern}"`
    : 'no table matches the patterns of the source'
  throw new HakiriError('CONFIG_INVALID', `${session.server}: ${what}`, {
    suggestion: suggestNames(missing?.pattern ?? '', listing.all),
    place: { key: 'source.tables' },
  })
}

/** "Did you mean …", or what to look at when nothing is close. */
export function suggestNames(pattern: string, all: readonly Listed[]): string {
  const similar = similarNames(pattern, all)
  if (similar.length > 0) return `Did you mean ${similar.join(', ')}?`
  const schemas = [...new Set(all.map((table) => table.schema))].slice(0, 8)
  return schemas.length > 0
    ? `Tables exist in the schemas ${schemas.join(', ')}.`
    : 'The database has no tables of its own.'
}

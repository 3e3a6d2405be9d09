/** What stands in the way of reading, or is worth knowing before, as findings. */
import type { Finding } from '../../connector.ts'
import type { PostgresConfig } from './config.ts'
import { grant } from './errors.ts'
import {
  describeRelations,
  listRelations,
  optionsOf,
  suggestNames,
  useOperators,
  type Listing,
} from './lookup.ts'
import { isNameOf } from './patterns.ts'
import {
  fromItem,
  readColumns,
  readingKey,
  relationLabel,
  type Relation,
  type RelationColumn,
} from './relation.ts'
import type { Session } from './session.ts'
import { placed } from './sql.ts'

/** Oldest major version whose catalog is understood. */
const VERSION_MIN = 12

/** Looks at the server, the patterns and each selected table. */
export async function checkSource(
  session: Session,
  config: PostgresConfig,
): Promise<readonly Finding[]> {
  const old = session.version < VERSION_MIN
  if (old) return [error(`PostgreSQL ${session.version} is older than ${VERSION_MIN}`)]
  await session.begin()
  const listing = await listRelations(session, config)
  const relations = await describeRelations(
    session,
    listing.selected.map((table) => table.oid),
  )
  const findings = [
    ok(`${session.server}: PostgreSQL ${session.version}, ${relations.length} tables selected`),
    ...checkEncoding(session),
    ...checkPatterns(config, listing),
    ...relations.flatMap((relation) => checkRelation(session, config, relation)),
  ]
  for (const relation of relations) findings.push(...(await checkCursor(session, config, relation)))
  return findings
}

function checkEncoding(session: Session): readonly Finding[] {
  if (session.encoding !== 'SQL_ASCII') return []
  const message = 'the database has encoding SQL_ASCII: rows that are not UTF-8 go to quarantine'
  return [warn(message)]
}

function checkPatterns(config: PostgresConfig, listing: Listing): readonly Finding[] {
  const unmatched = listing.unmatched.map(({ pattern, exact }) => {
    const finding = exact && !pattern.startsWith('!') ? error : warn
    return finding(`"${pattern}" matches no table`, suggestNames(pattern, listing.all))
  })
  const unused = Object.keys(config.perTable ?? {}).filter(
    (name) => !listing.selected.some((table) => isNameOf(name, table)),
  )
  const empty = listing.selected.length === 0 ? [error('no table is selected')] : []
  return [
    ...unmatched,
    ...empty,
    ...unused.map((name) =>
      warn(`options of "${name}": no such table is selected`, suggestNames(name, listing.all)),
    ),
  ]
}

function checkRelation(
  session: Session,
  config: PostgresConfig,
  relation: Relation,
): readonly Finding[] {
  const label = relationLabel(relation)
  const exclude = optionsOf(config, relation).exclude ?? []
  const columns = readColumns(relation, exclude)
  if (columns.length === 0) return [error(`${label} has no column to read`)]
  return [
    ...checkPrivileges(session, relation, columns),
    ...exclude
      .filter((name) => !relation.columns.some((column) => column.name === name))
      .map((name) => warn(`${label}: there is no column "${name}" to exclude`)),
    ...(readingKey(relation, exclude)
      ? []
      : [warn(`${label} has no usable key: a load that is interrupted starts again`)]),
    ...(relation.rowSecurity
      ? [warn(`${label}: row security decides which rows ${session.user} can read`)]
      : []),
    ...(relation.hasChildren
      ? [warn(`${label}: rows of tables that inherit from it are read with those tables`)]
      : []),
  ]
}

function checkPrivileges(
  session: Session,
  relation: Relation,
  columns: readonly RelationColumn[],
): readonly Finding[] {
  const hidden = columns.filter((column) => !column.readable).map((column) => column.name)
  if (relation.schemaReadable && hidden.length === 0) return []
  const what =
    hidden.length > 0 && hidden.length < columns.length ? ` columns ${hidden.join(', ')}` : ''
  return [
    error(
      `${session.user} may not read ${relationLabel(relation)}${what}`,
      `Run on the server: ${grant(relation, session.user)}`,
    ),
  ]
}

async function checkCursor(
  session: Session,
  config: PostgresConfig,
  relation: Relation,
): Promise<readonly Finding[]> {
  const cursor = optionsOf(config, relation).cursor ?? config.cursor
  if (cursor === undefined) return []
  const label = relationLabel(relation)
  const column = relation.columns.find((candidate) => candidate.name === cursor)
  if (!column) return [error(`${label} has no column "${cursor}" to go by`)]
  const inOrder = placed(column, session.version)
  if (inOrder === undefined || !column.readable || !relation.schemaReadable) return []
  await useOperators(session, [column])
  const [row] = await session.rows<{ readonly found: string }>(
    `SELECT count(*)::text AS found FROM ${fromItem(relation)} WHERE (${inOrder}) IS NOT TRUE`,
  )
  const found = row?.found ?? '0'
  if (found === '0') return []
  return [
    warn(
      `${label}: ${found} rows have no place in the order of "${cursor}" (null, infinite or NaN)`,
      'They are read once, by the first load; later ones are not seen.',
    ),
  ]
}

function ok(message: string): Finding {
  return { severity: 'ok', message }
}

function warn(message: string, suggestion?: string): Finding {
  return { severity: 'warn', message, ...(suggestion ? { suggestion } : {}) }
}

function error(message: string, suggestion?: string): Finding {
  return { severity: 'error', message, ...(suggestion ? { suggestion } : {}) }
}

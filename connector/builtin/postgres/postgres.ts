/**
 * The `postgres` connector: tables, views and foreign tables of one database, as CSV straight off
 * the wire. README.md says how tables, keys, cursors and types are treated.
 */
import { HakiriError } from '../../../lib/error.ts'
import type {
  Connector,
  ConnectorContext,
  Finding,
  SourceShard,
  SourceTable,
} from '../../connector.ts'
import { checkSource } from './check.ts'
import { DEFAULT_POSTGRES_OPTIONS, type PostgresConfig, type PostgresOptions } from './config.ts'
import { describeRelations, listRelations, optionsOf, requireSelection } from './lookup.ts'
import { readShard } from './read.ts'
import { announce, readColumns, readingKey, relationLabel, type Relation } from './relation.ts'
import { openSession, type Session } from './session.ts'
import { shardsOf } from './shards.ts'

/** Makes a connector for one database; nothing is opened before it is used. */
export function createPostgresConnector(
  config: PostgresConfig,
  overrides: Partial<PostgresOptions> = {},
): Connector {
  const options = { ...DEFAULT_POSTGRES_OPTIONS, ...overrides }
  const withSession = async <T>(
    context: ConnectorContext,
    work: (session: Session) => Promise<T>,
  ): Promise<T> => {
    const session = await openSession(context, config, options)
    try {
      return await work(session)
    } finally {
      await session.close()
    }
  }
  return {
    type: 'postgres',
    describe: (context) =>
      withSession(context, async (session) => {
        const relations = await selectRelations(context, session, config)
        return relations.map((relation) => toSourceTable(config, relation))
      }),
    check: (context) =>
      withSession(context, (session) => checkSource(session, config)).catch(toFinding),
    shards: (context, known) =>
      withSession(context, async (session) => {
        const relations = await selectRelations(context, session, config)
        const shards: SourceShard[] = []
        for (const relation of relations) {
          shards.push(...(await shardsOf(session, config, options, relation, known)))
        }
        return shards
      }),
    open: (context, request) => readShard(context, config, options, request),
  }
}

/** Selected relations that have a column to read; says which patterns and tables were of no use. */
async function selectRelations(
  context: ConnectorContext,
  session: Session,
  config: PostgresConfig,
): Promise<readonly Relation[]> {
  await session.begin()
  const listing = await listRelations(session, config)
  requireSelection(session, listing)
  for (const { pattern } of listing.unmatched) {
    context.logger.log('warn', `source.tables: "${pattern}" matches no table`)
  }
  const oids = listing.selected.map((table) => table.oid)
  const relations = await describeRelations(session, oids)
  return relations.filter((relation) => {
    const empty = readColumns(relation, optionsOf(config, relation).exclude ?? []).length === 0
    if (empty) {
      context.logger.log('warn', `${relationLabel(relation)} has no column to read; left out`)
    }
    return !empty
  })
}

function toSourceTable(config: PostgresConfig, relation: Relation): SourceTable {
  const { exclude = [], key = [] } = optionsOf(config, relation)
  const own = readingKey(relation, exclude) ?? []
  return {
    name: relationLabel(relation),
    columns: announce(readColumns(relation, exclude)),
    key: key.length > 0 ? key : own.map((column) => column.name),
    rowsEstimate: relation.rowsEstimate ?? undefined,
  }
}

function toFinding(error: unknown): readonly Finding[] {
  if (!(error instanceof HakiriError)) throw error
  const { message, suggestion } = error
  return [{ severity: 'error', message, ...(suggestion ? { suggestion } : {}) }]
}

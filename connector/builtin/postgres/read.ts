/**
 * Reads one shard: connect, lock, describe, plan, then one COPY a phase of the plan.
 * Invariant: however the reading ends, the session is closed.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { ConnectorContext, OpenRequest, SourceEvent } from '../../connector.ts'
import { incrementalBounds, rangeBounds } from './bounds.ts'
import type { PostgresConfig, PostgresOptions } from './config.ts'
import { decodeCursor } from './cursor.ts'
import { readPhase } from './events.ts'
import { lockRelation, optionsOf, useOperators } from './lookup.ts'
import {
  orderBy,
  planFull,
  planIncremental,
  planRange,
  type Phase,
  type PlanInput,
} from './read-plan.ts'
import {
  announce,
  readColumns,
  readingKey,
  relationLabel,
  type Relation,
  type RelationColumn,
} from './relation.ts'
import { openSession, type Session } from './session.ts'
import { decodeSpec, rangeCondition, type ShardSpec } from './shard-spec.ts'

/** See Connector.open. */
export async function* readShard(
  context: ConnectorContext,
  config: PostgresConfig,
  options: PostgresOptions,
  request: OpenRequest,
): AsyncGenerator<SourceEvent, void, undefined> {
  const spec = decodeSpec(request.shard.spec)
  const session = await openSession(context, config, options, spec)
  try {
    const relation = await lockRelation(session, spec)
    const columns = columnsToRead(config, relation)
    yield { kind: 'schema', columns: announce(columns) }
    for (const phase of await plan(session, config, spec, relation, request)) {
      yield* readPhase(context, session, options, phase)
    }
  } finally {
    await session.close()
  }
}

function columnsToRead(config: PostgresConfig, relation: Relation): readonly RelationColumn[] {
  const columns = readColumns(relation, optionsOf(config, relation).exclude ?? [])
  if (columns.length > 0) return columns
  throw new HakiriError('SCHEMA_INVALID', `${relationLabel(relation)} has no column to read`, {
    suggestion: 'Exclude the table with a pattern that begins with "!".',
  })
}

async function plan(
  session: Session,
  config: PostgresConfig,
  spec: ShardSpec,
  relation: Relation,
  request: OpenRequest,
): Promise<readonly Phase[]> {
  const exclude = optionsOf(config, relation).exclude ?? []
  const columns = columnsToRead(config, relation)
  const rangeColumn = spec.range && findColumn(relation.columns, relation, spec.range.key)
  const input: PlanInput = {
    relation,
    columns,
    key: usableKey(session, relation, exclude),
    range: spec.range && rangeColumn && rangeCondition(spec.range, rangeColumn),
    version: session.version,
    cursor: decodeCursor(request.cursor),
  }
  const compared = [...(input.key ?? []), ...(rangeColumn ? [rangeColumn] : [])]
  if (!input.key) await session.rows('SET LOCAL max_parallel_workers_per_gather = 0')
  const { mode } = request
  if (mode.kind === 'full') {
    await useOperators(session, compared)
    return planFull(input)
  }
  const column = findColumn(columns, relation, mode.column)
  await useOperators(session, [...compared, ...orderBy(input.key, column)])
  if (mode.kind === 'incremental') {
    const bounds = await incrementalBounds(session, input, column, mode.lag)
    return planIncremental(input, column, bounds)
  }
  const bounds = await rangeBounds(session, input, column, mode.from, mode.to)
  return planRange(input, column, bounds)
}

/** A key of text cannot be carried in a cursor where text may be invalid. */
function usableKey(
  session: Session,
  relation: Relation,
  exclude: readonly string[],
): readonly RelationColumn[] | undefined {
  const key = readingKey(relation, exclude)
  const unsafe = session.encoding === 'SQL_ASCII' && key?.some((column) => isText(column))
  return unsafe ? undefined : key
}

function isText(column: RelationColumn): boolean {
  return !/^(int|uuid|numeric|date|time|bool|oid|float)/.test(column.type.builtin)
}

function findColumn(
  columns: readonly RelationColumn[],
  relation: Relation,
  name: string,
): RelationColumn {
  const column = columns.find((candidate) => candidate.name === name)
  if (column && !column.type.array) return column
  const problem = column ? 'is an array and has no order to read by' : 'is not there to read by'
  throw new HakiriError(
    'CONFIG_INVALID',
    `${relationLabel(relation)}: the column "${name}" ${problem}`,
    { suggestion: `Columns: ${columns.map((candidate) => candidate.name).join(', ')}.` },
  )
}

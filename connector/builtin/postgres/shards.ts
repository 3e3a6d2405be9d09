/**
 * Cuts tables into shards. Bounds of ranges are found once, when a table is first cut, and kept as
 * text in the specs; later runs get the same shards back, however the data has moved since.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { SourceShard } from '../../connector.ts'
import type { PostgresConfig, PostgresOptions } from './config.ts'
import { shardByOf, useOperators } from './lookup.ts'
import { relationLabel, type Relation, type RelationColumn } from './relation.ts'
import type { Session } from './session.ts'
import { decodeSpec, encodeSpec, shardId, type KeyRange } from './shard-spec.ts'
import { columnOf, placed } from './sql.ts'
import { fromItem } from './relation.ts'

/** Shards of one relation: the known ones when they were cut the same way, else new ones. */
export async function shardsOf(
  session: Session,
  config: PostgresConfig,
  options: PostgresOptions,
  relation: Relation,
  known: readonly SourceShard[],
): Promise<readonly SourceShard[]> {
  const shardBy = shardByOf(config, relation)
  const asked = shardBy.kind === 'range' ? shardBy : undefined
  const before = known.filter((shard) => isCutLike(shard, relation, asked))
  if (before.length > 0) return before
  const rows = relation.rowsEstimate ?? undefined
  if (!asked) return [newShard(relation, undefined, rows)]
  const bounds = await findBounds(session, options, relation, asked.key, asked.ranges)
  const parts = bounds.length + 1
  return Array.from({ length: parts }, (_, index) => {
    const [lower, upper] = [bounds[index - 1] ?? null, bounds[index] ?? null]
    const range = { key: asked.key, asked: asked.ranges, index, parts, lower, upper }
    return newShard(relation, range, rows === undefined ? undefined : Math.round(rows / parts))
  })
}

function newShard(
  relation: Relation,
  range: KeyRange | undefined,
  rowsEstimate: number | undefined,
): SourceShard {
  const spec = { schema: relation.schema, name: relation.name, range }
  return {
    id: shardId(spec),
    table: relationLabel(relation),
    spec: encodeSpec(spec),
    rowsEstimate,
  }
}

function isCutLike(
  shard: SourceShard,
  relation: Relation,
  asked: { readonly key: string; readonly ranges: number } | undefined,
): boolean {
  if (shard.table !== relationLabel(relation)) return false
  const { range } = decodeSpec(shard.spec)
  return range?.key === asked?.key && range?.asked === asked?.ranges
}

type BoundsRow = { readonly sampled: string; readonly bounds: readonly (string | null)[] | null }

/** At most `ranges - 1` ascending values that cut the table into about equal parts. */
async function findBounds(
  session: Session,
  options: PostgresOptions,
  relation: Relation,
  key: string,
  ranges: number,
): Promise<readonly string[]> {
  const column = relation.columns.find((candidate) => candidate.name === key)
  if (!column || column.type.array || !Number.isSafeInteger(ranges) || ranges < 1) {
    throw badKey(relation, key, ranges)
  }
  if (ranges === 1) return []
  await useOperators(session, [column])
  const percent = samplePercent(relation, options)
  if (percent < 100) {
    const [sample] = await session.rows<BoundsRow>(boundsSql(relation, column, ranges, percent))
    if (Number(sample?.sampled ?? 0) >= ranges * 20) return distinct(sample)
  }
  const [all] = await session.rows<BoundsRow>(boundsSql(relation, column, ranges, 100))
  return distinct(all)
}

/** Views and foreign tables have no sample; small or unknown tables are looked at whole. */
function samplePercent(relation: Relation, options: PostgresOptions): number {
  const sampled = relation.kind !== 'view' && relation.kind !== 'foreign'
  if (!sampled || !relation.rowsEstimate) return 100
  return Math.min(100, (100 * options.sampleRows) / relation.rowsEstimate)
}

function boundsSql(
  relation: Relation,
  column: RelationColumn,
  ranges: number,
  percent: number,
): string {
  const shares = Array.from({ length: ranges - 1 }, (_, index) => (index + 1) / ranges)
  const sample = percent < 100 ? ` TABLESAMPLE SYSTEM (${percent}) REPEATABLE (1)` : ''
  const inOrder = placed({ ...column, notNull: false }, 14)
  return `
    SELECT p.sampled::text AS sampled, (
      SELECT json_agg(b.value::text ORDER BY b.position)
      FROM unnest(p.bounds) WITH ORDINALITY AS b (value, position)) AS bounds
    FROM (
      SELECT count(*) AS sampled,
        percentile_disc(ARRAY[${shares.join(', ')}]::float8[])
          WITHIN GROUP (ORDER BY ${columnOf(column)}) AS bounds
      FROM ${fromItem(relation)}${sample}
      WHERE ${inOrder ?? 'true'}) AS p`
}

/** Equal neighbours would make an empty range. */
function distinct(row: BoundsRow | undefined): readonly string[] {
  const bounds = (row?.bounds ?? []).filter((bound) => bound !== null)
  return bounds.filter((bound, index) => bound !== bounds[index - 1])
}

function badKey(relation: Relation, key: string, ranges: number): HakiriError {
  const columns = relation.columns.map((column) => column.name).join(', ')
  return new HakiriError(
    'CONFIG_INVALID',
    `${relationLabel(relation)} cannot be cut into ${ranges} ranges of "${key}"`,
    { suggestion: `Use a column that has an order: ${columns}.`, place: { key: 'shard_by' } },
  )
}

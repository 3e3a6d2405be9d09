/**
 * The statements that turn one batch into files, made from its plan. Pure. A batch that is only
 * converted streams from reader to writer; one that is merged, partitioned or filtered passes through a
 * temporary table, so that its file is read once.
 */
import type { ColumnType } from '../../lib/column.ts'
import { SEQUENCE_COLUMN, SEQUENCE_FIELD_ID } from '../plan/batch-plan.ts'
import type { BatchPlan, OutputColumn, PartitionOutput, RejectRule } from '../plan/batch-plan.ts'
import type { Source, SourceField } from './sql-read.ts'
import { orNull } from './sql-fit.ts'
import { engineType, ident, literal } from './sql-text.ts'

/** Text of the error that a value which does not fit raises. */
export const MISFIT_ERROR = 'hakiri: a value does not fit'

/** Names in the temporary tables; a table's own names are plain words. */
export const ROW = '"#row"'
export const REASON = '"#reason"'
const STAGED = '"#staged"'
const KEPT = '"#kept"'
const PARTITIONS = '"#partitions"'
const NUMBER = '"#partition"'
const SORTED = '"#sorted"'

/** The types that a plan wants of each input column. */
export function demandedTypes(plan: BatchPlan): ReadonlyMap<string, ReadonlySet<ColumnType>> {
  const demands = new Map<string, Set<ColumnType>>()
  const demand = (input: string | undefined, type: ColumnType | undefined): void => {
    if (input === undefined) return
    const types = demands.get(input) ?? new Set()
    if (type !== undefined) types.add(type)
    demands.set(input, types)
  }
  for (const { column, input, take, fits } of plan.outputs) {
    demand(input, take === 'misfit' ? fits : column.type)
    if (take === 'misfit') demand(input, 'string')
  }
  for (const rule of plan.rejects)
    demand(rule.input, rule.kind === 'misfit' ? rule.fits : undefined)
  return demands
}

/** True when rows cannot stream straight from reader to writer. */
export function needsStaging(plan: BatchPlan): boolean {
  return plan.rejects.length > 0 || plan.partitions.length > 0 || plan.merge !== undefined
}

/** Rows of the batch as the table wants them. */
export function streamSelect(plan: BatchPlan, source: Source): string {
  return `SELECT ${outputList(plan, source, false)} FROM ${source.from}`
}

function outputList(plan: BatchPlan, source: Source, mayReject: boolean): string {
  return plan.outputs
    .map((output) => `${outputValue(output, source, mayReject)} AS ${ident(output.column.name)}`)
    .join(', ')
}

function outputValue(output: OutputColumn, source: Source, mayReject: boolean): string {
  const { column, take, fits } = output
  const type = engineType(column.type)
  const field = output.input === undefined ? undefined : source.field(output.input)
  if (!field) return `CAST(NULL AS ${type})`
  switch (take) {
    case 'fitting':
      return orNull(field.fit(column.type))
    case 'misfit':
      return `CASE WHEN ${misfits(field, fits)} THEN ${field.text} END`
    case 'value': {
      if (column.type === 'string') return field.text
      const { value, proof } = field.fit(column.type)
      const dropped = mayReject ? ` OR ${REASON} IS NOT NULL` : ''
      const error = `CAST(error(${literal(MISFIT_ERROR)}) AS ${type})`
      return `CASE WHEN ${proof} OR NOT (${field.present})${dropped} THEN ${value} ELSE ${error} END`
    }
  }
}

function misfits(field: SourceField, type: ColumnType): string {
  return `${field.present} AND (${field.fit(type).proof}) IS NOT true`
}

/**
 * After a misfit: one row with, for each checked input column, whether it holds one. `columns` are the
 * input names, in the order of the result.
 */
export function misfitQuery(
  plan: BatchPlan,
  source: Source,
): { readonly sql: string; readonly columns: readonly string[] } {
  const checked = plan.outputs.flatMap(({ column, input, take }) => {
    const field = take === 'value' && input !== undefined ? source.field(input) : undefined
    return field && input !== undefined && column.type !== 'string'
      ? [{ input, test: misfits(field, column.type) }]
      : []
  })
  const kept = `${REASON} IS NULL`
  const tests = checked.map(({ test }) => `coalesce(bool_or(${test} AND ${kept}), false)`)
  return {
    sql: `SELECT ${tests.join(', ')} FROM (${withReason(plan, source)})`,
    columns: checked.map(({ input }) => input),
  }
}

/** The source's columns and why the row is rejected, null when it is not. */
function withReason(plan: BatchPlan, source: Source): string {
  const cases = plan.rejects.flatMap((rule) => {
    const test = rejectTest(rule, source)
    return test === undefined ? [] : [`WHEN ${test} THEN ${literal(rule.reason)}`]
  })
  const reason = cases.length > 0 ? `CASE ${cases.join(' ')} END` : 'CAST(NULL AS VARCHAR)'
  return `SELECT *, ${reason} AS ${REASON} FROM ${source.from}`
}

/** A batch that lacks the column has only nulls there. */
function rejectTest(rule: RejectRule, source: Source): string | undefined {
  const field = source.field(rule.input)
  switch (rule.kind) {
    case 'present':
      return field?.present
    case 'misfit':
      return field && misfits(field, rule.fits)
    case 'empty-text':
      return field && `${field.text} = ''`
    case 'null-key':
      return field ? `NOT (${field.present})` : 'true'
  }
}

// ── Staged ────────────────────────────────────────────────────────────────────────────────────────

/** Reads the batch once: outputs, partition values, row number, reason of rejection. */
export function stageStatement(plan: BatchPlan, source: Source): string {
  const outputs = plan.outputs.length > 0 ? `, ${outputList(plan, source, true)}` : ''
  const partitions = plan.partitions.map(
    (partition, index) => `, ${partitionValue(partition, plan)} AS ${partitionName(index)}`,
  )
  return (
    `CREATE OR REPLACE TEMP TABLE ${STAGED} AS SELECT *${partitions.join('')} FROM (` +
    `SELECT row_number() OVER () - 1 AS ${ROW}, CAST(NULL AS INTEGER) AS ${NUMBER}, ${REASON}${outputs} FROM (${withReason(plan, source)}))`
  )
}

function partitionName(index: number): string {
  return `"#partition${index}"`
}

/** The partition's value as text; all calendars are UTC. */
function partitionValue(partition: PartitionOutput, plan: BatchPlan): string {
  const column = ident(partition.column)
  if (partition.transform === 'identity') return `CAST(${column} AS VARCHAR)`
  const base = plan.outputs.find((output) => output.column.name === partition.column)
  const time =
    base?.column.type === 'timestamp'
      ? `make_timestamp(epoch_us(${column}))`
      : `CAST(${column} AS TIMESTAMP)`
  switch (partition.transform) {
    case 'year':
      return `CAST(year(${time}) AS VARCHAR)`
    case 'month':
      return `strftime(${time}, '%Y-%m')`
    case 'day':
      return `CAST(CAST(${time} AS DATE) AS VARCHAR)`
    case 'hour':
      return `strftime(${time}, '%Y-%m-%d-%H')`
  }
}

export const STAGED_COUNTS = `SELECT count(*), count(${REASON}) FROM ${STAGED}`

/** Row number in the batch and reason, in order. */
export const REJECTED_ROWS = `SELECT ${ROW}, ${REASON} FROM ${STAGED} WHERE ${REASON} IS NOT NULL ORDER BY ${ROW}`

/** The last row of each key, among rows that are kept. Rows with a null in the key stand for themselves. */
export function keepStatement(key: readonly string[]): string {
  const columns = key.map(ident)
  const whole = columns.map((column) => `${column} IS NOT NULL`).join(' AND ')
  return (
    `CREATE OR REPLACE TEMP TABLE ${KEPT} AS SELECT max(${ROW}) AS ${ROW} FROM ${STAGED} ` +
    `WHERE ${REASON} IS NULL GROUP BY ${columns.join(', ')}, CASE WHEN NOT (${whole}) THEN ${ROW} END`
  )
}

/** Distinct partition values of the rows that are kept, numbered in a fixed order. */
export function partitionsStatement(plan: BatchPlan): string {
  const names = plan.partitions.map((_, index) => partitionName(index)).join(', ')
  const order = plan.partitions.map((_, index) => `${partitionName(index)} NULLS FIRST`).join(', ')
  return (
    `CREATE OR REPLACE TEMP TABLE ${PARTITIONS} AS SELECT row_number() OVER (ORDER BY ${order}) - 1 ` +
    `AS ${ROW}, * FROM (SELECT DISTINCT ${names} FROM ${STAGED} WHERE ${REASON} IS NULL)`
  )
}

/** Values of each partition, in the order of their numbers. */
export const PARTITION_VALUES = `SELECT * EXCLUDE (${ROW}) FROM ${PARTITIONS} ORDER BY ${ROW}`

/** Notes the number of its partition on each row: an integer is cheap to filter by, over and over. */
export function numberStatement(plan: BatchPlan): string {
  const same = plan.partitions
    .map((_, index) => partitionName(index))
    .map((name) => `${STAGED}.${name} IS NOT DISTINCT FROM p.${name}`)
  return (
    `UPDATE ${STAGED} SET ${NUMBER} = p.${ROW} FROM ${PARTITIONS} p ` +
    `WHERE ${REASON} IS NULL AND ${same.join(' AND ')}`
  )
}

/** Brings the rows of a partition together, so that taking them out touches few others. */
export const SORT_STATEMENTS = [
  `CREATE OR REPLACE TEMP TABLE ${SORTED} AS SELECT * FROM ${STAGED} WHERE ${NUMBER} IS NOT NULL ` +
    `ORDER BY ${NUMBER}, ${ROW}`,
  `DROP TABLE ${STAGED}`,
  `ALTER TABLE ${SORTED} RENAME TO ${STAGED}`,
]

/** Rows of one file: those of a partition, or all that are kept. */
export function stagedSelect(plan: BatchPlan, partition: number): string {
  const columns = fileColumns(plan).map(({ column }) => ident(column.name))
  if (plan.merge)
    columns.push(`CAST(${plan.merge.sequence} AS BIGINT) AS ${ident(SEQUENCE_COLUMN)}`)
  const conditions = [
    plan.partitions.length > 0 ? `${NUMBER} = ${partition}` : `${REASON} IS NULL`,
    ...(plan.merge ? [`${ROW} IN (SELECT ${ROW} FROM ${KEPT})`] : []),
  ]
  return `SELECT ${columns.join(', ')} FROM ${STAGED} WHERE ${conditions.join(' AND ')}`
}

/** Output columns that are written into files: all but those that are partition columns themselves. */
export function fileColumns(plan: BatchPlan): readonly OutputColumn[] {
  const partitioned = new Set(plan.partitions.map(({ name }) => name))
  return plan.outputs.filter(({ column }) => !partitioned.has(column.name))
}

/** Field ids of a file's columns. */
export function fieldIds(plan: BatchPlan): ReadonlyMap<string, number> {
  const ids = new Map(fileColumns(plan).map(({ column }) => [column.name, column.id]))
  if (plan.merge) ids.set(SEQUENCE_COLUMN, SEQUENCE_FIELD_ID)
  return ids
}

/** Frees what staging holds. */
export const DROP_STAGED = [STAGED, SORTED, KEPT, PARTITIONS].map(
  (name) => `DROP TABLE IF EXISTS ${name}`,
)

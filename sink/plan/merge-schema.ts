/**
 * Merges what a batch holds into the columns of its table, as the schema policy allows, and says for
 * each column how the batch fills it.
 *
 * Invariants: columns are only ever added, at the end, with an id above all others; the same input
 * gives the same answer, and merging an observation twice adds nothing the second time; each value of
 * the batch is written, rejected with its row, or named in `discarded`.
 */
import type { Column, ColumnType } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'
import type { SchemaPolicy } from '../../lib/policy.ts'
import type { ObservedColumn, OutputColumn, RejectRule } from './batch-plan.ts'
import type { Failed } from './failure.ts'
import { columnNames, variantName } from './names.ts'
import {
  COLUMNS_MAX,
  frozenColumns,
  frozenTable,
  frozenTypes,
  invalidInput,
  reservedName,
  tooManyColumns,
} from './schema-failures.ts'
import {
  columnVerdict,
  tableVerdict,
  typeVerdict,
  type Decision,
  type Verdict,
} from './schema-verdict.ts'
import { keepsEveryValue, keepsMostValues, parseColumnType } from './types.ts'

export type MergeOptions = {
  /** The table's name, for messages. */
  readonly table: string
  /** Source column → type of the column, when it is new. */
  readonly types?: { readonly [source: string]: string }
  /** Source columns whose values must fit: a row that cannot be merged by key is rejected. */
  readonly key?: readonly string[]
  /** Questions asked before, with their answers. */
  readonly decisions?: readonly Decision[]
}

export type Merged = {
  readonly kind: 'merged'
  readonly columns: readonly Column[]
  /** One sentence a change; empty when the columns stand as they were. */
  readonly changes: readonly string[]
  /** Questions to queue. */
  readonly decisions: readonly Json[]
  readonly outputs: readonly OutputColumn[]
  readonly rejects: readonly RejectRule[]
  /** Source columns of which values are dropped because the policy says so. */
  readonly discarded: readonly string[]
}

/** Decides the columns of the table after this batch, and the way of each input column into them. */
export function mergeSchema(
  columns: readonly Column[],
  observed: readonly ObservedColumn[],
  policy: SchemaPolicy,
  options: MergeOptions,
): Merged | Failed {
  const invalid = invalidInput(observed, options)
  if (invalid) return invalid
  const decisions = options.decisions ?? []
  if (columns.some((column) => column.role === undefined)) {
    return mergeColumns(columns, observed, policy, options)
  }
  const verdict = tableVerdict(options.table, policy.tables, decisions)
  if (verdict.kind === 'freeze') return frozenTable(options.table)
  if (verdict.kind === 'reject') {
    return {
      ...nothing(columns, verdict.ask),
      rejects: rejectAll(observed, verdict.reason),
    }
  }
  return mergeColumns(columns, observed, { ...policy, columns: 'evolve' }, options)
}

/** Rules that reject each row of the batch: those that have the value, and those that have not. */
export function rejectAll(
  observed: readonly ObservedColumn[],
  reason: string,
): readonly RejectRule[] {
  const input = observed[0]?.name
  if (input === undefined) return []
  return [
    { kind: 'present', input, reason },
    { kind: 'null-key', input, reason },
  ]
}

function mergeColumns(
  columns: readonly Column[],
  observed: readonly ObservedColumn[],
  policy: SchemaPolicy,
  options: MergeOptions,
): Merged | Failed {
  const decisions = options.decisions ?? []
  const known = sourceColumns(columns)
  const fresh = observed.filter((column) => !column.empty && !known.has(column.name))
  const verdicts = new Map(
    fresh.map((column) => [column.name, columnVerdict(column, policy.columns, decisions)]),
  )
  const frozen = fresh.filter((column) => verdicts.get(column.name)?.kind === 'freeze')
  if (frozen.length > 0) return frozenColumns(options.table, frozen)
  const additions = fresh.filter((column) => verdicts.get(column.name)?.kind === 'accept')
  const added = addColumns(columns, additions, options)
  if (added.kind === 'failed') return added
  const refusals = refused(fresh, verdicts)
  const fitted = fitColumns(added.columns, observed, policy, options)
  if (fitted.kind === 'failed') return fitted
  if (dataColumns(fitted.columns) > COLUMNS_MAX)
    return tooManyColumns(options.table, dataColumns(fitted.columns))
  return {
    kind: 'merged',
    columns: fitted.columns,
    changes: [...added.changes, ...fitted.changes],
    decisions: [...refusals.decisions, ...fitted.decisions],
    outputs: fitted.outputs,
    rejects: [...refusals.rejects, ...fitted.rejects],
    discarded: [...refusals.discarded, ...fitted.discarded],
  }
}

type Added = {
  readonly kind: 'added'
  readonly columns: readonly Column[]
  readonly changes: readonly string[]
}

function addColumns(
  columns: readonly Column[],
  additions: readonly ObservedColumn[],
  options: MergeOptions,
): Added | Failed {
  const named = columnNames(
    additions.map((column) => column.name),
    columns,
  )
  if (named.kind === 'reserved') return reservedName(options.table, named.source)
  let id = highestId(columns)
  const added = additions.map((column): Column => {
    const hint = options.types?.[column.name]
    const type = (hint === undefined ? undefined : parseColumnType(hint)) ?? column.type
    const semantic = type === 'string' && column.type === 'string' ? column.semantic : undefined
    return {
      id: ++id,
      name: named.names.get(column.name)!,
      type,
      source: column.name,
      sourceType: column.sourceType,
      ...(semantic === undefined ? {} : { semantic }),
    }
  })
  return {
    kind: 'added',
    columns: [...columns, ...added],
    changes: added.map((column) => `added column ${column.name} (${column.type})`),
  }
}

type Refusals = Pick<Merged, 'decisions' | 'rejects' | 'discarded'>

function refused(
  fresh: readonly ObservedColumn[],
  verdicts: ReadonlyMap<string, Verdict>,
): Refusals {
  const decisions: Json[] = []
  const rejects: RejectRule[] = []
  const discarded: string[] = []
  for (const { name } of fresh) {
    const verdict = verdicts.get(name)
    if (verdict?.kind === 'discard') discarded.push(name)
    if (verdict?.kind !== 'reject') continue
    rejects.push({ kind: 'present', input: name, reason: verdict.reason })
    if (verdict.ask !== undefined) decisions.push(verdict.ask)
  }
  return { decisions, rejects, discarded }
}

type Fitted = { readonly kind: 'fitted' } & Omit<Merged, 'kind'>

/** Where each column of the table takes its values from, adding variant columns where they are needed. */
function fitColumns(
  columns: readonly Column[],
  observed: readonly ObservedColumn[],
  policy: SchemaPolicy,
  options: MergeOptions,
): Fitted | Failed {
  const inputs = new Map(observed.map((column) => [column.name, column]))
  const known = sourceColumns(columns)
  const ways = [...known.values()].map((column) => wayOf(column, inputs, policy, options))
  const frozen = ways.filter((way) => way.verdict?.kind === 'freeze')
  if (frozen.length > 0) return frozenTypes(options.table, frozen)
  const variants = addVariants(columns, ways)
  const settled = variants.columns.map((column) => settleSemantic(column, inputs))
  const bySource = new Map(ways.map((way) => [way.column.source, way]))
  return {
    kind: 'fitted',
    columns: settled,
    changes: [...variants.changes, ...semanticChanges(variants.columns, settled)],
    decisions: ways.flatMap(({ verdict }) =>
      verdict?.kind === 'reject' && verdict.ask !== undefined ? [verdict.ask] : [],
    ),
    outputs: settled
      .filter((column) => column.role !== 'partition')
      .map((column) => outputOf(column, bySource.get(column.source))),
    rejects: ways.flatMap(misfitRule),
    discarded: ways.flatMap((way) => (way.verdict?.kind === 'discard' ? [way.column.source] : [])),
  }
}

/** How one source column of the table is filled; a verdict says that not every value fits. */
type Way = {
  readonly column: Column
  readonly input: ObservedColumn | undefined
  readonly verdict: Verdict | undefined
}

function wayOf(
  column: Column,
  inputs: ReadonlyMap<string, ObservedColumn>,
  policy: SchemaPolicy,
  options: MergeOptions,
): Way {
  const input = inputs.get(column.source)
  if (!input || input.empty) return { column, input: undefined, verdict: undefined }
  if (fits(input, column, policy, options)) return { column, input, verdict: undefined }
  const verdict = typeVerdict(input, column, policy.types, options.decisions ?? [])
  const isKey = options.key?.includes(column.source) === true
  if (!isKey || verdict.kind === 'freeze' || verdict.kind === 'reject') {
    return { column, input, verdict }
  }
  const reason = `key ${column.source} is no ${column.type}`
  return { column, input, verdict: { kind: 'reject', reason, ask: undefined } }
}

/**
 * Whether to plan for values that all fit. A hint is taken at its word, and numbers are tried, until the
 * encoder reports a value that does not fit; a frozen column is not tried with a wider type.
 */
function fits(
  input: ObservedColumn,
  column: Column,
  policy: SchemaPolicy,
  options: MergeOptions,
): boolean {
  if (input.misfit) return column.type === 'string'
  if (keepsEveryValue(input.type, column.type)) return true
  if (input.alsoFits?.includes(column.type)) return true
  const hint = options.types?.[column.source]
  if (hint !== undefined && parseColumnType(hint) === column.type) return true
  const isFraction = column.type === 'double' || column.type === 'float'
  return (policy.types !== 'freeze' || isFraction) && keepsMostValues(input.type, column.type)
}

function outputOf(column: Column, way: Way | undefined): OutputColumn {
  const fits: ColumnType = way?.column.type ?? column.type
  const input = way?.input?.name
  if (column.role === 'variant') {
    return way?.verdict?.kind === 'accept'
      ? { column, input, take: 'misfit', fits }
      : { column, input: undefined, take: 'value', fits: column.type }
  }
  return { column, input, take: way?.verdict ? 'fitting' : 'value', fits }
}

function misfitRule(way: Way): readonly RejectRule[] {
  if (way.verdict?.kind !== 'reject') return []
  const { column, verdict } = way
  return [{ kind: 'misfit', input: column.source, fits: column.type, reason: verdict.reason }]
}

function addVariants(columns: readonly Column[], ways: readonly Way[]): Added {
  const present = new Set(
    columns.filter((column) => column.role === 'variant').map((column) => column.source),
  )
  const taken = new Set(columns.map((column) => column.name))
  let id = highestId(columns)
  const added = ways
    .filter((way) => way.verdict?.kind === 'accept' && !present.has(way.column.source))
    .map(({ column, input }): Column => {
      const name = variantName(column.name, taken)
      taken.add(name)
      const sourceType = input?.sourceType ?? column.sourceType
      return { id: ++id, name, type: 'string', source: column.source, sourceType, role: 'variant' }
    })
  const types = new Map(ways.map((way) => [way.column.source, way.column]))
  return {
    kind: 'added',
    columns: [...columns, ...added],
    changes: added.map((column) => {
      const base = types.get(column.source)
      return `added column ${column.name} (string) for values of ${base?.name} that are no ${base?.type}`
    }),
  }
}

/** A column that stops holding only JSON (or only UUIDs …) is plain text from then on. */
function settleSemantic(column: Column, inputs: ReadonlyMap<string, ObservedColumn>): Column {
  const input = inputs.get(column.source)
  if (column.role !== undefined || column.semantic === undefined || !input || input.empty) {
    return column
  }
  if (input.type === 'string' && input.semantic === column.semantic) return column
  const { semantic: _dropped, ...plain } = column
  return plain
}

function semanticChanges(before: readonly Column[], after: readonly Column[]): readonly string[] {
  return before.flatMap((column, index) =>
    column.semantic === after[index]?.semantic
      ? []
      : [`column ${column.name} holds text, no longer only ${column.semantic}`],
  )
}

const sourceColumns = (columns: readonly Column[]): ReadonlyMap<string, Column> =>
  new Map(
    columns.filter((column) => column.role === undefined).map((column) => [column.source, column]),
  )

/** The highest id in use, 0 for none. */
export function highestId(columns: readonly Column[]): number {
  return columns.reduce((highest, column) => Math.max(highest, column.id), 0)
}

const dataColumns = (columns: readonly Column[]): number =>
  columns.filter((column) => column.role !== 'partition').length

const nothing = (columns: readonly Column[], ask: Json | undefined): Merged => ({
  kind: 'merged',
  columns,
  changes: [],
  decisions: ask === undefined ? [] : [ask],
  outputs: [],
  rejects: [],
  discarded: [],
})

/**
 * Decides which statements read a shard from a cursor on, and where between their rows it is safe to
 * stop. Pure: what only the server can compute comes in as `Bounds`.
 *
 * Invariants: the statements of a plan read disjoint rows; a cursor taken after a row names a place
 * such that the plan made from it reads exactly the rows that follow.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import { encodeCursor, type Position, type PostgresCursor } from './cursor.ts'
import {
  isCanonical,
  orderIdentity,
  relationLabel,
  type Relation,
  type RelationColumn,
} from './relation.ts'
import { compare, placed, positionIn, type Select } from './sql.ts'

/** After which rows of a statement a read can be resumed. */
type SafePoints =
  | { readonly kind: 'none' }
  /** After each row, but a resumed read starts this statement again. */
  | { readonly kind: 'fixed'; readonly cursor: Json }
  | {
      readonly kind: 'rows'
      /** Fields of the row that make the cursor, ascending, and the cursor that they make. */
      readonly fields: readonly number[]
      readonly cursor: (values: readonly string[]) => Json
    }
  /** Rows are sorted by this field: only where its value changes. */
  | {
      readonly kind: 'ties'
      readonly field: number
      readonly cursor: (value: string) => Json
    }

export type Phase = Select & {
  readonly safe: SafePoints
  /** Cursor once every row of the statement was read; undefined when the last row's stands. */
  readonly end: Json | undefined
}

export type PlanInput = {
  readonly relation: Relation
  readonly columns: readonly RelationColumn[]
  readonly key: readonly RelationColumn[] | undefined
  /** Condition of the shard's key range. */
  readonly range: string | undefined
  readonly version: number
  readonly cursor: PostgresCursor | undefined
}

/** What the server computed for an incremental read, as SQL conditions on the cursor column. */
export type Bounds = {
  readonly upper: readonly string[]
  /** Where a re-read starts; undefined when nothing is read again. */
  readonly reread: string | undefined
  /** Largest value in reach, needed where the printed text cannot tell equal values. */
  readonly largest: string | undefined
}

export function planFull(input: PlanInput): readonly Phase[] {
  const { cursor, key } = input
  const end = encodeCursor({ kind: 'done' })
  if (cursor?.kind === 'done') return []
  if (cursor && cursor.kind !== 'key') throw wrongCursor(input, 'an incremental read')
  const after = cursor && afterKey(input, cursor.at)
  const base = { ...phaseBase(input, conditions(input.range, after)), end }
  if (!key) return [{ ...base, order: [], safe: { kind: 'none' } }]
  const toCursor = (at: Position): PostgresCursor => ({ kind: 'key', at })
  return [{ ...base, order: key, safe: safeRows(input.columns, key, toCursor) }]
}

export function planIncremental(
  input: PlanInput,
  column: RelationColumn,
  bounds: Bounds,
): readonly Phase[] {
  const at = valuePosition(input, column)
  const unplaced = planUnplaced(input, column)
  const again = at && bounds.reread ? [planReread(input, column, at, bounds.reread)] : []
  return [...unplaced, ...again, planValues(input, column, at, bounds)]
}

/** Rows with column values in a half-open range; `bounds.upper` holds both ends. */
export function planRange(
  input: PlanInput,
  column: RelationColumn,
  bounds: Bounds,
): readonly Phase[] {
  return [planValues(input, column, valuePosition(input, column), bounds)]
}

/** The order of an incremental read: the column, then the key's other columns. */
export function orderBy(
  key: readonly RelationColumn[] | undefined,
  column: RelationColumn,
): readonly RelationColumn[] {
  return [column, ...(key ?? []).filter((other) => other.name !== column.name)]
}

/** True when the largest value in reach must be asked for before the read. */
export function needsLargest(input: PlanInput, column: RelationColumn): boolean {
  return input.key === undefined && !isCanonical(column)
}

/** Conditions that every placed row which the cursor has not passed meets. */
export function valueConditions(
  input: PlanInput,
  column: RelationColumn,
  upper: readonly string[],
): readonly string[] {
  const at = valuePosition(input, column)
  const after = at && compare(passedBy(input, column, at), '>', at.values)
  return conditions(input.range, placed(column, input.version), after, ...upper)
}

/** First load only: rows whose value is null, infinite or NaN, in order of the key. */
function planUnplaced(input: PlanInput, column: RelationColumn): readonly Phase[] {
  const { cursor, key } = input
  const inOrder = placed(column, input.version)
  if (cursor?.kind === 'value' || inOrder === undefined) return []
  const after = cursor?.kind === 'unplaced' ? afterKey(input, cursor.at) : undefined
  const end = encodeCursor({ kind: 'value', column: column.name, at: undefined })
  const without = `(${inOrder}) IS NOT TRUE`
  const base = { ...phaseBase(input, conditions(input.range, without, after)), end }
  if (!key) return [{ ...base, order: [], safe: { kind: 'none' } }]
  const toCursor = (at: Position): PostgresCursor => ({ kind: 'unplaced', column: column.name, at })
  return [{ ...base, order: key, safe: safeRows(input.columns, key, toCursor) }]
}

/** What the lag window repeats: it never moves the cursor back. */
function planReread(input: PlanInput, column: RelationColumn, at: Position, from: string): Phase {
  const order = orderBy(input.key, column)
  const until = compare(passedBy(input, column, at), '<=', at.values)
  const where = conditions(input.range, placed(column, input.version), from, until)
  const cursor = encodeCursor({ kind: 'value', column: column.name, at })
  return { ...phaseBase(input, where), order, safe: { kind: 'fixed', cursor }, end: undefined }
}

function planValues(
  input: PlanInput,
  column: RelationColumn,
  at: Position | undefined,
  bounds: Bounds,
): Phase {
  const order = orderBy(input.key, column)
  const where = valueConditions(input, column, bounds.upper)
  const cursorAt = (position: Position): PostgresCursor => ({
    kind: 'value',
    column: column.name,
    at: position,
  })
  const atValue = (value: string): Json => encodeCursor(cursorAt(positionIn(order, [value])))
  const base = { ...phaseBase(input, where), order, byPlace: input.key === undefined }
  if (input.key) {
    return { ...base, safe: safeRows(input.columns, order, cursorAt), end: undefined }
  }
  if (isCanonical(column)) {
    const field = input.columns.indexOf(column)
    return { ...base, safe: { kind: 'ties', field, cursor: atValue }, end: undefined }
  }
  const end = bounds.largest ?? at?.values[0]
  return { ...base, safe: { kind: 'none' }, end: end === undefined ? undefined : atValue(end) }
}

function safeRows(
  columns: readonly RelationColumn[],
  order: readonly RelationColumn[],
  toCursor: (at: Position) => PostgresCursor,
): SafePoints {
  const fields = order.map((column) => columns.indexOf(column))
  const ascending = fields.toSorted((a, b) => a - b)
  const slots = fields.map((field) => ascending.indexOf(field))
  return {
    kind: 'rows',
    fields: ascending,
    cursor: (values) =>
      encodeCursor(
        toCursor(
          positionIn(
            order,
            slots.map((slot) => values[slot]!),
          ),
        ),
      ),
  }
}

function phaseBase(
  input: PlanInput,
  where: readonly string[],
): Pick<Phase, 'relation' | 'columns' | 'where'> {
  return { relation: input.relation, columns: input.columns, where }
}

function afterKey(input: PlanInput, at: Position): string {
  return compare(checkOrder(input, input.key ?? [], at), '>', at.values)
}

function valuePosition(input: PlanInput, column: RelationColumn): Position | undefined {
  const { cursor } = input
  if (cursor === undefined) return undefined
  if (cursor.kind === 'done' || cursor.kind === 'key') throw wrongCursor(input, 'a full load')
  if (cursor.column !== column.name) throw wrongCursor(input, `column "${cursor.column}"`)
  if (cursor.kind === 'unplaced' || !cursor.at) return undefined
  checkOrder(input, passedBy(input, column, cursor.at), cursor.at)
  return cursor.at
}

/** A cursor without a key, from before the table had one, has passed whole groups of equal values. */
function passedBy(
  input: PlanInput,
  column: RelationColumn,
  at: Position,
): readonly RelationColumn[] {
  const order = orderBy(input.key, column)
  return at.columns.length === 1 ? order.slice(0, 1) : order
}

/** A position means something only in the order that it was taken in. */
function checkOrder(
  input: PlanInput,
  order: readonly RelationColumn[],
  at: Position,
): readonly RelationColumn[] {
  const same =
    order.length === at.columns.length &&
    order.every(
      (column, i) => column.name === at.columns[i] && orderIdentity(column) === at.types[i],
    )
  if (same) return order
  const was = at.columns.map((name, i) => `${name} ${at.types[i]}`).join(', ')
  const now = order.map((column) => `${column.name} ${orderIdentity(column)}`).join(', ')
  throw new HakiriError(
    'SOURCE_FATAL',
    `${relationLabel(input.relation)}: the key that the read goes by was (${was}) and is now (${now || 'none'})`,
    { suggestion: 'Run the pipeline with --full-refresh.' },
  )
}

function conditions(...all: readonly (string | undefined)[]): readonly string[] {
  return all.filter((condition) => condition !== undefined)
}

function wrongCursor(input: PlanInput, of: string): HakiriError {
  return new HakiriError(
    'STATE_INVALID',
    `${relationLabel(input.relation)}: the cursor was made by ${of}, which is not how the shard is read now`,
    { suggestion: 'Run the pipeline with --full-refresh.' },
  )
}

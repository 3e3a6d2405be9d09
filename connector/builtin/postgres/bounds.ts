/**
 * The limits of an incremental read, asked of the server's own clock and data once, in the
 * transaction that the rows are read in: what becomes visible later waits for the next run.
 */
import { HakiriError } from '../../../lib/error.ts'
import { parseDuration } from '../../../lib/units.ts'
import type { ReadLag } from '../../connector.ts'
import { isDataError } from './errors.ts'
import { quoteText } from './names.ts'
import type { Bounds, PlanInput } from './read-plan.ts'
import { needsLargest, valueConditions } from './read-plan.ts'
import { relationLabel, type RelationColumn } from './relation.ts'
import type { Session } from './session.ts'
import { columnOf, largestSql, placed, valueOf } from './sql.ts'
import { isInteger, isNumeric, isTime } from './types.ts'

type ValueRow = { readonly value: string | null }

/** Bounds of a read by growing column values. */
export async function incrementalBounds(
  session: Session,
  input: PlanInput,
  column: RelationColumn,
  lag: ReadLag | undefined,
): Promise<Bounds> {
  const before = lag && windowBefore(input, column, lag.amount)
  const upper =
    before && lag?.kind === 'hold-back' ? await heldBack(session, input, column, before) : []
  const at = input.cursor?.kind === 'value' ? input.cursor.at : undefined
  const reread =
    before && lag?.kind === 're-read' && at
      ? `${columnOf(column)} >= ${before(at.values[0]!)}`
      : undefined
  return { upper, reread, largest: await largest(session, input, column, upper) }
}

/** Bounds of a read of column values in [from, to); throws USAGE when they are no such values. */
export async function rangeBounds(
  session: Session,
  input: PlanInput,
  column: RelationColumn,
  from: string,
  to: string,
): Promise<Bounds> {
  const [start, end] = [valueOf(column, from), valueOf(column, to)]
  try {
    await session.rows(`SELECT ${start}, ${end}`)
  } catch (error) {
    if (!(error instanceof HakiriError) || !isDataError(error.cause)) throw error
    throw new HakiriError(
      'USAGE',
      `"${from}" to "${to}" is no range of ${relationLabel(input.relation)}.${column.name} (${column.type.display})`,
      { cause: error, suggestion: 'Write both ends as the server would print them, in UTC.' },
    )
  }
  const upper = [`${columnOf(column)} >= ${start}`, `${columnOf(column)} < ${end}`]
  return { upper, reread: undefined, largest: await largest(session, input, column, upper) }
}

/**
 * Rows older than the window: by the server's clock for times (a date is over when its day is), by
 * the table's largest value for numbers.
 */
async function heldBack(
  session: Session,
  input: PlanInput,
  column: RelationColumn,
  before: WindowBefore,
): Promise<readonly string[]> {
  const name = columnOf(column)
  if (isTime(column.type)) {
    const { cast, builtin } = column.type
    const zone = builtin === 'timestamptz' ? 'timestamptz' : 'timestamp'
    const [now] = await session.rows<ValueRow>(`SELECT now()::${zone}::text AS value`)
    const bound = await oneValue(
      session,
      `SELECT (${before(now!.value!, zone)})::${cast}::text AS value`,
    )
    return [`${name} ${builtin === 'date' ? '<' : '<='} ${valueOf(column, bound!)}`]
  }
  const inOrder = placed(column, input.version)
  const where = inOrder === undefined ? [] : [inOrder]
  const most = await oneValue(session, largestSql({ relation: input.relation, where }, column))
  return most === null ? [] : [`${name} <= ${before(most)}`]
}

async function largest(
  session: Session,
  input: PlanInput,
  column: RelationColumn,
  upper: readonly string[],
): Promise<string | undefined> {
  if (!needsLargest(input, column)) return undefined
  const where = valueConditions(input, column, upper)
  const sql = largestSql({ relation: input.relation, where }, column)
  return (await oneValue(session, sql)) ?? undefined
}

async function oneValue(session: Session, sql: string): Promise<string | null> {
  const [row] = await session.rows<ValueRow>(sql)
  return row?.value ?? null
}

/** A value less the window, as SQL; `cast` where the value is not of the column's own type. */
type WindowBefore = (value: string, cast?: string) => string

const SMALLEST_BIGINT = -(2n ** 63n)

/** Throws CONFIG_INVALID when the window does not suit the column. */
function windowBefore(input: PlanInput, column: RelationColumn, amount: string): WindowBefore {
  const ms = parseDuration(amount)
  const { type } = column
  if (isTime(type) && ms !== undefined) {
    return (value, cast = type.cast) =>
      `${quoteText(value)}::${cast} - '${ms} milliseconds'::interval`
  }
  const whole = /^\d+$/.test(amount.trim()) ? BigInt(amount.trim()) : undefined
  if (isInteger(type) && whole !== undefined) {
    return (value) => {
      const less = BigInt(value) - whole
      return `'${less < SMALLEST_BIGINT ? SMALLEST_BIGINT : less}'::bigint`
    }
  }
  if (isNumeric(type) && whole !== undefined) {
    return (value) => `${quoteText(value)}::numeric - ${whole}::numeric`
  }
  throw unsuitable(input, column, amount)
}

function unsuitable(input: PlanInput, column: RelationColumn, amount: string): HakiriError {
  const number = isInteger(column.type) || isNumeric(column.type)
  const expected = isTime(column.type) ? 'a duration such as "10m"' : 'a whole number'
  return new HakiriError(
    'CONFIG_INVALID',
    `lag "${amount}" does not suit ${relationLabel(input.relation)}.${column.name} (${column.type.display})`,
    {
      suggestion:
        isTime(column.type) || number
          ? `Write ${expected}.`
          : 'Leave lag out, or use a time or number column as the cursor.',
      place: { key: 'write.lag' },
    },
  )
}

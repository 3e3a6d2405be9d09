/**
 * File statistics of the table log, as raw JSON text: whole numbers and decimals keep every digit, for
 * they never pass through a JavaScript number.
 *
 * Invariant: a bound is never tighter than the data. What cannot be bounded safely is left out.
 */
import { decimalParts, type ColumnType } from '../../lib/column.ts'

/** Columns with bounds; by default readers look no further. */
export const STATS_COLUMNS_MAX = 32
/** Characters kept of a text bound. */
export const STATS_PREFIX_MAX = 32

/** What is known of one column of a file. Leave out the partition columns. */
export type ColumnStats = {
  readonly name: string
  readonly type: ColumnType
  readonly nullCount: number
  /**
   * The smallest and largest value as text, undefined when unknown or all null: digits for numbers
   * (those of the equal double for a float), YYYY-MM-DD for dates, whole microseconds since 1970 UTC
   * for timestamps.
   */
  readonly min: string | undefined
  readonly max: string | undefined
}

/** `{"numRecords":…,"minValues":{…},"maxValues":{…},"nullCount":{…}}` for the first 32 columns. */
export function statsJson(rows: number, columns: readonly ColumnStats[]): string {
  const known = columns.slice(0, STATS_COLUMNS_MAX)
  const bounds = known.map((column) => ({ name: column.name, ...boundsOf(column) }))
  const object = (pairs: readonly (readonly [string, string | undefined])[]): string =>
    `{${pairs.flatMap(([name, text]) => (text === undefined ? [] : [`${JSON.stringify(name)}:${text}`])).join(',')}}`
  const parts = [
    `"numRecords":${rows}`,
    `"minValues":${object(bounds.map(({ name, min }) => [name, min]))}`,
    `"maxValues":${object(bounds.map(({ name, max }) => [name, max]))}`,
    `"nullCount":${object(known.map(({ name, nullCount }) => [name, String(nullCount)]))}`,
  ]
  return `{${parts.join(',')}}`
}

type Bounds = { readonly min: string | undefined; readonly max: string | undefined }
const NONE: Bounds = { min: undefined, max: undefined }

function boundsOf(column: ColumnStats): Bounds {
  const { min, max, type } = column
  if (min === undefined || max === undefined) return NONE
  if (decimalParts(type)) return both(min, max, exactNumber)
  switch (type) {
    case 'short':
    case 'integer':
    case 'long':
      return both(min, max, (text) => (/^-?\d+$/.test(text) ? exactNumber(text) : undefined))
    case 'float':
    case 'double':
      return signedZeros(both(min, max, exactNumber))
    case 'string':
      return { min: textMin(min), max: textMax(max) }
    case 'date':
      return both(min, max, (text) =>
        /^\d{4}-\d\d-\d\d$/.test(text) ? JSON.stringify(text) : undefined,
      )
    case 'timestamp':
      return { min: millisecond(min, 0n), max: millisecond(max, 999n) }
    case 'boolean':
    case 'binary':
      return NONE
    default:
      return NONE
  }
}

/** Some readers order -0 below 0, and a file's smallest value does not say which zeros it holds. */
function signedZeros({ min, max }: Bounds): Bounds {
  return { min: Number(min) === 0 ? '-0.0' : min, max: Number(max) === 0 ? '0.0' : max }
}

/** NaN and infinities have no place in JSON, and one of them makes the other bound worthless too. */
function both(min: string, max: string, convert: (text: string) => string | undefined): Bounds {
  const [low, high] = [convert(min), convert(max)]
  return low === undefined || high === undefined ? NONE : { min: low, max: high }
}

/** The digits as they are, in the form that JSON asks for. */
function exactNumber(text: string): string | undefined {
  const match = /^(-?)0*(\d+)(\.\d+)?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match) return undefined
  const [, sign, digits, fraction, exponent] = match
  return `${sign}${digits}${fraction ?? ''}${exponent === undefined ? '' : `e${exponent}`}`
}

function textMin(text: string): string | undefined {
  if (!text.isWellFormed()) return undefined
  return JSON.stringify(firstPoints(text).slice(0, STATS_PREFIX_MAX).join(''))
}

/** A text that is not below `text`, in the order of code points, which is that of UTF-8 bytes. */
function textMax(text: string): string | undefined {
  if (!text.isWellFormed()) return undefined
  const points = firstPoints(text)
  if (points.length <= STATS_PREFIX_MAX) return JSON.stringify(text)
  const prefix = points.slice(0, STATS_PREFIX_MAX)
  while (prefix.length > 0) {
    const next = nextPoint(prefix.pop()!)
    if (next !== undefined) return JSON.stringify(prefix.join('') + next)
  }
  return undefined
}

/** The first code points of a text, one more than a bound keeps. */
function firstPoints(text: string): readonly string[] {
  return Array.from(text.slice(0, 2 * (STATS_PREFIX_MAX + 1))).slice(0, STATS_PREFIX_MAX + 1)
}

function nextPoint(character: string): string | undefined {
  const point = character.codePointAt(0)! + 1
  if (point > 0x10ffff) return undefined
  return String.fromCodePoint(point === 0xd800 ? 0xe000 : point)
}

const MICROS_PER_DAY = 86_400_000_000n
/** The years that ISO text without a sign can say, in days since 1970. */
const FIRST_DAY = -719_162n
const LAST_DAY = 2_932_896n

/** Microseconds as ISO text of the millisecond that holds `micros + roundUp`. */
function millisecond(text: string, roundUp: bigint): string | undefined {
  if (!/^-?\d+$/.test(text)) return undefined
  const micros = floor(BigInt(text) + roundUp, 1_000n) * 1_000n
  const day = floor(micros, MICROS_PER_DAY)
  if (day < FIRST_DAY || day > LAST_DAY) return undefined
  const millis = Number((micros - day * MICROS_PER_DAY) / 1_000n)
  const two = (value: number): string => String(value).padStart(2, '0')
  const clock = [millis / 3_600_000, (millis / 60_000) % 60, (millis / 1_000) % 60].map((part) =>
    two(Math.floor(part)),
  )
  return `"${civilDate(Number(day))}T${clock.join(':')}.${String(millis % 1_000).padStart(3, '0')}Z"`
}

function floor(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  return value % divisor < 0n ? quotient - 1n : quotient
}

/** Days since 1970 as YYYY-MM-DD of the Gregorian calendar, counted in eras of 400 years from March. */
function civilDate(day: number): string {
  const shifted = day + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const dayOfMonth = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const pad = (value: number, width: number): string => String(value).padStart(width, '0')
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)}`
}

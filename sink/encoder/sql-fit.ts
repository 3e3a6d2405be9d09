/**
 * From text to typed values, exactly. Each expression gives the value when the text stands for exactly
 * one value of the type, else null; it never rounds, wraps, or guesses. The engine's own casts do all
 * three ('1.5' → 2, '1_0' → 10, '0044-03-15 BC' → the year 44 after Christ, an offset ignored), so
 * every cast is followed by a proof: the value printed back is the text, or the text matches a grammar
 * under which the cast is known to be exact.
 */
import { decimalParts } from '../../lib/column.ts'
import type { ColumnType } from '../../lib/column.ts'
import { engineType, literal } from './sql-text.ts'

/** `text` as `type`, or null when it does not fit. `text` may be evaluated several times. */
export function fitText(text: string, type: ColumnType): string {
  switch (type) {
    case 'string':
      return text
    case 'boolean':
      return (
        `CASE WHEN ${text} = 't' THEN true WHEN ${text} = 'f' THEN false ` +
        `WHEN lower(${text}) = 'true' THEN true WHEN lower(${text}) = 'false' THEN false END`
      )
    case 'short':
    case 'integer':
    case 'long':
      return fitPrinted(text, type)
    case 'float':
      return fitFloat(text)
    case 'double':
      return fitDouble(text)
    case 'binary':
      return (
        `CASE WHEN starts_with(${text}, '\\x') AND length(${text}) % 2 = 0 ` +
        `THEN TRY(unhex(substr(${text}, 3))) END`
      )
    case 'date':
      return fitDate(text)
    case 'timestamp':
      return fitTimestamp(text)
    default:
      return fitDecimal(text, type)
  }
}

function fitPrinted(text: string, type: ColumnType): string {
  const value = `TRY_CAST(${text} AS ${engineType(type)})`
  return `CASE WHEN CAST(${value} AS VARCHAR) = ${text} THEN ${value} END`
}

/** Fraction digits beyond the scale must be zeros. */
function fitDecimal(text: string, type: ColumnType): string {
  const { precision, scale } = decimalParts(type)!
  const value = `TRY_CAST(${text} AS DECIMAL(${precision},${scale}))`
  const grammar = `-?\\d*(\\.\\d{0,${scale}}0*)?`
  return (
    `CASE WHEN CAST(${value} AS VARCHAR) = ${text} THEN ${value} ` +
    `WHEN regexp_full_match(${text}, ${literal(grammar)}) THEN ${value} END`
  )
}

const NUMBER = literal('-?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?')
const WHOLE_NUMBER = literal('-?\\d+')
const NOT_FINITE = literal('(?i)nan|[+-]?inf(inity)?')

/** Fractions round to the nearest double, as everywhere; whole numbers must be exact. */
function fitDouble(text: string): string {
  const value = `TRY_CAST(${text} AS DOUBLE)`
  return (
    `CASE WHEN CAST(${value} AS VARCHAR) = ${text} AND isfinite(${value}) THEN ${value} ` +
    `WHEN isfinite(${value}) AND length(${text}) > 15 AND regexp_full_match(${text}, ${WHOLE_NUMBER}) ` +
    `THEN CASE WHEN TRY_CAST(${value} AS HUGEINT) = TRY_CAST(${text} AS HUGEINT) THEN ${value} END ` +
    `WHEN isfinite(${value}) THEN CASE WHEN regexp_full_match(${text}, ${NUMBER}) THEN ${value} END ` +
    `WHEN regexp_full_match(${text}, ${NOT_FINITE}) THEN ${value} END`
  )
}

/** A float must be the shortest form of the text: its digits, read as a double, give the same double. */
function fitFloat(text: string): string {
  const value = `TRY_CAST(${text} AS FLOAT)`
  const same = `TRY_CAST(CAST(${value} AS VARCHAR) AS DOUBLE) = TRY_CAST(${text} AS DOUBLE)`
  return (
    `CASE WHEN isfinite(${value}) THEN ` +
    `CASE WHEN ${same} AND regexp_full_match(${text}, ${NUMBER}) THEN ${value} END ` +
    `WHEN regexp_full_match(${text}, ${NOT_FINITE}) THEN ${value} END`
  )
}

function fitDate(text: string): string {
  const value = `TRY_CAST(${text} AS DATE)`
  const before = literal('\\d{4,7}-\\d\\d-\\d\\d BC')
  return (
    `CASE WHEN CAST(${value} AS VARCHAR) = ${text} ` +
    `THEN CASE WHEN isfinite(${value}) THEN ${value} END ` +
    `WHEN regexp_full_match(${text}, ${before}) ` +
    `THEN TRY_CAST(left(${text}, -3) || ' (BC)' AS DATE) END`
  )
}

const CLOCK = '\\d{4,6}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,6}0*)?)?'
const NAIVE_TEXT = literal(`${CLOCK}( BC)?`)
const ZONED_TEXT = literal(`${CLOCK} ?([zZ]|UTC|[+-]\\d\\d(:?\\d\\d(:\\d\\d)?)?)( BC)?`)

/**
 * Text without an offset is UTC. The two short cuts cover what servers send ("…+00", "…Z", and naive
 * text printed canonically); casting to a naive TIMESTAMP is several times faster than to an instant.
 * The length limits refuse digits beyond microseconds.
 */
function fitTimestamp(text: string): string {
  const naive = `TRY_CAST(${text} AS TIMESTAMP)`
  const instant = (expression: string): string => `make_timestamptz(epoch_us(${expression}))`
  const era = (expression: string): string =>
    `CASE WHEN ends_with(${expression}, ' BC') ` +
    `THEN regexp_replace(left(${expression}, -3), '[ T]', ' (BC) ') ELSE ${expression} END`
  const utc =
    `(ends_with(${text}, '+00') AND length(${text}) BETWEEN 22 AND 29) ` +
    `OR (ends_with(${text}, 'Z') AND length(${text}) BETWEEN 20 AND 27)`
  return (
    `CASE WHEN ${utc} THEN ${instant(naive)} ` +
    `WHEN CAST(${naive} AS VARCHAR) = ${text} THEN ${instant(naive)} ` +
    `WHEN regexp_full_match(${text}, ${NAIVE_TEXT}) ` +
    `THEN ${instant(`TRY_CAST(${era(text)} AS TIMESTAMP)`)} ` +
    `WHEN regexp_full_match(${text}, ${ZONED_TEXT}) ` +
    `THEN ${instant(`TRY_CAST(${era(text)} AS TIMESTAMPTZ)`)} END`
  )
}

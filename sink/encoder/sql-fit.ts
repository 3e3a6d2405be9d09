/**
 * From text to typed values, exactly: a value counts only when the text stands for exactly one value of
 * the type; nothing is rounded, wrapped, or guessed. The engine's own casts do all
 * three ('1.5' → 2, '1_0' → 10, '0044-03-15 BC' → the year 44 after Christ, an offset ignored), so
 * every cast is followed by a proof: the value printed back is the text, or the text matches a grammar
 * under which the cast is known to be exact.
 */
import { decimalParts } from '../../lib/column.ts'
import type { ColumnType } from '../../lib/column.ts'
import { engineType, literal } from './sql-text.ts'

/** A conversion and what proves it: where `proof` is not true the text does not fit. */
export type Fit = {
  /** Of the engine's type; anything where the proof fails. */
  readonly value: string
  /** Boolean or null. */
  readonly proof: string
}

/** The value where it fits, else null. */
export function orNull({ value, proof }: Fit): string {
  return `CASE WHEN ${proof} THEN ${value} END`
}

/** `text`, an expression that may be evaluated several times, as `type`. */
export function fitText(text: string, type: ColumnType): Fit {
  switch (type) {
    case 'string':
      return { value: text, proof: 'true' }
    case 'boolean':
      return proven(
        `CASE WHEN ${text} = 't' THEN true WHEN ${text} = 'f' THEN false ` +
          `WHEN lower(${text}) = 'true' THEN true WHEN lower(${text}) = 'false' THEN false END`,
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
      return proven(
        `CASE WHEN starts_with(${text}, '\\x') AND length(${text}) % 2 = 0 ` +
          `THEN TRY(unhex(substr(${text}, 3))) END`,
      )
    case 'date':
      return fitDate(text)
    case 'timestamp':
      return fitTimestamp(text)
    default:
      return fitDecimal(text, type)
  }
}

/** An expression that is null where the text does not fit. */
function proven(value: string): Fit {
  return { value, proof: `${value} IS NOT NULL` }
}

function fitPrinted(text: string, type: ColumnType): Fit {
  const value = `TRY_CAST(${text} AS ${engineType(type)})`
  return { value, proof: `CAST(${value} AS VARCHAR) = ${text}` }
}

/** Fraction digits beyond the scale must be zeros. */
function fitDecimal(text: string, type: ColumnType): Fit {
  const { precision, scale } = decimalParts(type)!
  const value = `TRY_CAST(${text} AS DECIMAL(${precision},${scale}))`
  const grammar = literal(`-?\\d*(\\.\\d{0,${scale}}0*)?`)
  const proof =
    `CASE WHEN CAST(${value} AS VARCHAR) = ${text} THEN true ` +
    `ELSE ${value} IS NOT NULL AND regexp_full_match(${text}, ${grammar}) END`
  return { value, proof }
}

const NUMBER = literal('-?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?')
const WHOLE_NUMBER = literal('-?\\d+')
const NOT_FINITE = literal('(?i)nan|[+-]?inf(inity)?')

/**
 * Fractions round to the nearest double, as everywhere. A whole number must be exact, or be the short
 * form in which that double is printed, with zeros behind its digits.
 */
function fitDouble(text: string): Fit {
  const value = `TRY_CAST(${text} AS DOUBLE)`
  const printed = `CAST(${value} AS VARCHAR)`
  const digits = `rtrim(ltrim(replace(regexp_replace(${printed}, 'e.*|\\.0$', ''), '.', ''), '-0'), '0')`
  const exact =
    `TRY_CAST(${value} AS HUGEINT) = TRY_CAST(${text} AS HUGEINT) OR ` +
    `rtrim(ltrim(${text}, '-0'), '0') = ${digits}`
  const proof =
    `CASE WHEN NOT isfinite(${value}) THEN regexp_full_match(${text}, ${NOT_FINITE}) ` +
    `WHEN ${printed} = ${text} THEN true ` +
    `WHEN length(${text}) > 15 AND regexp_full_match(${text}, ${WHOLE_NUMBER}) THEN ${exact} ` +
    `ELSE regexp_full_match(${text}, ${NUMBER}) END`
  return { value, proof }
}

/** A float must be the shortest form of the text: its digits, read as a double, give the same double. */
function fitFloat(text: string): Fit {
  const value = `TRY_CAST(${text} AS FLOAT)`
  const same = `TRY_CAST(CAST(${value} AS VARCHAR) AS DOUBLE) = TRY_CAST(${text} AS DOUBLE)`
  const proof =
    `CASE WHEN isfinite(${value}) THEN ${same} AND regexp_full_match(${text}, ${NUMBER}) ` +
    `ELSE regexp_full_match(${text}, ${NOT_FINITE}) END`
  return { value, proof }
}

function fitDate(text: string): Fit {
  const value = `TRY_CAST(${text} AS DATE)`
  const before = literal('\\d{4,7}-\\d\\d-\\d\\d BC')
  return proven(
    `CASE WHEN CAST(${value} AS VARCHAR) = ${text} ` +
      `THEN CASE WHEN isfinite(${value}) THEN ${value} END ` +
      `WHEN regexp_full_match(${text}, ${before}) ` +
      `THEN TRY_CAST(left(${text}, -3) || ' (BC)' AS DATE) END`,
  )
}

const CLOCK = '\\d{4,6}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,6}0*)?)?'
const NAIVE_TEXT = literal(`${CLOCK}( BC)?`)
const ZONED_TEXT = literal(`${CLOCK} ?([zZ]|UTC|[+-]\\d\\d(:?\\d\\d(:\\d\\d)?)?)( BC)?`)

/**
 * Text without an offset is UTC. The short cuts cover what servers send ("…+00", "…Z", and naive text
 * printed canonically); casting to a naive TIMESTAMP is several times faster than to an instant. The
 * length limits refuse digits beyond microseconds. Infinity becomes null.
 */
function fitTimestamp(text: string): Fit {
  const naive = `TRY_CAST(${text} AS TIMESTAMP)`
  const era =
    `CASE WHEN ends_with(${text}, ' BC') ` +
    `THEN regexp_replace(left(${text}, -3), '[ T]', ' (BC) ') ELSE ${text} END`
  const utc =
    `(ends_with(${text}, '+00') AND length(${text}) BETWEEN 22 AND 29) ` +
    `OR (ends_with(${text}, 'Z') AND length(${text}) BETWEEN 20 AND 27)`
  const micros =
    `CASE WHEN ${utc} THEN epoch_us(${naive}) ` +
    `WHEN CAST(${naive} AS VARCHAR) = ${text} THEN epoch_us(${naive}) ` +
    `WHEN regexp_full_match(${text}, ${NAIVE_TEXT}) THEN epoch_us(TRY_CAST(${era} AS TIMESTAMP)) ` +
    `WHEN regexp_full_match(${text}, ${ZONED_TEXT}) THEN epoch_us(TRY_CAST(${era} AS TIMESTAMPTZ)) END`
  return { value: `make_timestamptz(${micros})`, proof: `${micros} IS NOT NULL` }
}

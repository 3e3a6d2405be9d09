/**
 * Which values go into which column type without losing anything. Types of a table never change in
 * place (the log's protocol cannot say so), hence a value either fits its column or goes elsewhere.
 */
import { decimalParts, type ColumnType } from '../../lib/column.ts'

const PLAIN: readonly ColumnType[] = [
  'boolean',
  'short',
  'integer',
  'long',
  'float',
  'double',
  'string',
  'binary',
  'date',
  'timestamp',
]

/** Decimal digits that hold every value of a whole-number type. */
const DIGITS: Readonly<Record<string, number>> = { short: 5, integer: 10, long: 19 }

/** Whole-number digits that always fit such a type. */
const DIGITS_SAFE: Readonly<Record<string, number>> = { short: 4, integer: 9, long: 18 }

/** Wider types that keep every value of a narrower one. */
const WIDER: Readonly<Record<string, readonly ColumnType[]>> = {
  short: ['integer', 'long', 'float', 'double'],
  integer: ['long', 'double'],
  float: ['double'],
}

/** Reads "timestamp", "decimal(10,2)" …; undefined for anything else, and for more than 38 digits. */
export function parseColumnType(text: string): ColumnType | undefined {
  const plain = PLAIN.find((type) => type === text)
  if (plain) return plain
  const type = text.replaceAll(' ', '') as ColumnType
  const parts = decimalParts(type)
  const valid =
    parts && parts.precision >= 1 && parts.precision <= 38 && parts.scale <= parts.precision
  return valid ? `decimal(${parts.precision},${parts.scale})` : undefined
}

/** True when every value of type `from` is kept whole in a column of type `to`; anything is, as text. */
export function keepsEveryValue(from: ColumnType, to: ColumnType): boolean {
  if (from === to || to === 'string') return true
  if (WIDER[from]?.includes(to)) return true
  const source = decimalParts(from)
  const target = decimalParts(to)
  if (target) return fitsDecimal(source ?? wholeNumber(from), target)
  const digits = DIGITS_SAFE[to]
  return (
    source !== undefined && digits !== undefined && source.scale === 0 && source.precision <= digits
  )
}

/**
 * True when values of type `from` as a rule fit a column of type `to` though not all must: numbers that
 * a source announces in a wider type, whole numbers in a column of fractions. Worth trying, because the
 * encoder refuses a value that does not fit.
 */
export function keepsMostValues(from: ColumnType, to: ColumnType): boolean {
  const isWhole = from in DIGITS
  if (isWhole && (to in DIGITS || to === 'float' || to === 'double')) return true
  return decimalParts(to) !== undefined && (isWhole || decimalParts(from) !== undefined)
}

type Digits = { readonly precision: number; readonly scale: number }

function wholeNumber(type: ColumnType): Digits | undefined {
  const digits = DIGITS[type]
  return digits === undefined ? undefined : { precision: digits, scale: 0 }
}

function fitsDecimal(source: Digits | undefined, target: Digits): boolean {
  if (!source) return false
  return (
    source.scale <= target.scale &&
    source.precision - source.scale <= target.precision - target.scale
  )
}

/**
 * Values of a Delta Lake table as the public protocol defines them: how each type is written in a
 * partition value or in file statistics, and how two values of one type compare. Nothing is rounded:
 * long is bigint, decimal is text with its full scale, timestamp is microseconds, date is days.
 */

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value }

export type DeltaType = string | StructType | ArrayType | MapType
export type StructType = { readonly type: 'struct'; readonly fields: readonly DeltaField[] }
export type ArrayType = {
  readonly type: 'array'
  readonly elementType: DeltaType
  readonly containsNull: boolean
}
export type MapType = {
  readonly type: 'map'
  readonly keyType: DeltaType
  readonly valueType: DeltaType
  readonly valueContainsNull: boolean
}
export type DeltaField = {
  readonly name: string
  readonly type: DeltaType
  readonly nullable: boolean
  readonly metadata: { readonly [key: string]: unknown }
}

const INTEGER_RANGES: { readonly [type: string]: readonly [bigint, bigint] } = {
  byte: [-128n, 127n],
  short: [-32768n, 32767n],
  integer: [-2147483648n, 2147483647n],
  long: [-9223372036854775808n, 9223372036854775807n],
}

const MICROS_PER_DAY = 86_400_000_000n

/** Precision and scale of `decimal(p,s)`; undefined for other types. */
export function decimalOf(type: DeltaType): { precision: number; scale: number } | undefined {
  const match = typeof type === 'string' ? /^decimal\((\d+),\s*(\d+)\)$/.exec(type) : null
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : undefined
}

/** A decimal's text from its unscaled integer: (1250n, 2) → "12.50". */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  const sign = unscaled < 0n ? '-' : ''
  return scale === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-scale)}`
}

/** A big-endian two's complement integer, as Parquet stores wide decimals. */
export function bigintOf(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return BigInt.asIntN(bytes.length * 8, value)
}

/**
 * Reads the text of a number, date, timestamp or boolean as a value of `type`; throws on text that is
 * not one. Statistics and partition values share these forms.
 */
export function parseText(type: string, text: string): Value {
  if (type === 'string') return text
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  if (type in INTEGER_RANGES) return parseInteger(type, text)
  if ((type === 'float' || type === 'double') && isFloatText(text)) return Number(text)
  if (type === 'date') return Number(daysOf(text))
  if (type === 'timestamp' || type === 'timestamp_ntz') return microsOf(text)
  const decimal = decimalOf(type)
  if (decimal) return decimalText(unscaledOf(text, decimal.scale), decimal.scale)
  throw new Error(`${JSON.stringify(text)} is not a ${type}`)
}

function isFloatText(text: string): boolean {
  return text === 'NaN' || (text.trim() === text && text !== '' && !Number.isNaN(Number(text)))
}

/** A partition value: null and the empty string are null. */
export function parsePartitionValue(type: DeltaType, text: string | null): Value {
  if (text === null || text === '') return null
  if (typeof type !== 'string') throw new Error('a partition column has a nested type')
  if (type === 'binary') return Uint8Array.from(text, (char) => char.charCodeAt(0))
  return parseText(type, text)
}

function parseInteger(type: string, text: string): Value {
  const range = INTEGER_RANGES[type]
  if (!range || !/^-?\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a ${type}`)
  const value = BigInt(text)
  if (value < range[0] || value > range[1]) throw new Error(`${text} is out of range for ${type}`)
  return type === 'long' ? value : Number(value)
}

/** The unscaled integer of decimal text; throws when digits would be lost. */
function unscaledOf(text: string, scale: number): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match) throw new Error(`${JSON.stringify(text)} is not a decimal`)
  const fraction = match[3] ?? ''
  const shift = scale - fraction.length + Number(match[4] ?? 0)
  const digits = BigInt(`${match[2]}${fraction}`)
  const divisor = 10n ** BigInt(Math.max(0, -shift))
  if (digits % divisor !== 0n) throw new Error(`${text} has more than ${scale} decimal places`)
  const unscaled = (digits / divisor) * 10n ** BigInt(Math.max(0, shift))
  return match[1] === '-' ? -unscaled : unscaled
}

function daysOf(text: string): bigint {
  const match = /^([+-]?\d{4,6})-(\d\d)-(\d\d)$/.exec(text)
  if (!match) throw new Error(`${JSON.stringify(text)} is not a date`)
  const at = new Date(0)
  at.setUTCFullYear(Number(match[1]), Number(match[2]) - 1, Number(match[3]))
  if (at.getUTCDate() !== Number(match[3])) throw new Error(`${text} is not a day of the calendar`)
  return BigInt(at.getTime() / 86_400_000)
}

/** Microseconds since the epoch; text without a zone is taken as UTC. */
function microsOf(text: string): bigint {
  const match =
    /^(.+?)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? undefined
  if (!match) throw new Error(`${JSON.stringify(text)} is not a timestamp`)
  const [, day = '', hour, minute, second, fraction = '', zone = 'Z'] = match
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second)
  const micros = BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  return daysOf(day) * MICROS_PER_DAY + micros - zoneMicros(zone)
}

function zoneMicros(zone: string): bigint {
  if (zone === 'Z') return 0n
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return BigInt(zone.startsWith('-') ? -minutes : minutes) * 60_000_000n
}

// From U+D800 on, UTF-16 order and code point order part ways.
const WIDE = /[\uD800-\uFFFF]/

/** Order of two non-null values of a primitive type: strings by code point, decimals by number. */
export function compareValues(type: string, a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') {
    const decimal = decimalOf(type)
    if (decimal) return order(unscaledOf(a, decimal.scale), unscaledOf(b, decimal.scale))
    return WIDE.test(a) && WIDE.test(b)
      ? Buffer.compare(Buffer.from(a), Buffer.from(b))
      : order(a, b)
  }
  if (typeof a === 'number' && typeof b === 'number') return order(a, b)
  if (typeof a === 'bigint' && typeof b === 'bigint') return order(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return order(Number(a), Number(b))
  throw new Error(`${typeof a} and ${typeof b} are not two comparable values of ${type}`)
}

function order<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** JSON whose numbers keep every digit: each number becomes `{number: "its text"}`. */
export function parseExactJson(text: string): unknown {
  const keepDigits = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' ? { number: context?.source ?? String(value) } : value
  return JSON.parse(text, keepDigits)
}

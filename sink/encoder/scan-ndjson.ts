/**
 * Looks at every top-level field of every row of an NDJSON batch: which names there are and which kinds
 * of value each holds. Works on bytes and builds no objects, because all data of a JSON source passes
 * here. It never guesses: what it does not understand it counts as malformed, and the caller repairs
 * the batch with a strict parser. Nested values are only skipped, so their inside is not checked.
 */
import { isUtf8 } from 'node:buffer'
import { HakiriError } from '../../lib/error.ts'
import { skipNested, skipString, SKIP_FAILED } from './skip-json.ts'

/** Kinds of value seen in one column, a bit each; null has none. */
export const KIND = {
  boolean: 1,
  /** Integral, more than nine digits, within 64 bits, and exact as a double (or its short form). */
  long: 2,
  /** Integral, within 64 bits, not exact as a double. */
  wideLong: 4,
  /** Integral, beyond 64 bits, at most 38 digits. */
  big: 8,
  /** Integral, beyond 38 digits. */
  huge: 16,
  /** With fraction or exponent. */
  double: 32,
  string: 64,
  nested: 128,
  /** Integral, at most nine digits: fits 32 bits. */
  small: 256,
} as const

/** Distinct field names that one batch may have. */
export const FIELDS_MAX = 10_000

export type ScannedColumn = { readonly name: string; readonly kinds: number }

export type ScanResult = {
  /** In order of first appearance; names differ at least in case. */
  readonly columns: readonly ScannedColumn[]
  /** Lines that are not blank. */
  readonly rows: number
  /** Rows that are not one JSON object, or name a field twice. */
  readonly malformed: number
  readonly longestLine: number
}

type Field = {
  readonly name: string
  readonly index: number
  /** The name as it stands in the file, without quotes. */
  readonly raw: Buffer
  kinds: number
  /** Last row that had it: finds doubled names. */
  row: number
}

/** The state of one scan. */
export type NdjsonScan = {
  readonly byName: Map<string, Field>
  /** By the bytes of the name, read as latin-1. */
  readonly byRaw: Map<string, Field>
  readonly fields: Field[]
  rows: number
  malformed: number
  longestLine: number
  /** Kind of the value that was skipped last. */
  kind: number
  doubled: string | undefined
  /** Index behind the closing quote of the field name that was read last. */
  nameEnd: number
}

const [NEWLINE, QUOTE, COMMA, COLON, OPEN, CLOSE] = [10, 34, 44, 58, 123, 125]
const [OPEN_LIST, MINUS, DOT, UPPER_E, LOWER_E, BACKSLASH] = [91, 45, 46, 69, 101, 92]
/** Fields that are tried in their usual order before a name is looked up. */
const LOOK_AHEAD = 4

export function startNdjsonScan(): NdjsonScan {
  return {
    byName: new Map(),
    byRaw: new Map(),
    fields: [],
    rows: 0,
    malformed: 0,
    longestLine: 0,
    kind: 0,
    doubled: undefined,
    nameEnd: 0,
  }
}

/** Scans the whole lines at the start of `block`; returns how many bytes they take. */
export function scanLines(scan: NdjsonScan, block: Buffer): number {
  let start = 0
  for (;;) {
    const end = block.indexOf(NEWLINE, start)
    if (end < 0) return start
    if (end - start > scan.longestLine) scan.longestLine = end - start
    const at = skipSpaces(block, start)
    if (at < end) {
      scan.rows++
      if (!scanRow(scan, block, at, end)) scan.malformed++
    }
    start = end + 1
  }
}

/** Why `line`, which ends in a newline and is not blank, is not one plain object. */
export function lineProblem(scan: NdjsonScan, line: Buffer): string | undefined {
  scan.rows++
  scan.doubled = undefined
  const at = skipSpaces(line, 0)
  if (scanRow(scan, line, at, line.length - 1)) return undefined
  if (scan.doubled !== undefined) return `field ${JSON.stringify(scan.doubled)} appears twice`
  return line[at] === OPEN ? 'malformed JSON' : 'not a JSON object'
}

export function scanResult(scan: NdjsonScan): ScanResult {
  const { rows, malformed, longestLine } = scan
  const columns = scan.fields.map(({ name, kinds }) => ({ name, kinds }))
  return { columns, rows, malformed, longestLine }
}

/** True when [at, end) is one object that names no field twice; `end` is the index of the newline. */
function scanRow(scan: NdjsonScan, buf: Buffer, at: number, end: number): boolean {
  let p = at + 1
  let expected = 0
  if (buf[at] !== OPEN) return false
  for (;;) {
    p = skipSpaces(buf, p)
    if (buf[p] === CLOSE) return skipSpaces(buf, p + 1) >= end
    if (buf[p] !== QUOTE) return false
    const field = expectedField(scan, buf, p + 1, expected) ?? foundField(scan, buf, p + 1, end)
    if (!field || field.row === scan.rows) {
      scan.doubled = field?.name
      return false
    }
    expected = field.index + 1
    p = skipSpaces(buf, scan.nameEnd)
    if (buf[p] !== COLON) return false
    p = skipValue(scan, buf, skipSpaces(buf, p + 1), end)
    if (p === SKIP_FAILED) return false
    field.row = scan.rows
    field.kinds |= scan.kind
    p = skipSpaces(buf, p)
    if (buf[p] === COMMA) p++
    else if (buf[p] !== CLOSE) return false
  }
}

/** The field at `at` when it is one of the next few in the usual order. */
function expectedField(
  scan: NdjsonScan,
  buf: Buffer,
  at: number,
  expected: number,
): Field | undefined {
  const last = Math.min(expected + LOOK_AHEAD, scan.fields.length)
  for (let index = expected; index < last; index++) {
    const field = scan.fields[index]!
    if (buf[at + field.raw.length] !== QUOTE || !startsWith(buf, at, field.raw)) continue
    scan.nameEnd = at + field.raw.length + 1
    return field
  }
  return undefined
}

function foundField(scan: NdjsonScan, buf: Buffer, at: number, end: number): Field | undefined {
  scan.nameEnd = skipString(buf, at, end)
  if (scan.nameEnd === SKIP_FAILED) return undefined
  const key = buf.toString('latin1', at, scan.nameEnd - 1)
  const known = scan.byRaw.get(key)
  if (known) return known
  const raw = Buffer.from(buf.subarray(at, scan.nameEnd - 1))
  const name = decodeName(raw)
  if (name === undefined) return undefined
  const field = scan.byName.get(name) ?? addField(scan, name, raw)
  if (scan.byRaw.size < 2 * FIELDS_MAX) scan.byRaw.set(key, field)
  return field
}

function addField(scan: NdjsonScan, name: string, raw: Buffer): Field {
  if (scan.fields.length >= FIELDS_MAX) {
    throw new HakiriError(
      'SCHEMA_INVALID',
      `More than ${FIELDS_MAX} different fields in one batch`,
      {
        suggestion: 'Let the source send maps with changing keys as one nested field.',
      },
    )
  }
  const field = { name, index: scan.fields.length, raw, kinds: 0, row: -1 }
  scan.byName.set(name, field)
  scan.fields.push(field)
  return field
}

/** Index behind the value at `at`; leaves its kind in the scan. */
function skipValue(scan: NdjsonScan, buf: Buffer, at: number, end: number): number {
  const byte = buf[at]!
  if (byte === QUOTE) {
    scan.kind = KIND.string
    return skipString(buf, at + 1, end)
  }
  if (byte === OPEN || byte === OPEN_LIST) {
    scan.kind = KIND.nested
    return skipNested(buf, at, end)
  }
  return byte === MINUS || isDigit(byte)
    ? skipNumber(scan, buf, at, end)
    : skipWord(scan, buf, at, end)
}

function skipNumber(scan: NdjsonScan, buf: Buffer, at: number, end: number): number {
  const start = buf[at] === MINUS ? at + 1 : at
  let p = start
  while (isDigit(buf[p]!)) p++
  const digits = p - start
  const byte = buf[p]!
  if (byte === DOT || byte === UPPER_E || byte === LOWER_E) {
    scan.kind = KIND.double
    while (p < end && buf[p]! > 32 && buf[p] !== COMMA && buf[p] !== CLOSE) p++
    return p
  }
  if (digits < 10) scan.kind = KIND.small
  else scan.kind = digits < 16 ? KIND.long : wideKind(buf.toString('latin1', at, p), digits)
  return digits === 0 ? SKIP_FAILED : p
}

function wideKind(text: string, digits: number): number {
  if (digits > 38) return KIND.huge
  const value = BigInt(text)
  if (value !== BigInt.asIntN(64, value)) return KIND.big
  const double = Number(value)
  return BigInt(double) === value || String(double) === text ? KIND.long : KIND.wideLong
}

/** `null`, `true`, `false`. NaN and Infinity are not JSON. */
function skipWord(scan: NdjsonScan, buf: Buffer, at: number, end: number): number {
  let p = at
  while (p < end && buf[p]! >= 97 && buf[p]! <= 122) p++
  const word = buf.toString('latin1', at, p)
  scan.kind = word === 'null' ? 0 : KIND.boolean
  return word === 'null' || word === 'true' || word === 'false' ? p : SKIP_FAILED
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57
}

function skipSpaces(buf: Buffer, at: number): number {
  let p = at
  while (buf[p] === 32 || buf[p] === 9 || buf[p] === 13) p++
  return p
}

function startsWith(buf: Buffer, at: number, text: Buffer): boolean {
  for (let i = 0; i < text.length; i++) if (buf[at + i] !== text[i]) return false
  return true
}

/** Undefined for what cannot be the name of a column: no text, or text with a zero byte in it. */
function decodeName(raw: Buffer): string | undefined {
  if (!isUtf8(raw)) return undefined
  const text = raw.toString('utf8')
  if (!raw.includes(BACKSLASH)) return text
  try {
    const name = String(JSON.parse(`"${text}"`))
    return name.includes('\0') || !name.isWellFormed() ? undefined : name
  } catch {
    return undefined
  }
}

/**
 * Incremental reading by a growing column: which records of a page are new, and how far the column has
 * come. Pure.
 *
 * The cursor is the greatest value emitted, with fingerprints of the records that hold it. The next
 * pass asks from that value on, inclusive, and leaves out what the fingerprints know: a record that
 * appears later with an equal value is not lost, one that is listed again is not doubled.
 */
import { hash } from 'node:crypto'
import { HakiriError } from '../../../lib/error.ts'
import { parseDuration } from '../../../lib/units.ts'
import type { ReadMode } from '../../connector.ts'

export type Watermark = {
  /** Raw JSON text of a value, so that numbers keep every digit. */
  readonly value: string
  /** Fingerprints of the records at `value`; undefined when there are more than are kept. */
  readonly edge: readonly string[] | undefined
}

/** Fingerprints kept at the most; with more, records at the edge are emitted again. */
const EDGE_MAX = 1_000

type Comparable =
  | { readonly kind: 'whole'; readonly value: bigint }
  | { readonly kind: 'number'; readonly value: number }
  /** Whole seconds, and the digits of the fraction. */
  | { readonly kind: 'time'; readonly seconds: number; readonly fraction: string }
  | { readonly kind: 'text'; readonly value: string }

const TIME =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:(Z)|([+-]\d\d):?(\d\d))?)?$/i

function comparable(raw: string): Comparable {
  const text = textOf(raw)
  if (/^-?\d+$/.test(text)) return { kind: 'whole', value: BigInt(text) }
  if (/^-?\d/.test(raw)) return { kind: 'number', value: Number(text) }
  const time = TIME.exec(text)
  if (!time) return { kind: 'text', value: text }
  const [, date, minutes = '00:00', seconds = '00', fraction = '', , hour, minute] = time
  const zone = hour === undefined ? 'Z' : `${hour}:${minute}`
  const ms = Date.parse(`${date}T${minutes}:${seconds}${zone}`)
  if (Number.isNaN(ms)) return { kind: 'text', value: text }
  return { kind: 'time', seconds: ms / 1000, fraction: fraction.replace(/0+$/, '') }
}

/** The plain text of a raw JSON scalar. */
export function textOf(raw: string): string {
  return raw.startsWith('"') ? (JSON.parse(raw) as string) : raw
}

/** Negative when `a` comes before `b`: numbers by value, times by instant, other text by its bytes. */
export function compareValues(a: string, b: string): number {
  const [left, right] = [comparable(a), comparable(b)]
  if (left.kind === 'whole' && right.kind === 'whole') return order(left.value, right.value)
  if (left.kind === 'time' && right.kind === 'time')
    return order(left.seconds, right.seconds) || order(left.fraction, right.fraction)
  if (
    (left.kind === 'whole' || left.kind === 'number') &&
    (right.kind === 'whole' || right.kind === 'number')
  )
    return order(Number(left.value), Number(right.value))
  return Buffer.compare(Buffer.from(textOf(a)), Buffer.from(textOf(b)))
}

function order<T extends bigint | number | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export type Verdict = 'keep' | 'drop' | 'withhold' | 'absent'

export type Filter = {
  readonly column: string
  /** Value to ask the API from, as plain text. */
  readonly from: string | undefined
  /** Records without a value: emitted by a pass that starts from nothing, else left out. */
  readonly keepsAbsent: boolean
  /** `raw`: the cursor column's raw JSON text; `record`: its bytes. */
  judge(raw: string | undefined, record: () => Uint8Array): Verdict
  /** The greatest value emitted so far; undefined before there is one. */
  greatest(): Watermark | undefined
}

/** The filter of one pass; undefined for a full read. */
export function createFilter(
  mode: ReadMode,
  since: Watermark | undefined,
  greatest: Watermark | undefined,
  nowMs: number,
): Filter | undefined {
  switch (mode.kind) {
    case 'full':
      return undefined
    case 'range':
      return rangeFilter(mode)
    case 'incremental':
      return growingFilter(mode, since, greatest, nowMs)
  }
}

function rangeFilter(mode: Extract<ReadMode, { kind: 'range' }>): Filter {
  const [from, to] = [JSON.stringify(mode.from), JSON.stringify(mode.to)]
  return {
    column: mode.column,
    from: mode.from,
    keepsAbsent: false,
    judge: (raw) => {
      if (raw === undefined || raw === 'null') return 'drop'
      return compareValues(raw, from) >= 0 && compareValues(raw, to) < 0 ? 'keep' : 'drop'
    },
    greatest: () => undefined,
  }
}

function growingFilter(
  mode: Extract<ReadMode, { kind: 'incremental' }>,
  since: Watermark | undefined,
  start: Watermark | undefined,
  nowMs: number,
): Filter {
  const rereads = mode.lag?.kind === 're-read'
  const lower = since && (rereads ? moveBack(since.value, mode.lag.amount) : since.value)
  const upper =
    mode.lag?.kind === 'hold-back' ? moveBack(isoText(nowMs), mode.lag.amount) : undefined
  const known = new Set(rereads ? [] : since?.edge)
  let top = start ?? since

  function note(raw: string, record: () => Uint8Array): void {
    const step = top === undefined ? 1 : compareValues(raw, top.value)
    if (step < 0) return
    const print = fingerprint(record())
    if (step > 0 || top === undefined) top = { value: raw, edge: [print] }
    else if (top.edge !== undefined && !top.edge.includes(print))
      top = {
        value: top.value,
        edge: top.edge.length < EDGE_MAX ? [...top.edge, print] : undefined,
      }
  }

  return {
    column: mode.column,
    from: lower === undefined ? undefined : textOf(lower),
    keepsAbsent: lower === undefined,
    judge(raw, record) {
      if (raw === undefined || raw === 'null') return 'absent'
      if (upper !== undefined && isYoung(raw, upper, mode.column)) return 'withhold'
      const step = lower === undefined ? 1 : compareValues(raw, lower)
      if (step < 0) return 'drop'
      if (step === 0 && known.has(fingerprint(record()))) return 'drop'
      note(raw, record)
      return 'keep'
    },
    greatest: () => top,
  }
}

function isYoung(raw: string, upper: string, column: string): boolean {
  if (comparable(raw).kind === 'time') return compareValues(raw, upper) > 0
  throw new HakiriError('CONFIG_INVALID', `a lag holds back times, but ${column} holds ${raw}`, {
    suggestion: 'Leave the lag out, or use write mode "upsert".',
  })
}

function fingerprint(record: Uint8Array): string {
  return hash('sha1', record, 'base64url').slice(0, 12)
}

function isoText(ms: number): string {
  return JSON.stringify(new Date(ms).toISOString())
}

/** A value moved back by a lag: a duration for times, an amount for numbers. */
function moveBack(raw: string, amount: string): string {
  const value = comparable(raw)
  const [ms, count] = [parseDuration(amount), Number(amount)]
  if (value.kind === 'time' && ms !== undefined) {
    const moved = new Date(value.seconds * 1000 - ms).toISOString()
    // A date stays a date, whole seconds stay whole: APIs are picky about what they parse.
    const text = textOf(raw)
    if (text.length === 10) return JSON.stringify(moved.slice(0, 10))
    return JSON.stringify(value.fraction === '' ? moved.replace(/\.\d+Z$/, 'Z') : moved)
  }
  if (value.kind === 'whole' && /^\d+$/.test(amount))
    return raw.startsWith('"')
      ? JSON.stringify(String(value.value - BigInt(amount)))
      : String(value.value - BigInt(amount))
  if (value.kind === 'number' && Number.isFinite(count)) return String(value.value - count)
  throw new HakiriError(
    'CONFIG_INVALID',
    `the lag "${amount}" does not fit a cursor value like ${raw}`,
    {
      suggestion: 'Use a duration such as "10m" for times, a number such as "1000" for numbers.',
    },
  )
}

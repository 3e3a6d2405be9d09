/**
 * CSV as connectors write it: comma, no header, quotes doubled, rows end in a newline. Counting records
 * is the proof that the engine dropped none: it ends a file silently at a quote that never closes.
 * Splitting is strict and finds the records at fault.
 */
import { isUtf8 } from 'node:buffer'

const [NEWLINE, RETURN, QUOTE, COMMA] = [10, 13, 34, 44]

export type CsvCount = { readonly records: number; readonly longest: number }

export type CsvCounter = {
  /** A consumer for `eachBlock`. */
  take(block: Buffer): number
  /** Counts what follows the last newline outside quotes as one more record. */
  result(): CsvCount
}

/** Counts newlines outside quotes. */
export function csvCounter(): CsvCounter {
  let quoted = false
  let records = 0
  let longest = 0
  let pending = 0
  const take = (block: Buffer): number => {
    let start = -pending
    for (let i = 0; i < block.length; i++) {
      const byte = block[i]!
      if (byte > QUOTE) continue
      if (byte === QUOTE) quoted = !quoted
      else if (byte === NEWLINE && !quoted) {
        records++
        if (i - start > longest) longest = i - start
        start = i + 1
      }
    }
    pending = block.length - start
    return block.length
  }
  const result = (): CsvCount => ({
    records: pending > 0 ? records + 1 : records,
    longest: Math.max(longest, pending),
  })
  return { take, result }
}

export type CsvRecord = {
  readonly start: number
  /** Without the newline, and without a carriage return before it. */
  readonly end: number
  readonly problem: string | undefined
}

/** Splits a whole file; a broken record ends at the first newline after its start. */
export function* csvRecords(bytes: Buffer, fields: number): Generator<CsvRecord> {
  let start = 0
  while (start < bytes.length) {
    const record = readRecord(bytes, start, fields)
    yield record
    start = bytes.indexOf(NEWLINE, record.end)
    if (start < 0) return
    start++
  }
}

function readRecord(bytes: Buffer, start: number, fields: number): CsvRecord {
  let at = start
  let found = 0
  for (;;) {
    found++
    const after = bytes[at] === QUOTE ? quotedEnd(bytes, at + 1) : plainEnd(bytes, at)
    if (after < 0) return broken(bytes, start, 'a quote is misplaced or not closed')
    if (bytes[after] === COMMA) {
      at = after + 1
      continue
    }
    const lineEnd = bytes[after] === RETURN && endsRecord(bytes, after + 1) ? after + 1 : after
    if (!endsRecord(bytes, lineEnd)) return broken(bytes, start, 'a quote is misplaced')
    const problem =
      found === fields
        ? undefined
        : `expected ${fields} fields, found ${blank(start, after, found)}`
    return { start, end: after, problem: problem ?? textProblem(bytes, start, after) }
  }
}

function blank(start: number, end: number, found: number): number {
  return start === end ? 0 : found
}

function endsRecord(bytes: Buffer, at: number): boolean {
  return at >= bytes.length || bytes[at] === NEWLINE
}

function textProblem(bytes: Buffer, start: number, end: number): string | undefined {
  return isUtf8(bytes.subarray(start, end)) ? undefined : 'invalid UTF-8'
}

function broken(bytes: Buffer, start: number, problem: string): CsvRecord {
  const newline = bytes.indexOf(NEWLINE, start)
  return { start, end: newline < 0 ? bytes.length : newline, problem }
}

/** Index behind the closing quote, -1 when there is none. */
function quotedEnd(bytes: Buffer, at: number): number {
  let p = at
  for (;;) {
    const quote = bytes.indexOf(QUOTE, p)
    if (quote < 0) return -1
    if (bytes[quote + 1] !== QUOTE) return quote + 1
    p = quote + 2
  }
}

/** Index of the comma, newline, or carriage return that ends an unquoted field. */
function plainEnd(bytes: Buffer, at: number): number {
  let p = at
  while (p < bytes.length) {
    const byte = bytes[p]
    if (byte === COMMA || byte === NEWLINE || byte === RETURN) return p
    if (byte === QUOTE) return -1
    p++
  }
  return p
}

/**
 * Finds the rows of a CSV text: where each ends, how many fields it has, and whether it already is in
 * the port's form. Quote-aware, one pass, no strings built.
 */

export type Dialect = {
  /** Byte values; quote -1 for files that never quote. */
  readonly delimiter: number
  readonly quote: number
  /** Unquoted bytes that mean null. */
  readonly nullText: Uint8Array
}

export const LF = 0x0a
export const CR = 0x0d
export const QUOTE = 0x22
export const COMMA = 0x2c

/** `plain`: can be handed on as it is; `odd`: whole, but in need of rewriting; others are no rows. */
export type RowKind = 'plain' | 'odd' | 'misquoted' | 'open'

export type RowScan = {
  /** Behind the line break (or at the end of the text). */
  next: number
  /** Before the line break, and before a carriage return in front of it. */
  end: number
  fields: number
  kind: RowKind
}

export type RowScanner = {
  /**
   * Scans the row at `from`. Returns one object, reused. `open`: the text ends inside quotes or before
   * a line break; its `end` and `next` are then the end of the text.
   */
  scan(bytes: Uint8Array, from: number, end: number): RowScan
}

export function createRowScanner({ delimiter, quote }: Dialect): RowScanner {
  const special = new Uint8Array(256)
  for (const byte of [delimiter, LF, CR, ...(quote < 0 ? [] : [quote]), QUOTE]) special[byte] = 1
  const row: RowScan = { next: 0, end: 0, fields: 0, kind: 'plain' }

  const close = (next: number, end: number, fields: number, kind: RowKind): RowScan => {
    row.next = next
    row.end = end
    row.fields = fields
    row.kind = kind
    return row
  }

  function scan(bytes: Uint8Array, from: number, end: number): RowScan {
    let fields = 1
    let odd = false
    let fieldStart = from
    let at = from
    while (at < end) {
      let c = bytes[at]!
      if (special[c] === 0) {
        at++
        continue
      }
      if (c === quote && at === fieldStart) {
        at = closingQuote(bytes, at + 1, end, quote)
        if (at < 0) return close(end, end, fields, 'open')
        if (at === end) break
        c = bytes[at]!
        const isReturn = c === CR && (at + 1 === end || bytes[at + 1] === LF)
        if (c !== delimiter && c !== LF && !isReturn) return misquoted(bytes, at, end, fields)
      }
      if (c === delimiter) {
        fields++
        fieldStart = ++at
        continue
      }
      if (c === LF) return close(at + 1, at, fields, odd ? 'odd' : 'plain')
      if (c === CR && at + 1 < end && bytes[at + 1] === LF) return close(at + 2, at, fields, 'odd')
      // A quote or carriage return inside an unquoted field.
      odd = true
      at++
    }
    return close(end, end, fields, 'open')
  }

  function misquoted(bytes: Uint8Array, at: number, end: number, fields: number): RowScan {
    const stop = bytes.indexOf(LF, at)
    if (stop < 0 || stop >= end) return close(end, end, fields, 'open')
    return close(stop + 1, bytes[stop - 1] === CR ? stop - 1 : stop, fields, 'misquoted')
  }

  return { scan }
}

/** Behind the closing quote; -1 when there is none. `from` stands behind the opening one. */
export function closingQuote(bytes: Uint8Array, from: number, end: number, quote: number): number {
  let at = from
  for (;;) {
    while (at < end && bytes[at] !== quote) at++
    if (at >= end) return -1
    if (at + 1 < end && bytes[at + 1] === quote) at += 2
    else return at + 1
  }
}

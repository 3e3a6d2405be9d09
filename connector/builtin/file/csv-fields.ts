/** The fields of one CSV row, and the same fields in the port's form. */
import { closingQuote, COMMA, CR, LF, QUOTE, type Dialect } from './csv-rows.ts'

/** A field's bytes without its quotes; `quoted` tells "" from nothing. */
export type Field = {
  readonly start: number
  readonly end: number
  readonly quoted: boolean
}

/** Fields of the row at [from, end), which a scanner found whole. */
export function* fieldsOf(
  bytes: Uint8Array,
  from: number,
  end: number,
  { delimiter, quote }: Dialect,
): Generator<Field> {
  for (let at = from; ;) {
    if (bytes[at] === quote && at < end) {
      const stop = closingQuote(bytes, at + 1, end, quote)
      yield { start: at + 1, end: stop - 1, quoted: true }
      at = stop
    } else {
      let stop = at
      while (stop < end && bytes[stop] !== delimiter) stop++
      yield { start: at, end: stop, quoted: false }
      at = stop
    }
    if (at >= end) return
    at++
  }
}

/** True when the field stands for null. */
export function isNull(bytes: Uint8Array, field: Field, { nullText }: Dialect): boolean {
  if (field.quoted || field.end - field.start !== nullText.length) return false
  for (let i = 0; i < nullText.length; i++) if (bytes[field.start + i] !== nullText[i]) return false
  return true
}

/** The field's text, doubled quotes undone. */
export function fieldText(bytes: Buffer, field: Field, { quote }: Dialect): string {
  const text = bytes.toString('utf8', field.start, field.end)
  if (!field.quoted) return text
  const mark = String.fromCharCode(quote)
  return text.replaceAll(mark + mark, mark)
}

/** Writes the row in the port's form, without a line break. Returns the offset behind it. */
export function writeRow(
  out: Buffer,
  at: number,
  bytes: Uint8Array,
  from: number,
  end: number,
  dialect: Dialect,
): number {
  let to = at
  let isFirst = true
  for (const field of fieldsOf(bytes, from, end, dialect)) {
    if (!isFirst) out[to++] = COMMA
    isFirst = false
    if (!isNull(bytes, field, dialect)) to = writeField(out, to, bytes, field, dialect)
  }
  return to
}

/**
 * Most bytes that rows of `bytes` bytes take when written: each byte doubled, and quotes around a field
 * that had none. A row's line break or end pays for one field, each delimiter for another.
 */
export function writtenMax(bytes: number): number {
  return 3 * bytes + 3
}

function writeField(
  out: Buffer,
  at: number,
  bytes: Uint8Array,
  field: Field,
  { quote }: Dialect,
): number {
  let to = at
  const plain = !field.quoted && field.end > field.start && !needsQuotes(bytes, field)
  if (!plain) out[to++] = QUOTE
  for (let i = field.start; i < field.end; i++) {
    const c = bytes[i]!
    out[to++] = c
    if (c === QUOTE && !plain) out[to++] = QUOTE
    // A doubled quote of the file's own dialect is one quote.
    if (c === quote && field.quoted) i++
  }
  if (!plain) out[to++] = QUOTE
  return to
}

function needsQuotes(bytes: Uint8Array, field: Field): boolean {
  for (let i = field.start; i < field.end; i++) {
    const c = bytes[i]!
    if (c === QUOTE || c === COMMA || c === CR || c === LF) return true
  }
  return false
}

/** Reads fields back out of CSV as Postgres writes it: comma, quotes doubled, empty unquoted is null. */

const QUOTE = 0x22
const COMMA = 0x2c
const NEWLINE = 0x0a

/** Fields number `wanted` (ascending) of the row that starts at `start`. */
export function readFields(
  bytes: Uint8Array,
  start: number,
  wanted: readonly number[],
): readonly (string | null)[] {
  const row = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields: (string | null)[] = []
  let at = start
  for (let field = 0; fields.length < wanted.length; field++) {
    const quoted = row[at] === QUOTE
    const end = quoted ? closingQuote(row, at + 1) : fieldEnd(row, at)
    if (field === wanted[fields.length]) fields.push(fieldText(row, at, end, quoted))
    at = end + (quoted ? 2 : 1)
  }
  return fields
}

function fieldText(row: Buffer, start: number, end: number, quoted: boolean): string | null {
  if (quoted) return row.toString('utf8', start + 1, end).replaceAll('""', '"')
  return end === start ? null : row.toString('utf8', start, end)
}

function closingQuote(row: Buffer, from: number): number {
  let at = row.indexOf(QUOTE, from)
  while (at >= 0 && row[at + 1] === QUOTE) at = row.indexOf(QUOTE, at + 2)
  return at < 0 ? row.length : at
}

function fieldEnd(row: Buffer, from: number): number {
  let at = from
  while (at < row.length && row[at] !== COMMA && row[at] !== NEWLINE) at++
  return at
}

/** Where the row that starts at `start` ends, its newline included; newlines in quotes do not count. */
export function rowEnd(bytes: Uint8Array, start: number): number {
  let quoted = false
  for (let at = start; at < bytes.length; at++) {
    if (bytes[at] === QUOTE) quoted = !quoted
    else if (bytes[at] === NEWLINE && !quoted) return at + 1
  }
  return bytes.length
}

/**
 * Reads JSON as bytes: finds where values begin and end, checks the grammar, builds nothing. Numbers
 * therefore keep every digit on their way to a table.
 *
 * Positions returned by the `skip…` functions are offsets into the bytes; a negative result `~p` means
 * that the text stops being JSON at offset p. `p === end` says that the text ended too early, so a
 * caller that streams can wait for more. Invariant: what is accepted here is accepted by JSON.parse,
 * and the other way round (for valid UTF-8), up to DEPTH_MAX.
 */

/** Nesting beyond this is refused; a reader behind us may recurse. */
export const DEPTH_MAX = 500

const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const QUOTE = 0x22
export const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
export const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
export const CLOSE_LIST = 0x5d
export const OPEN_OBJECT = 0x7b
export const CLOSE_OBJECT = 0x7d

const TRUE = Uint8Array.from([0x74, 0x72, 0x75, 0x65])
const FALSE = Uint8Array.from([0x66, 0x61, 0x6c, 0x73, 0x65])
export const NULL = Uint8Array.from([0x6e, 0x75, 0x6c, 0x6c])

export function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end) {
    const c = bytes[at]!
    if (c > SPACE || (c !== SPACE && c !== LF && c !== CR && c !== TAB)) break
    at++
  }
  return at
}

/** Skips one value that starts at `at` (no space before it). Returns its end, or ~offset. */
export function skipValue(bytes: Uint8Array, at: number, end: number, depth = 0): number {
  if (at >= end) return ~end
  const c = bytes[at]!
  if (c === QUOTE) return skipString(bytes, at + 1, end)
  if (c === OPEN_OBJECT) return depth >= DEPTH_MAX ? ~at : skipObject(bytes, at + 1, end, depth + 1)
  if (c === OPEN_LIST) return depth >= DEPTH_MAX ? ~at : skipList(bytes, at + 1, end, depth + 1)
  if (c === MINUS || (c >= ZERO && c <= NINE)) return skipNumber(bytes, at, end)
  if (c === TRUE[0]) return skipWord(bytes, at, end, TRUE)
  if (c === FALSE[0]) return skipWord(bytes, at, end, FALSE)
  if (c === NULL[0]) return skipWord(bytes, at, end, NULL)
  return ~at
}

/** `from` stands behind the opening quote. */
export function skipString(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end) {
    const c = bytes[at]!
    if (c > QUOTE && c !== BACKSLASH) at++
    else if (c === QUOTE) return at + 1
    else if (c === BACKSLASH) {
      at = skipEscape(bytes, at + 1, end)
      if (at < 0) return at
    } else if (c < SPACE) return ~at
    else at++
  }
  return ~end
}

function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return ~end
  const c = bytes[at]!
  // " \ / b f n r t
  if (c === 0x6e || c === QUOTE || c === BACKSLASH || c === 0x2f) return at + 1
  if (c === 0x72 || c === 0x74 || c === 0x62 || c === 0x66) return at + 1
  if (c !== 0x75) return ~at
  for (let digit = at + 1; digit < at + 5; digit++) {
    if (digit >= end) return ~end
    if (!isHex(bytes[digit]!)) return ~digit
  }
  return at + 5
}

function isHex(c: number): boolean {
  return (c >= ZERO && c <= NINE) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66)
}

function skipObject(bytes: Uint8Array, from: number, end: number, depth: number): number {
  let at = skipSpace(bytes, from, end)
  if (at < end && bytes[at] === CLOSE_OBJECT) return at + 1
  for (;;) {
    at = skipKey(bytes, at, end)
    if (at < 0) return at
    at = skipValue(bytes, at, end, depth)
    if (at < 0) return at
    if (at < end && bytes[at]! <= SPACE) at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    const c = bytes[at]!
    if (c === CLOSE_OBJECT) return at + 1
    if (c !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

/** From a key's opening quote to the first byte of its value. */
export function skipKey(bytes: Uint8Array, from: number, end: number): number {
  if (from >= end) return ~end
  if (bytes[from] !== QUOTE) return ~from
  let at = skipString(bytes, from + 1, end)
  if (at < 0) return at
  if (at < end && bytes[at]! <= SPACE) at = skipSpace(bytes, at, end)
  if (at >= end) return ~end
  if (bytes[at] !== COLON) return ~at
  at++
  return at < end && bytes[at]! <= SPACE ? skipSpace(bytes, at, end) : at
}

function skipList(bytes: Uint8Array, from: number, end: number, depth: number): number {
  let at = skipSpace(bytes, from, end)
  if (at < end && bytes[at] === CLOSE_LIST) return at + 1
  for (;;) {
    at = skipValue(bytes, at, end, depth)
    if (at < 0) return at
    at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    const c = bytes[at]!
    if (c === CLOSE_LIST) return at + 1
    if (c !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

function skipNumber(bytes: Uint8Array, from: number, end: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from
  if (at >= end) return ~end
  if (bytes[at] === ZERO) at++
  else {
    at = skipDigits(bytes, at, end)
    if (at < 0) return at
  }
  if (at < end && bytes[at] === DOT) {
    at = skipDigits(bytes, at + 1, end)
    if (at < 0) return at
  }
  if (at < end && (bytes[at] === 0x65 || bytes[at] === 0x45)) {
    at++
    if (at < end && (bytes[at] === 0x2b || bytes[at] === MINUS)) at++
    at = skipDigits(bytes, at, end)
  }
  return at
}

/** One digit or more. */
function skipDigits(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && bytes[at]! >= ZERO && bytes[at]! <= NINE) at++
  if (at > from) return at
  return at >= end ? ~end : ~at
}

function skipWord(bytes: Uint8Array, from: number, end: number, word: Uint8Array): number {
  for (let i = 1; i < word.length; i++) {
    if (from + i >= end) return ~end
    if (bytes[from + i] !== word[i]) return ~(from + i)
  }
  return from + word.length
}

/**
 * Skipping JSON strings and nested values as bytes. A position never passes `end`, the index of the
 * line's newline, so one bad line cannot swallow the next.
 */

/** Returned instead of an index when the value does not end in its line. */
export const SKIP_FAILED = -1

const [NEWLINE, QUOTE, BACKSLASH] = [10, 34, 92]
const [OPEN, OPEN_LIST] = [123, 91]

/** 1 for bytes that end or interrupt a run of ordinary string bytes. */
const STRING_STOP = table((byte) => byte < 32 || byte === QUOTE || byte === BACKSLASH)
/** 1 for bytes that matter while a nested value is skipped. */
const NESTED_STOP = table((byte) => byte === NEWLINE || '"{}[]'.includes(String.fromCharCode(byte)))
/** From this many bytes on, a native search beats the loop. */
const LOOP_BYTES = 96

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0))
}

/** Index behind the closing quote of a string whose first byte is at `at`. */
export function skipString(buf: Buffer, at: number, end: number): number {
  const loopEnd = at + LOOP_BYTES
  let p = at
  while (p < loopEnd) {
    const byte = buf[p]!
    if (STRING_STOP[byte] === 0) p++
    else if (byte === QUOTE) return p < end ? p + 1 : SKIP_FAILED
    else if (byte === BACKSLASH && p < end) p += 2
    else return SKIP_FAILED
  }
  return skipLongString(buf, p, end)
}

/** A quote closes the string when an even number of backslashes stands before it. */
function skipLongString(buf: Buffer, at: number, end: number): number {
  let p = at
  for (;;) {
    const quote = buf.indexOf(QUOTE, p)
    if (quote < 0 || quote >= end) return SKIP_FAILED
    let slashes = 0
    while (quote - 1 - slashes >= at && buf[quote - 1 - slashes] === BACKSLASH) slashes++
    if (slashes % 2 === 0) return quote + 1
    p = quote + 1
  }
}

/** Index behind the object or list that starts at `at`. */
export function skipNested(buf: Buffer, at: number, end: number): number {
  let depth = 0
  let p = at
  while (p < end) {
    while (NESTED_STOP[buf[p]!] === 0) p++
    const byte = buf[p]!
    if (byte === NEWLINE) return SKIP_FAILED
    if (byte === QUOTE) {
      p = skipString(buf, p + 1, end)
      if (p === SKIP_FAILED) return SKIP_FAILED
      continue
    }
    p++
    if (byte === OPEN || byte === OPEN_LIST) depth++
    else if (--depth === 0) return p
  }
  return SKIP_FAILED
}

/**
 * Finds records and single values in JSON text as slices of its bytes, in whole documents and in
 * documents that arrive in windows. Builds no values: a record is handed on digit for digit.
 */
import {
  CLOSE_LIST,
  CLOSE_OBJECT,
  COMMA,
  CR,
  DEPTH_MAX,
  LF,
  NULL,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
  SPACE,
  skipKey,
  skipSpace,
  skipString,
  skipValue,
} from './json-grammar.ts'

/** A JSON pointer (RFC 6901) as its tokens; undefined when the text is not one. */
export function parsePointer(pointer: string): readonly string[] | undefined {
  if (pointer === '') return []
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return undefined
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Bytes [start, end) of a value. */
export type Slice = { readonly start: number; readonly end: number }

/** What stands at the records pointer: bounds are start and end offsets in turn, one pair an element. */
export type Records =
  | { readonly kind: 'list'; readonly bounds: readonly number[] }
  | { readonly kind: 'one'; readonly bounds: readonly number[] }
  /** null, or another value that holds no records. */
  | { readonly kind: 'null' | 'scalar' | 'missing' }

export type DocumentScan =
  | {
      readonly kind: 'valid'
      readonly records: Records
      /** In the order of the pointers asked for; undefined where nothing is. */
      readonly values: readonly (Slice | undefined)[]
    }
  | { readonly kind: 'invalid'; readonly offset: number; readonly early: boolean }

type Target = { readonly tokens: readonly string[]; slice: Slice | undefined; bounds: number[] }

/**
 * Checks a whole document in one pass and finds the elements of the list (or the one object) at
 * `records`, and the values at `pointers`. A key that occurs twice counts as in JSON.parse: the last.
 */
export function scanDocument(
  bytes: Uint8Array,
  records: readonly string[],
  pointers: readonly (readonly string[])[],
): DocumentScan {
  const target = (tokens: readonly string[]): Target => ({ tokens, slice: undefined, bounds: [] })
  const wanted = target(records)
  const others = pointers.map(target)
  const start = skipSpace(bytes, 0, bytes.length)
  const end = walkValue(bytes, start, bytes.length, 0, [wanted, ...others], wanted)
  const rest = end < 0 ? end : skipSpace(bytes, end, bytes.length)
  if (rest < 0) return { kind: 'invalid', offset: ~rest, early: ~rest >= bytes.length }
  if (rest < bytes.length) return { kind: 'invalid', offset: rest, early: false }
  const values = others.map((other) => other.slice)
  return { kind: 'valid', records: recordsAt(bytes, wanted), values }
}

function recordsAt(bytes: Uint8Array, found: Target): Records {
  if (found.slice === undefined) return { kind: 'missing' }
  const first = bytes[found.slice.start]!
  if (first === OPEN_LIST) return { kind: 'list', bounds: found.bounds }
  if (first === OPEN_OBJECT) return { kind: 'one', bounds: [found.slice.start, found.slice.end] }
  return { kind: first === NULL[0] ? 'null' : 'scalar' }
}

function walkValue(
  bytes: Uint8Array,
  at: number,
  end: number,
  level: number,
  active: readonly Target[],
  records: Target,
): number {
  if (active.length === 0) return skipValue(bytes, at, end, level)
  if (at >= end) return ~end
  const here = active.filter((target) => target.tokens.length === level)
  const below = active.filter((target) => target.tokens.length > level)
  for (const target of below) forget(target)
  const c = bytes[at]
  const noting = here.includes(records)
  if (noting) records.bounds = []
  const next =
    c === OPEN_OBJECT && below.length > 0
      ? walkObject(bytes, at + 1, end, level, below, records)
      : c === OPEN_LIST && (noting || below.length > 0)
        ? walkList(bytes, at + 1, end, level, below, records, noting)
        : skipValue(bytes, at, end, level)
  if (next >= 0) for (const target of here) target.slice = { start: at, end: next }
  return next
}

/** A second value under the same key replaces what the first one held. */
function forget(target: Target): void {
  target.slice = undefined
  target.bounds = []
}

function walkObject(
  bytes: Uint8Array,
  from: number,
  end: number,
  level: number,
  active: readonly Target[],
  records: Target,
): number {
  if (level >= DEPTH_MAX) return ~from
  let at = skipSpace(bytes, from, end)
  if (at < end && bytes[at] === CLOSE_OBJECT) return at + 1
  for (;;) {
    const keyStart = at
    at = skipKey(bytes, at, end)
    if (at < 0) return at
    const key = keyText(bytes, keyStart, end)
    const matching = active.filter((target) => target.tokens[level] === key)
    at = walkValue(bytes, at, end, level + 1, matching, records)
    if (at < 0) return at
    at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    if (bytes[at] === CLOSE_OBJECT) return at + 1
    if (bytes[at] !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

function walkList(
  bytes: Uint8Array,
  from: number,
  end: number,
  level: number,
  active: readonly Target[],
  records: Target,
  noting: boolean,
): number {
  if (level >= DEPTH_MAX) return ~from
  let at = skipSpace(bytes, from, end)
  if (at < end && bytes[at] === CLOSE_LIST) return at + 1
  for (let index = 0; ; index++) {
    const matching =
      active.length === 0
        ? active
        : active.filter((target) => target.tokens[level] === String(index))
    const start = at
    at = walkValue(bytes, at, end, level + 1, matching, records)
    if (at < 0) return at
    if (noting) records.bounds.push(start, at)
    at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    if (bytes[at] === CLOSE_LIST) return at + 1
    if (bytes[at] !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

/** The text of a valid key whose opening quote is at `start`. */
function keyText(bytes: Uint8Array, start: number, end: number): string {
  const stop = skipString(bytes, start + 1, end)
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start)
  const raw = view.toString('utf8')
  return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1)
}

/**
 * The values of the named top-level keys of the valid object at [start, end), in the order of `names`.
 * `names` are compared with the key's text.
 */
export function scanFields(
  bytes: Uint8Array,
  start: number,
  end: number,
  names: readonly string[],
): readonly (Slice | undefined)[] {
  const found: (Slice | undefined)[] = names.map(() => undefined)
  let at = skipSpace(bytes, start + 1, end)
  while (at < end && bytes[at] === QUOTE) {
    const index = names.indexOf(keyText(bytes, at, end))
    const from = skipKey(bytes, at, end)
    const to = from < 0 ? from : skipValue(bytes, from, end)
    if (to < 0) return found
    if (index >= 0) found[index] = { start: from, end: to }
    at = skipSpace(bytes, to, end)
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1, end)
  }
  return found
}

export type ListEntry =
  /** The first byte behind the list's bracket. */
  | { readonly kind: 'list'; readonly at: number }
  /** One object instead of a list; it starts here. */
  | { readonly kind: 'one'; readonly at: number }
  | { readonly kind: 'more' | 'missing' | 'null' | 'scalar' }
  | { readonly kind: 'invalid'; readonly offset: number }

/**
 * Walks from the start of a document that may not be complete yet to the records at `tokens`. 'more'
 * asks for more bytes; with `final` there are none, and the text ended too early.
 */
export function enterRecords(
  bytes: Uint8Array,
  end: number,
  tokens: readonly string[],
  final: boolean,
): ListEntry {
  let at = skipSpace(bytes, 0, end)
  for (const token of tokens) {
    const next =
      bytes[at] === OPEN_LIST ? seekIndex(bytes, at, end, token) : seekKey(bytes, at, end, token)
    if (next === undefined) return { kind: 'missing' }
    if (next < 0)
      return ~next >= end && !final ? { kind: 'more' } : { kind: 'invalid', offset: ~next }
    at = next
  }
  if (at >= end) return final ? { kind: 'invalid', offset: end } : { kind: 'more' }
  if (bytes[at] === OPEN_LIST) return { kind: 'list', at: at + 1 }
  if (bytes[at] === OPEN_OBJECT) return { kind: 'one', at }
  return { kind: bytes[at] === NULL[0] ? 'null' : 'scalar' }
}

/** Start of the value under `key`, ~offset, or undefined when the object has no such key. */
function seekKey(bytes: Uint8Array, from: number, end: number, key: string): number | undefined {
  if (from >= end) return ~end
  if (bytes[from] !== OPEN_OBJECT) return undefined
  let at = skipSpace(bytes, from + 1, end)
  for (;;) {
    if (at < end && bytes[at] === CLOSE_OBJECT) return undefined
    const value = skipKey(bytes, at, end)
    if (value < 0 || keyText(bytes, at, end) === key) return value
    at = skipValue(bytes, value, end)
    if (at < 0) return at
    at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    if (bytes[at] === CLOSE_OBJECT) return undefined
    if (bytes[at] !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

function seekIndex(
  bytes: Uint8Array,
  from: number,
  end: number,
  token: string,
): number | undefined {
  let at = skipSpace(bytes, from + 1, end)
  if (at < end && bytes[at] === CLOSE_LIST) return undefined
  for (let index = 0; ; index++) {
    if (String(index) === token) return at >= end ? ~end : at
    at = skipValue(bytes, at, end)
    if (at < 0) return at
    at = skipSpace(bytes, at, end)
    if (at >= end) return ~end
    if (bytes[at] === CLOSE_LIST) return undefined
    if (bytes[at] !== COMMA) return ~at
    at = skipSpace(bytes, at + 1, end)
  }
}

/** Where a window onto a list stands: `first` before any element, `inside` after one, `closed` behind it. */
export type ListState = 'first' | 'inside' | 'closed'

export type ListWindow = {
  /** Start and end of each complete element, in turn. */
  readonly bounds: readonly number[]
  /** Everything before this offset is dealt with; always behind an element, or behind the bracket. */
  readonly consumed: number
  readonly state: ListState
  /** Offset where the text stops being JSON. */
  readonly invalid: number | undefined
}

/**
 * Finds the complete elements in a window of a list's text. An element counts as complete when the
 * separator behind it is in the window too, since a number could go on.
 */
export function scanList(
  bytes: Uint8Array,
  from: number,
  end: number,
  start: ListState,
): ListWindow {
  const bounds: number[] = []
  let consumed = from
  let state = start
  const stop = (invalid: number | undefined): ListWindow => ({ bounds, consumed, state, invalid })
  while (state !== 'closed') {
    let at = skipSpace(bytes, consumed, end)
    if (at >= end) return stop(undefined)
    if (bytes[at] === CLOSE_LIST) {
      consumed = at + 1
      state = 'closed'
      break
    }
    if (state === 'inside') {
      if (bytes[at] !== COMMA) return stop(at)
      at = skipSpace(bytes, at + 1, end)
    }
    const next = skipValue(bytes, at, end)
    if (next < 0) return stop(~next >= end ? undefined : ~next)
    const behind = skipSpace(bytes, next, end)
    if (behind >= end) return stop(undefined)
    if (bytes[behind] !== COMMA && bytes[behind] !== CLOSE_LIST) return stop(behind)
    bounds.push(at, next)
    consumed = next
    state = 'inside'
  }
  return stop(undefined)
}

// ── Records as lines ──────────────────────────────────────────────────────────────────────────────

/** Line breaks outside strings are plain space in JSON: as spaces, a record is one line. In place. */
export function joinLines(bytes: Uint8Array, start: number, end: number): void {
  for (const breaker of [LF, CR]) {
    let at = bytes.indexOf(breaker, start)
    while (at >= 0 && at < end) {
      bytes[at] = SPACE
      at = bytes.indexOf(breaker, at + 1)
    }
  }
}

/** True when some `\uXXXX` escape in valid JSON is half of a surrogate pair: not a character at all. */
export function hasLoneSurrogate(bytes: Uint8Array, start: number, end: number): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
  if (!/\\u[dD][89a-fA-F]/.test(text)) return false
  const pairs =
    /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F])|.)/g
  for (const match of text.matchAll(pairs)) if (match[1] !== undefined) return true
  return false
}

/**
 * Pages of a list by key: each names the last key that it holds, so that what comes or goes between two
 * pages neither repeats nor hides anything else.
 */
import type { Param } from './params.ts'
import { refused } from './params.ts'

const LIMIT = 100
const LIMIT_MAX = 1_000

export const PAGE_PARAMS = {
  limit: { kind: 'count', about: `Items a page; ${LIMIT} unless told.`, min: 1, max: LIMIT_MAX },
  cursor: { kind: 'text', about: '`next` of the page before.' },
} as const satisfies { readonly [name: string]: Param }

export type Asked = { readonly limit: number | undefined; readonly cursor: string | undefined }
export type Key = readonly (string | number)[]
export type Page<T> = { readonly items: readonly T[]; readonly next: string | null }

export function limitOf({ limit }: Asked): number {
  return limit ?? LIMIT
}

/** The part of a list, sorted by key, that comes after the cursor. */
export function pageOf<T>(sorted: readonly T[], keyOf: (item: T) => Key, asked: Asked): Page<T> {
  const after = readCursor(asked)
  const rest = after ? sorted.filter((item) => compareKeys(keyOf(item), after) > 0) : sorted
  return cut(rest, keyOf, limitOf(asked))
}

/** A page of what was read after the cursor: one item more than the limit says that there is more. */
export function cut<T>(items: readonly T[], keyOf: (item: T) => Key, limit: number): Page<T> {
  const page = items.slice(0, limit)
  const last = page.at(-1)
  const next = items.length > limit && last !== undefined ? writeCursor(keyOf(last)) : null
  return { items: page, next }
}

function writeCursor(key: Key): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The key in a cursor; API_REQUEST when it is none of ours. */
export function readCursor({ cursor }: Asked): Key | undefined {
  if (cursor === undefined) return undefined
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(key) && key.length > 0 && key.every(isPart)) return key
  } catch {
    // Said below.
  }
  throw refused('the cursor is none that was given out here', 'Take `next` of the page before.')
}

function isPart(part: unknown): part is string | number {
  return typeof part === 'string' || Number.isSafeInteger(part)
}

function compareKeys(a: Key, b: Key): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const [x, y] = [a[at]!, b[at]!]
    if (x !== y) return x < y ? -1 : 1
  }
  return a.length - b.length
}

/**
 * What the http connector keeps between runs: the cursor (where a pass stands, and the greatest value
 * of the cursor column) and, per page, the validators of the last committed version with what is
 * needed to walk on when the page did not change.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type { Validators } from './client.ts'
import type { Position } from './paging.ts'
import type { Watermark } from './watermark.ts'

/** A pass that is under way, or the end of one. */
export type Place =
  | { readonly kind: 'start' }
  | {
      readonly kind: 'within'
      readonly next: Position
      /** What the pass started from. */
      readonly since: Watermark | undefined
      readonly greatest: Watermark | undefined
    }
  | { readonly kind: 'end'; readonly greatest: Watermark | undefined }

export function writePlace(place: Exclude<Place, { kind: 'start' }>): Json {
  const greatest = place.greatest === undefined ? {} : { greatest: writeMark(place.greatest) }
  if (place.kind === 'end') return { end: true, ...greatest }
  const since = place.since === undefined ? {} : { since: writeMark(place.since) }
  return { next: place.next, ...since, ...greatest }
}

export function readPlace(cursor: Json): Place {
  if (cursor === null) return { kind: 'start' }
  if (!isObject(cursor)) throw invalidCursor()
  const greatest = readMark(cursor['greatest'])
  if (cursor['end'] === true) return { kind: 'end', greatest }
  const next = cursor['next']
  if (next !== null && typeof next !== 'string' && typeof next !== 'number') throw invalidCursor()
  return { kind: 'within', next, since: readMark(cursor['since']), greatest }
}

function writeMark(mark: Watermark): Json {
  return mark.edge === undefined ? { value: mark.value } : { value: mark.value, edge: mark.edge }
}

function readMark(json: Json | undefined): Watermark | undefined {
  if (json === undefined) return undefined
  if (!isObject(json) || typeof json['value'] !== 'string') throw invalidCursor()
  const edge = json['edge']
  if (edge !== undefined && !isTextList(edge)) throw invalidCursor()
  return { value: json['value'], edge }
}

/** A page as it was committed. */
export type KnownPage = {
  readonly validators: Validators
  readonly rows: number
  /** Next position that the page told; undefined at the end or when positions are counted. */
  readonly told: Position | undefined
  /** The page had fewer rows than another of its listing: a new row would change it. */
  readonly short: boolean
}

/** State key of a page; other keys of the shard's state are not ours. */
export function pageKey(url: URL, base: string): string {
  return url.href.startsWith(base) ? `page:${url.href.slice(base.length)}` : `page:${url.href}`
}

export function isPageKey(key: string): boolean {
  return key.startsWith('page:')
}

export function writeKnown(page: KnownPage): Json {
  const { etag, lastModified } = page.validators
  return {
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { modified: lastModified }),
    rows: page.rows,
    ...(page.told === undefined ? {} : { next: page.told }),
    ...(page.short ? { short: true } : {}),
  }
}

/** Undefined for anything that is not a page written by `writeKnown`: it is then read anew. */
export function readKnown(json: Json | undefined): KnownPage | undefined {
  if (json === undefined || !isObject(json)) return undefined
  const { etag, modified, rows, next, short } = json
  if (typeof rows !== 'number') return undefined
  if (next !== undefined && typeof next !== 'string' && typeof next !== 'number') return undefined
  const validators = {
    ...(typeof etag === 'string' ? { etag } : {}),
    ...(typeof modified === 'string' ? { lastModified: modified } : {}),
  }
  return { validators, rows, told: next, short: short === true }
}

function isObject(json: Json): json is { readonly [key: string]: Json } {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function isTextList(json: Json): json is readonly string[] {
  return Array.isArray(json) && json.every((item) => typeof item === 'string')
}

function invalidCursor(): HakiriError {
  return new HakiriError('STATE_INVALID', 'the cursor is not one that the http connector wrote', {
    suggestion: 'Set it back with `hakiri state reset`; the next run reads from the beginning.',
  })
}

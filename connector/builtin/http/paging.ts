/**
 * How a listing is walked: pure. A position names a page; a page's facts give the next position, or
 * say that there is none. Positions are what cursors hold: null for the first page, a url, a token or
 * a number, by the kind of paging.
 */
import type { Paging, Stream } from './config.ts'

export type Position = null | string | number

/** What paging looks at in a page that was read now or is known from before. */
export type PageFacts = {
  readonly rows: number
  /** The next position as the page itself told it; undefined for kinds that count. */
  readonly told: Position | undefined
}

/** The value of `{name}` placeholders of one shard. */
export type Bindings = { readonly [placeholder: string]: string }

/** The url of the page, without credentials. */
export function pageUrl(
  base: string,
  stream: Stream,
  bindings: Bindings,
  since: string | undefined,
  position: Position,
): URL {
  const { paging } = stream
  if (typeof position === 'string' && (paging.kind === 'link' || paging.kind === 'next-url'))
    return new URL(position)
  const path = fill(stream.path, bindings, encodePath).replace(/^\/+/, '')
  const url = new URL(path === '' ? base : `${base}/${path}`)
  for (const [name, value] of Object.entries(stream.query))
    url.searchParams.set(name, fill(value, bindings, String))
  if (stream.cursorParam !== undefined && since !== undefined)
    url.searchParams.set(stream.cursorParam, since)
  for (const [name, value] of pageParams(paging, position))
    url.searchParams.set(name, String(value))
  return url
}

function pageParams(
  paging: Paging,
  position: Position,
): readonly (readonly [string, string | number])[] {
  switch (paging.kind) {
    case 'none':
    case 'link':
    case 'next-url':
      return []
    case 'cursor':
      return position === null ? [] : [[paging.param, position]]
    case 'offset':
      return [
        [paging.limitParam, paging.limit],
        [paging.param, position ?? 0],
      ]
    case 'page': {
      const size: readonly (readonly [string, number])[] =
        paging.sizeParam === undefined || paging.size === undefined
          ? []
          : [[paging.sizeParam, paging.size]]
      return [...size, [paging.param, position ?? paging.first]]
    }
  }
}

/** Slashes of a value stay: "owner/name" is two steps of a path. */
function encodePath(value: string): string {
  return value.split('/').map(encodeURIComponent).join('/')
}

function fill(text: string, bindings: Bindings, encode: (value: string) => string): string {
  return text.replaceAll(/\{([^{}]+)\}/g, (whole, name: string) => {
    const value = bindings[name]
    return value === undefined ? whole : encode(value)
  })
}

/** True when the place of later pages can be computed, so that they can be asked for ahead. */
export function isCounted(paging: Paging): boolean {
  return paging.kind === 'offset' || paging.kind === 'page'
}

/**
 * The position after this page, undefined at the end of the listing. Counted listings end at a page
 * shorter than the size asked for, but only once a page has shown that the server honours that size;
 * until then, and where no size is configured, they end at an empty page.
 */
export function nextPosition(
  paging: Paging,
  position: Position,
  page: PageFacts,
  sizeHonoured: boolean,
): Position | undefined {
  if (!isCounted(paging)) return page.told
  if (page.rows === 0) return undefined
  if (sizeHonoured && page.rows < (declaredSize(paging) ?? 0)) return undefined
  return countedNext(paging, position, page.rows)
}

/** The position after a page of `rows` rows, as far as counting goes. */
export function countedNext(paging: Paging, position: Position, rows: number): number {
  if (paging.kind === 'offset') return Number(position ?? 0) + rows
  return Number(position ?? (paging.kind === 'page' ? paging.first : 0)) + 1
}

/** The page size that the configuration asks for. */
export function declaredSize(paging: Paging): number | undefined {
  if (paging.kind === 'offset') return paging.limit
  return paging.kind === 'page' ? paging.size : undefined
}

/** The target of rel="next" in a Link header, resolved against the page's own url. */
export function nextLink(header: string | undefined, page: URL): string | undefined {
  for (const link of (header ?? '').matchAll(/<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)/g)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]+))/i.exec(link[2]!)
    const names = (rel?.[1] ?? rel?.[2] ?? '').toLowerCase().split(/\s+/)
    if (names.includes('next')) return URL.parse(link[1]!, page.href)?.href
  }
  return undefined
}

/**
 * The next position out of a body: the raw JSON text at the paging pointer. Numbers keep their digits;
 * null, false, "" and nothing at all mean the end.
 */
export function toldPosition(
  paging: Paging,
  raw: string | undefined,
  page: URL,
): string | undefined {
  if (raw === undefined || raw === 'null' || raw === 'false' || raw === '""') return undefined
  const text = raw.startsWith('"') ? (JSON.parse(raw) as string) : raw
  return paging.kind === 'next-url' ? URL.parse(text, page.href)?.href : text
}

/** A link as it may be kept: without the credential that some servers repeat in it. */
export function withoutParam(link: string, param: string | undefined): string {
  if (param === undefined) return link
  const url = new URL(link)
  url.searchParams.delete(param)
  return url.href
}

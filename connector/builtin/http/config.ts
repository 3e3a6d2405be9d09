/** What the http connector is told: which streams an API has, how it pages, how it wants to be asked. */
import { HakiriError } from '../../../lib/error.ts'
import type { Backoff } from '../../../lib/backoff.ts'
import { parsePointer } from '../../json-scan.ts'

/** Literal text, or a reference that the host resolves: `env:`, `file:`, `secret://`. */
export type Reference = string

export type Paging =
  | { readonly kind: 'none' }
  /** RFC 8288 Link header, rel="next". */
  | { readonly kind: 'link' }
  /** JSON pointer to the next cursor, sent as query parameter `param`. */
  | { readonly kind: 'cursor'; readonly next: string; readonly param: string }
  /** JSON pointer to the next url, absolute or relative. */
  | { readonly kind: 'next-url'; readonly next: string }
  | {
      readonly kind: 'offset'
      readonly param: string
      readonly limitParam: string
      readonly limit: number
    }
  | {
      readonly kind: 'page'
      readonly param: string
      readonly first: number
      readonly sizeParam: string | undefined
      readonly size: number | undefined
    }

export type Auth =
  | { readonly kind: 'bearer'; readonly token: Reference }
  | { readonly kind: 'basic'; readonly username: Reference; readonly password: Reference }
  | { readonly kind: 'header'; readonly name: string; readonly value: Reference }
  | { readonly kind: 'query'; readonly name: string; readonly value: Reference }

export type Stream = {
  /** Source table name. */
  readonly name: string
  /** Relative to `base`; `{name}` placeholders are filled from `each`. */
  readonly path: string
  readonly query: { readonly [name: string]: string }
  readonly headers: { readonly [name: string]: Reference }
  /** JSON pointer to the list of records (or the one record); "" is the body itself. */
  readonly records: string
  readonly paging: Paging
  readonly key: readonly string[]
  /** One shard a combination; the values appear as extra columns. */
  readonly each: { readonly [placeholder: string]: readonly string[] }
  /** Query parameter that carries the greatest cursor value seen so far. */
  readonly cursorParam: string | undefined
}

export type HttpConfig = {
  readonly base: Reference
  readonly auth: Auth | undefined
  readonly headers: { readonly [name: string]: Reference }
  readonly streams: readonly Stream[]
  /** Deadline of one request, from the first byte sent to the last one received. */
  readonly timeoutMs: number
  /** Ask only for pages that changed since the committed ones (ETag, Last-Modified). */
  readonly conditional: boolean
  /** After decompression. */
  readonly bodyBytesMax: number
}

/** Limits of the pipeline that owns the connector. */
export type HttpOptions = {
  readonly requestsPerSecond?: number | undefined
  readonly requestsPerHour?: number | undefined
  /** Pages of one stream in flight at a time, where page numbers can be computed. Default 8. */
  readonly concurrency?: number | undefined
  /** Retries inside the connector, before the shard's own. */
  readonly retries?: Backoff | undefined
  /** A longer wait than this is not sat out here but reported as SOURCE_RATE. Default one minute. */
  readonly waitMsMax?: number | undefined
  /** Bytes of pages read ahead. Default 32 MB. */
  readonly prefetchBytesMax?: number | undefined
}

export type Limits = { readonly [K in keyof HttpOptions]-?: NonNullable<HttpOptions[K]> }

const DEFAULT_LIMITS: Limits = {
  requestsPerSecond: Infinity,
  requestsPerHour: Infinity,
  concurrency: 8,
  retries: { retriesMax: 5, firstMs: 500, mostMs: 30_000 },
  waitMsMax: 60_000,
  prefetchBytesMax: 32_000_000,
}

export function fillLimits(options: HttpOptions): Limits {
  return {
    requestsPerSecond: options.requestsPerSecond ?? DEFAULT_LIMITS.requestsPerSecond,
    requestsPerHour: options.requestsPerHour ?? DEFAULT_LIMITS.requestsPerHour,
    concurrency: Math.max(1, options.concurrency ?? DEFAULT_LIMITS.concurrency),
    retries: options.retries ?? DEFAULT_LIMITS.retries,
    waitMsMax: options.waitMsMax ?? DEFAULT_LIMITS.waitMsMax,
    prefetchBytesMax: options.prefetchBytesMax ?? DEFAULT_LIMITS.prefetchBytesMax,
  }
}

/** The tokens of a configured pointer. */
export function pointerTokens(pointer: string, stream: Stream): readonly string[] {
  const tokens = parsePointer(pointer)
  if (tokens) return tokens
  throw new HakiriError(
    'CONFIG_INVALID',
    `stream ${stream.name}: "${pointer}" is not a JSON pointer`,
    { suggestion: 'Write it like "/data/items", or "" for the whole body.' },
  )
}

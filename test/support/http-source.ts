/**
 * A paged JSON API, on loopback unless told otherwise, with switches for what real APIs do wrong. Real sockets, real HTTP; the
 * rows, the paging and each fault are the caller's.
 */
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type PagingStyle = 'none' | 'link' | 'cursor' | 'next-url' | 'offset' | 'page'

/** What happens to one request instead of (or on the way to) its answer. */
export type Fault =
  /** 429, with the text of a Retry-After header when given. */
  | { readonly kind: 'rate'; readonly retryAfter?: string }
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers?: http.OutgoingHttpHeaders
      readonly body?: string
    }
  /** The connection ends in the middle of the body. */
  | { readonly kind: 'cut' }
  /** The same, without a length or chunks that would tell. */
  | { readonly kind: 'cut-silently' }
  /** The connection ends before the answer. */
  | { readonly kind: 'reset' }
  /** The head comes, the body never does. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'broken-json' }
  | { readonly kind: 'redirect'; readonly to: string; readonly status?: number }

export type SeenRequest = {
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: http.IncomingHttpHeaders
  /** Status that was sent; 0 when none was. */
  status: number
}

export type HttpSourceOptions = {
  readonly paging: PagingStyle
  readonly pageSize: number
  /** Rows of a path, as JSON values or as raw JSON text. */
  readonly rows: (path: string, query: URLSearchParams) => readonly unknown[]
  readonly latencyMs?: number
  /** ETag of the body alone, as many frameworks send it. */
  readonly etag?: boolean
  /** Seconds since the epoch, for Last-Modified. */
  readonly lastModified?: () => number
  /** Records under "items" even where the paging does not need an envelope. */
  readonly envelope?: boolean
  /** Largest page that the server is willing to give, whatever it is asked for. */
  readonly sizeCap?: number
  /** 401 for anything else in `authorization`. */
  readonly authorization?: string
  /** Keeps an answer back until the promise resolves; `inFlight` counts this request too. */
  readonly hold?: (index: number, inFlight: number) => Promise<void> | undefined
  /** Where it listens; a free port of loopback by default. */
  readonly host?: string
  readonly port?: number
  /** Requests remembered at the most, the newest; all by default. */
  readonly requestsMax?: number
  /** `index` counts requests from 0. */
  readonly fault?: (index: number, request: SeenRequest) => Fault | undefined
}

export type HttpSource = AsyncDisposable & {
  readonly url: string
  readonly requests: readonly SeenRequest[]
  /** Most requests that were being answered at one time. */
  readonly inFlightMost: number
  /** Connections that are open now. */
  connections(): Promise<number>
  /** Resolves when a request for which `test` holds has arrived. */
  seen(test: (request: SeenRequest) => boolean): Promise<void>
}

/** The parameter names are fixed: cursor, offset, limit, page, per_page. */
export async function startHttpSource(options: HttpSourceOptions): Promise<HttpSource> {
  const requests: SeenRequest[] = []
  const waiting: { test: (request: SeenRequest) => boolean; resolve: () => void }[] = []
  const stop = new AbortController()
  let inFlight = 0
  let inFlightMost = 0
  let count = 0

  const server = http.createServer((incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://source')
    const { pathname: path, searchParams: query } = url
    const request = { path, query, headers: incoming.headers, status: 0 }
    const index = count++
    requests.push(request)
    if (requests.length > (options.requestsMax ?? Infinity)) requests.shift()
    for (const waiter of waiting) if (waiter.test(request)) waiter.resolve()
    inFlightMost = Math.max(inFlightMost, ++inFlight)
    response.on('close', () => inFlight--)
    Promise.resolve(options.hold?.(index, inFlight))
      .then(() => answer(options, index, request, response, stop.signal))
      .catch(() => response.destroy())
  })
  const host = options.host ?? '127.0.0.1'
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, host, resolve)
  })
  const { port } = server.address() as AddressInfo

  return {
    url: `http://${host}:${port}`,
    requests,
    get inFlightMost() {
      return inFlightMost
    },
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    seen: (test) =>
      requests.some(test)
        ? Promise.resolve()
        : new Promise((resolve) => void waiting.push({ test, resolve })),
    async [Symbol.asyncDispose]() {
      stop.abort()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(
  options: HttpSourceOptions,
  index: number,
  request: SeenRequest,
  response: http.ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const fault = options.fault?.(index, request)
  const waitMs = (options.latencyMs ?? 0) + (fault?.kind === 'slow' ? fault.ms : 0)
  if (waitMs > 0) await delay(waitMs, undefined, { signal })
  const send = (status: number, headers: http.OutgoingHttpHeaders, body: string): void => {
    // Nobody is there any more who could have got it.
    if (response.destroyed) return
    request.status = status
    const length = { 'content-length': Buffer.byteLength(body) }
    response
      .writeHead(status, { ...length, 'content-type': 'application/json', ...headers })
      .end(body)
  }
  if (fault?.kind === 'rate') {
    const { retryAfter } = fault
    return send(429, retryAfter === undefined ? {} : { 'retry-after': retryAfter }, 'slow down')
  }
  if (fault?.kind === 'status')
    return send(fault.status, fault.headers ?? {}, fault.body ?? 'failed')
  if (fault?.kind === 'redirect') return send(fault.status ?? 302, { location: fault.to }, '')
  if (fault?.kind === 'reset') return void response.socket?.destroy()
  if (
    options.authorization !== undefined &&
    request.headers.authorization !== options.authorization
  )
    return send(401, {}, `bad credentials: ${request.headers.authorization ?? 'none'}`)
  const page = pageOf(options, request)
  if (fault && fault.kind !== 'slow') return spoil(fault.kind, page.body, response)
  const validators = validatorsOf(options, page.body)
  if (isUnchanged(request, validators)) {
    request.status = 304
    return void response.writeHead(304, validators).end()
  }
  send(200, { ...validators, ...page.headers }, page.body)
}

function spoil(
  kind: 'cut' | 'cut-silently' | 'hang' | 'broken-json',
  body: string,
  response: http.ServerResponse,
): void {
  const half = body.slice(0, Math.floor(body.length / 2))
  if (kind === 'broken-json') return void response.writeHead(200).end(half + '}]oops')
  if (kind === 'cut-silently') {
    response.socket?.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${half}`)
    return
  }
  response.writeHead(200, { 'content-length': Buffer.byteLength(body) })
  response.write(half, () => (kind === 'cut' ? response.socket?.destroy() : undefined))
}

type Page = { readonly headers: http.OutgoingHttpHeaders; readonly body: string }

function pageOf(options: HttpSourceOptions, request: SeenRequest): Page {
  const rows = options.rows(request.path, request.query)
  const { query } = request
  const asked = Number(query.get('limit') ?? query.get('per_page') ?? options.pageSize)
  const size = Math.min(asked, options.sizeCap ?? Infinity)
  const from = startOf(options.paging, query, size)
  const slice = options.paging === 'none' ? rows : rows.slice(from, from + size)
  const next = from + size < rows.length && options.paging !== 'none' ? from + size : undefined
  const items = `[${slice.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join(',')}]`
  return layOut(options, request, items, next)
}

function startOf(paging: PagingStyle, query: URLSearchParams, size: number): number {
  if (paging === 'page') return (Number(query.get('page') ?? 1) - 1) * size
  if (paging === 'offset') return Number(query.get('offset') ?? 0)
  return Number((query.get('cursor') ?? 'at-0').slice('at-'.length))
}

function layOut(
  options: HttpSourceOptions,
  request: SeenRequest,
  items: string,
  next: number | undefined,
): Page {
  const query = new URLSearchParams(request.query)
  query.set('cursor', `at-${next}`)
  const link = `${request.path}?${query.toString()}`
  switch (options.paging) {
    case 'cursor':
      return {
        headers: {},
        body: `{"items":${items},"next":${next === undefined ? null : `"at-${next}"`}}`,
      }
    case 'next-url':
      return {
        headers: {},
        body: `{"items":${items},"next":${next === undefined ? null : `"${link}"`}}`,
      }
    case 'link': {
      const links =
        next === undefined ? '</>; rel="first"' : `</>; rel="first", <${link}>; rel="next"`
      return { headers: { link: links }, body: wrapped(options, items) }
    }
    case 'none':
    case 'offset':
    case 'page':
      return { headers: {}, body: wrapped(options, items) }
  }
}

function wrapped(options: HttpSourceOptions, items: string): string {
  return options.envelope ? `{"items":${items}}` : items
}

type PageValidators = { readonly etag?: string; readonly 'last-modified'?: string }

function validatorsOf(options: HttpSourceOptions, body: string): PageValidators {
  const seconds = options.lastModified?.()
  return {
    ...(options.etag ? { etag: `"${createHash('sha1').update(body).digest('hex')}"` } : {}),
    ...(seconds === undefined ? {} : { 'last-modified': new Date(seconds * 1000).toUTCString() }),
  }
}

function isUnchanged(request: SeenRequest, validators: PageValidators): boolean {
  const etag = request.headers['if-none-match']
  if (etag !== undefined) return etag === validators.etag
  const since = request.headers['if-modified-since']
  const modified = validators['last-modified']
  return since !== undefined && modified !== undefined && Date.parse(modified) <= Date.parse(since)
}

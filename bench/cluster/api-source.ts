/**
 * A paged JSON API on loopback that answers each request after a fixed time: `/items/PART?page=N`, from 1.
 * Pages go on until the last one, or until the bench says that the source ends; every row that was ever
 * given has an id that says where it stands, so that a table can be audited.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export const PAGE_ROWS = 50
/** Ids of a part begin at its number times this. */
const PART_IDS = 1_000_000_000

export type ApiSource = AsyncDisposable & {
  readonly url: string
  /** From now on the page after the newest that was given is the last, and empty. */
  end(): void
  /** Each part has so many pages from now on. */
  setPages(pages: number): void
  /** Pages that are part of the source now, by part. */
  pages(): ReadonlyMap<string, number>
  readonly requests: () => number
}

export type ApiOptions = {
  readonly latencyMs: number
  /** Pages of each part; Infinity: until `end`. */
  readonly pages: number
}

export async function startApi({ latencyMs, pages }: ApiOptions): Promise<ApiSource> {
  const given = new Map<string, number>()
  let isEnded = false
  let pagesMax = pages
  let requests = 0
  const bodyOf = (part: string, page: number): string => {
    const newest = given.get(part) ?? 0
    const last = isEnded ? newest : pagesMax
    if (page > last) return '[]'
    given.set(part, Math.max(newest, page))
    const first = Number(part.slice(1)) * PART_IDS + (page - 1) * PAGE_ROWS
    const rows = Array.from({ length: PAGE_ROWS }, (_, n) => ({
      id: first + n,
      name: `item ${first + n}`,
      price: ((first + n) % 500) / 4,
    }))
    return JSON.stringify(rows)
  }
  const server = http.createServer((request, response) => {
    requests += 1
    const url = new URL(request.url ?? '/', 'http://source')
    const part = url.pathname.split('/').at(-1) ?? ''
    const page = Number(url.searchParams.get('page') ?? 1)
    setTimeout(() => {
      const body = bodyOf(part, page)
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
        .end(body)
    }, latencyMs)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    end: () => void (isEnded = true),
    setPages: (count) => void (pagesMax = count),
    pages: () => given,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function rowsOf(source: ApiSource): number {
  return [...source.pages().values()].reduce((sum, pages) => sum + pages * PAGE_ROWS, 0)
}

export type ApiManifest = {
  readonly url: string
  readonly lake: string
  readonly parts: number
  readonly mode: 'append' | 'replace'
  /** A batch is committed at this age. */
  readonly maxOpenTime: string
}

export function apiManifest({ url, lake, parts, mode, maxOpenTime }: ApiManifest): string {
  const names = Array.from({ length: parts }, (_, n) => `"p${n + 1}"`)
  return `version = 1
[destination.lake]
type = "file"
url = "${lake}"
publish_interval = "10s"
files = { max_open_time = "${maxOpenTime}" }
[pipelines.api]
write = { mode = "${mode}" }
limits = { concurrency = 1 }
[pipelines.api.source]
type = "http"
base = "${url}"
conditional = false
[pipelines.api.source.streams.items]
path = "items/{part}"
each = { part = [${names.join(', ')}] }
paging = { type = "page", param = "page", first = 1, size_param = "size", size = ${PAGE_ROWS} }
`
}

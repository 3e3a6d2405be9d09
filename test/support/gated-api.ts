/**
 * An API whose every row is known beforehand and whose every answer can be kept back: parts of numbered
 * rows, paged by cursor. What it was asked for and what it answered is counted, so that a test can say
 * how often a page was read, and can stop a cluster in the middle of whatever it does.
 */
import { type SeenRequest, startHttpSource } from './http-source.ts'

export type GatedApi = AsyncDisposable & {
  readonly url: string
  /** Rows of each part; more may be added between runs. */
  rows: number
  /** Every answer takes this long. */
  latencyMs: number
  /** Parts that are refused for good. */
  readonly broken: Set<string>
  /** Parts that are refused for now. */
  readonly unwell: Set<string>
  /** Keeps back what `holds` says, until it is let go. */
  hold(holds: (request: SeenRequest) => boolean): Gate
  readonly requests: readonly SeenRequest[]
  /** Pages that were answered in full, by "part from". */
  answered(): ReadonlyMap<string, number>
}

export type Gate = {
  /** Parts that have a request waiting at the gate. */
  readonly waiting: () => ReadonlySet<string>
  open(): void
}

export const PAGE_ROWS = 50
/** Keys of one part never meet those of another. */
const PART_STRIDE = 1_000_000

export async function startGatedApi(rows: number): Promise<GatedApi> {
  let gate:
    { readonly holds: (request: SeenRequest) => boolean; readonly parts: Set<string> } | undefined
  let opened = Promise.withResolvers<void>()
  const api = { rows, latencyMs: 0, broken: new Set<string>(), unwell: new Set<string>() }
  const source = await startHttpSource({
    paging: 'cursor',
    pageSize: PAGE_ROWS,
    rows(path, query) {
      const since = Number(query.get('since') ?? 0)
      return rowsOf(partIn(path), api.rows).filter(({ id }) => id >= since)
    },
    hold(index) {
      const request = source.requests[index]
      if (!request || !gate?.holds(request)) return undefined
      gate.parts.add(partIn(request.path))
      return opened.promise
    },
    fault(_, { path }) {
      if (api.broken.has(partIn(path))) return { kind: 'status', status: 400, body: 'no such part' }
      if (api.unwell.has(partIn(path))) return { kind: 'status', status: 503, body: 'not now' }
      return api.latencyMs > 0 ? { kind: 'slow', ms: api.latencyMs } : undefined
    },
  })
  return Object.assign(api, {
    url: source.url,
    requests: source.requests,
    hold(holds: (request: SeenRequest) => boolean): Gate {
      const parts = new Set<string>()
      gate = { holds, parts }
      return {
        waiting: () => parts,
        open() {
          gate = undefined
          opened.resolve()
          opened = Promise.withResolvers()
        },
      }
    },
    answered() {
      const counts = new Map<string, number>()
      for (const { path, query, status } of source.requests) {
        if (status !== 200) continue
        const page = `${partIn(path)} ${query.get('since') ?? ''} ${query.get('cursor') ?? 'at-0'}`
        counts.set(page, (counts.get(page) ?? 0) + 1)
      }
      return counts
    },
    [Symbol.asyncDispose]: async () => {
      opened.resolve()
      await source[Symbol.asyncDispose]()
    },
  })
}

export type ApiRow = { readonly id: number; readonly note: string }

/** What the API has of one part. */
export function rowsOf(part: string, count: number): readonly ApiRow[] {
  const first = Number(part) * PART_STRIDE
  return Array.from({ length: count }, (_, index) => ({
    id: first + index + 1,
    note: `part ${part}, row ${index + 1}`,
  }))
}

export function partIn(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Which rows a request is after: the offset of its page. */
export function offsetOf({ query }: SeenRequest): number {
  return Number((query.get('cursor') ?? 'at-0').slice('at-'.length))
}

/**
 * Events as they happen, as server-sent events. Each client reads the catalog for itself, a page at a time
 * and only as fast as it takes what it was given, so that a slow one costs one page; one that takes
 * nothing for a while is dropped, and comes back with Last-Event-ID where it was.
 */
import type { Catalog } from '../../catalog/catalog.ts'
import type { ClusterEvent } from '../../catalog/cluster.ts'
import type { Clock } from '../../lib/ports.ts'
import { ApiFailure } from './problem.ts'
import { refused } from './params.ts'
import { streamRoute, type Route, type Stream } from './route.ts'
import { eventShape } from './shapes.ts'

const CLIENTS_MAX = 64
const PAGE = 200
/** Without a wake-up the catalog is asked this often. */
const POLL_MS = 2_000
/** Something is said at least this often, so that a connection that died is noticed. */
const HEARTBEAT_MS = 15_000
/** How long a browser waits before it comes back. */
const RETRY_MS = 2_000

/** One for one API: it counts the clients. */
export function eventRoutes(): readonly Route[] {
  let clients = 0
  const events = streamRoute({
    method: 'GET',
    path: '/v1/events',
    scope: 'read',
    summary: 'What happens, as server-sent events; Last-Event-ID or `after` resumes.',
    query: {
      pipeline: { kind: 'text', about: 'Only of this pipeline.' },
      run: { kind: 'count', about: 'Only of this run.', min: 1, max: Number.MAX_SAFE_INTEGER },
      after: {
        kind: 'count',
        about: 'Only after this event; without it, what happens from now on.',
        min: 0,
        max: Number.MAX_SAFE_INTEGER,
      },
    },
    refusals: [503],
    async handle({ query, headers, signal }, { catalog, clock }) {
      signal.throwIfAborted()
      if (clients >= CLIENTS_MAX)
        throw new ApiFailure(503, `${CLIENTS_MAX} clients follow events already`, {
          'retry-after': '5',
        })
      clients++
      signal.addEventListener('abort', () => clients--, { once: true })
      const afterId =
        readLastId(headers['last-event-id']) ?? query.after ?? (await newestId(catalog))
      const filter = {
        ...(query.pipeline === undefined ? {} : { pipeline: query.pipeline }),
        ...(query.run === undefined ? {} : { runId: query.run }),
      }
      return followEvents(catalog, clock, filter, afterId)
    },
  })
  return [events]
}

function readLastId(header: string | readonly string[] | undefined): number | undefined {
  if (header === undefined || header === '') return undefined
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header)
  throw refused('Last-Event-ID is no id of an event')
}

async function newestId(catalog: Catalog): Promise<number> {
  const [newest] = await catalog.clusterEvents({ afterId: 0, limit: 1, newest: true })
  return newest?.id ?? 0
}

type Filter = { readonly pipeline?: string; readonly runId?: number }

function followEvents(catalog: Catalog, clock: Clock, filter: Filter, afterId: number): Stream {
  return {
    async run(write, signal) {
      await using wake = createWake(catalog)
      let [lastId, saidAt] = [afterId, clock.monotonic()]
      await write(`retry: ${RETRY_MS}\n\n`)
      while (!signal.aborted) {
        const rung = wake.next()
        const page = await catalog.clusterEvents({ ...filter, afterId: lastId, limit: PAGE })
        if (page.length > 0) {
          await write(page.map(frame).join(''))
          ;[lastId, saidAt] = [page.at(-1)?.id ?? lastId, clock.monotonic()]
        } else if (clock.monotonic() - saidAt >= HEARTBEAT_MS) {
          await write(': still here\n\n')
          saidAt = clock.monotonic()
        }
        if (page.length < PAGE) await waitFor(rung, clock, signal)
      }
    },
  }
}

/** A line break would end the field. */
function frame(event: ClusterEvent): string {
  const kind = event.kind.replaceAll(/[\r\n]/g, ' ')
  return `id: ${event.id}\nevent: ${kind}\ndata: ${JSON.stringify(eventShape(event))}\n\n`
}

type Wake = AsyncDisposable & {
  /** Resolves at the first wake-up after the call. */
  next(): Promise<void>
}

function createWake(catalog: Catalog): Wake {
  let ring: (() => void) | undefined
  let rung = new Promise<void>((resolve) => (ring = resolve))
  const listener = catalog.onWake((topic) => {
    if (topic !== 'events') return
    ring?.()
    rung = new Promise((resolve) => (ring = resolve))
  })
  return { next: () => rung, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() }
}

async function waitFor(rung: Promise<void>, clock: Clock, signal: AbortSignal): Promise<void> {
  const done = new AbortController()
  const waiting = AbortSignal.any([done.signal, signal])
  await Promise.race([rung, clock.sleep(POLL_MS, waiting).catch(() => undefined)])
  done.abort()
}

/**
 * Gets the pages of a listing. Pages whose place can be computed are asked for ahead, at most
 * `concurrency` at a time; a page that turns out to stand elsewhere than assumed is thrown away and
 * asked for again at its true place. Whatever is in flight at the end is ended.
 */
import { crc32 } from 'node:zlib'
import { assert } from '../../../lib/assert.ts'
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type { ConnectorContext, OpenRequest } from '../../connector.ts'
import type { Client, Validators } from './client.ts'
import type { HttpConfig, Limits, Stream } from './config.ts'
import { headerNext, readPage, streamPointers, type ReadPage } from './page.ts'
import * as paging from './paging.ts'
import * as place from './place.ts'
import type { Answer } from './request.ts'

export type ListingJob = {
  readonly config: HttpConfig
  readonly stream: Stream
  readonly bindings: paging.Bindings
  readonly limits: Limits
  readonly client: Client
  readonly context: ConnectorContext
  readonly request: OpenRequest
}

export type Loaded = {
  readonly url: URL
  readonly key: string
  readonly facts: paging.PageFacts
  readonly validators: Validators
  /** Undefined when the committed version still stands, or nothing is there. */
  readonly page: ReadPage | undefined
  readonly known: place.KnownPage | undefined
  /** Of the body as it came; 0 when there is none. */
  readonly checksum: number
}

export type Loader = {
  load(position: paging.Position): Promise<Loaded>
  /** Asks for `next`, and for pages behind it where their place can be computed. */
  ahead(next: paging.Position, last: Loaded): void
  close(): Promise<void>
}

/** Pages that may be in flight for each one that has come. */
const RAMP = 4

/** Pages that have come and wait for their turn, for each one that may be in flight. */
const BUFFERED_PER_FLIGHT = 1

export function createLoader(
  job: ListingJob,
  since: string | undefined,
  known: { readonly [key: string]: Json },
): Loader {
  const { stream, limits, context } = job
  const loadOne = pageLoader(job, since, known)
  const horizon = createHorizon(job, since, known)
  let stop = new AbortController()
  /** Pages that were asked for and not delivered yet, in flight or waiting. */
  let pages = new Map<paging.Position, Promise<Loaded>>()
  let inFlight = 0
  let delivered = 0
  /** The next place to ask for, where it can be computed. */
  let frontier: { readonly at: number; readonly stride: number } | undefined
  let pageBytes = 1

  function start(position: paging.Position): void {
    const signal = AbortSignal.any([context.signal, stop.signal])
    inFlight++
    const page = loadOne(position, signal)
      .then((loaded) => {
        horizon.note(position, loaded.facts.rows)
        return loaded
      })
      .finally(() => {
        inFlight--
        if (!signal.aborted) fill()
      })
    // It is awaited when its turn comes, or never.
    page.catch(() => undefined)
    pages.set(position, page)
  }

  /** Asks for pages at the frontier: few at first, as a listing may be short, or when they are large. */
  function fill(): void {
    const fits = Math.max(1, Math.floor(limits.prefetchBytesMax / pageBytes))
    const flightsMax = Math.min(limits.concurrency, RAMP * delivered, fits)
    const pagesMax = Math.min(limits.concurrency * (1 + BUFFERED_PER_FLIGHT), fits)
    while (frontier && inFlight < flightsMax && pages.size < pagesMax) {
      if (horizon.isBefore(frontier.at)) return
      if (!pages.has(frontier.at)) start(frontier.at)
      frontier = { ...frontier, at: frontier.at + frontier.stride }
    }
  }

  async function dropAll(): Promise<void> {
    const dropped = pages
    pages = new Map()
    frontier = undefined
    stop.abort(new HakiriError('CANCELLED', 'the page is not needed any more'))
    await Promise.allSettled(dropped.values())
    stop = new AbortController()
  }

  return {
    async load(position) {
      if (pages.size > 0 && !pages.has(position)) await dropAll()
      if (!pages.has(position)) start(position)
      const loaded = await pages.get(position)
      assert(loaded, 'a page that was asked for arrives or throws')
      pages.delete(position)
      delivered++
      return loaded
    },
    ahead(next, last) {
      pageBytes = Math.max(1, last.page?.body.length ?? 1)
      if (pages.size === 0) start(next)
      const isCounted = paging.isCounted(stream.paging) && typeof next === 'number'
      if (!isCounted || !pages.has(next)) return
      const stride = paging.countedNext(stream.paging, next, last.facts.rows) - next
      horizon.expect(last.facts.rows)
      horizon.isBefore(next)
      if (frontier?.stride !== stride) frontier = { at: next + stride, stride }
      fill()
    },
    async close() {
      await dropAll()
      job.client.close()
    },
  }
}

type Horizon = {
  /** Rows of a page that has a page behind it. */
  expect(rows: number): void
  note(position: paging.Position, rows: number): void
  /** The listing ends before this place, as far as this pass or the one before has shown. */
  isBefore(position: number): boolean
}

/** Where a listing seems to end. It only spares requests: what ends a pass is its last page. */
function createHorizon(
  job: ListingJob,
  since: string | undefined,
  known: { readonly [key: string]: Json },
): Horizon {
  const { stream, client, bindings } = job
  const declared = paging.declaredSize(stream.paging)
  let expectedRows = 1
  let end = Infinity
  const note = (position: paging.Position, rows: number): void => {
    if (rows < expectedRows) end = Math.min(end, Number(position))
  }
  return {
    expect(rows) {
      if (declared !== undefined) expectedRows = Math.max(1, Math.min(declared, rows))
    },
    note,
    isBefore(position) {
      if (position > end) return true
      const url = paging.pageUrl(client.base, stream, bindings, since, position)
      const before = place.readKnown(known[place.pageKey(url, client.base)])
      if (before) note(position, before.rows)
      return false
    },
  }
}

/** Fetches one page, conditionally where its committed version is known. */
function pageLoader(
  job: ListingJob,
  since: string | undefined,
  known: { readonly [key: string]: Json },
): (position: paging.Position, signal: AbortSignal) => Promise<Loaded> {
  const { client, stream, bindings, context } = job
  const pointers = streamPointers(stream)
  const counted = paging.isCounted(stream.paging)

  return (position, signal) => {
    const url = paging.pageUrl(client.base, stream, bindings, since, position)
    const key = place.pageKey(url, client.base)
    const before = place.readKnown(known[key])
    const validators = before && mayStand(before, stream) ? before.validators : {}
    const read = (answer: Answer): Loaded => {
      if (answer.status === 304) {
        if (before === undefined || Object.keys(validators).length === 0) throw unasked(stream, key)
        context.count('notModified', 1)
        const told = headerNext(answer, url, stream, client.secretParam) ?? before.told
        const facts = { rows: before.rows, told }
        return { url, key, facts, validators, page: undefined, known: before, checksum: 0 }
      }
      const absent = answer.status === 404
      const page = absent ? undefined : readPage(answer, url, stream, pointers, client.secretParam)
      const facts = { rows: (page?.bounds.length ?? 0) / 2, told: page?.told }
      const checksum = page ? crc32(page.body) : 0
      return { url, key, facts, validators: validatorsOf(answer), page, known: undefined, checksum }
    }
    const absentAllowed = counted && position !== null
    return client.get({ url, validators, absentAllowed, signal, read })
  }
}

/**
 * The last page of a linked listing stands unchanged, as far as its body tells, when a full page gets
 * a successor: its link is in a header that the ETag may not cover. So it is asked for in full, unless
 * a new row would have had room in it.
 */
function mayStand(known: place.KnownPage, stream: Stream): boolean {
  return stream.paging.kind !== 'link' || known.told !== undefined || known.short
}

/** A time stamp alone has steps of a second: one that is too fresh may stand for two versions. */
function validatorsOf(answer: Answer): Validators {
  const { etag, date, 'last-modified': lastModified } = answer.headers
  if (etag !== undefined) return { etag, ...(lastModified === undefined ? {} : { lastModified }) }
  if (lastModified === undefined || date === undefined) return {}
  return Date.parse(date) - Date.parse(lastModified) >= 2_000 ? { lastModified } : {}
}

function unasked(stream: Stream, key: string): HakiriError {
  return new HakiriError(
    'SOURCE_FATAL',
    `stream ${stream.name}: ${key} answers "not modified" to a request without conditions`,
  )
}

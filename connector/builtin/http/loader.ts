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

export function createLoader(
  job: ListingJob,
  since: string | undefined,
  known: { readonly [key: string]: Json },
): Loader {
  const { stream, limits, context } = job
  const loadOne = pageLoader(job, since, known)
  const declared = paging.declaredSize(stream.paging)
  const keyOf = (position: paging.Position): string =>
    place.pageKey(
      paging.pageUrl(job.client.base, stream, job.bindings, since, position),
      job.client.base,
    )
  let expectedRows = 1
  let delivered = 0
  let stop = new AbortController()
  let flights = new Map<paging.Position, Promise<Loaded>>()
  /** Places at or behind this one are known to be past the end. */
  let horizon = Infinity

  function start(position: paging.Position): void {
    const signal = AbortSignal.any([context.signal, stop.signal])
    const flight = loadOne(position, signal).then((loaded) => {
      if (loaded.facts.rows < expectedRows) horizon = Math.min(horizon, Number(position))
      return loaded
    })
    // It is awaited when its turn comes, or never.
    flight.catch(() => undefined)
    flights.set(position, flight)
  }

  async function dropAll(): Promise<void> {
    const dropped = flights
    flights = new Map()
    stop.abort(new HakiriError('CANCELLED', 'the page is not needed any more'))
    await Promise.allSettled(dropped.values())
    stop = new AbortController()
  }

  /** Past the end, as far as an answer of this pass or the pass before has shown. */
  function isPastEnd(position: number): boolean {
    if (position > horizon) return true
    const before = place.readKnown(known[keyOf(position)])
    if (before && before.rows < expectedRows) horizon = position
    return false
  }

  /** Pages in flight at a time: fewer when they are large, and at first, as a listing may be short. */
  function width(last: Loaded): number {
    const pageBytes = Math.max(1, last.page?.body.length ?? 1)
    return Math.min(
      limits.concurrency,
      RAMP * delivered,
      Math.max(1, Math.floor(limits.prefetchBytesMax / pageBytes)),
    )
  }

  return {
    async load(position) {
      if (flights.size > 0 && !flights.has(position)) await dropAll()
      if (!flights.has(position)) start(position)
      const loaded = await flights.get(position)
      flights.delete(position)
      delivered++
      assert(loaded, 'a page that was asked for arrives or throws')
      return loaded
    },
    ahead(next, last) {
      if (flights.size === 0) start(next)
      if (!paging.isCounted(stream.paging)) return
      const { rows } = last.facts
      const stride = paging.countedNext(stream.paging, next, rows) - Number(next)
      if (declared !== undefined) expectedRows = Math.max(1, Math.min(declared, rows))
      if (isPastEnd(Number(next))) return
      for (let k = 1; k < width(last) && flights.has(next); k++) {
        const position = Number(next) + k * stride
        if (isPastEnd(position)) break
        if (!flights.has(position)) start(position)
      }
    },
    async close() {
      await dropAll()
      job.client.close()
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

/**
 * Walks the pages of one shard in order and turns them into events.
 *
 * A cursor names the page after the rows it covers (S2).
 *
 * A page that did not change since it was committed (304) gives no rows, and is walked over with what
 * was kept of it. A page that did change is given whole: rows merge by key in upsert mode, and are
 * appended again in append mode.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type { SourceEvent } from '../../connector.ts'
import type { Stream } from './config.ts'
import { createLoader, type ListingJob, type Loaded } from './loader.ts'
import * as paging from './paging.ts'
import * as place from './place.ts'
import { renderRecords, type Rendered } from './records.ts'
import { createFilter, type Filter, type Watermark } from './watermark.ts'

type StateChange = { readonly [key: string]: Json }

/** The rows of one shard behind the request's cursor. */
export async function* readListing(job: ListingJob): AsyncGenerator<SourceEvent, void, undefined> {
  const { request, stream, context, config } = job
  const from = place.readPlace(request.cursor)
  if (from.kind === 'end' && request.mode.kind !== 'incremental') return
  const begun = from.kind === 'within' ? from : passStart(from)
  const filter = createFilter(request.mode, begun.since, begun.greatest, context.clock.now())
  const memory = createMemory(
    config.conditional && request.mode.kind !== 'range' ? request.state : undefined,
    begun.next === null,
  )
  const loader = createLoader(job, filter?.from, memory.known)
  const walk = createWalk(stream, begun.next)
  const checkColumn = columnCheck(stream, filter)
  try {
    for (let position: paging.Position | undefined = begun.next; position !== undefined;) {
      const loaded = await loader.load(position)
      const next = walk.step(position, loaded)
      if (next !== undefined) loader.ahead(next, loaded)
      const rendered = renderPage(job, loaded, filter)
      checkColumn(rendered, loaded)
      const state = memory.note(
        loaded,
        rendered.withheld > 0,
        walk.isShort(loaded),
        next === undefined,
      )
      yield* pageEvents(rendered, cursorBehind(next, begun.since, filter), state)
      position = next
    }
  } finally {
    await loader.close()
  }
}

function cursorBehind(
  next: paging.Position | undefined,
  since: Watermark | undefined,
  filter: Filter | undefined,
): Json {
  const greatest = filter?.greatest()
  if (next === undefined) return place.writePlace({ kind: 'end', greatest })
  return place.writePlace({ kind: 'within', next, since, greatest })
}

/** A pass after a finished one starts from the greatest value that one saw. */
function passStart(from: Exclude<place.Place, { kind: 'within' }>): {
  readonly next: null
  readonly since: Watermark | undefined
  readonly greatest: Watermark | undefined
} {
  const mark = from.kind === 'end' ? from.greatest : undefined
  return { next: null, since: mark, greatest: mark }
}

// ── Walking ───────────────────────────────────────────────────────────────────────────────────────

type Walk = {
  /** The position behind this page; undefined at the end. Throws when the listing runs in a circle. */
  step(position: paging.Position, loaded: Loaded): paging.Position | undefined
  isShort(loaded: Loaded): boolean
}

function createWalk(stream: Stream, first: paging.Position): Walk {
  const seen = new Set<paging.Position>([first])
  const size = paging.declaredSize(stream.paging)
  let rowsMost = 0
  let lastChecksum = 0
  let honoured = false
  return {
    step(position, loaded) {
      const { rows } = loaded.facts
      rowsMost = Math.max(rowsMost, rows)
      honoured ||= size !== undefined && rows >= size
      const repeats = loaded.page && rows > 0 && loaded.checksum === lastChecksum
      if (repeats && paging.isCounted(stream.paging)) throw circle(stream, 'two pages are the same')
      lastChecksum = loaded.checksum
      const next = paging.nextPosition(stream.paging, position, loaded.facts, honoured)
      if (next === undefined) return undefined
      if (seen.has(next)) throw circle(stream, 'a page leads back to an earlier one')
      seen.add(next)
      return next
    },
    isShort: (loaded) => loaded.facts.rows === 0 || loaded.facts.rows < rowsMost,
  }
}

function circle(stream: Stream, what: string): HakiriError {
  return new HakiriError('SOURCE_DATA', `stream ${stream.name}: paging runs in a circle: ${what}`, {
    suggestion: 'Check the paging section: does the API know its parameter names?',
  })
}

const NOTHING: Rendered = { chunks: [], rejects: [], withheld: 0, absent: 0 }

function renderPage(job: ListingJob, loaded: Loaded, filter: Filter | undefined): Rendered {
  if (!loaded.page) return NOTHING
  const { bindings, context, stream } = job
  const members = Object.entries(bindings).map((pair) =>
    pair.map((text) => JSON.stringify(text)).join(':'),
  )
  return renderRecords(loaded.page.body, loaded.page.bounds, {
    splice: Buffer.from(members.join(','), 'utf8'),
    spliced: Object.keys(bindings),
    filter,
    chunkBytesMax: context.chunkBytesMax,
    stream: stream.name,
  })
}

/** Looks at the first page that has rows: a cursor column that no record has is a mistake. */
function columnCheck(
  stream: Stream,
  filter: Filter | undefined,
): (rendered: Rendered, loaded: Loaded) => void {
  let done = filter === undefined
  return (rendered, loaded) => {
    if (done || !loaded.page || loaded.facts.rows === 0) return
    done = true
    if (rendered.absent < loaded.facts.rows) return
    throw new HakiriError(
      'CONFIG_INVALID',
      `stream ${stream.name}: no record has a cursor column "${filter?.column}"`,
      { suggestion: 'Name a top-level field of the records in write.cursor.' },
    )
  }
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────────────

type Memory = {
  readonly known: { readonly [key: string]: Json }
  /** What to change in the state with this page; with the last page, forgets pages that are gone. */
  note(loaded: Loaded, withheld: boolean, short: boolean, last: boolean): StateChange
}

/** `state` undefined: nothing is remembered. `whole`: this pass sees every page of the listing. */
function createMemory(state: { readonly [key: string]: Json } | undefined, whole: boolean): Memory {
  if (state === undefined) return { known: {}, note: () => ({}) }
  const visited = new Set<string>()

  function pageChange(loaded: Loaded, withheld: boolean, short: boolean): StateChange {
    const { key, facts, validators } = loaded
    if (loaded.known && loaded.known.told === facts.told) return {}
    // A page with rows that are still to come must be seen again.
    const skippable = Object.keys(validators).length > 0 && !withheld
    if (!skippable) return state?.[key] === undefined ? {} : { [key]: null }
    return { [key]: place.writeKnown({ validators, rows: facts.rows, told: facts.told, short }) }
  }

  return {
    known: state,
    note(loaded, withheld, short, last) {
      visited.add(loaded.key)
      const change = pageChange(loaded, withheld, short)
      if (!last || !whole) return change
      const gone = Object.keys(state).filter((key) => place.isPageKey(key) && !visited.has(key))
      return { ...change, ...Object.fromEntries(gone.map((key) => [key, null])) }
    },
  }
}

// ── Events ────────────────────────────────────────────────────────────────────────────────────────

function* pageEvents(rendered: Rendered, cursor: Json, state: StateChange): Generator<SourceEvent> {
  for (const { raw, reason } of rendered.rejects) yield { kind: 'reject', raw, reason }
  const last = rendered.chunks.at(-1)
  for (const chunk of rendered.chunks) {
    const rows = { kind: 'rows', format: 'ndjson', ...chunk } as const
    yield chunk === last ? { ...rows, cursor, state } : { ...rows, cursor: undefined }
  }
  if (!last) yield { kind: 'progress', cursor, state }
}

/**
 * Reads one small shard into memory, all of it or nothing: what is too much, too slow or out of the
 * ordinary leaves the shard over.
 */
import type { Counters } from '../../catalog/catalog.ts'
import type { RowFormat, SourceEvent } from '../../connector/connector.ts'
import type { SourceColumn } from '../../lib/column.ts'
import { HakiriError, operatingError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import type { WorkerDeps } from '../deps.ts'
import type { StateChange } from '../spool.ts'
import type { Deadlines } from './deadlines.ts'
import type { LeftOver, Member, Part } from './member.ts'

export type MemberRead =
  | { readonly kind: 'part'; readonly part: Part }
  | {
      readonly kind: 'leftover'
      readonly member: Member
      readonly left: LeftOver
      readonly counted: Part['counted']
    }

export async function readMember(
  member: Member,
  bytesMax: number,
  deadlines: Deadlines,
  deps: WorkerDeps,
  stop: AbortSignal,
): Promise<MemberRead> {
  const { job, start } = member
  const reading = createMemberReading(bytesMax)
  const left = (why: LeftOver['why'], error?: HakiriError): MemberRead => {
    return { kind: 'leftover', member, left: { why, error }, counted: reading.counted }
  }
  if (stop.aborted) return left('stopped')
  const startedAt = deps.clock.monotonic()
  const source = new AbortController()
  const onStop = (): void => source.abort(stop.reason)
  stop.addEventListener('abort', onStop, { once: true })
  let isLate = false
  const over = deadlines.begin(() => {
    isLate = true
    source.abort(new HakiriError('CANCELLED', 'the shard is too slow for a group'))
  })
  try {
    const why =
      start.kind === 'read' ? await pull(member, start.cursor, reading, source.signal) : undefined
    if (stop.aborted) return left('stopped')
    if (why !== undefined) return left(why)
    if (!reading.endsWell(job.mode.kind === 'full')) return left('odd')
    return { kind: 'part', part: reading.part(member, deps.clock.monotonic() - startedAt) }
  } catch (error) {
    if (stop.aborted) return left('stopped')
    if (isLate) return left('slow')
    return left(
      'failed',
      operatingError(error, 'SOURCE_FATAL', `${job.pipeline.name}/${job.shard.id}`),
    )
  } finally {
    over()
    stop.removeEventListener('abort', onStop)
  }
}

/** Undefined: the source ended. */
async function pull(
  { job, state }: Member,
  cursor: Json,
  reading: MemberReading,
  signal: AbortSignal,
): Promise<'large' | 'odd' | undefined> {
  const context = job.connectorContext(signal, reading.count, job.chunkBytes)
  const { id, sourceTable: table, spec } = job.shard
  const request = { shard: { id, table, spec }, mode: job.mode, cursor, state }
  for await (const event of job.connector.open(context, request)) {
    signal.throwIfAborted()
    const why = reading.take(event)
    if (why === undefined) continue
    if (event.kind === 'parquet') await event.release()
    return why
  }
  return undefined
}

type MemberReading = {
  readonly counted: Part['counted']
  readonly count: (what: 'requests' | 'notModified' | 'retries', by: number) => void
  /** Why the shard does not belong into a group, when it does not. */
  take(event: SourceEvent): 'large' | 'odd' | undefined
  /** Without a cursor behind its last rows only a full load may end. */
  endsWell(isFull: boolean): boolean
  part(member: Member, readMs: number): Part
}

function createMemberReading(bytesMax: number): MemberReading {
  const counted: { -readonly [K in keyof Counters]?: number } = {}
  const chunks: Uint8Array[] = []
  let [rows, bytes] = [0, 0]
  let format: RowFormat | undefined
  /** As announced last, and as the rows have them. */
  let announced: readonly SourceColumn[] | undefined
  let columns: readonly SourceColumn[] | undefined
  let cursor: Json | undefined
  let endsAtCursor = true
  let state: StateChange = {}

  function takeRows(event: Extract<SourceEvent, { kind: 'rows' }>): 'large' | 'odd' | undefined {
    if (rows > 0 && (format !== event.format || columns !== announced)) return 'odd'
    bytes += event.bytes.length
    if (bytes > bytesMax) return 'large'
    format = event.format
    columns = announced
    chunks.push(event.bytes)
    rows += event.rows
    mark(event.cursor, event.state)
    return undefined
  }

  function mark(at: Json | undefined, change: StateChange | undefined): void {
    if (change) state = { ...state, ...change }
    if (at !== undefined) cursor = at
  }

  return {
    counted,
    count(what, by) {
      counted[what] = (counted[what] ?? 0) + by
    },
    take(event) {
      switch (event.kind) {
        case 'schema':
          announced = event.columns
          return undefined
        case 'rows':
          endsAtCursor = event.cursor !== undefined
          return takeRows(event)
        case 'progress':
          endsAtCursor ||= event.cursor !== undefined
          mark(event.cursor, event.state)
          return undefined
        case 'parquet':
        case 'reject':
          return 'odd'
      }
    },
    endsWell: (isFull) => isFull || endsAtCursor,
    part(member, readMs) {
      const reached = endsAtCursor && cursor !== undefined ? cursor : member.row.cursor
      return {
        member,
        chunks,
        rows,
        bytes,
        format,
        columns: format === 'csv' ? columns : undefined,
        cursor: reached,
        state,
        counted,
        readMs,
      }
    },
  }
}

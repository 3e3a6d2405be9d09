/**
 * Rows of one statement as events. Invariant: a cursor is attached to the event that ends with the
 * last row it covers, or follows it.
 */
import type { Json } from '../../../lib/json.ts'
import type { ConnectorContext, SourceEvent } from '../../connector.ts'
import type { PostgresOptions } from './config.ts'
import type { CopyChunk } from './copy-parser.ts'
import { readFields } from './csv.ts'
import { rejectInvalidText } from './encoding.ts'
import type { Phase } from './read-plan.ts'
import type { Session } from './session.ts'
import { copySql } from './sql.ts'

/** Runs one statement of a plan; ends with the phase's own cursor, when it has one. */
export async function* readPhase(
  context: ConnectorContext,
  session: Session,
  options: PostgresOptions,
  phase: Phase,
): AsyncGenerator<SourceEvent, void, undefined> {
  const encoding = session.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : undefined
  const limits = {
    chunkBytesMax: context.chunkBytesMax,
    rowBytesMax: options.rowBytesMax,
    trackRows: phase.safe.kind === 'ties',
  }
  context.count('requests', 1)
  const chunks = session.copy(copySql(phase, encoding), limits)
  const events =
    phase.safe.kind === 'ties'
      ? eventsByValue(chunks, phase.safe.field, phase.safe.cursor)
      : eventsByRow(chunks, phase)
  yield* encoding ? rejectInvalidText(events) : events
  if (phase.end !== undefined) yield { kind: 'progress', cursor: phase.end }
}

async function* eventsByRow(
  chunks: AsyncIterable<CopyChunk>,
  phase: Phase,
): AsyncGenerator<SourceEvent, void, undefined> {
  for await (const chunk of chunks) {
    yield rowsEvent(chunk.bytes, chunk.rows, cursorAfter(phase, chunk))
  }
}

function cursorAfter({ safe }: Phase, chunk: CopyChunk): Json | undefined {
  switch (safe.kind) {
    case 'none':
    case 'ties':
      return undefined
    case 'fixed':
      return safe.cursor
    case 'rows':
      return safe.cursor(
        readFields(chunk.bytes, chunk.lastRowStart, safe.fields).map((value) => value ?? ''),
      )
  }
}

/**
 * Without a key, a read may stop only where the value changes. Each chunk is cut at its last change;
 * when a group of equal values ends with a chunk, that is known one chunk later.
 */
async function* eventsByValue(
  chunks: AsyncIterable<CopyChunk>,
  field: number,
  toCursor: (value: string) => Json,
): AsyncGenerator<SourceEvent, void, undefined> {
  let open: string | undefined
  for await (const chunk of chunks) {
    const valueAt = (row: number): string =>
      readFields(chunk.bytes, row === 0 ? 0 : chunk.rowEnds[row - 1]!, [field])[0] ?? ''
    const last = valueAt(chunk.rows - 1)
    if (open !== undefined && valueAt(0) !== open) {
      yield { kind: 'progress', cursor: toCursor(open) }
    }
    const cut = firstRow(chunk.rows, (row) => valueAt(row) === last)
    const cutBytes = cut === 0 ? 0 : chunk.rowEnds[cut - 1]!
    if (cut > 0) {
      yield rowsEvent(chunk.bytes.subarray(0, cutBytes), cut, toCursor(valueAt(cut - 1)))
    }
    yield rowsEvent(chunk.bytes.subarray(cutBytes), chunk.rows - cut, undefined)
    open = last
  }
  if (open !== undefined) yield { kind: 'progress', cursor: toCursor(open) }
}

/** The first row that `holds`, which is true from some row on to the last. */
function firstRow(rows: number, holds: (row: number) => boolean): number {
  let [low, high] = [0, rows - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

function rowsEvent(bytes: Uint8Array, rows: number, cursor: Json | undefined): SourceEvent {
  return { kind: 'rows', format: 'csv', bytes, rows, cursor }
}

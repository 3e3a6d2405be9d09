/**
 * Databases of encoding SQL_ASCII hold any bytes. Rows of theirs that are not UTF-8 are set aside as
 * rejects; everything else passes untouched.
 */
import { isUtf8 } from 'node:buffer'
import type { SourceEvent } from '../../connector.ts'
import { rowEnd } from './csv.ts'

/** Splits rows that are not valid UTF-8 off each `rows` event; its cursor stays with the last part. */
export async function* rejectInvalidText(
  events: AsyncIterable<SourceEvent>,
): AsyncGenerator<SourceEvent, void, undefined> {
  for await (const event of events) {
    if (event.kind === 'rows' && !isUtf8(event.bytes)) yield* splitRows(event)
    else yield event
  }
}

type RowsEvent = Extract<SourceEvent, { readonly kind: 'rows' }>

function* splitRows(event: RowsEvent): Generator<SourceEvent, void, undefined> {
  const good: Uint8Array[] = []
  for (let at = 0; at < event.bytes.length;) {
    const end = rowEnd(event.bytes, at)
    const row = event.bytes.subarray(at, end)
    at = end
    if (isUtf8(row)) {
      good.push(row)
    } else {
      const raw = Buffer.from(row).toString('latin1').trimEnd()
      yield { kind: 'reject', raw, reason: 'the text is not valid UTF-8' }
    }
  }
  if (good.length > 0) yield { ...event, bytes: Buffer.concat(good), rows: good.length }
  else if (event.cursor !== undefined) yield { kind: 'progress', cursor: event.cursor }
}

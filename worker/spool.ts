/**
 * Where a batch lies before it is encoded: one local file of whole rows, with a mark at the last point
 * the source can resume from. The file is scratch: a crash loses it and the rows are read again.
 */
import { open, rm, truncate, type FileHandle } from 'node:fs/promises'
import type { Json } from '../lib/json.ts'
import type { SourceColumn } from '../lib/column.ts'
import type { RowFormat, SourceEvent } from '../connector/connector.ts'
import type { BatchInput } from '../sink/plan/batch-plan.ts'
import type { RejectedRow } from '../sink/encoder/encoder.ts'
import { scratchError } from './scratch.ts'

export type StateChange = { readonly [key: string]: Json }

/** A point up to which everything in the batch is whole and resumable. */
export type Mark = {
  readonly bytes: number
  readonly rows: number
  readonly rejects: number
  readonly cursor: Json
}

export type SealedBatch = {
  readonly input: BatchInput | undefined
  readonly rows: number
  readonly bytes: number
  readonly rejects: readonly RejectedRow[]
  /** Undefined: there is no safe point at the end of this batch; it commits with a later one. */
  readonly cursor: Json | undefined
  readonly state: StateChange
  /** Removes the local file. */
  release(): Promise<void>
}

export type Spool = {
  readonly bytes: number
  readonly rows: number
  readonly endsAtCursor: boolean
  /** The longest way from one safe point to the next so far. */
  readonly strideBytes: number
  readonly isEmpty: boolean
  /** True when the event cannot join this batch (other format, other columns). */
  refuses(event: SourceEvent, columns: readonly SourceColumn[] | undefined): boolean
  add(event: SourceEvent, columns: readonly SourceColumn[] | undefined): Promise<void>
  /** Ends the batch as it is. */
  seal(): Promise<SealedBatch>
  /** Ends the batch at its last mark and forgets the rows behind it; undefined when there is none. */
  sealAtMark(): Promise<SealedBatch | undefined>
  discard(): Promise<void>
}

type ParquetPart = Extract<SourceEvent, { kind: 'parquet' }>

/** `path` is created when the first rows arrive. */
export function createSpool(path: string): Spool {
  let handle: FileHandle | undefined
  let format: RowFormat | undefined
  let columns: readonly SourceColumn[] | undefined
  let part: ParquetPart | undefined
  let mark: Mark | undefined
  let bytes = 0
  let rows = 0
  let stride = 0
  let markedState: StateChange = {}
  let state: StateChange = {}
  const rejects: RejectedRow[] = []

  function setMark(cursor: Json | undefined): void {
    if (cursor === undefined) return
    stride = Math.max(stride, bytes - (mark?.bytes ?? 0))
    mark = { bytes, rows, rejects: rejects.length, cursor }
    markedState = state
  }

  async function write(chunk: Uint8Array): Promise<void> {
    try {
      handle ??= await open(path, 'w')
      for (let done = 0; done < chunk.length;) {
        done += (await handle.write(chunk, done, chunk.length - done)).bytesWritten
      }
    } catch (error) {
      throw scratchError(error, path)
    }
    bytes += chunk.length
  }

  function input(): BatchInput | undefined {
    if (part) return { format: 'parquet', path: part.path, from: part.from, rows: part.rows }
    if (!handle || rows === 0) return undefined
    if (format === 'csv') return { format, path, columns: columns ?? [], rows }
    return { format: 'ndjson', path }
  }

  async function release(): Promise<void> {
    await part?.release()
    await rm(path, { force: true })
  }

  async function seal(): Promise<SealedBatch> {
    const sealed = {
      input: input(),
      rows,
      bytes,
      rejects: [...rejects],
      cursor: endsAtCursor() ? mark?.cursor : undefined,
      state,
      release,
    }
    await handle?.close()
    return sealed
  }

  const endsAtCursor = (): boolean =>
    mark !== undefined &&
    mark.bytes === bytes &&
    mark.rows === rows &&
    mark.rejects === rejects.length

  return {
    get bytes() {
      return bytes
    },
    get rows() {
      return rows
    },
    get endsAtCursor() {
      return endsAtCursor()
    },
    get strideBytes() {
      return stride
    },
    get isEmpty() {
      return rows === 0 && rejects.length === 0 && mark === undefined
    },
    refuses(event, newColumns) {
      if (event.kind === 'parquet') return rows > 0
      if (event.kind !== 'rows' || rows === 0) return false
      return (
        part !== undefined ||
        format !== event.format ||
        (format === 'csv' && columns !== newColumns)
      )
    },
    async add(event, newColumns) {
      switch (event.kind) {
        case 'schema':
          return
        case 'rows':
          format = event.format
          columns = newColumns
          await write(event.bytes)
          rows += event.rows
          state = { ...state, ...event.state }
          return setMark(event.cursor)
        case 'parquet':
          part = event
          rows = event.rows
          bytes = event.bytes
          return setMark(event.cursor)
        case 'progress':
          state = { ...state, ...event.state }
          return setMark(event.cursor)
        case 'reject':
          rejects.push({ raw: event.raw, reason: event.reason })
          return
      }
    },
    seal,
    async sealAtMark() {
      if (!mark) return undefined
      if (handle && mark.bytes < bytes) await truncate(path, mark.bytes)
      rejects.length = mark.rejects
      ;({ bytes, rows } = mark)
      state = markedState
      return seal()
    },
    async discard() {
      await handle?.close()
      await release()
    },
  }
}

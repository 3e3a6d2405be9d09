/**
 * Reads one text file from an offset on as row events. Memory: one window, which grows only for a row
 * that does not fit in it.
 */
import { crc32 } from 'node:zlib'
import type { Json } from '../../../lib/json.ts'
import type { SourceEvent } from '../../connector.ts'
import type { Content } from './content.ts'
import type { Splitter, Taken } from './split.ts'

/** Bytes of a file that are in memory at once, at least. */
const WINDOW_BYTES_MIN = 64 << 10
/** Times a file is followed while it grows under the reader. */
const GROWTHS_MAX = 3

export type Reached = { readonly offset: number; readonly rows: number; readonly checksum: number }

export type TextOptions = {
  readonly chunkBytesMax: number
  readonly rowBytesMax: number
  /** See Window.fresh. */
  readonly fresh: boolean
  readonly cursorAt: (reached: Reached) => Json
}

export type TextContent = Pick<Content, 'read' | 'left' | 'grow'>

const LF = 0x0a

/** Returns how far it came; less than everything when an unfinished row is left for later. */
export async function* readText(
  content: TextContent,
  splitter: Splitter,
  start: Reached,
  options: TextOptions,
): AsyncGenerator<SourceEvent, Reached & { readonly unfinished: boolean }, undefined> {
  const window = openWindow(content, options.chunkBytesMax)
  let reached = start
  for (let growths = 0; ;) {
    const { bytes, from, end, final } = window.view()
    const view = { bytes, from, end, final, fresh: options.fresh }
    let taken = splitter.take({ ...view, overlong: false })
    if (taken.next === from && !final && end - from >= options.rowBytesMax)
      taken = splitter.take({ ...view, overlong: true })
    if (taken.next > from) {
      const checksum = crc32(bytes.subarray(from, taken.next), reached.checksum)
      reached = {
        offset: reached.offset + taken.next - from,
        rows: reached.rows + taken.rows,
        checksum,
      }
      window.take(taken.next)
      yield* takenEvents(taken, splitter.format, options.cursorAt(reached))
    } else if (!final) await window.fill()
    else if (
      end > from &&
      bytes[end - 1] !== LF &&
      growths++ < GROWTHS_MAX &&
      (await content.grow())
    )
      window.reopen()
    else return { ...reached, unfinished: end > from }
  }
}

function* takenEvents(
  taken: Taken,
  format: 'csv' | 'ndjson',
  cursor: Json,
): Generator<SourceEvent> {
  for (const { raw, reason } of taken.rejects) yield { kind: 'reject', raw, reason }
  const at = taken.resumable === false ? undefined : cursor
  if (taken.rows > 0) yield { kind: 'rows', format, bytes: taken.out, rows: taken.rows, cursor: at }
  else if (taken.rejects.length > 0) yield { kind: 'progress', cursor: at }
}

type OpenWindow = {
  view(): {
    readonly bytes: Buffer
    readonly from: number
    readonly end: number
    readonly final: boolean
  }
  take(next: number): void
  /** Reads until the window is full, making room first. */
  fill(): Promise<void>
  /** The file went on behind what was its end. */
  reopen(): void
}

function openWindow(content: TextContent, chunkBytesMax: number): OpenWindow {
  const usual = Math.max(WINDOW_BYTES_MIN, chunkBytesMax)
  let bytes: Buffer = Buffer.alloc(0)
  let from = 0
  let end = 0
  let final = false

  /** Always new memory: rows that were handed on may be part of the old one. */
  function makeRoom(): void {
    if (end < bytes.length) return
    const rest = end - from
    const wanted = rest * 2 > usual ? rest * 2 : usual
    // No larger than what there is to read, and one byte to find the end with.
    const next = Buffer.allocUnsafeSlow(Math.min(wanted, rest + content.left() + 1))
    bytes.copy(next, 0, from, end)
    bytes = next
    from = 0
    end = rest
  }

  return {
    view: () => ({ bytes, from, end, final }),
    take(next) {
      from = next
    },
    async fill() {
      makeRoom()
      while (!final && end < bytes.length) {
        const read = await content.read(bytes, end)
        final = read === 0
        end += read
      }
    },
    reopen() {
      final = false
    },
  }
}

/**
 * A splitter finds whole rows in a window of a file and turns them into the port's row format. It keeps
 * no rows back but the last one of a window, so memory is bounded by the window.
 */

export type Reject = { readonly raw: string; readonly reason: string }

export type Window = {
  /** Not to be changed: what is handed on may be a part of it. */
  readonly bytes: Buffer
  readonly from: number
  readonly end: number
  /** The file ends at `end`. */
  readonly final: boolean
  /** The file was written to just now: an unfinished last row may still be completed. */
  readonly fresh: boolean
  /** The first row of the window is larger than a row may be: it must be got rid of. */
  readonly overlong: boolean
}

export type Taken = {
  /** Everything before it is dealt with; equal to `from` when the window holds no whole row. */
  readonly next: number
  /** Whole rows in the port's format; empty when there are none. */
  readonly out: Uint8Array
  readonly rows: number
  readonly rejects: readonly Reject[]
  /** False: these rows are not a point to resume from. Default true. */
  readonly resumable?: boolean
}

export type Splitter = {
  readonly format: 'csv' | 'ndjson'
  take(window: Window): Taken
}

export const NO_BYTES = new Uint8Array(0)

/** A row as text, whatever its bytes are. */
export function rawText(bytes: Buffer, start: number, end: number, isUtf8: boolean): string {
  return bytes.toString(isUtf8 ? 'utf8' : 'latin1', start, end)
}

const LF = 0x0a
const EXCERPT_BYTES = 1_000

export type LineDropper = {
  /** A line is being dropped whose end was not in the last window. */
  isDropping(): boolean
  drop(window: Window): Taken
}

/** Rejects one line, by its beginning, however many windows it fills. */
export function lineDropper(reason: string): LineDropper {
  let dropping = false
  return {
    isDropping: () => dropping,
    drop({ bytes, from, end }) {
      const stop = bytes.indexOf(LF, from)
      const isWhole = stop >= 0 && stop < end
      const next = isWhole ? stop + 1 : end
      const raw = rawText(bytes, from, Math.min(isWhole ? stop : end, from + EXCERPT_BYTES), false)
      const rejects = dropping ? [] : [{ raw, reason }]
      dropping = !isWhole
      return { next, out: NO_BYTES, rows: 0, rejects, resumable: isWhole }
    },
  }
}

/**
 * Shows a run while it is at work: totals on top, up to ten active or failed shards below. Redrawn in
 * place on a terminal, one line every ten seconds elsewhere.
 */
import { formatBytes, formatDuration } from '../lib/units.ts'
import type { ProgressEvent } from '../worker/deps.ts'
import type { Overlay, TerminalSize } from './command.ts'

const SHARDS_SHOWN_MAX = 10
const REDRAW_MS = 200
const LINE_EVERY_MS = 10_000

type ShardView = { state: string; rows: number; detail: string | undefined }

type ProgressView = {
  readonly startedAt: number
  readonly runs: ReadonlyMap<string, { readonly shards: number }>
  readonly rowsEstimate: number | undefined
  readonly rowsRead: number
  readonly rowsCommitted: number
  readonly bytesRead: number
  readonly quarantined: number
  readonly shardsDone: number
  readonly shardsTotal: number
  readonly shards: ReadonlyMap<string, ShardView>
}

export type Progress = Disposable & { observe(event: ProgressEvent): void }

export type ProgressOptions = {
  readonly isTerminal: boolean
  readonly size: () => TerminalSize
  readonly write: (text: string) => void
  /** Told what is drawn, so that other lines go above it; undefined when nothing is drawn any more. */
  readonly overlay: (shown: Overlay | undefined) => void
  readonly now: () => number
  readonly memoryBytes: () => number
  /** Calls back every so many milliseconds until the returned function is called. */
  readonly every: (ms: number, call: () => void) => () => void
}

/** Draws until disposed; the last drawing is wiped so that the summary can follow. */
export function createProgress(options: ProgressOptions): Progress {
  const view = emptyView(options.now())
  const display = options.isTerminal ? redrawn(view, options) : lineByLine(view, options)
  const stop = options.every(REDRAW_MS, () => {
    if (view.shardsTotal > 0) display.draw()
  })
  return {
    observe: (event) => applyEvent(view, event),
    [Symbol.dispose]() {
      stop()
      display.end()
    },
  }
}

type Display = { draw(): void; end(): void }

/** A block that replaces itself. */
function redrawn(view: ProgressView, options: ProgressOptions): Display {
  let drawn: readonly string[] = []
  const hide = (): void => options.write(wipe(drawn.length))
  const show = (): void => options.write(drawn.map((line) => `${line}\n`).join(''))
  options.overlay({ hide, show })
  return {
    draw() {
      const { columns, rows } = options.size()
      const lines = renderLines(view, options.now(), options.memoryBytes())
        .slice(0, Math.max(1, rows - 1))
        .map((line) => line.slice(0, Math.max(1, columns - 1)))
      const before = wipe(drawn.length)
      drawn = lines
      options.write(before + drawn.map((line) => `${line}\n`).join(''))
    },
    end() {
      hide()
      options.overlay(undefined)
    },
  }
}

/** For logs: the totals, seldom. */
function lineByLine(view: ProgressView, options: ProgressOptions): Display {
  let lastLineAt = options.now()
  return {
    draw() {
      if (options.now() - lastLineAt < LINE_EVERY_MS) return
      lastLineAt = options.now()
      options.write(`${renderTotals(view, options.now(), options.memoryBytes())}\n`)
    },
    end: () => undefined,
  }
}

type MutableView = { -readonly [K in keyof ProgressView]: ProgressView[K] } & {
  runs: Map<string, { shards: number }>
  shards: Map<string, ShardView>
}

function emptyView(startedAt: number): MutableView {
  return {
    startedAt,
    runs: new Map(),
    rowsEstimate: 0,
    rowsRead: 0,
    rowsCommitted: 0,
    bytesRead: 0,
    quarantined: 0,
    shardsDone: 0,
    shardsTotal: 0,
    shards: new Map(),
  }
}

export function applyEvent(view: MutableView, event: ProgressEvent): void {
  switch (event.kind) {
    case 'run':
      view.runs.set(event.pipeline, { shards: event.shards })
      view.shardsTotal += event.shards
      view.rowsEstimate =
        view.rowsEstimate === undefined || event.rowsEstimate === undefined
          ? undefined
          : view.rowsEstimate + event.rowsEstimate
      return
    case 'shard': {
      const shard = shardOf(view, event.shard)
      shard.state = event.state
      shard.detail = event.detail
      if (event.state === 'done') view.shardsDone += 1
      return
    }
    case 'read':
      view.rowsRead += event.rows
      view.bytesRead += event.bytes
      shardOf(view, event.shard).rows += event.rows
      return
    case 'committed':
      view.rowsCommitted += event.rows
      view.quarantined += event.quarantined
      return
    case 'published':
    case 'schema':
      return
  }
}

function shardOf(view: MutableView, id: string): ShardView {
  const known = view.shards.get(id)
  if (known) return known
  const fresh: ShardView = { state: 'queued', rows: 0, detail: undefined }
  view.shards.set(id, fresh)
  return fresh
}

function renderTotals(view: ProgressView, now: number, memoryBytes: number): string {
  const elapsedMs = Math.max(1, now - view.startedAt)
  const rate = (view.rowsRead / elapsedMs) * 1000
  const left = view.rowsEstimate === undefined ? undefined : view.rowsEstimate - view.rowsRead
  const eta =
    left !== undefined && left > 0 && rate > 0
      ? `  ETA ${formatDuration((left / rate) * 1000)}`
      : ''
  const bad = view.quarantined > 0 ? `  ${view.quarantined} quarantined` : ''
  return (
    `${formatDuration(elapsedMs)}  ${view.rowsRead.toLocaleString('en')} rows  ${Math.round(rate).toLocaleString('en')} rows/s  ` +
    `${formatBytes(view.bytesRead)}  ${view.shardsDone}/${view.shardsTotal} shards${bad}${eta}  ${formatBytes(memoryBytes)} memory`
  )
}

/** Totals, then what needs eyes: failing shards first, then the ones at work. */
function renderLines(view: ProgressView, now: number, memoryBytes: number): readonly string[] {
  const rank = (shard: ShardView): number =>
    ['failed', 'fenced', 'backoff', 'flushing', 'reading', 'acquiring'].indexOf(shard.state)
  const shown = [...view.shards]
    .filter(([, shard]) => rank(shard) >= 0)
    .toSorted(([, a], [, b]) => rank(a) - rank(b))
  const lines = shown.slice(0, SHARDS_SHOWN_MAX).map(([id, shard]) => {
    const detail = shard.detail === undefined ? '' : `  ${shard.detail}`
    return `  ${shard.state.padEnd(9)} ${id}  ${shard.rows.toLocaleString('en')} rows${detail}`
  })
  const hidden = shown.length - lines.length
  return [
    renderTotals(view, now, memoryBytes),
    ...lines,
    ...(hidden > 0 ? [`  … and ${hidden} more`] : []),
  ]
}

/** Back to the first line of the block, from its left edge: the terminal may have echoed a ^C below. */
function wipe(lines: number): string {
  return lines === 0 ? '' : `\r\u001B[${lines}A\u001B[0J`
}

/** What a timeline says, as stretches of time: faults, states of processes, leaders, holders. Pure. */
import type { TimelineEvent } from '../timeline.ts'

export type Span = { readonly fromMs: number; readonly toMs: number }

export type FaultSpan = Span & {
  readonly number: number
  readonly kind: string
  readonly title: string
  readonly hosts: readonly string[]
}

export type ProcessSpan = Span & { readonly state: 'running' | 'stopped' | 'down' }
export type LeaderSpan = Span & { readonly member: string; readonly term: number }
export type HolderSpan = Span & { readonly worker: string }

export function endOf(events: readonly TimelineEvent[]): number {
  return Math.max(1_000, ...events.map(({ atMs }) => atMs))
}

export function faultSpans(events: readonly TimelineEvent[]): readonly FaultSpan[] {
  const ends = new Map<number, number>()
  for (const event of events) if (event.kind === 'fault-ends') ends.set(event.fault, event.atMs)
  const last = endOf(events)
  return events.flatMap((event) => {
    if (event.kind !== 'fault-begins') return []
    const { fault: number, title, hosts, atMs } = event
    const kind = title.split(' ')[0] ?? title
    return [{ number, kind, title, hosts, fromMs: atMs, toMs: ends.get(number) ?? last }]
  })
}

/** Lays spans that overlap into rows of their own: as few as there are at once. */
export function inRows<T extends Span>(spans: readonly T[]): readonly (readonly T[])[] {
  const rows: T[][] = []
  for (const span of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const free = rows.find((row) => (row.at(-1)?.toMs ?? 0) <= span.fromMs)
    if (free) free.push(span)
    else rows.push([span])
  }
  return rows
}

const STATES = {
  started: 'running',
  continued: 'running',
  stopped: 'stopped',
  ended: 'down',
} as const

export function processSpans(
  events: readonly TimelineEvent[],
): ReadonlyMap<string, readonly ProcessSpan[]> {
  const last = endOf(events)
  const names = new Map<string, ProcessSpan[]>()
  for (const event of events) {
    if (event.kind !== 'process') continue
    const spans = names.get(event.name) ?? []
    const open = spans.at(-1)
    if (open) spans[spans.length - 1] = { ...open, toMs: event.atMs }
    spans.push({ fromMs: event.atMs, toMs: last, state: STATES[event.what] })
    names.set(event.name, spans)
  }
  return names
}

export function leaderSpans(events: readonly TimelineEvent[]): readonly LeaderSpan[] {
  const last = endOf(events)
  const seen = events.filter((event) => event.kind === 'leader')
  return seen.map(({ atMs, member, term }, index) => ({
    member,
    term,
    fromMs: atMs,
    toMs: seen[index + 1]?.atMs ?? last,
  }))
}

export function holderSpans(
  events: readonly TimelineEvent[],
): ReadonlyMap<string, readonly HolderSpan[]> {
  const last = endOf(events)
  const units = new Map<string, HolderSpan[]>()
  const open = new Map<string, { readonly worker: string; readonly fromMs: number }>()
  const close = (unit: string, toMs: number): void => {
    const held = open.get(unit)
    if (!held) return
    open.delete(unit)
    units.set(unit, [...(units.get(unit) ?? []), { ...held, toMs }])
  }
  for (const event of events) {
    if (event.kind !== 'holder') continue
    close(event.unit, event.atMs)
    if (event.worker !== undefined)
      open.set(event.unit, { worker: event.worker, fromMs: event.atMs })
  }
  for (const unit of open.keys()) close(unit, last)
  return units
}

export type CommitMark = { readonly atMs: number; readonly files: number; readonly worker: string }

export function commitMarks(events: readonly TimelineEvent[]): readonly CommitMark[] {
  return events.filter((event) => event.kind === 'commit')
}

export function memoryLines(
  events: readonly TimelineEvent[],
): ReadonlyMap<string, readonly (readonly [atMs: number, bytes: number])[]> {
  const names = new Map<string, (readonly [number, number])[]>()
  for (const event of events)
    if (event.kind === 'memory')
      names.set(event.name, [...(names.get(event.name) ?? []), [event.atMs, event.rssBytes]])
  return names
}

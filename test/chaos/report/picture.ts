/**
 * The timeline of a chaos run as one picture: time from left to right, one lane a host with the state of
 * its process and the faults that hit it, then who led, who held what, what was committed, and memory.
 */
import { CATALOGUE, type Family, type FaultKind } from '../faults/catalogue.ts'
import type { TimelineEvent } from '../timeline.ts'
import {
  commitMarks,
  endOf,
  faultSpans,
  holderSpans,
  inRows,
  leaderSpans,
  memoryLines,
  processSpans,
  type Span,
} from './spans.ts'
import { bar, type Box, element, fitted, line, path, words } from './svg.ts'

const WIDTH = 1600
const LEFT = 170
const RIGHT = 20
const ROW = 15

export const FAMILY_COLORS: Readonly<Record<Family, string>> = {
  kill: '#c0392b',
  pause: '#e08e0b',
  partition: '#7d3c98',
  link: '#b39ddb',
  disk: '#795548',
  clock: '#00897b',
  catalog: '#1e5aa8',
  bucket: '#3f9142',
  source: '#9e9d24',
  members: '#d81b60',
  versions: '#546e7a',
}

const WHO_COLORS = [
  '#1f77b4',
  '#ff7f0e',
  '#2ca02c',
  '#9467bd',
  '#8c564b',
  '#e377c2',
  '#17becf',
  '#bcbd22',
]
const STATE_COLORS = { running: '#9ccc9c', stopped: '#ffc773', down: '#f3b0a8' } as const
const PHASE_COLORS = {
  'warm-up': '#f4f8ff',
  faults: '#ffffff',
  healing: '#f1fbf1',
  audit: '#faf6ec',
  end: '#f4f4f4',
} as const

type Frame = {
  readonly xOf: (ms: number) => number
  readonly events: readonly TimelineEvent[]
  readonly endMs: number
  readonly colorOf: (who: string) => string
}

/** A part of the picture: what it draws from `y` on, and how high it is. */
type Lane = { readonly height: number; readonly draw: (y: number) => string }

export function drawPicture(events: readonly TimelineEvent[]): string {
  const endMs = endOf(events)
  const xOf = (ms: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * ms) / endMs
  const colors = new Map<string, string>()
  const colorOf = (who: string): string => {
    const known = colors.get(who) ?? WHO_COLORS[colors.size % WHO_COLORS.length]!
    colors.set(who, known)
    return known
  }
  const frame: Frame = { xOf, events, endMs, colorOf }
  const lanes = [
    ...hostLanes(frame),
    ...leaderLane(frame),
    ...holderLanes(frame),
    ...commitLanes(frame),
    ...memoryLanes(frame),
  ]
  const top = 46
  let y = top
  const drawn = lanes.map(({ height, draw }) => {
    const text = draw(y)
    y += height
    return text
  })
  const height = y + 24
  const parts = [phases(frame, height), axis(frame, height), ...drawn, problems(frame, height)]
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      'font-family': 'system-ui, sans-serif',
      'font-size': 11,
    },
    parts.join('\n'),
  )
}

function phases({ events, xOf, endMs }: Frame, height: number): string {
  const seen = events.filter((event) => event.kind === 'phase')
  return seen
    .map(({ atMs, name }, index) => {
      const toMs = seen[index + 1]?.atMs ?? endMs
      const box = { x: xOf(atMs), y: 0, width: xOf(toMs) - xOf(atMs), height }
      const label = fitted(name, box.width)
      return (
        bar(box, PHASE_COLORS[name], name) +
        words(box.x + 4, 13, label, { fill: '#666', 'font-weight': 'bold' }) +
        line(box.x, 0, box.x, height, { stroke: '#bbb', 'stroke-dasharray': '3 3' })
      )
    })
    .join('')
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600]
const TICKS_MAX = 16

function axis({ xOf, endMs }: Frame, height: number): string {
  const step = STEPS_S.find((each) => endMs / 1_000 / each <= TICKS_MAX) ?? 7_200
  const ticks = Array.from({ length: Math.floor(endMs / 1_000 / step) + 1 }, (_, at) => at * step)
  return ticks
    .map(
      (s) =>
        line(xOf(s * 1_000), 22, xOf(s * 1_000), height, { stroke: '#e4e4e4' }) +
        words(xOf(s * 1_000) + 2, 32, timeOf(s), { fill: '#888' }),
    )
    .join('')
}

function timeOf(s: number): string {
  return s < 120 ? `${s} s` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`
}

function heading(text: string): Lane {
  return {
    height: 26,
    draw: (y) =>
      line(0, y + 6, WIDTH, y + 6, { stroke: '#ddd' }) +
      words(8, y + 21, text, { 'font-weight': 'bold', fill: '#222', 'font-size': 12 }),
  }
}

function spanBox({ xOf }: Frame, { fromMs, toMs }: Span, y: number, height: number): Box {
  return { x: xOf(fromMs), y, width: xOf(toMs) - xOf(fromMs), height }
}

const hintOf = (text: string, { fromMs, toMs }: Span): string =>
  `${text}\n${(fromMs / 1_000).toFixed(1)} s to ${(toMs / 1_000).toFixed(1)} s`

/** One lane a host: how its process is, and below it each fault that touches it. */
function hostLanes(frame: Frame): readonly Lane[] {
  const faults = faultSpans(frame.events)
  const processes = processSpans(frame.events)
  const hosts = [...new Set([...processes.keys(), ...faults.flatMap(({ hosts: all }) => all)])]
  const lanes = hosts.toSorted(byRole).map((host): Lane => {
    const rows = inRows(faults.filter(({ hosts: all }) => all.includes(host)))
    const height = 12 + Math.max(1, rows.length) * ROW
    const draw = (y: number): string => {
      const states = (processes.get(host) ?? []).map((span) =>
        bar(
          spanBox(frame, span, y + 2, 5),
          STATE_COLORS[span.state],
          hintOf(`${host} ${span.state}`, span),
        ),
      )
      const bars = rows.flatMap((row, index) =>
        row.map((fault) => {
          const box = spanBox(frame, fault, y + 9 + index * ROW, ROW - 2)
          const label = fitted(fault.kind, box.width - 4)
          const hint = hintOf(`fault ${fault.number}: ${fault.title}`, fault)
          return (
            bar(box, colorOfKind(fault.kind), hint, { rx: 2 }) +
            words(box.x + 3, box.y + 10, label, {
              fill: '#fff',
              'font-size': 10,
              'pointer-events': 'none',
            })
          )
        }),
      )
      const name = words(8, y + 14, host, { 'font-weight': 'bold', fill: '#333' })
      return [name, ...states, ...bars, line(0, y, WIDTH, y, { stroke: '#f0f0f0' })].join('')
    }
    return { height, draw }
  })
  return [heading('Hosts: processes (thin) and faults'), ...lanes]
}

function colorOfKind(kind: string): string {
  return kind in CATALOGUE ? FAMILY_COLORS[CATALOGUE[kind as FaultKind].family] : '#888'
}

const ROLES = ['coord', 'worker', 'catalog', 'bucket', 'source', 'api']

function byRole(a: string, b: string): number {
  const rank = (host: string): number => {
    const at = ROLES.findIndex((role) => host.startsWith(role))
    return at < 0 ? ROLES.length : at
  }
  return rank(a) - rank(b) || a.localeCompare(b, 'en', { numeric: true })
}

function leaderLane(frame: Frame): readonly Lane[] {
  const spans = leaderSpans(frame.events)
  const draw = (y: number): string =>
    words(8, y + 14, 'leads (term)', { fill: '#333' }) +
    spans
      .map((span) => {
        const box = spanBox(frame, span, y + 3, 16)
        const text = `${span.member} (${span.term})`
        return (
          bar(box, frame.colorOf(span.member), hintOf(text, span)) +
          words(box.x + 3, y + 15, fitted(text, box.width - 4), {
            fill: '#fff',
            'font-size': 10,
            'pointer-events': 'none',
          })
        )
      })
      .join('')
  return spans.length === 0 ? [] : [heading('Who leads the coordinators'), { height: 22, draw }]
}

const UNIT_ROW = 9
const UNITS_MAX = 80

function holderLanes(frame: Frame): readonly Lane[] {
  const units = [...holderSpans(frame.events)].toSorted(([a], [b]) =>
    a.localeCompare(b, 'en', { numeric: true }),
  )
  if (units.length === 0) return []
  const lanes = units.slice(0, UNITS_MAX).map(([unit, spans]): Lane => ({
    height: UNIT_ROW,
    draw: (y) =>
      words(8, y + 8, fitted(unit, LEFT - 12, 9), { 'font-size': 9, fill: '#555' }) +
      spans
        .map((span) =>
          bar(
            spanBox(frame, span, y + 1, UNIT_ROW - 2),
            frame.colorOf(span.worker),
            hintOf(`${unit}: ${span.worker}`, span),
          ),
        )
        .join(''),
  }))
  const more = units.length > UNITS_MAX ? `, ${units.length - UNITS_MAX} more not drawn` : ''
  const workers = [...new Set(units.flatMap(([, spans]) => spans.map(({ worker }) => worker)))]
  return [heading(`Who holds each shard${more}`), legend(frame, workers.toSorted(byRole)), ...lanes]
}

function legend(frame: Frame, names: readonly string[]): Lane {
  return {
    height: 18,
    draw: (y) =>
      names
        .map((name, index) => {
          const x = LEFT + index * 110
          return (
            bar({ x, y: y + 3, width: 10, height: 10 }, frame.colorOf(name), name) +
            words(x + 14, y + 12, name)
          )
        })
        .join(''),
  }
}

/** When each worker committed, and how many files. */
function commitLanes(frame: Frame): readonly Lane[] {
  const marks = commitMarks(frame.events)
  if (marks.length === 0) return []
  const most = Math.max(1, ...marks.map(({ files }) => files))
  const workers = [...new Set(marks.map(({ worker }) => worker))].toSorted(byRole)
  const lanes = workers.map((worker): Lane => {
    const own = marks.filter((mark) => mark.worker === worker)
    const draw = (y: number): string =>
      words(8, y + 15, `${worker}: ${own.length}`, { fill: '#333' }) +
      line(LEFT, y + 21, WIDTH - RIGHT, y + 21, { stroke: '#eee' }) +
      own
        .map(({ atMs, files }) => {
          const height = 2 + (16 * Math.log1p(files)) / Math.log1p(most)
          const x = frame.xOf(atMs)
          return bar(
            { x, y: y + 21 - height, width: 1.5, height },
            frame.colorOf(worker),
            `${files} files at ${(atMs / 1_000).toFixed(1)} s`,
          )
        })
        .join('')
    return { height: 24, draw }
  })
  return [heading('Commits by worker (height: files, logarithmic)'), ...lanes]
}

const MEMORY_HEIGHT = 150

function memoryLanes(frame: Frame): readonly Lane[] {
  const all = memoryLines(frame.events)
  const most = Math.max(0, ...[...all.values()].flat().map(([, bytes]) => bytes))
  if (most === 0) return []
  const draw = (y: number): string => {
    const yOf = (bytes: number): number =>
      y + MEMORY_HEIGHT - 8 - ((MEMORY_HEIGHT - 24) * bytes) / most
    const grid = [0, 0.5, 1].map(
      (part) =>
        line(LEFT, yOf(most * part), WIDTH - RIGHT, yOf(most * part), { stroke: '#eee' }) +
        words(LEFT - 60, yOf(most * part) + 4, `${Math.round((most * part) / 1e6)} MB`, {
          fill: '#888',
        }),
    )
    const lines = [...all].map(([name, points]) =>
      path(
        points.map(([atMs, bytes]) => [frame.xOf(atMs), yOf(bytes)] as const),
        { stroke: frame.colorOf(name), 'stroke-width': 1.4 },
      ),
    )
    return [...grid, ...lines].join('')
  }
  return [
    heading('Memory (resident, with children)'),
    legend(frame, [...all.keys()].toSorted(byRole)),
    { height: MEMORY_HEIGHT, draw },
  ]
}

function problems({ events, xOf }: Frame, height: number): string {
  return events
    .filter((event) => event.kind === 'problem')
    .map(
      ({ atMs, check, text }) =>
        line(xOf(atMs), 0, xOf(atMs), height, { stroke: '#d50000', 'stroke-width': 1.5 }) +
        bar({ x: xOf(atMs) - 5, y: 36, width: 10, height: 10 }, '#d50000', `${check}: ${text}`),
    )
    .join('')
}

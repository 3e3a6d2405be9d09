/**
 * Numbers about the process in the Prometheus text format: counters and histograms that are raised
 * where things happen, gauges that are read when somebody asks. Raising one costs an addition.
 */
import { assert } from './assert.ts'

export type Labels = { readonly [name: string]: string }

export type Counter = { add(by?: number): void; value(): number }
export type Histogram = { observe(value: number): void }
/** One value, or one for each set of labels. */
export type Reading = number | readonly { readonly labels: Labels; readonly value: number }[]

export type Registry = {
  counter(name: string, help: string, labels?: Labels): Counter
  /** `read` is called whenever the metrics are asked for. */
  gauge(name: string, help: string, read: () => Reading): void
  /** A total that is counted elsewhere. */
  counterFrom(name: string, help: string, read: () => Reading): void
  /** `bounds` are the upper bounds of its buckets, ascending. */
  histogram(name: string, help: string, bounds: readonly number[], labels?: Labels): Histogram
  /** Everything, in the text format 0.0.4. */
  render(): string
}

type Family = {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly series: (() => string)[]
}

/** Twelve and more steps that double, from `first` on. */
export function doublingBounds(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, step) => first * 2 ** step)
}

export function createRegistry(): Registry {
  const families = new Map<string, Family>()
  const family = (name: string, type: Family['type'], help: string): Family => {
    const known = families.get(name)
    assert(!known || known.type === type, `metric ${name} is already a ${known?.type}`)
    if (known) return known
    const created = { type, help, series: [] }
    families.set(name, created)
    return created
  }
  const readFrom = (type: 'counter' | 'gauge') => {
    return (name: string, help: string, read: () => Reading): void => {
      family(name, type, help).series.push(() => formatReading(name, read()))
    }
  }
  return {
    counter: (name, help, labels = {}) => {
      const label = formatLabels(labels)
      let total = 0
      family(name, 'counter', help).series.push(() => `${name}${label} ${total}\n`)
      return {
        add: (by = 1) => {
          total += by
        },
        value: () => total,
      }
    },
    gauge: readFrom('gauge'),
    counterFrom: readFrom('counter'),
    histogram: (name, help, bounds, labels = {}) => {
      const { observe, format } = createBuckets(name, bounds, labels)
      family(name, 'histogram', help).series.push(format)
      return { observe }
    },
    render: () => [...families].map(([name, each]) => formatFamily(name, each)).join(''),
  }
}

function createBuckets(name: string, bounds: readonly number[], labels: Labels) {
  const counts = new Float64Array(bounds.length + 1)
  let sum = 0
  const observe = (value: number): void => {
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1
    counts[bucket] = (counts[bucket] ?? 0) + 1
    sum += value
  }
  const format = (): string => {
    let cumulated = 0
    const lines = [...counts].map((count, bucket) => {
      cumulated += count
      const le = bucket < bounds.length ? String(bounds[bucket]) : '+Inf'
      return `${name}_bucket${formatLabels({ ...labels, le })} ${cumulated}\n`
    })
    const label = formatLabels(labels)
    return `${lines.join('')}${name}_sum${label} ${sum}\n${name}_count${label} ${cumulated}\n`
  }
  return { observe, format }
}

function formatFamily(name: string, { type, help, series }: Family): string {
  const lines = series.map((format) => format()).join('')
  return lines === '' ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines}`
}

function formatReading(name: string, reading: Reading): string {
  if (typeof reading === 'number') return `${name} ${reading}\n`
  return reading.map(({ labels, value }) => `${name}${formatLabels(labels)} ${value}\n`).join('')
}

function formatLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function escapeLabel(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', '\\n')
}

/** What every long-running process tells about itself: memory, processor time, event loop, version. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Registry } from '../metrics-registry.ts'

/** Adds the gauges of this process. Must be disposed of: it watches the event loop. */
export function describeProcess(registry: Registry, version: string): Disposable {
  const loop = monitorEventLoopDelay({ resolution: 20 })
  loop.enable()
  registry.gauge('process_resident_memory_bytes', 'Memory of the process that is resident.', () =>
    process.memoryUsage.rss(),
  )
  registry.counterFrom('process_cpu_seconds_total', 'Processor time used, in seconds.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.gauge(
    'nodejs_heap_size_used_bytes',
    'Bytes of the heap in use.',
    () => process.memoryUsage().heapUsed,
  )
  registry.gauge('nodejs_eventloop_lag_mean_seconds', 'Mean delay of the event loop.', () =>
    finite(loop.mean / 1e9),
  )
  registry.gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'Its 99th percentile.',
    () => loop.percentile(99) / 1e9,
  )
  registry.gauge('nodejs_eventloop_lag_max_seconds', 'Its longest.', () => loop.max / 1e9)
  registry.gauge('hakiri_build_info', 'The version, as a label.', () => [
    { labels: { version }, value: 1 },
  ])
  return { [Symbol.dispose]: () => void loop.disable() }
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0
}

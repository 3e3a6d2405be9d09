/**
 * The metrics of a worker in the Prometheus text format. What happens is raised where it happens; what
 * is, is read when somebody asks. Invariant: the number of series is bounded, whatever the number of
 * shards and pipelines: lag is told per pipeline, and pipelines past a limit share the label "other".
 */
import {
  createRegistry,
  doublingBounds,
  type Counter,
  type Reading,
  type Registry,
} from '../lib/metrics-registry.ts'
import { describeProcess } from '../lib/system/process-metrics.ts'

export type SessionState =
  /** Not joined yet, or joining again. */
  | 'joining'
  | 'held'
  /** No coordinator answers; what was held goes on by its epoch. */
  | 'detached'
  | 'leaving'

export type Dependency = 'catalog' | 'bucket' | 'coordinator'

/** How long after its last complete pass a shard is. */
export type ShardLag = { readonly pipeline: string; readonly seconds: number }

/** What is known only by asking; each is called when the metrics are read. */
export type WorkerReadings = {
  readonly session: () => SessionState
  readonly claims: () => number
  readonly assignments: () => number
  readonly slotsUsed: () => number
  readonly slots: () => number
  /** Parts of runs that wait for a slot here. */
  readonly queueDepth: () => number
  readonly memoryBytes: () => number
  readonly memoryBytesMax: () => number
  /** Whether each answers, as far as is known. */
  readonly up: () => Readonly<Record<Dependency, boolean>>
  /** Of the shards that are claimed here. */
  readonly lag: () => Iterable<ShardLag>
}

export type CommitFacts = {
  readonly pipeline: string
  /** Shards of the group. */
  readonly shards: number
  readonly rows: number
  readonly bytes: number
  readonly durationMs: number
}

export type WorkerMetrics = Disposable & {
  /** From then on the gauges tell about this worker; called once. */
  observeWorker(readings: WorkerReadings): void
  onCommit(facts: CommitFacts): void
  /** A commit that changed nothing, because the shard had gone to somebody else. */
  onFenced(pipeline: string): void
  /** From the loss of a worker (or its release of the shard) to the first commit here. */
  onTakeover(durationMs: number): void
  /** From the oldest commit of a version to the version being in the bucket. */
  onPublish(delayMs: number): void
  /** A shard of a run ended without success here. */
  onShardFailed(pipeline: string): void
  /** A session was lost, not given back. */
  onSessionLost(): void
  onRequest(route: string, status: number, durationMs: number): void
  /** Everything, in the text format 0.0.4. */
  render(): string
}

/** Pipelines that have series of their own. */
const PIPELINES_MAX = 200
const OTHER = 'other'
const SECOND = 1_000
const SESSION_STATES: readonly SessionState[] = ['joining', 'held', 'detached', 'leaving']
/** 125 ms to over an hour. */
const TAKEOVER_BOUNDS = doublingBounds(0.125, 16)
const COMMIT_BOUNDS = doublingBounds(0.001, 15)
const REQUEST_BOUNDS = doublingBounds(0.001, 14)

/** One set for one process. Must be disposed of: it watches the event loop. */
export function createWorkerMetrics(version: string): WorkerMetrics {
  const registry = createRegistry()
  const watched = describeProcess(registry, version)
  return {
    observeWorker: (readings) => describeWorker(registry, readings),
    ...createObservers(registry),
    render: () => registry.render(),
    [Symbol.dispose]: () => watched[Symbol.dispose](),
  }
}

function createObservers(registry: Registry) {
  const perPipeline = (name: string, help: string) => labelled(registry, name, help, 'pipeline')
  const seconds = (name: string, help: string, bounds: readonly number[]) => {
    const histogram = registry.histogram(name, help, bounds)
    return (durationMs: number): void => histogram.observe(durationMs / SECOND)
  }
  const commits = perPipeline('hakiri_commits_total', 'Commits of shards in the catalog.')
  const rows = perPipeline('hakiri_rows_committed_total', 'Rows committed.')
  const bytes = perPipeline('hakiri_bytes_committed_total', 'Bytes of data files committed.')
  const fenced = perPipeline(
    'hakiri_fenced_commits_total',
    'Commits that changed nothing, since another worker had the shard.',
  )
  const failed = perPipeline('hakiri_shards_failed_total', 'Shards of runs that failed here.')
  const lost = registry.counter('hakiri_sessions_lost_total', 'Sessions lost, not given back.')
  const commit = seconds(
    'hakiri_commit_duration_seconds',
    'How long the transaction of a commit took.',
    COMMIT_BOUNDS,
  )
  const request = seconds(
    'hakiri_http_request_duration_seconds',
    'How long requests of the HTTP API took; streams are left out.',
    REQUEST_BOUNDS,
  )
  const requests = requestCounter(registry)
  return {
    onCommit: (facts: CommitFacts): void => {
      commits(facts.pipeline).add(facts.shards)
      rows(facts.pipeline).add(facts.rows)
      bytes(facts.pipeline).add(facts.bytes)
      commit(facts.durationMs)
    },
    onFenced: (pipeline: string): void => fenced(pipeline).add(),
    onTakeover: seconds(
      'hakiri_takeover_seconds',
      'From the loss of a worker to the first commit of a shard of its here.',
      TAKEOVER_BOUNDS,
    ),
    onPublish: seconds(
      'hakiri_publish_delay_seconds',
      'From a commit to the version of the table that shows it.',
      TAKEOVER_BOUNDS,
    ),
    onShardFailed: (pipeline: string): void => failed(pipeline).add(),
    onSessionLost: () => lost.add(),
    onRequest: (route: string, status: number, durationMs: number): void => {
      requests(route, status).add()
      request(durationMs)
    },
  }
}

/** Counters by one label; names past the limit share one. */
function labelled(registry: Registry, name: string, help: string, label: string) {
  const known = new Map<string, Counter>()
  return (value: string): Counter => {
    const own = known.has(value) || known.size < PIPELINES_MAX ? value : OTHER
    const counter = known.get(own) ?? registry.counter(name, help, { [label]: own })
    known.set(own, counter)
    return counter
  }
}

/** Routes are a closed table and status numbers come from one, so that this stays small. */
function requestCounter(registry: Registry) {
  const known = new Map<string, Counter>()
  return (route: string, status: number): Counter => {
    const key = `${route} ${status}`
    const labels = { route, status: String(status) }
    const counter =
      known.get(key) ??
      registry.counter('hakiri_http_requests_total', 'Requests of the HTTP API.', labels)
    known.set(key, counter)
    return counter
  }
}

function describeWorker(registry: Registry, readings: WorkerReadings): void {
  const { session, up } = readings
  registry.gauge('hakiri_session_state', 'The state of the session: 1 for the one it is in.', () =>
    SESSION_STATES.map((state) => ({ labels: { state }, value: Number(session() === state) })),
  )
  registry.gauge('hakiri_claims', 'Shards and offices that are claimed here.', readings.claims)
  registry.gauge(
    'hakiri_assignments',
    'Shards and offices that the planner wants here.',
    readings.assignments,
  )
  registry.gauge('hakiri_slots_used', 'Shards that are worked on now.', readings.slotsUsed)
  registry.gauge('hakiri_slots', 'Shards that may be worked on at a time.', readings.slots)
  registry.gauge(
    'hakiri_queue_depth',
    'Parts of runs that wait for a slot here.',
    readings.queueDepth,
  )
  registry.gauge(
    'hakiri_memory_used_bytes',
    'Bytes of the memory budget in use.',
    readings.memoryBytes,
  )
  registry.gauge('hakiri_memory_budget_bytes', 'The memory budget.', readings.memoryBytesMax)
  registry.gauge('hakiri_up', 'Whether what the worker needs answers: 1 or 0.', () =>
    Object.entries(up()).map(([dependency, is]) => ({ labels: { dependency }, value: Number(is) })),
  )
  registry.gauge(
    'hakiri_shard_lag_seconds',
    'The longest time since a complete pass of a shard that is claimed here, per pipeline.',
    () => longestLags(readings.lag()),
  )
}

/** One value a pipeline: the worst of its shards. The pipelines that lag most have their own. */
function longestLags(lags: Iterable<ShardLag>): Reading {
  const longest = new Map<string, number>()
  for (const { pipeline, seconds } of lags)
    longest.set(pipeline, Math.max(seconds, longest.get(pipeline) ?? 0))
  const sorted = [...longest].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  const own = sorted.slice(0, PIPELINES_MAX)
  const [rest] = sorted.slice(PIPELINES_MAX)
  return [...own, ...(rest ? [[OTHER, rest[1]] as const] : [])].map(([pipeline, value]) => ({
    labels: { pipeline },
    value,
  }))
}

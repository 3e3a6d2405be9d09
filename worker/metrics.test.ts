/** Metrics of a worker: what is raised and read shows, and the number of series is bounded. */
import { readFile } from 'node:fs/promises'
import test from 'ava'
import { createWorkerMetrics, type ShardLag, type WorkerReadings } from './metrics.ts'

const READINGS: WorkerReadings = {
  session: () => 'detached',
  claims: () => 3,
  assignments: () => 4,
  slotsUsed: () => 1,
  slots: () => 8,
  queueDepth: () => 2,
  memoryBytes: () => 10,
  memoryBytesMax: () => 100,
  up: () => ({ catalog: true, bucket: true, coordinator: false }),
  lag: () => [
    { pipeline: 'a', seconds: 5 },
    { pipeline: 'b', seconds: 1 },
    { pipeline: 'a', seconds: 9 },
  ],
}

test('what happens and what is can be read', (t) => {
  using metrics = createWorkerMetrics('1.2.3')
  metrics.observeWorker(READINGS)
  metrics.onCommit({ pipeline: 'a', shards: 2, rows: 70, bytes: 900, durationMs: 5 })
  metrics.onCommit({ pipeline: 'a', shards: 1, rows: 30, bytes: 100, durationMs: 5 })
  metrics.onTakeover(11_500)
  metrics.onPublish(200)
  metrics.onFenced('a')
  metrics.onShardFailed('b')
  metrics.onSessionLost()
  metrics.onRequest('/v1/runs', 200, 3)
  const text = metrics.render()
  for (const line of [
    'hakiri_session_state{state="held"} 0',
    'hakiri_session_state{state="detached"} 1',
    'hakiri_claims 3',
    'hakiri_assignments 4',
    'hakiri_slots_used 1',
    'hakiri_slots 8',
    'hakiri_queue_depth 2',
    'hakiri_memory_used_bytes 10',
    'hakiri_memory_budget_bytes 100',
    'hakiri_up{dependency="catalog"} 1',
    'hakiri_up{dependency="coordinator"} 0',
    'hakiri_shard_lag_seconds{pipeline="a"} 9',
    'hakiri_shard_lag_seconds{pipeline="b"} 1',
    'hakiri_commits_total{pipeline="a"} 3',
    'hakiri_rows_committed_total{pipeline="a"} 100',
    'hakiri_bytes_committed_total{pipeline="a"} 1000',
    'hakiri_commit_duration_seconds_count 2',
    'hakiri_takeover_seconds_bucket{le="8"} 0',
    'hakiri_takeover_seconds_bucket{le="16"} 1',
    'hakiri_publish_delay_seconds_sum 0.2',
    'hakiri_fenced_commits_total{pipeline="a"} 1',
    'hakiri_shards_failed_total{pipeline="b"} 1',
    'hakiri_sessions_lost_total 1',
    'hakiri_http_requests_total{route="/v1/runs",status="200"} 1',
    'hakiri_build_info{version="1.2.3"} 1',
  ])
    t.true(text.includes(`\n${line}\n`), `${line}\n${text}`)
  t.regex(text, /\nprocess_resident_memory_bytes \d+\n[^]*\nnodejs_eventloop_lag_p99_seconds \d/)
})

test('20 000 shards of 5 000 pipelines make a few hundred series, and the worst lags show', (t) => {
  using metrics = createWorkerMetrics('1')
  const lags: readonly ShardLag[] = Array.from({ length: 20_000 }, (_, n) => ({
    pipeline: `p${n % 5_000}`,
    seconds: n,
  }))
  metrics.observeWorker({ ...READINGS, lag: () => lags })
  for (const { pipeline } of lags) {
    metrics.onCommit({ pipeline, shards: 1, rows: 1, bytes: 1, durationMs: 1 })
    metrics.onFenced(pipeline)
  }
  const lines = metrics.render().split('\n')
  const series = lines.filter((line) => line.startsWith('hakiri_'))
  t.true(series.length < 1_200, String(series.length))
  const lag = lines.filter((line) => line.startsWith('hakiri_shard_lag_seconds{'))
  t.is(lag.length, 201)
  t.is(lag[0], 'hakiri_shard_lag_seconds{pipeline="p4999"} 19999')
  t.is(lag.at(-1), 'hakiri_shard_lag_seconds{pipeline="other"} 19799')
  t.true(lines.includes('hakiri_commits_total{pipeline="other"} 19200'))
})

test('every metric has its row in docs/operating.md, and no row is of one that is not there', async (t) => {
  using metrics = createWorkerMetrics('1')
  metrics.observeWorker(READINGS)
  metrics.onCommit({ pipeline: 'a', shards: 1, rows: 1, bytes: 1, durationMs: 1 })
  metrics.onFenced('a')
  metrics.onShardFailed('a')
  metrics.onRequest('/v1/runs', 200, 1)
  const named = [...metrics.render().matchAll(/^# TYPE (hakiri_\w+)/gm)].map(([, name]) => name)
  const page = await readFile(new URL('../docs/operating.md', import.meta.url), 'utf8')
  const [section = ''] = page.slice(page.indexOf('### Metrics')).split(/^## /m)
  const told = [...section.matchAll(/`(hakiri_\w+)/g)].map(([, name]) => name)
  t.true(named.length > 15)
  const sorted = (names: readonly (string | undefined)[]): readonly string[] =>
    names.map(String).toSorted((a, b) => a.localeCompare(b))
  t.deepEqual(sorted(told), sorted(named))
})

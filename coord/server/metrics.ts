/**
 * The metrics of a coordinator under the names that dashboards for etcd know. What happens in the log,
 * the image and Raft is reported through the observers here, by whoever puts the parts together.
 */
import { createRegistry, doublingBounds } from '../../lib/metrics-registry.ts'
import type { Counter, Registry } from '../../lib/metrics-registry.ts'
import { describeProcess } from '../../lib/system/process-metrics.ts'
import type { CoordNode } from '../node/node.ts'

/** What the parts of a node report; each function is cheap and never fails. */
export type NodeObserver = {
  readonly onWalSync: (durationMs: number, batches: number, bytes: number) => void
  readonly onImageWrite: (durationMs: number) => void
  readonly onApply: (durationMs: number, entries: number) => void
  readonly onLeaderChange: () => void
  readonly onProposalCommitted: (count: number) => void
  readonly onProposalApplied: (count: number) => void
  readonly onProposalFailed: () => void
  readonly onSnapshotSent: () => void
  readonly onLeasesExpired: (count: number) => void
}

/** What is known only by asking. */
export type NodeReadings = {
  readonly proposalsPending?: () => number
  readonly watchers?: () => number
  readonly watchStreams?: () => number
}

export type CoordMetrics = {
  readonly registry: Registry
  readonly node: NodeObserver
  /** From then on the gauges tell about this node. */
  observeNode(node: CoordNode, readings?: NodeReadings): void
  readonly sentBytes: Counter
  readonly receivedBytes: Counter
  readonly watchEventsSent: Counter
  /** How many leaders this member has seen. */
  readonly leaderChanges: Counter
  close(): void
}

const SECOND = 1_000
const DISK_BOUNDS = doublingBounds(0.001, 14)
const APPLY_BOUNDS = doublingBounds(0.0001, 20)

/** One set for one process. Must be closed: it watches the event loop. */
export function createCoordMetrics(version: string): CoordMetrics {
  const registry = createRegistry()
  const process = describeProcess(registry, version)
  const { observer, leaderChanges } = createNodeObserver(registry)
  return {
    registry,
    node: observer,
    leaderChanges,
    observeNode: (node, readings = {}) => {
      describeNode(registry, node)
      describeStore(registry, node, readings)
    },
    sentBytes: registry.counter(
      'etcd_network_client_grpc_sent_bytes_total',
      'Bytes of messages sent to clients.',
    ),
    receivedBytes: registry.counter(
      'etcd_network_client_grpc_received_bytes_total',
      'Bytes of messages received from clients.',
    ),
    watchEventsSent: registry.counter(
      'etcd_debugging_mvcc_events_total',
      'Events sent to watchers.',
    ),
    close: () => process[Symbol.dispose](),
  }
}

function createNodeObserver(registry: Registry) {
  const count = (name: string, help: string): Counter => registry.counter(name, help)
  const seconds = (name: string, help: string, bounds: readonly number[]) => {
    const histogram = registry.histogram(name, help, bounds)
    return (durationMs: number): void => histogram.observe(durationMs / SECOND)
  }
  const leaderChanges = count(
    'etcd_server_leader_changes_seen_total',
    'Leader changes this member has seen.',
  )
  const walBytes = count('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.')
  const committed = count('etcd_server_proposals_committed_total', 'Entries committed.')
  const applied = count('etcd_server_proposals_applied_total', 'Entries applied here.')
  const failed = count('etcd_server_proposals_failed_total', 'Proposals that failed here.')
  const expired = count('etcd_debugging_lease_expired_total', 'Leases that expired.')
  const snapshots = count('etcd_server_snapshot_sent_total', 'Snapshots sent to other members.')
  const fsync = seconds(
    'etcd_disk_wal_fsync_duration_seconds',
    'How long the log took to become durable.',
    DISK_BOUNDS,
  )
  const backend = seconds(
    'etcd_disk_backend_commit_duration_seconds',
    'How long a batch of the image took to be written.',
    DISK_BOUNDS,
  )
  const apply = seconds(
    'etcd_server_apply_duration_seconds',
    'How long one portion of entries took to be applied.',
    APPLY_BOUNDS,
  )
  const observer: NodeObserver = {
    onWalSync: (durationMs, _batches, bytes) => {
      fsync(durationMs)
      walBytes.add(bytes)
    },
    onImageWrite: backend,
    onApply: apply,
    onLeaderChange: () => leaderChanges.add(),
    onProposalCommitted: (entries) => committed.add(entries),
    onProposalApplied: (entries) => applied.add(entries),
    onProposalFailed: () => failed.add(),
    onSnapshotSent: () => snapshots.add(),
    onLeasesExpired: (leases) => expired.add(leases),
  }
  return { observer, leaderChanges }
}

function describeNode(registry: Registry, node: CoordNode): void {
  registry.gauge('etcd_server_has_leader', 'Whether a leader is known: 1 or 0.', () =>
    Number(node.hasLeader()),
  )
  registry.gauge('etcd_server_is_leader', 'Whether this member leads: 1 or 0.', () =>
    Number(node.status().role === 'leader'),
  )
  registry.gauge('etcd_server_is_learner', 'Whether this member is a learner: 1 or 0.', () =>
    Number(node.status().isLearner),
  )
  registry.gauge('etcd_server_id', 'The id of this member, as a label.', () => [
    { labels: { server_id: node.memberId.toString(16) }, value: 1 },
  ])
  registry.gauge('hakiri_raft_term', 'The term of this member.', () => node.header().raftTerm)
  registry.gauge(
    'hakiri_raft_index',
    'The last index known to be committed.',
    () => node.status().raftIndex,
  )
  registry.gauge(
    'hakiri_raft_applied_index',
    'The last index applied here.',
    () => node.status().raftApplied,
  )
  registry.gauge('hakiri_wal_bytes', 'Bytes of the log on disk.', () => node.status().walBytes)
}

function describeStore(registry: Registry, node: CoordNode, readings: NodeReadings): void {
  registry.gauge(
    'etcd_mvcc_db_total_size_in_bytes',
    'Bytes that keys, values and their history take.',
    () => node.status().dbSizeBytes,
  )
  registry.gauge(
    'etcd_mvcc_db_total_size_in_use_in_bytes',
    'Bytes of it that are in use.',
    () => node.status().dbSizeInUseBytes,
  )
  registry.gauge(
    'etcd_server_quota_backend_bytes',
    'The quota that is held against.',
    () => node.status().quotaBytes,
  )
  registry.gauge('etcd_debugging_mvcc_keys_total', 'Live keys.', () => node.store.keyCount)
  registry.gauge(
    'etcd_debugging_mvcc_current_revision',
    'The revision of the store.',
    () => node.store.revision,
  )
  registry.gauge(
    'etcd_debugging_mvcc_compact_revision',
    'What was compacted up to.',
    () => node.store.compactRevision,
  )
  registry.gauge(
    'etcd_debugging_lease_total',
    'Leases that are granted.',
    () => node.store.leases().length,
  )
  registry.gauge('hakiri_alarms', 'Alarms that are raised.', () => node.store.alarms.length)
  const { proposalsPending, watchers, watchStreams } = readings
  if (proposalsPending)
    registry.gauge('etcd_server_proposals_pending', 'Proposals that wait.', proposalsPending)
  if (watchers)
    registry.gauge('etcd_debugging_mvcc_watcher_total', 'Watches that are open.', watchers)
  if (watchStreams)
    registry.gauge('etcd_debugging_mvcc_watch_stream_total', 'Watch streams.', watchStreams)
}

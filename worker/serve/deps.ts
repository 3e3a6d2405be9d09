/** What `hakiri serve` needs from the outside; filled in by the command line. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { ManifestVersion } from '../../catalog/cluster.ts'
import type { Connector } from '../../connector/connector.ts'
import type { Coordination, WorkerIdentity } from '../../lease/coordination.ts'
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import type { Destination, Manifest, Pipeline } from '../../manifest/manifest.ts'
import type { Encoder } from '../../sink/encoder/encoder.ts'
import type { ObjectStore } from '../../sink/store/store.ts'
import type { ConnectorHost, ProgressEvent } from '../deps.ts'
import type { CommitFacts } from './commit-facts.ts'

export type ServeSettings = {
  readonly ttlMs: number
  /** Shards at a time. */
  readonly slots: number
  readonly memoryBytes: number
  /** How long a clean stop may take before what is at work is cut off. */
  readonly drainMs: number
  /** A worker whose session ended without a goodbye keeps its units for so long. */
  readonly graceMs: number
  /** How often the catalog is looked at without being woken. */
  readonly pollMs: number
}

export type ServeDeps = {
  readonly catalog: Catalog
  readonly coordination: Coordination
  readonly identity: WorkerIdentity
  readonly settings: ServeSettings
  readonly host: ServeHost
  readonly observer: ServeObserver
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scratchFolder: string
  /** "hakiri/0.1.0", written into table logs. */
  readonly engine: string
}

/** Opens what a manifest names. */
export type ServeHost = {
  /** The manifest as the catalog keeps it; throws CONFIG_INVALID when this program cannot read it. */
  decodeManifest(stored: ManifestVersion): Manifest
  /** `cutOff` ends every request of the store: it then fails with CANCELLED. */
  openStore(manifest: Manifest, destination: Destination, cutOff: AbortSignal): Promise<ObjectStore>
  openEncoder(memoryBytes: number): Promise<Encoder>
  connector(pipeline: Pipeline): Promise<Connector>
  connectorHost(manifest: Manifest, pipeline: Pipeline): ConnectorHost
  /** The newest nominal time of a cron expression in (after, now]. */
  readonly newestCron: (cron: string, tz: string, after: number, now: number) => number | undefined
}

/** What other services are there for a worker, each up or down. */
export type Dependency = 'coordinator' | 'catalog' | 'bucket'

/** Told of what happens; metrics and logs are made of it. */
export type ServeObserver = {
  claimed(units: number): void
  released(units: number): void
  /** From the moment the last holder was gone to the claim here. */
  tookOver(ms: number): void
  joined(): void
  /** 'left': given back by a clean stop. */
  sessionEnded(how: 'lost' | 'left'): void
  plannerChanged(isPlanner: boolean): void
  dependencyChanged(dependency: Dependency, isUp: boolean): void
  queueChanged(pending: number, atWork: number): void
  committed(pipeline: string, facts: CommitFacts): void
  /** Of a runner or publisher at work for the pipeline. */
  progress(pipeline: string, event: ProgressEvent): void
  partEnded(pipeline: string, outcome: 'done' | 'stopped' | 'fenced' | 'failed'): void
  published(table: string, delayMs: number): void
}

/** What a worker needs from the outside; filled in by the command line, the only composition root. */
import type { Catalog } from '../catalog/catalog.ts'
import type { Connector, ReadMode } from '../connector/connector.ts'
import type { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { Clock, Logger, Random } from '../lib/ports.ts'
import type { Pipeline } from '../manifest/manifest.ts'
import type { Encoder } from '../sink/encoder/encoder.ts'
import type { ObjectStore } from '../sink/store/store.ts'

export type WorkerDeps = {
  readonly catalog: Catalog
  readonly store: ObjectStore
  readonly encoder: Encoder
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Scratch space of this process alone; emptied when it starts. */
  readonly scratchFolder: string
  /** Who is at work, for runs and logs. */
  readonly worker: string
  /** "hakiri/0.1.0", written into table logs. */
  readonly engine: string
  readonly onProgress: (event: ProgressEvent) => void
}

/** What the command line shows while a run is at work. */
export type ProgressEvent =
  | {
      readonly kind: 'run'
      readonly runId: number
      readonly pipeline: string
      readonly shards: number
      readonly rowsEstimate: number | undefined
    }
  | {
      readonly kind: 'shard'
      readonly shard: string
      readonly state: string
      readonly detail?: string
    }
  | { readonly kind: 'read'; readonly shard: string; readonly rows: number; readonly bytes: number }
  | {
      readonly kind: 'committed'
      readonly shard: string
      readonly rows: number
      readonly bytes: number
      readonly quarantined: number
    }
  | { readonly kind: 'published'; readonly table: string; readonly version: number }
  | { readonly kind: 'schema'; readonly table: string; readonly change: string }

/** One shard of one run, ready to be worked on. */
export type ShardJob = {
  readonly pipeline: Pipeline
  readonly connector: Connector
  readonly runId: number
  readonly shard: { readonly id: string; readonly sourceTable: string; readonly spec: Json }
  readonly table: string
  readonly generation: number
  readonly mode: ReadMode
  /** Loads a generation that takes the place of the visible one when all of its shards are done. */
  readonly isStaged: boolean
  /** Source primary key, when the pipeline names none. */
  readonly sourceKey: readonly string[]
  readonly batchBytes: number
  readonly chunkBytes: number
  /** A batch is sealed at this age at the latest. */
  readonly openMsMax: number
  readonly connectorContext: ConnectorHost
  /**
   * Set in a cluster: the shard is acquired in the worker's name and, once held, never from somebody who
   * acquired it later. `ifEpoch`: from the start only while this is its epoch. `isPart`: only while it is a
   * pending part of the run, since what is done is not read again (S3).
   */
  readonly hold?: { readonly ifEpoch: number | undefined; readonly isPart?: boolean }
}

/** Builds the context a connector works in; `signal` ends its reading. */
export type ConnectorHost = (
  signal: AbortSignal,
  count: (what: 'requests' | 'notModified' | 'retries', by: number) => void,
  chunkBytesMax: number,
) => Parameters<Connector['open']>[0]

export type ShardResult = {
  readonly shard: string
  readonly outcome: 'done' | 'stopped' | 'fenced' | 'failed'
  readonly error: HakiriError | undefined
  readonly rows: number
  /** The epoch that it was last held with, for settling it; undefined: it was never acquired. */
  readonly epoch: number | undefined
  /** Done, and a commit says so; else whoever keeps the run's books has to. */
  readonly isRecorded: boolean
}

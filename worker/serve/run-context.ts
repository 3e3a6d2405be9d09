/** What the holders of a run's shards share: its pipeline, plan and destination, and the jobs made of them. */
import type { ClusterRun, RunShard } from '../../catalog/cluster.ts'
import type { Connector } from '../../connector/connector.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Pipeline } from '../../manifest/manifest.ts'
import type { ConnectorHost, ShardJob } from '../deps.ts'
import type { ManifestFeed } from './manifest-feed.ts'
import { readPlan, type StoredTable } from './stored-plan.ts'
import type { Shop, Workshop } from './workshop.ts'

export type RunContext = {
  readonly run: ClusterRun
  readonly shop: Shop
  /** The job for a part; undefined when the plan knows no such table. */
  jobFor(part: RunShard, ifEpoch: number | undefined): ShardJob | undefined
  readonly pipeline: Pipeline
}

export async function openRunContext(
  run: ClusterRun,
  feed: ManifestFeed,
  workshop: Workshop,
): Promise<RunContext> {
  const manifest = feed.current()?.manifest
  const pipeline = manifest?.pipelines[run.pipeline]
  if (!manifest || !pipeline)
    throw new HakiriError('NOT_FOUND', `the manifest has no pipeline ${run.pipeline} any more`)
  const shop = await workshop.destination(pipeline.destination)
  const connector = await workshop.connector(pipeline)
  const tables = new Map(readPlan(run.id, run.plan).tables.map((table) => [table.table, table]))
  const host = workshop.connectorHost(manifest, pipeline)
  return {
    run,
    shop,
    pipeline,
    jobFor(part, ifEpoch) {
      const table = tables.get(part.table)
      const parts = { pipeline, connector, host, shop, workshop, table }
      return table && jobOf(part, { ...parts, table }, ifEpoch)
    },
  }
}

type JobParts = {
  readonly pipeline: Pipeline
  readonly connector: Connector
  readonly host: ConnectorHost
  readonly shop: Shop
  readonly workshop: Workshop
  readonly table: StoredTable
}

function jobOf(part: RunShard, parts: JobParts, ifEpoch: number | undefined): ShardJob {
  const { pipeline, connector, host, shop, workshop, table } = parts
  return {
    // A failed attempt frees its slot; when the next one is due, the executor decides.
    pipeline: singleAttempt(pipeline),
    connector,
    runId: part.runId,
    shard: { id: part.shard, sourceTable: table.source, spec: part.spec },
    table: part.table,
    generation: table.generation,
    mode: table.mode,
    isStaged: table.staged,
    sourceKey: table.sourceKey,
    batchBytes: workshop.memory.batchBytes,
    chunkBytes: workshop.memory.chunkBytes,
    openMsMax: shop.destination.files.openMsMax,
    connectorContext: host,
    hold: { ifEpoch, isPart: true },
  }
}

const SINGLE = new WeakMap<Pipeline, Pipeline>()

/** One object a pipeline, so that jobs of one pipeline are known to be alike. */
function singleAttempt(pipeline: Pipeline): Pipeline {
  const known = SINGLE.get(pipeline)
  const single = known ?? { ...pipeline, retries: { ...pipeline.retries, retriesMax: 0 } }
  if (!known) SINGLE.set(pipeline, single)
  return single
}

/**
 * Runs of a cluster in one process: parts of a run are worked off in groups or one by one, by as many
 * workers as a test likes, over one real catalog, store and encoder.
 */
import type { Catalog } from '../../catalog/catalog.ts'
import type { RunShard } from '../../catalog/cluster.ts'
import type { Connector } from '../../connector/connector.ts'
import type { Pipeline } from '../../manifest/manifest.ts'
import type { ShardJob, ShardResult, WorkerDeps } from '../../worker/deps.ts'
import { DEFAULT_GROUP, runGroup, type GroupOptions } from '../../worker/group/group.ts'
import type { GroupResult } from '../../worker/group/member.ts'
import { applyRunPlan, planRun } from '../../worker/prepare.ts'
import { publishTable } from '../../worker/publisher.ts'
import { runShard } from '../../worker/shard-runner.ts'
import { hostOf, PIPELINE, RUN, type Lab } from './worker-lab.ts'

export const never = new AbortController().signal

export type GroupRun = {
  readonly runId: number
  readonly table: string
  /** Jobs of these shards, or of all, held in the worker's name. */
  jobs(shards?: readonly string[], over?: Partial<ShardJob>): readonly ShardJob[]
  group(how?: GroupHow): Promise<readonly GroupResult[]>
  single(shard: string, how?: Pick<GroupHow, 'deps' | 'job'>): Promise<ShardResult>
  /** Parts that are pending: what any worker may take up. */
  pending(): Promise<readonly string[]>
  part(shard: string): Promise<RunShard | undefined>
  /** Seals a staged generation, publishes, ends the run. */
  finish(): Promise<void>
}

export type GroupHow = {
  readonly shards?: readonly string[]
  readonly job?: Partial<ShardJob>
  readonly deps?: Partial<WorkerDeps>
  readonly options?: Partial<GroupOptions>
  readonly stop?: AbortSignal
}

export type RunHow = {
  readonly pipeline?: Partial<Pipeline>
  /** Works on a run that somebody else started. */
  readonly join?: number
}

/** Plans a run, registers its shards, and starts it with all of them pending. */
export async function startGroupRun(
  lab: Lab,
  connector: Connector,
  { pipeline: over = {}, join }: RunHow = {},
): Promise<GroupRun> {
  const pipeline = { ...PIPELINE, ...over }
  const host = hostOf(lab.folder, lab.deps.logger)
  const context = host(never, () => undefined, 1e6)
  const plan = await planRun(pipeline, RUN, connector, context, lab.catalog)
  const tables = await applyRunPlan(plan, lab.catalog)
  const [target] = plan.tables
  if (!target) throw new Error('the source has a table')
  const row = tables.get(target.target.name)!
  const runId = join ?? (await startRun(lab.catalog, pipeline.name, plan.shards.map(partOf)))

  const jobs = (shards?: readonly string[], job: Partial<ShardJob> = {}): readonly ShardJob[] =>
    plan.shards
      .filter(({ shard }) => shards === undefined || shards.includes(shard.id))
      .map(({ shard, table }) => ({
        pipeline,
        connector,
        runId,
        shard: { id: shard.id, sourceTable: shard.table, spec: shard.spec },
        table,
        generation: target.staged && row.staging !== null ? row.staging : row.generation,
        mode: target.mode,
        isStaged: target.staged,
        sourceKey: target.sourceKey,
        batchBytes: 16e6,
        chunkBytes: 1e6,
        openMsMax: 300_000,
        connectorContext: host,
        hold: { ifEpoch: undefined },
        ...job,
      }))
  return {
    runId,
    table: row.name,
    jobs,
    group: ({ shards, job, deps, options, stop = never } = {}) =>
      runGroup(jobs(shards, job), { ...lab.deps, ...deps }, stop, { ...DEFAULT_GROUP, ...options }),
    single: (shard, { deps, job } = {}) =>
      runShard(jobs([shard], job)[0]!, { ...lab.deps, ...deps }, never),
    pending: async () => {
      const parts = await lab.catalog.pendingShards([pipeline.name])
      return parts.filter((part) => part.runId === runId).map((part) => part.shard)
    },
    part: async (shard) =>
      (await lab.catalog.runShards(runId)).find((part) => part.shard === shard),
    async finish() {
      if (target.staged) await lab.catalog.sealGeneration(row.name)
      await publishTable(row.name, lab.deps)
    },
  }
}

function partOf({
  shard,
  table,
}: {
  readonly shard: { readonly id: string }
  readonly table: string
}) {
  return { shard: shard.id, table }
}

async function startRun(
  catalog: Catalog,
  pipeline: string,
  parts: readonly { readonly shard: string; readonly table: string }[],
): Promise<number> {
  const { runId } = await catalog.requestRun({
    pipeline,
    kind: 'run',
    request: null,
    trigger: 'manual',
    fireKey: null,
    scheduledAt: 0,
    overlap: 'queue',
    manifestVersion: 1,
    by: 'lab',
  })
  const taken = await catalog.takeRun(runId, 'steward')
  if (!taken || !(await catalog.startRun(runId, taken.epoch, null, parts)))
    throw new Error(`run ${runId} did not start`)
  return runId
}

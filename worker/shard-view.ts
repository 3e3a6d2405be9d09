/**
 * Shards as people ask for them: what the catalog knows of each one, the planner's placement, and its
 * part in a run, put together. Reads the catalog only, so that it works with every worker away.
 */
import type { Catalog, ShardKey, ShardRow } from '../catalog/catalog.ts'
import type { Placement, RunShard } from '../catalog/cluster.ts'

export type ShardState =
  | 'paused'
  | 'quarantined'
  /** The planner has no worker for it, or there is no planner yet. */
  | 'unassigned'
  /** Has a part in a run, and is still with another worker than the one it is meant for. */
  | 'moving'
  /** Failed, and tried again later. */
  | 'waiting'
  /** Has a part in a run that is not done. */
  | 'running'
  | 'idle'

export type ShardView = ShardKey & {
  readonly state: ShardState
  /** Null for an office (`~run`, `~publish:TABLE`): it has no row of its own. */
  readonly row: ShardRow | null
  readonly placement: Placement | null
  /** Its part in a run that is not over. */
  readonly part: RunShard | null
}

export type ShardFilter = {
  readonly pipeline?: string
  /** Assigned to this worker, or acquired by it last. */
  readonly worker?: string
  readonly unassigned?: boolean
}

/** Offices begin with this; they are assigned like shards. */
const OFFICE = '~'

/** In order of pipeline and shard. */
export async function viewShards(
  catalog: Catalog,
  filter: ShardFilter,
  now: number,
): Promise<readonly ShardView[]> {
  const { pipeline, worker, unassigned } = filter
  const [rows, placements, parts] = await Promise.all([
    catalog.shards(pipeline),
    catalog.placements(pipeline === undefined ? {} : { pipeline }),
    openParts(catalog, pipeline),
  ])
  const placed = new Map(placements.map((placement) => [unitName(placement), placement]))
  const known = new Map(rows.map((row) => [unitName(row), row]))
  const working = new Map(parts.map((part) => [unitName(part), part]))
  const offices = placements.filter(
    (placement) => !known.has(unitName(placement)) && placement.shard.startsWith(OFFICE),
  )
  return [...rows, ...offices]
    .map((key) => {
      const name = unitName(key)
      return viewOf(key, known.get(name), placed.get(name), working.get(name), now)
    })
    .filter(
      (view) =>
        (worker === undefined ||
          view.placement?.worker === worker ||
          view.row?.holder === worker) &&
        (unassigned !== true || (view.placement?.worker ?? null) === null),
    )
    .toSorted(byUnit)
}

/** `pipeline/shard`; pipeline names hold no slash. */
export function unitName({ pipeline, shard }: ShardKey): string {
  return `${pipeline}/${shard}`
}

/** The two parts of `pipeline/shard`; undefined when there is no slash in it. */
export function parseUnit(name: string): ShardKey | undefined {
  const slash = name.indexOf('/')
  if (slash < 1 || slash === name.length - 1) return undefined
  return { pipeline: name.slice(0, slash), shard: name.slice(slash + 1) }
}

async function openParts(catalog: Catalog, pipeline?: string): Promise<readonly RunShard[]> {
  const runs = (await catalog.openRuns()).filter(
    (run) => run.status === 'running' && (pipeline === undefined || run.pipeline === pipeline),
  )
  return catalog.pendingShards([...new Set(runs.map((run) => run.pipeline))])
}

function viewOf(
  { pipeline, shard }: ShardKey,
  row: ShardRow | undefined,
  placement: Placement | undefined,
  part: RunShard | undefined,
  now: number,
): ShardView {
  return {
    pipeline,
    shard,
    state: stateOf(row, placement, part, now),
    row: row ?? null,
    placement: placement ?? null,
    part: part ?? null,
  }
}

function stateOf(
  row: ShardRow | undefined,
  placement: Placement | undefined,
  part: RunShard | undefined,
  now: number,
): ShardState {
  if (row?.paused) return 'paused'
  if (row && row.quarantine !== null) return 'quarantined'
  const worker = placement?.worker ?? null
  if (worker === null) return 'unassigned'
  // Who holds an idle shard shows only once it is acquired for its next run.
  if (!part) return 'idle'
  if (row && row.holder !== null && row.holder !== worker) return 'moving'
  return part.nextAt > now && part.attempts > 0 ? 'waiting' : 'running'
}

function byUnit(a: ShardKey, b: ShardKey): number {
  return compare(a.pipeline, b.pipeline) || compare(a.shard, b.shard)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

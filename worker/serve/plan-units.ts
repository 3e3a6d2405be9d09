/** From catalog rows and the manifest to the units that a plan is about. Pure. */
import type { ShardRow } from '../../catalog/catalog.ts'
import type { WorkerRow } from '../../catalog/cluster.ts'
import type { MemberRecord } from '../../lease/coordination.ts'
import type { PlanUnit, PlanWorker } from '../../lease/plan/plan.ts'
import type { Manifest } from '../../manifest/manifest.ts'
import { publishUnit, runUnit, shardUnit } from './units.ts'

/** Offices cost little, and about the same. */
const OFFICE_WEIGHT = 1

export type PlannedShard = Pick<
  ShardRow,
  'pipeline' | 'shard' | 'table' | 'weight' | 'paused' | 'quarantine'
>

/** `failedOn`: workers that a pending part failed on, by unit. */
export function unitsOf(
  manifest: Manifest,
  shards: readonly PlannedShard[],
  failedOn: ReadonlyMap<string, readonly string[]>,
): readonly PlanUnit[] {
  const units: PlanUnit[] = []
  const tables = new Set<string>()
  const office = (unit: string, placement: PlanUnit['placement']): PlanUnit => ({
    unit,
    weight: OFFICE_WEIGHT,
    placement,
    avoid: [],
    blocked: undefined,
  })
  for (const { name, placement } of Object.values(manifest.pipelines))
    units.push(office(runUnit(name), placement))
  for (const row of shards) {
    const placement = manifest.pipelines[row.pipeline]?.placement
    if (placement === undefined) continue
    const publisher = publishUnit(row.pipeline, row.table)
    if (!tables.has(publisher)) units.push(office(publisher, placement))
    tables.add(publisher)
    const unit = shardUnit(row.pipeline, row.shard)
    const avoid = failedOn.get(unit) ?? []
    units.push({ unit, weight: row.weight, placement, avoid, blocked: blockOf(row) })
  }
  return units
}

function blockOf({ paused, quarantine }: PlannedShard): PlanUnit['blocked'] {
  if (paused) return 'paused'
  return quarantine === null ? undefined : 'quarantined'
}

/** When a member was seen last, for those that went without a goodbye. */
export type Absence = { readonly record: MemberRecord; readonly goneAt: number }

/** Members, and those that are expected back. */
export function workersOf(
  members: ReadonlyMap<string, MemberRecord>,
  known: readonly WorkerRow[],
  absent: readonly Absence[],
): readonly PlanWorker[] {
  const cordoned = new Set(known.filter((row) => row.isCordoned).map((row) => row.name))
  const asWorker = (
    { name, slots, unitsMax, labels }: MemberRecord,
    state: PlanWorker['state'],
  ): PlanWorker => ({ name, slots, unitsMax, labels, state })
  const present = [...members.values()].map((record) =>
    asWorker(
      record,
      record.state === 'leaving' || cordoned.has(record.name) ? 'draining' : 'active',
    ),
  )
  const away = absent.map(({ record }) => asWorker(record, 'away'))
  return [...present, ...away]
}

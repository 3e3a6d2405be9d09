/** What the planned faults may do to sources, for the check that nothing else sets a shard aside. Pure. */
import { PIPELINES } from '../pipelines/manifest.ts'
import type { SourceFault } from '../pipelines/liveness.ts'
import { API_HOST, rowOf, SOURCE_HOST } from './catalogue.ts'
import { titleOf } from './drive.ts'
import type { PlannedFault } from './schedule.ts'

const OVER_API = ['events'] as const
const OVER_POSTGRES = PIPELINES.filter((name) => name !== 'events')

export function sourceFaultsOf(plan: readonly PlannedFault[]): readonly SourceFault[] {
  return plan.flatMap((fault) => {
    const pipelines = touchedBy(fault)
    return pipelines.length === 0 ? [] : [{ pipelines, title: titleOf(fault) }]
  })
}

function touchedBy({ kind, hosts }: PlannedFault): readonly string[] {
  const { family, hits } = rowOf(kind)
  if (hosts.includes(API_HOST)) return OVER_API
  if (hosts.includes(SOURCE_HOST)) return OVER_POSTGRES
  const isNetwork = family === 'partition' || family === 'link'
  return isNetwork && (hits.includes('worker') || hits.includes('workers')) ? PIPELINES : []
}

/** Why a shard is where it is, and what to do about it, in sentences: `hakiri shards --why`. Pure. */
import { unreachable } from '../lib/assert.ts'
import { formatDuration } from '../lib/units.ts'
import type { WorkerRow } from '../catalog/cluster.ts'
import { unitName, type ShardView } from './shard-view.ts'

export type ShardStory = {
  readonly unit: string
  readonly state: ShardView['state']
  /** Facts, the most telling first. */
  readonly facts: readonly string[]
  /** What to do next; null: nothing needs doing. */
  readonly advice: string | null
}

export function explainShard(
  view: ShardView,
  workers: readonly WorkerRow[],
  now: number,
): ShardStory {
  return {
    unit: unitName(view),
    state: view.state,
    facts: [headline(view, now), ...placementFacts(view, workers, now), ...workFacts(view, now)],
    advice: adviseOn(view, workers),
  }
}

function headline({ state, row, part, placement }: ShardView, now: number): string {
  switch (state) {
    case 'paused':
      return 'paused by hand: no run takes it up'
    case 'quarantined':
      return `quarantined after ${row?.failures ?? 0} failed run(s) in a row: ${row?.quarantine ?? ''}`
    case 'unassigned':
      return placement
        ? `no worker has it: ${placement.reason ?? 'the planner gave no reason'}`
        : 'no planner has looked at it yet'
    case 'moving':
      return `on its way from ${row?.holder ?? 'nobody'} to ${placement?.worker ?? 'nobody'}`
    case 'waiting':
      return `failed ${part?.attempts ?? 0} time(s) in run ${part?.runId ?? ''}, tried again ${inTime(part?.nextAt ?? now, now)}: ${part?.error ?? ''}`
    case 'running':
      return `has a part in run ${part?.runId ?? ''} that is not done`
    case 'idle':
      return 'nothing to do at present'
    default:
      return unreachable(state)
  }
}

function placementFacts(
  { placement, row, state }: ShardView,
  workers: readonly WorkerRow[],
  now: number,
): readonly string[] {
  const facts: string[] = []
  if (placement && placement.worker !== null) {
    const worker = workers.find(({ name }) => name === placement.worker)
    const away = worker && !worker.isPresent ? ', which is away' : ''
    const cordoned = worker?.isCordoned ? ', which is draining' : ''
    facts.push(
      `assigned to ${placement.worker}${away}${cordoned} for ${formatDuration(Math.max(0, now - placement.since))}`,
    )
    if (placement.reason !== null) facts.push(placement.reason)
  } else if (placement && state !== 'unassigned' && placement.reason !== null) {
    facts.push(`assigned to nobody: ${placement.reason}`)
  }
  if (row)
    facts.push(
      row.holder === null
        ? 'never acquired by a worker'
        : `acquired last by ${row.holder}, epoch ${row.epoch}, ${row.seq} commit(s)`,
    )
  return facts
}

function workFacts({ row, part, state }: ShardView, now: number): readonly string[] {
  const facts: string[] = []
  if (part && state !== 'waiting' && state !== 'running')
    facts.push(`part of run ${part.runId}: ${part.state}`)
  if (part && state === 'running' && part.error !== null)
    facts.push(`failed before in this run: ${part.error}`)
  if (part && part.failedOn.length > 0) facts.push(`failed for good on ${part.failedOn.join(', ')}`)
  if (part && state !== 'waiting' && part.nextAt > now)
    facts.push(`next attempt ${inTime(part.nextAt, now)}`)
  if (row && row.failures > 0 && state !== 'quarantined')
    facts.push(`failed in ${row.failures} run(s) in a row`)
  return facts
}

function adviseOn(view: ShardView, workers: readonly WorkerRow[]): string | null {
  const unit = unitName(view)
  switch (view.state) {
    case 'paused':
      return `Run \`hakiri shard resume ${unit}\`.`
    case 'quarantined':
      return `Cure the cause, then run \`hakiri shard resume ${unit}\`; or \`hakiri shard reset ${unit}\` to read from the start.`
    case 'unassigned':
      return adviseOnWorkers(workers)
    case 'moving':
      return `It is taken over once ${view.row?.holder ?? 'its holder'} has let go. If that lasts longer than a session and a batch, run \`hakiri shard release ${unit}\`.`
    case 'waiting':
      return 'It is tried again by itself; `hakiri runs logs` has the history.'
    case 'running':
    case 'idle':
      return null
    default:
      return unreachable(view.state)
  }
}

function adviseOnWorkers(workers: readonly WorkerRow[]): string {
  const present = workers.filter((worker) => worker.isPresent)
  if (present.length === 0) return 'Start a worker: `hakiri serve`.'
  if (present.every((worker) => worker.isCordoned))
    return `Every worker is draining: \`hakiri uncordon ${present[0]?.name ?? 'WORKER'}\`.`
  return '`hakiri workers` shows labels, slots and who is there.'
}

function inTime(at: number, now: number): string {
  return at <= now ? 'at once' : `in ${formatDuration(at - now)}`
}

/**
 * Lets the planned faults happen: each begins and is healed at its time, beside the others. However it ends,
 * every fault that began has been healed when `driveFaults` resolves.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { begin } from './begin.ts'
import { type FaultKind, rowOf } from './catalogue.ts'
import { excludes, type PlannedFault } from './schedule.ts'
import { type Heal, NothingToHit, type Stage } from './stage.ts'

export type Driven = {
  /** Faults that were in force, by kind. */
  readonly shown: ReadonlyMap<FaultKind, number>
  /** Faults that found nothing to hit, or another in their way. */
  readonly missed: number
}

export async function driveFaults(
  stage: Stage,
  plan: readonly PlannedFault[],
  signal: AbortSignal,
): Promise<Driven> {
  const shown = new Map<FaultKind, number>()
  const inForce = new Set<PlannedFault>()
  let missed = 0
  const began = performance.now()
  const one = async (planned: PlannedFault): Promise<void> => {
    if (!(await sleep(planned.atMs - (performance.now() - began), signal))) return
    if (isInTheWay(stage, planned, inForce)) {
      missed += 1
      return
    }
    inForce.add(planned)
    const isShown = await show(stage, planned, signal)
    inForce.delete(planned)
    if (isShown) shown.set(planned.kind, (shown.get(planned.kind) ?? 0) + 1)
    else missed += 1
  }
  await Promise.all(plan.map(one))
  return { shown, missed }
}

/** What was meant to be over by now, and takes longer to come back than the plan has allowed for. */
function isInTheWay(
  { troupe, timeline }: Stage,
  fault: PlannedFault,
  inForce: ReadonlySet<PlannedFault>,
): boolean {
  const other = [...inForce].find((one) => excludes(fault, one, troupe))
  if (!other) return false
  const text = `fault ${fault.number} (${fault.kind}): fault ${other.number} (${other.kind}) is not over yet`
  timeline.add({ kind: 'note', text })
  return true
}

/** From its beginning to the end of its healing; false when there was nothing to hit. */
async function show(stage: Stage, planned: PlannedFault, signal: AbortSignal): Promise<boolean> {
  const fault = await nameLeader(stage, planned)
  const heal = await maybeBegin(stage, fault)
  if (!heal) return false
  await sleep(fault.durationMs, signal)
  await heal().catch((error: unknown) =>
    stage.problem(`fault ${fault.number} (${fault.kind}) could not be healed: ${String(error)}`),
  )
  stage.timeline.add({ kind: 'fault-ends', fault: fault.number })
  return true
}

async function nameLeader(stage: Stage, fault: PlannedFault): Promise<PlannedFault> {
  if (!fault.hosts.includes('leader')) return fault
  const leader = await stage.leader()
  return { ...fault, hosts: fault.hosts.map((host) => (host === 'leader' ? leader : host)) }
}

/** Undefined when there was nothing to hit; what went wrong otherwise is a problem of the run. */
async function maybeBegin(stage: Stage, fault: PlannedFault): Promise<Heal | undefined> {
  const { number, kind, hosts } = fault
  const title = titleOf(fault)
  try {
    // Noted before it begins: what it causes must not stand before it.
    stage.timeline.add({ kind: 'fault-begins', fault: number, title, hosts })
    return await begin({ stage, fault })
  } catch (error) {
    stage.timeline.add({ kind: 'fault-ends', fault: number })
    stage.timeline.add({ kind: 'note', text: `fault ${number} (${kind}): ${String(error)}` })
    if (!(error instanceof NothingToHit))
      stage.problem(`fault ${number} (${kind}) could not begin: ${String(error)}`)
    return undefined
  }
}

/** As people read it: the kind, and whom it hits. */
export function titleOf({ kind, hosts }: PlannedFault): string {
  const isAboutAll = rowOf(kind).hits.some((hit) => hit === 'coordinators' || hit === 'workers')
  return isAboutAll ? kind : `${kind} ${hosts.join(' ')}`
}

/** False when the signal came first. */
async function sleep(ms: number, signal: AbortSignal): Promise<boolean> {
  if (ms <= 0) return !signal.aborted
  return delay(ms, true, { signal }).catch(() => false)
}

/**
 * Lets the planned faults happen: each begins and is healed at its time, beside the others. However it ends,
 * every fault that began has been healed when `driveFaults` resolves.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { begin } from './begin.ts'
import { type FaultKind, rowOf } from './catalogue.ts'
import type { PlannedFault } from './schedule.ts'
import { type Heal, NothingToHit, type Stage } from './stage.ts'

export type Driven = {
  /** Faults that were in force, by kind. */
  readonly shown: ReadonlyMap<FaultKind, number>
  /** Faults that found nothing to hit. */
  readonly missed: number
}

export async function driveFaults(
  stage: Stage,
  plan: readonly PlannedFault[],
  signal: AbortSignal,
): Promise<Driven> {
  const shown = new Map<FaultKind, number>()
  let missed = 0
  const began = performance.now()
  const one = async (planned: PlannedFault): Promise<void> => {
    if (!(await sleep(planned.atMs - (performance.now() - began), signal))) return
    const fault = await nameLeader(stage, planned)
    const heal = await maybeBegin(stage, fault)
    if (!heal) {
      missed += 1
      return
    }
    shown.set(fault.kind, (shown.get(fault.kind) ?? 0) + 1)
    await sleep(fault.durationMs, signal)
    await heal().catch((error: unknown) =>
      stage.problem(`fault ${fault.number} (${fault.kind}) could not be healed: ${String(error)}`),
    )
    stage.timeline.add({ kind: 'fault-ends', fault: fault.number })
  }
  await Promise.all(plan.map(one))
  return { shown, missed }
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

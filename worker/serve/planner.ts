/**
 * The planner: one worker, elected under its session. It looks, plans (a pure function) and publishes;
 * whoever is deposed in the middle has published whole moves, which the next one starts from. It also
 * asks for the starts that schedules are due for, each once by its key in the catalog.
 *
 * Invariants: assignments are written only while the term stands; records in the catalog carry the
 * planner's epoch there, so that those of an older one change nothing (L3).
 */
import type { ClusterRun, NewPlacement } from '../../catalog/cluster.ts'
import type {
  ClusterView,
  MemberRecord,
  Membership,
  PlannerTerm,
} from '../../lease/coordination.ts'
import { assert } from '../../lib/assert.ts'
import { HakiriError } from '../../lib/error.ts'
import { describeUnassigned } from '../../lease/plan/reasons.ts'
import type { Plan } from '../../lease/plan/plan.ts'
import { planMoves } from '../../lease/plan/plan-moves.ts'
import type { Manifest } from '../../manifest/manifest.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import type { ManifestFeed } from './manifest-feed.ts'
import { type Absence, unitsOf, workersOf } from './plan-units.ts'
import type { Pulse } from './pulse.ts'
import { createStarts, endOrphans } from './starts.ts'
import type { Tell } from './teller.ts'
import { shardUnit } from './units.ts'

export type PlannerParts = {
  readonly deps: ServeDeps
  readonly feed: ManifestFeed
  readonly runs: () => readonly ClusterRun[]
  readonly view: () => ClusterView | undefined
  readonly pulse: Pulse
  /** Counts what was heard of the catalog that a plan hangs on. */
  readonly changes: () => number
  readonly tell: Tell
}

/** Schedules are looked at this often. */
const TICK_MS = 1_000
/** A plan is made anew at least this often, whatever was heard. */
const REPLAN_MS = 5_000
/** Load may differ from the fair share by a tenth before a shard is moved for it. */
const TOLERANCE = 0.1

/** Campaigns and plans until the membership is lost or the signal fires. */
export async function runPlanner(
  membership: Membership,
  parts: PlannerParts,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger, observer } = parts.deps
  while (!signal.aborted) {
    const term = await campaign(membership, parts.deps, signal)
    if (!term) {
      await clock.sleep(TICK_MS, signal).catch(() => undefined)
      continue
    }
    await using office = term
    const serving = AbortSignal.any([signal, office.lost])
    logger.log('info', 'this worker plans for the cluster')
    observer.plannerChanged(true)
    try {
      await serveTerm(office, parts, serving)
    } finally {
      observer.plannerChanged(false)
    }
  }
}

/** Undefined: the signal fired, or the coordinator was away; then it is tried again. */
async function campaign(
  membership: Membership,
  { logger }: ServeDeps,
  signal: AbortSignal,
): Promise<PlannerTerm | undefined> {
  try {
    return await membership.campaign(signal)
  } catch (error) {
    if (signal.aborted) return undefined
    if (!(error instanceof HakiriError)) throw error
    logger.log('warn', `not a candidate for planner now: ${error.message}`, { code: error.code })
    return undefined
  }
}

async function serveTerm(
  term: PlannerTerm,
  parts: PlannerParts,
  signal: AbortSignal,
): Promise<void> {
  const { deps, pulse } = parts
  const { clock, random, logger } = deps
  const planning = createPlanning(term, parts)
  await runLoop(
    { name: 'the planner', pulse, intervalMs: TICK_MS, clock, random, logger, step: planning.step },
    signal,
  )
}

type Planning = { readonly step: (signal: AbortSignal) => Promise<void> }

function createPlanning(term: PlannerTerm, parts: PlannerParts): Planning {
  const { deps, feed, runs, view, changes, tell } = parts
  const { catalog, clock, settings, identity, logger } = deps
  const absences = createAbsences(logger, tell)
  const starts = createStarts(deps)
  let epoch: number | undefined
  let planned: { readonly about: string; readonly at: number } | undefined
  /** What the catalog has been told. */
  let recorded = ''
  let present = ''

  async function step(signal: AbortSignal): Promise<void> {
    epoch ??= await catalog.acquirePlanner(identity.name)
    await feed.refresh()
    const active = feed.current()
    const now = view()
    if (!active || !now) return
    await starts.request(active)
    await endOrphans(runs(), active, deps)
    absences.observe(now.members, clock.monotonic())
    const about = `${active.version} ${changes()} ${absences.list(settings.graceMs, clock.monotonic()).length} ${signatureOf(now)}`
    if (planned?.about === about && clock.monotonic() - planned.at < REPLAN_MS) return
    const plan = await planNow(now, active.manifest)
    planned = { about, at: clock.monotonic() }
    if (plan.moves.length > 0) await publish(plan, signal)
    await record(plan, now)
  }

  async function planNow(now: ClusterView, manifest: Manifest): Promise<Plan> {
    const shards = await catalog.plannedShards(Object.keys(manifest.pipelines))
    const failed = await catalog.failedParts()
    const known = await catalog.workers()
    return planMoves({
      workers: workersOf(now.members, known, absences.list(settings.graceMs, clock.monotonic())),
      units: unitsOf(
        manifest,
        shards,
        new Map(failed.map((part) => [shardUnit(part.pipeline, part.shard), part.failedOn])),
      ),
      assigned: now.assignments,
      policy: { tolerance: TOLERANCE },
    })
  }

  async function publish(plan: Plan, signal: AbortSignal): Promise<void> {
    const outcome = await term.publish(plan.moves, signal)
    logger.log('info', 'assignments were published', { moves: plan.moves.length, outcome })
  }

  async function record(plan: Plan, { members }: ClusterView): Promise<void> {
    assert(epoch !== undefined, 'records follow the planner epoch')
    const names = [...members.keys()].toSorted().join(' ')
    const placements = placementsOf(plan)
    const picture = placements.map((each) => Object.values(each).join(' ')).join('\n')
    const isMine =
      (picture === recorded || (await catalog.recordPlacements(epoch, placements))) &&
      (names === present || (await catalog.recordPresence(epoch, [...members.keys()])))
    if (isMine) {
      recorded = picture
      present = names
    } else epoch = undefined
  }

  return { step }
}

/** What a plan hangs on, of the view: who is there, not what they hold by now. */
function signatureOf({ members }: ClusterView): string {
  return [...members.values()]
    .map(({ name, incarnation, state }) => `${name}:${incarnation}:${state}`)
    .toSorted()
    .join(' ')
}

type Absences = {
  observe(members: ReadonlyMap<string, MemberRecord>, now: number): void
  /** Those within the grace. */
  list(graceMs: number, now: number): readonly Absence[]
}

/** Who was a member and is none any more, without having said goodbye. */
function createAbsences(logger: ServeDeps['logger'], tell: Tell): Absences {
  let before: ReadonlyMap<string, MemberRecord> | undefined
  const gone = new Map<string, Absence>()
  const onGone = (member: string, record: MemberRecord, now: number): void => {
    const isLost = record.state === 'active'
    if (isLost) gone.set(member, { record, goneAt: now })
    logger.log(isLost ? 'warn' : 'info', 'a worker is gone', { member, state: record.state })
    tell(
      isLost ? 'warn' : 'info',
      'worker-gone',
      isLost ? `${member} went silent` : `${member} left`,
    )
  }
  const onCome = (member: string, { address }: MemberRecord): void => {
    gone.delete(member)
    logger.log('info', 'a worker is here', { member, address })
    tell('info', 'worker-here', `${member} at ${address}`)
  }
  return {
    observe(members, now) {
      for (const [name, record] of before ?? []) if (!members.has(name)) onGone(name, record, now)
      // Whom a new planner finds has not come just now.
      for (const [name, record] of members) if (before && !before.has(name)) onCome(name, record)
      before = members
    },
    list: (graceMs, now) => [...gone.values()].filter(({ goneAt }) => now - goneAt < graceMs),
  }
}

/** The whole picture; the catalog finds out what of it has changed. */
function placementsOf(plan: Plan): readonly NewPlacement[] {
  const place = (unit: string, worker: string | null, reason: string | null): NewPlacement => {
    const slash = unit.indexOf('/')
    return { pipeline: unit.slice(0, slash), shard: unit.slice(slash + 1), worker, reason }
  }
  return [
    ...[...plan.assignments].map(([unit, worker]) => place(unit, worker, null)),
    ...[...plan.unassigned].map(([unit, why]) => place(unit, null, describeUnassigned(why))),
  ]
}

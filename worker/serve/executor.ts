/**
 * Works off the pending parts of runs whose shards this worker holds: as many at a time as it has slots,
 * small ones in groups, each failure settled on its own, so that no shard waits for another's backoff.
 *
 *             claimed            taken up               done, or settled as failed
 *   (others') ───────► pending ───────────► at work ───────────────────────────────► gone
 *                        ▲                    │  │ session lost: cut off at once
 *                        └── later: retry, ◄──┘  └──► left, at its epoch ── no coordinator answers ──►
 *                            fenced, alone                at work again, while its epoch stands
 *
 * Invariants: a part is at work at most once here; it is taken up only while its unit is held, or,
 * without a session, only at the epoch it was left with; a unit is given up only when nothing of it is at
 * work. Whether work counts is not decided here: the catalog takes a commit or refuses it (L3).
 */
import type { RunShard } from '../../catalog/cluster.ts'
import type { UnitName } from '../../lease/coordination.ts'
import { unreachable } from '../../lib/assert.ts'
import { HakiriError } from '../../lib/error.ts'
import type { WorkerDeps } from '../deps.ts'
import { createSlots } from '../scheduler.ts'
import { attempt, type Attempt } from './attempt.ts'
import { type Candidate, chooseWork, groupName } from './choose.ts'
import { tellCommits } from './commit-facts.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import type { ManifestFeed } from './manifest-feed.ts'
import { createPartsList } from './parts-list.ts'
import { patientCatalog, patientStore } from './patient.ts'
import { createPulse } from './pulse.ts'
import { openRunContext, type RunContext } from './run-context.ts'
import type { RunsFeed } from './runs-feed.ts'
import { settlementOf } from './settle.ts'
import type { Tell } from './teller.ts'
import { shardUnit } from './units.ts'
import type { Workshop } from './workshop.ts'

export type Executor = {
  /** Shards that were claimed. */
  take(units: readonly UnitName[]): void
  /** Resolves when none of them is at work; what was read up to a safe point is committed. */
  giveUp(units: readonly UnitName[]): Promise<void>
  /** The session is over: what is at work is cut off at once, and nothing of it is committed any more. */
  loseSession(): void
  /** No coordinator answers: goes on with what was cut off. */
  goOnAlone(): void
  /** There is a session again. Resolves when nothing goes on without one. */
  startSession(): Promise<void>
  ring(): void
  /** Until the signal fires; resolves when nothing is at work any more. */
  run(signal: AbortSignal): Promise<void>
  readonly load: () => { readonly pending: number; readonly atWork: number }
  /** Of shards that are held and were done here: since when, on the monotonic clock. */
  readonly doneAt: () => ReadonlyMap<UnitName, number>
}

export type ExecutorParts = {
  readonly deps: ServeDeps
  readonly feed: ManifestFeed
  readonly runs: RunsFeed
  readonly workshop: Workshop
  /** Other workers that could hold the part's shard and have not failed on it. */
  readonly othersFor: (part: RunShard) => number
  readonly tell: Tell
}

type Work = {
  readonly part: RunShard
  readonly stop: AbortController
  readonly ended: Promise<void>
}
type Left = { readonly part: RunShard; readonly epoch: number }

/** A part that somebody else took while its unit is held here (a run by hand) is tried after this. */
const FENCED_WAIT_MS = 2_000
/** Until then the open runs have been looked at again. */
const UNKNOWN_WAIT_MS = 300

export function createExecutor(parts: ExecutorParts): Executor {
  const { deps, feed, runs, workshop, tell } = parts
  const { catalog, clock, random, logger, observer, settings, identity } = deps
  const pulse = createPulse(clock)
  const slots = createSlots(settings.slots)
  const held = new Set<UnitName>()
  const atWork = new Map<UnitName, Work>()
  const contexts = new Map<number, Promise<RunContext>>()
  const readyAt = new Map<UnitName, number>()
  const doneAt = new Map<UnitName, number>()
  /** Units, and names of groups, that are not put into groups. */
  const goesAlone = new Set<UnitName>()
  const proven = new Set<string>()
  const list = createPartsList({ catalog, clock, held, isRunning, onRead: stopWhatIsOver })
  let session = new AbortController()
  /** What the lost session cut off; undefined while there is a session. */
  let left: Map<UnitName, Left> | undefined
  let mayGoAlone = false
  /** A bug in the work of a shard ends the worker, through the loop. */
  let bug: { readonly error: unknown } | undefined

  async function step(): Promise<number | void> {
    if (bug) throw bug.error
    if (left) return goOnAlone(left)
    await list.refresh()
    forgetRuns()
    return startWork()
  }

  function isRunning(pipelines: ReadonlySet<string>): boolean {
    return runs.current().some((run) => run.status === 'running' && pipelines.has(run.pipeline))
  }

  function forgetRuns(): void {
    const open = runs.current().filter(({ status }) => status === 'running')
    const ids = new Set(open.map((run) => run.id))
    for (const id of contexts.keys()) if (!ids.has(id)) contexts.delete(id)
    if (ids.size > 0) return
    goesAlone.clear()
    proven.clear()
    readyAt.clear()
  }

  /** Parts that a cancel, a pause or somebody else has ended; what began after the look is not among them. */
  function stopWhatIsOver(
    open: readonly RunShard[],
    asked: ReadonlySet<UnitName> | undefined,
  ): void {
    if (atWork.size === 0) return
    const names = new Set(open.map(nameOf))
    for (const [unit, { part, stop }] of atWork)
      if ((!asked || asked.has(unit)) && !names.has(nameOf(part))) stop.abort(givenUp())
  }

  function* candidates(now: number): Generator<Candidate> {
    const wall = clock.now()
    for (const [unit, part] of list.parts) {
      if (atWork.has(unit) || !held.has(unit)) continue
      const due = now + Math.max(0, part.nextAt - wall)
      yield {
        part,
        readyAt: Math.max(due, readyAt.get(unit) ?? 0),
        isLarge: goesAlone.has(unit) || goesAlone.has(groupName(part)),
      }
    }
  }

  /** Fills the free slots; returns when the next part is due. */
  function startWork(): number {
    let nextAt = Infinity
    while (slots.free() > 0) {
      const now = clock.monotonic()
      const policy = { worker: identity.name, now, slots: settings.slots, proven }
      const choice = chooseWork(candidates(now), policy)
      nextAt = choice.nextAt
      if (!choice.work) break
      start(choice.work, undefined)
    }
    observer.queueChanged(list.parts.size, atWork.size)
    return Math.max(1, Math.ceil(nextAt - clock.monotonic()))
  }

  function goOnAlone(cut: Map<UnitName, Left>): void {
    if (!mayGoAlone) return
    for (const [unit, { part, epoch }] of cut) {
      if (slots.free() === 0) return
      if (atWork.has(unit)) continue
      cut.delete(unit)
      start([part], epoch)
    }
  }

  function start(work: readonly RunShard[], ifEpoch: number | undefined): void {
    const stop = new AbortController()
    const ended = Promise.withResolvers<void>()
    for (const part of work) atWork.set(unitOf(part), { part, stop, ended: ended.promise })
    slots
      .add(() => perform(work, stop.signal, session.signal, ifEpoch))
      .catch((error: unknown) => {
        if (error instanceof HakiriError) holdOff(work, error)
        else bug = { error }
      })
      .finally(() => {
        for (const part of work) atWork.delete(unitOf(part))
        ended.resolve()
        pulse.ring()
      })
  }

  async function perform(
    work: readonly RunShard[],
    stop: AbortSignal,
    lost: AbortSignal,
    ifEpoch: number | undefined,
  ): Promise<void> {
    const [first] = work
    const context = first && (await contextOf(first.runId))
    if (!context) return setAside(work)
    const runner = runnerDeps(context, lost)
    const either = AbortSignal.any([stop, lost])
    const attempts = await attempt(work, context, runner, either, ifEpoch)
    await settle(attempts, context, runner, lost)
    for (const each of attempts) take(each, lost)
    const tried = new Set(attempts.map(({ part }) => part))
    setAside(work.filter((part) => !tried.has(part)))
    if (attempts.length > 1) learn(attempts)
  }

  function setAside(work: readonly RunShard[]): void {
    // The list is ahead of what is known of their runs, or behind it. To try them again at once would be a
    // loop that nothing else gets a turn beside.
    const until = clock.monotonic() + UNKNOWN_WAIT_MS
    list.lookUp(work.map(unitOf))
    for (const part of work) readyAt.set(unitOf(part), until)
  }

  /** Shards of one table are much alike: what holds for most of a group is taken to hold for the rest. */
  function learn(attempts: readonly Attempt[]): void {
    const [first] = attempts
    if (!first) return
    const alone = attempts.filter(({ outcome }) => outcome === 'alone').length
    if (alone > attempts.length / 2) goesAlone.add(groupName(first.part))
    else proven.add(groupName(first.part))
  }

  async function contextOf(runId: number): Promise<RunContext | undefined> {
    const run = runs.current().find((each) => each.id === runId)
    const found = contexts.get(runId) ?? (run && openRunContext(run, feed, workshop))
    if (!found) return undefined
    contexts.set(runId, found)
    found.catch(() => contexts.delete(runId))
    return found
  }

  function runnerDeps({ shop, pipeline }: RunContext, signal: AbortSignal): WorkerDeps {
    const patience = { signal, clock, random }
    const runner = shop.runnerDeps(pipeline.name)
    const told = tellCommits(catalog, clock, (facts) => observer.committed(pipeline.name, facts))
    return {
      ...runner,
      catalog: patientCatalog(told, patience),
      store: patientStore(runner.store, patience),
    }
  }

  /** Tells the catalog what no commit has told it. */
  async function settle(
    attempts: readonly Attempt[],
    { pipeline }: RunContext,
    runner: WorkerDeps,
    lost: AbortSignal,
  ): Promise<void> {
    const settlements = attempts.flatMap(({ part, outcome, error, epoch, isRecorded, rows }) => {
      const isFailure = outcome === 'failed' && error !== undefined
      if (epoch === undefined || (!isFailure && (outcome !== 'done' || isRecorded))) return []
      const end = isFailure
        ? ({ kind: 'failed', error, progressed: rows > 0 } as const)
        : ({ kind: 'done' } as const)
      const { retries } = pipeline
      const others = parts.othersFor(part)
      const now = clock.now()
      return [
        settlementOf(part, end, { retries, worker: identity.name, epoch, others, now, random }),
      ]
    })
    if (settlements.length === 0 || lost.aborted) return
    await runner.catalog.settleShards(settlements)
    for (const { runId, pipeline: name, shard, end } of settlements) {
      if (!('error' in end)) continue
      logger.log('warn', `a shard failed: ${end.error}`, { run: runId, shard, next: end.kind })
      const level = end.kind === 'failed' ? 'error' : 'warn'
      tell(level, `shard-${end.kind}`, end.error, { runId, pipeline: name, shard })
    }
  }

  /** What becomes of a part here. */
  function take({ part, outcome, error, epoch }: Attempt, lost: AbortSignal): void {
    const unit = unitOf(part)
    if (outcome !== 'alone') observer.partEnded(part.pipeline, outcome)
    switch (outcome) {
      case 'done':
        list.drop(unit)
        if (held.has(unit)) doneAt.set(unit, clock.monotonic())
        if (list.parts.size === 0) runs.ring()
        return
      case 'stopped':
        if (lost.aborted && epoch !== undefined) left?.set(unit, { part, epoch })
        return
      case 'fenced':
        return holdOff([part], error)
      case 'failed':
        list.lookUp([unit])
        if (epoch === undefined) holdOff([part], error)
        return
      case 'alone':
        goesAlone.add(unit)
        return
      default:
        return unreachable(outcome)
    }
  }

  function holdOff(work: readonly RunShard[], error: HakiriError | undefined): void {
    const until = clock.monotonic() + FENCED_WAIT_MS
    list.lookUp(work.map(unitOf))
    for (const part of work) {
      readyAt.set(unitOf(part), until)
      const why = error?.message ?? 'it was taken over'
      logger.log('warn', `a shard waits: ${why}`, {
        run: part.runId,
        unit: unitOf(part),
        code: error?.code,
      })
      const { runId, pipeline, shard } = part
      if (error?.code === 'FENCED') tell('warn', 'shard-fenced', why, { runId, pipeline, shard })
    }
  }

  return {
    take(units) {
      for (const unit of units) held.add(unit)
      list.lookUp(units)
      pulse.ring()
    },
    async giveUp(units) {
      const waits = units.flatMap((unit) => {
        held.delete(unit)
        doneAt.delete(unit)
        list.drop(unit)
        const work = atWork.get(unit)
        work?.stop.abort(givenUp())
        return work ? [work.ended] : []
      })
      await Promise.all(waits)
    },
    loseSession() {
      left = new Map()
      mayGoAlone = false
      held.clear()
      doneAt.clear()
      list.clear()
      session.abort(new HakiriError('CANCELLED', 'the session of this worker is over'))
      session = new AbortController()
    },
    goOnAlone() {
      mayGoAlone = true
      pulse.ring()
    },
    async startSession() {
      const cut = left
      mayGoAlone = false
      await stopAll(atWork.values())
      left = undefined
      list.lookAtAll()
      if (cut) await tellTakenOver(cut, deps).catch(() => undefined)
    },
    ring() {
      list.lookAtAll()
      pulse.ring()
    },
    async run(signal) {
      const intervalMs = settings.pollMs
      const loop = { name: 'the executor', pulse, intervalMs, clock, random, logger, step }
      await using _ = { [Symbol.asyncDispose]: () => stopAll(atWork.values()) }
      await runLoop(loop, signal)
    },
    load: () => ({ pending: list.parts.size, atWork: atWork.size }),
    doneAt: () => doneAt,
  }
}

/** Resolves when none is at work: a session that was lost has cut them off without waiting. */
async function stopAll(works: Iterable<Work>): Promise<void> {
  const all = [...works]
  for (const { stop } of all) stop.abort(givenUp())
  await Promise.all(all.map(({ ended }) => ended))
}

/** Who took over what was left, so that an operator sees both epochs. */
async function tellTakenOver(
  cut: ReadonlyMap<UnitName, Left>,
  { catalog, logger }: ServeDeps,
): Promise<void> {
  for (const [unit, { part, epoch }] of cut) {
    const row = await catalog.shard(part)
    if (!row || row.epoch === epoch) continue
    const about = { unit, epoch, currentEpoch: row.epoch, holder: row.holder }
    logger.log('warn', 'shard was taken over while this worker had no session', about)
  }
}

function unitOf(part: RunShard): UnitName {
  return shardUnit(part.pipeline, part.shard)
}

function nameOf(part: RunShard): string {
  return `${part.runId} ${unitOf(part)}`
}

function givenUp(): HakiriError {
  return new HakiriError('CANCELLED', 'the shard is given up')
}

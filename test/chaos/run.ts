/**
 * One chaos run from beginning to end: warm-up, faults, healing, the last runs, audits. Whatever ends it
 * (a check, a crash of the runner, Ctrl-C), everything is torn down and there is a report.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createCoordClient } from '../../coord/client/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { type Cast, gather } from './cast/cast.ts'
import type { Coordinators } from './cast/coordinators.ts'
import type { Program } from './cast/program.ts'
import { until } from '../support/until.ts'
import { MEMORY_BYTES } from './cast/workers.ts'
import {
  figuresOf,
  happenedCheck,
  hashCheck,
  historyChecks,
  NO_FIGURES,
  observerCheck,
  pipelineChecks,
} from './checks.ts'
import { driveFaults, type Driven } from './faults/drive.ts'
import { planFaults } from './faults/schedule.ts'
import { sourceFaultsOf } from './faults/sources.ts'
import { linesOf } from './history/ndjson.ts'
import { LEASE_OPTIONS } from './history/leases.ts'
import { type ChaosHistory, startHistory } from './history/start.ts'
import type { Problem, Round } from './history/types.ts'
import { observeLeaders, observeMemory } from './observe.ts'
import type { Lab } from './hosts/lab.ts'
import { openLab } from './hosts/open-lab.ts'
import { inspectPipelines } from './pipelines/audit.ts'
import type { LivenessFacts } from './pipelines/liveness.ts'
import {
  COORDINATOR_BYTES_MAX,
  type MemoryBound,
  type MemorySample,
  workerBytesMax,
} from './pipelines/memory.ts'
import type { Pipelines } from './pipelines/pipelines.ts'
import { readTrail } from './pipelines/trail.ts'
import { renderPage } from './report/page.ts'
import type { Check, RunFigures, RunReport, RunSettings } from './report/run-report.ts'
import { createSlowness, stretchOf } from './slowness.ts'
import { createTimeline, type Timeline } from './timeline.ts'

export type RunOptions = {
  readonly settings: RunSettings
  readonly programs: { readonly now: Program; readonly next: Program }
  /** Ends the run early; it is torn down and reported all the same. */
  readonly signal: AbortSignal
  /** Where reports go: `seed-backend.json` and `.html`. */
  readonly folder: string
  /** What happens, for people, as it happens. */
  readonly say: (text: string) => void
}

export type RanRun = { readonly report: RunReport; readonly page: string }

const WARM_UP_MS = 4_000
const ENDED = 'processes and faults: none ends by itself, each begins and heals'
/** Gentle: two processors have a dozen processes to run beside it. */
const HISTORY_PACE = { roundMs: 20_000, callMs: 2_000, pauseMs: 60 } as const
/** After healing, everything has to be done within this. */
export const SETTLED_WITHIN_MS = 60_000

export async function runChaos(options: RunOptions): Promise<RanRun> {
  const { settings, say } = options
  const timeline = createTimeline(() => performance.now())
  const startedAt = new Date().toISOString()
  const story: Story = {
    checks: [],
    ended: [],
    figures: NO_FIGURES,
    shown: new Map(),
    isComplete: false,
  }
  try {
    await play(options, timeline, story)
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    story.checks.push({ name: 'the run: it comes to its end', problems: [text], seen: '' })
  }
  story.checks.push({ name: ENDED, problems: story.ended, seen: '' })
  const failed = story.checks.filter(({ problems }) => problems.length > 0)
  for (const { name, problems } of failed)
    for (const text of problems) {
      const isTold = timeline.events.some(
        (event) => event.kind === 'problem' && event.text === text,
      )
      if (!isTold) timeline.add({ kind: 'problem', check: name, text })
    }
  timeline.add({ kind: 'phase', name: 'end' })
  const report: RunReport = {
    settings,
    startedAt,
    tookMs: timeline.nowMs(),
    verdict: failed.length > 0 ? (story.isComplete ? 'failed' : 'aborted') : 'passed',
    checks: story.checks,
    faults: Object.fromEntries(story.shown),
    figures: story.figures,
    events: timeline.events,
  }
  const page = await writeReport(options.folder, report)
  say(`report: ${page}`)
  return { report, page }
}

async function writeReport(folder: string, report: RunReport): Promise<string> {
  await mkdir(folder, { recursive: true })
  const name = placeOf(folder, report.settings)
  await writeFile(`${name}.json`, JSON.stringify(report))
  await writeFile(`${name}.html`, renderPage(report))
  return `${name}.html`
}

/** What is known so far; a run that breaks off leaves what it had. */
type Story = {
  readonly checks: Check[]
  /** Processes that ended by themselves, faults that could not begin or be healed. */
  readonly ended: string[]
  figures: RunFigures
  shown: Driven['shown']
  isComplete: boolean
}

async function play(options: RunOptions, timeline: Timeline, story: Story): Promise<void> {
  const { settings, signal, say } = options
  const problem = (text: string): void => {
    say(`✗ ${text.split('\n')[0]}`)
    story.ended.push(text)
    timeline.add({ kind: 'problem', check: ENDED, text })
  }
  timeline.add({ kind: 'phase', name: 'warm-up' })
  await using cleaning = new AsyncDisposableStack()
  const lab = cleaning.use(await openLab({ kind: settings.lab, seed: settings.seed }))
  const slowness = createSlowness()
  const stretch = (): number => stretchOf(slowness.factor()) * settings.patience
  const cast = cleaning.use(
    await gather({ ...settings, lab, programs: options.programs, timeline, stretch, problem }),
  )
  cleaning.defer(() => saveWords(options.folder, settings, cast, story))
  const { stage, coordinators, pipelines } = cast
  const observers = {
    leaders: cleaning.use(observeLeaders(coordinators, settings.backend, timeline)),
    memory: cleaning.use(observeMemory(() => cast.processes, timeline, slowness)),
  }
  await pipelines.start()
  const place = placeOf(options.folder, settings)
  const history = cleaning.use(writeHistory(coordinators, place, stretch))
  await delay(WARM_UP_MS, undefined, { signal })

  timeline.add({ kind: 'phase', name: 'faults' })
  history.setCalm(false)
  const { minutes, seed, faults: only } = settings
  const plan = planFaults({ seed, minutes, troupe: stage.troupe, ...(only ? { only } : {}) })
  say(`${plan.length} faults planned in ${minutes} min`)
  const driven = await driveFaults(stage, plan, signal)
  story.shown = driven.shown
  signal.throwIfAborted()
  // Faults may end before the time does; the run goes on until then.
  await rest(timeline, minutes, signal)

  timeline.add({ kind: 'phase', name: 'healing' })
  await healAll(cast, lab)
  history.setCalm(true)
  let withinMs = Math.round(SETTLED_WITHIN_MS * stretch())
  const liveness = await pipelines.settle({
    up: cast.workers.map(({ actor }) => actor.name),
    sourceFaults: sourceFaultsOf(plan),
    withinMs: () => (withinMs = Math.max(withinMs, Math.round(SETTLED_WITHIN_MS * stretch()))),
  })
  if (withinMs > SETTLED_WITHIN_MS * settings.patience)
    timeline.add({ kind: 'note', text: `the machine was slow: ${withinMs} ms to settle` })
  await history.stop(withinMs)

  timeline.add({ kind: 'phase', name: 'audit' })
  say('audit')
  const memory = { samples: samplesOf(timeline), bounds: boundsOf(cast, settings) }
  const claims = cast.holders.claims()
  const facts = { liveness, withinMs, memory, ...(claims ? { claims } : {}) }
  const audit = await inspectPipelines(pipelines, facts)
  story.checks.push(
    ...pipelineChecks(audit, slowOf(liveness, withinMs)),
    ...historyChecks(history, settings.backend),
    await hashCheck(coordinators, cast.client),
    observerCheck('coordinator: one leader a term (R1)', observers.leaders),
    observerCheck('claims: one at a time for each unit (L1)', cast.holders),
  )
  story.figures = figuresOf(audit, story.checks, history.counts.operations)
  story.checks.push(happenedCheck(plan, driven, story.figures))
  story.isComplete = true
  await addCommits(pipelines, timeline)
}

/** For people: how long the last runs took, of how long they may take. */
function slowOf({ runs }: LivenessFacts, withinMs: number): string {
  const longest = Math.max(...runs.map(({ tookMs }) => tookMs))
  return `${Math.round(longest / 1_000)} s of ${Math.round(withinMs / 1_000)}`
}

/** Lets the time of the faults pass, if they were over before. */
async function rest(timeline: Timeline, minutes: number, signal: AbortSignal): Promise<void> {
  const began = timeline.events.findLast(({ kind }) => kind === 'phase')?.atMs ?? 0
  const leftMs = began + minutes * 60_000 - timeline.nowMs()
  if (leftMs > 0) await delay(leftMs, undefined, { signal })
}

/** Faults have healed what they hit; this is what an operator would make sure of. */
async function healAll(cast: Cast, lab: Lab): Promise<void> {
  await lab.setLinks([])
  const steady = [...cast.coordinators.all, ...cast.workers]
  for (const { actor } of steady) {
    await actor.resume()
    actor.start()
  }
  await until('a coordinator leads again', () => cast.coordinators.leader())
}

function samplesOf({ events }: Timeline): readonly MemorySample[] {
  return events.filter((event) => event.kind === 'memory')
}

/** etcd's memory is not ours to promise. */
function boundsOf(
  { coordinators, workers }: Cast,
  { backend }: RunSettings,
): readonly MemoryBound[] {
  const ours = backend === 'raft' ? coordinators.all : []
  return [
    ...ours.map(({ actor }) => ({ name: actor.name, bytesMax: COORDINATOR_BYTES_MAX })),
    ...workers.map(({ actor }) => ({ name: actor.name, bytesMax: workerBytesMax(MEMORY_BYTES) })),
  ]
}

/** What the trail of the catalog knows of commits, put where it happened. */
async function addCommits({ catalogPostgres }: Pipelines, timeline: Timeline): Promise<void> {
  const beganAt = Date.now() - timeline.nowMs()
  for (const event of await readTrail(catalogPostgres.localUrl)) {
    if (event.kind !== 'committed') continue
    const { pipeline, shard, epoch, seq, files, by, at } = event
    const commit = { pipeline, shard, epoch, seq, files, worker: by }
    timeline.addAt(Math.max(0, Math.round(at - beganAt)), { kind: 'commit', ...commit })
  }
}

/** The workloads on the coordinators, and what becomes of their rounds. */
function writeHistory(
  { endpoints }: Pick<Coordinators, 'endpoints'>,
  place: string,
  stretch: () => number,
): ChaosHistory {
  const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }
  return startHistory({
    endpoints,
    connect: (some) =>
      createCoordClient({ endpoints: some, attemptMs: 2_000, readMs: 5_000 }, parts),
    random: systemRandom,
    clock: systemClock,
    onRound: (round, problems) => keepRound(place, round, problems),
    // Members that wait for a processor change their leader, which prolongs every lease.
    leases: () => ({ ...LEASE_OPTIONS, lateMs: LEASE_OPTIONS.lateMs * stretch() }),
    ...HISTORY_PACE,
  })
}

/** Of a run's report, and of what it leaves beside that when it did not come out well. */
function placeOf(folder: string, { seed, backend }: RunSettings): string {
  return join(folder, `${seed}-${backend}`)
}

/** Without the history of a round nobody can tell why it is wrong; `npm run chaos:check` reads it again. */
function keepRound(place: string, round: Round, problems: readonly Problem[]): void {
  if (problems.length === 0) return
  mkdirSync(place, { recursive: true })
  const lines = [...linesOf([round])].map((line) => `${JSON.stringify(line)}\n`)
  writeFileSync(join(place, `${round.kind}-${round.number}.ndjson`), lines.join(''))
}

/** The last words of every process, where a run did not come out well. */
async function saveWords(
  folder: string,
  settings: RunSettings,
  { processes }: Cast,
  story: Story,
): Promise<void> {
  const isWell =
    story.ended.length === 0 && story.checks.every(({ problems }) => problems.length === 0)
  if (story.isComplete && isWell) return
  const place = placeOf(folder, settings)
  await mkdir(place, { recursive: true })
  for (const one of processes)
    await writeFile(join(place, `${one.name}.log`), `${one.output().join('\n')}\n`)
}

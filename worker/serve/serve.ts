/**
 * A worker, put together: feeds of manifest and runs, the executor of shards, the offices, the life in the
 * cluster, and who wakes whom. Starts nothing that it does not end.
 */
import type { RunShard, WakeTopic } from '../../catalog/cluster.ts'
import type { ClusterView, UnitName } from '../../lease/coordination.ts'
import { HakiriError } from '../../lib/error.ts'
import type { ServeDeps } from './deps.ts'
import { createExecutor } from './executor.ts'
import { createHealth, watched } from './health.ts'
import type { Desk } from './holdings.ts'
import { runLoop } from './loop.ts'
import { type ActiveManifest, createManifestFeed } from './manifest-feed.ts'
import { createMemberLife } from './member.ts'
import { createOffices, type Office } from './offices.ts'
import { runPlanner } from './planner.ts'
import { createPublishing } from './publishing.ts'
import { createPulse } from './pulse.ts'
import { createRunsFeed } from './runs-feed.ts'
import { createSteward } from './steward.ts'
import { createTeller } from './teller.ts'
import { parseUnit } from './units.ts'
import { createWorkshop } from './workshop.ts'

export type ServeStatus = {
  readonly state: 'joining' | 'member' | 'alone' | 'leaving'
  /** Why this worker is not ready; empty when it is. */
  readonly reasons: readonly string[]
  readonly held: number
  readonly pending: number
  readonly atWork: number
  readonly view: ClusterView | undefined
  readonly manifestVersion: number | undefined
}

/** How long ago a shard that is held was done here last. */
export type Lag = { readonly pipeline: string; readonly seconds: number }

export type Serve = AsyncDisposable & {
  /** Resolves when `stop` has fired and all is given back; rejects for a bug, or a name that is in use. */
  run(stop: AbortSignal): Promise<void>
  status(): ServeStatus
  readonly manifest: () => ActiveManifest | undefined
  lag(): Iterable<Lag>
}

export function createServe(given: ServeDeps): Serve {
  const health = createHealth(given)
  const deps: ServeDeps = {
    ...given,
    catalog: watched(given.catalog, 'catalog', 'CATALOG_', health),
  }
  const { catalog, coordination, clock, random, logger, settings, identity } = deps
  const planPulse = createPulse(clock)
  /** Fires when a clean stop has taken all the time it may. */
  const cutOff = new AbortController()
  const bug = Promise.withResolvers<never>()
  bug.promise.catch(() => undefined)
  let changes = 0

  const tell = createTeller(deps)
  const feed = createManifestFeed(deps)
  const runs = createRunsFeed(deps, {
    onLook: () => offices.ring(),
    onChange: () => executor.ring(),
  })
  const workshop = createWorkshop(
    deps,
    feed,
    health,
    cutOff.signal,
    () => view()?.members.size ?? 1,
  )
  const viewer = coordination.watch(() => {
    life.ring()
    planPulse.ring()
  })
  const view = (): ClusterView | undefined => viewer.current
  const executor = createExecutor({ deps, feed, runs, workshop, othersFor, tell })
  const offices = createOffices(openOffice, (error) => bug.reject(error))
  const life = createMemberLife({
    deps,
    health,
    cutOff: cutOff.signal,
    desk: createDesk(),
    executor,
    offices,
    view,
    onBug: (error) => bug.reject(error),
    plan: (membership, signal) =>
      runPlanner(
        membership,
        { deps, feed, runs: runs.current, view, pulse: planPulse, changes: () => changes, tell },
        signal,
      ),
  })

  function openOffice(unit: UnitName): Office {
    const parsed = parseUnit(unit)
    switch (parsed.kind) {
      case 'run':
        return createSteward(parsed.pipeline, deps, feed, runs, workshop, tell)
      case 'publish':
        return createPublishing(parsed.pipeline, parsed.table, deps, feed, runs, workshop)
      case 'shard':
        throw new TypeError(`${unit} is no office`)
    }
  }

  function createDesk(): Desk {
    const split = (units: readonly UnitName[]) => ({
      shards: units.filter((unit) => parseUnit(unit).kind === 'shard'),
      offices: units.filter((unit) => parseUnit(unit).kind !== 'shard'),
    })
    return {
      take(units) {
        const parts = split(units)
        offices.take(parts.offices)
        executor.take(parts.shards)
      },
      async giveUp(units) {
        const parts = split(units)
        await Promise.all([offices.giveUp(parts.offices), executor.giveUp(parts.shards)])
      },
    }
  }

  function othersFor({ pipeline, failedOn }: RunShard): number {
    const placement = feed.current()?.manifest.pipelines[pipeline]?.placement ?? {}
    const matches = (labels: { readonly [label: string]: string }): boolean =>
      Object.entries(placement).every(([label, value]) => labels[label] === value)
    const others = [...(view()?.members.values() ?? [])].filter(
      ({ name, labels, state }) =>
        name !== identity.name && state === 'active' && !failedOn.includes(name) && matches(labels),
    )
    return others.length
  }

  function wake(topic: WakeTopic): void {
    switch (topic) {
      case 'manifest':
        manifestPulse.ring()
        break
      case 'runs':
        runs.ring()
        break
      case 'shards':
      case 'workers':
        changes += 1
        planPulse.ring()
        break
      case 'events':
        break
    }
  }

  const manifestPulse = createPulse(clock)
  async function followManifest(): Promise<void> {
    if (!(await feed.refresh())) return
    changes += 1
    planPulse.ring()
    offices.ring()
    executor.ring()
  }

  async function introduce(stop: AbortSignal): Promise<void> {
    const pulse = createPulse(clock)
    const once = new AbortController()
    const step = async (): Promise<void> => {
      await catalog.recordWorker(identity)
      once.abort()
    }
    const name = 'the introduction'
    await runLoop(
      { name, pulse, intervalMs: settings.pollMs, clock, random, logger, step },
      AbortSignal.any([stop, once.signal]),
    )
  }

  /** Once a stop has had its time, nothing waits for a bucket, or for the catalog without a session. */
  async function limitStop(over: AbortSignal): Promise<void> {
    const isLate = await clock.sleep(settings.drainMs, over).then(
      () => true,
      () => false,
    )
    if (!isLate) return
    logger.log('warn', 'the time to leave is up: the rest is cut off')
    cutOff.abort(new HakiriError('CANCELLED', 'the time to leave is up'))
    executor.loseSession()
  }

  return {
    manifest: () => feed.current(),
    *lag() {
      const now = clock.monotonic()
      for (const [unit, at] of executor.doneAt())
        yield { pipeline: parseUnit(unit).pipeline, seconds: (now - at) / 1_000 }
    },
    status: () => ({
      state: life.state(),
      reasons: [
        ...health.reasons(),
        ...(life.state() === 'member' ? [] : [`session: ${life.state()}`]),
      ],
      held: life.held(),
      ...executor.load(),
      view: view(),
      manifestVersion: feed.current()?.version,
    }),
    async run(stop) {
      await using _wakes = catalog.onWake(wake)
      const ended = new AbortController()
      const over = new AbortController()
      stop.addEventListener('abort', () => void limitStop(over.signal), { once: true })
      const name = 'the manifest'
      const background = Promise.all([
        introduce(stop),
        executor.run(ended.signal),
        runs.run(ended.signal),
        runLoop(
          {
            name,
            pulse: manifestPulse,
            intervalMs: settings.pollMs,
            clock,
            random,
            logger,
            step: followManifest,
          },
          ended.signal,
        ),
      ])
      try {
        await Promise.race([
          life.run(stop),
          background.then(() => new Promise(() => {})),
          bug.promise,
        ])
      } finally {
        ended.abort()
        await background.finally(() => over.abort())
      }
    },
    async [Symbol.asyncDispose]() {
      await viewer[Symbol.asyncDispose]()
      await workshop[Symbol.asyncDispose]()
    },
  }
}

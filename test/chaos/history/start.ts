/**
 * A history beside a chaos run: workloads on every endpoint, written down and checked round by round, so
 * that memory is bounded by a round of each kind however long the run. Runs on anything that keeps the
 * port of the client: `hakiri coord`, a real etcd, a coordinator inside this process.
 */
import type { CoordClient } from '../../../coord/client/client.ts'
import type { Clock, Random } from '../../../lib/ports.ts'
import { checkRound } from './check.ts'
import { LEASE_OPTIONS, type LeaseOptions } from './leases.ts'
import type { Line } from './ndjson.ts'
import { createRecorder, createStamps } from './record.ts'
import { endOf } from './store-model.ts'
import type { Problem, Round, RoundKind } from './types.ts'
import { runLeases } from './workloads/leases.ts'
import { runLocks } from './workloads/locks.ts'
import { runManyKeys } from './workloads/many-keys.ts'
import { runRegisters } from './workloads/registers.ts'
import type { NamedClient, Work } from './workloads/work.ts'

export type HistoryOptions = {
  /** Each gets a client of its own, which no other member can help, beside two with all of them. */
  readonly endpoints: readonly string[]
  /** A client of these endpoints and no other; disposed of at the end. */
  readonly connect: (endpoints: readonly string[]) => CoordClient
  readonly random: Random
  readonly clock: Clock
  /** What runs at once; all kinds unless named. */
  readonly kinds?: readonly RoundKind[]
  /** Takes every line of the history as it happens, for `main.ts` to check again. */
  readonly save?: (line: Line) => void
  /** Hears of each round once it is checked; it is forgotten after that. */
  readonly onRound?: (round: Round, problems: readonly Problem[]) => void
  readonly roundMs?: number
  readonly entriesMax?: number
  /** How long a call may take. */
  readonly callMs?: number
  /** The longest pause of an actor between two calls. */
  readonly pauseMs?: number
  /** How long the end of the last rounds may take after `stop`. */
  readonly finishMs?: number
  /** False where others need the history of the coordinator. */
  readonly compacts?: boolean
  /** As they are when a round is over. */
  readonly leases?: () => LeaseOptions
}

export type HistoryCounts = {
  readonly rounds: Readonly<Record<RoundKind, number>>
  readonly operations: number
  readonly ok: number
  readonly failed: number
  readonly unknown: number
  readonly watchEvents: number
  readonly holds: number
}

/** Disposing of it gives up what has not come to its end. */
export type ChaosHistory = AsyncDisposable & {
  /**
   * Says whether the cluster is whole from now on: only then leases must end in time. It is whole at the
   * start; say false before the first fault and true once the last one is healed.
   */
  setCalm(isCalm: boolean): void
  /**
   * Ends the workloads and brings the last rounds to their end. To be called after healing: a round
   * that cannot be ended within `withinMs`, `finishMs` unless given, is a problem.
   */
  stop(withinMs?: number): Promise<void>
  /** What is wrong with the rounds that are over; complete after `stop`. */
  check(): readonly Problem[]
  /** Of the rounds that are over. */
  readonly counts: HistoryCounts
}

const RUNS: Readonly<Record<RoundKind, (work: Work) => Promise<void>>> = {
  registers: runRegisters,
  keys: runManyKeys,
  locks: runLocks,
  leases: runLeases,
}
const KINDS: readonly RoundKind[] = ['registers', 'keys', 'locks', 'leases']
const ROUND_MS = 30_000
const FINISH_MS = 60_000
/** As JSON has no infinity. */
const FOREVER = Number.MAX_SAFE_INTEGER
const ENTRIES_MAX = 20_000

/** Starts at once. */
export function startHistory(options: HistoryOptions): ChaosHistory {
  const { clock, random, kinds = KINDS } = options
  const clients = connectAll(options)
  const stopping = new AbortController()
  const givingUp = new AbortController()
  const stamps = createStamps(() => clock.monotonic())
  const calm = createCalm(() => stamps.next())
  const tally = createTally()
  const problems: Problem[] = []
  const root = `chaos/${random.uuid()}`
  const settings = { ...options, clients, stamps, calm: () => calm.spans(), root }
  const signals = { stop: stopping.signal, giveUp: givingUp.signal }

  const runKind = async (kind: RoundKind): Promise<void> => {
    for (let number = 1; !stopping.signal.aborted; number++) {
      const round = await runRound({ ...settings, ...signals, kind, number })
      tally.add(round)
      const found = checkRound(round, options.leases?.() ?? LEASE_OPTIONS)
      problems.push(...found)
      options.onRound?.(round, found)
    }
  }
  const running = Promise.all(kinds.map(runKind))
  // Whoever stops it meets what broke it.
  running.catch(() => undefined)
  const end = async (): Promise<void> => {
    try {
      await running
    } finally {
      givingUp.abort()
      for (const { client } of clients) await client[Symbol.asyncDispose]()
    }
  }
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      givingUp.abort()
      await end()
    },
    setCalm: (isCalm) => calm.set(isCalm),
    check: () => problems,
    get counts() {
      return tally.counts()
    },
    async stop(withinMs = options.finishMs ?? FINISH_MS) {
      stopping.abort()
      const timer = new AbortController()
      const limit = clock.sleep(withinMs, timer.signal)
      limit.then(
        () => givingUp.abort(),
        () => undefined,
      )
      await end().finally(() => timer.abort())
    },
  }
}

function connectAll({ endpoints, connect }: HistoryOptions): readonly NamedClient[] {
  const own = endpoints.map((endpoint) => ({ name: endpoint, client: connect([endpoint]) }))
  const any = ['any', 'any too'].map((name) => ({ name, client: connect(endpoints) }))
  return [...own, ...any]
}

type RoundPlan = HistoryOptions &
  Pick<Work, 'clients' | 'stamps' | 'stop' | 'giveUp'> & {
    readonly root: string
    readonly kind: RoundKind
    readonly number: number
    readonly calm: () => Round['calm']
  }

async function runRound(plan: RoundPlan): Promise<Round> {
  const { kind, number, stamps, calm, save, clock } = plan
  const entriesMax = plan.entriesMax ?? ENTRIES_MAX
  const options = { kind, number, stamps, calm, entriesMax, ...(save && { save }) }
  const recorder = createRecorder(options)
  const work: Work = {
    recorder,
    clients: plan.clients,
    prefix: `${plan.root}/${kind}${number}/`,
    random: plan.random,
    clock,
    stamps,
    stop: plan.stop,
    giveUp: plan.giveUp,
    endsAtMs: clock.monotonic() + (plan.roundMs ?? ROUND_MS),
    callMs: plan.callMs ?? 1_500,
    pauseMs: plan.pauseMs ?? 20,
    compacts: plan.compacts ?? true,
  }
  await RUNS[kind](work)
  await sweep(work)
  return recorder.round()
}

/** Keys of a round that is over only take room; if they cannot be deleted now they stay. */
async function sweep({ clients, prefix, giveUp }: Work): Promise<void> {
  if (giveUp.aborted) return
  const range = { key: Buffer.from(prefix), rangeEnd: Buffer.from(endOf(prefix)) }
  await clients
    .at(-1)
    ?.client.deleteRange(range, { signal: giveUp, timeoutMs: 5_000 })
    .catch(() => undefined)
}

function createCalm(now: () => number): {
  set(isCalm: boolean): void
  spans(): Round['calm']
} {
  const spans: { fromUs: number; untilUs: number }[] = [{ fromUs: now(), untilUs: FOREVER }]
  return {
    set(isCalm) {
      const last = spans.at(-1)
      const isCalmNow = last?.untilUs === FOREVER
      if (isCalm === isCalmNow) return
      if (isCalm) spans.push({ fromUs: now(), untilUs: FOREVER })
      else if (last) last.untilUs = now()
    },
    spans: () => spans.map((span) => ({ ...span })),
  }
}

function createTally(): { add(round: Round): void; counts(): HistoryCounts } {
  const rounds = { registers: 0, keys: 0, locks: 0, leases: 0 }
  const outcomes = { ok: 0, failed: 0, unknown: 0 }
  let watchEvents = 0
  let holds = 0
  return {
    add(round) {
      rounds[round.kind]++
      for (const { outcome } of round.operations) outcomes[outcome.kind]++
      for (const batch of round.watches.flatMap(({ batches }) => batches))
        if (batch.kind === 'events') watchEvents += batch.events.length
      holds += round.holds.length
    },
    counts() {
      const operations = outcomes.ok + outcomes.failed + outcomes.unknown
      return { rounds: { ...rounds }, operations, ...outcomes, watchEvents, holds }
    },
  }
}

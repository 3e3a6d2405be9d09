/**
 * What one seed gets: its own size of cluster, timers, limits, workload and mix of faults. Each fault is
 * absent from many seeds, so that rare ones are not drowned by loud ones.
 */
import { CALM_NETWORK } from './network.ts'
import type { NetworkFaults } from './network.ts'
import { createDice } from './random.ts'
import type { Dice } from './random.ts'

/** Things that happen to the cluster now and then; the number is how often, against each other. */
export const DISTURBANCES = [
  'kill',
  'power-loss',
  'all-power-loss',
  'pause',
  'long-pause',
  'cut-one-way',
  'split',
  'isolate-leader',
  'stuck-leader',
  'half-open',
  'clog',
  'heal',
  'stall',
  'sync-error',
  'disk-full',
  'bit-flip',
  'old-image',
  'clock-jump',
  'add-learner',
  'remove-member',
  'replace-member',
  'reuse-id',
  'move-leader',
  'mass-expiry',
  'misread',
  'swap-member',
  'upgrade',
  'downgrade',
] as const
export type Disturbance = (typeof DISTURBANCES)[number]

export type Plan = {
  readonly seed: number
  readonly nodes: number
  /** How long faults go on, and how many ticks that is. */
  readonly faultyMs: number
  readonly tickMs: number
  readonly electionTicks: number
  readonly heartbeatTicks: number
  readonly network: NetworkFaults
  readonly syncMs: number
  readonly isDrifting: boolean
  readonly driftMax: number
  readonly timerSlack: number
  readonly disturbanceMs: number
  readonly disturbances: readonly (readonly [Disturbance, number])[]
  readonly clients: number
  readonly sessions: number
  readonly watchers: number
  readonly thinkMs: number
  readonly keys: number
  readonly leaseTtl: number
  readonly imageEntries: number
  readonly keepEntries: number
  readonly applyEntriesMax: number
  readonly inflightMax: number
  readonly appendBytesMax: number
  readonly compactEvery: number
  /** Whether messages travel as bytes of the real codec, or as they are. */
  readonly isOnWire: boolean
  /** Whether members run programs of different age. */
  readonly isMixed: boolean
  /** Whether a backup is put back on the way. */
  readonly isRestored: boolean
  /** Leases that end all at once, some way into the run; 0: none. */
  readonly massLeases: number
}

export type PlanOptions = { readonly nodes?: number; readonly ticks?: number }

const often = (dice: Dice, probability: number, most: number): number =>
  dice.chance(probability) ? dice.float() * most : 0

function drawNetwork(dice: Dice): NetworkFaults {
  return {
    ...CALM_NETWORK,
    drop: often(dice, 0.5, 0.15),
    duplicate: often(dice, 0.4, 0.2),
    reorder: often(dice, 0.4, 0.3),
    delayMs: dice.pick([0.2, 1, 1, 5, 20]),
    jitterMs: dice.pick([0.2, 1, 5, 20, 60]),
    replay: often(dice, 0.4, 0.5),
  }
}

const WEIGHTS: { readonly [name in Disturbance]: number } = {
  kill: 5,
  'power-loss': 6,
  'all-power-loss': 2,
  pause: 4,
  'long-pause': 3,
  'cut-one-way': 4,
  split: 4,
  'isolate-leader': 5,
  'stuck-leader': 4,
  'half-open': 2,
  clog: 3,
  heal: 6,
  stall: 3,
  'sync-error': 2,
  'disk-full': 2,
  'bit-flip': 1,
  'old-image': 3,
  'clock-jump': 2,
  'add-learner': 2,
  'remove-member': 2,
  'replace-member': 2,
  'reuse-id': 1,
  'move-leader': 4,
  'mass-expiry': 2,
  misread: 1,
  'swap-member': 2,
  upgrade: 3,
  downgrade: 1,
}

function drawDisturbances(dice: Dice): (readonly [Disturbance, number])[] {
  const share = dice.pick([0.2, 0.4, 0.7])
  const drawn = DISTURBANCES.filter((name) => name === 'heal' || dice.chance(share)).map(
    (name) => [name, WEIGHTS[name] * dice.between(0.3, 2)] as const,
  )
  return drawn.length > 1 ? drawn : [...drawn, ['power-loss', 5]]
}

export function drawPlan(seed: number, options: PlanOptions = {}): Plan {
  const dice = createDice(seed).fork('plan')
  const tickMs = dice.pick([20, 50, 50, 100])
  const isDrifting = dice.chance(0.3)
  const electionTicks = dice.pick([8, 10, 10, 15])
  const disturbances = drawDisturbances(dice)
  const faultyMs = options.ticks ? options.ticks * tickMs : dice.pick([10_000, 20_000, 30_000])
  return {
    seed,
    nodes: options.nodes ?? dice.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7]),
    faultyMs,
    tickMs,
    electionTicks,
    heartbeatTicks: dice.pick([1, 1, 2]),
    network: drawNetwork(dice),
    syncMs: dice.pick([0.3, 1, 3, 10, 30]),
    isDrifting,
    driftMax: isDrifting ? dice.pick([1.05, 1.3, 2]) : 1,
    timerSlack: dice.pick([0, 0.5, 3]),
    disturbanceMs: dice.pick([300, 700, 1500, 3000]),
    disturbances,
    clients: dice.pick([2, 3, 5, 8]),
    sessions: dice.pick([0, 2, 4]),
    watchers: dice.pick([1, 2, 4]),
    thinkMs: dice.pick([10, 30, 100]),
    keys: dice.pick([2, 5, 12]),
    leaseTtl: dice.pick([1, 2, 4]),
    imageEntries: dice.pick([5, 50, 100]),
    keepEntries: dice.pick([5, 50, 100, 100]),
    applyEntriesMax: dice.pick([1, 4, 64]),
    inflightMax: dice.pick([1, 4, 64]),
    appendBytesMax: dice.pick([200, 4096, 65536]),
    compactEvery: dice.pick([0, 500, 2000]),
    isOnWire: dice.chance(0.5),
    isMixed: dice.chance(0.4),
    isRestored: dice.chance(0.15),
    massLeases: dice.chance(0.03) ? 10_000 : 0,
  }
}

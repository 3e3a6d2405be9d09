/**
 * Which fault happens when, to whom, for how long: drawn from a seed alone, so that a run can be asked
 * for again. Each seed has its own mix and density. What excludes each other never overlaps, a majority
 * of the coordinators is away only for a moment, and one worker at least is left alone. Pure.
 */
import { createDice, type Dice } from '../../simulation/random.ts'
import {
  drawHosts,
  FAULT_KINDS,
  type FaultKind,
  isPossible,
  type Lock,
  rowOf,
  type Troupe,
} from './catalogue.ts'

export type PlannedFault = {
  /** Counts from 1, in order of `atMs`. */
  readonly number: number
  readonly kind: FaultKind
  /** Since the faults began. */
  readonly atMs: number
  readonly durationMs: number
  /** Names of hosts; `leader` is whoever leads when it begins. */
  readonly hosts: readonly string[]
  /** How bad it is, in [0, 1): what that means is up to the kind. */
  readonly degree: number
}

export type ScheduleOptions = {
  readonly seed: number
  readonly minutes: number
  readonly troupe: Troupe
  /** Only these kinds; all that are possible when it is left out. */
  readonly only?: readonly FaultKind[]
}

/** Faults begun in a minute, over all seeds; a seed draws its own between them. */
export const PER_MINUTE: readonly [number, number] = [9, 20]
/** A kind is left out of a run with this chance: rare kinds are not drowned by loud ones. */
const ABSENT = 0.25
const PLACES_TRIED_MAX = 20
/** So long may a majority of the coordinators be away when faults meet. */
const NO_MAJORITY_MS_MAX = 3_000

export function planFaults(options: ScheduleOptions): readonly PlannedFault[] {
  const dice = createDice(options.seed).fork('faults')
  const endMs = options.minutes * 60_000
  const meanGapMs = 60_000 / dice.between(...PER_MINUTE)
  const mix = drawMix(options, dice)
  const planned: PlannedFault[] = []
  if (mix.length === 0) return planned
  for (let atMs = dice.exponential(meanGapMs); atMs < endMs; atMs += dice.exponential(meanGapMs)) {
    const fault = drawFault(mix, atMs, endMs, planned, options.troupe, dice)
    if (fault) planned.push({ ...fault, number: planned.length + 1 })
  }
  return planned
}

type Weighted = readonly [kind: FaultKind, weight: number]

function drawMix({ troupe, only }: ScheduleOptions, dice: Dice): readonly Weighted[] {
  const possible = FAULT_KINDS.filter((kind) => isPossible(kind, troupe))
  const wanted = only ? possible.filter((kind) => only.includes(kind)) : possible
  // Asked for by name: none of them may be left out.
  const absent = only ? 0 : ABSENT
  const mix = wanted.flatMap((kind): Weighted[] => {
    const isAbsent = dice.chance(absent)
    const weight = rowOf(kind).weight * dice.between(0.3, 2)
    return isAbsent ? [] : [[kind, weight]]
  })
  return mix.length > 0 || wanted.length === 0 ? mix : [[dice.pick(wanted), 1]]
}

/** A fault that may begin at this moment beside those that are in force; undefined if none was found. */
function drawFault(
  mix: readonly Weighted[],
  atMs: number,
  endMs: number,
  planned: readonly PlannedFault[],
  troupe: Troupe,
  dice: Dice,
): Omit<PlannedFault, 'number'> | undefined {
  for (let tried = 0; tried < PLACES_TRIED_MAX; tried++) {
    const kind = drawKind(mix, dice)
    const [shortest, longest] = rowOf(kind).seconds
    const durationMs = Math.min(dice.between(shortest, longest) * 1_000, endMs - atMs)
    const candidate = {
      kind,
      atMs: Math.round(atMs),
      durationMs: Math.round(durationMs),
      hosts: drawHosts(kind, troupe, dice),
      degree: dice.float(),
    }
    const beside = planned.filter((other) => overlap(other, candidate))
    if (isBearable(candidate, beside, troupe)) return candidate
  }
  return undefined
}

function drawKind(mix: readonly Weighted[], dice: Dice): FaultKind {
  const total = mix.reduce((sum, [, weight]) => sum + weight, 0)
  let left = dice.float() * total
  for (const [kind, weight] of mix) if ((left -= weight) < 0) return kind
  return mix.at(-1)![0]
}

type Span = Pick<PlannedFault, 'kind' | 'atMs' | 'durationMs' | 'hosts'>

/** What was healed needs a moment to come back: processes start, connections stand again. */
export const RECOVERY_MS = 1_500

export function overlap(a: Span, b: Span): boolean {
  return (
    a.atMs < b.atMs + b.durationMs + RECOVERY_MS && b.atMs < a.atMs + a.durationMs + RECOVERY_MS
  )
}

/** Whether a fault may be in force together with those. */
export function isBearable(fault: Span, beside: readonly Span[], troupe: Troupe): boolean {
  return (
    beside.every((other) => !excludes(fault, other, troupe)) &&
    leavesMajority([fault, ...beside], troupe) &&
    leavesWorker([fault, ...beside], troupe)
  )
}

/** Of those that touch the same thing only one at a time. */
export function excludes(a: Span, b: Span, troupe: Troupe): boolean {
  const mine = whoIs(a, troupe)
  const isShared = whoIs(b, troupe).some((host) => mine.includes(host))
  if (a.kind === b.kind && isShared) return true
  const locks: readonly Lock[] = rowOf(b.kind).locks
  return rowOf(a.kind).locks.some(
    (lock) => locks.includes(lock) && (isShared || (lock !== 'process' && lock !== 'clock')),
  )
}

/** The hosts that it may turn out to touch: a leader may be any coordinator. */
function whoIs({ hosts }: Span, troupe: Troupe): readonly string[] {
  return hosts.flatMap((host) => (host === 'leader' ? troupe.coordinators : [host]))
}

/**
 * A majority of the coordinators goes on, but for moments: while one short fault lies over another, or all
 * of them are killed. Disks and membership are not played with then.
 */
function leavesMajority(faults: readonly Span[], troupe: Troupe): boolean {
  const takers = faults.filter(({ kind }) => rowOf(kind).takes !== undefined)
  if (takers.some(({ kind }) => rowOf(kind).takes === 'all')) return takers.length === 1
  const away = new Set(takers.flatMap((fault, index) => whoIsAway(fault, index, troupe)))
  if (away.size <= Math.floor((troupe.coordinators.length - 1) / 2)) return true
  return takers.every(
    ({ kind, durationMs }, index) =>
      !rowOf(kind).locks.includes('members') && (index > 0 || durationMs <= NO_MAJORITY_MS_MAX),
  )
}

/** Those that are away by name; one that is not known yet counts as one more. */
function whoIsAway({ kind, hosts }: Span, index: number, troupe: Troupe): readonly string[] {
  return rowOf(kind).hits.includes('coordinator')
    ? hosts.filter((host) => troupe.coordinators.includes(host))
    : [`unknown ${index}`]
}

function leavesWorker(faults: readonly Span[], troupe: Troupe): boolean {
  const touched = faults.flatMap((fault, index) => {
    if (fault.kind === 'roll-workers') return [`unknown ${index}`]
    if (!rowOf(fault.kind).hits.includes('worker')) return []
    return fault.hosts.filter((host) => troupe.workers.includes(host))
  })
  return troupe.workers.length === 1 || new Set(touched).size < troupe.workers.length
}

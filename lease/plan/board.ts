/**
 * The board a plan is worked out on: workers and units by number, in order of their names, with loads
 * that are whole numbers. Invariant: the same workers, units and holders give the same board, whatever
 * order they came in and whatever way the holders were found, so a plan can be checked against itself.
 */
import { assert } from '../../lib/assert.ts'
import type { PlanUnit, PlanWorker } from './plan.ts'

export const NOBODY = -1

/** Units that may go to the same workers, because they ask for the same labels and avoid the same names. */
export type UnitClass = {
  readonly placement: PlanUnit['placement']
  readonly avoid: readonly string[]
  /** By number of the worker: whether it carries the labels. */
  readonly matches: readonly boolean[]
  /** By number of the worker: whether it carries the labels and is not avoided. */
  readonly suits: readonly boolean[]
}

export type Board = {
  readonly workers: readonly PlanWorker[]
  readonly units: readonly PlanUnit[]
  readonly classes: readonly UnitClass[]
  /** By number of the unit. */
  readonly classOf: readonly number[]
  /** By number of the unit; together about 2 ** 40, each at least 1. */
  readonly weights: readonly number[]
  /** By number of the unit: who has it, or NOBODY. */
  readonly holders: number[]
  /** By number of the worker: the weights it has, and how many units. */
  readonly loads: number[]
  readonly counts: number[]
}

const WEIGHT_SUM = 2 ** 40
/** Whatever is said to be heavier counts as this, so that sums stay finite. */
const WEIGHT_MAX = 1e15

/** A board on which nobody holds anything. */
export function createBoard(
  workersGiven: readonly PlanWorker[],
  unitsGiven: readonly PlanUnit[],
): Board {
  const workers = inOrder(workersGiven, ({ name }) => name)
  const units = inOrder(unitsGiven, ({ unit }) => unit)
  return {
    workers,
    units,
    ...classify(workers, units),
    weights: weigh(units),
    holders: units.map(() => NOBODY),
    loads: workers.map(() => 0),
    counts: workers.map(() => 0),
  }
}

/** Gives a unit to a worker, or to nobody. */
export function place(board: Board, unit: number, worker: number): void {
  const { holders, loads, counts, weights } = board
  const before = holders[unit] ?? NOBODY
  const weight = weights[unit] ?? 0
  if (before !== NOBODY) {
    loads[before] = (loads[before] ?? 0) - weight
    counts[before] = (counts[before] ?? 0) - 1
  }
  if (worker !== NOBODY) {
    loads[worker] = (loads[worker] ?? 0) + weight
    counts[worker] = (counts[worker] ?? 0) + 1
  }
  holders[unit] = worker
}

/** Load a slot of a worker would carry with `extra` more. */
export function ratio(board: Board, worker: number, extra = 0): number {
  return ((board.loads[worker] ?? 0) + extra) / (board.workers[worker]?.slots ?? 1)
}

/** Whether a worker may hold one unit more; one without slots holds none. */
export function hasRoom({ workers, counts }: Board, worker: number): boolean {
  const it = workers[worker]
  return it !== undefined && it.slots > 0 && (counts[worker] ?? 0) < it.unitsMax
}

export function suits(board: Board, unit: number, worker: number): boolean {
  return board.classes[board.classOf[unit] ?? 0]?.suits[worker] === true
}

/** Numbers of the workers that may be given units. */
export function activeWorkers({ workers }: Board): number[] {
  return workers.flatMap(({ state, slots }, index) =>
    state === 'active' && slots > 0 ? index : [],
  )
}

function inOrder<T>(items: readonly T[], nameOf: (item: T) => string): readonly T[] {
  const sorted = items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  sorted.forEach((item, index) => {
    const next = sorted[index + 1]
    assert(next === undefined || nameOf(item) !== nameOf(next), `${nameOf(item)} is given twice`)
  })
  return sorted
}

/** Whole numbers, so that sums do not depend on their order; what is not measured counts as the mean. */
function weigh(units: readonly PlanUnit[]): readonly number[] {
  const given = units.map(({ weight }) => (weight > 0 ? Math.min(weight, WEIGHT_MAX) : 0))
  const sum = given.reduce((total, weight) => total + weight, 0)
  const measured = given.filter((weight) => weight > 0).length
  const mean = measured > 0 ? sum / measured : 1
  const total = sum + mean * (units.length - measured)
  return given.map((weight) => Math.max(1, Math.round(((weight || mean) / total) * WEIGHT_SUM)))
}

function classify(
  workers: readonly PlanWorker[],
  units: readonly PlanUnit[],
): Pick<Board, 'classes' | 'classOf'> {
  const classes: UnitClass[] = []
  const known = new Map<string, number>()
  const classOf = units.map((unit) => {
    const key = classKey(unit)
    const found = known.get(key)
    if (found !== undefined) return found
    known.set(key, classes.length)
    return classes.push(createClass(workers, unit)) - 1
  })
  return { classes, classOf }
}

function classKey({ placement, avoid }: PlanUnit): string {
  const labels = Object.keys(placement)
  if (labels.length === 0 && avoid.length === 0) return ''
  return JSON.stringify([labels.toSorted().map((key) => [key, placement[key]]), avoid.toSorted()])
}

function createClass(workers: readonly PlanWorker[], { placement, avoid }: PlanUnit): UnitClass {
  const wanted = Object.entries(placement)
  const avoided = new Set(avoid)
  const matches = workers.map(({ labels }) =>
    wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value),
  )
  const suiting = workers.map(({ name }, index) => matches[index] === true && !avoided.has(name))
  return { placement, avoid, matches, suits: suiting }
}

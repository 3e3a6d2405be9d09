/**
 * What each worker holds, by class of unit and in order of weight, so that the unit that evens two
 * workers out best is found by bisection. Kept in step with the board by whoever moves units.
 */
import { type Board, NOBODY, place } from './board.ts'

/** By number of the worker: class → units, lightest first, equal weights by number. */
export type Shelves = readonly Map<number, number[]>[]

export function createShelves(board: Board): Shelves {
  const shelves: Shelves = board.workers.map(() => new Map())
  const byWeight = board.units.map((_, unit) => unit).toSorted((a, b) => order(board, a, b))
  for (const unit of byWeight) {
    const holder = board.holders[unit] ?? NOBODY
    if (holder !== NOBODY) shelfOf(board, shelves, unit, holder).push(unit)
  }
  return shelves
}

/** Moves a unit on the board and on the shelves. */
export function shift(board: Board, shelves: Shelves, unit: number, to: number): void {
  const from = board.holders[unit] ?? NOBODY
  if (from !== NOBODY) {
    const shelf = shelfOf(board, shelves, unit, from)
    shelf.splice(positionOf(board, shelf, unit), 1)
    if (shelf.length === 0) shelves[from]?.delete(board.classOf[unit] ?? 0)
  }
  place(board, unit, to)
  if (to === NOBODY) return
  const shelf = shelfOf(board, shelves, unit, to)
  shelf.splice(positionOf(board, shelf, unit), 0, unit)
}

/** The heaviest unit of at most `weight`, and the lightest of more than that. */
export function around(
  { weights }: Board,
  shelf: readonly number[],
  weight: number,
): readonly number[] {
  const above = bisect(shelf, (unit) => (weights[unit] ?? 0) > weight)
  // Of equal ones the first by name, as everywhere.
  const top = weights[shelf[above - 1] ?? 0] ?? 0
  const below = bisect(shelf, (unit) => (weights[unit] ?? 0) >= top)
  return [...(above > 0 ? [shelf[below] ?? 0] : []), ...shelf.slice(above, above + 1)]
}

function shelfOf(board: Board, shelves: Shelves, unit: number, worker: number): number[] {
  const kind = board.classOf[unit] ?? 0
  const found = shelves[worker]?.get(kind)
  if (found) return found
  const made: number[] = []
  shelves[worker]?.set(kind, made)
  return made
}

function positionOf(board: Board, shelf: readonly number[], unit: number): number {
  return bisect(shelf, (other) => order(board, other, unit) >= 0)
}

function order({ weights }: Board, a: number, b: number): number {
  return (weights[a] ?? 0) - (weights[b] ?? 0) || a - b
}

/** First position from which on `isAfter` holds. */
function bisect(shelf: readonly number[], isAfter: (unit: number) => boolean): number {
  let low = 0
  let high = shelf.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isAfter(shelf[middle] ?? 0)) high = middle
    else low = middle + 1
  }
  return low
}

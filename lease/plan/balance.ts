/**
 * Moves that even the load out, one unit at a time, each of them an improvement: the larger of the two
 * loads gets smaller. Invariant: it ends, and where it ends no further move of this kind is left.
 *
 * Two workers count as uneven when their loads per slot differ by more than `tolerance` of the fair
 * share (of the lesser load, when that is above the share, as with workers that alone carry a label).
 */
import { activeWorkers, type Board, hasRoom, ratio } from './board.ts'
import { around, createShelves, shift, type Shelves } from './shelves.ts'

type Step = { readonly unit: number; readonly to: number }
/** A step with what the fuller of the two would carry after it. */
type Candidate = Step & { readonly after: number }

/** Evens the workers out as far as single moves can. */
export function balance(board: Board, tolerance: number): void {
  const active = activeWorkers(board)
  if (active.length < 2) return
  const fair = fairShare(board, active)
  const isUneven = (from: number, to: number): boolean => {
    const low = ratio(board, to)
    return ratio(board, from) - low > tolerance * Math.max(fair, low)
  }
  let shelves: Shelves | undefined
  for (;;) {
    const [fullest, emptiest] = extremes(board, active)
    // No two others differ more than these.
    if (!isUneven(fullest, emptiest)) return
    shelves ??= createShelves(board)
    const step = bestBetween(board, shelves, fullest, emptiest)
    const found = step ?? firstStep(board, shelves, active, isUneven)
    if (!found) return
    shift(board, shelves, found.unit, found.to)
  }
}

/** Load of a slot if all that active workers have were spread evenly over them. */
export function fairShare({ loads, workers }: Board, active: readonly number[]): number {
  const load = active.reduce((sum, worker) => sum + (loads[worker] ?? 0), 0)
  const slots = active.reduce((sum, worker) => sum + (workers[worker]?.slots ?? 0), 0)
  return load / slots
}

function extremes(board: Board, active: readonly number[]): readonly [number, number] {
  let [fullest, emptiest] = [active[0] ?? 0, active[0] ?? 0]
  for (const worker of active) {
    if (ratio(board, worker) > ratio(board, fullest)) fullest = worker
    if (ratio(board, worker) < ratio(board, emptiest)) emptiest = worker
  }
  return [fullest, emptiest]
}

/** From the fullest that can give to the emptiest that can take. */
function firstStep(
  board: Board,
  shelves: Shelves,
  active: readonly number[],
  isUneven: (from: number, to: number) => boolean,
): Step | undefined {
  const rising = active.toSorted((a, b) => ratio(board, a) - ratio(board, b) || a - b)
  for (const from of rising.toReversed())
    for (const to of rising) {
      if (!isUneven(from, to)) break
      const step = bestBetween(board, shelves, from, to)
      if (step) return step
    }
  return undefined
}

/** The unit that leaves the fuller of the two with the least; undefined when none is an improvement. */
function bestBetween(board: Board, shelves: Shelves, from: number, to: number): Step | undefined {
  if (!hasRoom(board, to)) return undefined
  const ideal = evening(board, from, to)
  let best: Candidate = { unit: 0, to, after: ratio(board, from) }
  for (const [kind, shelf] of shelves[from] ?? []) {
    if (!board.classes[kind]?.suits[to]) continue
    for (const unit of around(board, shelf, ideal)) {
      const weight = board.weights[unit] ?? 0
      const after = Math.max(ratio(board, from, -weight), ratio(board, to, weight))
      if (after < best.after || (after === best.after && isSooner(board, unit, best)))
        best = { unit, to, after }
    }
  }
  return best.after < ratio(board, from) ? best : undefined
}

/** Settles a tie: rather the heavier, which takes fewer moves, then the first by name. */
function isSooner({ weights }: Board, unit: number, best: Candidate): boolean {
  const difference = (weights[unit] ?? 0) - (weights[best.unit] ?? 0)
  return difference > 0 || (difference === 0 && unit < best.unit)
}

/** The weight that would make both carry the same. */
function evening({ loads, workers }: Board, from: number, to: number): number {
  const [give, take] = [workers[from]?.slots ?? 1, workers[to]?.slots ?? 1]
  return ((loads[from] ?? 0) * take - (loads[to] ?? 0) * give) / (give + take)
}

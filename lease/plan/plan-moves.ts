/**
 * The planner: keep what is legal, give out what nobody has, even out what is uneven. Pure. Invariants:
 * every unit has a worker or a reason, never both; labels, avoid lists and `unitsMax` hold; planning
 * again with the result moves nothing; the order of the input does not matter.
 *
 * A unit that is legal where it is moves only for balance, or to make room for one that fits nowhere
 * else. When every active worker may have every unit, no load per slot is further from the fair share
 * than max(tolerance × fair share, heaviest unit / slots of the emptiest worker).
 */
import { balance } from './balance.ts'
import { type Board, createBoard, NOBODY } from './board.ts'
import { fill, keep } from './fill.ts'
import type { Plan, PlanInput, PlanMove, Unassigned } from './plan.ts'
import { reasonFor } from './reasons.ts'

/** What should change, so that each unit is where it should be. */
export function planMoves({ workers, units, assigned, policy }: PlanInput): Plan {
  const board = createBoard(workers, units)
  keep(board, assigned)
  fill(board)
  balance(board, policy.tolerance)
  const { assignments, unassigned } = read(board)
  return { moves: movesBetween(assigned, assignments), assignments, unassigned }
}

function read(board: Board): Pick<Plan, 'assignments' | 'unassigned'> {
  const assignments = new Map<string, string>()
  const unassigned = new Map<string, Unassigned>()
  board.units.forEach(({ unit }, index) => {
    const worker = board.workers[board.holders[index] ?? NOBODY]
    if (worker) assignments.set(unit, worker.name)
    else unassigned.set(unit, reasonFor(board, index))
  })
  return { assignments, unassigned }
}

/** In order of unit; units that are gone go to nobody. */
function movesBetween(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly PlanMove[] {
  const moves: PlanMove[] = []
  for (const [unit, to] of after) {
    const from = before.get(unit)
    if (from !== to) moves.push({ unit, from, to })
  }
  for (const [unit, from] of before) if (!after.has(unit)) moves.push({ unit, from, to: undefined })
  return moves.toSorted((a, b) => (a.unit < b.unit ? -1 : 1))
}

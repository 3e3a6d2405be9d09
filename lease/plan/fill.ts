/**
 * Gives units without a worker to the least loaded ones, heaviest first, and makes room where a unit
 * fits nowhere else. Invariant: a unit is left over only if no arrangement of what is assigned could
 * hold it too (units of workers that are away stay where they are).
 */
import { activeWorkers, type Board, hasRoom, NOBODY, place, ratio, suits } from './board.ts'
import { createShelves, shift, type Shelves } from './shelves.ts'

/** Keeps what is legal where it is; of a worker that has too many, the lightest go. */
export function keep(board: Board, assigned: ReadonlyMap<string, string>): void {
  const numbers = new Map(board.workers.map(({ name }, index) => [name, index]))
  for (const unit of heaviestFirst(board)) {
    const holder = numbers.get(assigned.get(board.units[unit]?.unit ?? '') ?? '') ?? NOBODY
    const isKept =
      board.workers[holder]?.state !== 'draining' &&
      board.units[unit]?.blocked === undefined &&
      suits(board, unit, holder) &&
      hasRoom(board, holder)
    if (isKept) place(board, unit, holder)
  }
}

/** Gives out what nobody has. */
export function fill(board: Board): void {
  const active = activeWorkers(board)
  const left = heaviestFirst(board).filter(
    (unit) => board.holders[unit] === NOBODY && board.units[unit]?.blocked === undefined,
  )
  const homeless = left.filter((unit) => {
    const worker = leastLoaded(board, active, unit)
    if (worker !== NOBODY) place(board, unit, worker)
    return worker === NOBODY
  })
  if (homeless.length > 0) makeRoom(board, active, homeless)
}

function heaviestFirst({ units, weights }: Board): readonly number[] {
  return units
    .map((_, unit) => unit)
    .toSorted((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b)
}

/** Whose slots would carry the least with this unit; of equals the one that carries less now. */
function leastLoaded(board: Board, active: readonly number[], unit: number): number {
  const weight = board.weights[unit] ?? 0
  let best = NOBODY
  let bestAfter = Infinity
  for (const worker of active) {
    if (!suits(board, unit, worker) || !hasRoom(board, worker)) continue
    const after = ratio(board, worker, weight)
    const isBetter =
      after < bestAfter || (after === bestAfter && ratio(board, worker) < ratio(board, best))
    if (isBetter) [best, bestAfter] = [worker, after]
  }
  return best
}

/**
 * Full workers pass units on until one that has room takes the last: the shortest such chain, so that
 * few units move. What fails for one unit fails for all of its class, and goes on failing.
 */
function makeRoom(board: Board, active: readonly number[], homeless: readonly number[]): void {
  if (!active.some((worker) => hasRoom(board, worker))) return
  const shelves = createShelves(board)
  const hopeless = new Set<number>()
  for (const unit of homeless) {
    const kind = board.classOf[unit] ?? 0
    if (hopeless.has(kind)) continue
    const chain = findChain(board, shelves, active, kind)
    if (!chain) hopeless.add(kind)
    else passOn(board, shelves, unit, chain)
  }
}

/** Workers from one that suits the class to one that has room, each able to pass a unit to the next. */
function findChain(
  board: Board,
  shelves: Shelves,
  active: readonly number[],
  kind: number,
): readonly number[] | undefined {
  const cameFrom = new Map<number, number>()
  const queue: number[] = []
  const visit = (worker: number, from: number): void => {
    if (cameFrom.has(worker)) return
    cameFrom.set(worker, from)
    queue.push(worker)
  }
  const suiting = (each: number): readonly number[] =>
    active.filter((worker) => board.classes[each]?.suits[worker])
  for (const worker of suiting(kind)) visit(worker, NOBODY)
  for (const worker of queue) {
    if (hasRoom(board, worker)) return trail(cameFrom, worker)
    for (const held of shelves[worker]?.keys() ?? [])
      for (const next of suiting(held)) visit(next, worker)
  }
  return undefined
}

function trail(cameFrom: ReadonlyMap<number, number>, last: number): readonly number[] {
  const chain: number[] = []
  for (let at = last; at !== NOBODY; at = cameFrom.get(at) ?? NOBODY) chain.unshift(at)
  return chain
}

function passOn(board: Board, shelves: Shelves, unit: number, chain: readonly number[]): void {
  for (let step = chain.length - 1; step > 0; step--) {
    const [from, to] = [chain[step - 1] ?? NOBODY, chain[step] ?? NOBODY]
    shift(board, shelves, lightestFor(board, shelves, from, to), to)
  }
  shift(board, shelves, unit, chain[0] ?? NOBODY)
}

function lightestFor(board: Board, shelves: Shelves, from: number, to: number): number {
  const heads = [...(shelves[from] ?? [])]
    .filter(([kind]) => board.classes[kind]?.suits[to])
    .map(([, shelf]) => shelf[0] ?? NOBODY)
  const [lightest = NOBODY] = heads.toSorted(
    (a, b) => (board.weights[a] ?? 0) - (board.weights[b] ?? 0) || a - b,
  )
  return lightest
}

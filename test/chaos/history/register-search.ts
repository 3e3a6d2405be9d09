/**
 * The search for an order of the operations on one register. Three facts keep it small without losing
 * an answer: what only reads, and can come next, may as well come next; a value that is overwritten never
 * comes back, so whoever must still read it forbids that; and a write that may never have happened is
 * worth trying only right before somebody who can tell.
 */
/** A register holds a value, or nothing: null. */
export type Value = string | null

/** What an operation must find: this value, anything at all, some value; or it does not matter. */
export type Need =
  | { readonly kind: 'any' }
  | { readonly kind: 'something' }
  | { readonly kind: 'value'; readonly value: Value }
  /** It contradicts itself. */
  | { readonly kind: 'impossible' }

export type RegisterOp = {
  readonly id: number
  readonly invokedUs: number
  /** Infinity when it need never have happened. */
  readonly completedUs: number
  readonly need: Need
  /** What the register holds afterwards; undefined when it stays as it is. */
  readonly write?: Value
}

export type Verdict =
  | { readonly kind: 'order'; readonly ids: readonly number[] }
  /** How many could be placed at most, and who could come next then. */
  | { readonly kind: 'none'; readonly placed: number; readonly stuck: readonly number[] }
  | { readonly kind: 'undecided' }

type Frame = {
  readonly op: number
  readonly before: Value
  /** What may be tried after this operation, from `next` on. */
  readonly choices: readonly number[]
  next: number
}

/** Each operation is placed at most once; those with a `completedUs` below Infinity must be placed. */
export function search(all: readonly RegisterOp[], stepsMax: number): Verdict {
  const ops = withoutUseless(all).toSorted((a, b) => a.invokedUs - b.invokedUs)
  const board = createBoard(ops)
  const known = createMemory()
  const frames: Frame[] = [{ op: -1, before: null, choices: board.choices(), next: 0 }]
  let best: { placed: number; stuck: readonly number[] } = { placed: -1, stuck: [] }
  for (let steps = 0; ;) {
    if (board.isDone()) return { kind: 'order', ids: frames.slice(1).map(({ op }) => ops[op]!.id) }
    const frame = frames.at(-1)!
    const choice = frame.choices[frame.next++]
    if (choice === undefined) {
      if (frames.length - 1 > best.placed)
        best = { placed: frames.length - 1, stuck: board.open().map((op) => ops[op]!.id) }
      frames.pop()
      if (frames.length === 0) return { kind: 'none', ...best }
      board.lift(frame.op, frame.before)
      continue
    }
    if (++steps > stepsMax) return { kind: 'undecided' }
    const before = board.place(choice)
    if (known.isKnown(board.name(), board.used())) {
      board.lift(choice, before)
      continue
    }
    frames.push({ op: choice, before, choices: board.choices(), next: 0 })
  }
}

/**
 * Where the search has been. A place that was left without success need not be tried again with as many
 * or more of the writes used up that may never have happened: what is left there was left before.
 */
function createMemory(): { isKnown(name: string, used: bigint): boolean } {
  const places = new Map<string, bigint[]>()
  return {
    isKnown(name, used) {
      const before = places.get(name)
      if (!before) places.set(name, [used])
      else if (before.some((less) => (less & used) === less)) return true
      else before.push(used)
      return false
    },
  }
}

/**
 * Without unknown writes that make no difference: nobody found their value, nor can anybody owe to them
 * that there was something at all.
 */
function withoutUseless(ops: readonly RegisterOp[]): readonly RegisterOp[] {
  let kept = ops
  for (;;) {
    const found = valuesFound(kept)
    const isVague = kept.some(({ need }) => need.kind === 'something')
    const rest = kept.filter(({ completedUs, write, need }) => {
      if (completedUs < Infinity || write === null || found.has(write ?? null)) return true
      // Where it exchanges one value for another there was something anyway.
      return isVague && !(need.kind === 'value' && need.value !== null)
    })
    if (rest.length === kept.length) return rest
    kept = rest
  }
}

function valuesFound(ops: readonly RegisterOp[]): ReadonlySet<Value> {
  return new Set(ops.map(({ need }) => (need.kind === 'value' ? need.value : null)))
}

type Board = {
  /** Places an operation and gives the value before it. */
  place(op: number): Value
  lift(op: number, before: Value): void
  /** What can come next: allowed by time and by what it finds. */
  choices(): readonly number[]
  /** What time allows to come next. */
  open(): readonly number[]
  isDone(): boolean
  /** The same for two ways to the same place, whatever was used up on the way. */
  name(): string
  /** The writes that may never have happened and were placed, as bits. */
  used(): bigint
}

/** Operations by the time they were sent, those that are not placed yet linked in that order. */
function createBoard(ops: readonly RegisterOp[]): Board {
  const end = ops.length
  // The link at `end` is the head of the list.
  const next = Int32Array.from({ length: end + 1 }, (_, at) => (at === end ? 0 : at + 1))
  const prev = Int32Array.from({ length: end + 1 }, (_, at) => (at === 0 ? end : at - 1))
  if (end === 0) next[0] = 0
  const isPlaced = new Uint8Array(end)
  let unknowns = 0n
  const bits = ops.map(({ completedUs }) => (completedUs < Infinity ? 0n : 1n << unknowns++))
  let used = 0n
  const readers = countReaders(ops)
  const found = valuesFound(ops)
  let missing = ops.filter(({ completedUs }) => completedUs < Infinity).length
  let value: Value = null

  const open = (): number[] => {
    const found: number[] = []
    let firstAnswer = Infinity
    for (let at = next[end]!; at !== end; at = next[at]!) {
      const op = ops[at]!
      if (op.invokedUs > firstAnswer) break
      found.push(at)
      firstAnswer = Math.min(firstAnswer, op.completedUs)
    }
    return found
  }
  const count = (op: RegisterOp, by: 1 | -1): void => {
    if (op.completedUs === Infinity) return
    missing += by
    if (op.need.kind === 'value' && op.need.value !== null)
      readers.set(op.need.value, (readers.get(op.need.value) ?? 0) + by)
  }
  /** How many must still find the present value, apart from this one. */
  const waiting = (op: RegisterOp): number => {
    if (value === null) return 0
    const isOne = op.completedUs < Infinity && op.need.kind === 'value' && op.need.value === value
    return (readers.get(value) ?? 0) - (isOne ? 1 : 0)
  }
  return {
    open,
    isDone: () => missing === 0,
    place(at) {
      const op = ops[at]!
      const before = value
      next[prev[at]!] = next[at]!
      prev[next[at]!] = prev[at]!
      isPlaced[at] = 1
      used |= bits[at]!
      count(op, -1)
      if (op.write !== undefined) value = op.write
      return before
    },
    lift(at, before) {
      next[prev[at]!] = at
      prev[next[at]!] = at
      isPlaced[at] = 0
      used &= ~bits[at]!
      count(ops[at]!, 1)
      value = before
    },
    choices() {
      const allowed = open().filter((at) => fits(ops[at]!, value))
      const reading = allowed.find((at) => ops[at]!.write === undefined)
      if (reading !== undefined) return [reading]
      return chooseWrites(ops, found, open(), allowed).filter((at) => waiting(ops[at]!) === 0)
    },
    name() {
      let last = end - 1
      while (last >= 0 && (isPlaced[last] === 0 || bits[last] !== 0n)) last--
      let name = `${last}:${value ?? ''}${value === null ? '-' : '='}`
      for (let at = next[end]!; at < last; at = next[at]!) if (bits[at] === 0n) name += `,${at}`
      return name
    },
    used: () => used,
  }
}

function fits({ need }: RegisterOp, value: Value): boolean {
  switch (need.kind) {
    case 'any':
      return true
    case 'something':
      return value !== null
    case 'impossible':
      return false
    case 'value':
      return need.value === value
  }
}

/**
 * What must happen first, then what may. Of writes that nobody can tell apart, which are deletes
 * and puts whose value nobody found, the oldest with a condition will do for all that have the same, and
 * only before somebody who finds nothing, or something.
 */
function chooseWrites(
  ops: readonly RegisterOp[],
  found: ReadonlySet<Value>,
  open: readonly number[],
  allowed: readonly number[],
): readonly number[] {
  const needs = open.map((at) => ops[at]!.need)
  const isMissed = needs.some((need) => need.kind === 'value' && need.value === null)
  const isVague = needs.some(({ kind }) => kind === 'something')
  const must = allowed.filter((at) => ops[at]!.completedUs < Infinity)
  const may = allowed.filter((at) => ops[at]!.completedUs === Infinity)
  const deletes = may.filter((at) => ops[at]!.write === null)
  const puts = may.filter((at) => ops[at]!.write !== null)
  const named = puts.filter((at) => found.has(ops[at]!.write ?? null))
  const nameless = puts.filter((at) => !named.includes(at))
  const oldest = (some: readonly number[]): readonly number[] => {
    const classes = Map.groupBy(some, (at) => JSON.stringify(ops[at]!.need))
    return [...classes.values()].map(([first]) => first!)
  }
  return [
    ...must,
    ...named,
    ...(isMissed ? oldest(deletes) : []),
    ...(isVague ? oldest(nameless) : []),
  ]
}

function countReaders(ops: readonly RegisterOp[]): Map<string, number> {
  const readers = new Map<string, number>()
  for (const { need, completedUs } of ops)
    if (completedUs < Infinity && need.kind === 'value' && need.value !== null)
      readers.set(need.value, (readers.get(need.value) ?? 0) + 1)
  return readers
}

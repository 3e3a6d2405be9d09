import test from 'ava'
import fc from 'fast-check'
import { planMoves } from './plan-moves.ts'
import type { Plan, PlanInput, PlanUnit, PlanWorker, Unassigned } from './plan.ts'
import { describeUnassigned } from './reasons.ts'

// ── What is generated ─────────────────────────────────────────────────────────────────────────────

const zone = fc.constantFrom<{ readonly [label: string]: string }>({}, { zone: 'a' }, { zone: 'b' })
const WORKERS = ['w0', 'w1', 'w2', 'w3', 'w4']

const worker = (name: string): fc.Arbitrary<PlanWorker> =>
  fc.record({
    name: fc.constant(name),
    slots: fc.integer({ min: 1, max: 4 }),
    unitsMax: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(1_000)),
    labels: zone,
    state: fc.constantFrom('active', 'active', 'active', 'draining', 'away'),
  })

const unit = (name: string): fc.Arbitrary<PlanUnit> =>
  fc.record({
    unit: fc.constant(name),
    weight: fc.oneof(
      fc.integer({ min: 0, max: 9 }),
      fc.double({ min: 0.001, max: 50, noNaN: true }),
    ),
    placement: zone,
    avoid: fc.oneof(
      { weight: 4, arbitrary: fc.constant<string[]>([]) },
      { weight: 1, arbitrary: fc.subarray(WORKERS) },
    ),
    blocked: fc.oneof(
      { weight: 7, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom<'paused' | 'quarantined'>('paused', 'quarantined') },
    ),
  })

const some = <T>(names: readonly string[], make: (name: string) => fc.Arbitrary<T>, min = 0) =>
  fc
    .subarray([...names], { minLength: min })
    .chain((chosen) => fc.tuple(...chosen.map((name) => make(name))))

const unitNames = (count: number): string[] => Array.from({ length: count }, (_, at) => `p/u${at}`)

const inputOf = (
  workers: fc.Arbitrary<readonly PlanWorker[]>,
  units: fc.Arbitrary<readonly PlanUnit[]>,
  assignedMin = 0,
): fc.Arbitrary<PlanInput> =>
  fc.record({
    workers,
    units,
    assigned: fc
      .array(fc.tuple(fc.constantFrom(...unitNames(16)), fc.constantFrom(...WORKERS, 'gone')), {
        minLength: assignedMin,
        maxLength: assignedMin + 10,
      })
      .map((entries) => new Map(entries)),
    policy: fc.record({ tolerance: fc.constantFrom(0, 0.1, 0.5) }),
  })

const anything = inputOf(some(WORKERS, worker), some(unitNames(14), unit))

/** A running cluster: nearly every unit has its worker, and room is what may be short. */
const atWork = inputOf(
  some(
    WORKERS,
    (name) =>
      fc
        .tuple(worker(name), fc.integer({ min: 4, max: 9 }))
        .map(([it, unitsMax]) => ({ ...it, unitsMax, labels: {} })),
    2,
  ),
  some(unitNames(14), (name) => unit(name).map((it) => ({ ...it, placement: {} })), 6),
  20,
)

/** Workers and units that may all be combined, so that only the load matters. */
const free = inputOf(
  some(
    WORKERS.slice(0, 3),
    (name) =>
      worker(name).map((it) => ({ ...it, unitsMax: 1_000, state: 'active' as const, labels: {} })),
    1,
  ),
  some(unitNames(6), (name) =>
    unit(name).map((it) => ({ ...it, placement: {}, avoid: [], blocked: undefined })),
  ),
)

// ── What is expected, worked out the slow way ─────────────────────────────────────────────────────

const workerNamed = ({ workers }: PlanInput, name: string | undefined): PlanWorker | undefined =>
  workers.find((it) => it.name === name)

function mayHold(it: PlanWorker, { placement, avoid }: PlanUnit): boolean {
  const labelsFit = Object.entries(placement).every(([key, value]) => it.labels[key] === value)
  return labelsFit && !avoid.includes(it.name)
}

function weightsOf({ units }: PlanInput): Map<string, number> {
  const measured = units.map(({ weight }) => weight).filter((weight) => weight > 0)
  const mean = measured.reduce((sum, weight) => sum + weight, 0) / measured.length || 1
  return new Map(units.map(({ unit: name, weight }) => [name, weight > 0 ? weight : mean]))
}

function ratiosOf(input: PlanInput, assignments: ReadonlyMap<string, string>): number[] {
  const weights = weightsOf(input)
  return input.workers.map(({ name, slots }) => {
    const held = [...assignments].filter(([, to]) => to === name)
    return held.reduce((sum, [each]) => sum + (weights.get(each) ?? 0), 0) / slots
  })
}

const countOf = ({ assignments }: Plan, name: string): number =>
  [...assignments.values()].filter((to) => to === name).length

const shuffled = <T>(items: readonly T[], seed: number): T[] =>
  items
    .map((item, at) => ({ item, key: Math.sin(seed * 97 + at * 13) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item)

const inOrder = (entries: ReadonlyMap<string, string>): string[] =>
  [...entries].map((entry) => entry.join(' → ')).toSorted()

const again = (input: PlanInput, { assignments }: Plan): PlanInput => ({
  ...input,
  assigned: assignments,
})

// ── Properties ────────────────────────────────────────────────────────────────────────────────────

test('equal input gives an equal plan, in whatever order it comes', (t) => {
  const property = fc.property(anything, fc.nat(), (input, seed) => {
    const mixed: PlanInput = {
      ...input,
      workers: shuffled(input.workers, seed),
      units: shuffled(input.units, seed + 1),
      assigned: new Map(shuffled([...input.assigned], seed + 2)),
    }
    t.deepEqual(planMoves(mixed), planMoves(input))
  })
  fc.assert(property, { numRuns: 500 })
})

test('every unit has a worker or a reason, never both, and nothing else is in the plan', (t) => {
  const property = fc.property(anything, (input) => {
    const { assignments, unassigned } = planMoves(input)
    const named = [...assignments.keys(), ...unassigned.keys()]
    t.deepEqual(named.toSorted(), input.units.map((it) => it.unit).toSorted())
  })
  fc.assert(property, { numRuns: 500 })
})

test('the moves lead from what was assigned to what is, each unit at most once', (t) => {
  const property = fc.property(anything, (input) => {
    const { moves, assignments } = planMoves(input)
    const after = new Map(input.assigned)
    t.is(new Set(moves.map((move) => move.unit)).size, moves.length)
    for (const { unit: name, from, to } of moves) {
      t.is(after.get(name), from)
      t.not(from, to)
      if (to === undefined) after.delete(name)
      else after.set(name, to)
    }
    t.deepEqual(inOrder(after), inOrder(assignments))
  })
  fc.assert(property, { numRuns: 500 })
})

test('labels, avoid lists, pauses and unitsMax are respected; a draining worker has nothing', (t) => {
  const property = fc.property(anything, (input) => {
    const plan = planMoves(input)
    for (const it of input.units) {
      const holder = workerNamed(input, plan.assignments.get(it.unit))
      if (!holder) continue
      t.true(mayHold(holder, it))
      t.is(it.blocked, undefined)
      t.not(holder.state, 'draining')
      if (holder.state === 'away') t.is(input.assigned.get(it.unit), holder.name)
    }
    for (const { name, unitsMax } of input.workers) t.true(countOf(plan, name) <= unitsMax)
  })
  fc.assert(property, { numRuns: 1_000 })
})

test('planning again with the result moves nothing and says the same', (t) => {
  const property = fc.property(anything, (input) => {
    const plan = planMoves(input)
    t.deepEqual(planMoves(again(input, plan)), { ...plan, moves: [] })
  })
  fc.assert(property, { numRuns: 1_000 })
})

test('a reason is true', (t) => {
  const property = fc.property(anything, (input) => {
    for (const [name, reason] of planMoves(input).unassigned) {
      const it = input.units.find((each) => each.unit === name)
      if (it) t.true(isTrue(input, it, reason), JSON.stringify(reason))
    }
  })
  fc.assert(property, { numRuns: 1_000 })
})

function isTrue({ workers }: PlanInput, it: PlanUnit, reason: Unassigned): boolean {
  const present = workers.filter(({ state }) => state !== 'away')
  const matching = present.filter((each) => mayHold(each, { ...it, avoid: [] }))
  const able = present.filter((each) => mayHold(each, it))
  switch (reason.kind) {
    case 'paused':
    case 'quarantined':
      return it.blocked === reason.kind
    case 'no-worker':
      return present.length === 0
    case 'no-match':
      return present.length > 0 && matching.length === 0
    case 'failed-everywhere':
      return matching.length > 0 && able.length === 0
    case 'all-draining':
      return able.length > 0 && able.every(({ state }) => state === 'draining')
    case 'full':
      return able.some(({ state }) => state === 'active')
  }
}

test('units are left over for want of room only when no arrangement could hold more', (t) => {
  const property = fc.property(anything, (input) => {
    const plan = planMoves(input)
    const full = [...plan.unassigned].filter(([, { kind }]) => kind === 'full').length
    const active = input.workers.filter(({ state }) => state === 'active')
    const movable = input.units.filter((it) => {
      const holder = workerNamed(input, plan.assignments.get(it.unit))
      return it.blocked === undefined && holder?.state !== 'away'
    })
    const assigned = movable.filter((it) => plan.assignments.has(it.unit)).length
    t.is(assigned, mostThatFit(active, movable))
    t.true(full <= movable.length - assigned)
  })
  fc.assert(property, { numRuns: 1_000 })
})

/** Size of a largest assignment, by trying everything that a unit could push aside. */
function mostThatFit(workers: readonly PlanWorker[], units: readonly PlanUnit[]): number {
  const held = new Map<string, PlanUnit[]>(workers.map(({ name }) => [name, []]))
  const settle = (it: PlanUnit, tried: Set<string>): boolean =>
    workers.some((to) => {
      const there = held.get(to.name) ?? []
      if (tried.has(to.name) || to.unitsMax === 0 || !mayHold(to, it)) return false
      tried.add(to.name)
      if (there.length < to.unitsMax) return there.push(it) > 0
      const goes = there.findIndex((other) => settle(other, tried))
      if (goes < 0) return false
      there.splice(goes, 1, it)
      return true
    })
  return units.filter((it) => settle(it, new Set())).length
}

test('what is legal where it is moves only when something was uneven or wanted room', (t) => {
  let reached = 0
  const property = fc.property(fc.oneof(anything, atWork), (input) => {
    const plan = planMoves(input)
    const kept = input.units.filter((it) => {
      const holder = workerNamed(input, input.assigned.get(it.unit))
      return holder && holder.state !== 'draining' && !it.blocked && mayHold(holder, it)
    })
    const isOverfull = input.workers.some(({ name, unitsMax }) => {
      return kept.filter((it) => input.assigned.get(it.unit) === name).length > unitsMax
    })
    const moved = kept.filter((it) => plan.assignments.get(it.unit) !== input.assigned.get(it.unit))
    if (moved.length === 0 || isOverfull) return
    reached += 1
    // With a tolerance beyond all loads nothing is uneven: then only a want of room explains a move.
    const lax = planMoves({ ...input, policy: { tolerance: 1e9 } })
    const movedLax = kept.filter(
      (it) => lax.assignments.get(it.unit) !== input.assigned.get(it.unit),
    )
    const wantsRoom = input.workers.some(
      ({ name, unitsMax, state }) => state === 'active' && countOf(lax, name) >= unitsMax,
    )
    t.true(movedLax.length === 0 || wantsRoom)
    for (const it of moved) t.not(workerNamed(input, input.assigned.get(it.unit))?.state, 'away')
  })
  fc.assert(property, { numRuns: 1_000 })
  t.log(`${reached} plans had something to explain`)
  t.true(reached >= 50, `only ${reached} of 1000 plans had something to explain`)
})

test('where the plan ends, no uneven pair of workers is left that one more move would improve', (t) => {
  const property = fc.property(anything, (input) => {
    const plan = planMoves(input)
    const weights = weightsOf(input)
    const ratios = ratiosOf(input, plan.assignments)
    const active = input.workers.filter(({ state }) => state === 'active')
    const load = active.reduce(
      (sum, it) => sum + (ratios[input.workers.indexOf(it)] ?? 0) * it.slots,
      0,
    )
    const fair = load / active.reduce((sum, { slots }) => sum + slots, 0)
    for (const it of input.units) {
      const from = workerNamed(input, plan.assignments.get(it.unit))
      if (from?.state !== 'active') continue
      const high = ratios[input.workers.indexOf(from)] ?? 0
      for (const to of active) {
        const low = ratios[input.workers.indexOf(to)] ?? 0
        const after = low + (weights.get(it.unit) ?? 0) / to.slots
        const isUneven = high - low > input.policy.tolerance * Math.max(fair, low) * (1 + 1e-6)
        const hasRoom = countOf(plan, to.name) < to.unitsMax
        if (isUneven && hasRoom && mayHold(to, it))
          t.true(after >= high * (1 - 1e-6), JSON.stringify({ input, it, to, after, high, low }))
      }
    }
  })
  fc.assert(property, { numRuns: 1_000 })
})

test('loads stay near the fair share: within the tolerance, or one unit', (t) => {
  const property = fc.property(free, (input) => {
    const { assignments } = planMoves(input)
    const weights = [...weightsOf(input).values()]
    const slots = input.workers.map((it) => it.slots)
    const fair = sum(weights) / sum(slots)
    const one = Math.max(0, ...weights) / Math.min(...slots)
    const bound = Math.max(input.policy.tolerance * fair, one) * (1 + 1e-6)
    for (const ratio of ratiosOf(input, assignments))
      t.true(Math.abs(ratio - fair) <= bound, JSON.stringify([input, ratio, fair, bound]))
  })
  fc.assert(property, { numRuns: 1_000 })
})

test('the fullest worker carries at most 1 + max(tolerance, most slots / least slots) times the best possible', (t) => {
  const property = fc.property(free, (input) => {
    const slots = input.workers.map((it) => it.slots)
    const worst = Math.max(...ratiosOf(input, planMoves(input).assignments))
    const skew = Math.max(...slots) / Math.min(...slots)
    t.true(worst <= bestPossible(input) * (1 + Math.max(input.policy.tolerance, skew)) + 1e-6)
  })
  fc.assert(property, { numRuns: 300 })
})

/** The least that the fullest worker can carry, over all arrangements. */
function bestPossible(input: PlanInput): number {
  const weights = [...weightsOf(input).values()]
  const loads = input.workers.map(() => 0)
  const search = (at: number): number => {
    const weight = weights[at]
    if (weight === undefined)
      return Math.max(...loads.map((load, index) => load / (input.workers[index]?.slots ?? 1)))
    return Math.min(
      ...loads.map((load, index) => {
        loads[index] = load + weight
        const best = search(at + 1)
        loads[index] = load
        return best
      }),
    )
  }
  return search(0)
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

// ── Workers that come and go ──────────────────────────────────────────────────────────────────────

const plainWorker = (name: string, more: Partial<PlanWorker> = {}): PlanWorker => ({
  name,
  slots: 4,
  unitsMax: 1_000_000,
  labels: {},
  state: 'active',
  ...more,
})
const plainUnit = (name: string, more: Partial<PlanUnit> = {}): PlanUnit => ({
  unit: name,
  weight: 1,
  placement: {},
  avoid: [],
  blocked: undefined,
  ...more,
})
const plainInput = (workerCount: number, count: number): PlanInput => ({
  workers: Array.from({ length: workerCount }, (_, at) => plainWorker(`w${at}`)),
  units: unitNames(count).map((name) => plainUnit(name)),
  assigned: new Map(),
  policy: { tolerance: 0.1 },
})

test('a worker that joins takes its fair share at most, and nothing else moves', (t) => {
  const sizes = [fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 120 })] as const
  const property = fc.property(...sizes, (workerCount, count) => {
    const before = plainInput(workerCount, count)
    const joined = {
      ...again(before, planMoves(before)),
      workers: [...before.workers, plainWorker('new')],
    }
    const { moves } = planMoves(joined)
    t.true(moves.every(({ to }) => to === 'new'))
    const fair = count / (workerCount + 1)
    t.true(moves.length <= Math.ceil(fair))
    t.true(moves.length >= Math.min(count, Math.floor(fair * 0.9) - 1))
  })
  fc.assert(property, { numRuns: 300 })
})

test('when a worker leaves, or is drained, only its own units move', (t) => {
  const sizes = [fc.integer({ min: 2, max: 8 }), fc.integer({ min: 0, max: 120 })] as const
  const property = fc.property(...sizes, fc.boolean(), (workerCount, count, isDrained) => {
    const before = plainInput(workerCount, count)
    const plan = planMoves(before)
    const workers = isDrained
      ? [plainWorker('w0', { state: 'draining' }), ...before.workers.slice(1)]
      : before.workers.slice(1)
    const { moves, unassigned } = planMoves({ ...again(before, plan), workers })
    t.true(moves.every(({ from, to }) => from === 'w0' && to !== undefined))
    t.is(moves.length, countOf(plan, 'w0'))
    t.is(unassigned.size, 0)
  })
  fc.assert(property, { numRuns: 300 })
})

test('a worker that is away keeps its units, and gets none', (t) => {
  const before = plainInput(3, 30)
  const plan = planMoves(before)
  const workers = [plainWorker('w0', { state: 'away' }), ...before.workers.slice(1)]
  const units = [...before.units, plainUnit('p/late')]
  const next = planMoves({ ...again(before, plan), workers, units })
  t.deepEqual(
    next.moves.map((move) => move.unit),
    ['p/late'],
  )
  t.not(next.assignments.get('p/late'), 'w0')
})

test('an excess over unitsMax goes, the lightest first', (t) => {
  const units = [5, 1, 3, 2].map((weight, at) => plainUnit(`p/u${at}`, { weight }))
  const assigned = new Map(units.map((it) => [it.unit, 'w0']))
  const workers = [plainWorker('w0', { unitsMax: 2 })]
  const { assignments, unassigned } = planMoves({
    workers,
    units,
    assigned,
    policy: { tolerance: 0 },
  })
  t.deepEqual([...assignments.keys()], ['p/u0', 'p/u2'])
  t.deepEqual(unassigned.get('p/u1'), { kind: 'full', workers: ['w0'] })
})

test('a unit that only one full worker may have gets the place of one that others may have', (t) => {
  const workers = [
    plainWorker('a', { unitsMax: 1, labels: { disk: 'ssd' } }),
    plainWorker('b', { unitsMax: 1 }),
  ]
  const units = [plainUnit('p/any'), plainUnit('p/ssd', { placement: { disk: 'ssd' } })]
  const assigned = new Map([['p/any', 'a']])
  const { assignments } = planMoves({ workers, units, assigned, policy: { tolerance: 0 } })
  t.deepEqual(Object.fromEntries(assignments), { 'p/any': 'b', 'p/ssd': 'a' })
})

test('that no room can be made for one unit does not keep another from having it', (t) => {
  const workers = [
    plainWorker('a', { unitsMax: 1, labels: { disk: 'ssd' } }),
    plainWorker('b', { unitsMax: 1, labels: { disk: 'hdd' } }),
    plainWorker('c', { unitsMax: 1 }),
  ]
  const hdd = { placement: { disk: 'hdd' } }
  const units = [
    plainUnit('p/any'),
    plainUnit('p/hdd', hdd),
    plainUnit('p/hdd2', { ...hdd, weight: 2 }),
    plainUnit('p/ssd', { placement: { disk: 'ssd' } }),
  ]
  const assigned = new Map([
    ['p/any', 'a'],
    ['p/hdd', 'b'],
  ])
  const plan = planMoves({ workers, units, assigned, policy: { tolerance: 0 } })
  t.deepEqual(Object.fromEntries(plan.assignments), { 'p/any': 'c', 'p/hdd': 'b', 'p/ssd': 'a' })
  t.deepEqual(plan.unassigned.get('p/hdd2'), { kind: 'full', workers: ['b'] })
})

test('the unit that evens two workers out best is the one that moves', (t) => {
  const input = plainInput(2, 3)
  const units = [10, 15, 3].map((weight, at) => plainUnit(`p/u${at}`, { weight }))
  const assigned = new Map([
    ['p/u0', 'w0'],
    ['p/u1', 'w0'],
    ['p/u2', 'w1'],
  ])
  const { moves } = planMoves({ ...input, units, assigned, policy: { tolerance: 0 } })
  t.deepEqual(moves, [{ unit: 'p/u0', from: 'w0', to: 'w1' }])
})

test('offices are light units like others, and spread like them', (t) => {
  const offices = Array.from({ length: 8 }, (_, at) => plainUnit(`p${at}/~run`, { weight: 0.01 }))
  const input = plainInput(4, 40)
  const plan = planMoves({ ...input, units: [...input.units, ...offices] })
  t.deepEqual(
    input.workers.map(({ name }) => countOf(plan, name)),
    [12, 12, 12, 12],
  )
})

test('weights that make no sense are taken for something that does', (t) => {
  const weights = [NaN, -1, Infinity, 5e-324, 1e308, 0]
  const input = plainInput(3, weights.length)
  const units = input.units.map((it, at) => ({ ...it, weight: weights[at] ?? 0 }))
  const plan = planMoves({ ...input, units })
  t.is(plan.assignments.size, weights.length)
  t.deepEqual(planMoves({ ...input, units, assigned: plan.assignments }).moves, [])
})

test('twice the slots, twice the load', (t) => {
  const input = plainInput(2, 90)
  const workers = [plainWorker('w0', { slots: 2 }), plainWorker('w1', { slots: 4 })]
  const plan = planMoves({ ...input, workers })
  t.deepEqual([countOf(plan, 'w0'), countOf(plan, 'w1')], [30, 60])
})

test('a name that is given twice is a bug', (t) => {
  const input = plainInput(2, 2)
  const twice = { ...input, units: [...input.units, plainUnit('p/u0')] }
  t.throws(() => planMoves(twice), { message: 'p/u0 is given twice' })
})

test('each reason says what is wrong and what to do', (t) => {
  const many = ['w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7']
  const reasons: readonly (readonly [Unassigned, RegExp])[] = [
    [{ kind: 'no-worker' }, /^No worker .* `hakiri serve`/],
    [{ kind: 'paused' }, /paused.* `hakiri shard resume`/],
    [{ kind: 'quarantined' }, /quarantined.*`hakiri shard reset`/],
    [{ kind: 'no-match', placement: { b: '2', a: '1' } }, /labels a=1,b=2\. .*--labels a=1,b=2/],
    [{ kind: 'failed-everywhere', workers: ['w1'] }, /failed on every worker.*\(w1\).*runs logs/],
    [{ kind: 'full', workers: many }, /\(w1, w2, w3, w4, w5 and 2 more\)\. Start another/],
    [{ kind: 'all-draining', workers: ['w1', 'w2'] }, /drained.*\(w1, w2\).*uncordon/],
  ]
  for (const [reason, expected] of reasons) t.regex(describeUnassigned(reason), expected)
})

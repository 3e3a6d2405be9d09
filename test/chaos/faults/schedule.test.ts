/** The schedule of a chaos run: a function of its seed, dense, and never more than a cluster can bear. */
import test from 'ava'
import fc from 'fast-check'
import {
  type Ability,
  type Backend,
  FAULT_KINDS,
  type FaultKind,
  isPossible,
  rowOf,
  type Troupe,
} from './catalogue.ts'
import { overlap, planFaults, type PlannedFault } from './schedule.ts'

const ALL: readonly Ability[] = ['packets', 'disks', 'clocks']

function troupeOf(
  backend: Backend,
  nodes = 3,
  workers = 4,
  abilities: readonly Ability[] = ALL,
): Troupe {
  const names = (role: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${role}-${index + 1}`)
  return {
    backend,
    coordinators: names('coord', nodes),
    workers: names('worker', workers),
    spares: ['worker-spare', 'coord-spare'],
    abilities: new Set(abilities),
  }
}

const options = fc.record({
  seed: fc.nat(),
  minutes: fc.double({ min: 0.2, max: 5, noNaN: true }),
  troupe: fc
    .record({
      backend: fc.constantFrom<Backend>('raft', 'etcd'),
      nodes: fc.constantFrom(1, 3, 5),
      workers: fc.integer({ min: 1, max: 6 }),
      abilities: fc.subarray([...ALL]),
    })
    .map(({ backend, nodes, workers, abilities }) => troupeOf(backend, nodes, workers, abilities)),
})

test('the same seed gives the same schedule, another seed another one', (t) => {
  fc.assert(
    fc.property(options, (asked) => {
      t.deepEqual(planFaults(asked), planFaults(asked))
    }),
  )
  const troupe = troupeOf('raft')
  const of = (seed: number): string => JSON.stringify(planFaults({ seed, minutes: 3, troupe }))
  t.is(new Set(Array.from({ length: 50 }, (_, seed) => of(seed))).size, 50)
})

test('what is planned is possible, begins in order, and ends with the faults', (t) => {
  fc.assert(
    fc.property(options, (asked) => {
      const { troupe, minutes } = asked
      const hosts = new Set([
        ...troupe.coordinators,
        ...troupe.workers,
        'leader',
        'catalog',
        'source',
        'bucket',
        'api',
        'worker-spare',
        'coord-spare',
      ])
      let last = 0
      planFaults(asked).forEach((fault, index) => {
        t.is(fault.number, index + 1)
        t.true(isPossible(fault.kind, troupe), fault.kind)
        t.true(fault.atMs >= last && fault.durationMs >= 0)
        t.true(fault.atMs + fault.durationMs <= minutes * 60_000 + 1)
        t.true(fault.hosts.length > 0 && fault.hosts.every((host) => hosts.has(host)), fault.kind)
        last = fault.atMs
      })
    }),
  )
})

/** At each moment that a fault begins: all that are in force then. */
function moments(plan: readonly PlannedFault[]): readonly (readonly PlannedFault[])[] {
  return plan.map(({ atMs }) =>
    plan.filter((other) => other.atMs <= atMs && atMs < other.atMs + other.durationMs),
  )
}

test('no process is touched by two faults at once, and what has a lock has it alone', (t) => {
  fc.assert(
    fc.property(options, (asked) => {
      for (const together of moments(planFaults(asked)))
        for (const a of together)
          for (const b of together.filter(({ number }) => number > a.number)) {
            const locks = rowOf(a.kind).locks.filter((lock) => rowOf(b.kind).locks.includes(lock))
            const isSame = a.hosts.some((host) => b.hosts.includes(host))
            t.false(isSame && (locks.includes('process') || locks.includes('clock')))
            t.false(locks.some((lock) => lock !== 'process' && lock !== 'clock'))
          }
    }),
  )
})

test('a majority of coordinators is away for moments only, and disks are then left alone', (t) => {
  fc.assert(
    fc.property(options, (asked) => {
      const bearable = Math.floor((asked.troupe.coordinators.length - 1) / 2)
      for (const together of moments(planFaults(asked))) {
        const takers = together.filter(({ kind }) => rowOf(kind).takes !== undefined)
        const away = new Set(
          takers.flatMap(({ number, kind, hosts }) =>
            rowOf(kind).hits.includes('coordinator')
              ? hosts.filter((host) => host.startsWith('coord'))
              : [`? ${number}`],
          ),
        )
        if (takers.some(({ kind }) => rowOf(kind).takes === 'all')) t.is(takers.length, 1)
        else if (away.size > bearable) {
          const last = takers.at(-1)!
          t.true(last.durationMs <= 3_000, JSON.stringify(takers))
          t.false(takers.some(({ kind }) => rowOf(kind).locks.includes('members')))
        }
      }
    }),
  )
})

test('one worker is left alone at each moment, where there are several', (t) => {
  fc.assert(
    fc.property(options, (asked) => {
      const { workers } = asked.troupe
      if (workers.length === 1) return
      for (const together of moments(planFaults(asked))) {
        const touched = together
          .filter(({ kind }) => rowOf(kind).hits.includes('worker'))
          .flatMap(({ hosts }) => hosts.filter((host) => workers.includes(host)))
        t.true(new Set(touched).size < workers.length)
      }
    }),
  )
})

test('there are eight faults a minute or more on average, and each kind comes', (t) => {
  for (const backend of ['raft', 'etcd'] as const) {
    const troupe = troupeOf(backend)
    const minutes = 2
    const plans = Array.from({ length: 300 }, (_, seed) => planFaults({ seed, minutes, troupe }))
    const rates = plans.map((plan) => plan.length / minutes)
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
    t.true(mean >= 8, `${backend}: ${mean} a minute`)
    t.true(Math.min(...rates) >= 3, `${backend}: ${Math.min(...rates)}`)
    const seen = new Set<FaultKind>(plans.flat().map(({ kind }) => kind))
    t.deepEqual(
      FAULT_KINDS.filter((kind) => isPossible(kind, troupe) && !seen.has(kind)),
      [],
    )
    const several = plans.flatMap(moments).filter((together) => together.length >= 3)
    t.true(several.length > 300, `${several.length} moments with three faults or more`)
    t.log(
      backend,
      'faults a minute:',
      mean.toFixed(1),
      'least',
      Math.min(...rates),
      'most',
      Math.max(...rates),
    )
  }
})

test('faults that are asked for by name come alone', (t) => {
  const only: readonly FaultKind[] = ['kill-worker', 'bucket-503']
  const plan = planFaults({ seed: 7, minutes: 3, troupe: troupeOf('raft'), only })
  t.deepEqual(new Set(plan.map(({ kind }) => kind)), new Set(only))
})

test('what was healed gets a moment before the same is hit again', (t) => {
  const span = (atMs: number) =>
    ({ kind: 'kill-worker', atMs, durationMs: 1_000, hosts: ['worker-1'] }) as const
  t.true(overlap(span(0), span(2_000)))
  t.false(overlap(span(0), span(2_500)))
})

import test from 'ava'
import fc from 'fast-check'
import { CoordError, type CoordClient } from '../coord/client/client.ts'
import { createLocalCoord } from '../coord/local/local-client.ts'
import { bytes, newPrefix, PARTS } from '../test/conformance/coord-client/kit.ts'
import {
  identity,
  LONG_MS,
  NEVER,
  refusalOf,
  sorted,
} from '../test/conformance/coordination/kit.ts'
import { createMapEdit } from './chunked-map.ts'
import type { Membership } from './coordination.ts'
import { createCoordination } from './create.ts'
import { createKeys } from './keys.ts'
import { commonProtocol } from './protocol.ts'

// ── Writes whose answers are lost ─────────────────────────────────────────────────────────────────

/** What becomes of a write: all but the first look alike to the one who sent it. */
const FATES = ['answered', 'lost before', 'lost after', 'late'] as const
type Fate = (typeof FATES)[number]

type Unreliable = {
  readonly client: CoordClient
  /** The next writes meet these fates; those after them are answered. */
  readonly plan: (fates: readonly Fate[]) => void
  /** Lets happen what was late. */
  readonly land: () => Promise<void>
}

/** A client whose writes may be lost on the way, happen unseen, or happen much later. */
function unreliable(inner: CoordClient): Unreliable {
  const fates: Fate[] = []
  const late: (() => Promise<unknown>)[] = []
  const unknown = (): CoordError => new CoordError(14, 'the connection was reset', 'unknown')
  return {
    plan: (next) => void fates.splice(0, fates.length, ...next),
    async land() {
      for (const send of late.splice(0)) await send().catch(() => undefined)
    },
    client: {
      ...inner,
      async txn(request, options) {
        const fate = fates.shift() ?? 'answered'
        switch (fate) {
          case 'answered':
            return inner.txn(request, options)
          case 'lost before':
            throw unknown()
          case 'lost after':
            await inner.txn(request, options)
            throw unknown()
          case 'late':
            late.push(() => inner.txn(request))
            throw unknown()
        }
      },
    },
  }
}

/** A clock on which pauses take no time. */
const HASTY = {
  ...PARTS.clock,
  sleep: (_: number, signal?: AbortSignal) => PARTS.clock.sleep(0, signal),
}

async function newWorker(coord: ReturnType<typeof createLocalCoord>, prefix: string, name: string) {
  const wire = unreliable(coord.connect())
  const parts = { ...PARTS, clock: HASTY, prefix, isAlive: () => true }
  const coordination = createCoordination(wire.client, parts)
  const worker = await coordination.join(identity(name), LONG_MS, NEVER)
  return { ...wire, coordination, worker }
}

const namesIn = (names: Iterable<string>): string[] => [...names].toSorted()

const UNITS = ['p/0', 'p/1', 'p/2']
const fates = fc.array(fc.constantFrom(...FATES), { maxLength: 4 })
const step = fc.record({
  kind: fc.constantFrom<'claim' | 'release' | 'leave'>(
    'claim',
    'release',
    'claim',
    'release',
    'leave',
  ),
  units: fc.subarray(UNITS, { minLength: 1 }),
  fates,
  lands: fc.boolean(),
})

test('what a claim or a release said stays true, whatever becomes of writes that were given up', async (t) => {
  using coord = createLocalCoord(PARTS)
  const property = fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
    const prefix = newPrefix()
    const { worker, plan, land, coordination } = await newWorker(coord, prefix, 'a')
    const held = new Set<string>()
    for (const { kind, units, fates: planned, lands } of steps) {
      plan(planned)
      await perform(worker, kind, units, held)
      plan([])
      if (lands) await land()
      await check()
    }
    await land()
    await check()
    await worker[Symbol.asyncDispose]()

    async function check(): Promise<void> {
      const { claims, members } = await coordination.view(NEVER)
      t.deepEqual(namesIn(claims.keys()), namesIn(held))
      const isLeaving = steps.some(({ kind }) => kind === 'leave')
      t.true(isLeaving || members.get('a')?.state === 'active')
    }
  })
  await fc.assert(property, { numRuns: 150 })
})

async function perform(
  worker: Membership,
  kind: 'claim' | 'release' | 'leave',
  units: readonly string[],
  held: Set<string>,
): Promise<void> {
  switch (kind) {
    case 'claim':
      for (const { unit } of await worker.claim(units, NEVER)) held.add(unit)
      return
    case 'release':
      await worker.release(units, NEVER)
      for (const unit of units) held.delete(unit)
      return
    case 'leave':
      return worker.announceLeaving(NEVER)
  }
}

test('a leaving worker is not shown as active again by a write that comes late', async (t) => {
  using coord = createLocalCoord(PARTS)
  const { worker, plan, land, coordination } = await newWorker(coord, newPrefix(), 'a')
  plan(['lost before', 'late'])
  await worker.claim(['p/1'], NEVER)
  plan(['late', 'late'])
  await worker.announceLeaving(NEVER)
  await land()
  t.is((await coordination.view(NEVER)).members.get('a')?.state, 'leaving')
})

test('a change of the member record that was given up is not undone, once it happened', async (t) => {
  using coord = createLocalCoord(PARTS)
  const { worker, plan, coordination } = await newWorker(coord, newPrefix(), 'a')
  const stop = new AbortController()
  const reason = new Error('enough')
  plan(['lost after', ...Array.from({ length: 10_000 }, () => 'lost before' as const)])
  const leaving = worker.announceLeaving(stop.signal)
  await PARTS.clock.sleep(0)
  stop.abort(reason)
  t.is(await t.throwsAsync(leaving), reason)
  for (const unit of UNITS) {
    plan(['lost before'])
    await worker.claim([unit], NEVER)
  }
  t.is((await coordination.view(NEVER)).members.get('a')?.state, 'leaving')
  await worker[Symbol.asyncDispose]()
})

test('an older plan of the same planner does not overwrite a newer one, however late it comes', async (t) => {
  using coord = createLocalCoord(PARTS)
  const property = fc.asyncProperty(
    fc.array(fc.tuple(fc.subarray(UNITS, { minLength: 1 }), fates, fc.boolean()), { maxLength: 6 }),
    async (plans) => {
      const prefix = newPrefix()
      const { worker, plan, land, coordination } = await newWorker(coord, prefix, 'a')
      const term = await worker.campaign(NEVER)
      const expected = new Map<string, string>()
      for (const [round, [units, planned, lands]] of plans.entries()) {
        plan(planned)
        const moves = units.map((unit) => ({ unit, from: undefined, to: `w${round}` }))
        t.is(await term.publish(moves, NEVER), 'published')
        for (const unit of units) expected.set(unit, `w${round}`)
        plan([])
        if (lands) await land()
        t.deepEqual(sorted((await coordination.view(NEVER)).assignments), sorted(expected))
      }
      await land()
      t.deepEqual(sorted((await coordination.view(NEVER)).assignments), sorted(expected))
      await worker[Symbol.asyncDispose]()
    },
  )
  await fc.assert(property, { numRuns: 100 })
})

for (const fate of FATES)
  test(`names and offices are taken once when the answer is ${fate}`, async (t) => {
    using coord = createLocalCoord(PARTS)
    const prefix = newPrefix()
    const wire = unreliable(coord.connect())
    const parts = { ...PARTS, clock: HASTY, prefix, isAlive: () => true }
    const coordination = createCoordination(wire.client, parts)
    wire.plan([fate])
    const worker = await coordination.join(identity('a'), LONG_MS, NEVER)
    wire.plan([fate])
    const term = await worker.campaign(NEVER)
    await wire.land()
    wire.plan([fate])
    await term[Symbol.asyncDispose]()
    await wire.land()
    const { planner } = createKeys(prefix)
    t.is(
      (await wire.client.range({ key: planner })).count,
      0,
      'a late write does not bring it back',
    )
    const next = await worker.campaign(NEVER)
    t.is(await next.publish([{ unit: 'p/1', from: undefined, to: 'a' }], NEVER), 'published')
    t.is((await coordination.view(NEVER)).members.size, 1)
    await worker[Symbol.asyncDispose]()
  })

test('a claim that is answered after the session was lost is not told as claimed', async (t) => {
  using coord = createLocalCoord(PARTS)
  const inner = coord.connect()
  let before = (): Promise<void> => Promise.resolve()
  const client: CoordClient = {
    ...inner,
    async txn(request, options) {
      const answer = await inner.txn(request, options)
      await before()
      return answer
    },
  }
  const parts = { ...PARTS, prefix: newPrefix(), isAlive: () => true }
  const worker = await createCoordination(client, parts).join(identity('a'), LONG_MS, NEVER)
  before = () => Promise.resolve(worker[Symbol.asyncDispose]())
  await refusalOf(t, worker.claim(['p/1'], NEVER), 'SESSION_LOST')
})

test('while nothing is answered a claim waits, and ends with its signal', async (t) => {
  using coord = createLocalCoord(PARTS)
  const { worker, plan } = await newWorker(coord, newPrefix(), 'a')
  plan(Array.from({ length: 10_000 }, () => 'lost before'))
  const stop = new AbortController()
  const reason = new Error('enough')
  const claiming = worker.claim(['p/1'], stop.signal)
  await PARTS.clock.sleep(0)
  stop.abort(reason)
  t.is(await t.throwsAsync(claiming), reason)
  plan([])
  t.deepEqual(await worker.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
  await worker[Symbol.asyncDispose]()
})

// ── The map of a view ─────────────────────────────────────────────────────────────────────────────

test('a chunked map is a map, and what it handed out never changes', (t) => {
  const key = fc.integer({ min: 0, max: 600 }).map((at) => `shop/${at}`)
  const change = fc.record({ key, value: fc.option(fc.nat(9), { freq: 3 }), isDone: fc.boolean() })
  const property = fc.property(fc.array(change, { maxLength: 300, size: 'max' }), (changes) => {
    const edit = createMapEdit<number>()
    const model = new Map<string, number>()
    const handedOut: { readonly map: ReadonlyMap<string, number>; readonly copy: unknown }[] = []
    for (const { key: name, value, isDone } of changes) {
      if (value === null) edit.delete(name)
      else edit.set(name, value)
      if (value === null) model.delete(name)
      else model.set(name, value)
      if (isDone) handedOut.push({ map: edit.done(), copy: sorted(model) })
    }
    for (const { map, copy } of handedOut) t.deepEqual(sorted(map), copy as never)
    const last = edit.done()
    t.is(last, edit.done(), 'the same as long as nothing changes')
    t.is(last.size, model.size)
    t.deepEqual(namesIn(last.keys()), namesIn(model.keys()))
    t.deepEqual(
      [...last.values()].toSorted((x, y) => x - y),
      [...model.values()].toSorted((x, y) => x - y),
    )
    t.deepEqual(sorted(new Map(last.entries())), sorted(model))
    const visited = new Map<string, number>()
    last.forEach((value, name, map) => {
      t.is(map, last)
      visited.set(name, value)
    })
    t.deepEqual(sorted(visited), sorted(model))
    for (const [name, value] of model) t.deepEqual([last.get(name), last.has(name)], [value, true])
    t.deepEqual([last.get('other'), last.has('other')], [undefined, false])
  })
  fc.assert(property, { numRuns: 100 })
})

// ── Small things ──────────────────────────────────────────────────────────────────────────────────

test('keys are read as they are written, and the ranges hold them', (t) => {
  const keys = createKeys('hakiri/x/')
  const units = ['shop/a', 'shop/~run', 'shop/~publish:orders', 'shop/a/b c', 'shop/ü']
  for (const unit of units) {
    t.deepEqual(keys.read(keys.claim(unit)), { kind: 'claim', unit })
    t.deepEqual(keys.read(keys.assignment(unit)), { kind: 'assignment', unit })
  }
  t.deepEqual(keys.read(keys.member('w-1')), { kind: 'member', name: 'w-1' })
  t.deepEqual(keys.read(keys.planner), { kind: 'planner' })
  t.deepEqual(keys.read(bytes('hakiri/y/claims/p/1')), { kind: 'other' })
  const isIn = ({ key, rangeEnd }: typeof keys.all, it: Uint8Array): boolean =>
    Buffer.compare(key, it) <= 0 && Buffer.compare(it, rangeEnd) < 0
  t.true(isIn(keys.all, keys.planner))
  t.true(isIn(keys.members, keys.member('\u{10ffff}')))
  t.false(isIn(keys.members, keys.planner))
  t.false(isIn(keys.all, bytes('hakiri/y')))
  t.throws(() => createKeys('hakiri'), { message: /does not end with a slash/ })
})

test('the common protocol is the newest that all speak', (t) => {
  const range = (oldest: number, newest: number) => ({ oldest, newest })
  t.is(commonProtocol([range(1, 3), range(2, 4), range(1, 3)]), 3)
  t.is(commonProtocol([range(1, 1)]), 1)
  t.is(commonProtocol([range(1, 2), range(3, 4)]), undefined)
  t.is(commonProtocol([]), undefined)
})

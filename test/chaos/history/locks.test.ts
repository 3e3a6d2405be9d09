import test from 'ava'
import fc from 'fast-check'
import { checkLeases, LEASE_OPTIONS } from './leases.ts'
import { checkLocks } from './locks.ts'
import type { Hold, KvRequest, Operation, Outcome, Request, Response, Round } from './types.ts'

const rules = (problems: readonly { readonly rule: string }[]): string[] => [
  ...new Set(problems.map(({ rule }) => rule)),
]
const SECOND = 1e6

type Sent = readonly [invokedUs: number, completedUs: number]

function op(
  id: number,
  [invokedUs, completedUs]: Sent,
  request: Request,
  outcome: Outcome,
): Operation {
  return { id, client: `c${id}`, invokedUs, completedUs, request, outcome }
}
const ok = (response: Response): Outcome => ({ kind: 'ok', response })
const unknown: Outcome = { kind: 'unknown', why: 'by hand' }

// ── Locks ─────────────────────────────────────────────────────────────────────────────────────────

const LOCK = 'lock'
const kv = (key: string, value: string, mod: number, create = mod, version = 1) => ({
  key,
  value,
  create,
  mod,
  version,
})

function guarded(fence: number, success: KvRequest['success']): KvRequest {
  const compare = [{ key: LOCK, target: 'create', is: '=', than: fence } as const]
  return { kind: 'kv', compare, success, failure: [{ kind: 'get', key: LOCK }] }
}

const kvOk = (revision: number, results: readonly object[], succeeded = true): Outcome =>
  ok({ kind: 'kv', revision, succeeded, results } as Response)

const acquire = (id: number, at: Sent, revision: number): Operation =>
  op(
    id,
    at,
    guarded(0, [{ kind: 'put', key: LOCK, value: `l${id}`, lease: '7' }]),
    kvOk(revision, [{ kind: 'put', prev: null }]),
  )

/** A guarded write that read what `before` wrote. */
function write(
  id: number,
  at: Sent,
  fence: number,
  revision: number,
  before?: readonly [string, number],
): Operation {
  const kvs = before ? [kv('n', ...before)] : []
  const request = guarded(fence, [
    { kind: 'get', key: 'n' },
    { kind: 'put', key: 'n', value: `n${id}` },
  ])
  return op(
    id,
    at,
    request,
    kvOk(revision, [
      { kind: 'got', kvs },
      { kind: 'put', prev: null },
    ]),
  )
}

const refused = (
  id: number,
  at: Sent,
  fence: number,
  revision: number,
  create?: number,
): Operation =>
  op(
    id,
    at,
    guarded(fence, [{ kind: 'put', key: 'n', value: `n${id}` }]),
    kvOk(
      revision,
      [{ kind: 'got', kvs: create === undefined ? [] : [kv(LOCK, 'l', create)] }],
      false,
    ),
  )

const release = (id: number, at: Sent, fence: number, revision: number): Operation =>
  op(
    id,
    at,
    guarded(fence, [{ kind: 'delete', key: LOCK }]),
    kvOk(revision, [{ kind: 'deleted', count: 1 }]),
  )

const hold = (createRevision: number, fromUs: number, untilUs: number): Hold => ({
  client: `h${createRevision}`,
  lock: LOCK,
  createRevision,
  fromUs,
  untilUs,
})

type Locked = Pick<Round, 'operations' | 'holds'>

const GOOD: Locked = {
  operations: [
    acquire(1, [1, 2], 10),
    write(2, [3, 4], 10, 11),
    write(3, [5, 6], 10, 12, ['n2', 11]),
    release(4, [7, 8], 10, 13),
    acquire(5, [9, 10], 14),
    write(6, [11, 12], 14, 15, ['n3', 12]),
    refused(7, [13, 14], 10, 15, 14),
  ],
  // The last was told that it has the lock when it had been lost again: it never believed so.
  holds: [hold(10, 2, 7), hold(14, 10, 50), hold(12, 20, 20)],
}

const without = (...ids: readonly number[]): Operation[] =>
  GOOD.operations.filter(({ id }) => !ids.includes(id))
const also = (...more: readonly Operation[]): Operation[] => [...GOOD.operations, ...more]

const BROKEN_LOCKS: Readonly<Record<string, readonly [rule: string, Partial<Locked>]>> = {
  'two holders within their deadlines': [
    'lock-overlap',
    { holds: [hold(10, 2, 12), hold(14, 10, 50)] },
  ],
  'a write by one who had lost the lock': [
    'guarded-by-two',
    { operations: [...without(4), write(8, [15, 16], 10, 16, ['n6', 15])] },
  ],
  'a write between two of another holder': [
    'guarded-by-two',
    {
      operations: [
        acquire(1, [1, 2], 10),
        acquire(2, [3, 4], 14),
        write(3, [5, 6], 14, 15),
        write(4, [7, 8], 10, 16, ['n3', 15]),
        write(5, [9, 10], 14, 17, ['n4', 16]),
      ],
      holds: [],
    },
  ],
  'a write after the own release': [
    'guarded-after-release',
    { operations: [...without(3, 5, 6, 7), write(3, [9, 10], 10, 14, ['n2', 11])] },
  ],
  'a write before its lock': [
    'fence-future',
    { operations: [acquire(1, [1, 2], 10), write(2, [3, 4], 10, 9)], holds: [] },
  ],
  'a guarded write that is lost': [
    'guarded-lost',
    { operations: [...without(6), write(6, [11, 12], 14, 15, ['n2', 11])] },
  ],
  'a counter that nobody wrote': [
    'guarded-lost',
    { operations: [...without(6), write(6, [11, 12], 14, 15, ['never', 13])] },
  ],
  'a refusal of a condition that holds': [
    'lock-torn',
    { operations: also(refused(8, [60, 61], 14, 15, 14)) },
  ],
  'a lock that is lost before the deadline': [
    'lock-lost-early',
    { operations: also(refused(8, [15, 16], 14, 16)) },
  ],
}

test('locks: what may be, is', (t) => {
  t.deepEqual(checkLocks(GOOD), [])
  // A write without an answer may have landed in between.
  const maybe = op(8, [5, 6], guarded(10, [{ kind: 'put', key: 'n', value: 'n8' }]), unknown)
  t.deepEqual(
    checkLocks({
      ...GOOD,
      operations: [...without(3, 6), maybe, write(6, [11, 12], 14, 15, ['n8', 12])],
    }),
    [],
  )
  // Late ones may try as long as they write nothing, and may even overlap once past their deadline.
  t.deepEqual(checkLocks({ ...GOOD, operations: also(refused(8, [60, 61], 14, 16)) }), [])
})

for (const [title, [rule, part]] of Object.entries(BROKEN_LOCKS))
  test(`locks: ${title} is found`, (t) => {
    t.deepEqual(rules(checkLocks({ ...GOOD, ...part })), [rule])
  })

type Turn = {
  readonly writes: number
  readonly unanswered: number
  readonly isReleased: boolean
  readonly isLate: boolean
}

/** Holders one after the other, with late writes of the one before that are refused. */
function lockRound(turns: readonly Turn[]): Locked {
  const operations: Operation[] = []
  const holds: Hold[] = []
  let revision = 1
  let nowUs = 1
  let last: readonly [string, number] | undefined
  let late: number | undefined
  const next = (): readonly [number, Sent] => [operations.length, [(nowUs += 2), (nowUs += 3)]]
  for (const { writes, unanswered, isReleased, isLate } of turns) {
    const fence = ++revision
    operations.push(acquire(...next(), fence))
    const fromUs = nowUs
    for (let at = 0; at < writes; at++) {
      const [id, sent] = next()
      const one = write(id, sent, fence, ++revision, last)
      operations.push(at === unanswered ? { ...one, outcome: unknown } : one)
      last = [`n${id}`, revision]
    }
    if (isLate && late !== undefined) operations.push(refused(...next(), late, revision, fence))
    holds.push(hold(fence, fromUs, nowUs))
    if (isReleased) operations.push(release(...next(), fence, ++revision))
    else revision++
    late = fence
  }
  return { operations, holds }
}

const turns = fc.array(
  fc.record({
    writes: fc.nat(6),
    unanswered: fc.nat(12),
    isReleased: fc.boolean(),
    isLate: fc.boolean(),
  }),
  { minLength: 2, maxLength: 12 },
)

test('locks: every history of sound holders is sound, and breaks when fences are exchanged', (t) => {
  let broken = 0
  fc.assert(
    fc.property(turns, (drawn) => {
      const round = lockRound(drawn)
      t.deepEqual(checkLocks(round), [])
      const writes = round.operations.filter(
        ({ request, outcome }) =>
          request.kind === 'kv' && request.success.length === 2 && outcome.kind === 'ok',
      )
      const [first, last] = [writes[0], writes.at(-1)]
      if (
        !first ||
        !last ||
        JSON.stringify(first.request.kind === 'kv' && first.request.compare) ===
          JSON.stringify(last.request.kind === 'kv' && last.request.compare)
      )
        return
      broken++
      const operations = round.operations.map((one) =>
        one === last && first.request.kind === 'kv' && last.request.kind === 'kv'
          ? { ...one, request: { ...last.request, compare: first.request.compare } }
          : one,
      )
      t.true(rules(checkLocks({ ...round, operations })).includes('guarded-by-two'))
    }),
    { numRuns: 200 },
  )
  t.true(broken > 50)
})

// ── Leases ────────────────────────────────────────────────────────────────────────────────────────

const FOREVER = Number.MAX_SAFE_INTEGER
const at = (second: number): Sent => [second * SECOND, second * SECOND + 1_000]
const grant = (id: number, second: number, ttlSeconds = 3): Operation =>
  op(id, at(second), { kind: 'grant', ttlSeconds }, ok({ kind: 'lease', lease: '7', ttlSeconds }))
const renew = (id: number, second: number, ttlSeconds = 3): Operation =>
  op(id, at(second), { kind: 'renew', lease: '7' }, ok({ kind: 'lease', lease: '7', ttlSeconds }))
const revoke = (id: number, second: number): Operation =>
  op(id, at(second), { kind: 'revoke', lease: '7' }, ok({ kind: 'done' }))
const attach = (id: number, second: number): Operation => {
  const success = ['k1', 'k2'].map((key) => ({ kind: 'put', key, value: 'v', lease: '7' }) as const)
  const request: KvRequest = { kind: 'kv', compare: [], success, failure: [] }
  return op(
    id,
    at(second),
    request,
    kvOk(2, [
      { kind: 'put', prev: null },
      { kind: 'put', prev: null },
    ]),
  )
}
const look = (
  id: number,
  second: number,
  isThere: boolean,
  more: Partial<KvRequest> = {},
): Operation => {
  const request: KvRequest = {
    kind: 'kv',
    compare: [],
    success: [{ kind: 'get', key: 'k1' }],
    failure: [],
    ...more,
  }
  return op(
    id,
    at(second),
    request,
    kvOk(3, [{ kind: 'got', kvs: isThere ? [kv('k1', 'v', 2)] : [] }]),
  )
}
const life = (...operations: readonly Operation[]) => ({
  operations,
  watches: [],
  calm: [{ fromUs: 0, untilUs: FOREVER }],
})
const begin = [grant(1, 1), attach(2, 1.5), renew(3, 3)]

const BROKEN_LEASES: Readonly<Record<string, readonly [rule: string, Operation[]]>> = {
  'a key that goes before its time': ['lease-early', [...begin, look(4, 5.9, false)]],
  'a lease that is forgotten right after its renewal': ['lease-early', [...begin, renew(4, 4, 0)]],
  'a lease that is not known any more': [
    'lease-early',
    [
      ...begin,
      op(
        4,
        at(4),
        { kind: 'renew', lease: '7' },
        { kind: 'failed', why: 'etcdserver: requested lease not found' },
      ),
    ],
  ],
  'a renewal that counts from its own grant': [
    'lease-early',
    [...begin, renew(4, 5), look(5, 6.5, false)],
  ],
  'a lease that never ends': ['lease-late', [...begin, look(4, 30, true)]],
  'a lease that comes back': ['lease-early lease-back', [...begin, look(4, 7, false), renew(5, 8)]],
}

test('leases: what may be, is', (t) => {
  const early = [...begin, look(4, 5.5, true), look(5, 6.1, false)]
  t.deepEqual(checkLeases(life(...early)), [])
  t.deepEqual(checkLeases(life(...begin, revoke(4, 3.5), look(5, 4, false))), [])
  t.deepEqual(checkLeases(life(...begin, look(4, 5, false, { isSerializable: true }))), [])
  const late = [...begin, look(4, 30, true)]
  // Nobody promises an end in time while the cluster is not whole, or has been for a moment only.
  t.deepEqual(checkLeases({ ...life(...late), calm: [] }), [])
  t.deepEqual(
    checkLeases({ ...life(...late), calm: [{ fromUs: 20 * SECOND, untilUs: FOREVER }] }),
    [],
  )
  const lost = op(4, at(25), { kind: 'renew', lease: '7' }, unknown)
  t.deepEqual(checkLeases(life(...begin, lost, look(5, 30, true))), [])
  const bent = { ...LEASE_OPTIONS, earlyShare: 0.5 }
  t.deepEqual(checkLeases(life(...begin, look(4, 4.6, false)), bent), [])
})

for (const [title, [rule, operations]] of Object.entries(BROKEN_LEASES))
  test(`leases: ${title} is found`, (t) => {
    t.is(rules(checkLeases(life(...operations))).join(' '), rule)
  })

test('leases: keys of one lease that go one by one are found', (t) => {
  const gone = (key: string, mod: number) => ({ type: 'delete', kv: kv(key, '', mod) }) as const
  const watched = (one: number, other: number) => ({
    ...life(...begin),
    watches: [
      {
        watcher: 'w',
        key: 'k',
        end: 'l',
        hasPrev: false,
        from: 1,
        batches: [
          { kind: 'events', atUs: 1, events: [gone('k1', one), gone('k2', other)] } as const,
        ],
      },
    ],
  })
  t.deepEqual(checkLeases(watched(9, 9)), [])
  t.deepEqual(rules(checkLeases(watched(9, 10))), ['lease-torn'])
})

test('leases: one that is kept and ends when it should is sound, and any earlier end is found', (t) => {
  const drawn = fc.record({
    gaps: fc.array(fc.integer({ min: 100, max: 2_500 }), { maxLength: 8 }),
    delayMs: fc.nat(400),
    earlyMs: fc.integer({ min: 500, max: 2_900 }),
  })
  fc.assert(
    fc.property(drawn, ({ gaps, delayMs, earlyMs }) => {
      let now = 1
      const slow = (one: Operation): Operation => ({
        ...one,
        completedUs: one.invokedUs + delayMs * 1_000,
      })
      const renewals = gaps.map((gap, index) => slow(renew(10 + index, (now += gap / 1_000))))
      const story = [grant(1, 1), attach(2, 1), ...renewals]
      const end = now + 3
      t.deepEqual(checkLeases(life(...story, look(50, end + 0.01, false))), [])
      const early = checkLeases(life(...story, look(50, end - earlyMs / 1_000, false)))
      t.true(rules(early).includes('lease-early'))
    }),
    { numRuns: 200 },
  )
})

import test from 'ava'
import fc from 'fast-check'
import { checkRound } from './check.ts'
import { draws, registerRound } from './generate.ts'
import { checkLinearizable, toRegisterOp } from './linearizable.ts'
import { search, type RegisterOp, type Value } from './register-search.ts'
import type { KvRequest, Operation, StepResult } from './types.ts'

const MANY = { min: 1, max: 150 }
const rules = (problems: readonly { readonly rule: string }[]): string[] => [
  ...new Set(problems.map(({ rule }) => rule)),
]

// ── Registers ─────────────────────────────────────────────────────────────────────────────────────

test('every history of a real register has an order', (t) => {
  fc.assert(
    fc.property(draws(MANY), (drawn) => {
      t.deepEqual(checkRound(registerRound(drawn).round), [])
    }),
    { numRuns: 300 },
  )
})

/** All orders, one by one: slow, plain, and with nothing in common with the search. */
function hasOrder(ops: readonly RegisterOp[], value: Value = null): boolean {
  if (ops.every(({ completedUs }) => completedUs === Infinity)) return true
  const firstAnswer = Math.min(...ops.map(({ completedUs }) => completedUs))
  return ops.some((op) => {
    if (op.invokedUs > firstAnswer) return false
    const { need } = op
    if (need.kind === 'impossible' || (need.kind === 'something' && value === null)) return false
    if (need.kind === 'value' && need.value !== value) return false
    const next = op.write === undefined ? value : op.write
    return hasOrder(
      ops.filter((other) => other !== op),
      next,
    )
  })
}

const anyRegisterOp = fc
  .record({
    from: fc.nat(12),
    length: fc.integer({ min: 1, max: 8 }),
    isUnknown: fc.boolean(),
    need: fc.oneof(
      fc.constant({ kind: 'any' as const }),
      fc.constant({ kind: 'something' as const }),
      fc
        .oneof(fc.constant(null), fc.integer({ min: 0, max: 5 }))
        .map((at) => ({ kind: 'value' as const, value: at === null ? null : `v${at}` })),
    ),
    write: fc.constantFrom('none', 'delete', 'put'),
  })
  .map(({ from, length, isUnknown, need, write }) => ({ from, length, isUnknown, need, write }))

test('the search agrees with trying all orders', (t) => {
  let accepted = 0
  let refused = 0
  fc.assert(
    fc.property(fc.array(anyRegisterOp, { minLength: 1, maxLength: 6 }), (drawn) => {
      const ops = drawn.map((draw, id): RegisterOp => {
        const write = draw.write === 'put' ? `v${id}` : null
        const mayWrite = draw.write !== 'none'
        const isUnknown = draw.isUnknown && mayWrite
        return {
          id,
          // No two stamps of a history are equal.
          invokedUs: draw.from * 100 + id,
          completedUs: isUnknown ? Infinity : (draw.from + draw.length) * 100 + 50 + id,
          need: draw.need,
          ...(mayWrite && { write }),
        }
      })
      const expected = hasOrder(ops)
      if (expected) accepted++
      else refused++
      t.is(search(ops, 100_000).kind, expected ? 'order' : 'none', JSON.stringify(ops))
    }),
    { numRuns: 5_000 },
  )
  t.true(accepted > 300 && refused > 300, `${accepted} accepted, ${refused} refused`)
})

test('an order that is found explains the history', (t) => {
  fc.assert(
    fc.property(draws(MANY), (drawn) => {
      const { operations } = registerRound(drawn).round
      const ops = operations.filter((op) => keyOf(op) === 'r0').flatMap(toRegisterOp)
      const verdict = search(ops, 100_000)
      if (verdict.kind !== 'order') return t.fail(verdict.kind)
      let value: Value = null
      let latest = 0
      for (const id of verdict.ids) {
        const op = ops.find((one) => one.id === id)!
        t.true(op.completedUs > latest)
        latest = Math.max(latest, op.invokedUs)
        if (op.need.kind === 'value') t.is(op.need.value, value)
        if (op.write !== undefined) value = op.write
      }
    }),
    { numRuns: 50 },
  )
})

const keyOf = ({ request }: Operation): string | undefined =>
  request.kind === 'kv' ? request.success[0]?.key : undefined

// ── Hand-made operations ──────────────────────────────────────────────────────────────────────────

type Given = {
  readonly at: readonly [invoked: number, completed: number]
  readonly request: KvRequest
  readonly revision?: number
  readonly succeeded?: boolean
  readonly results?: readonly StepResult[]
  readonly fate?: 'failed' | 'unknown'
}

function operation({ at, request, fate, revision = 1, ...given }: Given, id: number): Operation {
  const { succeeded = true, results = [] } = given
  const base = { id, client: `c${id}`, invokedUs: at[0], completedUs: at[1], request }
  if (fate !== undefined) return { ...base, outcome: { kind: fate, why: 'by hand' } }
  return {
    ...base,
    outcome: { kind: 'ok', response: { kind: 'kv', revision, succeeded, results } },
  }
}

const history = (...given: readonly Given[]): Operation[] => given.map(operation)
const plain = (...success: KvRequest['success']): KvRequest => ({
  kind: 'kv',
  compare: [],
  success,
  failure: [],
})
const put = (value: string, key = 'k') => ({ kind: 'put', key, value, isBlind: true }) as const
const get = { kind: 'get', key: 'k' } as const
const remove = { kind: 'delete', key: 'k', isBlind: true } as const
const kv = (value: string, mod = 2, create = mod, version = 1, key = 'k') => ({
  key,
  value,
  create,
  mod,
  version,
})
const got = (...kvs: readonly ReturnType<typeof kv>[]): StepResult => ({ kind: 'got', kvs })
const wrote: StepResult = { kind: 'put' }
const swap = (from: string, to: string): KvRequest => ({
  kind: 'kv',
  compare: [{ key: 'k', target: 'value', is: '=', than: from }],
  success: [put(to)],
  failure: [get],
})

const BROKEN_REGISTERS: Readonly<Record<string, readonly [rule: string, ...Given[]]>> = {
  'a stale read': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), results: [wrote] },
    { at: [3, 4], request: plain(put('b')), results: [wrote] },
    { at: [5, 6], request: plain(get), results: [got(kv('a'))] },
  ],
  'a lost write': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), results: [wrote] },
    { at: [3, 4], request: plain(get), results: [got()] },
  ],
  'a write that comes again after another one': [
    'register-order',
    { at: [1, 9], request: plain(put('a')), results: [wrote] },
    { at: [2, 3], request: plain(get), results: [got(kv('a'))] },
    { at: [4, 5], request: plain(put('b')), results: [wrote] },
    { at: [6, 7], request: plain(get), results: [got(kv('b'))] },
    { at: [10, 11], request: plain(get), results: [got(kv('a'))] },
  ],
  'a write without an answer that comes again': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), fate: 'unknown' },
    { at: [3, 4], request: plain(get), results: [got(kv('a'))] },
    { at: [5, 6], request: plain(put('b')), results: [wrote] },
    { at: [7, 8], request: plain(get), results: [got(kv('a'))] },
  ],
  'two exchanges of one value': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), results: [wrote] },
    { at: [3, 6], request: swap('a', 'b'), results: [wrote] },
    { at: [4, 7], request: swap('a', 'c'), results: [wrote] },
  ],
  'an exchange that is refused although its condition holds': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), results: [wrote] },
    { at: [3, 4], request: swap('a', 'b'), succeeded: false, results: [got(kv('a'))] },
  ],
  'a delete that finds what is gone': [
    'register-order',
    { at: [1, 2], request: plain(put('a')), results: [wrote] },
    { at: [3, 4], request: plain(remove), results: [{ kind: 'deleted', count: 1 }] },
    { at: [5, 6], request: plain(remove), results: [{ kind: 'deleted', count: 1 }] },
  ],
  'two readers who disagree about the order': [
    'register-order',
    { at: [1, 20], request: plain(put('a')), results: [wrote] },
    { at: [2, 21], request: plain(put('b')), results: [wrote] },
    { at: [3, 4], request: plain(get), results: [got(kv('a'))] },
    { at: [5, 6], request: plain(get), results: [got(kv('b'))] },
    { at: [7, 8], request: plain(get), results: [got(kv('a'))] },
  ],
  'a read before its write': [
    'register-order',
    { at: [1, 2], request: plain(get), results: [got(kv('a'))] },
    { at: [3, 4], request: plain(put('a')), results: [wrote] },
  ],
  'a value that nobody wrote': [
    'register-phantom',
    { at: [1, 2], request: plain(get), results: [got(kv('x'))] },
  ],
  'a write that was refused and is read': [
    'register-phantom',
    { at: [1, 2], request: plain(put('a')), fate: 'failed' },
    { at: [3, 4], request: plain(get), results: [got(kv('a'))] },
  ],
}

for (const [title, [rule, ...given]] of Object.entries(BROKEN_REGISTERS))
  test(`registers: ${title} is found`, (t) => {
    t.deepEqual(rules(checkLinearizable({ operations: history(...given) })), [rule])
  })

test('registers: what may be, is', (t) => {
  const unknown = { at: [1, 2], request: plain(put('a')), fate: 'unknown' } as const
  const nothing = { at: [3, 4], request: plain(get), results: [got()] } as const
  const late = { at: [5, 6], request: plain(get), results: [got(kv('a'))] } as const
  t.deepEqual(checkLinearizable({ operations: history(unknown, nothing) }), [])
  t.deepEqual(checkLinearizable({ operations: history(unknown, nothing, late) }), [])
  const gone = { at: [7, 8], request: plain(remove), fate: 'unknown' } as const
  const empty = { at: [9, 10], request: plain(get), results: [got()] } as const
  t.deepEqual(checkLinearizable({ operations: history(unknown, late, gone, empty) }), [])
})

test('registers: a search that takes too long is a failure', (t) => {
  const operations = history(
    { at: [1, 9], request: plain(put('a')), results: [wrote] },
    { at: [2, 9], request: plain(put('b')), results: [wrote] },
  )
  t.deepEqual(rules(checkLinearizable({ operations }, 1)), ['register-undecided'])
})

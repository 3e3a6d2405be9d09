import test from 'ava'
import fc from 'fast-check'
import type { Column, ColumnType } from '../../lib/column.ts'
import { DEFAULT_SCHEMA_POLICY, type SchemaAction, type SchemaPolicy } from '../../lib/policy.ts'
import type { BatchPlan, ObservedColumn } from './batch-plan.ts'
import type { Failed } from './failure.ts'
import { failureError } from './failure.ts'
import { mergeSchema, type Merged, type MergeOptions } from './merge-schema.ts'
import { planBatch, type BatchRequest, type Planned } from './plan-batch.ts'
import { COLUMNS_MAX } from './schema-failures.ts'
import type { Decision } from './schema-verdict.ts'

const OPTIONS: MergeOptions = { table: 'shop.orders' }

function seen(name: string, type: ColumnType, extra: Partial<ObservedColumn> = {}): ObservedColumn {
  return { name, type, sourceType: type, empty: false, ...extra }
}

const policy = (change: Partial<SchemaPolicy> = {}): SchemaPolicy => ({
  ...DEFAULT_SCHEMA_POLICY,
  ...change,
})

function merged(result: Merged | Failed): Merged {
  if (result.kind === 'failed') throw failureError(result.failure)
  return result
}

function failure(result: Merged | Planned | Failed) {
  if (result.kind !== 'failed') throw new Error('it did not fail')
  return result.failure
}

function merge(
  columns: readonly Column[],
  observed: readonly ObservedColumn[],
  change: Partial<SchemaPolicy> = {},
  options: Partial<MergeOptions> = {},
): Merged {
  return merged(mergeSchema(columns, observed, policy(change), { ...OPTIONS, ...options }))
}

const base = merge([], [seen('id', 'long'), seen('price', 'double')]).columns
const brief = (columns: readonly Column[]) => columns.map((c) => `${c.id} ${c.name} ${c.type}`)

// ── Columns ───────────────────────────────────────────────────────────────────────────────────────

test('the first batch makes the columns, in the order of the source; empty ones wait', (t) => {
  const result = merge(
    [],
    [
      seen('Id', 'long'),
      seen('later', 'string', { empty: true }),
      seen('data', 'string', { semantic: 'json' }),
    ],
  )
  t.deepEqual(brief(result.columns), ['1 id long', '2 data string'])
  t.is(result.columns[1]?.semantic, 'json')
  t.deepEqual(result.changes, ['added column id (long)', 'added column data (string)'])
  t.deepEqual(
    result.outputs.map((output) => [output.column.name, output.input, output.take]),
    [
      ['id', 'Id', 'value'],
      ['data', 'data', 'value'],
    ],
  )
})

test('a column that the batch lacks is filled with null', (t) => {
  const result = merge(base, [seen('price', 'double'), seen('id', 'long', { empty: true })])
  t.deepEqual(
    result.outputs.map((output) => output.input),
    [undefined, 'price'],
  )
  t.deepEqual(result.changes, [])
})

test('a new column does what the policy says', (t) => {
  const batch = [...base.map((c) => seen(c.source, c.type)), seen('City Name', 'string')]
  const evolve = merge(base, batch)
  t.deepEqual(brief(evolve.columns).at(-1), '3 city_name string')
  const frozen = failure(mergeSchema(base, batch, policy({ columns: 'freeze' }), OPTIONS))
  t.is(frozen.code, 'SCHEMA_FROZEN')
  t.regex(frozen.message, /shop\.orders.*City Name \(string\)/)
  const row = merge(base, batch, { columns: 'discard_row' })
  t.deepEqual(row.rejects, [
    { kind: 'present', input: 'City Name', reason: 'column City Name is not in the table' },
  ])
  t.deepEqual(row.columns, base)
  const value = merge(base, batch, { columns: 'discard_value' })
  t.deepEqual([value.discarded, value.rejects, value.columns], [['City Name'], [], base])
})

test('ask queues one question, rejects until it is answered, then follows the answer', (t) => {
  const batch = [...base.map((c) => seen(c.source, c.type)), seen('city', 'string')]
  const change = { kind: 'add-column', column: 'city', type: 'string' }
  const first = merge(base, batch, { columns: 'ask' })
  t.deepEqual(first.decisions, [change])
  t.is(first.rejects[0]?.kind, 'present')
  const asked = (status: Decision['status']) =>
    merge(
      base,
      batch,
      { columns: 'ask' },
      { decisions: [{ change: { ...change, type: 'long' }, status }] },
    )
  t.deepEqual(asked('pending').decisions, [])
  t.is(asked('pending').rejects.length, 1)
  t.deepEqual(brief(asked('approved').columns).at(-1), '3 city string')
  t.deepEqual([asked('denied').discarded, asked('denied').rejects], [['city'], []])
})

test('a table that may not be made takes no rows', (t) => {
  const batch = [seen('id', 'long')]
  const frozen = failure(mergeSchema([], batch, policy({ tables: 'freeze' }), OPTIONS))
  t.is(frozen.code, 'SCHEMA_FROZEN')
  const rejected = merge([], batch, { tables: 'discard_row' })
  t.deepEqual(
    [rejected.columns, rejected.outputs, rejected.rejects.map((rule) => rule.kind)],
    [[], [], ['present', 'null-key']],
  )
  const asked = merge([], batch, { tables: 'ask' })
  t.deepEqual(asked.decisions, [{ kind: 'add-table', table: 'shop.orders' }])
  const approved: Decision = {
    change: { kind: 'add-table', table: 'shop.orders' },
    status: 'approved',
  }
  const made = merge([], batch, { tables: 'ask', columns: 'freeze' }, { decisions: [approved] })
  t.deepEqual(brief(made.columns), ['1 id long'])
  const denied: Decision = { ...approved, status: 'denied' }
  const refused = merge([], batch, { tables: 'ask' }, { decisions: [denied] })
  t.deepEqual([refused.rejects.length, refused.decisions], [2, []])
})

test('values that do not fit go where the policy says', (t) => {
  const batch = [seen('id', 'string'), seen('price', 'integer')]
  for (const types of ['variant', 'evolve'] as const) {
    const kept = merge(base, batch, { types })
    t.deepEqual(brief(kept.columns).at(-1), '3 id__string string')
    t.is(kept.columns.at(-1)?.role, 'variant')
    t.deepEqual(kept.changes, [
      'added column id__string (string) for values of id that are no long',
    ])
    t.deepEqual(
      kept.outputs.map(({ column, input, take, fits }) => [column.name, input, take, fits]),
      [
        ['id', 'id', 'fitting', 'long'],
        ['price', 'price', 'value', 'double'],
        ['id__string', 'id', 'misfit', 'long'],
      ],
    )
    t.deepEqual(merge(kept.columns, batch, { types }).changes, [])
    t.is(
      merge(
        kept.columns,
        base.map((c) => seen(c.source, c.type)),
      ).outputs[2]?.input,
      undefined,
    )
  }
  const frozen = failure(mergeSchema(base, batch, policy({ types: 'freeze' }), OPTIONS))
  t.is(frozen.code, 'SCHEMA_FROZEN')
  t.regex(frozen.message, /id \(long, now string\)/)
  const row = merge(base, batch, { types: 'discard_row' })
  t.deepEqual(row.rejects, [
    { kind: 'misfit', input: 'id', fits: 'long', reason: 'value of id is no long' },
  ])
  const value = merge(base, batch, { types: 'discard_value' })
  t.deepEqual([value.outputs[0]?.take, value.rejects, value.discarded], ['fitting', [], ['id']])
  const asked = merge(base, batch, { types: 'ask' })
  t.deepEqual(asked.decisions, [{ kind: 'change-type', column: 'id', from: 'long', to: 'string' }])
  t.is(asked.rejects[0]?.kind, 'misfit')
})

test('numbers of another kind are tried as they are, and kept apart once one does not fit', (t) => {
  const tried = merge(base, [seen('price', 'long')])
  t.deepEqual([tried.outputs[1]?.take, tried.changes], ['value', []])
  const misfit = merge(base, [seen('price', 'long', { misfit: true })])
  t.deepEqual(brief(misfit.columns).at(-1), '3 price__string string')
  t.is(merge(base, [seen('id', 'double')]).outputs[0]?.take, 'fitting')
  t.is(merge(base, [seen('id', 'double', { alsoFits: ['long'] })]).outputs[0]?.take, 'value')
})

test('a frozen column takes whole numbers among fractions, but no wider type', (t) => {
  const frozen = policy({ types: 'freeze' })
  t.is(mergeSchema(base, [seen('price', 'long')], frozen, OPTIONS).kind, 'merged')
  const narrow = merge([], [seen('n', 'integer')]).columns
  t.is(failure(mergeSchema(narrow, [seen('n', 'long')], frozen, OPTIONS)).code, 'SCHEMA_FROZEN')
  t.is(merge(narrow, [seen('n', 'long')]).outputs[0]?.take, 'value')
  const again = mergeSchema(base, [seen('price', 'long', { misfit: true })], frozen, OPTIONS)
  t.is(failure(again).code, 'SCHEMA_FROZEN')
})

test('a misfit that the encoder reports is planned for, even where the types agree', (t) => {
  const result = merge(base, [seen('id', 'long', { misfit: true })])
  t.deepEqual(
    result.outputs.filter(({ column }) => column.source === 'id').map(({ take }) => take),
    ['fitting', 'misfit'],
  )
})

test('a hint decides the type of a new column and is taken at its word until a misfit', (t) => {
  const types = { at: 'timestamp', price: 'string' }
  const result = merge(base, [seen('at', 'string'), seen('price', 'double')], {}, { types })
  t.deepEqual(brief(result.columns), ['1 id long', '2 price double', '3 at timestamp'])
  t.is(result.outputs[2]?.take, 'value')
  const again = merge(result.columns, [seen('at', 'string', { misfit: true })], {}, { types })
  t.deepEqual(brief(again.columns).at(-1), '4 at__string string')
  t.is(
    failure(mergeSchema([], [seen('a', 'string')], policy(), { ...OPTIONS, types: { a: 'int' } }))
      .code,
    'CONFIG_INVALID',
  )
})

test('a key value that does not fit rejects its row', (t) => {
  const result = merge(base, [seen('id', 'string')], {}, { key: ['id'] })
  t.deepEqual(result.rejects, [
    { kind: 'misfit', input: 'id', fits: 'long', reason: 'key id is no long' },
  ])
  t.deepEqual(result.columns, base)
})

test('a column that stops holding only JSON says so once', (t) => {
  const json = merge([], [seen('a', 'string', { semantic: 'json' })]).columns
  t.is(merge(json, [seen('a', 'string', { semantic: 'json' })]).columns[0]?.semantic, 'json')
  const plain = merge(json, [seen('a', 'string')])
  t.deepEqual(plain.changes, ['column a holds text, no longer only json'])
  t.false('semantic' in plain.columns[0]!)
  t.deepEqual(merge(plain.columns, [seen('a', 'string', { semantic: 'json' })]).changes, [])
})

test('more columns than a table may have, doubled and reserved names are refused by name', (t) => {
  const many = Array.from({ length: COLUMNS_MAX + 1 }, (_, index) => seen(`c${index}`, 'long'))
  const tooMany = failure(mergeSchema([], many, policy(), OPTIONS))
  t.deepEqual(
    [tooMany.code, /2001 columns; the limit is 2000/.test(tooMany.message)],
    ['SCHEMA_INVALID', true],
  )
  t.is(merge([], many.slice(1)).columns.length, COLUMNS_MAX)
  const doubled = failure(
    mergeSchema([], [seen('a', 'long'), seen('a', 'long')], policy(), OPTIONS),
  )
  t.regex(doubled.message, /two columns called "a"/)
  const reserved = failure(mergeSchema([], [seen('_hakiri_seq', 'long')], policy(), OPTIONS))
  t.is(reserved.code, 'SCHEMA_INVALID')
  t.regex(reserved.message, /_hakiri_seq/)
})

// ── Properties ────────────────────────────────────────────────────────────────────────────────────

type Value = number | string | boolean | null
type Row = { readonly [name: string]: Value }

const NAMES = ['id', 'Id', 'a b', 'a_b', 'x', 'x__string', 'name']
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom('u', '7', ''),
  fc.boolean(),
)
const batches = fc.array(
  fc.array(fc.dictionary(fc.constantFrom(...NAMES), value), { minLength: 1, maxLength: 5 }),
  { minLength: 1, maxLength: 6 },
)
const action = fc.constantFrom<SchemaAction>('evolve', 'discard_row', 'discard_value', 'ask')
const policies = fc.record<SchemaPolicy>({
  tables: fc.constantFrom('evolve', 'discard_row', 'ask'),
  columns: action,
  types: fc.oneof(action, fc.constant('variant' as const)),
})

const kindOf = (item: Value): ColumnType =>
  typeof item === 'number' ? 'long' : typeof item === 'boolean' ? 'boolean' : 'string'

const kindsOf = (item: Value): readonly ColumnType[] => (item === null ? [] : [kindOf(item)])

function observe(rows: readonly Row[]): readonly ObservedColumn[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  return names.map((name) => {
    const kinds = new Set(rows.flatMap((row) => kindsOf(row[name] ?? null)))
    const type = kinds.size === 1 ? [...kinds][0]! : 'string'
    return seen(name, type, { empty: kinds.size === 0 })
  })
}

const fitsColumn = (item: Value, type: ColumnType): boolean =>
  item !== null && (type === 'string' || kindOf(item) === type)

/** A small encoder: what the plan does to one row. Undefined: the row is rejected. */
function execute(plan: Pick<BatchPlan, 'outputs' | 'rejects'>, row: Row) {
  const rejected = plan.rejects.some((rule) => {
    const item = row[rule.input] ?? null
    switch (rule.kind) {
      case 'present':
        return item !== null
      case 'null-key':
        return item === null
      case 'empty-text':
        return item === ''
      case 'misfit':
        return item !== null && !fitsColumn(item, rule.fits)
    }
  })
  if (rejected) return undefined
  return plan.outputs.map(({ input, take, fits }) => {
    const item = input === undefined ? null : (row[input] ?? null)
    const isFitting = fitsColumn(item, fits)
    if (take === 'value' && item !== null && !isFitting) throw new Error(`${input} does not fit`)
    return (take === 'misfit') === isFitting ? null : item
  })
}

test('no value is lost: each is written, rejected with its row, or its column is named', (t) => {
  fc.assert(
    fc.property(batches, policies, (history, chosen) => {
      let columns: readonly Column[] = []
      for (const rows of history) {
        const result = merged(mergeSchema(columns, observe(rows), chosen, OPTIONS))
        for (const row of rows) {
          const written = execute(result, row)
          if (!written) continue
          for (const [name, item] of Object.entries(row)) {
            if (item === null || result.discarded.includes(name)) continue
            const places = result.outputs.flatMap((output, index) =>
              output.column.source === name && written[index] !== null ? [written[index]] : [],
            )
            t.deepEqual(places, [item], `${name} of ${JSON.stringify(row)}`)
          }
        }
        columns = result.columns
      }
    }),
  )
})

test('columns are only added, ids and names never change or repeat, and twice is as once', (t) => {
  fc.assert(
    fc.property(batches, policies, (history, chosen) => {
      let columns: readonly Column[] = []
      for (const rows of history) {
        const observed = observe(rows)
        const result = merged(mergeSchema(columns, observed, chosen, OPTIONS))
        t.deepEqual(brief(result.columns).slice(0, columns.length), brief(columns))
        t.is(new Set(result.columns.map(({ id }) => id)).size, result.columns.length)
        const names = result.columns.map(({ name }) => name.toLowerCase())
        t.is(new Set(names).size, names.length)
        const again = merged(mergeSchema(result.columns, observed, chosen, OPTIONS))
        t.deepEqual([again.changes, again.columns], [[], result.columns])
        t.deepEqual(merged(mergeSchema(columns, observed, chosen, OPTIONS)), result)
        t.is(result.changes.length > 0, JSON.stringify(columns) !== JSON.stringify(result.columns))
        columns = result.columns
      }
    }),
  )
})

// ── Batches ───────────────────────────────────────────────────────────────────────────────────────

const request = (change: Partial<BatchRequest> = {}): BatchRequest => ({
  table: 'shop.orders',
  mode: 'append',
  columns: [],
  observed: [seen('Id', 'long'), seen('createdAt', 'timestamp'), seen('country', 'string')],
  policy: DEFAULT_SCHEMA_POLICY,
  key: [],
  partitionBy: [],
  sequence: 7n,
  ...change,
})

function planned(change: Partial<BatchRequest>): Planned {
  const result = planBatch(request(change))
  if (result.kind === 'failed') throw failureError(result.failure)
  return result
}

test('a batch is partitioned by its own columns and by derived ones, which stay', (t) => {
  const result = planned({
    partitionBy: [
      { transform: 'identity', column: 'country' },
      { transform: 'day', column: 'createdAt' },
      { transform: 'year', column: 'created_at' },
      { transform: 'month', column: 'created_at' },
      { transform: 'hour', column: 'created_at' },
    ],
  })
  t.deepEqual(brief(result.columns).slice(3), [
    '4 created_at_day date',
    '5 created_at_year integer',
    '6 created_at_month string',
    '7 created_at_hour string',
  ])
  t.deepEqual(result.partitionBy, [
    'country',
    'created_at_day',
    'created_at_year',
    'created_at_month',
    'created_at_hour',
  ])
  t.deepEqual(result.plan.partitions.slice(0, 2), [
    { name: 'country', transform: 'identity', column: 'country' },
    { name: 'created_at_day', transform: 'day', column: 'created_at' },
  ])
  t.deepEqual(
    result.plan.outputs.map(({ column }) => column.name),
    ['id', 'created_at', 'country'],
  )
  const again = planned({
    columns: result.columns,
    partitionBy: [{ transform: 'day', column: 'createdAt' }],
    observed: [...request().observed, seen('created_at_day', 'string')],
  })
  t.deepEqual(again.changes, ['added column created_at_day_2 (string)'])
  t.deepEqual(again.partitionBy, ['created_at_day'])
})

test('a row that would stand in the partition of the empty text is rejected', (t) => {
  const result = planned({ partitionBy: [{ transform: 'identity', column: 'country' }] })
  t.deepEqual(result.plan.rejects, [
    { kind: 'empty-text', input: 'country', reason: 'partition column country is empty text' },
  ])
  t.deepEqual(
    planned({ partitionBy: [{ transform: 'day', column: 'createdAt' }] }).plan.rejects,
    [],
  )
})

test('a partition that cannot be is refused by name', (t) => {
  const missing = failure(
    planBatch(request({ partitionBy: [{ transform: 'day', column: 'nope' }] })),
  )
  t.regex(missing.message, /partition_by names nope/)
  const wrong = failure(
    planBatch(request({ partitionBy: [{ transform: 'day', column: 'country' }] })),
  )
  t.regex(wrong.message, /country is string, which cannot be partitioned by day/)
  const time = failure(
    planBatch(request({ partitionBy: [{ transform: 'identity', column: 'createdAt' }] })),
  )
  t.is(time.code, 'SCHEMA_INVALID')
})

test('an upsert is merged by its key, rows without one are rejected', (t) => {
  const result = planned({ mode: 'upsert', key: ['Id'] })
  t.deepEqual(result.plan.merge, { key: ['id'], sequence: 7n })
  t.deepEqual(result.key, ['id'])
  t.deepEqual(result.plan.rejects, [{ kind: 'null-key', input: 'Id', reason: 'key Id is null' }])
  const later = planned({
    mode: 'upsert',
    key: ['Id'],
    columns: result.columns,
    observed: [seen('country', 'string')],
  })
  t.deepEqual(
    later.plan.rejects.map(({ kind, reason }) => [kind, reason]),
    [
      ['present', 'key Id is missing'],
      ['null-key', 'key Id is missing'],
    ],
  )
})

test('an upsert without a key, or with one that is nowhere, is refused', (t) => {
  t.is(failure(planBatch(request({ mode: 'upsert' }))).code, 'CONFIG_INVALID')
  const nowhere = failure(planBatch(request({ mode: 'upsert', key: ['nope'] })))
  t.regex(nowhere.message, /the key names nope/)
  t.is(planned({ mode: 'append', key: ['nope'] }).plan.merge, undefined)
})

test('a hinted partition column exists even while it holds only nulls', (t) => {
  const observed = [seen('id', 'long'), seen('at', 'string', { empty: true })]
  const partitionBy = [{ transform: 'day', column: 'at' }] as const
  t.is(failure(planBatch(request({ observed, partitionBy }))).code, 'SCHEMA_INVALID')
  const hinted = planned({ observed, partitionBy, types: { at: 'timestamp' } })
  t.deepEqual(brief(hinted.columns), ['1 id long', '2 at timestamp', '3 at_day date'])
})

test('rows without any value are rejected, not written as nothing', (t) => {
  const observed = [seen('id', 'string', { empty: true })]
  const result = planned({ observed })
  t.deepEqual(
    [result.plan.outputs, result.plan.rejects.map(({ kind }) => kind), result.columns],
    [[], ['present', 'null-key'], []],
  )
  t.is(failure(planBatch(request({ observed: [] }))).code, 'SCHEMA_INVALID')
})

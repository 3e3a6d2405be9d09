import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import type { Action } from '../../support/delta-reader.ts'
import { API_COLUMNS, apiRow, firstFrom } from './api-rows.ts'
import { drawFault } from './api-server.ts'
import { diskSource, openDiskBucket, readJournal, type JournalEntry } from './bucket-disk.ts'
import { newestRows } from './found.ts'
import { openGrowth } from './growth.ts'
import { auditLiveness, type HealedShard, type LivenessFacts } from './liveness.ts'
import {
  lintBodies,
  lintFiles,
  lintGrowth,
  lintLive,
  lintShards,
  type Version,
} from './log-history.ts'
import { auditMemory, COORDINATOR_BYTES_MAX, workerBytesMax } from './memory.ts'
import { auditObjects, orphansOf } from './objects.ts'
import type { Problem } from './problem.ts'
import { compareRows, type KeyedRow } from './rows.ts'
import { lintPast } from './tables.ts'

const checksOf = (problems: readonly Problem[]): readonly string[] => [
  ...new Set(problems.map(({ check }) => check)),
]

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────────

const rowsArbitrary = fc
  .uniqueArray(fc.nat(1_000), { minLength: 4, maxLength: 40 })
  .map((keys) => keys.map((key): KeyedRow => ({ key, text: `row ${key}` })))

test('equal rows are equal in any order, and each way to differ is named', async (t) => {
  await fc.assert(
    fc.asyncProperty(rowsArbitrary, fc.nat(), async (rows, chance) => {
      const compare = async (found: readonly KeyedRow[]) =>
        (await compareRows('t', each(rows), each(found))).problems
      t.deepEqual(await compare(rows.toReversed()), [])
      const at = chance % rows.length
      const row = rows[at]!
      const planted = {
        lost: rows.toSpliced(at, 1),
        doubled: [...rows, row],
        changed: rows.with(at, { ...row, text: `${row.text}.` }),
        extra: [...rows, { key: 2_000, text: 'new' }],
      }
      for (const [check, found] of Object.entries(planted)) {
        const problems = await compare(found)
        t.deepEqual(checksOf(problems), [check])
        t.true(problems[0]?.text.includes(String(check === 'extra' ? 2_000 : row.key)))
      }
    }),
  )
})

test('a key that a table shows twice with the same sequence is doubled, an older one is not seen', async (t) => {
  const found = async (rows: readonly (KeyedRow & { sequence: bigint })[]) =>
    Array.fromAsync(newestRows(each(rows)))
  const row = { key: 1, text: 'old', sequence: 1n }
  const newer = { key: 1, text: 'new', sequence: 2n }
  t.deepEqual(await found([newer, row]), [{ key: 1, text: 'new' }])
  t.is((await found([row, newer, { ...newer, text: 'other' }])).length, 2)
})

test('a version of the past that lost or doubled a key is reported', (t) => {
  t.deepEqual(lintPast('v', [1, 2, 3], [1, 2]), [])
  t.deepEqual(checksOf(lintPast('v', [1, 3, 3], [1, 2])), ['past-doubled', 'past-lost'])
})

// ── Logs ────────────────────────────────────────────────────────────────────────────────────────────

const add = (path: string, rows: number, dataChange = true): Action => ({
  kind: 'add',
  value: {
    path,
    partitionValues: {},
    size: 1,
    modificationTime: 1,
    dataChange,
    stats: `{"numRecords":${rows}}`,
  },
})
const remove = (path: string, dataChange: boolean): Action => ({
  kind: 'remove',
  value: { path, dataChange },
})
const log = (...versions: readonly (readonly Action[])[]): readonly Version[] =>
  versions.map((actions, version) => ({ version, actions }))

test('an append table may be compacted, but not lose rows', (t) => {
  const start = [add('a', 2), add('b', 3)]
  const compacted = [remove('a', false), remove('b', false), add('c', 5, false)]
  t.deepEqual(lintGrowth('t', log(start, compacted, [add('d', 1)])), [])
  t.deepEqual(checksOf(lintGrowth('t', log(start, [remove('a', true), add('c', 9)]))), [
    'append-only',
  ])
  const short = [remove('a', false), remove('b', false), add('c', 4, false)]
  t.deepEqual(checksOf(lintGrowth('t', log(start, short))), ['append-only'])
})

test('a file that any version names must be there', (t) => {
  const versions = log([add('a%20b', 1)], [remove('a%20b', false), add('c', 1, false)])
  t.deepEqual(lintFiles('t', versions, new Set(['a b', 'c'])), [])
  t.deepEqual(checksOf(lintFiles('t', versions, new Set(['c']))), ['missing-file'])
})

const APP = 'hakiri:x:p/a'
const told = (epoch: number, seq: number, txn: number = seq): readonly Action[] => [
  { kind: 'commitInfo', value: { hakiri: { shards: { [APP]: { epoch, seq } } } } },
  { kind: 'txn', value: { appId: APP, version: txn } },
]

test('epochs and sequences of a log do not go back, and agree with its txns', (t) => {
  t.deepEqual(lintShards('t', log(told(1, 1), told(1, 4), told(2, 5))), [])
  t.deepEqual(checksOf(lintShards('t', log(told(2, 1), told(1, 2)))), ['log-epochs'])
  t.deepEqual(checksOf(lintShards('t', log(told(1, 2), told(1, 2)))), ['log-seqs'])
  t.deepEqual(checksOf(lintShards('t', log(told(1, 1, 2)))), ['log-txns'])
  t.deepEqual(checksOf(lintShards('t', log(told(1, 1).slice(0, 1)))), ['log-txns'])
})

test('a version whose bytes are not those of the catalog is reported, as is one that is not there', async (t) => {
  const body = (version: number): string => `_delta_log/${String(version).padStart(20, '0')}.json`
  const objects = new Map([[body(0), 'zero'] as const, [body(1), 'other'] as const])
  const source = {
    get: (key: string) => {
      const text = objects.get(key)
      return Promise.resolve(text === undefined ? undefined : Buffer.from(text))
    },
    list: () => each([]),
  }
  const stored = (...bodies: readonly string[]) =>
    bodies.map((text, version) => ({ version, body: text }))
  t.deepEqual(await lintBodies('t', source, stored('zero')), [])
  const [problem] = await lintBodies('t', source, stored('zero', 'one', 'two'))
  t.is(problem?.check, 'log-bodies')
  t.regex(problem?.text ?? '', /1 differs, 2 is not in the bucket/)
})

test('catalog and log must agree about the files that count', (t) => {
  const [a, ab] = [new Set(['a']), new Set(['a', 'b'])]
  t.deepEqual(lintLive('t', ab, ab), [])
  t.regex(lintLive('t', a, ab)[0]?.text ?? '', /in the log alone: b/)
  t.regex(lintLive('t', ab, a)[0]?.text ?? '', /in the catalog alone: b/)
})

// ── Objects ─────────────────────────────────────────────────────────────────────────────────────────

const put = (key: string, etag: string): JournalEntry => ({
  kind: 'put',
  key,
  etag,
  bytes: 1,
  modifiedAt: 1,
  file: '0',
})

test('a name may be written again with the same bytes only; hints and checkpoints as one likes', (t) => {
  const version = 't/_delta_log/00000000000000000001.json'
  const free = [
    't/_delta_log/_last_checkpoint',
    't/_delta_log/00000000000000000001.checkpoint.parquet',
  ]
  for (const key of ['t/a.parquet', version]) {
    t.deepEqual(auditObjects([put(key, 'x'), put(key, 'x')]), [])
    t.deepEqual(checksOf(auditObjects([put(key, 'x'), put(key, 'y')])), ['object-rewritten'])
    const reused = [put(key, 'x'), { kind: 'delete', key } as const, put(key, 'y')]
    t.deepEqual(checksOf(auditObjects(reused)), ['object-rewritten'])
  }
  for (const key of free) t.deepEqual(auditObjects([put(key, 'x'), put(key, 'y')]), [])
})

test('orphans are the data files that nobody names', (t) => {
  const objects = ['a.parquet', 'b.parquet', '_delta_log/1.checkpoint.parquet', '_delta_log/1.json']
  const sized = objects.map((key) => ({ key, bytes: 7 }))
  t.deepEqual(orphansOf(sized, new Set(['a.parquet'])), { files: 1, bytes: 7 })
})

test('a bucket on disk is the same after its process is gone, without a torn last line', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bucket-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const bucket = openDiskBucket(folder)
  const keep = (key: string, text: string): void => {
    const object = { body: Buffer.from(text), bytes: text.length, etag: text, modifiedAt: 1 }
    bucket.objects.set(key, bucket.keeper?.keep(key, object) ?? object)
  }
  keep('t/a', 'first')
  keep('t/a', 'second')
  keep('t/b', 'gone')
  bucket.keeper?.drop('t/b')
  await appendFile(join(folder, 'journal'), '{"kind":"put","key":"t/c"')
  const source = diskSource(folder, 't/')
  t.deepEqual(await Array.fromAsync(source.list('')), [{ key: 'a', bytes: 6 }])
  t.is(Buffer.from((await source.get('a')) ?? []).toString(), 'second')
  t.is(readJournal(folder).length, 4)
})

// ── Sources ─────────────────────────────────────────────────────────────────────────────────────────

test('a row of the API is the same at every look, and ids of parts never meet', (t) => {
  fc.assert(
    fc.property(fc.nat(200), fc.integer({ min: 1, max: 1_000_000 }), (part, n) => {
      const row = apiRow(part, n)
      t.deepEqual(row, apiRow(part, n))
      t.is(firstFrom(part, row.id), n)
      t.deepEqual(Object.keys(row), [...API_COLUMNS])
      t.false(Number.isInteger(row.ratio))
      t.true(apiRow(part + 1, 1).id > row.id)
    }),
  )
})

test('a source that grows never shrinks, nor when it is stopped, started and opened anew', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-growth-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const clock = { ms: 0, now: () => clock.ms }
  const open = () => openGrowth(join(folder, 'state'), clock)
  const first = open()
  t.is(first.count(10), 0)
  first.start()
  clock.ms = 1_000
  t.is(first.count(10), 10)
  clock.ms = 500
  t.is(first.count(10), 10, 'a clock that jumps back takes nothing away')
  clock.ms = 2_000
  const second = open()
  t.is(second.count(10), 20)
  second.stop()
  clock.ms = 9_000
  t.is(open().count(10), 20)
})

test('the API fails as often as it is told', (t) => {
  const faults = { rate: 0.2, badGateway: 0.2, slow: 0.2, cut: 0.2, reset: 0.2 }
  for (const [chance, kind] of [
    [0.1, 'rate'],
    [0.3, 'status'],
    [0.5, 'slow'],
    [0.9, 'reset'],
  ] as const)
    t.is(drawFault(faults, () => chance)?.kind, kind)
  t.regex(drawFault(faults, () => 0.7)?.kind ?? '', /^cut/)
  t.is(
    drawFault({ reset: 0.5 }, () => 0.5),
    undefined,
  )
  t.is(
    drawFault({}, () => 0),
    undefined,
  )
})

// ── Memory and liveness ─────────────────────────────────────────────────────────────────────────────

test('a process over its bound is named with its highest sample; one that was never measured as well', (t) => {
  const samples = [100, 170, 160].map((mb, at) => ({
    atMs: at * 1_000,
    name: 'c1',
    rssBytes: mb * 1e6,
  }))
  const bound = { name: 'c1', bytesMax: COORDINATOR_BYTES_MAX }
  t.deepEqual(auditMemory(samples.slice(0, 1), [bound]), [])
  const [problem] = auditMemory(samples, [bound])
  t.regex(problem?.text ?? '', /170 MB after 1 s, 150 MB are meant; 2 of 3/)
  t.deepEqual(checksOf(auditMemory(samples, [{ ...bound, name: 'c2' }])), ['memory-unseen'])
  t.is(workerBytesMax(64e6), 364e6)
})

const SHARD: HealedShard = {
  pipeline: 'events',
  shard: 'a',
  paused: false,
  quarantine: null,
  pending: 0,
}
const WELL: LivenessFacts = {
  runs: [{ pipeline: 'events', run: 1, status: 'succeeded', error: null, tookMs: 900 }],
  workers: { up: ['w1'], members: ['w1'] },
  shards: [SHARD],
  sourceFaults: [{ pipelines: ['events'], title: 'the API is away' }],
}
const run = (change: object): LivenessFacts => ({
  ...WELL,
  runs: [{ ...WELL.runs[0]!, ...change }],
})
const shard = (change: object): LivenessFacts => ({ ...WELL, shards: [{ ...SHARD, ...change }] })
const AWAY = 'failed in 3 runs in a row: SOURCE_UNREACHABLE: connection refused'

const UNWELL: readonly (readonly [what: string, facts: LivenessFacts, check: string])[] = [
  ['a run that has not ended', run({ status: undefined, tookMs: 2_000 }), 'run-ends'],
  ['a run that failed', run({ status: 'failed', error: 'no' }), 'run-succeeds'],
  ['a run that took too long', run({ tookMs: 1_001 }), 'run-in-time'],
  ['a worker that is no member', { ...WELL, workers: { up: ['w1'], members: [] } }, 'member'],
  ['a member that is not up', { ...WELL, workers: { up: [], members: ['w1'] } }, 'member-gone'],
  ['a shard that is stuck', shard({ pending: 1 }), 'shard-stuck'],
  ['a shard that is paused', shard({ paused: true }), 'shard-paused'],
  [
    'a quarantine for another reason',
    shard({ quarantine: 'failed in 3 runs in a row: INTERNAL: SOURCE_RATE: no' }),
    'quarantine',
  ],
  [
    'a quarantine over a source that was never away',
    shard({ pipeline: 'ledger', quarantine: AWAY }),
    'quarantine',
  ],
]

test('a cluster that came back in time is well, also with a quarantine that the faults explain', (t) => {
  t.deepEqual(auditLiveness(WELL, 1_000), [])
  t.deepEqual(auditLiveness(shard({ quarantine: AWAY }), 1_000), [])
})

for (const [what, facts, check] of UNWELL)
  test(`${what} is reported`, (t) => t.deepEqual(checksOf(auditLiveness(facts, 1_000)), [check]))

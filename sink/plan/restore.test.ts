import test from 'ava'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import {
  append,
  CATALOG,
  ENGINE,
  foldInput,
  newModel,
  play,
  publish,
  replayAll,
  TABLE,
} from '../../test/support/log-model.ts'
import { CONFIG, TAG } from './actions.ts'
import { checkpointActions, isCheckpointDue, lastCheckpointBody } from './checkpoint.ts'
import { appId, foldLog } from './delta.ts'
import { applyCommit, createReplay, snapshot, versionAt } from './replay.ts'
import { reconcileShards, toRestoredTable } from './restore.ts'

// ── Damage ────────────────────────────────────────────────────────────────────────────────────────

const HEAD = foldLog(foldInput(newModel()), ENGINE)
const ADD =
  '{"add":{"path":"a.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}\n'

test('a damaged log is refused with its version and line', (t) => {
  const cases: readonly [string, readonly string[], RegExp][] = [
    ['cut', [HEAD.slice(0, -5)], /version 0: it ends in the middle/],
    ['not JSON', [HEAD, '{"add":\n'], /version 1, line 1: it is not JSON/],
    ['blank line', [HEAD, `\n${ADD}`], /version 1, line 1: it is not JSON/],
    ['unknown', [HEAD, '{"sub":{}}\n'], /version 1, line 1: sub is not a known action/],
    ['two at once', [HEAD, '{"add":{},"remove":{}}\n'], /line 1: it holds both/],
    ['no path', [HEAD, `${ADD}{"remove":{"size":1}}\n`], /version 1, line 2: remove.path/],
    ['twice', [HEAD, ADD + ADD], /version 1, line 2: a second action for path a.parquet/],
    ['no size', [HEAD, ADD.replace('"size":1,', '')], /add.size is missing/],
    ['bad escape', [HEAD, ADD.replace('a.parquet', '%zz')], /not encoded as a URI/],
    ['no head', [ADD], /version 0: no protocol/],
    [
      'newer reader',
      [HEAD.replace('"minReaderVersion":1', '"minReaderVersion":3')],
      /reader version 3/,
    ],
    ['vector', [HEAD, ADD.replace('"size"', '"deletionVector":{},"size"')], /deletion vector/],
  ]
  for (const [name, bodies, message] of cases) {
    const error = t.throws(() => replayAll(bodies), { instanceOf: HakiriError }, name)
    t.is(error?.code, 'LOG_DAMAGED', name)
    t.regex(error?.message ?? '', message, name)
  }
})

test('a missing version is refused', (t) => {
  const replay = createReplay()
  applyCommit(replay, 0, HEAD)
  t.throws(() => applyCommit(replay, 2, ADD), { message: /version 2: it follows version 0/ })
  t.throws(() => snapshot(createReplay()), { message: /there is none/ })
})

test('a log of another writer is read, with places as ids and decoded paths', (t) => {
  const body = [
    '{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}',
    '{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\\"type\\":\\"struct\\",\\"fields\\":[{\\"name\\":\\"A\\",\\"type\\":\\"long\\",\\"nullable\\":true,\\"metadata\\":{}}]}","partitionColumns":[]}}',
    '{"add":{"path":"a%20b.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}',
    '{"txn":{"appId":"spark","version":3}}',
    '',
  ].join('\n')
  const state = replayAll([body])
  t.deepEqual(state.columns, [{ id: 1, name: 'A', type: 'long', source: 'A', sourceType: 'long' }])
  t.deepEqual(
    state.files.map(({ path, rows }) => [path, rows]),
    [['a b.parquet', undefined]],
  )
})

// ── Restoring ─────────────────────────────────────────────────────────────────────────────────────

test('a rebuild refuses a log that no longer holds a cursor', (t) => {
  const model = play([{ kind: 'publish', most: 10 }])
  const id = appId(CATALOG, 'shop', 'a')
  const lines = model.bodies[0]!.split('\n')
  const info = JSON.parse(lines[0]!) as {
    commitInfo: { hakiri: { shards: { [id: string]: Json } } }
  }
  delete info.commitInfo.hakiri.shards[id]
  const body = [JSON.stringify(info), ...lines.slice(1)].join('\n')
  const request = { table: TABLE.name, destination: 'lake', log: [{ version: 0, body }] }
  const error = t.throws(() => toRestoredTable(request), { instanceOf: HakiriError })
  t.regex(error?.message ?? '', /the cursor of shard a is not in the log/)
})

test('a shard that wrote to a table and to its quarantine goes on from the newer of the two', (t) => {
  const restore = (table: string, commits: number) => {
    const model = newModel()
    model.table = { ...model.table, name: table }
    for (let count = 0; count < commits; count++) append(model, 'a', 1, null)
    publish(model, 100)
    const log = model.bodies.map((body, version) => ({ version, body }))
    return toRestoredTable({ table, destination: 'lake', log })
  }
  const [orders, quarantine] = reconcileShards([
    restore('shop.orders', 2),
    restore('_quarantine.shop.orders', 5),
  ])
  t.deepEqual(
    orders?.shards.map(({ table, shard, seq }) => [table, shard, seq]),
    [['shop.orders', 'a', 5]],
  )
  t.deepEqual(orders?.epochs, { 'shop/a': 3 })
  t.deepEqual(
    quarantine?.shards.map(({ table, seq }) => [table, seq]),
    [['shop.orders', 5]],
  )
  t.deepEqual(quarantine?.epochs, {})
  t.is(orders?.lastRunId, 1)
})

test('time travel takes the newest version that is not younger, even after the clock went back', (t) => {
  const notes = [100, 200, 150, 300].map((timestamp, version) => ({ version, timestamp }))
  t.is(versionAt(notes, 99), undefined)
  t.is(versionAt(notes, 100), 0)
  t.is(versionAt(notes, 180), 0)
  t.is(versionAt(notes, 200), 2)
  t.is(versionAt(notes, 10_000), 3)
})

// ── Checkpoints ───────────────────────────────────────────────────────────────────────────────────

test('a checkpoint is due after a hundred versions, and for a large one only after enough log', (t) => {
  t.deepEqual(
    [0, 99, 100, 101, 200].map((version) => isCheckpointDue(version)),
    [false, false, true, false, true],
  )
  const last = { version: 100, bytes: 1_000, logBytes: 500 }
  t.true(isCheckpointDue(200, last))
  t.false(isCheckpointDue(199, last))
  t.false(isCheckpointDue(200, { ...last, logBytes: 499 }))
  t.true(isCheckpointDue(1_100, { ...last, logBytes: 0 }))
  t.true(isCheckpointDue(100, { version: -1, bytes: 0, logBytes: 0 }))
})

test('a checkpoint refuses files newer than its version', (t) => {
  const model = play([])
  const live = [...model.live.values()].map((file) => ({ ...file, version: 9 }))
  const facts = { catalogId: CATALOG, table: model.table, live, removed: [], txns: [], now: 1 }
  t.throws(() => checkpointActions(facts), { message: /newer than version 0/ })
})

test('the hint names version, size and files', (t) => {
  t.is(
    lastCheckpointBody({ version: 100, actions: 7, bytes: 900, adds: 4 }),
    '{"numOfAddFiles":4,"size":7,"sizeInBytes":900,"version":100}',
  )
})

test('the keys that a rebuild reads are those that logs already hold', (t) => {
  t.deepEqual(Object.values(CONFIG).toSorted(), [
    'hakiri.destination',
    'hakiri.key',
    'hakiri.mode',
    'hakiri.partition',
    'hakiri.schemaRevision',
    'hakiri.table',
  ])
  t.deepEqual(Object.values(TAG).toSorted(), [
    'hakiri.generation',
    'hakiri.pipeline',
    'hakiri.schemaRevision',
    'hakiri.shard',
  ])
})

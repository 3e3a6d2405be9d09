import { readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import type { Json } from '../../lib/json.ts'
import { auditDelta } from '../../test/support/delta-lint.ts'
import { decodePath, readDelta, type TableSource } from '../../test/support/delta-reader.ts'
import {
  append,
  CATALOG,
  checkpointOf,
  COLUMNS,
  commit,
  compact,
  ENGINE,
  evolve,
  foldInput,
  history,
  newModel,
  perform,
  play,
  publish,
  replayAll,
  TABLE,
} from '../../test/support/log-model.ts'
import { appId, foldLog } from './delta.ts'
import { logKey, logVersion } from './names.ts'
import {
  applyCheckpointRow,
  applyCommit,
  createReplay,
  finishCheckpoint,
  snapshot,
  type Snapshot,
} from './replay.ts'
import { toRestoredTable } from './restore.ts'
import { columnsOf, schemaString } from './schema-json.ts'

const withoutVersion = <T extends object>(file: T) => ({ ...file, version: undefined })

/** What a checkpoint keeps of a snapshot, in one order. */
const essence = (state: Snapshot) => ({
  version: state.version,
  uuid: state.uuid,
  columns: state.columns,
  partitionBy: state.partitionBy,
  configuration: state.configuration,
  files: state.files.map(withoutVersion).toSorted(byPath),
  tombstones: state.tombstones.map(withoutVersion).toSorted(byPath),
  txns: state.txns.toSorted((a, b) => (a.appId < b.appId ? -1 : 1)),
})

const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : 1

// ── Properties ────────────────────────────────────────────────────────────────────────────────────

test('replaying what was folded gives what the catalog holds, for any history', (t) => {
  fc.assert(
    fc.property(history, (ops) => {
      const model = play(ops)
      const state = replayAll(model.bodies)
      t.is(state.version, model.table.nextVersion - 1)
      t.deepEqual(
        state.files
          .map(({ path, bytes, rows, stats, partition, version }) => ({
            path,
            bytes,
            rows,
            stats,
            partition,
            version,
          }))
          .toSorted(byPath),
        [...model.live.values()]
          .map(({ path, bytes, rows, stats, partition, version }) => ({
            path,
            bytes,
            rows,
            stats,
            partition,
            version,
          }))
          .toSorted(byPath),
      )
      t.deepEqual([...state.tombstones].toSorted(byPath), model.removed.toSorted(byPath))
      t.deepEqual(state.columns, model.table.columns)
      t.deepEqual(
        Object.fromEntries(state.txns.map((txn) => [txn.appId, txn.version])),
        Object.fromEntries(
          [...model.txns.values()].map((txn) => [appId(CATALOG, txn.pipeline, txn.shard), txn.seq]),
        ),
      )
    }),
  )
})

test('a rebuild from the log gives the rows of the catalog back', (t) => {
  fc.assert(
    fc.property(history, (ops) => {
      const model = play(ops)
      const restored = toRestoredTable({
        table: TABLE.name,
        destination: 'lake',
        log: model.bodies.map((body, version) => ({ version, body })),
      })
      const { staging: _, publishEpoch: __, ...table } = model.table
      t.deepEqual(restored.table, table)
      t.deepEqual([...restored.live].toSorted(byPath), [...model.live.values()].toSorted(byPath))
      t.deepEqual([...restored.removed].toSorted(byPath), model.removed.toSorted(byPath))
      t.deepEqual(
        Object.fromEntries(
          restored.shards.map((s) => [`${s.pipeline}/${s.shard}`, [s.seq, s.cursor, s.spec]]),
        ),
        Object.fromEntries(
          [...model.txns].map(([key, { seq, shard }]) => [
            key,
            [seq, model.cursors.get(key), { shard }],
          ]),
        ),
      )
      t.deepEqual(
        restored.log.map((entry) => entry.body),
        model.bodies,
      )
    }),
  )
})

test('a checkpoint from the catalog and the commits after it give the same as the whole log', (t) => {
  fc.assert(
    fc.property(history, fc.nat(), (ops, choice) => {
      const checkpoints: (readonly string[])[] = []
      const model = play(ops, (now) => {
        if (now.table.nextVersion === 0 || checkpoints[now.table.nextVersion - 1]) return
        checkpoints[now.table.nextVersion - 1] = checkpointOf(now)
      })
      const from = choice % model.bodies.length
      const replay = createReplay()
      for (const [index, line] of checkpoints[from]!.entries()) {
        applyCheckpointRow(replay, from, JSON.parse(line), index + 1)
      }
      finishCheckpoint(replay, from)
      for (const [version, body] of model.bodies.entries()) {
        if (version > from) applyCommit(replay, version, body)
      }
      t.deepEqual(essence(snapshot(replay)), essence(replayAll(model.bodies)))
    }),
  )
})

/** The log alone, as a table of which no data file is there. */
const logSource = (bodies: readonly string[]): TableSource => ({
  get: (key) => Promise.resolve(bytesOf(bodies[logVersion(key) ?? -1])),
  async *list(prefix) {
    for (const [version, body] of bodies.entries()) {
      const key = logKey('t', version).slice('t/'.length)
      if (key.startsWith(prefix)) yield { key, bytes: body.length }
    }
  },
})

const bytesOf = (text: string | undefined): Uint8Array | undefined =>
  text === undefined ? undefined : new TextEncoder().encode(text)

test('an independent reader finds each log sound and reads the same files and txns from it', async (t) => {
  await fc.assert(
    fc.asyncProperty(history, async (ops) => {
      const { bodies, live, txns } = play(ops)
      const audit = await auditDelta(logSource(bodies))
      const problems = audit.problems.filter(
        (problem) => !problem.endsWith(': is live but missing'),
      )
      t.deepEqual(problems, [])
      const table = await readDelta(logSource(bodies))
      t.deepEqual(
        table.files.map(({ path }) => decodePath(path)).toSorted(),
        [...live.keys()].toSorted(),
      )
      t.is(table.txns.size, txns.size)
    }),
  )
})

test('the same history folds to the same bytes, and removes say what they remove', (t) => {
  fc.assert(
    fc.property(history, (ops) => {
      const { bodies } = play(ops)
      t.deepEqual(play(ops).bodies, bodies)
      for (const line of bodies.flatMap((body) => body.trimEnd().split('\n'))) {
        const { remove } = JSON.parse(line) as { remove?: { [field: string]: Json } }
        if (!remove) continue
        t.deepEqual(Object.keys(remove), [
          'dataChange',
          'deletionTimestamp',
          'extendedFileMetadata',
          'partitionValues',
          'path',
          'size',
        ])
      }
    }),
  )
})

test('columns come back from a schema text exactly as they were', (t) => {
  t.deepEqual(columnsOf(schemaString(COLUMNS, 'append')), COLUMNS)
  t.deepEqual(columnsOf(schemaString(COLUMNS, 'upsert')), COLUMNS)
  t.regex(schemaString(COLUMNS, 'upsert'), /"_hakiri_seq","nullable":true,"type":"long"/)
  t.is(columnsOf('{"type":"struct","fields":[{"name":"a","type":{"type":"array"}}]}'), undefined)
  t.is(columnsOf('nonsense'), undefined)
})

// ── Folding ───────────────────────────────────────────────────────────────────────────────────────

test('the order of pending commits does not show, only their ids', (t) => {
  const model = newModel()
  append(model, 'b/1', 1, null)
  append(model, 'a', 2, null)
  append(model, 'a', 1, '2024-05-01')
  const input = { ...foldInput(model), pending: model.pending }
  t.is(foldLog(input, ENGINE), foldLog({ ...input, pending: model.pending.toReversed() }, ENGINE))
  const state = replayAll([foldLog(input, ENGINE)])
  t.deepEqual(
    state.txns.map((txn) => txn.version),
    [2, 1],
  )
})

test('a path stands in the log encoded once more, and a replay decodes it once', (t) => {
  const model = newModel()
  append(model, 'a', 1, null)
  const { path, partition } = model.pending[0]!.adds[0]!
  t.is(partition['town'], 'a/b c=%')
  t.is(path, 'day=__HIVE_DEFAULT_PARTITION__/town=a%2Fb%20c%3D%25/run1-a-s1-0-1-0.parquet')
  publish(model, 10)
  const [body] = model.bodies
  const written =
    '"path":"day=__HIVE_DEFAULT_PARTITION__/town=a%252Fb%2520c%253D%2525/run1-a-s1-0-1-0.parquet"'
  t.true(body!.includes(written))
  t.true(checkpointOf(model).some((line) => line.includes(written)))
  t.is(replayAll([body!]).files[0]!.path, path)
})

test('a file that is added and removed before it was ever visible is left out', (t) => {
  const model = newModel()
  append(model, 'a', 2, null)
  const [first] = model.pending[0]!.adds
  commit(model, 'shop', 'm', { adds: [], removes: [first!.path], dataChange: false })
  const body = foldLog(foldInput(model), ENGINE)
  const state = replayAll([body])
  t.deepEqual(
    state.files.map(({ path }) => path),
    [model.pending[0]!.adds[1]!.path],
  )
  t.deepEqual(state.tombstones, [])
})

test('a table without commits yet gets its metadata, and a shard without files its txn', (t) => {
  const model = newModel()
  const empty = replayAll([foldLog(foldInput(model), ENGINE)])
  t.deepEqual([empty.files, empty.txns], [[], []])
  append(model, 'a', 0, null)
  t.is(replayAll([foldLog(foldInput(model), ENGINE)]).txns.length, 1)
})

test('a remove of a file that nothing is known of still removes it', (t) => {
  const model = newModel()
  append(model, 'a', 1, null)
  publish(model, 10)
  const [path] = model.live.keys()
  commit(model, '~maintenance', 'compact', { adds: [], removes: [path!], dataChange: false })
  const { removing: _, ...input } = { ...foldInput(model), version: 1, schemaChanged: false }
  const state = replayAll([...model.bodies, foldLog(input, ENGINE)])
  t.deepEqual([state.files.length, state.tombstones[0]?.bytes], [0, 101])
})

test('what was folded once is what is folded now', (t) => {
  const model = newModel('upsert')
  append(model, 'a', 2, '2024-05-01')
  append(model, 'b/1', 1, null)
  publish(model, 10)
  append(model, 'a', 1, '2024-05-02')
  evolve(model)
  publish(model, 10)
  compact(model, 1)
  publish(model, 10)
  perform(model, { kind: 'reload', files: 1 })
  publish(model, 10)
  const bodies = model.bodies.map((body, version) => [`${version}`, body] as const)
  const checkpoint = checkpointOf(model)
  const golden = [
    ...bodies,
    ['3.checkpoint', checkpoint.map((line) => `${line}\n`).join('')] as const,
  ]
  for (const [name, body] of golden) {
    const url = new URL(`./golden/${name}.ndjson`, import.meta.url)
    if (process.env['UPDATE'] === '1') writeFileSync(url, body)
    t.is(body, readFileSync(url, 'utf8'), `golden/${name}.ndjson differs; UPDATE=1 rewrites it`)
  }
})

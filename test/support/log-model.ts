/**
 * A catalog in small for tests of the table log: what it would hand to the fold, and what it then holds.
 * Histories are lists of operations, so that random ones can be played and shrunk.
 */
import fc from 'fast-check'
import type {
  DataFile,
  FoldInput,
  LiveFile,
  PendingCommit,
  RemovedFile,
  ShardTxn,
  TableRow,
} from '../../catalog/catalog.ts'
import type { Column } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'
import { checkpointActions } from '../../sink/plan/checkpoint.ts'
import { dataFilePath } from '../../sink/plan/data-path.ts'
import { foldLog } from '../../sink/plan/delta.ts'
import { applyCommit, createReplay, snapshot, type Snapshot } from '../../sink/plan/replay.ts'

export const CATALOG = '5b0a4a5e-9d3c-4f6e-8f6e-0d8f6f0f3f11'
export const ENGINE = 'hakiri/0.1.0'

export const COLUMNS: readonly Column[] = [
  { id: 1, name: 'id', type: 'long', source: 'Id', sourceType: 'bigint' },
  { id: 2, name: 'data', type: 'string', source: 'data', sourceType: 'jsonb', semantic: 'json' },
  { id: 3, name: 'id__string', type: 'string', source: 'Id', sourceType: 'text', role: 'variant' },
  { id: 4, name: 'day', type: 'date', source: 'at', sourceType: 'day(at)', role: 'partition' },
  { id: 5, name: 'town', type: 'string', source: 'Ort', sourceType: 'text' },
  { id: 9, name: 'price', type: 'decimal(38,9)', source: 'Prix "€"', sourceType: 'numeric' },
]

export const TABLE: TableRow = {
  name: 'shop.orders',
  uuid: '0c1f4f4c-7f61-4f0e-9d59-6b9d6c5c0a77',
  destination: 'lake',
  mode: 'append',
  key: ['id'],
  partitionBy: ['day', 'town'],
  generation: 0,
  staging: null,
  schemaRevision: 1,
  columns: COLUMNS,
  nextVersion: 0,
  publishEpoch: 1,
}

export type Model = {
  table: TableRow
  now: number
  nextId: number
  seqs: Map<string, number>
  pending: PendingCommit[]
  live: Map<string, LiveFile>
  removed: RemovedFile[]
  txns: Map<string, ShardTxn>
  cursors: Map<string, Json>
  schemaChanged: boolean
  reloading: boolean
  bodies: string[]
}

export type Op =
  | { kind: 'append'; shard: string; files: number; day: string | null }
  | { kind: 'compact'; pick: number }
  | { kind: 'evolve' }
  | { kind: 'reload'; files: number }
  | { kind: 'publish'; most: number }

export const newModel = (mode: TableRow['mode'] = 'append'): Model => ({
  table: { ...TABLE, mode },
  now: 1_700_000_000_000,
  nextId: 1,
  seqs: new Map(),
  pending: [],
  live: new Map(),
  removed: [],
  txns: new Map(),
  cursors: new Map(),
  schemaChanged: true,
  reloading: false,
  bodies: [],
})

export function commit(
  model: Model,
  pipeline: string,
  shard: string,
  change: Pick<PendingCommit, 'adds' | 'removes' | 'dataChange'>,
): void {
  const key = `${pipeline}/${shard}`
  const seq = (model.seqs.get(key) ?? 0) + 1
  model.seqs.set(key, seq)
  model.pending.push({
    id: model.nextId++,
    pipeline,
    shard,
    seq,
    epoch: 3,
    runId: Math.ceil(model.nextId / 3),
    generation: model.table.generation,
    cursor: { after: [seq, 'ü'] },
    done: seq % 2 === 0,
    spec: { shard },
    ...change,
  })
}

/** Values that a folder, and once more the log, have to encode. */
const TOWNS = ['Zoë', 'a/b c=%', null, '%2F', 'Bern'] as const

function dataFile(model: Model, uuid: string, day: string | null): DataFile {
  const partition = { day, town: TOWNS[model.nextId % TOWNS.length] ?? null }
  return {
    path: dataFilePath({ partition, runId: 1, shard: 'a', seq: 1, index: 0, uuid }),
    bytes: 100 + model.nextId,
    rows: model.nextId,
    stats: `{"numRecords":${model.nextId},"minValues":{"id":9007199254740993}}`,
    partition,
    schemaRevision: model.table.schemaRevision,
  }
}

export function append(model: Model, shard: string, files: number, day: string | null): void {
  const adds = Array.from({ length: files }, (_, index) =>
    dataFile(model, `${model.nextId}-${index}`, day),
  )
  commit(model, 'shop', shard, { adds, removes: [], dataChange: true })
}

export function compact(model: Model, pick: number): void {
  const gone = new Set(model.pending.flatMap((pending) => pending.removes))
  const paths = [...model.live.keys()].filter(
    (path, index) => !gone.has(path) && index % pick === 0,
  )
  if (paths.length === 0 || model.reloading) return
  const add = dataFile(model, `compacted-${model.nextId}`, null)
  commit(model, '~maintenance', 'compact', { adds: [add], removes: paths, dataChange: false })
}

export function evolve(model: Model): void {
  const { columns, schemaRevision } = model.table
  const id = columns.length + 20
  const name = `c${id}`
  const column: Column = {
    id,
    name,
    type: 'double',
    source: name.toUpperCase(),
    sourceType: 'float8',
  }
  model.table = {
    ...model.table,
    columns: [...columns, column],
    schemaRevision: schemaRevision + 1,
  }
  model.schemaChanged = true
}

export function publish(model: Model, most: number): void {
  const replaced = model.reloading ? [...model.live.values()] : []
  const pending = model.reloading ? model.pending : model.pending.slice(0, most)
  if (pending.length === 0) return
  const version = model.table.nextVersion
  model.now += 1_000
  const removes = pending.flatMap((item) => item.removes)
  const input: FoldInput = {
    catalogId: CATALOG,
    table: model.table,
    version,
    now: model.now,
    pending,
    schemaChanged: model.schemaChanged,
    replaced,
    removing: removes.flatMap((path) => model.live.get(path) ?? []),
  }
  model.bodies.push(foldLog(input, ENGINE))
  for (const path of [...replaced.map((file) => file.path), ...removes])
    remove(model, path, version)
  for (const item of pending) settle(model, item, version)
  model.pending = model.pending.slice(pending.length)
  model.table = { ...model.table, nextVersion: version + 1 }
  model.schemaChanged = false
  model.reloading = false
}

function remove(model: Model, path: string, version: number): void {
  const file = model.live.get(path)
  model.live.delete(path)
  if (!file) return
  const { bytes, partition } = file
  model.removed.push({ path, bytes, partition, version, removedAt: model.now })
}

function settle(model: Model, item: PendingCommit, version: number): void {
  const { pipeline, shard, seq, generation } = item
  for (const file of item.adds)
    model.live.set(file.path, { ...file, pipeline, shard, generation, version })
  model.txns.set(`${pipeline}/${shard}`, { pipeline, shard, seq })
  model.cursors.set(`${pipeline}/${shard}`, item.cursor)
}

export function perform(model: Model, op: Op): void {
  switch (op.kind) {
    case 'append':
      return append(model, op.shard, op.files, op.day)
    case 'compact':
      return compact(model, op.pick)
    case 'evolve':
      return evolve(model)
    case 'reload':
      // What was pending for the old generation is never published.
      model.pending = []
      model.table = { ...model.table, generation: model.table.generation + 1 }
      model.reloading = true
      return append(model, 'all', op.files, '2024-05-01')
    case 'publish':
      return publish(model, op.most)
  }
}

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      shard: fc.constantFrom('a', 'b/1', 'c:2'),
      files: fc.integer({ min: 0, max: 3 }),
      day: fc.constantFrom('2024-05-01', '2024-05-02', null),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('compact' as const),
      pick: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'evolve' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('reload' as const),
      files: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      most: fc.integer({ min: 1, max: 4 }),
    }),
  },
)
export const history = fc.array(op, { minLength: 1, maxLength: 30 })

export function play(ops: readonly Op[], each: (model: Model) => void = () => undefined): Model {
  const model = newModel()
  append(model, 'a', 1, null)
  const last: readonly Op[] = [
    { kind: 'append', shard: 'a', files: 1, day: null },
    { kind: 'publish', most: 1_000 },
  ]
  for (const item of [...ops, ...last]) {
    perform(model, item)
    each(model)
  }
  return model
}

export function foldInput(model: Model): FoldInput {
  return {
    catalogId: CATALOG,
    table: model.table,
    version: model.table.nextVersion,
    now: model.now,
    pending: model.pending,
    schemaChanged: model.schemaChanged,
    replaced: [],
  }
}

/** The checkpoint of the newest version, as the catalog knows it. */
export function checkpointOf(model: Model): readonly string[] {
  return checkpointActions({
    catalogId: CATALOG,
    table: model.table,
    live: [...model.live.values()],
    removed: model.removed,
    txns: [...model.txns.values()],
    now: model.now,
  })
}

/** The whole log, from version 0. */
export function replayAll(bodies: readonly string[]): Snapshot {
  const replay = createReplay()
  for (const [version, body] of bodies.entries()) applyCommit(replay, version, body)
  return snapshot(replay)
}

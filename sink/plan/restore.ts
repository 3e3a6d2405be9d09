/**
 * What a table's log tells a new catalog: the table, its files, and where each of its shards goes on.
 * A shard whose cursor the log no longer holds is an error, for guessing would double or lose rows (S3).
 */
import type {
  LiveFile,
  LogEntry,
  RemovedFile,
  RestoredShard,
  RestoredTable,
  TableMode,
} from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { CONFIG, TAG } from './actions.ts'
import { parseAppId } from './app-id.ts'
import { isObject, type JsonObject } from './json-shape.ts'
import { quarantineOf } from './names.ts'
import { applyCommit, createReplay, snapshot, type ReplayedFile, type Snapshot } from './replay.ts'

export type LogBody = { readonly version: number; readonly body: string }

export type RestoreRequest = {
  /** Table name as its folder says it. */
  readonly table: string
  readonly destination: string
  /** Every version from 0, in order. */
  readonly log: readonly LogBody[]
}

/** Replays the whole log of one table. Throws LOG_DAMAGED where it cannot be trusted. */
export function toRestoredTable(request: RestoreRequest): RestoredTable {
  const replay = createReplay()
  for (const { version, body } of request.log) applyCommit(replay, version, body)
  const state = snapshot(replay)
  const known = shardInfo(request.table, state)
  const generation = latestGeneration(state)
  const times = new Map(state.notes.map((note) => [note.version, note.timestamp]))
  return {
    table: {
      name: request.table,
      uuid: state.uuid,
      destination: request.destination,
      mode: modeOf(state),
      key: listOf(state, CONFIG.key),
      partitionBy: state.partitionBy,
      generation,
      schemaRevision: Number(state.configuration[CONFIG.revision] ?? 1),
      columns: state.columns,
      nextVersion: state.version + 1,
    },
    shards: known.map((info) => info.row),
    epochs: Object.fromEntries(
      known.map(({ row, epoch }) => [`${row.pipeline}/${row.shard}`, epoch]),
    ),
    live: state.files.map((file) => liveFile(request.table, file)),
    removed: state.tombstones.map(({ version, ...file }): RemovedFile => ({
      ...file,
      version: version ?? 0,
    })),
    log: request.log.map(({ version, body }): LogEntry => {
      const at = times.get(version) ?? 0
      return { table: request.table, version, body, publishedAt: at, createdAt: at }
    }),
    lastRunId: lastRunId(state),
  }
}

/**
 * A shard that writes to its table and to the table's quarantine stands in both logs. The table that it
 * feeds gets its newest seq and its epoch; a quarantine keeps what its own log says of its guests.
 */
export function reconcileShards(tables: readonly RestoredTable[]): readonly RestoredTable[] {
  const newest = new Map<string, ShardInfo>()
  for (const table of tables) {
    for (const row of table.shards) {
      const key = `${row.pipeline}/${row.shard}`
      const before = newest.get(key)
      const epoch = Math.max(table.epochs[key] ?? 0, before?.epoch ?? 0)
      newest.set(key, { row: before && before.row.seq >= row.seq ? before.row : row, epoch })
    }
  }
  return tables.map((table) => {
    const own = [...newest.values()].filter(({ row }) => row.table === table.table.name)
    const guests = table.shards.filter((row) => row.table !== table.table.name)
    return {
      ...table,
      shards: [...own.map(({ row }) => row), ...guests],
      epochs: Object.fromEntries(
        own.map(({ row, epoch }) => [`${row.pipeline}/${row.shard}`, epoch]),
      ),
    }
  })
}

type ShardInfo = { readonly row: RestoredTable['shards'][number]; readonly epoch: number }

/** The newest word on each shard, in log order; ids of an earlier catalog count as well. */
function shardInfo(table: string, state: Snapshot): readonly ShardInfo[] {
  const shards = new Map<string, ShardInfo>()
  for (const note of state.notes) {
    const infos = isObject(note.hakiri) ? note.hakiri['shards'] : undefined
    for (const [id, info] of Object.entries(isObject(infos) ? infos : {})) {
      const name = parseAppId(id)
      if (!name || !isObject(info)) throw unusable(table, note.version, `shard ${id} is malformed`)
      const key = `${name.pipeline}/${name.shard}`
      const row = shardRow(table, name, info, shards.get(key)?.row.spec ?? null)
      shards.set(key, { row, epoch: count(info['epoch']) })
    }
  }
  for (const txn of state.txns) {
    const name = parseAppId(txn.appId)
    if (!name) continue
    const found = shards.get(`${name.pipeline}/${name.shard}`)
    if (!found || found.row.seq < txn.version) {
      throw unusable(table, state.version, `the cursor of shard ${name.shard} is not in the log`)
    }
  }
  return [...shards.values()]
}

function shardRow(
  table: string,
  name: { readonly pipeline: string; readonly shard: string },
  info: JsonObject,
  spec: Json,
): RestoredShard {
  return {
    pipeline: name.pipeline,
    shard: name.shard,
    table: quarantineOf(table) ?? table,
    spec: info['spec'] ?? spec,
    cursor: info['cursor'] ?? null,
    seq: count(info['seq']),
    generation: count(info['generation']),
    done: info['done'] === true,
  }
}

function latestGeneration(state: Snapshot): number {
  const hakiri = state.notes.at(-1)?.hakiri
  return isObject(hakiri) ? count(hakiri['generation']) : 0
}

function lastRunId(state: Snapshot): number {
  const runs = state.notes.flatMap(({ hakiri }) => (isObject(hakiri) ? (hakiri['runs'] ?? []) : []))
  return runs.reduce((last: number, run) => Math.max(last, count(run)), 0)
}

function liveFile(table: string, file: ReplayedFile): LiveFile {
  const { tags, version, rows, ...facts } = file
  if (rows === undefined || version === undefined) {
    throw unusable(table, version ?? 0, `file ${file.path} has no row count`)
  }
  return {
    ...facts,
    rows,
    version,
    pipeline: tags[TAG.pipeline] ?? '',
    shard: tags[TAG.shard] ?? '',
    generation: Number(tags[TAG.generation] ?? 0),
    schemaRevision: Number(tags[TAG.revision] ?? 0),
  }
}

function modeOf(state: Snapshot): TableMode {
  const mode = state.configuration[CONFIG.mode]
  return mode === 'upsert' || mode === 'replace' ? mode : 'append'
}

function listOf(state: Snapshot, key: string): readonly string[] {
  try {
    const value = JSON.parse(state.configuration[key] ?? '[]') as Json
    return Array.isArray(value)
      ? value.filter((item): item is string => typeof item === 'string')
      : []
  } catch {
    return []
  }
}

const count = (value: Json | undefined): number =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : 0

function unusable(table: string, version: number, what: string): HakiriError {
  return new HakiriError(
    'LOG_DAMAGED',
    `the log of ${table} cannot give back a catalog (version ${version}): ${what}`,
    {
      suggestion:
        'Restore the missing log entries from a backup of the bucket, or load the table anew with --full-refresh.',
    },
  )
}

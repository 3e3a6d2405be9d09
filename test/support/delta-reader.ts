/**
 * An independent reader of Delta Lake tables, for tests: written from the public protocol and knowing
 * nothing of the code under test, so that a table which reads right here is a table, not an agreement
 * between a writer and its own reader. It refuses what it does not understand.
 */
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openParquet, readColumn, readObjects } from './delta-parquet.ts'
import { parsePartitionValue } from './delta-values.ts'
import type { DeltaField, StructType, Value } from './delta-values.ts'

/** Where a table lies: keys are relative to the table's root and '/'-separated. */
export type TableSource = {
  get(key: string): Promise<Uint8Array | undefined>
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly bytes: number }>
}

export type Protocol = {
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  readonly readerFeatures?: readonly string[] | null
  readonly writerFeatures?: readonly string[] | null
}
export type Metadata = {
  readonly id: string
  readonly name?: string | null
  readonly format: { readonly provider: string; readonly options: Record<string, string> }
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly configuration: { readonly [key: string]: string }
  readonly createdTime?: number | null
}
export type AddFile = {
  readonly path: string
  readonly partitionValues: { readonly [column: string]: string | null }
  readonly size: number
  readonly modificationTime: number
  readonly dataChange: boolean
  readonly stats?: string | null
  readonly deletionVector?: unknown
}
export type RemoveFile = {
  readonly path: string
  readonly dataChange: boolean
  readonly deletionTimestamp?: number | null
}
export type Transaction = { readonly appId: string; readonly version: number }

export type Action =
  | { readonly kind: 'protocol'; readonly value: Protocol }
  | { readonly kind: 'metaData'; readonly value: Metadata }
  | { readonly kind: 'add'; readonly value: AddFile }
  | { readonly kind: 'remove'; readonly value: RemoveFile }
  | { readonly kind: 'txn'; readonly value: Transaction }
  | { readonly kind: 'commitInfo'; readonly value: { readonly [key: string]: unknown } }

/** What a log says up to one version. Files are keyed by their decoded path. */
export type LogState = {
  protocol: Protocol | undefined
  metadata: Metadata | undefined
  readonly files: Map<string, AddFile>
  readonly removed: Map<string, RemoveFile>
  readonly txns: Map<string, number>
}

export type DeltaTable = {
  readonly version: number
  readonly protocol: Protocol
  readonly metadata: Metadata
  readonly schema: readonly DeltaField[]
  /** Live data files in log order. */
  readonly files: readonly AddFile[]
  /** Newest version of each application id. */
  readonly txns: ReadonlyMap<string, number>
  /** Decoded paths of files that were live once and are not any more. */
  readonly removed: readonly string[]
  /** All rows, file by file: long as bigint, decimal as text, timestamp as microseconds (bigint),
   * date as days, binary as bytes, absent columns and nulls as null. */
  rows(): AsyncIterable<Record<string, Value>>
}

export type ReadOptions = {
  readonly version?: number
  /** Replay every commit from version 0 and look at no checkpoint. */
  readonly fromZero?: boolean
}

const LOG = '_delta_log/'
const READABLE_FEATURES = new Set(['timestampNtz'])

/** A table in a local folder. */
export function folderSource(folder: string): TableSource {
  return {
    get: (key) => readFile(join(folder, key)).catch(undefinedIfMissing),
    async *list(prefix) {
      const names = await readdir(folder, { recursive: true }).catch((): string[] => [])
      for (const name of names.toSorted()) {
        const info = await stat(join(folder, name)).catch(undefinedIfMissing)
        if (info?.isFile() && name.startsWith(prefix)) yield { key: name, bytes: info.size }
      }
    },
  }
}

/** The part of a source under a folder, for a table within a bucket. */
export function subSource(source: TableSource, folder: string): TableSource {
  const root = folder.endsWith('/') ? folder : `${folder}/`
  return {
    get: (key) => source.get(root + key),
    async *list(prefix) {
      for await (const { key, bytes } of source.list(root + prefix))
        yield { key: key.slice(root.length), bytes }
    },
  }
}

export function sourceOf(from: string | TableSource): TableSource {
  return typeof from === 'string' ? folderSource(from) : from
}

/** Reads a table as of a version (default: the newest). Throws when the log does not allow it. */
export async function readDelta(
  from: string | TableSource,
  options: ReadOptions = {},
): Promise<DeltaTable> {
  const source = sourceOf(from)
  const log = await listLog(source)
  const version = options.version ?? Math.max(...log.commits, ...log.checkpoints)
  if (!Number.isFinite(version)) throw new Error('not a Delta table: _delta_log is empty')
  const state = await replay(source, log, version, options.fromZero ?? false)
  return tableOf(source, version, state)
}

export type LogListing = {
  readonly commits: readonly number[]
  readonly checkpoints: readonly number[]
  readonly hasHint: boolean
  /** Names that the protocol does not know or that this reader expects nobody to write. */
  readonly foreign: readonly string[]
}

/** Sorts what lies in `_delta_log` into commits, classic checkpoints and the rest. */
export async function listLog(source: TableSource): Promise<LogListing> {
  const commits: number[] = []
  const checkpoints: number[] = []
  const foreign: string[] = []
  let hasHint = false
  for await (const { key } of source.list(LOG)) {
    const name = key.slice(LOG.length)
    const match = /^(\d{20})\.(json|checkpoint\.parquet)$/.exec(name)
    if (match) (match[2] === 'json' ? commits : checkpoints).push(Number(match[1]))
    else if (name === '_last_checkpoint') hasHint = true
    else foreign.push(name)
  }
  const ascending = (a: number, b: number): number => a - b
  return {
    commits: commits.sort(ascending),
    checkpoints: checkpoints.sort(ascending),
    hasHint,
    foreign,
  }
}

export function logKey(version: number, kind: 'json' | 'checkpoint.parquet'): string {
  return `${LOG}${String(version).padStart(20, '0')}.${kind}`
}

export function emptyState(): LogState {
  return {
    protocol: undefined,
    metadata: undefined,
    files: new Map(),
    removed: new Map(),
    txns: new Map(),
  }
}

async function replay(
  source: TableSource,
  log: LogListing,
  version: number,
  fromZero: boolean,
): Promise<LogState> {
  const state = emptyState()
  const start = fromZero ? -1 : (log.checkpoints.findLast((at) => at <= version) ?? -1)
  if (start >= 0) for (const action of await readCheckpoint(source, start)) apply(state, action)
  const present = new Set(log.commits)
  for (let at = start + 1; at <= version; at++) {
    if (!present.has(at)) throw new Error(`the log has no version ${at}`)
    for (const action of await readCommit(source, at)) apply(state, action)
  }
  return state
}

/** The actions of one commit, in order. */
export async function readCommit(source: TableSource, version: number): Promise<Action[]> {
  const body = await source.get(logKey(version, 'json'))
  if (!body) throw new Error(`the log has no version ${version}`)
  return linesOf(new TextDecoder('utf-8', { fatal: true }).decode(body)).map((line) => {
    const action = parseAction(JSON.parse(line))
    if (typeof action === 'string') throw new Error(`version ${version}: ${action}`)
    return action
  })
}

/** Lines without the empty one after the last newline. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

type FieldKind = 'string' | 'number' | 'boolean' | 'object' | 'array'
const REQUIRED: {
  readonly [K in Action['kind']]: { readonly [field: string]: FieldKind }
} = {
  protocol: { minReaderVersion: 'number', minWriterVersion: 'number' },
  metaData: {
    id: 'string',
    format: 'object',
    schemaString: 'string',
    partitionColumns: 'array',
    configuration: 'object',
  },
  add: {
    path: 'string',
    partitionValues: 'object',
    size: 'number',
    modificationTime: 'number',
    dataChange: 'boolean',
  },
  remove: { path: 'string', dataChange: 'boolean' },
  txn: { appId: 'string', version: 'number' },
  commitInfo: {},
}

/** One action from its JSON form, or the sentence that says why it is none. */
export function parseAction(json: unknown): Action | string {
  if (kindOf(json) !== 'object') return 'a line is not a JSON object'
  const entries: [string, unknown][] = Object.entries(json as object)
  const [kind, value] = entries[0] ?? ['nothing', null]
  if (entries.length !== 1) return `a line holds ${entries.length} actions`
  const required = Object.entries(REQUIRED).find(([name]) => name === kind)?.[1]
  if (!required) return `unknown action ${kind}`
  if (kindOf(value) !== 'object') return `${kind} is not an object`
  for (const [field, expected] of Object.entries(required)) {
    const found = kindOf((value as Record<string, unknown>)[field])
    if (found !== expected) return `${kind}.${field} is ${found}, not ${expected}`
  }
  return { kind, value } as Action
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** Takes one action into the state; later actions win. */
export function apply(state: LogState, action: Action): void {
  switch (action.kind) {
    case 'protocol':
      state.protocol = action.value
      return
    case 'metaData':
      state.metadata = action.value
      return
    case 'add':
      state.removed.delete(decodePath(action.value.path))
      state.files.set(decodePath(action.value.path), action.value)
      return
    case 'remove':
      state.files.delete(decodePath(action.value.path))
      state.removed.set(decodePath(action.value.path), action.value)
      return
    case 'txn':
      state.txns.set(action.value.appId, action.value.version)
      return
    case 'commitInfo':
      return
  }
}

/** Paths in the log are URI-encoded; keys in the store are not. */
export function decodePath(path: string): string {
  return decodeURIComponent(path)
}

/** The actions of a classic checkpoint. */
export async function readCheckpoint(source: TableSource, version: number): Promise<Action[]> {
  const body = await source.get(logKey(version, 'checkpoint.parquet'))
  if (!body) throw new Error(`there is no checkpoint ${version}`)
  const rows = await readObjects(await openParquet(body))
  return rows.map((row) => checkpointAction(row, version))
}

function checkpointAction(row: Record<string, unknown>, version: number): Action {
  const set = Object.entries(row).flatMap(([kind, value]) => {
    const fields = withoutNulls(value)
    return fields === undefined ? [] : [[kind, fields] as const]
  })
  const action = parseAction(Object.fromEntries(set))
  if (typeof action === 'string') throw new Error(`checkpoint ${version}: ${action}`)
  return action
}

/** Parquet has no difference between a null struct and one of nulls; neither is an action. */
function withoutNulls(value: unknown): unknown {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object' || Array.isArray(value)) return value
  const items: [string, unknown][] = Object.entries(value)
  const fields = items.flatMap(([name, item]) => {
    // Values of a map may be null and matter; fields of a struct that are null do not.
    const kept = name === 'partitionValues' ? (item ?? undefined) : withoutNulls(item)
    return kept === undefined ? [] : [[name, kept] as const]
  })
  // An empty map is a value of its own.
  return fields.length > 0 || items.length === 0 ? Object.fromEntries(fields) : undefined
}

function tableOf(source: TableSource, version: number, state: LogState): DeltaTable {
  const { protocol, metadata } = state
  if (!protocol || !metadata) throw new Error('the log has no protocol or no metaData')
  refuseUnreadable(protocol)
  const schema = parseSchema(metadata.schemaString)
  const files = [...state.files.values()]
  return {
    version,
    protocol,
    metadata,
    schema,
    files,
    txns: state.txns,
    removed: [...state.removed.keys()],
    rows: () => rowsOf(source, metadata, schema, files),
  }
}

function refuseUnreadable(protocol: Protocol): void {
  const features = protocol.readerFeatures ?? []
  const unknown = features.filter((feature) => !READABLE_FEATURES.has(feature))
  const readable = protocol.minReaderVersion === 1 || protocol.minReaderVersion === 3
  if (!readable || unknown.length > 0)
    throw new Error(`reader version ${protocol.minReaderVersion} ${unknown.join(' ')} is not known`)
}

export function parseSchema(schemaString: string): readonly DeltaField[] {
  const schema = JSON.parse(schemaString) as StructType
  if (schema.type !== 'struct' || kindOf(schema.fields) !== 'array')
    throw new Error('schemaString is not a struct')
  return schema.fields
}

async function* rowsOf(
  source: TableSource,
  metadata: Metadata,
  schema: readonly DeltaField[],
  files: readonly AddFile[],
): AsyncIterable<Record<string, Value>> {
  for (const file of files) {
    const { rows, columns } = await readDataFile(source, metadata, schema, file)
    for (let at = 0; at < rows; at++) {
      const row: Record<string, Value> = {}
      for (const [name, values] of columns) row[name] = values[at] ?? null
      yield row
    }
  }
}

export type DataFileValues = {
  readonly rows: number
  /** In schema order, partition columns included. */
  readonly columns: ReadonlyMap<string, readonly Value[]>
}

/** Every value of one live data file. */
export async function readDataFile(
  source: TableSource,
  metadata: Metadata,
  schema: readonly DeltaField[],
  file: AddFile,
): Promise<DataFileValues> {
  if (file.deletionVector) throw new Error(`${file.path} has a deletion vector`)
  const body = await source.get(decodePath(file.path))
  if (!body) throw new Error(`data file ${file.path} is missing`)
  const parquet = await openParquet(body)
  const columns = new Map<string, readonly Value[]>()
  for (const field of schema) {
    if (metadata.partitionColumns.includes(field.name)) {
      const value = parsePartitionValue(field.type, file.partitionValues[field.name] ?? null)
      columns.set(
        field.name,
        Array.from({ length: parquet.rows }, () => value),
      )
    } else columns.set(field.name, await readColumn(parquet, field))
  }
  return { rows: parquet.rows, columns }
}

function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'EISDIR') return undefined
  throw error
}

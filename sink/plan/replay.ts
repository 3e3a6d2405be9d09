/**
 * Our own replay of a table log, for `hakiri query` and for a rebuild of the catalog: commits (or a
 * checkpoint and the commits after it) in, the table as of a version out. It refuses what it cannot
 * read in full, naming version and line; it never guesses.
 */
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import type { Column } from '../../lib/column.ts'
import { readAction, type Action, type AddedFile, type Metadata } from './replay-action.ts'
import { columnsOf } from './schema-json.ts'

export type { AddedFile } from './replay-action.ts'

export type ReplayedFile = AddedFile & {
  /** Version that added it; undefined when a checkpoint names it, which does not say. */
  readonly version: number | undefined
}

export type Tombstone = {
  readonly path: string
  readonly bytes: number
  readonly partition: { readonly [column: string]: string | null }
  readonly version: number | undefined
  readonly removedAt: number
}

export type ReplayedTxn = { readonly appId: string; readonly version: number }

/** A commitInfo, as far as Hakiri uses it. */
export type CommitNote = {
  readonly version: number
  readonly timestamp: number
  readonly hakiri: Json
}

/** The state of a replay in progress; changed in place, to be read through `snapshot`. */
export type Replay = {
  version: number
  metadata: Metadata | undefined
  hasProtocol: boolean
  readonly files: Map<string, ReplayedFile>
  readonly tombstones: Map<string, Tombstone>
  readonly txns: Map<string, number>
  readonly notes: CommitNote[]
}

export type Snapshot = {
  readonly version: number
  readonly uuid: string
  readonly columns: readonly Column[]
  readonly partitionBy: readonly string[]
  readonly configuration: { readonly [key: string]: string }
  /** In the order in which they were added; files of a checkpoint first, by path. */
  readonly files: readonly ReplayedFile[]
  readonly tombstones: readonly Tombstone[]
  readonly txns: readonly ReplayedTxn[]
  /** One a commit that was applied, in order. */
  readonly notes: readonly CommitNote[]
}

/** A replay that has seen nothing yet; the first commit must be version 0, or a checkpoint. */
export function createReplay(): Replay {
  return {
    version: -1,
    metadata: undefined,
    hasProtocol: false,
    files: new Map(),
    tombstones: new Map(),
    txns: new Map(),
    notes: [],
  }
}

/** Applies the body of the next version. Throws LOG_DAMAGED, naming version and line. */
export function applyCommit(replay: Replay, version: number, body: string): void {
  if (version !== replay.version + 1) {
    throw damaged(version, undefined, `it follows version ${replay.version}, so one is missing`)
  }
  if (!body.endsWith('\n')) throw damaged(version, undefined, 'it ends in the middle of a line')
  const seen = new Set<string>()
  const lines = body.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line === '' && index === lines.length - 1) break
    const action = readLine(line, version, index + 1)
    const identity = identityOf(action)
    if (identity !== undefined && seen.has(identity)) {
      throw damaged(version, index + 1, `a second action for ${identity}`)
    }
    if (identity !== undefined) seen.add(identity)
    apply(replay, action, version)
  }
  replay.version = version
  requireHead(replay)
}

/**
 * Applies one row of the checkpoint of `version`, as parsed JSON with absent actions left out or null.
 * Apply all rows, in any order, to a fresh replay, then call `finishCheckpoint`.
 */
export function applyCheckpointRow(
  replay: Replay,
  version: number,
  row: unknown,
  line: number,
): void {
  const action = readAction(row)
  if (typeof action === 'string') throw damaged(version, line, action)
  apply(replay, action, undefined)
}

/** Ends a checkpoint; the next commit is `version + 1`. */
export function finishCheckpoint(replay: Replay, version: number): void {
  replay.version = version
  requireHead(replay)
  const sorted = [...replay.files].toSorted(([a], [b]) => (a < b ? -1 : 1))
  replay.files.clear()
  for (const [path, file] of sorted) replay.files.set(path, file)
}

/** The table as of the last version that was applied. */
export function snapshot(replay: Replay): Snapshot {
  const metadata = requireHead(replay)
  const columns = columnsOf(metadata.schemaString)
  if (!columns) throw damaged(replay.version, undefined, 'its schema is not one of plain columns')
  return {
    version: replay.version,
    uuid: metadata.id,
    columns,
    partitionBy: metadata.partitionColumns,
    configuration: metadata.configuration,
    files: [...replay.files.values()],
    tombstones: [...replay.tombstones.values()],
    txns: [...replay.txns].map(([appId, version]) => ({ appId, version })),
    notes: [...replay.notes],
  }
}

/**
 * The newest version that is not younger than `timeMs`; undefined when the table is younger. A clock
 * that went back does not reorder versions: each counts as at least as late as the one before it.
 */
export function versionAt(
  notes: readonly Pick<CommitNote, 'version' | 'timestamp'>[],
  timeMs: number,
): number | undefined {
  let latest = Number.NEGATIVE_INFINITY
  let found: number | undefined
  for (const note of notes) {
    latest = Math.max(latest, note.timestamp)
    if (latest <= timeMs) found = note.version
  }
  return found
}

function readLine(line: string, version: number, number: number): Action {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw damaged(version, number, 'it is not JSON', cause)
  }
  const action = readAction(value)
  if (typeof action === 'string') throw damaged(version, number, action)
  return action
}

function apply(replay: Replay, action: Action, version: number | undefined): void {
  switch (action.kind) {
    case 'protocol':
      replay.hasProtocol = true
      return
    case 'metaData':
      replay.metadata = action.metadata
      return
    case 'txn':
      replay.txns.set(action.appId, action.version)
      return
    case 'add':
      replay.tombstones.delete(action.file.path)
      replay.files.set(action.file.path, { ...action.file, version })
      return
    case 'remove':
      applyRemove(replay, action, version)
      return
    case 'commitInfo':
      if (version !== undefined) {
        replay.notes.push({ version, timestamp: action.timestamp, hakiri: action.hakiri })
      }
      return
    case 'other':
      return
  }
}

function applyRemove(
  replay: Replay,
  action: Extract<Action, { kind: 'remove' }>,
  version: number | undefined,
): void {
  const file = replay.files.get(action.path)
  replay.files.delete(action.path)
  replay.tombstones.set(action.path, {
    path: action.path,
    bytes: action.bytes ?? file?.bytes ?? 0,
    partition: action.partition ?? file?.partition ?? {},
    version,
    removedAt: action.removedAt,
  })
}

/** What one commit may hold once. */
function identityOf(action: Action): string | undefined {
  switch (action.kind) {
    case 'protocol':
    case 'metaData':
    case 'commitInfo':
      return action.kind
    case 'txn':
      return `txn ${action.appId}`
    case 'add':
      return `path ${action.file.path}`
    case 'remove':
      return `path ${action.path}`
    case 'other':
      return undefined
  }
}

function requireHead(replay: Replay): Metadata {
  if (replay.version < 0) throw damaged(0, undefined, 'there is none')
  if (!replay.hasProtocol) throw damaged(replay.version, undefined, 'no protocol was seen up to it')
  if (!replay.metadata) throw damaged(replay.version, undefined, 'no metadata was seen up to it')
  return replay.metadata
}

function damaged(
  version: number,
  line: number | undefined,
  what: string,
  cause?: unknown,
): HakiriError {
  const where = line === undefined ? `version ${version}` : `version ${version}, line ${line}`
  return new HakiriError('LOG_DAMAGED', `the table log cannot be read at ${where}: ${what}`, {
    suggestion: 'Restore the file from a backup of the bucket, or query an earlier version.',
    ...(cause === undefined ? {} : { cause }),
  })
}

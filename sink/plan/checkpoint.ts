/**
 * Checkpoints: when one pays, what it holds, and the hint that names it. Made from the catalog, which
 * holds the same state as the log, so that writing one never costs a replay.
 *
 * Invariant: the actions are the state at exactly `table.nextVersion - 1`: every live file, tombstones
 * that have not expired, the newest seq of every shard, one protocol, one metaData.
 */
import type { LiveFile, RemovedFile, ShardTxn, TableRow } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import { stableStringify } from '../../lib/json.ts'
import { addAction, metaDataAction, protocolAction, removeAction, txnAction } from './actions.ts'

/** Fewest versions between two checkpoints. */
export const CHECKPOINT_VERSIONS_MIN = 100
/** Most versions between two checkpoints, however large the last one was. */
export const CHECKPOINT_VERSIONS_MAX = 1_000

export type CheckpointHistory = {
  /** Version of the last checkpoint; -1 for none. */
  readonly version: number
  /** Its size. */
  readonly bytes: number
  /** Log bytes written since. */
  readonly logBytes: number
}

/**
 * True when version `version` should get a checkpoint: a hundred versions after the last one, and once
 * the log since then is half as large as it, so that a large table is not written over and over. Without
 * a history: at every hundredth version.
 */
export function isCheckpointDue(version: number, last?: CheckpointHistory): boolean {
  if (version <= 0) return false
  if (!last) return version % CHECKPOINT_VERSIONS_MIN === 0
  const since = version - Math.max(last.version, 0)
  if (since < CHECKPOINT_VERSIONS_MIN) return false
  return since >= CHECKPOINT_VERSIONS_MAX || last.logBytes * 2 >= last.bytes
}

export type CheckpointInput = {
  readonly catalogId: string
  readonly table: TableRow
  readonly live: readonly LiveFile[]
  readonly removed: readonly RemovedFile[]
  readonly txns: readonly ShardTxn[]
  /** Stands as the time of whatever has none of its own. */
  readonly now: number
}

/**
 * The rows of a checkpoint as JSON, one action each, with the maps of the protocol (partitionValues,
 * tags, configuration, options) as JSON objects. Columns of the file: txn, add, remove, metaData,
 * protocol.
 */
export function checkpointActions(input: CheckpointInput): readonly string[] {
  const { catalogId, table, now } = input
  const version = table.nextVersion - 1
  assert(version >= 0, `${table.name} has no version to checkpoint`)
  const late = input.live.find((file) => file.version > version)
  assert(!late, `${late?.path} is newer than version ${version}`)
  return [
    protocolAction(),
    metaDataAction(table),
    ...input.txns.map((txn) => txnAction(catalogId, txn, now)).toSorted(),
    ...input.removed.map((file) => removeAction(file, table.partitionBy, false)).toSorted(),
    ...input.live
      .map((file) => addAction(file, table.partitionBy, file.addedAt ?? now, false))
      .toSorted(),
  ]
}

export type CheckpointFacts = {
  readonly version: number
  /** Rows of the checkpoint. */
  readonly actions: number
  readonly bytes: number
  readonly adds: number
}

/** The body of `_last_checkpoint`, a hint that may be overwritten at any time. */
export function lastCheckpointBody(facts: CheckpointFacts): string {
  return stableStringify({
    version: facts.version,
    size: facts.actions,
    sizeInBytes: facts.bytes,
    numOfAddFiles: facts.adds,
  })
}

/**
 * Folds pending commits into the body of one version of a table log.
 *
 * Invariants: the same input gives the same bytes; a version names each path once, and only files of
 * committed transactions (S1); it carries the newest seq and cursor of each shard it publishes, so that
 * the log alone says where each shard goes on (S2).
 */
import type { DataFile, FoldInput, PendingCommit } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import {
  addAction,
  bareRemoveAction,
  metaDataAction,
  protocolAction,
  removeAction,
  txnAction,
} from './actions.ts'
import { appId } from './app-id.ts'

export { appId } from './app-id.ts'

/** The body of version `input.version`: one action a line. `engine` is "hakiri/<version>". */
export function foldLog(input: FoldInput, engine: string): string {
  const pending = input.pending.toSorted((a, b) => a.id - b.id)
  const newest = newestOfEachShard(pending)
  const isFirst = input.version === 0
  const lines = [
    commitInfo(input, pending, newest, engine),
    ...(isFirst ? [protocolAction()] : []),
    ...(isFirst || input.schemaChanged ? [metaDataAction(input.table)] : []),
    ...newest.map((commit) => txnAction(input.catalogId, commit, input.now)),
    ...fileActions(input, pending),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

/** In the order of the shards' ids, so that the order of commits does not show. */
function newestOfEachShard(pending: readonly PendingCommit[]): readonly PendingCommit[] {
  const newest = new Map<string, PendingCommit>()
  for (const commit of pending) {
    const shard = `${commit.pipeline}/${commit.shard}`
    const before = newest.get(shard)
    if (!before || before.seq < commit.seq) newest.set(shard, commit)
  }
  return [...newest].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, commit]) => commit)
}

function commitInfo(
  input: FoldInput,
  pending: readonly PendingCommit[],
  newest: readonly PendingCommit[],
  engine: string,
): string {
  const isRewrite = pending.length > 0 && pending.every((commit) => !commit.dataChange)
  const isReplace = input.replaced.length > 0
  const runs = [...new Set(pending.map((commit) => commit.runId))].toSorted((a, b) => a - b)
  return stableStringify({
    commitInfo: {
      timestamp: input.now,
      operation: isRewrite && !isReplace ? 'OPTIMIZE' : 'WRITE',
      operationParameters: {
        mode: isReplace ? 'Overwrite' : 'Append',
        partitionBy: JSON.stringify(input.table.partitionBy),
      },
      engineInfo: engine,
      hakiri: {
        runs,
        generation: input.table.generation,
        shards: Object.fromEntries(
          newest.map((commit) => [
            appId(input.catalogId, commit.pipeline, commit.shard),
            shardInfo(commit),
          ]),
        ),
      },
    },
  })
}

function shardInfo(commit: PendingCommit): Json {
  return {
    cursor: commit.cursor,
    seq: commit.seq,
    epoch: commit.epoch,
    generation: commit.generation,
    done: commit.done,
    ...(commit.spec === undefined ? {} : { spec: commit.spec }),
  }
}

/**
 * Removes by path, then adds in the order of their commits. A file that one pending commit adds and a
 * later one removes was never visible, and is left out altogether.
 */
function fileActions(input: FoldInput, pending: readonly PendingCommit[]): readonly string[] {
  const { partitionBy } = input.table
  const adds = new Map<string, { readonly file: DataFile; readonly commit: PendingCommit }>()
  const removes = new Map<string, boolean>()
  for (const commit of pending) {
    for (const path of commit.removes) {
      if (!adds.delete(path)) removes.set(path, commit.dataChange || removes.get(path) === true)
    }
    for (const file of commit.adds) {
      assert(!adds.has(file.path) && !removes.has(file.path), `${file.path} is added twice`)
      adds.set(file.path, { file, commit })
    }
  }
  for (const file of input.replaced) removes.set(file.path, true)
  const known = new Map(
    [...(input.removing ?? []), ...input.replaced].map((file) => [file.path, file]),
  )
  const removed = [...removes].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [
    ...removed.map(([path, dataChange]) => {
      const file = known.get(path)
      return file
        ? removeAction({ ...file, removedAt: input.now }, partitionBy, dataChange)
        : bareRemoveAction(path, input.now, dataChange)
    }),
    ...[...adds.values()].map(({ file, commit }) =>
      addAction(
        { ...file, generation: commit.generation, pipeline: commit.pipeline, shard: commit.shard },
        partitionBy,
        input.now,
        commit.dataChange,
      ),
    ),
  ]
}

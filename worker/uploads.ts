/**
 * Data files on their way into the bucket, and out of it again when no commit names them.
 *
 * Invariant: a file that a commit names is never deleted, also not when the answer to that commit was
 * lost; what cannot be told apart is left to vacuum.
 */
import type { DataFile, TableChange } from '../catalog/catalog.ts'
import type { EncodedFile } from '../sink/encoder/encoder.ts'
import { dataFilePath, tableFolder } from '../sink/plan/names.ts'
import type { WorkerDeps } from './deps.ts'

/** What a file's name tells people; a uuid makes it one that never repeats. */
export type UploadPlace = {
  readonly table: string
  readonly runId: number
  readonly shard: string
  readonly seq: number
  readonly index: number
  readonly schemaRevision: number
}

type UploadDeps = Pick<WorkerDeps, 'store' | 'random'>

/** Moves one finished local file into the table's folder. */
export async function uploadFile(
  file: EncodedFile,
  { table, runId, shard, seq, index, schemaRevision }: UploadPlace,
  deps: UploadDeps,
): Promise<DataFile> {
  const { bytes, rows, stats, partition } = file
  const path = dataFilePath({ partition, runId, shard, seq, index, uuid: deps.random.uuid() })
  await deps.store.putFile(`${tableFolder(table)}/${path}`, file.localPath)
  return { path, bytes, rows, stats, partition, schemaRevision }
}

/** Deletes uploads, but none that the catalog names: an answer that was lost may have been a yes. */
export async function removeUploads(
  uploaded: readonly TableChange[],
  deps: Pick<WorkerDeps, 'catalog' | 'store' | 'logger'>,
): Promise<void> {
  try {
    for (const { table, adds } of uploaded) {
      const paths = adds.map((file) => file.path)
      const known = await deps.catalog.knownPaths(table, paths)
      const unnamed = paths.filter((path) => !known.has(path))
      await deps.store.delete(unnamed.map((path) => `${tableFolder(table)}/${path}`))
    }
  } catch (error) {
    const tables = uploaded.map((change) => change.table).join(', ')
    deps.logger.log('debug', `uploads are left to vacuum: ${String(error)}`, { tables })
  }
}

/**
 * Publishes committed work: folds pending commits into the next version of a table's log, stores the
 * body in the catalog first, then puts it into the bucket. Versions go out strictly in order; a put
 * after a crash writes the same bytes (S1, L3).
 */
import { join } from 'node:path'
import { rm, stat, writeFile } from 'node:fs/promises'
import type { Catalog, LogEntry, TableRow } from '../catalog/catalog.ts'
import { HakiriError } from '../lib/error.ts'
import { checkpointActions, isCheckpointDue, lastCheckpointBody } from '../sink/plan/checkpoint.ts'
import { foldLog } from '../sink/plan/delta.ts'
import { checkpointKey, lastCheckpointKey, logKey } from '../sink/plan/names.ts'
import type { WorkerDeps } from './deps.ts'

/** Commits folded into one version at the most. */
const PENDING_MAX = 500
/** Tombstones younger than this stay in checkpoints. */
export const TOMBSTONE_MS = 7 * 86_400_000

export type PublishDeps = Pick<
  WorkerDeps,
  | 'catalog'
  | 'store'
  | 'encoder'
  | 'clock'
  | 'random'
  | 'logger'
  | 'scratchFolder'
  | 'engine'
  | 'onProgress'
>

/** Publishes one table under an epoch of its own, taken at the first need. */
export type Publisher = {
  /** Publishes everything that is pending. 'fenced': somebody took the table over, and nothing more was. */
  publish(deps: PublishDeps): Promise<'published' | 'nothing' | 'fenced'>
  /** The next publish takes an epoch anew. */
  forget(): void
}

export function createPublisher(name: string): Publisher {
  let epoch: number | undefined
  return {
    forget: () => (epoch = undefined),
    async publish(deps) {
      const { catalog, logger } = deps
      if (!(await catalog.table(name))) return 'nothing'
      const isIdle = !(await catalog.hasPending(name))
      if (isIdle && (await catalog.unpublished(name)).length === 0) return 'nothing'
      epoch ??= await catalog.acquirePublisher(name)
      await putUnpublished(name, deps)
      if (await publishVersions(name, epoch, deps)) return 'published'
      logger.log('warn', 'another publisher took the table over', { table: name, epoch })
      return 'fenced'
    },
  }
}

/** False when the epoch is not the newest one. */
async function publishVersions(name: string, epoch: number, deps: PublishDeps): Promise<boolean> {
  for (;;) {
    const outcome = await deps.catalog.preparePublish(name, epoch, PENDING_MAX, (input) =>
      foldLog(input, deps.engine),
    )
    if (outcome.kind === 'fenced') return false
    if (outcome.kind === 'nothing') return true
    await putUnpublished(name, deps)
    await maybeCheckpoint(name, outcome.entry.version, deps)
    if (!outcome.more) return true
  }
}

/** Publishes everything that is pending for the table; returns the newest version, if there is one. */
export async function publishTable(name: string, deps: PublishDeps): Promise<number | undefined> {
  await createPublisher(name).publish(deps)
  return newestVersion(await deps.catalog.table(name))
}

function newestVersion(table: TableRow | undefined): number | undefined {
  return table && table.nextVersion > 0 ? table.nextVersion - 1 : undefined
}

async function putUnpublished(name: string, deps: PublishDeps): Promise<void> {
  for (const entry of await deps.catalog.unpublished(name)) {
    await putEntry(entry, deps)
    await deps.catalog.markPublished(name, entry.version)
    deps.onProgress({ kind: 'published', table: name, version: entry.version })
  }
}

async function putEntry(entry: LogEntry, deps: PublishDeps): Promise<void> {
  const key = logKey(entry.table, entry.version)
  const body = new TextEncoder().encode(entry.body)
  if ((await deps.store.put(key, body, { ifAbsent: true })) === 'created') return
  const present = await deps.store.get(key)
  if (present && Buffer.compare(present, body) === 0) return
  throw new HakiriError(
    'LOG_CONFLICT',
    `${entry.table}: ${key} in ${deps.store.url} was written by somebody else`,
    {
      suggestion:
        'Only Hakiri may write this table. Move the foreign log entry away, or point the pipeline at another destination.',
    },
  )
}

async function maybeCheckpoint(name: string, version: number, deps: PublishDeps): Promise<void> {
  if (!isCheckpointDue(version)) return
  const table = await deps.catalog.table(name)
  if (!table || table.nextVersion !== version + 1) return
  await writeCheckpoint(table, version, deps)
}

/** A checkpoint comes from the catalog, which holds the same state as the log, not from replaying it. */
async function writeCheckpoint(table: TableRow, version: number, deps: PublishDeps): Promise<void> {
  const { live, removed, txns } = await logState(
    deps.catalog,
    table.name,
    deps.clock.now() - TOMBSTONE_MS,
  )
  // Another publisher may have gone on meanwhile; then the files seen are not those of this version.
  if ((await deps.catalog.table(table.name))?.nextVersion !== version + 1) return
  const lines = checkpointActions({
    catalogId: deps.catalog.id,
    table,
    live,
    removed,
    txns,
    now: deps.clock.now(),
  })
  const base = join(deps.scratchFolder, `checkpoint-${deps.random.uuid()}`)
  const [actionsPath, parquetPath] = [`${base}.ndjson`, `${base}.parquet`]
  try {
    await writeFile(actionsPath, lines.map((line) => `${line}\n`).join(''))
    await deps.encoder.encodeCheckpoint(actionsPath, parquetPath)
    const { size: bytes } = await stat(parquetPath)
    await deps.store.putFile(checkpointKey(table.name, version), parquetPath)
    const hint = lastCheckpointBody({ version, actions: lines.length, bytes, adds: live.length })
    await deps.store.put(lastCheckpointKey(table.name), new TextEncoder().encode(hint))
  } finally {
    await rm(actionsPath, { force: true })
    await rm(parquetPath, { force: true })
  }
}

async function logState(catalog: Catalog, table: string, since: number) {
  return {
    live: await catalog.liveFiles(table),
    removed: await catalog.removedFiles(table, since),
    txns: await catalog.publishedTxns(table),
  }
}

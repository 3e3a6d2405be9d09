/**
 * Keeping tables in shape: many small files become few (compaction), files nobody reads any more are
 * deleted (vacuum), and uploads that no commit names are collected (orphans). Each is planned by a pure
 * function from the catalog; nothing is ever deleted on the word of a listing alone.
 */
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import type { DataFile, ShardKey, TableRow } from '../catalog/catalog.ts'
import type { Destination } from '../manifest/manifest.ts'
import {
  planCompaction,
  planOrphans,
  planVacuum,
  type CompactionGroup,
} from '../sink/plan/compact.ts'
import { dataFilePath, isDataPath, tableFolder } from '../sink/plan/names.ts'
import type { WorkerDeps } from './deps.ts'
import { publishTable } from './publisher.ts'
import type { RunSummary } from './run-pipeline.ts'
import { makeScratchFolder } from './scratch.ts'

/** Maintenance commits under shards of its own, so that it is fenced like everything else. */
export const MAINTENANCE_PIPELINE = '~maintenance'

/** How the result becomes visible: whoever holds the table's office publishes under its epoch. */
export type Publish = (table: string) => Promise<unknown>

export type MaintenanceReport = {
  readonly table: string
  readonly filesBefore: number
  readonly filesAfter: number
  readonly bytesRewritten: number
}

/** Rewrites small files of the table's visible generation into larger ones and publishes the result. */
export async function compactTable(
  table: TableRow,
  files: Destination['files'],
  deps: WorkerDeps,
  signal: AbortSignal,
  publish: Publish = (name) => publishTable(name, deps),
): Promise<MaintenanceReport> {
  const live = await deps.catalog.liveFiles(table.name)
  const groups = planCompaction(live, {
    targetBytes: files.targetBytes,
    minFiles: files.compactMinFiles,
  })
  const report = {
    table: table.name,
    filesBefore: live.length,
    filesAfter: live.length,
    bytesRewritten: 0,
  }
  if (groups.length === 0) return report
  const key: ShardKey = { pipeline: MAINTENANCE_PIPELINE, shard: `compact:${table.name}` }
  await deps.catalog.ensureShards([{ ...key, table: table.name, spec: null, upkeep: true }])
  for (const group of groups) {
    if (signal.aborted) break
    const added = await rewriteGroup(table, group, key, deps, signal)
    report.filesAfter += added - group.files.length
    report.bytesRewritten += group.files.reduce((sum, file) => sum + file.bytes, 0)
  }
  await publish(table.name)
  return report
}

/** One group, one commit. Returns the number of files added; 0 when somebody else changed the group. */
async function rewriteGroup(
  table: TableRow,
  group: CompactionGroup,
  key: ShardKey,
  deps: WorkerDeps,
  signal: AbortSignal,
): Promise<number> {
  const row = await deps.catalog.acquireShard(key, table.generation)
  const outFolder = join(deps.scratchFolder, `compact-${deps.random.uuid()}`)
  const folder = tableFolder(table.name)
  await makeScratchFolder(outFolder)
  try {
    const inputs: string[] = []
    for (const file of group.files)
      inputs.push(await deps.store.materialise(`${folder}/${file.path}`, outFolder))
    const { localPath, ...file } = await deps.encoder.rewrite(
      {
        inputs,
        columns: table.columns,
        mergeKey: table.mode === 'upsert' ? table.key : undefined,
        partition: group.partition,
        outFolder,
      },
      signal,
    )
    const path = dataFilePath({
      partition: group.partition,
      runId: 0,
      shard: 'compact',
      seq: row.seq + 1,
      index: 0,
      uuid: deps.random.uuid(),
    })
    await deps.store.putFile(`${folder}/${path}`, localPath)
    const add: DataFile = {
      ...file,
      path,
      partition: group.partition,
      schemaRevision: table.schemaRevision,
    }
    const outcome = await deps.catalog.commit({
      ...key,
      runId: 0,
      epoch: row.epoch,
      expectedSeq: row.seq,
      generation: table.generation,
      cursor: null,
      done: true,
      changes: [
        {
          table: table.name,
          adds: [add],
          removes: group.files.map((old) => old.path),
          dataChange: false,
        },
      ],
      state: {},
      counters: {},
    })
    if (outcome.kind === 'committed') return 1
    await deps.store.delete([`${folder}/${path}`])
    return group.files.length
  } finally {
    await rm(outFolder, { recursive: true, force: true })
  }
}

/** What every finished run does for its tables: compaction where it pays, vacuum of what is due. */
export async function maintainAfterRun(
  summary: RunSummary,
  destination: Destination,
  deps: WorkerDeps,
  signal: AbortSignal,
): Promise<void> {
  if (summary.status !== 'succeeded') return
  for (const { table } of summary.tables)
    await maintainTable(table, summary.counters.bytesWritten, destination, deps, signal)
}

/** `bytesWritten`: by the run that has just ended. */
export async function maintainTable(
  name: string,
  bytesWritten: number,
  destination: Destination,
  deps: WorkerDeps,
  signal: AbortSignal,
  publish?: Publish,
): Promise<void> {
  const table = await deps.catalog.table(name)
  if (!table || table.nextVersion === 0 || signal.aborted) return
  if (!(await isMostlyNew(table, bytesWritten, deps)))
    await compactTable(table, destination.files, deps, signal, publish)
  await vacuumTable(table, destination.files.retainMs, deps)
}

/**
 * A load that makes up most of its table is not rewritten at once, which would double its cost: later
 * runs, or `hakiri tables compact`, take its files up.
 */
async function isMostlyNew(
  table: TableRow,
  bytesWritten: number,
  deps: WorkerDeps,
): Promise<boolean> {
  const live = await deps.catalog.liveFiles(table.name)
  const bytes = live.reduce((sum, file) => sum + file.bytes, 0)
  return bytesWritten > bytes / 2
}

/** Deletes files that were removed from the log longer ago than `retainMs`. Returns how many. */
export async function vacuumTable(
  table: TableRow,
  retainMs: number,
  deps: WorkerDeps,
): Promise<number> {
  const removed = await deps.catalog.removedFiles(table.name, 0)
  const paths = planVacuum(removed, retainMs, deps.clock.now())
  await deps.store.delete(paths.map((path) => `${tableFolder(table.name)}/${path}`))
  await deps.catalog.forgetRemoved(table.name, paths)
  return paths.length
}

/** Deletes data files in the table's folder that no commit of any state names. Returns their keys. */
export async function collectOrphans(
  table: TableRow,
  graceMs: number,
  deps: WorkerDeps,
): Promise<readonly string[]> {
  const folder = `${tableFolder(table.name)}/`
  const listed: { path: string; modifiedAt: number }[] = []
  for await (const object of deps.store.list(folder)) {
    const path = object.key.slice(folder.length)
    if (isDataPath(path)) listed.push({ path, modifiedAt: object.modifiedAt })
  }
  const known = await deps.catalog.knownPaths(
    table.name,
    listed.map((object) => object.path),
  )
  const orphans = planOrphans(listed, known, graceMs, deps.clock.now())
  await deps.store.delete(orphans.map((path) => folder + path))
  return orphans
}

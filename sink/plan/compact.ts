/**
 * Plans the upkeep of a table's files: which small ones to rewrite as one, which removed ones to delete,
 * which uploads nobody knows. Nothing here deletes; a plan can be printed.
 *
 * Merging any subset of files keeps newest-wins right in upsert tables, because each row keeps its
 * sequence: the newest version of a key in the subset survives, and every other one stays where it is.
 */
import type { DataFile, LiveFile, RemovedFile } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import { stableStringify } from '../../lib/json.ts'
import { isDataPath } from './data-path.ts'

export type CompactionOptions = {
  /** The most a rewritten file should hold; larger files are left alone. */
  readonly targetBytes: number
  /** Fewer files than this are not worth a rewrite. */
  readonly minFiles: number
  /** Only files of this generation; all of them when left out. */
  readonly generation?: number
  /** Files in one group at the most. */
  readonly filesMax?: number
}

export type CompactionGroup = {
  readonly partition: DataFile['partition']
  /** In log order. */
  readonly files: readonly LiveFile[]
  readonly bytes: number
  readonly rows: number
}

const FILES_MAX = 1_000

/**
 * Groups of small files of one partition, neighbours in log order, each to become one file. A file as
 * large as the rest of its group together waits, so that each rewrite at least doubles the file a row
 * lives in and a row is rewritten a logarithmic number of times.
 */
export function planCompaction(
  files: readonly LiveFile[],
  options: CompactionOptions,
): readonly CompactionGroup[] {
  assert(options.minFiles >= 2, 'a group of one file would be rewritten for ever')
  const small = files
    .filter((file) => options.generation === undefined || file.generation === options.generation)
    .filter((file) => file.bytes < options.targetBytes)
  return byPartition(small).flatMap((members) =>
    bins(members, options)
      .map(withoutDominant)
      .filter((bin) => bin.length >= options.minFiles)
      .map(group),
  )
}

/** Paths of tombstones old enough that no reader of an earlier version needs the file any more. */
export function planVacuum(
  tombstones: readonly RemovedFile[],
  retainMs: number,
  now: number,
): readonly string[] {
  return tombstones
    .filter((file) => file.removedAt + retainMs <= now)
    .map((file) => file.path)
    .toSorted()
}

/** An object of the table's folder, by its path in it. */
export type ListedObject = { readonly path: string; readonly modifiedAt: number }

/**
 * Data files that no commit of any state names and that are older than `graceMs`, so that no commit
 * under way can still name them. Folders that start with an underscore are never touched.
 */
export function planOrphans(
  listed: readonly ListedObject[],
  known: ReadonlySet<string>,
  graceMs: number,
  now: number,
): readonly string[] {
  return listed
    .filter(({ path }) => path.endsWith('.parquet') && isDataPath(path))
    .filter(({ path, modifiedAt }) => !known.has(path) && modifiedAt + graceMs <= now)
    .map(({ path }) => path)
}

function byPartition(files: readonly LiveFile[]): readonly (readonly LiveFile[])[] {
  const partitions = new Map<string, LiveFile[]>()
  for (const file of files) {
    const key = stableStringify(file.partition)
    const members = partitions.get(key)
    if (members) members.push(file)
    else partitions.set(key, [file])
  }
  return [...partitions]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, members]) => members.toSorted(inLogOrder))
}

const inLogOrder = (a: LiveFile, b: LiveFile): number =>
  a.version - b.version || (a.path < b.path ? -1 : 1)

/** Neighbours, filled up to the target. */
function bins(
  files: readonly LiveFile[],
  options: CompactionOptions,
): readonly (readonly LiveFile[])[] {
  const all: LiveFile[][] = []
  let room = 0
  for (const file of files) {
    const open = all.at(-1)
    const isFull = !open || file.bytes > room || open.length >= (options.filesMax ?? FILES_MAX)
    if (isFull) all.push([file])
    else open.push(file)
    room = (isFull ? options.targetBytes : room) - file.bytes
  }
  return all
}

function withoutDominant(files: readonly LiveFile[]): readonly LiveFile[] {
  const total = sum(files, (file) => file.bytes)
  const largest = files.reduce((most, file) => (file.bytes > most.bytes ? file : most), files[0]!)
  if (files.length < 2 || largest.bytes * 2 <= total) return files
  return withoutDominant(files.filter((file) => file !== largest))
}

const group = (files: readonly LiveFile[]): CompactionGroup => ({
  partition: files[0]!.partition,
  files,
  bytes: sum(files, (file) => file.bytes),
  rows: sum(files, (file) => file.rows),
})

const sum = (files: readonly LiveFile[], of: (file: LiveFile) => number): number =>
  files.reduce((total, file) => total + of(file), 0)

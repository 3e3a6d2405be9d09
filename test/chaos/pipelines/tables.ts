/**
 * The audit of one table by programs that share nothing with the one that wrote it: the bucket as it lies
 * on disk, an independent reader and linter of the Delta log, and the rows as the source itself has them.
 */
import { auditDelta } from '../../support/delta-lint.ts'
import { decodePath, readDelta, type TableSource } from '../../support/delta-reader.ts'
import { TABLE_COLUMNS } from './expected.ts'
import { fileRows, newestRows } from './found.ts'
import {
  lintBodies,
  lintFiles,
  lintGrowth,
  lintLive,
  lintShards,
  readVersions,
  type Version,
} from './log-history.ts'
import type { PipelineName } from './manifest.ts'
import { orphansOf } from './objects.ts'
import { named, type Problem } from './problem.ts'
import { compareRows, type KeyedRow } from './rows.ts'
import { PERMANENT_ACCOUNTS } from './sources.ts'

export type TableAudit = {
  readonly problems: readonly Problem[]
  /** Rows that readers see. */
  readonly rows: number
  readonly versions: number
  readonly checkpoints: number
  /** Files that no version names: allowed, for a crash before a commit leaves them. */
  readonly orphans: { readonly files: number; readonly bytes: number }
}

/** What the catalog has of a table, as of one moment before the bucket was looked at. */
export type StoredTable = {
  /** Bodies of the versions that it says are in the bucket. */
  readonly bodies: readonly { readonly version: number; readonly body: string }[]
  /** Newest version that it has made. */
  readonly version: number
  /** Files that count as of that version. */
  readonly live: ReadonlySet<string>
}

export type TableAuditOptions = {
  readonly name: PipelineName
  readonly table: string
  readonly source: TableSource
  readonly expected: () => AsyncIterable<KeyedRow>
  readonly stored: StoredTable
  /** In [0, 1): chooses among the versions of the past. */
  readonly random: () => number
}

/** Above this, values are compared with the source only, not with the statistics of their files. */
const LINT_ROWS_MAX = 400_000
const SAMPLES = 5

export async function auditTable(options: TableAuditOptions): Promise<TableAudit> {
  const { name, table, source } = options
  const versions = await readVersions(source)
  const objects = await objectsOf(source)
  const delta = await auditDelta(source, { values: rowsSaid(versions) <= LINT_ROWS_MAX })
  const problems: Problem[] = [
    ...delta.problems.map((text) => ({ check: 'delta', text: `${table}: ${text}` })),
    ...lintFiles(table, versions, new Set(objects.map(({ key }) => key))),
    ...lintShards(table, versions),
    ...(await lintBodies(table, source, options.stored.bodies)),
    ...(isAppend(name) ? lintGrowth(table, versions) : []),
  ]
  const compared = await caught(table, problems, () => compare(options))
  problems.push(...(compared?.problems ?? []))
  problems.push(...((await caught(table, problems, () => auditPast(options, versions))) ?? []))
  problems.push(...((await caught(table, problems, () => auditLive(options, versions))) ?? []))
  return {
    problems,
    rows: compared?.rows ?? 0,
    versions: versions.length,
    checkpoints: delta.checkpoints,
    orphans: orphansOf(objects, namedIn(versions)),
  }
}

/** A table that cannot be read is a finding, not the end of the audit. */
async function caught<T>(
  table: string,
  problems: Problem[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    problems.push({ check: 'unreadable', text: `${table}: ${String(error)}` })
    return undefined
  }
}

async function compare({ name, table, source, expected }: TableAuditOptions) {
  const rows = fileRows(source, await readDelta(source), TABLE_COLUMNS[name])
  return compareRows(table, expected(), name === 'tickets' ? newestRows(rows) : rows)
}

/**
 * A sample of versions of the past, read as a reader would have done: no key twice; an append table has
 * every key that it ever had, a replaced one those that its source never lost.
 */
async function auditPast(
  { name, table, source, random }: TableAuditOptions,
  versions: readonly Version[],
): Promise<readonly Problem[]> {
  if (name === 'tickets') return []
  const problems: Problem[] = []
  let before: readonly number[] =
    name === 'accounts' ? Array.from({ length: PERMANENT_ACCOUNTS }, (_, at) => at + 1) : []
  for (const version of sample(versions, random)) {
    const keys: number[] = []
    const then = await readDelta(source, { version })
    // The first version may be one that only makes the table.
    if (then.files.length === 0) continue
    for await (const { key } of fileRows(source, then, TABLE_COLUMNS[name])) keys.push(key)
    problems.push(...lintPast(`${table} at version ${version}`, keys, before))
    if (isAppend(name)) before = keys
  }
  return problems
}

/** Pure. */
export function lintPast(
  what: string,
  keys: readonly number[],
  before: readonly number[],
): readonly Problem[] {
  const seen = new Set(keys)
  const missing = before.filter((key) => !seen.has(key))
  const found: Problem[] = []
  if (seen.size < keys.length)
    found.push({ check: 'past-doubled', text: `${what}: ${keys.length - seen.size} rows twice` })
  if (missing.length > 0)
    found.push({ check: 'past-lost', text: `${what}: ${named('keys gone', missing)}` })
  return found
}

/** The catalog's list of files that count, against the log's, as of one version. */
async function auditLive(
  { table, source, stored: { version, live } }: TableAuditOptions,
  versions: readonly Version[],
): Promise<readonly Problem[]> {
  // Made, and on its way to the bucket: what is missing of it is found by its body.
  if (!versions.some((each) => each.version === version)) return []
  const { files } = await readDelta(source, { version })
  return lintLive(table, live, new Set(files.map(({ path }) => decodePath(path))))
}

/** Version numbers in order, chosen without looking; the newest is compared anyway. */
function sample(versions: readonly Version[], random: () => number): readonly number[] {
  const chosen = Array.from({ length: Math.min(SAMPLES, versions.length) }, () =>
    Math.floor(random() * versions.length),
  )
  return [...new Set(chosen)].toSorted((a, b) => a - b).flatMap((at) => versions[at]?.version ?? [])
}

function isAppend(name: PipelineName): boolean {
  return name === 'ledger' || name === 'events'
}

function rowsSaid(versions: readonly Version[]): number {
  let rows = 0
  for (const { actions } of versions)
    for (const action of actions)
      if (action.kind === 'add')
        rows += (JSON.parse(action.value.stats ?? '{}') as { numRecords?: number }).numRecords ?? 0
  return rows
}

function namedIn(versions: readonly Version[]): ReadonlySet<string> {
  const paths = versions.flatMap(({ actions }) =>
    actions.flatMap((action) => (action.kind === 'add' ? [decodePath(action.value.path)] : [])),
  )
  return new Set(paths)
}

async function objectsOf(source: TableSource) {
  const objects: { key: string; bytes: number }[] = []
  for await (const object of source.list('')) objects.push(object)
  return objects
}

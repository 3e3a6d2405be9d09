/**
 * Every version of a table's log, one after the other: what a reader saw at any time of the run. Rules of
 * how one version may follow another; what holds within one is the linter's.
 */
import {
  type Action,
  decodePath,
  listLog,
  logKey,
  readCommit,
  type TableSource,
} from '../../support/delta-reader.ts'
import { named, type Problem } from './problem.ts'

export type Version = {
  readonly version: number
  readonly actions: readonly Action[]
}

/** Versions in order; one that cannot be read is the linter's to report. */
export async function readVersions(source: TableSource): Promise<readonly Version[]> {
  const { commits } = await listLog(source)
  const versions: Version[] = []
  for (const version of commits) {
    const actions = await readCommit(source, version).catch(() => undefined)
    if (actions) versions.push({ version, actions })
  }
  return versions
}

/** An append table only gains rows, and drops a file only for another with the same rows. Pure. */
export function lintGrowth(table: string, versions: readonly Version[]): readonly Problem[] {
  const problems: Problem[] = []
  const report = (text: string): void =>
    void problems.push({ check: 'append-only', text: `${table}: ${text}` })
  const live = new Map<string, number>()
  let rows = 0
  for (const { version, actions } of versions) {
    const before = rows
    for (const action of actions) {
      if (action.kind !== 'add' && action.kind !== 'remove') continue
      const path = decodePath(action.value.path)
      rows -= live.get(path) ?? 0
      if (action.kind === 'add') {
        live.set(path, rowsOf(action.value.stats))
        rows += rowsOf(action.value.stats)
      } else live.delete(path)
      if (action.kind === 'remove' && action.value.dataChange)
        report(`version ${version} takes the rows of ${path} away`)
    }
    if (rows < before) report(`version ${version} has ${rows} rows, the one before ${before}`)
  }
  return problems
}

function rowsOf(stats: string | null | undefined): number {
  const { numRecords } = JSON.parse(stats ?? '{}') as { numRecords?: number }
  return numRecords ?? 0
}

/** Every file that any version names is in the bucket. */
export function lintFiles(
  table: string,
  versions: readonly Version[],
  objects: ReadonlySet<string>,
): readonly Problem[] {
  const missing = new Set(
    versions.flatMap(({ version, actions }) =>
      actions.flatMap((action) => {
        if (action.kind !== 'add') return []
        const path = decodePath(action.value.path)
        return objects.has(path) ? [] : [`${path} of version ${version}`]
      }),
    ),
  )
  return missing.size === 0
    ? []
    : [{ check: 'missing-file', text: `${table}: ${named('files', [...missing])}` }]
}

type Told = { readonly epoch: number; readonly seq: number; readonly version: number }

/**
 * What each version says of the shards that it moves: epochs never go back, sequences grow, and what the
 * commit tells a rebuild is what its txn tells everyone.
 */
export function lintShards(table: string, versions: readonly Version[]): readonly Problem[] {
  const problems: Problem[] = []
  const report = (check: string, text: string): void =>
    void problems.push({ check, text: `${table}: ${text}` })
  const before = new Map<string, Told>()
  for (const { version, actions } of versions) {
    const txns = new Map(
      actions.flatMap((action) =>
        action.kind === 'txn' ? [[action.value.appId, action.value.version] as const] : [],
      ),
    )
    for (const { appId, epoch, seq } of shardsIn(actions)) {
      const told = before.get(appId)
      const here = `${appId} has epoch ${epoch} and seq ${seq} in version ${version}`
      const then = told && `epoch ${told.epoch} and seq ${told.seq} in ${told.version}`
      if (told && epoch < told.epoch) report('log-epochs', `${here}, ${then}`)
      if (told && seq <= told.seq) report('log-seqs', `${here}, ${then}`)
      const txn = txns.get(appId)
      if (txn !== seq) report('log-txns', `${here}, its txn ${txn ?? 'is missing'}`)
      before.set(appId, { epoch, seq, version })
    }
  }
  return problems
}

type ToldShard = { readonly appId: string; readonly epoch: number; readonly seq: number }

function shardsIn(actions: readonly Action[]): readonly ToldShard[] {
  return actions.flatMap((action) => {
    if (action.kind !== 'commitInfo') return []
    const { hakiri } = action.value as {
      readonly hakiri?: { readonly shards?: { readonly [appId: string]: ToldShard } }
    }
    return Object.entries(hakiri?.shards ?? {}).map(([appId, { epoch, seq }]) => ({
      appId,
      epoch,
      seq,
    }))
  })
}

/** Versions that the catalog stored and that the bucket shows differently, or not at all. */
export async function lintBodies(
  table: string,
  source: TableSource,
  stored: readonly { readonly version: number; readonly body: string }[],
): Promise<readonly Problem[]> {
  const differing: string[] = []
  for (const { version, body } of stored) {
    const found = await source.get(logKey(version, 'json'))
    if (!found) differing.push(`${version} is not in the bucket`)
    else if (Buffer.from(found).toString() !== body) differing.push(`${version} differs`)
  }
  return differing.length === 0
    ? []
    : [{ check: 'log-bodies', text: `${table}: ${named('versions', differing)}` }]
}

/** Where the catalog and the log differ about which files count. Pure. */
export function lintLive(
  table: string,
  inCatalog: ReadonlySet<string>,
  inLog: ReadonlySet<string>,
): readonly Problem[] {
  const unknown = [...inLog].filter((path) => !inCatalog.has(path))
  const unpublished = [...inCatalog].filter((path) => !inLog.has(path))
  const found: Problem[] = []
  if (unknown.length > 0)
    found.push({
      check: 'live-files',
      text: `${table}: ${named('live in the log alone', unknown)}`,
    })
  if (unpublished.length > 0)
    found.push({
      check: 'live-files',
      text: `${table}: ${named('live in the catalog alone', unpublished)}`,
    })
  return found
}

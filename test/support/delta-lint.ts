/**
 * A linter for Delta Lake tables: reads a whole table through the independent reader and lists every
 * breach of the protocol, and of the narrower rules that keep a table readable by every engine
 * (reader 1 / writer 2, classic checkpoints, no scraps of row groups). An empty list is the claim
 * that any Delta reader sees the same rows.
 */
import { lintDataFiles } from './delta-lint-files.ts'
import { lintMetadata, lintPartitionValues, lintProtocol } from './delta-lint-actions.ts'
import { openParquet } from './delta-parquet.ts'
import {
  apply,
  decodePath,
  emptyState,
  linesOf,
  listLog,
  logKey,
  parseAction,
  readCheckpoint,
  readDelta,
  sourceOf,
} from './delta-reader.ts'
import type { Action, LogListing, LogState, Metadata, TableSource } from './delta-reader.ts'

export type DeltaAudit = {
  /** Sentences; empty for a sound table. */
  readonly problems: readonly string[]
  /** Data files that no version of the log names: invisible, so no problem. */
  readonly orphans: readonly string[]
  /** Newest version; -1 when the log could not be read. */
  readonly version: number
  readonly liveFiles: number
  readonly rows: number
  readonly checkpoints: number
}

export type AuditOptions = {
  /** False leaves the values of data files unread (large tables); footers are still checked. */
  readonly values?: boolean
}

type Report = (problem: string) => void

/** Audits a table in a folder or behind a source. Never throws for a broken table. */
export async function auditDelta(
  from: string | TableSource,
  options: AuditOptions = {},
): Promise<DeltaAudit> {
  const source = sourceOf(from)
  const problems: string[] = []
  const report: Report = (problem) => problems.push(problem)
  const log = await listLog(source)
  for (const name of log.foreign) report(`_delta_log holds a foreign file: ${name}`)
  lintVersions(log, report)
  const replayed = await replayStrictly(source, log, report)
  await lintCheckpoints(source, log, replayed, report)
  const objects = await objectsOf(source)
  const rows = await lintDataFiles(source, replayed.state, objects, options.values ?? true, report)
  await lintBothReadings(source, log, problems)
  return {
    problems,
    orphans: [...objects.keys()].filter((key) => isDataFile(key) && !replayed.seen.has(key)),
    version: log.commits.at(-1) ?? log.checkpoints.at(-1) ?? -1,
    liveFiles: replayed.state.files.size,
    rows,
    checkpoints: log.checkpoints.length,
  }
}

/** Throws with every problem when the table is not sound; returns the audit otherwise. */
export async function assertDelta(
  from: string | TableSource,
  options: AuditOptions = {},
): Promise<DeltaAudit> {
  const audit = await auditDelta(from, options)
  if (audit.problems.length > 0)
    throw new Error(`the table is not sound:\n  ${audit.problems.join('\n  ')}`)
  return audit
}

async function objectsOf(source: TableSource): Promise<Map<string, number>> {
  const objects = new Map<string, number>()
  for await (const { key, bytes } of source.list('')) objects.set(key, bytes)
  return objects
}

/** Readers skip names that start with `_` or `.`, but not a partition folder such as `_id=7`. */
function isDataFile(key: string): boolean {
  return !key.split('/').some((part) => part.startsWith('.') || /^_[^=]*$/.test(part))
}

function lintVersions(log: LogListing, report: Report): void {
  const first = log.commits[0]
  if (first === undefined) return report('the log has no commit')
  if (first > 0 && !log.checkpoints.some((at) => at >= first - 1))
    report(`the log starts at version ${first} without a checkpoint`)
  log.commits.forEach((version, index) => {
    const before = log.commits[index - 1]
    if (before !== undefined && version !== before + 1)
      report(`version ${before + 1} is missing: ${before} is followed by ${version}`)
  })
}

type Replayed = {
  readonly state: LogState
  /** Decoded paths of every file that the log ever named. */
  readonly seen: Set<string>
  /** The state at each version that has a checkpoint, as far as commits tell it. */
  readonly at: Map<number, string>
}

async function replayStrictly(
  source: TableSource,
  log: LogListing,
  report: Report,
): Promise<Replayed> {
  const replayed: Replayed = { state: emptyState(), seen: new Set(), at: new Map() }
  const first = log.commits[0] ?? 0
  const base = first > 0 ? log.checkpoints.find((at) => at >= first - 1) : undefined
  if (base !== undefined)
    for (const action of await checkpointActions(source, base, report))
      take(replayed, action, () => undefined)
  for (const version of log.commits) {
    if (base !== undefined && version <= base) continue
    const text = await commitText(source, version, report)
    lintCommit(replayed, version, text, report)
    if (log.checkpoints.includes(version)) replayed.at.set(version, canonical(replayed.state))
  }
  return replayed
}

async function commitText(source: TableSource, version: number, report: Report): Promise<string> {
  const body = (await source.get(logKey(version, 'json'))) ?? new Uint8Array()
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    report(`version ${version} is not UTF-8`)
    return ''
  }
}

function lintCommit(replayed: Replayed, version: number, text: string, report: Report): void {
  const here: Report = (problem) => report(`version ${version}: ${problem}`)
  const actions = linesOf(text).flatMap((line) => {
    const action = actionOf(line)
    if (typeof action !== 'string') return [action]
    here(action)
    return []
  })
  if (actions.length === 0) here('holds no action')
  lintShape(version, actions, here)
  for (const action of actions) take(replayed, action, here)
}

function actionOf(line: string): Action | string {
  try {
    return parseAction(JSON.parse(line))
  } catch {
    return `a line is not JSON: ${line.slice(0, 60)}`
  }
}

/** What must hold among the actions of one commit. */
function lintShape(version: number, actions: readonly Action[], here: Report): void {
  const count = (kind: Action['kind']): number => actions.filter((a) => a.kind === kind).length
  for (const kind of ['protocol', 'metaData'] as const) {
    if (count(kind) > 1) here(`${count(kind)} ${kind} actions in one commit`)
    if (version === 0 && count(kind) === 0) here(`the first commit has no ${kind}`)
  }
  const paths = actions.flatMap((a) =>
    a.kind === 'add' || a.kind === 'remove' ? [decodePath(a.value.path)] : [],
  )
  for (const path of repeated(paths)) here(`file ${path} is named twice in one commit`)
  const apps = actions.flatMap((a) => (a.kind === 'txn' ? [a.value.appId] : []))
  for (const app of repeated(apps)) here(`two txn actions of ${app} in one commit`)
  if (actions.some((a, index) => a.kind === 'commitInfo' && index > 0))
    here('commitInfo is not the first action')
}

function repeated(items: readonly string[]): Set<string> {
  return new Set(items.filter((item, index) => items.indexOf(item) !== index))
}

/** Checks an action against everything before it, then applies it. */
function take(replayed: Replayed, action: Action, here: Report): void {
  const { state, seen } = replayed
  switch (action.kind) {
    case 'protocol':
      lintProtocol(action.value, here)
      break
    case 'metaData':
      lintMetadata(action.value, state.metadata, here)
      break
    case 'add': {
      const path = decodePath(action.value.path)
      if (state.files.has(path)) here(`file ${path} is added while it is live`)
      else if (seen.has(path)) here(`file ${path} is added again after its removal`)
      lintPath(action.value.path, here)
      lintPartitionValues(action.value, state.metadata, here)
      seen.add(path)
      break
    }
    case 'remove': {
      const path = decodePath(action.value.path)
      if (!state.files.has(path)) here(`file ${path} is removed but not live`)
      seen.add(path)
      break
    }
    case 'txn': {
      const before = state.txns.get(action.value.appId) ?? -1
      if (action.value.version <= before)
        here(`txn of ${action.value.appId} goes from ${before} to ${action.value.version}`)
      break
    }
    case 'commitInfo':
      break
  }
  apply(state, action)
}

function lintPath(path: string, here: Report): void {
  if (/^[a-z][a-z0-9+.-]*:|^\//i.test(path)) here(`path ${path} is not relative`)
  if (!isDataFile(decodePath(path))) here(`path ${path} is hidden from readers`)
  if (!/^[A-Za-z0-9._=/%~-]+$/.test(path)) here(`path ${path} is not URI-encoded`)
}

/** One text per state: equal states give equal text. Tombstones may expire, so they are left out. */
function canonical(state: LogState): string {
  const files = [...state.files.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({
    protocol: [state.protocol?.minReaderVersion, state.protocol?.minWriterVersion],
    metadata: state.metadata && canonicalMetadata(state.metadata),
    files: files.map(([path, add]) => [
      path,
      add.size,
      add.modificationTime,
      sorted(add.partitionValues),
      add.stats ?? null,
    ]),
    txns: sorted(Object.fromEntries(state.txns)),
  })
}

function canonicalMetadata(metadata: Metadata): unknown {
  const { id, name, schemaString, partitionColumns, configuration, createdTime } = metadata
  const schema: unknown = JSON.parse(schemaString)
  return [id, name ?? null, schema, partitionColumns, sorted(configuration), createdTime ?? null]
}

function sorted(map: { readonly [key: string]: unknown }): unknown[] {
  return Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

async function checkpointActions(
  source: TableSource,
  version: number,
  report: Report,
): Promise<Action[]> {
  try {
    const actions = await readCheckpoint(source, version)
    if (actions.length === 0) report(`checkpoint ${version} is empty`)
    return actions
  } catch (error) {
    report(`checkpoint ${version} cannot be read: ${messageOf(error)}`)
    return []
  }
}

async function lintCheckpoints(
  source: TableSource,
  log: LogListing,
  replayed: Replayed,
  report: Report,
): Promise<void> {
  for (const version of log.checkpoints) {
    const actions = await checkpointActions(source, version, report)
    if (actions.length === 0) continue
    if (actions.some((action) => action.kind === 'commitInfo'))
      report(`checkpoint ${version} holds commitInfo`)
    const state = emptyState()
    for (const action of actions) apply(state, action)
    const expected = replayed.at.get(version)
    if (expected !== undefined && expected !== canonical(state))
      report(`checkpoint ${version} differs from the commits: ${firstDifference(expected, state)}`)
    await lintCheckpointTypes(source, version, report)
  }
  await lintHint(source, log, report)
}

function firstDifference(expected: string, state: LogState): string {
  const found = canonical(state)
  const at = Array.from(expected, (_, index) => index).findIndex((i) => expected[i] !== found[i])
  const from = Math.max(0, at - 40)
  return `…${expected.slice(from, at + 40)}… against …${found.slice(from, at + 40)}…`
}

/** Physical shape that other engines bind to by name and type. */
const CHECKPOINT_TYPES: { readonly [path: string]: string } = {
  'add.path': 'BYTE_ARRAY',
  'add.partitionValues.key_value.key': 'BYTE_ARRAY',
  'add.partitionValues.key_value.value': 'BYTE_ARRAY',
  'add.size': 'INT64',
  'add.modificationTime': 'INT64',
  'add.dataChange': 'BOOLEAN',
  'remove.path': 'BYTE_ARRAY',
  'remove.dataChange': 'BOOLEAN',
  'txn.appId': 'BYTE_ARRAY',
  'txn.version': 'INT64',
  'metaData.id': 'BYTE_ARRAY',
  'metaData.format.provider': 'BYTE_ARRAY',
  'metaData.schemaString': 'BYTE_ARRAY',
  'metaData.configuration.key_value.key': 'BYTE_ARRAY',
  'protocol.minReaderVersion': 'INT32',
  'protocol.minWriterVersion': 'INT32',
}

async function lintCheckpointTypes(
  source: TableSource,
  version: number,
  report: Report,
): Promise<void> {
  const body = await source.get(logKey(version, 'checkpoint.parquet'))
  if (!body) return
  const { metadata } = await openParquet(body)
  const leaves = new Map(
    metadata.row_groups[0]?.columns.map((column) => [
      column.meta_data?.path_in_schema.join('.') ?? '',
      column.meta_data?.type,
    ]),
  )
  for (const [path, type] of Object.entries(CHECKPOINT_TYPES))
    if (leaves.get(path) !== type)
      report(
        `checkpoint ${version}: column ${path} is ${leaves.get(path) ?? 'absent'}, not ${type}`,
      )
  const lists = [...leaves.keys()].filter((path) => path.startsWith('metaData.partitionColumns.'))
  if (!lists.every((path) => path.split('.').length === 4) || lists.length !== 1)
    report(`checkpoint ${version}: metaData.partitionColumns is not a three-level list`)
}

async function lintHint(source: TableSource, log: LogListing, report: Report): Promise<void> {
  if (!log.hasHint) {
    if (log.checkpoints.length > 0) report('there is a checkpoint but no _last_checkpoint')
    return
  }
  const body = (await source.get('_delta_log/_last_checkpoint')) ?? new Uint8Array()
  const hint = hintOf(new TextDecoder().decode(body))
  if (!hint) return report('_last_checkpoint is not a JSON object with version and size')
  if (!log.checkpoints.includes(hint.version))
    return report(`_last_checkpoint names checkpoint ${hint.version}, which does not exist`)
  const actions = await checkpointActions(source, hint.version, () => undefined)
  if (actions.length === 0) return
  const bytes = (await source.get(logKey(hint.version, 'checkpoint.parquet')))?.byteLength
  const adds = actions.filter((action) => action.kind === 'add').length
  expectHint('size', hint.size, actions.length, report)
  expectHint('sizeInBytes', hint.sizeInBytes ?? bytes, bytes, report)
  expectHint('numOfAddFiles', hint.numOfAddFiles ?? adds, adds, report)
}

type Hint = { version: number; size: number; sizeInBytes?: number; numOfAddFiles?: number }

function hintOf(text: string): Hint | undefined {
  try {
    const hint = JSON.parse(text) as Hint | null
    return typeof hint?.version === 'number' && typeof hint.size === 'number' ? hint : undefined
  } catch {
    return undefined
  }
}

function expectHint(name: string, said: unknown, found: unknown, report: Report): void {
  if (said !== found)
    report(`_last_checkpoint says ${name} ${String(said)}, the checkpoint ${String(found)}`)
}

/** Both ways of reading the newest version must agree, where both are possible. */
async function lintBothReadings(
  source: TableSource,
  log: LogListing,
  problems: string[],
): Promise<void> {
  try {
    const normal = await readDelta(source)
    if (log.checkpoints.length === 0 || log.commits[0] !== 0) return
    const fromZero = await readDelta(source, { fromZero: true })
    const paths = (table: typeof normal): string =>
      JSON.stringify(table.files.map((file) => file.path).toSorted())
    if (paths(normal) !== paths(fromZero))
      problems.push('the checkpoint and the commits give different live files')
  } catch (error) {
    problems.push(`the table cannot be read: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

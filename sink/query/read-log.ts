/**
 * Reads a table log out of a bucket: the newest usable checkpoint, then the commits behind it. Needs no
 * catalog, so anyone who can read the bucket can query it.
 */
import { HakiriError } from '../../lib/error.ts'
import { logFolder, logKey, logVersion } from '../plan/names.ts'
import {
  applyCheckpointRow,
  applyCommit,
  createReplay,
  finishCheckpoint,
  snapshot,
  versionAt,
  type Snapshot,
} from '../plan/replay.ts'
import type { ObjectStore } from '../store/store.ts'

/** Which state of a table is asked for. */
export type AsOf =
  | { readonly kind: 'latest' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'time'; readonly ms: number }

/** Turns a checkpoint object into its action rows. */
export type ReadCheckpoint = (key: string) => Promise<readonly unknown[]>

type Listing = { readonly commits: readonly number[]; readonly checkpoints: readonly number[] }

/** The table as of `asOf`; undefined when the bucket has no log for it. */
export async function readTable(
  store: ObjectStore,
  table: string,
  asOf: AsOf,
  readCheckpoint: ReadCheckpoint,
): Promise<Snapshot | undefined> {
  const listing = await listLog(store, table)
  const newest = listing.commits.at(-1)
  if (newest === undefined) return undefined
  const wanted = await wantedVersion(store, table, listing, asOf)
  const from = listing.checkpoints.findLast((version) => version <= wanted)
  const replay = createReplay()
  if (from !== undefined) {
    const rows = await readCheckpoint(`${logFolder(table)}/${checkpointName(from)}`)
    rows.forEach((row, index) => applyCheckpointRow(replay, from, row, index + 1))
    finishCheckpoint(replay, from)
  }
  for (const version of listing.commits) {
    if (version > replay.version && version <= wanted) {
      applyCommit(replay, version, await readCommit(store, table, version))
    }
  }
  return snapshot(replay)
}

/** Every commit body of a table, from version 0 on. */
export async function readLogBodies(
  store: ObjectStore,
  table: string,
): Promise<readonly { readonly version: number; readonly body: string }[]> {
  const { commits } = await listLog(store, table)
  const bodies: { readonly version: number; readonly body: string }[] = []
  for (const version of commits)
    bodies.push({ version, body: await readCommit(store, table, version) })
  return bodies
}

/** Folders of the bucket that hold a table log, as table names. */
export async function findTables(store: ObjectStore): Promise<readonly string[]> {
  const found = new Set<string>()
  for await (const object of store.list('')) {
    const at = object.key.indexOf('/_delta_log/')
    if (at > 0) found.add(object.key.slice(0, at).replaceAll('/', '.'))
  }
  return [...found].toSorted()
}

async function listLog(store: ObjectStore, table: string): Promise<Listing> {
  const commits: number[] = []
  const checkpoints: number[] = []
  for await (const { key } of store.list(`${logFolder(table)}/`)) {
    const version = logVersion(key)
    if (version !== undefined) commits.push(version)
    const match = /\/(\d{20})\.checkpoint\.parquet$/.exec(key)
    if (match) checkpoints.push(Number(match[1]))
  }
  return {
    commits: commits.toSorted((a, b) => a - b),
    checkpoints: checkpoints.toSorted((a, b) => a - b),
  }
}

async function wantedVersion(
  store: ObjectStore,
  table: string,
  { commits }: Listing,
  asOf: AsOf,
): Promise<number> {
  const [first, last] = [commits[0] ?? 0, commits.at(-1) ?? 0]
  if (asOf.kind === 'latest') return last
  if (asOf.kind === 'version') {
    if (asOf.version >= first && asOf.version <= last) return asOf.version
    throw new HakiriError('NOT_FOUND', `${table} has no version ${asOf.version}`, {
      suggestion: `It has versions ${first} to ${last}.`,
    })
  }
  const replay = createReplay()
  for (const version of commits)
    applyCommit(replay, version, await readCommit(store, table, version))
  const found = versionAt(snapshot(replay).notes, asOf.ms)
  if (found !== undefined) return found
  throw new HakiriError(
    'NOT_FOUND',
    `${table} did not exist at ${new Date(asOf.ms).toISOString()}`,
    {
      suggestion: `\`hakiri tables history ${table}\` shows when its versions came.`,
    },
  )
}

async function readCommit(store: ObjectStore, table: string, version: number): Promise<string> {
  const body = await store.get(logKey(table, version))
  if (body) return new TextDecoder().decode(body)
  throw new HakiriError('LOG_DAMAGED', `${table}: version ${version} vanished from ${store.url}`)
}

function checkpointName(version: number): string {
  return `${String(version).padStart(20, '0')}.checkpoint.parquet`
}

/** Files on disk as sources, and runs of the file connector over them. */
import type { ExecutionContext } from 'ava'
import { createHash } from 'node:crypto'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CsvConfig, FileConfig } from '../../connector/builtin/file/config.ts'
import { createFileConnector } from '../../connector/builtin/file/file.ts'
import type { ConnectorContext, SourceBucket, SourceEvent } from '../../connector/connector.ts'
import type { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { readEvents, type Reading, type Row } from './read-events.ts'

/** The usual dialect, with a header. */
export const CSV: CsvConfig = {
  delimiter: ',',
  quote: '"',
  header: true,
  columns: undefined,
  nullText: '',
}

/** A source of one table, "rows". */
export function configOf(paths: readonly string[], over: Partial<FileConfig> = {}): FileConfig {
  return { paths, format: undefined, table: 'rows', csv: CSV, records: '', ...over }
}

/** Buckets are folders below the base folder. */
export function contextOf(
  baseFolder: string,
  over: Partial<ConnectorContext> = {},
): ConnectorContext {
  return {
    resolve: async (reference) => reference,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    signal: new AbortController().signal,
    baseFolder,
    chunkBytesMax: 1_000_000,
    openBucket: (url) =>
      folderBucket(join(baseFolder, new URL(url).hostname, new URL(url).pathname)),
    count: () => undefined,
    ...over,
  }
}

/** A folder as an object store: whole objects with an ETag of their bytes. */
async function folderBucket(root: string): Promise<SourceBucket> {
  return {
    async *list(prefix) {
      const names = await readdir(root, { recursive: true })
      for (const key of names.toSorted().filter((name) => name.startsWith(prefix))) {
        if (!(await stat(join(root, key))).isFile()) continue
        const body = await readFile(join(root, key))
        yield { key, bytes: body.length, etag: createHash('md5').update(body).digest('hex') }
      }
    },
    read: async (key, start, end) => (await readFile(join(root, key))).subarray(start, end),
  }
}

/** Long ago: nobody is writing to it any more. */
export const OLD = new Date('2024-01-01T00:00:00Z')

export type Body = string | Buffer
/** Writes a file and says when that was. */
export async function put(
  folder: string,
  name: string,
  body: Body,
  modified: Date = OLD,
): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true })
  await writeFile(join(folder, name), body)
  await utimes(join(folder, name), modified, modified)
}

/** A folder with these files, gone after the test. */
export async function folderOf(
  t: ExecutionContext,
  files: { readonly [name: string]: Body } = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-file-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const [name, body] of Object.entries(files)) await put(folder, name, body)
  return folder
}

export type From = { readonly cursor?: Json; readonly state?: { readonly [key: string]: Json } }

/** A full read of all files as one shard. */
export function openFirst(
  folder: string,
  config: FileConfig,
  from: From = {},
  over: Partial<ConnectorContext> = {},
): AsyncIterable<SourceEvent> {
  const shard = { id: 'rows', table: 'rows', spec: { kind: 'all' } }
  const { cursor = null, state = {} } = from
  return createFileConnector(config).open(contextOf(folder, over), {
    shard,
    mode: { kind: 'full' },
    cursor,
    state,
  })
}

export const read = (
  folder: string,
  config: FileConfig,
  from: From = {},
  over: Partial<ConnectorContext> = {},
): Promise<Reading> => readEvents(openFirst(folder, config, from, over))

/** A later run: from the beginning, with what the last one remembered. */
export const after = (reading: Reading): From => ({ state: reading.marks.at(-1)!.state })

/** The error that the work has to end in. */
export async function failure(t: ExecutionContext, work: Promise<unknown>): Promise<HakiriError> {
  return t.throwsAsync<HakiriError>(work)
}

export const rowsOf = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, index) => ({
    id: from + index,
    name: `row "${from + index}", é`,
  }))
const text = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))
export const asCsvRow = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([key, value]) => [key, value === null ? null : text(value)]),
  )
const quoted = (value: Json): string => `"${text(value).replaceAll('"', '""')}"`
export const csvText = (rows: readonly Row[]): string =>
  ['id,name', ...rows.map((row) => `${text(row['id']!)},${quoted(row['name']!)}`)].join('\n') + '\n'
export const ndjsonText = (rows: readonly Row[]): string =>
  rows.map((row) => JSON.stringify(row) + '\n').join('')

/** Files below the folder that this process holds open. */
export async function openFilesUnder(folder: string): Promise<number> {
  const handles = await readdir('/proc/self/fd').catch((): string[] => [])
  const paths = await Promise.all(
    handles.map((handle) => readlink(`/proc/self/fd/${handle}`).catch(() => '')),
  )
  return paths.filter((path) => path.startsWith(folder)).length
}

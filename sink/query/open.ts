/** From buckets to an engine that can be asked: finds tables, resolves logs, fetches files, makes views. */
import { mkdir } from 'node:fs/promises'
import { HakiriError } from '../../lib/error.ts'
import { CONFIG } from '../plan/actions.ts'
import { logFolder, tableFolder } from '../plan/names.ts'
import type { Clock } from '../../lib/ports.ts'
import type { Snapshot } from '../plan/replay.ts'
import type { ObjectStore } from '../store/store.ts'
import { openEngine, type Engine } from './engine.ts'
import { findTables, readTable, type AsOf } from './read-log.ts'
import { shortName, type TableView } from './views.ts'

export type QueryOptions = {
  readonly stores: readonly ObjectStore[]
  /** Where remote files are kept while they are asked for. */
  readonly cacheFolder: string
  readonly tempFolder: string
  readonly memoryBytes: number
  readonly clock: Clock
  readonly threads: number
  readonly asOf: AsOf
  /** Only tables that this text mentions are opened; undefined opens all. */
  readonly mentionedIn: string | undefined
  /** Folders that answers may be written to. */
  readonly outputFolders: readonly string[]
}

/** Opens the tables of the stores as views. */
export async function openQuery(options: QueryOptions): Promise<Engine> {
  await mkdir(options.cacheFolder, { recursive: true })
  await mkdir(options.tempFolder, { recursive: true })
  const engine = await openEngine(options)
  try {
    const views: TableView[] = []
    const folders = new Set([options.cacheFolder, ...options.outputFolders])
    for (const store of options.stores) {
      for (const table of await findTables(store)) {
        if (!isMentioned(table, options.mentionedIn)) continue
        const view = await openTable(store, table, engine, options)
        if (view) views.push(view)
      }
      const root = store.localRoot
      if (root !== undefined) folders.add(root)
    }
    await engine.define(views)
    await engine.lock([...folders])
    return engine
  } catch (error) {
    await engine[Symbol.asyncDispose]()
    throw error
  }
}

function isMentioned(table: string, text: string | undefined): boolean {
  return text === undefined || text.toLowerCase().includes(shortName(table).toLowerCase())
}

async function openTable(
  store: ObjectStore,
  table: string,
  engine: Engine,
  options: QueryOptions,
): Promise<TableView | undefined> {
  const local = (key: string): Promise<string> => store.materialise(key, options.cacheFolder)
  const state = await readTable(store, table, options.asOf, async (key) =>
    engine.readCheckpoint(await local(key)),
  )
  if (!state) return undefined
  const files: {
    readonly localPath: string
    readonly partition: TableView['files'][number]['partition']
  }[] = []
  for (const file of state.files) {
    files.push({
      localPath: await local(`${tableFolder(table)}/${file.path}`),
      partition: file.partition,
    })
  }
  return {
    name: table,
    columns: state.columns,
    partitionBy: state.partitionBy,
    mergeKey: mergeKeyOf(table, state),
    files,
  }
}

function mergeKeyOf(table: string, { configuration }: Snapshot): readonly string[] | undefined {
  if (configuration[CONFIG.mode] !== 'upsert') return undefined
  const key = JSON.parse(configuration[CONFIG.key] ?? '[]') as readonly string[]
  if (key.length > 0) return key
  throw new HakiriError(
    'LOG_DAMAGED',
    `${table}: its log says upsert but names no key (${logFolder(table)})`,
  )
}

/** DuckDB for questions: views over live files, locked to the folders that hold them. Loaded on use. */
import {
  DuckDBInstance,
  StatementType,
  type DuckDBConnection,
  type DuckDBResult,
} from '@duckdb/node-api'
import { toHakiriError, HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import type { Clock } from '../../lib/ports.ts'
import { viewStatements, type TableView } from './views.ts'

export type Answer = {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Numbers beyond 2^53, decimals, dates and blobs come as text. */
  readonly rows: readonly (readonly Json[])[]
  readonly truncated: boolean
}

export type ExportFormat = 'csv' | 'json' | 'parquet'

export type Engine = AsyncDisposable & {
  /** Adds views; call before `lock`. */
  define(views: readonly TableView[]): Promise<void>
  readCheckpoint(localPath: string): Promise<readonly unknown[]>
  /** From here on only these folders are readable, and settings stand. */
  lock(folders: readonly string[]): Promise<void>
  ask(sql: string, rowsMax: number, signal: AbortSignal): Promise<Answer>
  /** Streams every row of the answer into a local file, which must lie in a folder given to `lock`. */
  write(sql: string, path: string, format: ExportFormat, signal: AbortSignal): Promise<number>
}

export type EngineOptions = {
  readonly memoryBytes: number
  readonly threads: number
  readonly tempFolder: string
  readonly clock: Clock
}

export async function openEngine(options: EngineOptions): Promise<Engine> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threads),
    memory_limit: `${Math.floor(options.memoryBytes / 1e6)}MB`,
    temp_directory: options.tempFolder,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  }).catch((error: unknown) => {
    throw toHakiriError(error, 'ENGINE_UNAVAILABLE', 'the query engine did not start')
  })
  const connection = await instance.connect()
  await connection.run(`SET TimeZone = 'UTC'`)
  return engineOn(instance, connection, options.clock)
}

function engineOn(instance: DuckDBInstance, connection: DuckDBConnection, clock: Clock): Engine {
  return {
    async define(views) {
      for (const statement of viewStatements(views)) await connection.run(statement)
    },
    async readCheckpoint(localPath) {
      const reader = await connection.runAndReadAll(
        `SELECT to_json(t)::VARCHAR FROM read_parquet('${localPath.replaceAll("'", "''")}', hive_partitioning=false) t`,
      )
      return reader.getRows().map(([text]) => JSON.parse(String(text)) as unknown)
    },
    async lock(folders) {
      const list = folders.map((folder) => `'${folder.replaceAll("'", "''")}/'`).join(', ')
      await connection.run(`SET allowed_directories = [${list}]`)
      await connection.run('SET enable_external_access = false')
      await connection.run('SET lock_configuration = true')
    },
    ask: (sql, rowsMax, signal) =>
      interruptible(connection, clock, signal, () => ask(connection, sql, rowsMax)),
    write: (sql, path, format, signal) =>
      interruptible(connection, clock, signal, () => write(connection, sql, path, format)),
    async [Symbol.asyncDispose]() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

const WRITERS = new Set([
  StatementType.COPY,
  StatementType.COPY_DATABASE,
  StatementType.EXPORT,
  StatementType.ATTACH,
  StatementType.LOAD,
])
/** These may hold another statement inside, which only their text shows. */
const WRAPPERS = new Set([StatementType.EXPLAIN, StatementType.PREPARE])

/**
 * Folders that are open for reading are open for writing too, so statements that write files are
 * refused: a question must never change a table (S1).
 */
function refuseWriter(type: StatementType, sql: string): void {
  const hidden = WRAPPERS.has(type) && /\b(copy|export|attach)\b/i.test(sql)
  if (!WRITERS.has(type) && !hidden) return
  throw new HakiriError('QUERY_INVALID', 'a query only reads: COPY, EXPORT and ATTACH write', {
    suggestion: 'Write an answer to a file with --format and --output.',
  })
}

/** Runs every statement of the text in turn; the answer is the last one's. */
async function runStatements(connection: DuckDBConnection, sql: string): Promise<DuckDBResult> {
  const statements = await connection.extractStatements(sql)
  for (let at = 0; ; at++) {
    const prepared = await statements.prepare(at)
    refuseWriter(prepared.statementType, sql)
    if (at === statements.count - 1) return prepared.stream()
    await prepared.run()
  }
}

async function ask(connection: DuckDBConnection, sql: string, rowsMax: number): Promise<Answer> {
  const result = await runStatements(connection, sql)
  const names = result.deduplicatedColumnNames()
  const columns = names.map((name, index) => ({ name, type: String(result.columnType(index)) }))
  const rows: Json[][] = []
  for await (const chunk of result.yieldRowsJson()) {
    for (const row of chunk) {
      if (rows.length === rowsMax) return { columns, rows, truncated: true }
      rows.push(row)
    }
  }
  return { columns, rows, truncated: false }
}

const INTERRUPT_MS = 50

const COPY_OPTIONS: Readonly<Record<ExportFormat, string>> = {
  csv: 'FORMAT csv, HEADER true',
  json: 'FORMAT json, ARRAY true',
  parquet: 'FORMAT parquet, COMPRESSION zstd',
}

async function write(
  connection: DuckDBConnection,
  sql: string,
  path: string,
  format: ExportFormat,
): Promise<number> {
  // As a statement of its own first: it must not end the COPY around it and begin another.
  const { count } = await connection.extractStatements(sql)
  if (count !== 1)
    throw new HakiriError('QUERY_INVALID', `one statement can be written, not ${count}`)
  const bare = sql.trim().replace(/;+$/, '')
  const reader = await connection.runAndReadAll(
    `COPY (${bare}\n) TO '${path.replaceAll("'", "''")}' (${COPY_OPTIONS[format]})`,
  )
  return Number(reader.getRows()[0]?.[0] ?? 0)
}

async function interruptible<T>(
  connection: DuckDBConnection,
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const settled = new AbortController()
  const interrupt = (): void => void interruptUntil(settled.signal, connection, clock)
  signal.addEventListener('abort', interrupt, { once: true })
  try {
    return await work()
  } catch (error) {
    if (signal.aborted)
      throw new HakiriError('CANCELLED', 'the query was stopped', { cause: error })
    throw error instanceof HakiriError ? error : sqlError(error)
  } finally {
    settled.abort()
    signal.removeEventListener('abort', interrupt)
  }
}

/** Again and again: an interrupt that comes before the query has begun is lost. */
async function interruptUntil(
  settled: AbortSignal,
  connection: DuckDBConnection,
  clock: Clock,
): Promise<void> {
  while (!settled.aborted) {
    connection.interrupt()
    await clock.sleep(INTERRUPT_MS, settled).catch(() => undefined)
  }
}

function sqlError(error: unknown): HakiriError {
  const text = error instanceof Error ? error.message : String(error)
  if (text.startsWith('Out of Memory')) {
    return new HakiriError('MEMORY_EXCEEDED', text, {
      cause: error,
      suggestion: 'Ask for fewer columns or rows at a time.',
    })
  }
  if (/magic bytes|parquet file|TProtocolException|corrupt/i.test(text)) {
    return new HakiriError('LOG_DAMAGED', `a data file cannot be read: ${text}`, {
      cause: error,
      suggestion: 'Restore the file from a backup of the bucket, or query an earlier version.',
    })
  }
  return new HakiriError('QUERY_INVALID', text, {
    cause: error,
    suggestion: 'Tables are views named pipeline.table: `hakiri tables` lists them.',
  })
}

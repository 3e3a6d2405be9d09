/**
 * The query engine, opened for writing files: one thread, rows in the order they were read, UTC, no
 * extension ever fetched. The only file of this folder that knows DuckDB.
 */
import { DuckDBInstance, LIST, VARCHAR, listValue } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'

export type EngineOptions = {
  /** An existing folder for what does not fit into memory. */
  readonly spillFolder: string
}

export type Value = string | number | bigint | boolean | null

/** A connection of its own for one job: temporary tables are not shared. */
export type Session = Disposable & {
  /** Runs one statement and returns its rows; `texts` is bound as the one parameter, a list. */
  rows(sql: string, texts?: readonly string[]): Promise<readonly (readonly Value[])[]>
  /** Runs one statement and hands its rows over in pieces, each column by itself. */
  chunks(sql: string, take: (columns: readonly (readonly Value[])[]) => void): Promise<void>
  /** Makes the running statement fail soon; does nothing when none runs. */
  interrupt(): void
}

export type Engine = {
  /** `memoryBytes` limits the buffers of the whole engine; resident memory is more. */
  readonly open: (memoryBytes: number | undefined) => Promise<Session>
}

/** Freed memory goes back to the system once this much of it has piled up. */
const RETAIN_BYTES = 2 << 20

export async function openEngine(options: EngineOptions): Promise<Engine> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    temp_directory: options.spillFolder,
    preserve_insertion_order: 'true',
    // Rows come out in the order of the left side of a join only while that side is the one streamed.
    disabled_optimizers: 'build_side_probe_side,join_order',
    autoload_known_extensions: 'false',
    autoinstall_known_extensions: 'false',
    allocator_bulk_deallocation_flush_threshold: `${RETAIN_BYTES}B`,
    allocator_flush_threshold: `${RETAIN_BYTES}B`,
  })
  return {
    async open(memoryBytes) {
      const connection = await instance.connect()
      if (memoryBytes !== undefined) {
        await connection.run(`SET memory_limit = '${Math.ceil(memoryBytes / 1e6)}MB'`)
      }
      await connection.run("SET TimeZone = 'UTC'")
      return session(connection)
    },
  }
}

function session(connection: DuckDBConnection): Session {
  return {
    async rows(sql, texts) {
      const reader = await (texts
        ? connection.runAndReadAll(sql, [listValue(texts)], [LIST(VARCHAR)])
        : connection.runAndReadAll(sql))
      return reader.getRows() as readonly (readonly Value[])[]
    },
    async chunks(sql, take) {
      const result = await connection.stream(sql)
      for (;;) {
        const chunk = await result.fetchChunk()
        if (!chunk || chunk.rowCount === 0) return
        take(chunk.getColumns() as readonly (readonly Value[])[])
      }
    },
    interrupt: () => connection.interrupt(),
    [Symbol.dispose]: () => connection.closeSync(),
  }
}

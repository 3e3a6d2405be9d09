/**
 * The catalog in an SQLite file, for one machine. Several processes may have it open: writers take
 * turns, readers see the last committed state (WAL), and a commit that returned survives a power cut.
 */
import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Backoff } from '../lib/backoff.ts'
import { HakiriError } from '../lib/error.ts'
import type { Catalog } from './catalog.ts'
import { WAKE_TOPICS, type WakeTopic } from './cluster.ts'
import { catalogId, migrate } from './migrate.ts'
import { SQLITE_MIGRATIONS } from './migrations/sqlite.ts'
import { catalogOver } from './over-engine.ts'
import { retryLocked } from './retry-locked.ts'
import {
  assertStorable,
  type CatalogDeps,
  type Engine,
  type RecordColumns,
  type Row,
  type Sql,
  type Value,
} from './sql.ts'
import { isBusy, sqliteError } from './sqlite-error.ts'

/** A wait inside SQLite stops the whole process, so it is short and the longer waits are ours. */
const BUSY_TIMEOUT_MS = 20
/** About 15 s in all: longer than any transaction of ours, shorter than a person's patience. */
const LOCKED_BACKOFF: Backoff = { retriesMax: 200, firstMs: 2, mostMs: 100 }
const STATEMENTS_MAX = 256

/** Opens the catalog file at `path`, creating it and its folder when they are missing. */
export async function openSqliteCatalog(path: string, deps: CatalogDeps): Promise<Catalog> {
  const label = path === ':memory:' ? 'sqlite::memory:' : `sqlite:${resolve(path)}`
  const database = openDatabase(path, label)
  const engine = sqliteEngine(database, label, deps)
  try {
    await retryLocked(
      LOCKED_BACKOFF,
      deps,
      (error) => asLocked(error, label),
      async () => {
        prepareDatabase(database)
      },
    ).catch((error: unknown) => Promise.reject(sqliteError(error, label)))
    const script = (text: string) => Promise.resolve(database.exec(text))
    const id = await engine.write(async (sql) => {
      await migrate(sql, script, SQLITE_MIGRATIONS, deps, label)
      return catalogId(sql, deps)
    })
    return catalogOver(engine, id, deps)
  } catch (error) {
    await engine.close()
    throw error
  }
}

function openDatabase(path: string, label: string): DatabaseSync {
  try {
    if (path !== ':memory:') mkdirSync(dirname(resolve(path)), { recursive: true })
    return new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
  } catch (error) {
    throw sqliteError(error, label)
  }
}

function prepareDatabase(database: DatabaseSync): void {
  database.exec('pragma journal_mode = wal')
  database.exec('pragma synchronous = full')
}

function asLocked(error: unknown, label: string): HakiriError | undefined {
  if (!isBusy(error)) return undefined
  return new HakiriError('CATALOG_LOCKED', `another process is writing to ${label}`, {
    cause: error,
    suggestion: 'Wait for the other hakiri process, or stop it, and try again.',
  })
}

function sqliteEngine(database: DatabaseSync, label: string, deps: CatalogDeps): Engine {
  const woken = new Set<WakeTopic>()
  const listeners = new Set<(topic: WakeTopic) => void>()
  const sql = sqliteSql(database, deps, woken)
  const alone = createMutex()
  const transaction = <T>(begin: string, work: (sql: Sql) => Promise<T>): Promise<T> =>
    alone(() =>
      retryLocked(
        LOCKED_BACKOFF,
        deps,
        (error) => asLocked(error, label),
        async () => {
          woken.clear()
          return inTransaction(database, begin, () => work(sql))
        },
      ).catch((error: unknown) => Promise.reject(sqliteError(error, label))),
    )
  return {
    label,
    read: (work) => transaction('begin', work),
    // Taking the write lock first means that no transaction fails half-way for want of it.
    write: async (work) => {
      const [value, topics] = await transaction('begin immediate', async (each) => {
        const result = await work(each)
        return [result, [...woken]] as const
      })
      // What a listener throws is not the fault of this transaction.
      queueMicrotask(() => {
        for (const topic of topics) for (const listener of listeners) listener(topic)
      })
      return value
    },
    listen: (listener) => {
      // One of its own, so that a listener that is there twice leaves once.
      const own = (topic: WakeTopic): void => listener(topic)
      listeners.add(own)
      queueMicrotask(() => {
        if (database.isOpen && listeners.has(own)) for (const topic of WAKE_TOPICS) own(topic)
      })
      return {
        [Symbol.asyncDispose]: async () => {
          listeners.delete(own)
        },
      }
    },
    close: () =>
      alone(async () => {
        listeners.clear()
        if (database.isOpen) database.close()
      }),
  }
}

/** The work awaits, but never anything other than this connection: no other code gets in between. */
async function inTransaction<T>(
  database: DatabaseSync,
  begin: string,
  work: () => Promise<T>,
): Promise<T> {
  database.exec(begin)
  try {
    const value = await work()
    database.exec('commit')
    return value
  } catch (error) {
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
}

function sqliteSql(database: DatabaseSync, deps: CatalogDeps, woken: Set<WakeTopic>): Sql {
  const statement = statementCache(database)
  const bind = (values: readonly Value[]): (string | number | null)[] => {
    assertStorable(values)
    return values.map((value) => (typeof value === 'boolean' ? Number(value) : value))
  }
  return {
    rows: async (text, ...values) => statement(text).all(...bind(values)) as readonly Row[],
    run: async (text, ...values) => Number(statement(text).run(...bind(values)).changes),
    lock: () => '',
    each: eachRecord,
    exclusive: () => Promise.resolve(),
    nowMicros: async () => deps.clock.now() * 1_000,
    wake: (topic) => void woken.add(topic),
    newIds: async (table, count) => {
      const known = statement('select seq from sqlite_sequence where name = ?').get(table)
      const last = Number(known?.['seq'] ?? 0)
      const text = known
        ? 'update sqlite_sequence set seq = ? where name = ?'
        : 'insert into sqlite_sequence (seq, name) values (?, ?)'
      statement(text).run(last + count, table)
      return Array.from({ length: count }, (_, index) => last + 1 + index)
    },
    continueIds: async (table, id) => {
      const [name, value] = bind([table, id])
      const update = 'update sqlite_sequence set seq = max(seq, ?) where name = ?'
      if (statement(update).run(value!, name!).changes > 0) return
      statement('insert into sqlite_sequence (name, seq) values (?, ?)').run(name!, value!)
    },
  }
}

function eachRecord(alias: string, columns: RecordColumns): string {
  const read = Object.keys(columns).map((column) => `value ->> '$.${column}' as ${column}`)
  return `(select ${read.join(', ')} from json_each(?)) as ${alias}`
}

/** Keeps prepared statements, the oldest leaving first: long lists give many shapes. */
function statementCache(database: DatabaseSync): (text: string) => StatementSync {
  const statements = new Map<string, StatementSync>()
  return (text) => {
    const known = statements.get(text)
    if (known) return known
    const [oldest] = statements.keys()
    if (statements.size >= STATEMENTS_MAX && oldest !== undefined) statements.delete(oldest)
    const made = database.prepare(text)
    statements.set(text, made)
    return made
  }
}

/** One connection holds one transaction: callers take turns in the order of their calls. */
function createMutex(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work, work)
    last = result.catch(() => undefined)
    return result
  }
}

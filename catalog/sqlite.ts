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
import { catalogId, migrate } from './migrate.ts'
import { SQLITE_MIGRATIONS } from './migrations/sqlite.ts'
import { catalogOver } from './over-engine.ts'
import { retryLocked } from './retry-locked.ts'
import {
  assertStorable,
  type CatalogDeps,
  type Engine,
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
  const sql = sqliteSql(database)
  const alone = createMutex()
  const transaction = <T>(begin: string, work: (sql: Sql) => Promise<T>): Promise<T> =>
    alone(() =>
      retryLocked(
        LOCKED_BACKOFF,
        deps,
        (error) => asLocked(error, label),
        () => inTransaction(database, begin, () => work(sql)),
      ).catch((error: unknown) => Promise.reject(sqliteError(error, label))),
    )
  return {
    label,
    read: (work) => transaction('begin', work),
    // Taking the write lock first means that no transaction fails half-way for want of it.
    write: (work) => transaction('begin immediate', work),
    close: () =>
      alone(async () => {
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

function sqliteSql(database: DatabaseSync): Sql {
  const statement = statementCache(database)
  const bind = (values: readonly Value[]): (string | number | null)[] => {
    assertStorable(values)
    return values.map((value) => (typeof value === 'boolean' ? Number(value) : value))
  }
  return {
    rows: async (text, ...values) => statement(text).all(...bind(values)) as readonly Row[],
    run: async (text, ...values) => Number(statement(text).run(...bind(values)).changes),
    lock: () => '',
    continueIds: async (table, id) => {
      const [name, value] = bind([table, id])
      const update = 'update sqlite_sequence set seq = max(seq, ?) where name = ?'
      if (statement(update).run(value!, name!).changes > 0) return
      statement('insert into sqlite_sequence (name, seq) values (?, ?)').run(name!, value!)
    },
  }
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

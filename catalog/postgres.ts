/**
 * The catalog in Postgres, shared by a cluster. Each transaction names its own schema and limits, so it
 * works the same behind a pooler that hands out connections by transaction.
 */
import pg from 'pg'
import type { Backoff } from '../lib/backoff.ts'
import type { Catalog } from './catalog.ts'
import type { WakeTopic } from './cluster.ts'
import { catalogId, migrate } from './migrate.ts'
import { POSTGRES_MIGRATIONS } from './migrations/postgres.ts'
import { catalogOver } from './over-engine.ts'
import { asLostRace, postgresError } from './postgres-error.ts'
import { channelOf, createListener } from './postgres-listen.ts'
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

export type PostgresCatalogOptions = {
  /** Schema that holds the catalog's tables. */
  readonly schema?: string
  readonly connectionsMax?: number
}

const CONNECT_TIMEOUT_MS = 10_000
/** No statement of ours is slow; one that takes this long has lost its server. */
const QUERY_TIMEOUT_MS = 60_000
/** A worker that was stopped inside a transaction must not hold its locks for ever. */
const IDLE_IN_TRANSACTION_MS = 15_000
const LOCK_TIMEOUT_MS = 30_000
/** What we work on lies in memory: a hundred rows are looked up by key, not found in a scan of all. */
const RANDOM_PAGE_COST = 1.1
const RACE_BACKOFF: Backoff = { retriesMax: 8, firstMs: 5, mostMs: 500 }

const INT8 = 20
const JSON_TEXT = 114

/** Opens the catalog in the database that `url` names, creating its schema when it is missing. */
export async function openPostgresCatalog(
  url: string,
  deps: CatalogDeps,
  options: PostgresCatalogOptions = {},
): Promise<Catalog> {
  const schema = options.schema ?? 'hakiri'
  const label = labelOf(url)
  const pool = createPool(url, options.connectionsMax ?? 8)
  const engine = postgresEngine(pool, url, label, schema, deps)
  try {
    const id = await engine.write(async (sql) => {
      await lockSchema(sql, schema)
      // Without values a text may hold many statements.
      const script = async (text: string): Promise<void> => {
        await sql.run(text)
      }
      await migrate(sql, script, POSTGRES_MIGRATIONS, deps, label)
      return catalogId(sql, deps)
    })
    return catalogOver(engine, id, deps)
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Two processes that open a new database together must not both create the schema. */
async function lockSchema(sql: Sql, schema: string): Promise<void> {
  await sql.rows(`select pg_advisory_xact_lock(hashtext(?))`, `hakiri catalog ${schema}`)
  const [found] = await sql.rows('select 1 from pg_namespace where nspname = ?', schema)
  if (!found) await sql.run(`create schema ${pg.escapeIdentifier(schema)}`)
}

function labelOf(url: string): string {
  const { hostname, port, pathname } = new URL(url)
  return `postgres://${hostname}${port ? `:${port}` : ''}${pathname}`
}

function createPool(url: string, connectionsMax: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'hakiri catalog',
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
  })
  // A connection may break while nobody waits for an answer. Idle, it leaves the pool; inside a
  // transaction, the next statement fails. Unheard, either event would end the process.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

/** Sizes and ids become numbers (checked where they are read); JSON stays text, byte for byte. */
function typeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === INT8) return Number
  if (oid === JSON_TEXT) return (text) => text
  return pg.types.getTypeParser(oid, format ?? 'text') as (text: string) => unknown
}

function postgresEngine(
  pool: pg.Pool,
  url: string,
  label: string,
  schema: string,
  deps: CatalogDeps,
): Engine {
  const channel = channelOf(schema)
  const listener = createListener(url, channel, deps)
  const limits = [
    `set local search_path to ${pg.escapeIdentifier(schema)}`,
    `set local idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}`,
    `set local lock_timeout = ${LOCK_TIMEOUT_MS}`,
    `set local random_page_cost = ${RANDOM_PAGE_COST}`,
  ].join('; ')
  const transaction = <T>(mode: string, work: (sql: Sql) => Promise<T>): Promise<T> =>
    retryLocked(
      RACE_BACKOFF,
      deps,
      (error) => asLostRace(error, label),
      () => inTransaction(pool, `begin ${mode}; ${limits}`, channel, work),
    ).catch((error: unknown) => Promise.reject(postgresError(error, label)))
  return {
    label,
    read: (work) => transaction('isolation level repeatable read read only', work),
    write: (work) => transaction('isolation level read committed', work),
    listen: (each) => listener.listen(each),
    close: async () => {
      await listener.close()
      if (!pool.ending) await pool.end()
    },
  }
}

async function inTransaction<T>(
  pool: pg.Pool,
  begin: string,
  channel: string,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query(begin)
    const woken = new Set<WakeTopic>()
    const value = await work(postgresSql(client, woken))
    if (woken.size > 0) await notify(client, channel, woken)
    await client.query('commit')
    broken = false
    return value
  } catch (error) {
    broken = await client.query('rollback').then(
      () => false,
      () => true,
    )
    throw error
  } finally {
    // A connection of unknown state is closed, which rolls back what it had open.
    client.release(broken)
  }
}

/** Takes a lock of the whole server until the commit, so only what is seldom notifies. */
async function notify(
  client: pg.PoolClient,
  channel: string,
  topics: ReadonlySet<WakeTopic>,
): Promise<void> {
  const text = 'select pg_notify($1, topic) from unnest(cast($2 as text[])) as topic'
  await client.query(text, [channel, [...topics]])
}

function postgresSql(client: pg.PoolClient, woken: Set<WakeTopic>): Sql {
  const query = (text: string, values: readonly Value[]): Promise<pg.QueryResult<Row>> => {
    assertStorable(values)
    let count = 0
    return client.query<Row>(
      text.replaceAll('?', () => `$${++count}`),
      [...values],
    )
  }
  return {
    rows: async (text, ...values) => (await query(text, values)).rows,
    run: async (text, ...values) => (await query(text, values)).rowCount ?? 0,
    continueIds: async (table, id) => {
      const sequence = `pg_get_serial_sequence(?, 'id')`
      await query(`select setval(${sequence}, greatest(nextval(${sequence}), cast(? as bigint)))`, [
        table,
        table,
        id,
      ])
    },
    newIds: async (table, count) => {
      const { rows } = await query(NEW_IDS, [table, count])
      return rows.map((row) => Number(row['id'])).toSorted((a, b) => a - b)
    },
    lock: (strength, of) => `for ${strength}${of === undefined ? '' : ` of ${of}`}`,
    each: eachRecord,
    exclusive: async (name) => {
      const text = 'select pg_advisory_xact_lock(hashtext(current_schema()), hashtext(?))'
      await query(text, [name])
    },
    nowMicros: async () => {
      const text = 'select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now'
      return Number((await query(text, [])).rows[0]!['now'])
    },
    wake: (topic) => void woken.add(topic),
  }
}

const NEW_IDS = `with own as materialized (
    select cast(pg_get_serial_sequence(?, 'id') as regclass) as name)
  select nextval(own.name) as id from own, generate_series(1, cast(? as bigint))`

const RECORD_TYPES = { text: 'text', json: 'text', integer: 'bigint', boolean: 'boolean' } as const

function eachRecord(alias: string, columns: RecordColumns): string {
  const all = Object.entries(columns)
  const types = all.map(([column, type]) => `${column} ${RECORD_TYPES[type]}`)
  const read = all.map(([column, type]) =>
    type === 'json' ? `cast(${column} as json) as ${column}` : column,
  )
  return `(select ${read.join(', ')}
    from json_to_recordset(cast(? as json)) as record (${types.join(', ')})) as ${alias}`
}

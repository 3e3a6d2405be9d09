/** The postgres connector against the specification of the port: full, incremental and in ranges. */
import test from 'ava'
import { connectorSuite, type KnownSource } from '../../../test/conformance/connector-suite.ts'
import {
  connectTo,
  NO_SESSIONS,
  testContext,
  waitFor,
} from '../../../test/support/postgres-source.ts'
import { startPostgres, type Postgres } from '../../../test/support/postgres.ts'
import { systemRandom } from '../../../lib/system/clock.ts'
import type { ReadMode } from '../../connector.ts'
import type { PostgresConfig } from './config.ts'
import { createPostgresConnector } from './postgres.ts'

let server: Postgres

test.before(async () => {
  server = await startPostgres()
})
test.after.always(async () => {
  await server?.stop()
})

const PASSWORD = 'n0t-to-be-seen'
const notes = Array.from({ length: 60 }, (_, i) => `line ${i}\n"quoted", ünïcode 🐎`)

async function knownSource(
  mode: ReadMode,
  config: Partial<PostgresConfig> = {},
  more: { readonly sql?: string; readonly unresumable?: readonly string[] } = {},
): Promise<KnownSource> {
  const own = await server.newDatabase()
  const beside = await connectTo(own)
  const role = `reader_${systemRandom.uuid().slice(0, 8)}`
  await beside.query(`CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`)
  const url = new URL(own)
  url.username = role
  url.password = PASSWORD
  await beside.query(
    `CREATE TABLE keyed (id int PRIMARY KEY, v int NOT NULL, note text); ${more.sql ?? ''}`,
  )
  await beside.query(
    `INSERT INTO keyed SELECT i, i / 7, t FROM unnest($1::text[]) WITH ORDINALITY AS u (t, i)`,
    [notes],
  )
  await beside.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`)
  const keyed = notes.map((note, i) => ({
    id: String(i + 1),
    v: String(Math.floor((i + 1) / 7)),
    note,
  }))
  const keyless = Array.from({ length: 100 }, (_, i) => ({ v: String(i % 10), note: null }))
  return {
    connector: createPostgresConnector({
      type: 'postgres',
      url: url.href,
      tables: ['*'],
      ...config,
    }),
    context: (choice) => testContext(choice),
    mode,
    rows: { 'public.keyed': keyed, ...(more.sql ? { 'public.keyless': keyless } : {}) },
    unresumable: more.unresumable ?? [],
    secrets: [PASSWORD],
    breakIt: async () => {
      await beside.query(`ALTER ROLE ${role} NOLOGIN`)
    },
    openCount: async () => {
      await waitFor(beside, NO_SESSIONS)
      return 0
    },
    [Symbol.asyncDispose]: async () => {
      await beside.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
      await beside.end()
    },
  }
}

const KEYLESS = `CREATE TABLE keyless (v int, note text);
  INSERT INTO keyless (v) SELECT i % 10 FROM generate_series(1, 100) i`

const incremental: ReadMode = { kind: 'incremental', column: 'v', lag: undefined }

connectorSuite(test, 'full', () =>
  knownSource({ kind: 'full' }, {}, { sql: KEYLESS, unresumable: ['public.keyless'] }),
)
connectorSuite(test, 'incremental', () => knownSource(incremental, {}, { sql: KEYLESS }))
connectorSuite(test, 'ranges', () =>
  knownSource(incremental, { shardBy: { kind: 'range', key: 'id', ranges: 3 } }),
)

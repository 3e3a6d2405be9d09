/**
 * Brings a catalog's schema up to what this program knows, in one transaction under the engine's lock,
 * so that processes opening a new catalog together do it once. A schema from the future is used as long
 * as it says that it still works with this program, and refused otherwise.
 */
import { HakiriError } from '../lib/error.ts'
import { type CatalogDeps, numberOf, type Sql, textOf } from './sql.ts'

export type Migration = {
  readonly id: number
  readonly name: string
  /** The oldest schema that a program may know and still work with this one. */
  readonly oldest: number
  readonly sql: string
}

/** From this migration on, the table of migrations records `oldest`. */
const RECORDS_OLDEST = 2

/** Runs inside a write transaction that keeps other migrators out; `script` runs many statements. */
export async function migrate(
  sql: Sql,
  script: (text: string) => Promise<void>,
  migrations: readonly Migration[],
  deps: CatalogDeps,
  label: string,
): Promise<void> {
  await script(`create table if not exists migration (
    id bigint primary key, name text not null, applied_at bigint not null)`)
  const [newest] = await sql.rows('select coalesce(max(id), 0) as id from migration')
  const stored = newest ? numberOf(newest, 'id') : 0
  const known = migrations.at(-1)?.id ?? 0
  const needed = await oldestUsable(sql, stored)
  if (needed > known) throw tooNew(label, stored, needed, known)
  for (const { id, name, oldest, sql: text } of migrations) {
    if (id <= stored) continue
    await script(text)
    await sql.run(
      'insert into migration (id, name, applied_at) values (?, ?, ?)',
      id,
      name,
      deps.clock.now(),
    )
    if (id < RECORDS_OLDEST) continue
    await sql.run('update migration set oldest = ? where id = ?', oldest, id)
  }
}

/** The oldest schema that a program must know to work with all that was done to this catalog. */
async function oldestUsable(sql: Sql, stored: number): Promise<number> {
  if (stored < RECORDS_OLDEST) return stored
  const [row] = await sql.rows('select max(coalesce(oldest, id)) as oldest from migration')
  return numberOf(row!, 'oldest')
}

/** The identity of the catalog: the first process to ask mints it, all others read it. */
export async function catalogId(sql: Sql, deps: CatalogDeps): Promise<string> {
  await sql.run(
    `insert into meta (key, value) values ('catalog_id', ?) on conflict (key) do nothing`,
    deps.random.uuid(),
  )
  const [row] = await sql.rows(`select value from meta where key = 'catalog_id'`)
  return textOf(row!, 'value')
}

function tooNew(label: string, stored: number, needed: number, known: number): HakiriError {
  const reach = needed === stored ? '' : ` and needs a program that knows ${needed}`
  return new HakiriError(
    'CATALOG_VERSION',
    `${label} has schema version ${stored}${reach}; this program knows versions up to ${known}`,
    { suggestion: 'Update this hakiri to the version that the others run.' },
  )
}

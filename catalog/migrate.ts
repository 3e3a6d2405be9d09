/**
 * Brings a catalog's schema up to what this program knows, in one transaction under the engine's lock,
 * so that processes opening a new catalog together do it once. A schema from the future is refused.
 */
import { HakiriError } from '../lib/error.ts'
import { type CatalogDeps, numberOf, type Sql, textOf } from './sql.ts'

export type Migration = { readonly id: number; readonly name: string; readonly sql: string }

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
  if (stored > known) throw tooNew(label, stored, known)
  for (const { id, name, sql: text } of migrations) {
    if (id <= stored) continue
    await script(text)
    await sql.run(
      'insert into migration (id, name, applied_at) values (?, ?, ?)',
      id,
      name,
      deps.clock.now(),
    )
  }
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

function tooNew(label: string, stored: number, known: number): HakiriError {
  return new HakiriError(
    'CATALOG_VERSION',
    `${label} has schema version ${stored}; this program knows versions up to ${known}`,
    { suggestion: 'Update this hakiri to the version that the others run.' },
  )
}

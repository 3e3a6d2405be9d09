/**
 * Everything about a project that a refused command must leave as it was: what the catalog holds of
 * shards, tables, commits, logs and decisions, and every file of the lake byte for byte.
 *
 * Left out, since every attempt counts as one: runs with their events, and the epochs that rise when
 * a shard or a table's log is taken over. A table or shard of which nothing was ever committed is an
 * empty entry and left out too.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export type State = { readonly [what: string]: unknown }

const QUERIES: Readonly<Record<string, string>> = {
  shards: `select pipeline, shard, table_name, spec, cursor, seq, generation, done, paused, dropped
    from shard where seq > 0 order by 1, 2`,
  tables: `select name, uuid, mode, key_columns, partition_by, generation, schema_revision, columns,
    next_version from data_table where next_version > 0 order by 1`,
  revisions: `select table_name, revision, columns from schema_revision where table_name in
    (select name from data_table where next_version > 0) order by 1, 2`,
  commits: 'select * from table_commit order by id',
  files: 'select * from table_file order by table_name, path',
  log: 'select table_name, version, body, published_at from table_log order by 1, 2',
  memory: 'select * from shard_state order by 1, 2, 3, 4',
}

/** Reads the state of the project in a folder. */
export async function readState(folder: string): Promise<State> {
  return { ...readCatalog(join(folder, '.hakiri/catalog.db')), lake: await readLake(folder) }
}

function readCatalog(path: string): State {
  const catalog = new DatabaseSync(path, { readOnly: true })
  try {
    const rows = Object.entries(QUERIES).map(([what, sql]) => [what, catalog.prepare(sql).all()])
    return Object.fromEntries(rows) as State
  } catch {
    // Not a catalog any more, which is then what must stay: its bytes.
    return { damaged: createHash('sha256').update(readFileSync(path)).digest('hex') }
  } finally {
    catalog.close()
  }
}

async function readLake(folder: string): Promise<Readonly<Record<string, string>>> {
  const root = join(folder, 'lake')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const hashed = files.map(async (file) => {
    const path = join(file.parentPath, file.name)
    const hash = createHash('sha256').update(await readFile(path))
    return [path.slice(root.length + 1), hash.digest('hex')] as const
  })
  return Object.fromEntries((await Promise.all(hashed)).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** Versions of the applied manifest: counted up, never changed, the newest is in force. */
import type { Json } from '../lib/json.ts'
import type { ClusterCatalog, ManifestVersion } from './cluster.ts'
import {
  type CatalogDeps,
  type Engine,
  jsonOf,
  numberOf,
  type Row,
  type Sql,
  textOf,
} from './sql.ts'

type ManifestMethods = Pick<ClusterCatalog, 'applyManifest' | 'manifest'>

export function manifestMethods(engine: Engine, deps: CatalogDeps): ManifestMethods {
  return {
    applyManifest: (document, hash, by) =>
      engine.write((sql) => apply(sql, deps, { document, hash, by })),
    manifest: (version) => engine.read((sql) => find(sql, version)),
  }
}

type Application = { readonly document: Json; readonly hash: string; readonly by: string }

async function apply(sql: Sql, deps: CatalogDeps, request: Application): Promise<ManifestVersion> {
  await sql.exclusive('manifest')
  const newest = await find(sql, undefined)
  if (newest?.hash === request.hash) return newest
  const next: ManifestVersion = {
    version: (newest?.version ?? 0) + 1,
    document: request.document,
    hash: request.hash,
    appliedAt: deps.clock.now(),
    appliedBy: request.by,
  }
  await sql.run(
    `insert into manifest (version, document, hash, applied_at, applied_by)
     values (?, ?, ?, ?, ?)`,
    next.version,
    JSON.stringify(next.document),
    next.hash,
    next.appliedAt,
    next.appliedBy,
  )
  sql.wake('manifest')
  return next
}

async function find(sql: Sql, version: number | undefined): Promise<ManifestVersion | undefined> {
  const where = version === undefined ? 'order by version desc limit 1' : 'where version = ?'
  const values = version === undefined ? [] : [version]
  const [row] = await sql.rows(`select * from manifest ${where}`, ...values)
  return row && toManifest(row)
}

function toManifest(row: Row): ManifestVersion {
  return {
    version: numberOf(row, 'version'),
    document: jsonOf(row, 'document'),
    hash: textOf(row, 'hash'),
    appliedAt: numberOf(row, 'applied_at'),
    appliedBy: textOf(row, 'applied_by'),
  }
}

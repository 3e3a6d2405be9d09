/** Chooses the catalog's adapter by its URL; the driver is loaded only when it is used. */
import { HakiriError } from '../lib/error.ts'
import type { Catalog } from './catalog.ts'
import type { CatalogDeps } from './sql.ts'

/** Opens `sqlite:PATH`, a bare path, or `postgres://…`. Rejects with CONFIG_INVALID for other URLs. */
export async function openCatalog(url: string, deps: CatalogDeps): Promise<Catalog> {
  const scheme = /^([a-z][a-z\d+.-]+):/i.exec(url)?.[1]?.toLowerCase()
  if (scheme === 'postgres' || scheme === 'postgresql') {
    if (!URL.canParse(url)) throw unknownUrl('is not a valid postgres URL')
    const { openPostgresCatalog } = await import('./postgres.ts')
    return openPostgresCatalog(url, deps)
  }
  const path = scheme === 'sqlite' ? url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '') : url
  if (path === '') throw unknownUrl('names no file')
  if (scheme !== undefined && scheme !== 'sqlite') throw unknownUrl(`begins with "${scheme}:"`)
  const { openSqliteCatalog } = await import('./sqlite.ts')
  return openSqliteCatalog(path, deps)
}

/** The URL itself stays out of the message: it may hold a password. */
function unknownUrl(what: string): HakiriError {
  return new HakiriError('CONFIG_INVALID', `the catalog URL ${what}`, {
    suggestion: 'Use sqlite:PATH, a path, or postgres://user@host/database.',
  })
}

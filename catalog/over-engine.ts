/** Puts the catalog together over one engine; both adapters end here. */
import type { Catalog } from './catalog.ts'
import { commitMethods } from './commit.ts'
import { fileMethods } from './files.ts'
import { generationMethods } from './generations.ts'
import { publishMethods } from './publish.ts'
import { restoreMethods } from './restore.ts'
import { runMethods } from './runs.ts'
import { shardMethods } from './shards.ts'
import type { CatalogDeps, Engine } from './sql.ts'
import { tableMethods } from './tables.ts'

/** The catalog over an engine whose schema is up to date. */
export function catalogOver(engine: Engine, id: string, deps: CatalogDeps): Catalog {
  return {
    id,
    label: engine.label,
    ...tableMethods(engine, deps),
    ...generationMethods(engine, deps),
    ...shardMethods(engine),
    ...commitMethods(engine, deps),
    ...publishMethods(engine, deps),
    ...fileMethods(engine),
    ...runMethods(engine, deps),
    ...restoreMethods(engine, deps),
    [Symbol.asyncDispose]: () => engine.close(),
  }
}

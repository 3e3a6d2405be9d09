/** Puts the catalog together over one engine; both adapters end here. */
import { acquireMethods } from './acquire.ts'
import type { Catalog } from './catalog.ts'
import { clusterEventMethods } from './cluster-events.ts'
import { clusterRunMethods } from './cluster-runs.ts'
import { commitMethods } from './commit.ts'
import { fileMethods } from './files.ts'
import { generationMethods } from './generations.ts'
import { groupCommitMethods } from './group-commit.ts'
import { limitMethods } from './limits.ts'
import { manifestMethods } from './manifests.ts'
import { placementMethods } from './placements.ts'
import { planningMethods } from './planning.ts'
import { publishMethods } from './publish.ts'
import { restoreMethods } from './restore.ts'
import { runMethods } from './runs.ts'
import { partMethods } from './run-parts.ts'
import { settleMethods } from './settle.ts'
import { shardMethods } from './shards.ts'
import { shardStopMethods } from './shard-stops.ts'
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
    ...planningMethods(engine),
    ...publishMethods(engine, deps),
    ...fileMethods(engine),
    ...runMethods(engine, deps),
    ...restoreMethods(engine, deps),
    ...manifestMethods(engine, deps),
    ...clusterRunMethods(engine, deps),
    ...partMethods(engine),
    ...settleMethods(engine, deps),
    ...acquireMethods(engine),
    ...groupCommitMethods(engine, deps),
    ...shardStopMethods(engine),
    ...placementMethods(engine, deps),
    ...limitMethods(engine, deps),
    ...clusterEventMethods(engine),
    [Symbol.asyncDispose]: () => engine.close(),
  }
}

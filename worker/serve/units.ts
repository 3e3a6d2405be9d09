/**
 * What is planned and claimed: shards, and the offices that a pipeline and its tables need once in the
 * cluster. An office is a unit like a shard, so it moves, drains and is taken over in the same way.
 */
import type { UnitName } from '../../lease/coordination.ts'

export type WorkUnit =
  | { readonly kind: 'shard'; readonly pipeline: string; readonly shard: string }
  /** The steward of a pipeline: plans its runs and ends them. */
  | { readonly kind: 'run'; readonly pipeline: string }
  /** The publisher of a table. */
  | { readonly kind: 'publish'; readonly pipeline: string; readonly table: string }

const RUN = '~run'
const PUBLISH = '~publish:'

export function shardUnit(pipeline: string, shard: string): UnitName {
  return `${pipeline}/${shard}`
}

export function runUnit(pipeline: string): UnitName {
  return `${pipeline}/${RUN}`
}

export function publishUnit(pipeline: string, table: string): UnitName {
  return `${pipeline}/${PUBLISH}${table}`
}

/** Names of pipelines hold no slash, ids of shards do not begin with a tilde. */
export function parseUnit(name: UnitName): WorkUnit {
  const slash = name.indexOf('/')
  const [pipeline, rest] = [name.slice(0, slash), name.slice(slash + 1)]
  if (rest === RUN) return { kind: 'run', pipeline }
  if (rest.startsWith(PUBLISH))
    return { kind: 'publish', pipeline, table: rest.slice(PUBLISH.length) }
  return { kind: 'shard', pipeline, shard: rest }
}

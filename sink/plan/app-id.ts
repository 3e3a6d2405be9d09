/** The identity of a shard in a table log: one `txn` application per shard, never per run. */
import { assert } from '../../lib/assert.ts'

export type AppId = {
  readonly catalogId: string
  readonly pipeline: string
  readonly shard: string
}

/** "hakiri:<catalog>:<pipeline>/<shard>". */
export function appId(catalogId: string, pipeline: string, shard: string): string {
  assert(!catalogId.includes(':'), 'a catalog id holds no colon')
  assert(!pipeline.includes('/'), 'a pipeline name holds no slash')
  return `hakiri:${catalogId}:${pipeline}/${shard}`
}

/** The parts of an id that `appId` made; undefined for the ids of other writers. */
export function parseAppId(id: string): AppId | undefined {
  const match = /^hakiri:([^:]*):([^/]*)\/([^]*)$/.exec(id)
  return match ? { catalogId: match[1]!, pipeline: match[2]!, shard: match[3]! } : undefined
}

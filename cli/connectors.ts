/** Which connector a pipeline gets, and how its section of the manifest becomes that connector's words. */
import type { Connector } from '../connector/connector.ts'
import { CONNECTORS } from '../connector/registry.ts'
import { HakiriError } from '../lib/error.ts'
import type { Pipeline } from '../manifest/manifest.ts'

/** One line each, for `hakiri connector list`. */
export const CONNECTOR_SUMMARIES: Readonly<Record<keyof typeof CONNECTORS, string>> = {
  postgres: 'Postgres tables, in full or by a growing column, over COPY',
  http: 'JSON APIs, paged by link, cursor, offset or page number',
  file: 'CSV, NDJSON, JSON and Parquet files by glob, from a folder or a bucket',
}

/** Makes the connector of a pipeline; nothing is reached yet. */
export async function createConnector(pipeline: Pipeline): Promise<Connector> {
  const { source, shardBy, types } = pipeline
  switch (source.type) {
    case 'postgres': {
      const create = await CONNECTORS.postgres()
      return create({
        type: 'postgres',
        url: source.url,
        tables: source.tables,
        shardBy,
        perTable: postgresTables(pipeline),
      })
    }
    case 'http': {
      const { concurrency, requestsPerHour, requestsPerSecond } = pipeline.limits
      return (await CONNECTORS.http())(source, { concurrency, requestsPerHour, requestsPerSecond })
    }
    case 'file':
      return (await CONNECTORS.file())({
        ...source,
        shardBy,
        types,
        // Only a table that merges by key may see rows of a changed file again.
        changed: pipeline.write.mode === 'upsert' ? 'reread' : 'refuse',
      })
    case 'github':
    case 'wasm':
      throw new HakiriError(
        'CONFIG_INVALID',
        `pipeline ${pipeline.name}: source type ${source.type} is not part of this version`,
        { suggestion: `There is ${Object.keys(CONNECTORS).join(', ')}.` },
      )
  }
}

type PostgresTables = NonNullable<
  Parameters<Awaited<ReturnType<typeof CONNECTORS.postgres>>>[0]['perTable']
>

function postgresTables(pipeline: Pipeline): PostgresTables {
  const entries = Object.entries(pipeline.tables).map(([name, { exclude, shardBy, write }]) => {
    const key = write && write.key.length > 0 ? { key: write.key } : {}
    return [name, { exclude, shardBy, cursor: write?.cursor, ...key }] as const
  })
  return Object.fromEntries(entries)
}

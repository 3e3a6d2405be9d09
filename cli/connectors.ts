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

/** Makes the connector; nothing is reached yet. */
export async function createConnector(pipeline: Pipeline): Promise<Connector> {
  const { source } = pipeline
  switch (source.type) {
    case 'postgres':
      return (await CONNECTORS.postgres())({
        type: 'postgres',
        url: source.url,
        tables: source.tables,
        shardBy: pipeline.shardBy,
        perTable: postgresTables(pipeline),
      })
    case 'http': {
      const { concurrency, requestsPerHour, requestsPerSecond } = pipeline.limits
      return (await CONNECTORS.http())(source, { concurrency, requestsPerHour, requestsPerSecond })
    }
    case 'file':
      return (await CONNECTORS.file())({
        ...source,
        shardBy: pipeline.shardBy.kind === 'file' ? 'file' : 'table',
        types: pipeline.types,
      })
    case 'github':
    case 'wasm':
      throw new HakiriError(
        'CONFIG_INVALID',
        `pipeline ${pipeline.name}: source type ${source.type} is not part of this version`,
      )
  }
}

type PostgresTables = NonNullable<
  Parameters<Awaited<ReturnType<typeof CONNECTORS.postgres>>>[0]['perTable']
>

function postgresTables(pipeline: Pipeline): PostgresTables {
  const own = pipeline.write.key.length > 0 ? { key: pipeline.write.key } : {}
  const entries = Object.entries(pipeline.tables).map(([name, options]) => {
    const key = options.write && options.write.key.length > 0 ? { key: options.write.key } : own
    return [
      name,
      { exclude: options.exclude, shardBy: options.shardBy, cursor: options.write?.cursor, ...key },
    ] as const
  })
  return Object.fromEntries(entries)
}

/** The file connector: CSV, NDJSON, JSON and Parquet files in a folder or a bucket. */
import { toHakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type {
  Connector,
  ConnectorContext,
  Finding,
  OpenRequest,
  SourceEvent,
  SourceShard,
} from '../../connector.ts'
import { kindOf, tableOf, type FileConfig } from './config.ts'
import { locateFile, locateFiles, locatePattern, type FileEntry } from './locate.ts'
import { readPass } from './pass.ts'
import { readFile } from './read-file.ts'

/**
 * Reads the files that `config` selects into one table. Errors: SOURCE_CHANGED (a file is not what was
 * read of it), SOURCE_DATA, SOURCE_AUTH, SOURCE_UNREACHABLE, SOURCE_FATAL, and those of the bucket.
 */
export function createFileConnector(config: FileConfig): Connector {
  const table = tableOf(config)
  return {
    type: 'file',
    describe: async () => [{ name: table, columns: undefined, key: [], rowsEstimate: undefined }],
    async check(context) {
      const findings: Finding[] = []
      for (const pattern of config.paths)
        findings.push(await checkPattern(config, pattern, context))
      return findings
    },
    async shards(context) {
      if (config.shardBy?.kind !== 'file') return [shardOf(table, table, { kind: 'all' })]
      const entries = await locateFiles(config.paths, context)
      return entries.map(({ name }) => shardOf(`${table}/${name}`, table, { file: name }))
    },
    open: (context, request) => openShard(config, context, request),
  }
}

function shardOf(id: string, table: string, spec: Json): SourceShard {
  return { id: idText(id), table, spec, rowsEstimate: undefined }
}

/** Text as a shard id: other characters, and the one used for escaping, as :hex. */
function idText(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      return /[A-Za-z0-9._=/-]/.test(char) ? char : `:${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}

async function* openShard(
  config: FileConfig,
  context: ConnectorContext,
  request: OpenRequest,
): AsyncGenerator<SourceEvent, void, undefined> {
  const entries = await entriesOf(config, context, request.shard.spec)
  yield* readPass({ config, context, request, entries })
}

async function entriesOf(
  config: FileConfig,
  context: ConnectorContext,
  spec: Json,
): Promise<readonly FileEntry[]> {
  const { file } = spec as { readonly file?: Json }
  if (typeof file !== 'string') return locateFiles(config.paths, context)
  const entry = await locateFile(file, context)
  return entry ? [entry] : []
}

/** Looks for the files of a pattern and reads the first rows of the first one. */
async function checkPattern(
  config: FileConfig,
  pattern: string,
  context: ConnectorContext,
): Promise<Finding> {
  try {
    const entries = await locatePattern(pattern, context)
    const [first] = entries
    if (!first) return { severity: 'warn', message: `${pattern}: no file matches` }
    for (const { name } of entries) kindOf(name, config)
    for await (const event of readFile({
      config,
      context,
      entry: first,
      left: undefined,
      announced: undefined,
    })) {
      if (event.kind === 'parquet') await event.release()
      if (event.kind !== 'schema') break
    }
    return { severity: 'ok', message: `${pattern}: ${entries.length} files` }
  } catch (error) {
    const { message, suggestion } = toHakiriError(error, 'SOURCE_UNREACHABLE')
    return {
      severity: 'error',
      message: `${pattern}: ${message}`,
      ...(suggestion === undefined ? {} : { suggestion }),
    }
  }
}

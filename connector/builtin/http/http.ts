/** The http connector: paged JSON APIs, described in configuration. */
import { HakiriError, toHakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type {
  Connector,
  ConnectorContext,
  Finding,
  OpenRequest,
  SourceEvent,
  SourceShard,
  SourceTable,
} from '../../connector.ts'
import { openClient } from './client.ts'
import { fillLimits, type HttpConfig, type HttpOptions, type Stream } from './config.ts'
import { readListing } from './listing.ts'
import { readPage, streamPointers } from './page.ts'
import { pageUrl, type Bindings } from './paging.ts'
import { createRateLimit, joinRateLimits, type RateLimit } from './rate-limit.ts'

/** Combinations of `each` values at the most; more is a mistake in the configuration. */
const SHARDS_MAX = 100_000

/**
 * Reads the streams that `config` describes. All shards of the connector share its rate limit.
 * Errors: SOURCE_RATE, SOURCE_AUTH, SOURCE_UNREACHABLE (after retries), SOURCE_DATA, SOURCE_FATAL.
 */
export function createHttpConnector(config: HttpConfig, options: HttpOptions = {}): Connector {
  const limits = fillLimits(options)
  let shared: RateLimit | undefined
  const rateOf = (context: ConnectorContext): RateLimit =>
    (shared ??= joinRateLimits([
      createRateLimit(limits.requestsPerSecond, Math.ceil(limits.requestsPerSecond), context.clock),
      // An hour's allowance is spread out: a minute's worth may go at once.
      createRateLimit(
        limits.requestsPerHour / 3600,
        Math.ceil(limits.requestsPerHour / 60),
        context.clock,
      ),
    ]))

  return {
    type: 'http',
    describe: async () => config.streams.map(describeStream),
    async check(context) {
      const findings: Finding[] = []
      for (const stream of config.streams)
        findings.push(await checkStream(config, stream, options, rateOf(context), context))
      return findings
    },
    shards: async () => config.streams.flatMap(streamShards),
    open: (context, request) => openShard(config, limits, rateOf, context, request),
  }
}

function describeStream(stream: Stream): SourceTable {
  return { name: stream.name, columns: undefined, key: stream.key, rowsEstimate: undefined }
}

function streamShards(stream: Stream): readonly SourceShard[] {
  return combinations(stream).map((bindings) => ({
    id: [stream.name, ...Object.entries(bindings).map((pair) => pair.join('='))]
      .map(idText)
      .join('/'),
    table: stream.name,
    spec: { stream: stream.name, each: bindings },
    rowsEstimate: undefined,
  }))
}

function combinations(stream: Stream): readonly Bindings[] {
  let all: readonly Bindings[] = [{}]
  for (const [name, values] of Object.entries(stream.each)) {
    all = all.flatMap((bindings) =>
      [...new Set(values)].map((value) => ({ ...bindings, [name]: value })),
    )
    if (all.length > SHARDS_MAX) {
      throw new HakiriError(
        'CONFIG_INVALID',
        `stream ${stream.name}: each makes more than ${SHARDS_MAX} shards`,
      )
    }
  }
  return all
}

/** Text as part of a shard id: other characters, and those used for escaping, as :hex. */
function idText(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      return /[A-Za-z0-9._=-]/.test(char) ? char : `:${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}

async function* openShard(
  config: HttpConfig,
  limits: ReturnType<typeof fillLimits>,
  rateOf: (context: ConnectorContext) => RateLimit,
  context: ConnectorContext,
  request: OpenRequest,
): AsyncGenerator<SourceEvent, void, undefined> {
  const { stream, bindings } = findStream(config, request.shard.spec)
  const client = await openClient(config, stream, limits, rateOf(context), context)
  yield* readListing({ config, stream, bindings, limits, client, context, request })
}

function findStream(
  config: HttpConfig,
  spec: Json,
): { readonly stream: Stream; readonly bindings: Bindings } {
  const { stream: name, each } = spec as { readonly stream?: Json; readonly each?: Bindings }
  const stream = config.streams.find((candidate) => candidate.name === name)
  if (stream) return { stream, bindings: each ?? {} }
  throw new HakiriError(
    'CONFIG_INVALID',
    `the source has no stream ${JSON.stringify(name)} any more`,
    {
      suggestion: 'Bring the stream back, or forget its shards with `hakiri state reset`.',
    },
  )
}

/** Asks for one page, without retries. */
async function checkStream(
  config: HttpConfig,
  stream: Stream,
  options: HttpOptions,
  rate: RateLimit,
  context: ConnectorContext,
): Promise<Finding> {
  try {
    const limits = fillLimits({ ...options, retries: { retriesMax: 0, firstMs: 0, mostMs: 0 } })
    const client = await openClient(config, stream, limits, rate, context)
    try {
      const url = pageUrl(client.base, stream, combinations(stream)[0] ?? {}, undefined, null)
      const rows = await client.get({
        url,
        validators: {},
        absentAllowed: false,
        signal: context.signal,
        read: (answer) =>
          readPage(answer, url, stream, streamPointers(stream), client.secretParam).bounds.length /
          2,
      })
      return {
        severity: rows > 0 ? 'ok' : 'warn',
        message: `${stream.name}: the first page has ${rows} records`,
      }
    } finally {
      client.close()
    }
  } catch (error) {
    const { message, suggestion } = toHakiriError(error, 'SOURCE_UNREACHABLE')
    return {
      severity: 'error',
      message: `${stream.name}: ${message}`,
      ...(suggestion === undefined ? {} : { suggestion }),
    }
  }
}

/** Good manifests and their defaults, the template, and the JSON Schema. */
import { readFile, writeFile } from 'node:fs/promises'
import test from 'ava'
import type { Manifest, Pipeline } from './manifest.ts'
import { renderJsonSchema } from './json-schema.ts'
import { projectFiles } from './template.ts'
import { LAKE, loadFiles, type Files } from '../test/support/manifest-files.ts'

async function good(
  files: Files,
): Promise<{ readonly manifest: Manifest; readonly warnings: readonly string[] }> {
  const { result } = await loadFiles(files)
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2))
  return {
    manifest: result.manifest,
    warnings: result.warnings.map(({ key, message }) => `${key}: ${message}`),
  }
}

async function pipeline(...lines: string[]): Promise<Pipeline> {
  const text = `${LAKE}[pipelines.p]\n${lines.join('\n')}\n`
  return (await good({ 'hakiri.toml': text })).manifest.pipelines['p']!
}

const PG = 'source = { type = "postgres", url = "env:DB" }'

// ── Defaults ────────────────────────────────────────────────────────────────────────────────────────

test('the smallest pipeline gets every default', async (t) => {
  const text = '[destination.lake]\ntype="file"\nurl="lake"\n[pipelines.p]\n' + PG
  const { manifest, warnings } = await good({ 'hakiri.toml': text })
  t.deepEqual(warnings, [])
  t.is(manifest.catalogUrl, 'sqlite:.hakiri/catalog.db')
  t.is(manifest.coordBackend, 'local')
  t.deepEqual(manifest.files, [`${manifest.baseFolder}/hakiri.toml`])
  t.deepEqual(manifest.destinations['lake'], {
    name: 'lake',
    type: 'file',
    url: 'lake',
    endpoint: undefined,
    region: 'us-east-1',
    credentials: undefined,
    format: 'delta',
    publishIntervalMs: 30_000,
    files: {
      targetBytes: 192_000_000,
      openMsMax: 300_000,
      compactMinFiles: 16,
      compactCron: undefined,
      retainMs: 604_800_000,
    },
  })
  t.deepEqual(manifest.pipelines['p'], {
    name: 'p',
    mode: 'full',
    destination: 'lake',
    shardBy: { kind: 'pipeline' },
    source: { type: 'postgres', url: 'env:DB', tables: ['public.*'] },
    schedule: undefined,
    placement: {},
    partitionBy: [],
    types: {},
    tables: {},
    write: { mode: 'replace', key: [], cursor: undefined, lag: undefined },
    schema: { tables: 'evolve', columns: 'evolve', types: 'variant' },
    quarantine: { rowsMax: 1000, ratioMax: 0.001 },
    retries: { retriesMax: 8, firstMs: 1000, mostMs: 300_000 },
    memoryBytes: 512_000_000,
    limits: { concurrency: 4, requestsPerHour: undefined, requestsPerSecond: undefined },
  })
})

const LAYERED = `${LAKE}
[destination.second]
type = "file"
url = "second"
[defaults]
destination = "second"
memory = "1GiB"
schema = { columns = "freeze", types = "ask" }
retries = { max = 3, backoff = "10ms..1s" }
quarantine = { max_rows = 5 }
write = { mode = "append" }
schedule = { every = "1h" }
limits = { concurrency = 2 }
placement = { zone = "a", disk = "ssd" }
[pipelines.a]
${PG}
[pipelines.b]
${PG}
destination = "lake"
schema = { types = "freeze" }
write = { cursor = "id", lag = 1000 }
schedule = { cron = "@daily", tz = "Europe/Berlin", overlap = "queue", catchup = true, jitter = "1m" }
limits = { requests_per_second = 0.5 }
placement = { zone = "b" }
`

test('[defaults] lie under a pipeline: objects key by key, the rest as a whole', async (t) => {
  const { manifest } = await good({ 'hakiri.toml': LAYERED })
  const { a, b } = manifest.pipelines
  t.like(a, {
    destination: 'second',
    memoryBytes: 2 ** 30,
    mode: 'full',
    placement: { zone: 'a', disk: 'ssd' },
    schema: { tables: 'evolve', columns: 'freeze', types: 'ask' },
    retries: { retriesMax: 3, firstMs: 10, mostMs: 1000 },
    quarantine: { rowsMax: 5, ratioMax: 0.001 },
    write: { mode: 'append' },
    schedule: { everyMs: 3_600_000, tz: 'UTC', overlap: 'skip', catchup: false, jitterMs: 0 },
  })
  t.like(b, {
    destination: 'lake',
    mode: 'incremental',
    placement: { zone: 'b', disk: 'ssd' },
    schema: { tables: 'evolve', columns: 'freeze', types: 'freeze' },
    write: { mode: 'append', cursor: 'id', lag: '1000' },
    limits: { concurrency: 2, requestsPerSecond: 0.5 },
  })
  t.deepEqual(b?.schedule, {
    cron: '@daily',
    everyMs: undefined,
    tz: 'Europe/Berlin',
    overlap: 'queue',
    catchup: true,
    jitterMs: 60_000,
  })
})

test('the write mode follows the mode of reading and the key', async (t) => {
  const csv = 'source = { type = "file", paths = ["a.csv"] }'
  const http = (rest: string): string =>
    `source = { type = "http", base = "https://a.example", streams = { s = { path = ""${rest} } } }`
  const write = async (...lines: string[]): Promise<string> => (await pipeline(...lines)).write.mode
  t.is(await write(PG), 'replace')
  t.is(await write(PG, 'write = { cursor = "id" }'), 'upsert')
  t.is(await write(http(''), 'write = { cursor = "id" }'), 'append')
  t.is(await write(http(', key = ["id"]'), 'write = { cursor = "id" }'), 'upsert')
  t.is(await write(http(''), 'write = { cursor = "id", key = ["id"] }'), 'upsert')
  t.is(await write(csv), 'replace')
  t.is(await write(csv, 'mode = "incremental"'), 'append')
})

test('an upsert without a key is fine where the source knows its keys', async (t) => {
  t.deepEqual((await pipeline(PG, 'write = { mode = "upsert", cursor = "id" }')).write.key, [])
})

test('every form of shard_by and partition_by is understood', async (t) => {
  t.deepEqual((await pipeline(PG, 'shard_by = "table"')).shardBy, { kind: 'table' })
  const ranges = await pipeline(PG, 'shard_by = { key = "id", ranges = 1024 }')
  t.deepEqual(ranges.shardBy, { kind: 'range', key: 'id', ranges: 1024 })
  const files = await pipeline('source = { type = "file", paths = ["*"] }', 'shard_by = "file"')
  t.deepEqual(files.shardBy, { kind: 'file' })
  const named = await pipeline(
    'source = { type = "http", base = "https://a.example", streams = { s = { path = "{repo}", each = { repo = ["a", "b"] } } } }',
    'shard_by = "repo"',
  )
  t.deepEqual(named.shardBy, { kind: 'named', name: 'repo' })
  const parts = await pipeline(PG, 'partition_by = ["day(created_at)", "country", "identity(x)"]')
  t.deepEqual(parts.partitionBy, [
    { transform: 'day', column: 'created_at' },
    { transform: 'identity', column: 'country' },
    { transform: 'identity', column: 'x' },
  ])
})

test('options of one table lie over those of its pipeline', async (t) => {
  const { tables } = await pipeline(
    PG,
    'write = { mode = "upsert", cursor = "updated_at", lag = "10m" }',
    '[pipelines.p.table."public.events"]',
    'exclude = ["raw_body"]',
    'shard_by = { key = "id", ranges = 8 }',
    'write = { key = ["id"], lag = "1h" }',
    'types = { amount = "decimal(10, 2)" }',
    '[pipelines.p.table.orders]',
  )
  t.deepEqual(tables, {
    'public.events': {
      exclude: ['raw_body'],
      shardBy: { kind: 'range', key: 'id', ranges: 8 },
      write: { mode: 'upsert', key: ['id'], cursor: 'updated_at', lag: '1h' },
      types: { amount: 'decimal(10,2)' },
    },
    orders: { exclude: [], shardBy: undefined, write: undefined, types: {} },
  })
})

test('an http source says how it pages, signs and repeats', async (t) => {
  const { source } = await pipeline(
    'write = { cursor = "updated_at" }',
    '[pipelines.p.source]',
    'type = "http"',
    'base = "https://api.example.org/v1"',
    'auth = { type = "basic", username = "me", password = "env:PASSWORD" }',
    'headers = { Accept = "application/json" }',
    'timeout = "5s"',
    'conditional = false',
    'max_body = "1MiB"',
    '[pipelines.p.source.streams.issues]',
    'path = "repos/{repo}/issues"',
    'query = { per_page = 100, all = true, since = 2024-01-01T00:00:00Z }',
    'records = "/data/items"',
    'key = ["id"]',
    'each = { repo = ["a/b", "c/d"] }',
    'cursor_param = "since"',
    'paging = { type = "page", size_param = "n", size = 50 }',
    '[pipelines.p.source.streams]',
    'link = { path = "", paging = "link" }',
    'cursor = { path = "", paging = { type = "cursor", next = "/next", param = "after" } }',
    'url = { path = "", paging = { type = "next-url", next = "/links/next" } }',
    'offset = { path = "", paging = { type = "offset", limit = 10 } }',
  )
  if (source.type !== 'http') return t.fail()
  t.like(source, {
    base: 'https://api.example.org/v1',
    timeoutMs: 5000,
    conditional: false,
    bodyBytesMax: 2 ** 20,
    headers: { Accept: 'application/json' },
    auth: { kind: 'basic', username: 'me', password: 'env:PASSWORD' },
  })
  t.deepEqual(source.streams[0], {
    name: 'issues',
    path: 'repos/{repo}/issues',
    headers: {},
    records: '/data/items',
    query: { per_page: '100', all: 'true', since: '2024-01-01T00:00:00Z' },
    paging: { kind: 'page', param: 'page', first: 1, sizeParam: 'n', size: 50 },
    key: ['id'],
    each: { repo: ['a/b', 'c/d'] },
    cursorParam: 'since',
  })
  const paging = source.streams.slice(1).map((stream) => stream.paging)
  t.deepEqual(paging, [
    { kind: 'link' },
    { kind: 'cursor', next: '/next', param: 'after' },
    { kind: 'next-url', next: '/links/next' },
    { kind: 'offset', param: 'offset', limitParam: 'limit', limit: 10 },
  ])
})

test('a file source takes csv options and a bucket', async (t) => {
  const { source } = await pipeline(
    '[pipelines.p.source]',
    'type = "file"',
    'paths = ["s3://in/2024/*.csv"]',
    'endpoint = "http://127.0.0.1:9000"',
    'credentials = { access_key_id = "env:A", secret_access_key = "file:b" }',
    `csv = { delimiter = "\\t", quote = "'", header = false, columns = ["a", "b"], null = "NULL" }`,
  )
  t.like(source, {
    type: 'file',
    paths: ['s3://in/2024/*.csv'],
    endpoint: 'http://127.0.0.1:9000',
    csv: {
      delimiter: '	',
      quote: "'",
      header: false,
      columns: ['a', 'b'],
      nullText: 'NULL',
    },
    credentials: { accessKeyId: 'env:A', secretAccessKey: 'file:b', sessionToken: undefined },
  })
})

test('pipelines come from hakiri.toml and from files beside it, as TOML or JSON', async (t) => {
  const { manifest } = await good({
    'hakiri.toml': `${LAKE}[pipelines.a]\n${PG}\n`,
    'pipelines/b.toml': 'memory = "64MB"\n[source]\ntype = "file"\npaths = ["b.csv"]\n',
    'pipelines/c.json': JSON.stringify({
      $schema: '../hakiri.schema.json#/$defs/pipeline_file',
      source: { type: 'file', paths: ['c.csv'] },
      shard_by: 'file',
    }),
    'pipelines/.hidden.toml': 'not read',
    'pipelines/README.md': 'not read',
  })
  t.deepEqual(Object.keys(manifest.pipelines), ['a', 'b', 'c'])
  t.is(manifest.pipelines['b']?.memoryBytes, 64_000_000)
  t.deepEqual(manifest.pipelines['c']?.shardBy, { kind: 'file' })
  t.deepEqual(
    manifest.files.map((file) => file.slice(manifest.baseFolder.length + 1)),
    ['hakiri.toml', 'pipelines/b.toml', 'pipelines/c.json'],
  )
})

test('addresses without a password, ports and words like token are no secrets', async (t) => {
  await t.notThrowsAsync(
    good({
      'hakiri.toml': `${LAKE}[catalog]
url = "postgresql://reader@db.example:5432/hakiri?sslmode=require"
[pipelines.p]
source = { type = "postgres", url = "postgres://reader@/shop?host=/run/postgresql" }
types = { token = "string", password = "string" }
[pipelines.q]
source = { type = "http", base = "https://h:8080/a@b", streams = { token = { path = "tokens", key = ["token"], query = { page_token = "env:T" } } } }
`,
    }),
  )
})

test('what this version does not use, or what has no effect, is a warning', async (t) => {
  const { warnings } = await good({
    'hakiri.toml': `coord_backend = "etcd"
${LAKE}[coord]
endpoints = ["a:7701"]
[worker]
slots = 4
[alerts]
webhook = { url = "env:HOOK" }
[pipelines.p]
${PG}
mode = "full"
write = { mode = "append", key = ["id"], cursor = "id" }
`,
    'pipelines/x.yaml': 'a: b',
  })
  t.deepEqual(
    warnings.map((text) => text.split(':')[0]),
    ['alerts', 'pipelines.p.write.key', 'pipelines.p.write.cursor', ''],
  )
  const empty = await good({ 'hakiri.toml': '' })
  t.regex(empty.warnings[0] ?? '', /no pipeline is defined/)
})

// ── Template ────────────────────────────────────────────────────────────────────────────────────────

test('the manifest that init writes is valid and says nothing unused', async (t) => {
  const { manifest, warnings } = await good(projectFiles())
  t.deepEqual(warnings, [])
  t.deepEqual(Object.keys(manifest.pipelines), ['orders'])
  t.is(Object.keys(projectFiles())[0], 'hakiri.toml')
})

test('each example of the template is valid by itself and with all the others', async (t) => {
  const template = projectFiles()['hakiri.toml']!
  const paragraphs = template.split('\n\n')
  const examples = paragraphs.flatMap((text, index) => (/^#[a-z[]/m.test(text) ? [index] : []))
  t.true(examples.length >= 10)
  const uncomment = (text: string): string => text.replaceAll(/^#(?=[a-z[])/gm, '')
  for (const index of examples) {
    const text = paragraphs.with(index, uncomment(paragraphs[index]!)).join('\n\n')
    await t.notThrowsAsync(good({ 'hakiri.toml': text }), paragraphs[index])
  }
  const all = await good({ 'hakiri.toml': uncomment(template) })
  t.deepEqual(Object.keys(all.manifest.pipelines), ['orders', 'logs', 'shop', 'issues'])
})

test('the template has an example of every section and of every pipeline key', (t) => {
  const text = projectFiles()['hakiri.toml']!
  const schema = JSON.parse(renderJsonSchema()) as {
    readonly properties: object
    readonly $defs: { readonly pipeline: { readonly properties: object } }
  }
  const later = ['cdc']
  const keys = [...Object.keys(schema.properties), ...Object.keys(schema.$defs.pipeline.properties)]
  for (const key of keys.filter((one) => !later.includes(one))) {
    t.regex(text, new RegExp(`^#?(${key} = |\\[${key}[.\\]]|.*\\.${key}[.\\]])`, 'm'), key)
  }
})

test('sample rows all have as many cells as the header', (t) => {
  const [header, ...rows] = projectFiles()['data/orders.csv']!.trimEnd().split('\n')
  const cells = (line: string): number => line.replaceAll(/"(?:[^"]|"")*"/g, 'q').split(',').length
  t.is(rows.length, 30)
  for (const row of rows) t.is(cells(row), cells(header!), row)
})

// ── JSON Schema ─────────────────────────────────────────────────────────────────────────────────────

const SCHEMA_FILE = new URL('hakiri.schema.json', import.meta.url)

test('the committed JSON Schema is fresh (UPDATE=1 rewrites it)', async (t) => {
  if (process.env['UPDATE'] === '1') await writeFile(SCHEMA_FILE, renderJsonSchema())
  t.is(await readFile(SCHEMA_FILE, 'utf8'), renderJsonSchema())
})

test('the JSON Schema refuses unknown keys everywhere and explains its keys', (t) => {
  const schema = JSON.parse(renderJsonSchema()) as Record<string, unknown>
  let described = 0
  const walk = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    const { $ref, properties, additionalProperties, description } = node as Record<string, unknown>
    if (typeof $ref === 'string') {
      const name = /^#\/\$defs\/(\w+)$/.exec($ref)?.[1]
      t.true(name !== undefined && Object.hasOwn(schema['$defs'] as object, name), $ref)
    }
    if (properties !== undefined) t.false(additionalProperties, path)
    if (typeof description === 'string') described++
    for (const [key, value] of Object.entries(node)) walk(value, `${path}/${key}`)
  }
  walk(schema, '')
  t.true(described > 80, `${described} descriptions`)
})

/** The manifest on its way through the catalog: nothing is lost, and what cannot be read says why. */
import test from 'ava'
import fc from 'fast-check'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import { LAKE, loadFiles } from '../test/support/manifest-files.ts'
import { compareManifests } from './compare.ts'
import type { Manifest } from './manifest.ts'
import { findOwnThings } from './own-things.ts'
import { SCHEMA_IS_TYPE } from './stored-schema.ts'
import { decodeManifest, encodeManifest, hashDocument } from './stored.ts'
import { projectFiles } from './template.ts'

const ORIGIN = { version: 7, appliedBy: 'ann@c1', baseFolder: '/elsewhere' }

async function load(text: string): Promise<Manifest> {
  const { result } = await loadFiles({ 'hakiri.toml': text })
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2))
  return result.manifest
}

const RICH = `catalog = { url = "env:CATALOG" }
coord_backend = "etcd"
[destination.lake]
type = "file"
url = "lake"
[destination.far]
type = "s3"
url = "s3://bucket/prefix"
endpoint = "https://s3.example"
credentials = "env:S3"
files = { compact = { schedule = "0 3 * * *" } }
[pipelines.shop]
destination = "lake"
source = { type = "postgres", url = "env:DB" }
write = { mode = "upsert", key = ["id"], cursor = "updated_at", lag = "10m" }
shard_by = { key = "id", ranges = 4 }
schedule = { every = "5m", jitter = "2s" }
placement = { zone = "eu" }
partition_by = ["day(created_at)"]
limits = { requests_per_second = 0.5 }
[pipelines.shop.table."public.orders"]
exclude = ["secret"]
write = { mode = "append" }
[pipelines.web]
destination = "far"
source = { type = "http", base = "https://api.example", auth = { type = "bearer", token = "secret://api" }, streams = { a = { path = "/a", paging = { type = "page", size = 5 } }, b = { path = "/b", paging = "link" } } }
[pipelines.files]
destination = "far"
source = { type = "file", paths = ["in/*.csv", "/abs/*.csv"] }
`

/** Texts that a manifest may hold in places that take any. */
const anyText = fc.string({ unit: 'grapheme', maxLength: 12 })
const keyText = fc.oneof(anyText, fc.constantFrom('constructor', '__proto__', 'toString', 'a.b'))

/** Any manifest of the type: a loaded one with what is free in it changed at will. */
const manifests = (base: Manifest): fc.Arbitrary<Manifest> =>
  fc
    .record({
      catalogUrl: anyText,
      backend: fc.constantFrom('local', 'raft', 'etcd'),
      lag: fc.option(anyText, { nil: undefined }),
      cron: fc.option(anyText, { nil: undefined }),
      everyMs: fc.option(fc.nat(), { nil: undefined }),
      labels: fc.dictionary(keyText, anyText),
      ratioMax: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
      options: fc.jsonValue(),
      perSecond: fc.option(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { nil: undefined }),
    })
    .map((free) => {
      const shop = base.pipelines['shop']!
      return {
        ...base,
        catalogUrl: free.catalogUrl,
        coordBackend: free.backend,
        pipelines: {
          ...base.pipelines,
          shop: {
            ...shop,
            placement: free.labels,
            types: free.labels,
            write: { ...shop.write, lag: free.lag },
            schedule: { ...shop.schedule!, cron: free.cron, everyMs: free.everyMs },
            quarantine: { ...shop.quarantine, ratioMax: free.ratioMax },
            limits: { ...shop.limits, requestsPerSecond: free.perSecond },
          },
          other: {
            ...shop,
            name: 'other',
            schedule: undefined,
            source: { type: 'github', options: free.options as Json },
          },
        },
      } satisfies Manifest
    })

test('what was encoded decodes to an equal manifest', async (t) => {
  t.true(SCHEMA_IS_TYPE)
  const base = await load(RICH)
  fc.assert(
    fc.property(manifests(base), (manifest) => {
      const text = JSON.stringify(encodeManifest(manifest))
      const decoded = decodeManifest(JSON.parse(text) as Json, ORIGIN)
      t.deepEqual(decoded, { ...asWritten(manifest), baseFolder: '/elsewhere', files: [] })
    }),
    { numRuns: 200 },
  )
})

/** JSON has no -0 and no prototypes; everything else must come back as it was. */
function asWritten(manifest: Manifest): Manifest {
  const plain = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(plain)
      : value !== null && typeof value === 'object'
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
        : Object.is(value, -0)
          ? 0
          : value
  return plain(manifest) as Manifest
}

test('the template and a rich manifest survive, and equal documents have equal hashes', async (t) => {
  const files = Object.fromEntries(
    Object.entries(projectFiles()).map(([path, text]) => [path, text]),
  )
  const { result } = await loadFiles(files)
  t.true(result.ok)
  for (const manifest of [...(result.ok ? [result.manifest] : []), await load(RICH)]) {
    const document = encodeManifest(manifest)
    const decoded = decodeManifest(document, { ...ORIGIN, baseFolder: manifest.baseFolder })
    t.deepEqual({ ...decoded, files: manifest.files }, manifest)
    t.is(hashDocument(encodeManifest(decoded)), hashDocument(document))
    t.false(JSON.stringify(document).includes(manifest.baseFolder))
  }
})

test('a document that cannot be read says who wrote it and what to do', async (t) => {
  const good = encodeManifest(await load(RICH)) as {
    format: number
    manifest: { [key: string]: Json }
  }
  const pipelines = good.manifest['pipelines'] as { [name: string]: { [key: string]: Json } }
  const shop = pipelines['shop']!
  const withShop = (changed: Json): Json => ({
    format: 1,
    manifest: { ...good.manifest, pipelines: { shop: changed } },
  })
  const { mode, ...modeless } = shop
  t.is(mode, 'incremental')
  const cases: readonly (readonly [document: Json, message: RegExp, suggestion: RegExp])[] = [
    [null, /version 7 \(applied by ann@c1\) is not a stored manifest/, /hakiri apply/],
    [{ format: '1' }, /is not a stored manifest/, /hakiri apply/],
    [
      { ...good, format: 2 },
      /has format 2, and this Hakiri reads up to 1: a newer/,
      /that version/,
    ],
    [
      withShop({ ...shop, streaming: true }),
      /has the key pipelines\.shop\.streaming, which a newer Hakiri wrote/,
      /that version/,
    ],
    [withShop(modeless), /cannot be read at pipelines\.shop\.mode .*older Hakiri/, /hakiri apply/],
    [withShop({ ...shop, memoryBytes: '5' }), /pipelines\.shop\.memoryBytes/, /hakiri apply/],
    [withShop({ ...shop, source: { type: 'ftp' } }), /pipelines\.shop\.source/, /hakiri apply/],
  ]
  for (const [document, message, suggestion] of cases) {
    const error = t.throws(() => decodeManifest(document, ORIGIN), { instanceOf: HakiriError })
    t.is(error.code, 'CONFIG_INVALID')
    t.regex(error.message, message)
    t.regex(error.suggestion ?? '', suggestion)
  }
})

test('a comparison names what was added, removed and changed, by key', async (t) => {
  const before = await load(RICH)
  const after = await load(
    RICH.replace('[pipelines.files]', '[pipelines.papers]')
      .replace('jitter = "2s"', 'jitter = "3s"')
      .replace('coord_backend = "etcd"', 'coord_backend = "raft"')
      .replace('s3://bucket/prefix', 's3://bucket/other'),
  )
  t.deepEqual(compareManifests(before, after), {
    pipelines: {
      added: ['papers'],
      removed: ['files'],
      changed: [{ name: 'shop', keys: ['schedule'] }],
    },
    destinations: { added: [], removed: [], changed: [{ name: 'far', keys: ['url'] }] },
    settings: ['coordBackend'],
  })
  t.deepEqual(compareManifests(undefined, after).pipelines.added, ['shop', 'web', 'papers'])
  t.deepEqual(compareManifests(after, after).pipelines.changed, [])
})

test('what each machine must have for itself is found', async (t) => {
  t.deepEqual(findOwnThings(await load(RICH)), {
    references: ['env:DB', 'env:S3_ACCESS_KEY_ID', 'env:S3_SECRET_ACCESS_KEY', 'secret://api'],
    relativePaths: [
      { key: 'destination.lake.url', path: 'lake' },
      { key: 'pipelines.files.source', path: 'in/*.csv' },
    ],
  })
  t.deepEqual(findOwnThings(await load(LAKE)).references, [])
})

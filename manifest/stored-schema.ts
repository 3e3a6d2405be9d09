/**
 * The shape of the typed manifest, for reading it back from JSON. JSON knows no `undefined`, so a key that
 * is absent there comes back as one that is there and undefined. The compiler holds this page against
 * manifest.ts, both ways round.
 */
import * as v from 'valibot'
import type { Json } from '../lib/json.ts'
import type { Manifest } from './manifest.ts'

type Entries = v.ObjectEntries

/** An object of exactly these keys; those that may be absent come back as undefined. */
function object<T extends Entries>(entries: T) {
  const absent = Object.fromEntries(Object.keys(entries).map((key) => [key, undefined]))
  return v.pipe(
    v.strictObject(entries),
    v.transform(
      (value) =>
        ({ ...absent, ...value }) as Whole<v.InferOutput<v.StrictObjectSchema<T, undefined>>>,
    ),
  )
}

/** `{a?: X}` → `{a: X | undefined}`. */
type Whole<T> = { [K in keyof Required<T>]: K extends keyof T ? T[K] : never }

/** Every own key counts, `constructor` and `__proto__` too, which the library's own records leave out. */
function map<T extends v.GenericSchema>(schema: T) {
  return v.pipe(
    v.custom<{ [key: string]: unknown }>(isMap),
    v.rawTransform(({ dataset: { value: input }, addIssue, NEVER }) => {
      const entries: [string, v.InferOutput<T>][] = []
      for (const [key, value] of Object.entries(input)) {
        const parsed = v.safeParse(schema, value)
        if (parsed.success) {
          entries.push([key, parsed.output])
          continue
        }
        const { message, expected, received, path = [] } = parsed.issues[0]
        const step = { type: 'unknown' as const, origin: 'value' as const, input, key, value }
        addIssue({ message, received, path: [step, ...path], ...(expected ? { expected } : {}) })
        return NEVER
      }
      return Object.fromEntries(entries)
    }),
  )
}

function isMap(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

const may = <T extends v.GenericSchema>(schema: T) => v.optional(schema)
const texts = v.array(v.string())
const number = v.pipe(v.number(), v.finite())
const textMap = map(v.string())
const json = v.custom<Json>((value) => value !== undefined)

const credentials = object({
  accessKeyId: v.string(),
  secretAccessKey: v.string(),
  sessionToken: may(v.string()),
})

const destination = object({
  name: v.string(),
  type: v.picklist(['file', 's3']),
  url: v.string(),
  endpoint: may(v.string()),
  region: v.string(),
  credentials: may(credentials),
  format: v.literal('delta'),
  publishIntervalMs: number,
  files: object({
    targetBytes: number,
    openMsMax: number,
    compactMinFiles: number,
    compactCron: may(v.string()),
    retainMs: number,
  }),
})

const shardBy = v.variant('kind', [
  v.strictObject({ kind: v.literal('pipeline') }),
  v.strictObject({ kind: v.literal('table') }),
  v.strictObject({ kind: v.literal('file') }),
  v.strictObject({ kind: v.literal('range'), key: v.string(), ranges: number }),
  v.strictObject({ kind: v.literal('named'), name: v.string() }),
])

const write = object({
  mode: v.picklist(['append', 'upsert', 'replace']),
  key: texts,
  cursor: may(v.string()),
  lag: may(v.string()),
})

const schedule = object({
  cron: may(v.string()),
  everyMs: may(number),
  tz: v.string(),
  overlap: v.picklist(['skip', 'queue']),
  catchup: v.boolean(),
  jitterMs: number,
})

const paging = v.variant('kind', [
  v.strictObject({ kind: v.literal('none') }),
  v.strictObject({ kind: v.literal('link') }),
  v.strictObject({ kind: v.literal('cursor'), next: v.string(), param: v.string() }),
  v.strictObject({ kind: v.literal('next-url'), next: v.string() }),
  v.strictObject({
    kind: v.literal('offset'),
    param: v.string(),
    limitParam: v.string(),
    limit: number,
  }),
  object({
    kind: v.literal('page'),
    param: v.string(),
    first: number,
    sizeParam: may(v.string()),
    size: may(number),
  }),
])

const auth = v.variant('kind', [
  v.strictObject({ kind: v.literal('bearer'), token: v.string() }),
  v.strictObject({ kind: v.literal('basic'), username: v.string(), password: v.string() }),
  v.strictObject({ kind: v.literal('header'), name: v.string(), value: v.string() }),
  v.strictObject({ kind: v.literal('query'), name: v.string(), value: v.string() }),
])

const source = v.variant('type', [
  v.strictObject({ type: v.literal('postgres'), url: v.string(), tables: texts }),
  object({
    type: v.literal('http'),
    base: v.string(),
    auth: may(auth),
    headers: textMap,
    streams: v.array(
      object({
        name: v.string(),
        path: v.string(),
        query: textMap,
        headers: textMap,
        records: v.string(),
        paging,
        key: texts,
        each: map(texts),
        cursorParam: may(v.string()),
      }),
    ),
    timeoutMs: number,
    conditional: v.boolean(),
    bodyBytesMax: number,
  }),
  object({
    type: v.literal('file'),
    paths: texts,
    endpoint: may(v.string()),
    region: v.string(),
    credentials: may(credentials),
    format: may(v.picklist(['csv', 'ndjson', 'json', 'parquet'])),
    table: may(v.string()),
    csv: object({
      delimiter: v.string(),
      quote: v.string(),
      header: v.boolean(),
      columns: may(texts),
      nullText: v.string(),
    }),
    records: v.string(),
  }),
  v.strictObject({ type: v.literal('github'), options: json }),
  v.strictObject({ type: v.literal('wasm'), options: json }),
])

const anyAction = ['evolve', 'freeze', 'discard_row', 'discard_value', 'ask'] as const

const pipeline = object({
  name: v.string(),
  source,
  mode: v.picklist(['full', 'incremental']),
  shardBy,
  schedule: may(schedule),
  placement: textMap,
  destination: v.string(),
  write,
  partitionBy: v.array(
    v.strictObject({
      transform: v.picklist(['identity', 'year', 'month', 'day', 'hour']),
      column: v.string(),
    }),
  ),
  schema: v.strictObject({
    tables: v.picklist(['evolve', 'freeze', 'discard_row', 'ask']),
    columns: v.picklist(anyAction),
    types: v.picklist([...anyAction, 'variant']),
  }),
  types: textMap,
  tables: map(object({ exclude: texts, shardBy: may(shardBy), write: may(write), types: textMap })),
  quarantine: v.strictObject({ rowsMax: number, ratioMax: number }),
  retries: v.strictObject({ retriesMax: number, firstMs: number, mostMs: number }),
  memoryBytes: number,
  limits: object({
    concurrency: number,
    requestsPerHour: may(number),
    requestsPerSecond: may(number),
  }),
})

/** Without what belongs to one machine. */
export type StoredManifest = Omit<Manifest, 'baseFolder' | 'files'>

export const storedSchema = object({
  catalogUrl: v.string(),
  destinations: map(destination),
  pipelines: map(pipeline),
  coordBackend: v.picklist(['local', 'raft', 'etcd']),
})

/** True when each can stand for the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type Frozen<T> = T extends readonly (infer I)[]
  ? readonly Frozen<I>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T
type Read = Frozen<v.InferOutput<typeof storedSchema>>

/** Does not compile when the schema and the type part ways. */
export const SCHEMA_IS_TYPE: Same<Read, Frozen<StoredManifest>> = true

/** The shapes of [pipelines.X.source], one per connector, told apart by `type`. */
import * as v from 'valibot'
import {
  about,
  bytes,
  count,
  credentials,
  duration,
  flag,
  reference,
  secret,
  someTexts,
  text,
  texts,
} from './schema-parts.ts'

const pointer = v.pipe(
  v.string(),
  v.regex(
    /^(\/([^~]|~[01])*)?$/,
    'is not a JSON pointer: write "" or a path such as "/data/items"',
  ),
)

const postgres = v.strictObject({
  type: v.literal('postgres'),
  url: reference('Connection url, postgres://user@host:5432/database.'),
  tables: v.optional(
    about('Tables by pattern: "public.*", a leading ! excludes. Default: ["public.*"].', someTexts),
  ),
})

const paging = about(
  'How the next page is found.',
  v.union([
    v.picklist(['none', 'link']),
    v.variant('type', [
      v.strictObject({ type: about('One page only.', v.literal('none')) }),
      v.strictObject({ type: about('Link header, rel="next".', v.literal('link')) }),
      v.strictObject({
        type: v.literal('cursor'),
        next: about('JSON pointer to the cursor of the next page.', pointer),
        param: about('Query parameter that carries it.', text),
      }),
      v.strictObject({
        type: v.literal('next-url'),
        next: about('JSON pointer to the url of the next page.', pointer),
      }),
      v.strictObject({
        type: v.literal('offset'),
        param: v.optional(about('Query parameter of the offset. Default: "offset".', text)),
        limit_param: v.optional(about('Query parameter of the limit. Default: "limit".', text)),
        limit: about('Records a page.', count(1, 100_000)),
      }),
      v.strictObject({
        type: v.literal('page'),
        param: v.optional(about('Query parameter of the page number. Default: "page".', text)),
        first: v.optional(about('Number of the first page. Default: 1.', count(0, 1_000_000))),
        size_param: v.optional(about('Query parameter of the page size.', text)),
        size: v.optional(about('Records a page.', count(1, 100_000))),
      }),
    ]),
  ]),
)

const auth = about(
  'How requests are signed.',
  v.variant('type', [
    v.strictObject({
      type: about('Authorization: Bearer TOKEN.', v.literal('bearer')),
      token: secret('The token.'),
    }),
    v.strictObject({
      type: v.literal('basic'),
      username: reference('User name.'),
      password: secret('Password.'),
    }),
    v.strictObject({
      type: about('A request header.', v.literal('header')),
      name: text,
      value: secret('Its value.'),
    }),
    v.strictObject({
      type: about('A query parameter.', v.literal('query')),
      name: text,
      value: secret('Its value.'),
    }),
  ]),
)

const headers = about('Request headers. Values may be references.', v.record(text, text))

const stream = v.strictObject({
  path: about('Path below `base`; {name} placeholders are filled from `each`.', v.string()),
  query: v.optional(
    about('Query parameters.', v.record(text, v.union([v.string(), v.number(), v.boolean()]))),
  ),
  headers: v.optional(headers),
  records: v.optional(
    about('JSON pointer to the list of records. Default: "", the body itself.', pointer),
  ),
  paging: v.optional(paging),
  key: v.optional(about('Columns that identify a record.', someTexts)),
  each: v.optional(
    about(
      'Placeholder → values; one shard for each combination, and a column for each placeholder.',
      v.record(text, someTexts),
    ),
  ),
  cursor_param: v.optional(
    about('Query parameter that asks for records since the cursor, such as "since".', text),
  ),
})

const http = v.strictObject({
  type: v.literal('http'),
  base: reference('Address that stream paths start from.'),
  auth: v.optional(auth),
  headers: v.optional(headers),
  streams: about('One table each, by name.', v.record(text, stream)),
  timeout: v.optional(about('Longest wait for an answer. Default: "30s".', duration)),
  conditional: v.optional(
    about('Ask for pages only when they changed (ETag, Last-Modified). Default: true.', flag),
  ),
  max_body: v.optional(about('Largest answer that is accepted. Default: "64MB".', bytes)),
})

const file = v.strictObject({
  type: v.literal('file'),
  paths: about(
    'Files by glob, from the folder of hakiri.toml, or s3://bucket/prefix/*.',
    someTexts,
  ),
  format: v.optional(
    about('Default: by file ending.', v.picklist(['csv', 'ndjson', 'json', 'parquet'])),
  ),
  table: v.optional(about('Name of the one table that all files feed.', text)),
  csv: v.optional(
    v.strictObject({
      delimiter: v.optional(
        about('Default: ",".', v.pipe(v.string(), v.length(1, 'must be one character'))),
      ),
      quote: v.optional(
        about(`Default: '"'.`, v.pipe(v.string(), v.length(1, 'must be one character'))),
      ),
      header: v.optional(about('The first line names the columns. Default: true.', flag)),
      columns: v.optional(about('Column names, for files without a header.', someTexts)),
      null: v.optional(about('Text that means null. Default: "".', v.string())),
    }),
  ),
  records: v.optional(about('JSON files: pointer to the list of records. Default: "".', pointer)),
  endpoint: v.optional(reference('Address of an S3-compatible store.')),
  region: v.optional(about('Default: "us-east-1".', text)),
  credentials: v.optional(credentials),
})

const github = v.strictObject({
  type: v.literal('github'),
  token: v.optional(secret('Token.')),
  org: v.optional(text),
  repos: v.optional(texts),
  streams: v.optional(someTexts),
})

const wasm = v.strictObject({
  type: v.literal('wasm'),
  component: about('Path of the component.', text),
  sha256: v.optional(
    v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits, lower case')),
  ),
  allow: v.optional(
    v.strictObject({
      hosts: v.optional(texts),
      memory: v.optional(bytes),
      time: v.optional(duration),
    }),
  ),
  config: v.optional(v.record(text, v.union([v.string(), v.number(), v.boolean()]))),
})

export const source = about(
  'Where rows come from.',
  v.variant('type', [postgres, http, file, github, wasm]),
)

export type RawSource = v.InferOutput<typeof source>
export type RawHttp = v.InferOutput<typeof http>
export type RawStream = v.InferOutput<typeof stream>
export type RawPaging = v.InferOutput<typeof paging>
export type RawAuth = v.InferOutput<typeof auth>
export type RawFile = v.InferOutput<typeof file>
export type RawCredentials = v.InferOutput<typeof credentials>

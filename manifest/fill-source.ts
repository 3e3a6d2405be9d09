/** The typed form of each source: defaults filled in, shorthands spelt out. */
import { parseBytes, parseDuration } from '../lib/units.ts'
import type {
  Credentials,
  FileSource,
  HttpAuth,
  HttpPaging,
  HttpSource,
  HttpStream,
  SourceConfig,
} from './manifest.ts'
import type {
  RawAuth,
  RawCredentials,
  RawFile,
  RawHttp,
  RawPaging,
  RawSource,
  RawStream,
} from './schema-source.ts'

const TIMEOUT_MS = 30_000
const BODY_BYTES = 64_000_000

export function fillSource(raw: RawSource): SourceConfig {
  switch (raw.type) {
    case 'postgres':
      return { type: 'postgres', url: raw.url, tables: raw.tables ?? ['public.*'] }
    case 'http':
      return fillHttp(raw)
    case 'file':
      return fillFile(raw)
    case 'github':
    case 'wasm': {
      const { type, ...options } = raw
      return { type, options: JSON.parse(JSON.stringify(options)) as { [key: string]: never } }
    }
  }
}

/** "env:PREFIX" stands for three variables, the last of which need not be there. */
export function fillCredentials(raw: RawCredentials | undefined): Credentials | undefined {
  if (raw === undefined) return undefined
  if (typeof raw !== 'string') {
    return {
      accessKeyId: raw.access_key_id,
      secretAccessKey: raw.secret_access_key,
      sessionToken: raw.session_token,
    }
  }
  return {
    accessKeyId: `${raw}_ACCESS_KEY_ID`,
    secretAccessKey: `${raw}_SECRET_ACCESS_KEY`,
    sessionToken: `${raw}_SESSION_TOKEN?`,
  }
}

function fillHttp(raw: RawHttp): HttpSource {
  return {
    type: 'http',
    base: raw.base,
    auth: raw.auth && fillAuth(raw.auth),
    headers: raw.headers ?? {},
    streams: Object.entries(raw.streams).map(([name, stream]) => fillStream(name, stream)),
    timeoutMs: parseDuration(raw.timeout ?? '') ?? TIMEOUT_MS,
    conditional: raw.conditional ?? true,
    bodyBytesMax: parseBytes(raw.max_body ?? '') ?? BODY_BYTES,
  }
}

function fillAuth(raw: RawAuth): HttpAuth {
  switch (raw.type) {
    case 'bearer':
      return { kind: 'bearer', token: raw.token }
    case 'basic':
      return { kind: 'basic', username: raw.username, password: raw.password }
    case 'header':
    case 'query':
      return { kind: raw.type, name: raw.name, value: raw.value }
  }
}

function fillStream(name: string, raw: RawStream): HttpStream {
  const query = Object.entries(raw.query ?? {}).map(([key, value]) => [key, String(value)] as const)
  return {
    name,
    path: raw.path,
    headers: raw.headers ?? {},
    records: raw.records ?? '',
    query: Object.fromEntries(query),
    paging: fillPaging(raw.paging ?? 'none'),
    key: raw.key ?? [],
    each: raw.each ?? {},
    cursorParam: raw.cursor_param,
  }
}

function fillPaging(raw: RawPaging): HttpPaging {
  if (typeof raw === 'string') return { kind: raw }
  switch (raw.type) {
    case 'none':
    case 'link':
      return { kind: raw.type }
    case 'cursor':
      return { kind: 'cursor', next: raw.next, param: raw.param }
    case 'next-url':
      return { kind: 'next-url', next: raw.next }
    case 'offset': {
      const { param = 'offset', limit_param: limitParam = 'limit', limit } = raw
      return { kind: 'offset', param, limitParam, limit }
    }
    case 'page': {
      const { param = 'page', first = 1, size_param: sizeParam, size } = raw
      return { kind: 'page', param, first, sizeParam, size }
    }
  }
}

function fillFile(raw: RawFile): FileSource {
  return {
    type: 'file',
    paths: raw.paths,
    endpoint: raw.endpoint,
    region: raw.region ?? 'us-east-1',
    credentials: fillCredentials(raw.credentials),
    format: raw.format,
    table: raw.table,
    csv: {
      delimiter: raw.csv?.delimiter ?? ',',
      quote: raw.csv?.quote ?? '"',
      header: raw.csv?.header ?? true,
      columns: raw.csv?.columns,
      nullText: raw.csv?.null ?? '',
    },
    records: raw.records ?? '',
  }
}

/** What the keys of a source mean for each other. */
import type { Path } from './problem.ts'
import type { RawFile, RawHttp, RawSource, RawStream } from './schema-source.ts'
import type { PipelineScope } from './scope.ts'
import { REFERENCE } from './inline-secrets.ts'
import { nearest } from './words.ts'

export function checkSource(scope: PipelineScope): void {
  const { source } = scope.merged
  switch (source.type) {
    case 'postgres':
      return checkPostgres(scope, source)
    case 'http':
      return checkHttp(scope, source)
    case 'file':
      return checkFile(scope, source)
    case 'github':
    case 'wasm': {
      const message = `the ${source.type} source is not available in this version`
      const suggestion =
        source.type === 'github'
          ? 'Use type = "http" with base = "https://api.github.com" and paging = "link".'
          : 'Use type = "http", "file" or "postgres".'
      scope.report(['source', 'type'], message, suggestion, 'CONFIG_UNAVAILABLE')
    }
  }
}

function checkPostgres(
  { report }: PipelineScope,
  source: Extract<RawSource, { type: 'postgres' }>,
): void {
  if (!REFERENCE.test(source.url) && !/^postgres(ql)?:\/\/./.test(source.url)) {
    const suggestion =
      'Write "postgres://user@host:5432/database" or a reference such as "env:DB_URL".'
    report(['source', 'url'], 'is not a Postgres address', suggestion)
  }
}

function checkHttp(scope: PipelineScope, source: RawHttp): void {
  const { report } = scope
  if (!REFERENCE.test(source.base) && !isWebAddress(source.base)) {
    report(['source', 'base'], 'is not a web address', 'Write "https://host/path".')
  }
  const streams = Object.entries(source.streams)
  if (streams.length === 0) {
    report(['source', 'streams'], 'needs at least one stream', 'Add streams.NAME = { path = "…" }.')
  }
  for (const [name, stream] of streams) checkStream(scope, ['source', 'streams', name], stream)
}

function checkStream({ merged, report }: PipelineScope, path: Path, stream: RawStream): void {
  const given = Object.keys(stream.each ?? {})
  const inPath = placeholders(stream.path)
  const inQuery = Object.values(stream.query ?? {}).flatMap((text) => placeholders(String(text)))
  const unfilled = new Set(inPath.filter((one) => !given.includes(one)))
  for (const name of unfilled) {
    const near = nearest(name, given)
    const suggestion = near ? `Did you mean {${near}}?` : `Add each = { ${name} = ["…"] }.`
    report([...path, 'path'], `nothing fills in {${name}}`, suggestion)
  }
  const unused = given.filter((one) => !inPath.includes(one) && !inQuery.includes(one))
  // One misspelt name is both unfilled and unused; it is named once.
  for (const name of unfilled.size > 0 ? [] : unused) {
    const suggestion = `Write {${name}} in path or query, or remove it.`
    report([...path, 'each', name], `{${name}} is not used in path or query`, suggestion)
  }
  const cursor = merged.write?.cursor ?? merged.table?.[String(path.at(-1))]?.write?.cursor
  if (stream.cursor_param !== undefined && cursor === undefined) {
    const suggestion = 'Add write = { cursor = "FIELD" }, or remove cursor_param.'
    report([...path, 'cursor_param'], 'cursor_param needs write.cursor', suggestion)
  }
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{([^{}]+)\}/g)].map((match) => match[1]!)
}

function checkFile({ report }: PipelineScope, source: RawFile): void {
  if (source.csv && source.format !== undefined && source.format !== 'csv') {
    report(
      ['source', 'csv'],
      `csv options do not go with format = "${source.format}"`,
      'Remove csv.',
    )
  }
  if (source.records !== undefined && source.format !== undefined && source.format !== 'json') {
    const message = `records does not go with format = "${source.format}"`
    report(['source', 'records'], message, 'Remove it, or use format = "json".')
  }
  const remote = source.paths.filter((one) => one.startsWith('s3://'))
  if (remote.length > 0 && remote.length < source.paths.length) {
    const suggestion = 'Make two pipelines of it.'
    report(['source', 'paths'], 'mixes a bucket and local files', suggestion)
  }
  if (remote.length === 0) {
    const only = (['endpoint', 'credentials', 'region'] as const).find(
      (key) => source[key] !== undefined,
    )
    if (only) report(['source', only], `${only} belongs to s3:// paths`, 'Remove it.')
  }
  for (const [index, one] of source.paths.entries()) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(one)?.[1]
    if (scheme === undefined || scheme === 's3') continue
    const suggestion = scheme === 'file' ? 'Write the path itself.' : 'Use a path or s3://bucket/….'
    report(['source', 'paths', index], `${scheme}:// is not read by a file source`, suggestion)
  }
}

export function isWebAddress(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text)
}

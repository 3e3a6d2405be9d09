/** `shard_by`, the options of single tables, and whether tables of one pipeline get in each other's way. */
import { checkWrite } from './check-write.ts'
import { tableWrite } from './fill.ts'
import type { Path, ProblemText } from './problem.ts'
import type { RawPipeline, RawShardBy } from './schema.ts'
import type { PipelineScope } from './scope.ts'
import { oneOf, suggestWord } from './words.ts'

export function checkShardBy(scope: PipelineScope, path: Path, shardBy: RawShardBy): void {
  const { merged, report } = scope
  const { source } = merged
  if (source.type === 'github' || source.type === 'wasm') return
  if (typeof shardBy === 'object') {
    if (source.type === 'postgres') return
    const message = `a ${source.type} source cannot be cut into key ranges`
    report(path, message, `Use ${oneOf(shardWords(merged))}.`)
    return
  }
  const words = shardWords(merged)
  if (words.includes(shardBy)) return
  const message = `a ${source.type} source cannot be cut by ${JSON.stringify(shardBy)}`
  report(path, message, suggestWord(shardBy, words))
}

/** The words that this source knows. */
function shardWords({ source }: RawPipeline): string[] {
  if (source.type === 'file') return ['pipeline', 'file', 'table']
  if (source.type !== 'http') return ['pipeline', 'table']
  const placeholders = Object.values(source.streams).flatMap((stream) =>
    Object.keys(stream.each ?? {}),
  )
  return [...new Set(['pipeline', 'table', ...placeholders])]
}

export function checkTables(scope: PipelineScope): void {
  const { merged, report } = scope
  for (const [name, options] of Object.entries(merged.table ?? {})) {
    const path = ['table', name]
    const unknown = missingTable(merged, name)
    if (unknown) report(path, unknown.message, unknown.suggestion)
    if (options.write) checkWrite(scope, [...path, 'write'], tableWrite(merged, options.write))
    if (options.shard_by !== undefined) checkShardBy(scope, [...path, 'shard_by'], options.shard_by)
    checkTypes(scope, [...path, 'types'], options.types)
  }
}

/** Options for a table that the source does not have would be ignored without a word. */
function missingTable({ source }: RawPipeline, name: string): ProblemText | undefined {
  if (source.type === 'http') {
    const streams = Object.keys(source.streams)
    if (streams.includes(name)) return undefined
    const message = `there is no stream ${JSON.stringify(name)}`
    return { message, suggestion: suggestWord(name, streams) }
  }
  if (source.type !== 'postgres' || selects(source.tables ?? [], name)) return undefined
  const message = `source.tables does not select ${JSON.stringify(name)}`
  return { message, suggestion: 'Add it to source.tables, or write it as "schema.table".' }
}

/** Tables that some pattern names (all of public when none does) and no pattern with ! does. */
function selects(patterns: readonly string[], table: string): boolean {
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!'))
  const unwanted = patterns.filter((pattern) => pattern.startsWith('!'))
  return (
    (wanted.length > 0 ? wanted : ['public.*']).some((pattern) => matches(pattern, table)) &&
    !unwanted.some((pattern) => matches(pattern.slice(1), table))
  )
}

function matches(pattern: string, table: string): boolean {
  const parts = qualified(pattern).split('*')
  const literal = parts.map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`))
  return new RegExp(`^${literal.join('.*')}$`, 'su').test(qualified(table))
}

/** A name without a schema is one of public. */
function qualified(name: string): string {
  const plain = name.replaceAll(/"((?:[^"]|"")*)"/g, '$1')
  return plain.includes('.') ? plain : `public.${plain}`
}

export function checkTypes(
  { report }: PipelineScope,
  path: Path,
  types: RawPipeline['types'],
): void {
  for (const [column, type] of Object.entries(types ?? {})) {
    const [, precision, scale] = /^decimal\((\d+),\s*(\d+)\)$/.exec(type) ?? []
    if (precision === undefined) continue
    const isFine =
      Number(precision) >= 1 && Number(precision) <= 38 && Number(scale) <= Number(precision)
    if (isFine) continue
    const suggestion = 'Precision is 1 to 38, scale 0 to precision: decimal(38,9).'
    report([...path, column], `${JSON.stringify(type)} is not a possible decimal`, suggestion)
  }
}

/** Names that differ only in case or punctuation would feed one table. */
export function checkTableNames({ merged, report }: PipelineScope): void {
  const seen = new Map<string, string>()
  for (const { table, path } of namedTables(merged)) {
    const plain = qualified(table)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '_')
    const earlier = seen.get(plain)
    if (earlier !== undefined) {
      const both = `${JSON.stringify(earlier)} and ${JSON.stringify(table)}`
      report(path, `${both} would feed the same table`, 'Rename or remove one of them.')
    }
    seen.set(plain, table)
  }
}

/** Tables that are known without asking the source. */
function namedTables({ source }: RawPipeline): { readonly table: string; readonly path: Path }[] {
  if (source.type === 'http') {
    const names = Object.keys(source.streams)
    return names.map((table) => ({ table, path: ['source', 'streams', table] }))
  }
  if (source.type !== 'postgres') return []
  return (source.tables ?? [])
    .map((table, index) => ({ table, path: ['source', 'tables', index] }))
    .filter(({ table }) => !table.startsWith('!') && !table.includes('*'))
}

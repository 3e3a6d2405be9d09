/** Which tables a list of patterns selects. Pure; the order of the patterns does not matter. */

export type Named = {
  readonly schema: string
  readonly name: string
  /** "public.orders". */
  readonly label: string
  /** Left out by wildcards, reachable by its full name: partitions, tables of extensions. */
  readonly inner: boolean
}

export type Selection<T> = {
  readonly selected: readonly T[]
  /** Patterns (exclusions too) that match no table at all. */
  readonly unmatched: readonly { readonly pattern: string; readonly exact: boolean }[]
}

/** Tables that at least one pattern names and no pattern with a leading ! does. */
export function selectByPatterns<T extends Named>(
  patterns: readonly string[],
  tables: readonly T[],
): Selection<T> {
  const parsed = patterns.map((text) => parsePattern(text))
  const positive = parsed.filter((pattern) => !pattern.excludes)
  const wanted = positive.length > 0 ? positive : [parsePattern('public.*')]
  const unwanted = parsed.filter((pattern) => pattern.excludes)
  const selected = tables.filter(
    (table) =>
      wanted.some((pattern) => matches(pattern, table)) &&
      !unwanted.some((pattern) => matches(pattern, table)),
  )
  const unmatched = parsed
    .filter((pattern) => !tables.some((table) => matches(pattern, table)))
    .map(({ text, exact }) => ({ pattern: text, exact }))
  return { selected, unmatched }
}

/** True when `pattern` (no wildcard) is a name of this table. */
export function isNameOf(pattern: string, table: Named): boolean {
  return matches({ ...parsePattern(pattern), exact: true }, table)
}

/** Names a reader may have meant: the same but for case or schema, else those that contain it. */
export function similarNames(pattern: string, tables: readonly Named[]): readonly string[] {
  const bare = pattern.replace(/^!/, '').split('.').at(-1)!.replaceAll(/[*"]/g, '').toLowerCase()
  if (bare === '') return []
  const same = tables.filter((table) => table.name.toLowerCase() === bare)
  const close = same.length > 0 ? same : tables.filter((table) => isClose(table.name, bare))
  return close.slice(0, 5).map((table) => table.label)
}

type Pattern = {
  readonly text: string
  readonly excludes: boolean
  readonly exact: boolean
  readonly regex: RegExp
}

function parsePattern(text: string): Pattern {
  const excludes = text.startsWith('!')
  const body = excludes ? text.slice(1) : text
  const full = body.replaceAll(/"(?:[^"]|"")*"/g, '').includes('.') ? body : `public.${body}`
  const source = full
    .split('*')
    .map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`))
    .join('.*')
  return { text, excludes, exact: !full.includes('*'), regex: new RegExp(`^${source}$`, 'su') }
}

function matches(pattern: Pattern, table: Named): boolean {
  if (table.inner && !pattern.exact && !pattern.excludes) return false
  return pattern.regex.test(table.label) || pattern.regex.test(`${table.schema}.${table.name}`)
}

function isClose(name: string, bare: string): boolean {
  const lower = name.toLowerCase()
  return lower.includes(bare) || bare.includes(lower)
}

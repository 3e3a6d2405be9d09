/**
 * How the rows of a batch are read: one FROM clause per format, and for each input column the
 * expressions that test and convert it. Values are read as text unless their kinds, all looked at
 * before, prove that the engine's own reading is exact.
 */
import type { ColumnType, SourceColumn } from '../../lib/column.ts'
import { fitText } from './sql-fit.ts'
import type { Fit } from './sql-fit.ts'
import { engineType, ident, literal } from './sql-text.ts'
import { KIND } from './scan-ndjson.ts'
import type { ScanResult } from './scan-ndjson.ts'

/** An input column inside `Source.from`. */
export type SourceField = {
  /** Boolean: not null. */
  readonly present: string
  /** The value as text. */
  readonly text: string
  /** The value as `type`. */
  fit(type: ColumnType): Fit
}

export type Source = {
  /** A table expression. */
  readonly from: string
  readonly field: (name: string) => SourceField | undefined
}

/** Bytes of a record that the readers take without being told of a longer one. */
export const LINE_BYTES_DEFAULT = 1 << 20

/** Columns are read by position, so their names may be anything. */
export function csvSource(
  path: string,
  columns: readonly SourceColumn[],
  longestLine: number,
): Source {
  const lineBytes = lineLimit(longestLine)
  const types = columns.map((_, index) => `'c${index}': 'VARCHAR'`).join(', ')
  const from =
    `read_csv(${literal(path)}, columns={${types}}, auto_detect=false, header=false, delim=',', ` +
    `quote='"', escape='"', new_line='\\n', nullstr='', allow_quoted_nulls=false, parallel=false, ` +
    `max_line_size=${lineBytes}, buffer_size=${lineBytes * 4})`
  const indexes = new Map(columns.map((column, index) => [column.name, index]))
  const field = (name: string): SourceField | undefined => {
    const index = indexes.get(name)
    return index === undefined ? undefined : textField(ident(`c${index}`))
  }
  return { from, field }
}

/** The next power of two above the longest record, with room for its line end. */
function lineLimit(longestLine: number): number {
  return Math.max(LINE_BYTES_DEFAULT, 2 ** Math.ceil(Math.log2(longestLine + 2)))
}

function textField(column: string): SourceField {
  return {
    present: `${column} IS NOT NULL`,
    text: column,
    fit: (type) => fitText(column, type),
  }
}

// ── NDJSON ────────────────────────────────────────────────────────────────────────────────────────

const WHOLE = KIND.small | KIND.long | KIND.wideLong
const EXACT_DOUBLE = KIND.small | KIND.long | KIND.double

/** `demands`: the types that the plan wants of each input column. */
export function ndjsonSource(
  path: string,
  scan: ScanResult,
  demands: ReadonlyMap<string, ReadonlySet<ColumnType>>,
): Source {
  const wanted = scan.columns.filter(({ name, kinds }) => demands.has(name) && kinds !== 0)
  const size = `maximum_object_size=${lineLimit(scan.longestLine)}`
  return isAmbiguous(scan)
    ? extractingSource(path, wanted, size)
    : typedSource(path, wanted, size, demands)
}

/** The engine ignores the case of column names; such rows are read whole and taken apart by pointer. */
function isAmbiguous(scan: ScanResult): boolean {
  const folded = new Set(scan.columns.map(({ name }) => name.toLowerCase()))
  return folded.size < scan.columns.length || folded.has('')
}

type Wanted = ScanResult['columns']

function typedSource(
  path: string,
  wanted: Wanted,
  size: string,
  demands: ReadonlyMap<string, ReadonlySet<ColumnType>>,
): Source {
  const types = new Map(wanted.map(({ name, kinds }) => [name, readType(kinds, demands.get(name))]))
  // A reader without columns would read nothing, so a name that no row has stands in.
  const columns = types.size > 0 ? [...types] : [['\u0001', 'VARCHAR'] as const]
  const list = columns.map(([name, type]) => `${literal(name)}: '${type}'`).join(', ')
  const from =
    `read_json(${literal(path)}, columns={${list}}, format='newline_delimited', ` +
    `auto_detect=false, ${size})`
  const field = (name: string): SourceField | undefined => {
    const type = types.get(name)
    return type === undefined ? undefined : jsonField(ident(name), type)
  }
  return { from, field }
}

type ReadType = 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'VARCHAR'

/** A type other than text only when every value of the column is known to be exact in it. */
function readType(kinds: number, demanded: ReadonlySet<ColumnType> | undefined): ReadType {
  const [type] = demanded ?? []
  if (demanded?.size !== 1 || type === undefined) return 'VARCHAR'
  const only = (mask: number): boolean => (kinds & ~mask) === 0
  if (['short', 'integer', 'long'].includes(type) && only(WHOLE)) return 'BIGINT'
  if (type === 'double' && only(EXACT_DOUBLE)) return 'DOUBLE'
  if (type === 'boolean' && only(KIND.boolean)) return 'BOOLEAN'
  return 'VARCHAR'
}

function jsonField(column: string, read: ReadType): SourceField {
  const present = `${column} IS NOT NULL`
  const text = read === 'VARCHAR' ? column : `CAST(${column} AS VARCHAR)`
  switch (read) {
    case 'VARCHAR':
      return { present, text, fit: (type) => fitJson(column, type) }
    case 'BIGINT':
      return { present, text, fit: (type) => notNull(`TRY_CAST(${column} AS ${engineType(type)})`) }
    case 'DOUBLE':
      return { present, text, fit: () => ({ value: column, proof: `isfinite(${column})` }) }
    case 'BOOLEAN':
      return { present, text, fit: () => notNull(column) }
  }
}

function notNull(value: string): Fit {
  return { value, proof: `${value} IS NOT NULL` }
}

/** As text, except that "t" and "f" are no booleans in JSON. */
function fitJson(text: string, type: ColumnType): Fit {
  return type === 'boolean'
    ? notNull(`CASE ${text} WHEN 'true' THEN true WHEN 'false' THEN false END`)
    : fitText(text, type)
}

function extractingSource(path: string, wanted: Wanted, size: string): Source {
  const reader =
    `read_json(${literal(path)}, columns={'row': 'JSON'}, records=false, ` +
    `format='newline_delimited', auto_detect=false, ${size})`
  const parts = wanted.map(
    ({ name }, index) => `json_extract_string("row", ${literal(pointer(name))}) AS "c${index}"`,
  )
  const from = `(SELECT ${parts.length > 0 ? parts.join(', ') : '"row"'} FROM ${reader})`
  const indexes = new Map(wanted.map(({ name }, index) => [name, index]))
  const field = (name: string): SourceField | undefined => {
    const index = indexes.get(name)
    return index === undefined ? undefined : jsonField(ident(`c${index}`), 'VARCHAR')
  }
  return { from, field }
}

/** JSON pointer of a top-level field. */
function pointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

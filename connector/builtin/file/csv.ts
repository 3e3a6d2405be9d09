/**
 * CSV files: rows already in the port's form pass as they are, others are rewritten, and a row that has
 * another number of fields than the header is rejected.
 */
import { isUtf8 } from 'node:buffer'
import type { SourceColumn } from '../../../lib/column.ts'
import { HakiriError } from '../../../lib/error.ts'
import type { CsvConfig } from './config.ts'
import { fieldsOf, fieldText, isNull, writeRow, writtenMax } from './csv-fields.ts'
import { COMMA, createRowScanner, LF, QUOTE, type Dialect, type RowScan } from './csv-rows.ts'
import { announceColumns, columnNames, createTypeGuess } from './csv-types.ts'
import {
  lineDropper,
  NO_BYTES,
  rawText,
  type Reject,
  type Splitter,
  type Taken,
  type Window,
} from './split.ts'

/** Bytes at the start of a file that are looked at for names and types. */
export const SAMPLE_BYTES = 256 << 10

export function dialectOf(config: CsvConfig, tabs: boolean): Dialect {
  const delimiter = tabs && config.delimiter === ',' ? '\t' : config.delimiter
  for (const [name, text] of Object.entries({ delimiter, quote: config.quote })) {
    const isFine = text.length === 1 && text.charCodeAt(0) < 128 && !/[\r\n]/.test(text)
    if (isFine || (name === 'quote' && text === '')) continue
    throw new HakiriError(
      'CONFIG_INVALID',
      `csv.${name} = ${JSON.stringify(text)} is not one plain character`,
    )
  }
  return {
    delimiter: delimiter.charCodeAt(0),
    quote: config.quote === '' ? -1 : config.quote.charCodeAt(0),
    nullText: Buffer.from(config.nullText, 'utf8'),
  }
}

/** What the start of a file tells. */
export type CsvHead = {
  readonly columns: readonly SourceColumn[]
  /** Where the first row of data starts. */
  readonly start: number
}

/** Undefined when there is not a single row. `whole`: the sample is the whole file. */
export function readHead(
  sample: Buffer,
  whole: boolean,
  dialect: Dialect,
  config: CsvConfig,
  types: { readonly [column: string]: string },
  file: string,
): CsvHead | undefined {
  const text = whole && sample.at(-1) !== LF ? Buffer.concat([sample, Buffer.from('\n')]) : sample
  const scanner = createRowScanner(dialect)
  const first = { ...scanner.scan(text, 0, text.length) }
  if (sample.length === 0) return undefined
  if (first.kind === 'open' || first.kind === 'misquoted') throw noHeader(file)
  const header = config.header ? valuesOf(text, 0, first.end, dialect) : undefined
  const names = config.columns ?? columnNames(header ?? Array<null>(first.fields).fill(null))
  if (config.columns && header && header.length !== names.length)
    throw columnCount(file, header.length, names.length)
  const start = config.header ? first.next : 0
  const guess = createTypeGuess(names.length)
  for (let at = start; at < text.length;) {
    const row = scanner.scan(text, at, text.length)
    if (row.kind === 'open') break
    if (row.kind !== 'misquoted' && row.fields === names.length)
      guess.note(valuesOf(text, at, row.end, dialect))
    at = row.next
  }
  const columns = announceColumns(names, guess.types(), types)
  return { columns, start: Math.min(start, sample.length) }
}

function valuesOf(bytes: Buffer, from: number, end: number, dialect: Dialect): (string | null)[] {
  return Array.from(fieldsOf(bytes, from, end, dialect), (field) =>
    isNull(bytes, field, dialect) ? null : fieldText(bytes, field, dialect),
  )
}

function noHeader(file: string): HakiriError {
  return new HakiriError('SOURCE_DATA', `${file}: the first row cannot be read as CSV`, {
    suggestion: 'Check csv.delimiter and csv.quote of the source.',
  })
}

function columnCount(file: string, found: number, named: number): HakiriError {
  return new HakiriError(
    'SOURCE_DATA',
    `${file}: the header has ${found} fields, but csv.columns names ${named}`,
  )
}

/** Splits the rows behind the header. */
export function createCsvSplitter(columns: number, dialect: Dialect, bytesMax: number): Splitter {
  const scanner = createRowScanner(dialect)
  const isPortDialect =
    dialect.delimiter === COMMA && dialect.quote === QUOTE && dialect.nullText.length === 0
  const dropper = lineDropper('a quote is not closed, or the row is too long')

  function take(window: Window): Taken {
    const { bytes, from, end, final, fresh, overlong } = window
    if (overlong || dropper.isDropping()) return dropper.drop(window)
    let rows = 0
    let regular = isPortDialect
    let at = from
    while (at < end && at - from < bytesMax) {
      const row = scanner.scan(bytes, at, end)
      if (row.kind === 'open' || (row.next - from > bytesMax && at > from)) break
      regular &&= row.kind === 'plain' && row.fields === columns
      rows++
      at = row.next
    }
    if (at === from) return final && end > from ? takeTail(bytes, from, end, fresh) : nothing(from)
    const out = bytes.subarray(from, at)
    if (regular && isUtf8(out)) return { next: at, out, rows, rejects: [] }
    return rewrite(bytes, from, at)
  }

  /** Whole rows, one by one. */
  function rewrite(bytes: Buffer, from: number, end: number): Taken {
    const isText = isUtf8(bytes.subarray(from, end))
    const out = Buffer.allocUnsafeSlow(writtenMax(end - from))
    const rejects: Reject[] = []
    let [to, rows] = [0, 0]
    for (let at = from; at < end;) {
      const row = scanner.scan(bytes, at, end)
      const isRowText = isText || isUtf8(bytes.subarray(at, row.end))
      const problem = rowProblem(row, at) ?? (isRowText ? undefined : 'the row is not valid UTF-8')
      if (problem === undefined) {
        to = writeRow(out, to, bytes, at, row.end, dialect)
        out[to++] = LF
        rows++
      } else if (problem !== 'blank')
        rejects.push({ raw: rawText(bytes, at, row.end, isRowText), reason: problem })
      at = row.next
    }
    return { next: end, out: out.subarray(0, to), rows, rejects }
  }

  function rowProblem(row: RowScan, start: number): string | undefined {
    if (row.kind === 'misquoted') return 'a quote is misplaced'
    if (row.fields === columns) return undefined
    if (row.end === start) return 'blank'
    return `the row has ${row.fields} fields, the table ${columns} columns`
  }

  /** The last row of a file, without a line break. */
  function takeTail(bytes: Buffer, from: number, end: number, fresh: boolean): Taken {
    const ended = Buffer.concat([bytes.subarray(from, end), Buffer.from('\n')])
    const row = { ...scanner.scan(ended, 0, ended.length) }
    const problem = row.kind === 'open' ? 'a quote is not closed' : rowProblem(row, 0)
    if (problem !== undefined && problem !== 'blank' && fresh) return nothing(from)
    // A stray quote takes one line with it, not the rest of the file.
    if (row.kind === 'open')
      return dropper.drop({ bytes, from, end, final: true, fresh, overlong: true })
    return { ...rewrite(ended, 0, row.next), next: Math.min(end, from + row.next) }
  }

  return { format: 'csv', take }
}

const nothing = (next: number): Taken => ({ next, out: NO_BYTES, rows: 0, rejects: [] })

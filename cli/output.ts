/** One shape for everything a command says: the JSON envelope, errors for people, aligned tables. */
import type { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { CommandOutput } from './command.ts'

/** The single object of --json: {command, ok, summary, result, error}. */
export function envelope(
  command: string,
  output: CommandOutput | undefined,
  error: HakiriError | undefined,
): string {
  return JSON.stringify({
    command,
    ok: error === undefined && (output?.exitCode ?? 0) === 0,
    summary: error ? error.message : (output?.summary ?? ''),
    result: output?.result ?? null,
    error: error ? errorObject(error) : null,
  })
}

function errorObject(error: HakiriError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    ...(error.place ? { place: error.place } : {}),
    ...(error.suggestion ? { suggestion: error.suggestion } : {}),
  }
}

/** What happened, where, and what to do next. */
export function formatError(error: HakiriError, color: boolean): string {
  const { place } = error
  const where = place?.file
    ? `  at ${place.file}${place.line ? `:${place.line}` : ''}${place.column ? `:${place.column}` : ''}\n`
    : ''
  const mark = color ? '\u001B[31m✗\u001B[0m' : '✗'
  return `${mark} ${error.code}: ${error.message}\n${where}${error.suggestion ? `  → ${error.suggestion}\n` : ''}`
}

export type Cell = string | number | null | undefined

/**
 * Columns aligned by their widest cell; numbers to the right, also those that `numeric` says come as text.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  numeric: readonly boolean[] = [],
): string {
  const text = rows.map((row) =>
    row.map((cell) => (cell === null || cell === undefined ? '' : String(cell))),
  )
  const widths = header.map((name, index) =>
    text.reduce((widest, row) => Math.max(widest, row[index]?.length ?? 0), name.length),
  )
  const isNumber = header.map(
    (_, index) =>
      numeric[index] === true ||
      (rows.length > 0 && rows.every((row) => typeof row[index] === 'number')),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) =>
        isNumber[index] ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(header), line(widths.map((width) => '─'.repeat(width))), ...text.map(line)].join(
    '\n',
  )
}

/** A value as a table shows it: nested ones as JSON. */
function toCell(value: Json): string | number | null {
  if (value === null || typeof value === 'number') return value
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Columns and rows of an answer as a table. */
export function formatAnswer({ columns, rows }: AnswerShape): string {
  return formatTable(
    columns.map((column) => column.name),
    rows.map((row) => row.map(toCell)),
    columns.map((column) => NUMERIC.test(column.type)),
  )
}

type AnswerShape = {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly Json[])[]
}

const NUMERIC = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))$/

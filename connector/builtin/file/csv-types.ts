/**
 * Guesses column types from the first rows, strictly: a type is announced when every value seen is
 * written in its one usual form. "007" is no number, and a date without a zone is no instant. What later
 * rows hold is not promised; the encoder proves each value.
 */
import type { ColumnType, SourceColumn } from '../../../lib/column.ts'

type Test = { readonly type: ColumnType; readonly fits: (text: string) => boolean }

const LONG_MOST = 2n ** 63n - 1n
const WHOLE = /^(0|-?[1-9]\d*)$/
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?$/
const DATE = /^\d{4}-\d\d-\d\d$/
const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:?\d\d)?)$/

/** In order of preference. */
const TESTS: readonly Test[] = [
  { type: 'boolean', fits: (text) => /^(true|false)$/i.test(text) },
  { type: 'long', fits: isLong },
  { type: 'double', fits: isDouble },
  { type: 'date', fits: isDate },
  { type: 'timestamp', fits: isTimestamp },
]

function isLong(text: string): boolean {
  if (!WHOLE.test(text)) return false
  if (text.length <= 18) return true
  const value = BigInt(text)
  return value <= LONG_MOST && value >= -LONG_MOST - 1n
}

/** A whole number of more digits than a double holds would be changed by it. */
function isDouble(text: string): boolean {
  if (!NUMBER.test(text)) return false
  if (WHOLE.test(text) && text.replace('-', '').length > 15) return false
  return Number.isFinite(Number(text))
}

/** A day that exists. */
function isDate(text: string): boolean {
  if (!DATE.test(text)) return false
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text)
}

function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text)
  if (!match || !isDate(match[1]!)) return false
  const iso = text
    .replace(' ', 'T')
    .replace(/([+-]\d\d)$/, '$1:00')
    .replace(/([+-]\d\d)(\d\d)$/, '$1:$2')
  return !Number.isNaN(Date.parse(iso))
}

export type TypeGuess = {
  /** One row; null and undefined say nothing. */
  note(values: readonly (string | null)[]): void
  types(): readonly ColumnType[]
}

export function createTypeGuess(columns: number): TypeGuess {
  const candidates: (readonly Test[])[] = Array.from({ length: columns }, () => TESTS)
  const seen = new Set<number>()
  return {
    note(values) {
      for (const [index, text] of values.entries()) {
        if (text === null || index >= columns) continue
        seen.add(index)
        const left = candidates[index]!
        if (left.length > 0) candidates[index] = left.filter(({ fits }) => fits(text))
      }
    },
    types: () =>
      candidates.map((left, index) => (seen.has(index) ? (left[0]?.type ?? 'string') : 'string')),
  }
}

const COLUMN_TYPE =
  /^(boolean|short|integer|long|float|double|string|binary|date|timestamp|decimal\(\d+,\d+\))$/

/** Columns as announced: guessed types, under those that the configuration names. */
export function announceColumns(
  names: readonly string[],
  guessed: readonly ColumnType[],
  types: { readonly [column: string]: string },
): readonly SourceColumn[] {
  return names.map((name, index) => {
    // What is no type is left to the schema planner, which knows where it was written.
    const hint = Object.hasOwn(types, name) ? types[name]! : undefined
    const wanted = hint === undefined ? guessed[index]! : COLUMN_TYPE.test(hint) ? hint : 'string'
    return { name, type: wanted as ColumnType, sourceType: 'csv' }
  })
}

/** Header names made usable: none empty, none twice. */
export function columnNames(header: readonly (string | null)[]): readonly string[] {
  const taken = new Set<string>()
  return header.map((text, index) => {
    const base = text === null || text.trim() === '' ? `column_${index + 1}` : text.trim()
    let name = base
    for (let n = 2; taken.has(name); n++) name = `${base}_${n}`
    taken.add(name)
    return name
  })
}

/**
 * Where a read of a shard stands, as JSON. Values are the text that the server printed, so that any
 * type can be a key; comparing them is left to the server.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'

/** A place in an order: one text per ordering column. */
export type Position = {
  readonly columns: readonly string[]
  /** orderIdentity of each column when the position was taken. */
  readonly types: readonly string[]
  readonly values: readonly string[]
}

export type PostgresCursor =
  /** Everything of a full load was read. */
  | { readonly kind: 'done' }
  /** A full load, in order of the key, read up to here. */
  | { readonly kind: 'key'; readonly at: Position }
  /** Incremental, first load: rows whose cursor column has no place in the order, up to this key. */
  | { readonly kind: 'unplaced'; readonly column: string; readonly at: Position }
  /** Incremental: read up to here; `at` undefined when every placed row is still to come. */
  | { readonly kind: 'value'; readonly column: string; readonly at: Position | undefined }

export function encodeCursor(cursor: PostgresCursor): Json {
  switch (cursor.kind) {
    case 'done':
      return { kind: 'done' }
    case 'key':
      return { kind: 'key', at: cursor.at }
    case 'unplaced':
      return { kind: 'unplaced', column: cursor.column, at: cursor.at }
    case 'value':
      return { kind: 'value', column: cursor.column, at: cursor.at ?? null }
  }
}

/** Reads a cursor that `encodeCursor` made; null is the beginning. Throws STATE_INVALID. */
export function decodeCursor(json: Json): PostgresCursor | undefined {
  if (json === null) return undefined
  const { kind, column, at } = fieldsOf(json)
  const position = at === null || at === undefined ? undefined : decodePosition(at)
  if (kind === 'done') return { kind }
  if (kind === 'key' && position) return { kind, at: position }
  if (typeof column === 'string') {
    if (kind === 'unplaced' && position) return { kind, column, at: position }
    if (kind === 'value') return { kind, column, at: position }
  }
  throw invalid(json)
}

function decodePosition(json: Json): Position {
  const { columns, types, values } = fieldsOf(json)
  if (!isTexts(columns) || !isTexts(types) || !isTexts(values)) throw invalid(json)
  const sameLength = columns.length === types.length && columns.length === values.length
  if (columns.length === 0 || !sameLength) throw invalid(json)
  return { columns, types, values }
}

function fieldsOf(json: Json): { readonly [key: string]: Json | undefined } {
  if (json === null || typeof json !== 'object' || Array.isArray(json)) throw invalid(json)
  return json as { readonly [key: string]: Json }
}

function isTexts(json: Json | undefined): json is readonly string[] {
  return Array.isArray(json) && json.every((item) => typeof item === 'string')
}

function invalid(json: Json): HakiriError {
  return new HakiriError(
    'STATE_INVALID',
    `this is not a cursor of a postgres source: ${JSON.stringify(json)}`,
    { suggestion: 'Run the pipeline with --full-refresh.' },
  )
}

/**
 * A configuration file as plain data that remembers where each part of it stands. TOML and JSON readers
 * make it; every later check asks it for a place instead of knowing the syntax.
 * Invariant: `value` holds only null, booleans, finite safe numbers or infinities, strings, arrays and
 * objects whose own keys are never `__proto__`, `constructor` or `prototype`.
 */
import { problemAt, START, type Path, type Position, type Problem } from './problem.ts'

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value }
export type ObjectValue = { [key: string]: Value }

export type Document = {
  readonly file: string
  readonly value: ObjectValue
  has(path: Path): boolean
  /** Where the key stands; for parts without a key, where the value starts. */
  keyAt(path: Path): Position
  valueAt(path: Path): Position
}

export type Read =
  | { readonly ok: true; readonly document: Document; readonly problems: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** Collects data and places while a reader walks its syntax tree. */
export type DocumentBuilder = {
  readonly root: ObjectValue
  /** Stores a value, or reports a key that no configuration may have. */
  set(target: ObjectValue, path: Path, value: Value, key: Position, at: Position): void
  note(path: Path, key: Position, at: Position): void
  problem(path: Path, at: Position, message: string, suggestion: string): void
  finish(): Read
}

export function createDocumentBuilder(file: string): DocumentBuilder {
  const root: ObjectValue = {}
  const places = new Map<string, { readonly key: Position; readonly value: Position }>()
  const problems: Problem[] = []

  const problem: DocumentBuilder['problem'] = (path, at, message, suggestion) => {
    problems.push(problemAt(file, at, path, 'CONFIG_INVALID', { message, suggestion }))
  }
  return {
    root,
    problem,
    note(path, key, at) {
      places.set(JSON.stringify(path), { key, value: at })
    },
    set(target, path, value, key, at) {
      const name = path.at(-1)
      if (typeof name !== 'string') return
      if (RESERVED.has(name)) {
        problem(path, key, `the name ${JSON.stringify(name)} is reserved`, 'Choose another name.')
        return
      }
      target[name] = value
      places.set(JSON.stringify(path), { key, value: at })
    },
    finish: () => ({ ok: true, document: createDocument(file, root, places), problems }),
  }
}

function createDocument(
  file: string,
  value: ObjectValue,
  places: ReadonlyMap<string, { readonly key: Position; readonly value: Position }>,
): Document {
  const nearest = (path: Path): { readonly key: Position; readonly value: Position } => {
    for (let length = path.length; length > 0; length--) {
      const place = places.get(JSON.stringify(path.slice(0, length)))
      if (place) return place
    }
    return { key: START, value: START }
  }
  return {
    file,
    value,
    has: (path) => path.length === 0 || places.has(JSON.stringify(path)),
    keyAt: (path) => nearest(path).key,
    valueAt: (path) => (places.has(JSON.stringify(path)) ? nearest(path).value : nearest(path).key),
  }
}

/** A file that could not be read as TOML or JSON at all. */
export function syntaxFailure(
  file: string,
  at: Position,
  message: string,
  suggestion?: string,
): Read {
  const text = { message, suggestion }
  return { ok: false, problems: [problemAt(file, at, [], 'CONFIG_SYNTAX', text)] }
}

export function isObject(value: Value | undefined): value is ObjectValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

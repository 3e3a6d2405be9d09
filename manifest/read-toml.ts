/**
 * Reads TOML 1.0 into a Document. Dates become their text as written; numbers that JavaScript cannot
 * hold exactly are reported instead of being rounded.
 */
import { parseTOML } from 'toml-eslint-parser'
import type { AST } from 'toml-eslint-parser'
import {
  createDocumentBuilder,
  isObject,
  syntaxFailure,
  type DocumentBuilder,
  type ObjectValue,
  type Read,
  type Value,
} from './document.ts'
import type { Path, Position } from './problem.ts'

type Name = { readonly name: string; readonly at: Position }

export function readToml(file: string, text: string): Read {
  try {
    const program = parseTOML(text, { filePath: file, tomlVersion: '1.0' })
    const builder = createDocumentBuilder(file)
    for (const node of program.body[0].body) {
      if (node.type === 'TOMLTable') readTable(builder, node)
      else readKeyValue(builder, builder.root, [], node)
    }
    return builder.finish()
  } catch (error) {
    return explain(file, text, error)
  }
}

/** The parser reports syntax errors by throwing; a stack that ran out means absurd nesting. */
function explain(file: string, text: string, error: unknown): Read {
  const isSyntax = error instanceof SyntaxError
  if (!isSyntax && !(error instanceof RangeError)) throw error
  const at = { line: numberOf(error, 'lineNumber', 1), column: numberOf(error, 'column', 0) + 1 }
  const bare = at.column === 1 ? endOfBareKey(text, at.line - 1) : undefined
  if (bare) return syntaxFailure(file, bare, 'not valid TOML: the value is missing', QUOTES)
  const reason = isSyntax ? error.message : 'it is nested too deeply'
  return syntaxFailure(file, at, `not valid TOML: ${lowerFirst(reason)}`, adviceFor(reason))
}

const QUOTES = 'Write key = "value"; text needs quotes.'

/** Where a line ends in `=`: the parser goes on to the next line before it complains. */
function endOfBareKey(text: string, line: number): Position | undefined {
  const [bare] = /^[^#]*=[ \t]*(?=\r?$)/.exec(text.split('\n')[line - 1] ?? '') ?? []
  return bare === undefined ? undefined : { line, column: bare.trimEnd().length + 1 }
}

function adviceFor(reason: string): string | undefined {
  if (reason.includes('key multiple times')) return 'Keep one of the two, or merge them.'
  if (reason.includes('Unterminated')) return 'Close the quote or bracket that was opened here.'
  if (reason.includes('nested')) return undefined
  return QUOTES
}

function numberOf(error: unknown, key: string, otherwise: number): number {
  const value: unknown = typeof error === 'object' && error ? Reflect.get(error, key) : undefined
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : otherwise
}

function readTable(builder: DocumentBuilder, table: AST.TOMLTable): void {
  const names = namesOf(table.key)
  const path: (string | number)[] = []
  let target: ObjectValue = builder.root
  for (const [depth, { name, at }] of names.entries()) {
    path.push(name)
    const isLast = depth === names.length - 1
    const step = isLast && table.kind === 'array' ? appendElement : openTable
    const next = step(builder, target, path, at, isLast)
    if (!next) return
    target = next
  }
  for (const node of table.body) readKeyValue(builder, target, path, node)
}

/** Goes into a table, or into the last element of a list of tables; makes it when it is new. */
function openTable(
  builder: DocumentBuilder,
  target: ObjectValue,
  path: (string | number)[],
  at: Position,
  isHeader: boolean,
): ObjectValue | undefined {
  const name = String(path.at(-1))
  const existing = Object.hasOwn(target, name) ? target[name] : undefined
  if (Array.isArray(existing)) {
    path.push(existing.length - 1)
    const last = existing.at(-1)
    return isObject(last) ? last : undefined
  }
  if (isObject(existing)) {
    if (isHeader) builder.note([...path], at, at)
    return existing
  }
  const made: ObjectValue = {}
  builder.set(target, [...path], made, at, at)
  return Object.hasOwn(target, name) ? made : undefined
}

function appendElement(
  builder: DocumentBuilder,
  target: ObjectValue,
  path: (string | number)[],
  at: Position,
): ObjectValue | undefined {
  const name = String(path.at(-1))
  if (!Object.hasOwn(target, name)) builder.set(target, [...path], [], at, at)
  const list = Object.hasOwn(target, name) ? target[name] : undefined
  if (!Array.isArray(list)) return undefined
  const made: ObjectValue = {}
  path.push(list.length)
  list.push(made)
  builder.note([...path], at, at)
  return made
}

function readKeyValue(
  builder: DocumentBuilder,
  start: ObjectValue,
  base: Path,
  node: AST.TOMLKeyValue,
): void {
  const names = namesOf(node.key)
  const path = [...base]
  let target = start
  for (const { name, at } of names.slice(0, -1)) {
    path.push(name)
    const next = openTable(builder, target, path, at, false)
    if (!next) return
    target = next
  }
  const last = names.at(-1)
  if (!last) return
  path.push(last.name)
  const value = readValue(builder, path, node.value)
  builder.set(target, path, value, last.at, positionOf(node.value))
}

function readValue(builder: DocumentBuilder, path: Path, node: AST.TOMLContentNode): Value {
  switch (node.type) {
    case 'TOMLArray':
      return node.elements.map((element, index) => {
        const at = positionOf(element)
        builder.note([...path, index], at, at)
        return readValue(builder, [...path, index], element)
      })
    case 'TOMLInlineTable': {
      const made: ObjectValue = {}
      for (const entry of node.body) readKeyValue(builder, made, path, entry)
      return made
    }
    case 'TOMLValue':
      return readScalar(builder, path, node)
  }
}

function readScalar(builder: DocumentBuilder, path: Path, node: AST.TOMLValue): Value {
  switch (node.kind) {
    case 'string':
    case 'boolean':
    case 'float':
      return node.value
    case 'integer':
      if (!Number.isSafeInteger(node.value)) {
        const message = `the number ${node.number} is too large to be exact`
        builder.problem(path, positionOf(node), message, `Write it in quotes: "${node.number}".`)
      }
      return node.value
    case 'offset-date-time':
    case 'local-date-time':
    case 'local-date':
    case 'local-time':
      return node.datetime
  }
}

function namesOf(key: AST.TOMLKey): Name[] {
  return key.keys.map((part) => ({
    name: part.type === 'TOMLBare' ? part.name : part.value,
    at: positionOf(part),
  }))
}

function positionOf(node: { readonly loc: AST.SourceLocation }): Position {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

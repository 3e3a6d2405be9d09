/**
 * Reads JSON into a Document, with a place for each key and value, which JSON.parse cannot give.
 * Accepts exactly what RFC 8259 does, but refuses a key that appears twice.
 */
import {
  createDocumentBuilder,
  isObject,
  syntaxFailure,
  type DocumentBuilder,
  type ObjectValue,
  type Read,
  type Value,
} from './document.ts'
import { formatPath, type Path, type Position } from './problem.ts'

const DEPTH_MAX = 64
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORDS: ReadonlyMap<string, Value> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
])

class JsonFault extends Error {
  readonly index: number
  constructor(index: number, message: string) {
    super(message)
    this.index = index
  }
}

export function readJson(file: string, text: string): Read {
  const builder = createDocumentBuilder(file)
  const scanner = createScanner(text, builder)
  try {
    scanner.document()
    return builder.finish()
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    return syntaxFailure(file, scanner.positionOf(error.index), `not valid JSON: ${error.message}`)
  }
}

type Scanner = { document(): void; positionOf(index: number): Position }

function createScanner(text: string, builder: DocumentBuilder): Scanner {
  const lineStarts = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)]
  let index = 0

  const positionOf = (at: number): Position => {
    const line = lineStarts.findLastIndex((start) => start <= at)
    return { line: line + 1, column: at - lineStarts[line]! + 1 }
  }
  const fault = (message: string): never => {
    throw new JsonFault(Math.min(index, text.length), message)
  }
  const skipSpace = (): void => {
    while (' \t\r\n'.includes(text[index] ?? 'x')) index++
  }
  const found = (): string =>
    index >= text.length ? 'the end of the file' : JSON.stringify(text[index])
  /** The next character after spaces, which must be one of `choices`. */
  const expect = (choices: string): string => {
    skipSpace()
    const next = text[index] ?? ''
    if (next === '' || !choices.includes(next)) {
      const wanted = Array.from(choices, (choice) => JSON.stringify(choice)).join(' or ')
      fault(`expected ${wanted}, found ${found()}`)
    }
    index++
    return next
  }
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = index
    const [token] = pattern.exec(text) ?? []
    if (token !== undefined) index += token.length
    return token
  }
  const string = (): string => {
    skipSpace()
    const token = match(STRING)
    return token === undefined
      ? fault(`expected text in double quotes, found ${found()}`)
      : (JSON.parse(token) as string)
  }

  function object(path: Path): ObjectValue {
    const made: ObjectValue = {}
    expect('{')
    skipSpace()
    if (text[index] === '}') index++
    else
      do member(made, path)
      while (expect(',}') === ',')
    return made
  }
  function member(target: ObjectValue, path: Path): void {
    skipSpace()
    const keyIndex = index
    const keyPath = [...path, string()]
    if (Object.hasOwn(target, String(keyPath.at(-1)))) {
      index = keyIndex
      fault(`the key ${formatPath(keyPath)} appears twice`)
    }
    expect(':')
    skipSpace()
    const valueIndex = index
    builder.set(target, keyPath, value(keyPath), positionOf(keyIndex), positionOf(valueIndex))
  }
  function list(path: Path): Value[] {
    const made: Value[] = []
    expect('[')
    skipSpace()
    if (text[index] === ']') index++
    else
      do {
        skipSpace()
        const at = positionOf(index)
        builder.note([...path, made.length], at, at)
        made.push(value([...path, made.length]))
      } while (expect(',]') === ',')
    return made
  }
  function value(path: Path): Value {
    if (path.length > DEPTH_MAX) fault('it is nested too deeply')
    skipSpace()
    const next = text[index]
    if (next === '{') return object(path)
    if (next === '[') return list(path)
    if (next === '"') return string()
    const at = positionOf(index)
    const token = match(NUMBER)
    if (token !== undefined) return number(path, at, token)
    const word = match(/[a-z]+/y)
    return word !== undefined && WORDS.has(word)
      ? WORDS.get(word)!
      : fault(`expected a value, found ${word === undefined ? found() : JSON.stringify(word)}`)
  }
  function number(path: Path, at: Position, token: string): number {
    const parsed = Number(token)
    if (Math.abs(parsed) > Number.MAX_SAFE_INTEGER) {
      const message = `the number ${token} is too large to be exact`
      builder.problem(path, at, message, `Write it in quotes: "${token}".`)
    }
    return parsed
  }

  function document(): void {
    skipSpace()
    const top = text[index] === '{' ? object([]) : fault(`expected "{", found ${found()}`)
    skipSpace()
    if (index < text.length) fault(`expected the end of the file, found ${found()}`)
    if (isObject(top)) Object.assign(builder.root, top)
  }
  return { document, positionOf }
}

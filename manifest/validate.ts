/**
 * Checks a Document against a schema and says what is wrong in a user's words. Unknown keys are found by
 * a walk of our own, because the schema library stops at the first one.
 */
import * as v from 'valibot'
import { isObject, type Document, type Value } from './document.ts'
import { isSecretPath } from './inline-secrets.ts'
import { problemAt, type Path, type Problem, type ProblemText as Text } from './problem.ts'
import { COLUMN_TYPES } from './schema-parts.ts'
import { nearest, oneOf, suggestWord } from './words.ts'

type Issue = v.BaseIssue<unknown>

/** The little of a schema's own structure that the walks below look at. */
type Shape = {
  readonly type: string
  readonly entries?: { readonly [key: string]: Shape }
  readonly value?: Shape
  readonly item?: Shape
  readonly wrapped?: Shape
  readonly options?: readonly Shape[]
  readonly key?: string
  readonly literal?: unknown
  readonly pipe?: readonly { readonly type: string; readonly description?: string }[]
}

export type Validation = {
  readonly problems: readonly Problem[]
  /** What must not be looked at any further; an unknown key spoils nothing. */
  readonly broken: readonly Path[]
}

/** Everything that is wrong with the shape of a document; empty when it fits. */
export function validate(document: Document, schema: v.GenericSchema): Validation {
  const shape = schema as unknown as Shape
  const result = v.safeParse(schema, document.value)
  const found = (result.issues ?? [])
    .flatMap((issue) => flatten(issue, []))
    .filter(({ issue }) => !isUnknownKey(issue))
  const unknown = unknownKeys(shape, document.value, [])
  return {
    problems: [
      ...found.map((one) => explain(one, document, shape)),
      ...unknown.map((one) => explainUnknown(one, document)),
    ],
    broken: found.map(({ path }) => path),
  }
}

type Found = { readonly issue: Issue; readonly path: Path; readonly isKey: boolean }

/** A union's issue says only "none fits"; the branch that came nearest says why. */
function flatten(issue: Issue, base: Path): Found[] {
  const items = issue.path ?? []
  const path = [...base, ...items.map((item) => item.key as string | number)]
  const inner = issue.type === 'union' ? (issue.issues ?? []) : []
  const deeper = inner.filter((sub) => sub.path !== undefined)
  const worded = inner.filter((sub) => sub.type === 'picklist' && isWord(sub.input))
  const chosen = deeper.length > 0 ? deeper : worded
  if (chosen.length > 0) return chosen.flatMap((sub) => flatten(sub, path))
  return [{ issue, path, isKey: items.at(-1)?.origin === 'key' }]
}

const isWord = (value: unknown): boolean => typeof value === 'string'
const isUnknownKey = (issue: Issue): boolean =>
  issue.type === 'strict_object' && issue.expected === 'never'

function explain({ issue, path, isKey }: Found, document: Document, shape: Shape): Problem {
  const isMissing = isKey && issue.type === 'strict_object'
  const isMissingType = issue.type === 'variant' && issue.input === undefined
  const at = isKey ? document.keyAt(path) : document.valueAt(path)
  const text =
    isMissing || isMissingType ? missing(issue, path, document, shape) : wrong(issue, path)
  return problemAt(document.file, at, path, 'CONFIG_INVALID', text)
}

function missing(issue: Issue, path: Path, document: Document, shape: Shape): Text {
  const key = String(path.at(-1))
  const message = `the key ${JSON.stringify(key)} is missing`
  const words = quotedWords(issue.expected)
  if (issue.type === 'variant') return { message, suggestion: `Add ${key} = ${oneOf(words)}.` }
  const owner = shapeAt(shape, document.value, path.slice(0, -1))
  const hint = owner?.entries?.[key] ? descriptionOf(owner.entries[key]) : undefined
  return { message, suggestion: hint ? `Add ${key}: ${hint}` : `Add ${key} = ….` }
}

function wrong(issue: Issue, path: Path): Text {
  const received = show(issue.input, path)
  if (issue.kind === 'validation') return explainFormat(issue, received)
  const words = quotedWords(issue.expected)
  if (isWord(issue.input) && words.length > 0) {
    const suggestion = suggestWord(String(issue.input), words)
    return { message: `${received} is not known here`, suggestion }
  }
  if (issue.type === 'literal') {
    return { message: `${received} is not known here`, suggestion: `Use ${issue.expected}.` }
  }
  const wanted = kindsOf(issue.expected)
  const message = `must be ${wanted}, not ${kindOf(issue.input)}`
  return { message, suggestion: suggestKind(issue, path, wanted, received) }
}

/** What valibot says it expected: `(string | Object)`, `"a"`, `Array` … */
function kindsOf(expected: string | null): string {
  const names: { readonly [name: string]: string } = {
    string: 'text',
    number: 'a number',
    boolean: 'true or false',
    Array: 'a list',
    Object: 'a table',
  }
  const parts = (expected ?? '').replaceAll(/[()]/g, '').split(' | ')
  const kinds = parts.map((part) => names[part] ?? (part.startsWith('"') ? 'text' : part))
  return [...new Set(kinds)].join(' or ')
}

function kindOf(input: unknown): string {
  if (Array.isArray(input)) return 'a list'
  if (input === null) return 'null'
  if (typeof input === 'object') return 'a table'
  const names: { readonly [name: string]: string } = {
    string: 'text',
    number: 'a number',
    boolean: 'true or false',
  }
  return names[typeof input] ?? 'that'
}

function suggestKind(
  issue: Issue,
  path: Path,
  wanted: string,
  received: string,
): string | undefined {
  const key = String(path.findLast((part) => typeof part === 'string') ?? '')
  const isScalar = typeof issue.input !== 'object'
  if (wanted === 'a list' && isScalar) return `Write a list: ${key} = [${received}].`
  if (wanted.includes('text') && isScalar) return `Write it in quotes: ${JSON.stringify(received)}.`
  if (wanted === 'true or false' && /^"(true|false)"$/.test(received))
    return 'Leave out the quotes.'
  const isNumeral = typeof issue.input === 'string' && /^-?[\d.]+$/.test(issue.input)
  if (wanted === 'a number' && isNumeral) return 'Leave out the quotes.'
  return undefined
}

function explainFormat(issue: Issue, received: string): Text {
  if (issue.message === 'is not a column type') {
    const suggestion = suggestType(String(issue.input))
    return { message: `${received} is not a column type`, suggestion }
  }
  const [message, suggestion] = issue.message.split(': ')
  return {
    message: message!.startsWith('needs') ? message! : `${received} ${message}`,
    suggestion: suggestion && `${suggestion.charAt(0).toUpperCase()}${suggestion.slice(1)}.`,
  }
}

/** Names that people bring from databases. */
const TYPE_ALIASES: { readonly [alias: string]: string } = {
  int: 'integer',
  int4: 'integer',
  int2: 'short',
  int8: 'long',
  bigint: 'long',
  text: 'string',
  varchar: 'string',
  json: 'string',
  jsonb: 'string',
  uuid: 'string',
  bool: 'boolean',
  bytea: 'binary',
  datetime: 'timestamp',
  timestamptz: 'timestamp',
  number: 'double',
  numeric: 'decimal(38,9)',
  decimal: 'decimal(38,9)',
  real: 'float',
}

function suggestType(word: string): string | undefined {
  const alias = TYPE_ALIASES[word.toLowerCase()]
  return alias ? `Did you mean "${alias}"?` : suggestWord(word, COLUMN_TYPES)
}

function show(input: unknown, path: Path): string {
  if (isSecretPath(path)) return 'the value'
  const text = JSON.stringify(input) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** Words that are understood, so that they can be refused with a reason, but not recommended. */
const LATER: ReadonlySet<string> = new Set(['github', 'wasm', 'cdc', 'changelog', 'iceberg'])

function quotedWords(expected: string | null): string[] {
  const words = (expected ?? '').match(/"(?:[^"\\]|\\.)*"/g) ?? []
  return words.map((word) => JSON.parse(word) as string).filter((word) => !LATER.has(word))
}

type Unknown = { readonly path: Path; readonly owner: Shape }

function unknownKeys(schema: Shape, value: Value, path: Path): Unknown[] {
  const shape = branch(schema, value)
  if (Array.isArray(value)) {
    const { item } = shape
    return item ? value.flatMap((one, index) => unknownKeys(item, one, [...path, index])) : []
  }
  if (!isObject(value)) return []
  const isStrict = shape.type === 'strict_object'
  return Object.entries(value).flatMap(([key, inner]) => {
    const next = shape.type === 'record' ? shape.value : shape.entries?.[key]
    if (next) return unknownKeys(next, inner, [...path, key])
    return isStrict ? [{ path: [...path, key], owner: shape }] : []
  })
}

/** Goes through optional wrappers and unions to the shape that this value was meant for. */
function branch(schema: Shape, value: Value | undefined): Shape {
  if (schema.wrapped) return branch(schema.wrapped, value)
  if (!schema.options || typeof schema.options[0] !== 'object') return schema
  const isTable = isObject(value)
  const { key } = schema
  const chosen = schema.options.find((option) =>
    schema.type === 'variant' && key !== undefined && isTable
      ? option.entries?.[key]?.literal === value[key]
      : isTable && ['strict_object', 'record', 'variant'].includes(option.type),
  )
  return chosen ? branch(chosen, value) : { type: 'unknown' }
}

function shapeAt(schema: Shape, value: Value | undefined, path: Path): Shape | undefined {
  const shape = branch(schema, value)
  const [first, ...rest] = path
  if (first === undefined) return shape
  const inner = isObject(value)
    ? value[first]
    : Array.isArray(value)
      ? value[Number(first)]
      : undefined
  const next = shape.entries?.[first] ?? shape.value ?? shape.item
  return next ? shapeAt(next, inner, rest) : undefined
}

function explainUnknown({ path, owner }: Unknown, document: Document): Problem {
  const at = document.keyAt(path)
  const key = String(path.at(-1))
  const message = `there is no key ${JSON.stringify(key)} here`
  const text = { message, suggestion: suggestKey(key, owner) }
  return problemAt(document.file, at, path, 'CONFIG_UNKNOWN_KEY', text)
}

/** The nearest key here; or the same key one table further in, where people often look for it. */
function suggestKey(key: string, owner: Shape): string {
  const known = Object.keys(owner.entries ?? {})
  const inner = known.find((name) =>
    Object.hasOwn(unwrap(owner.entries?.[name]).entries ?? {}, key),
  )
  const near = nearest(key, known) ?? nearest(key.replaceAll('-', '_'), known)
  if (near !== undefined) return `Did you mean ${JSON.stringify(near)}?`
  if (inner !== undefined) return `Did you mean ${inner} = { ${key} = … }?`
  return `Keys here: ${known.join(', ')}.`
}

function unwrap(shape: Shape | undefined): Shape {
  if (!shape) return { type: 'unknown' }
  return shape.wrapped ? unwrap(shape.wrapped) : shape
}

function descriptionOf(shape: Shape): string | undefined {
  const own = shape.pipe?.findLast((part) => part.type === 'description')?.description
  return own ?? (shape.wrapped ? descriptionOf(shape.wrapped) : undefined)
}

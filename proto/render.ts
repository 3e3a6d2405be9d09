/** The text of a codec: one type, one writer, one reader for each message. */
import { camelName } from './names.ts'

export type ScalarType =
  | 'bool'
  | 'bytes'
  | 'enum'
  | 'int64'
  | 'int64 as number'
  | 'string'
  | 'uint32'
  | 'uint64'
  | 'uint64 as number'

export type FieldModel = {
  readonly name: string
  readonly number: number
  readonly type: ScalarType | { readonly message: string }
  readonly isRepeated: boolean
  /** Everyone of the same oneof, itself included. */
  readonly oneof: readonly string[] | undefined
  readonly comment: string | null
}

export type MessageModel = {
  readonly name: string
  readonly comment: string | null
  readonly fields: readonly FieldModel[]
}

export type MethodModel = {
  readonly name: string
  readonly path: string
  readonly request: string
  readonly response: string
  readonly requestStream: boolean
  readonly responseStream: boolean
}

/** How a scalar is spelled, what stands for its absence, and who puts and takes it. */
type ScalarFacts = {
  readonly type: string
  readonly empty: string
  readonly put: (value: string) => string
  readonly take: string
}

const SCALARS: Readonly<Record<ScalarType, ScalarFacts>> = {
  bool: scalar('boolean', 'false', (value) => `putVarint(w, ${value} ? 1 : 0)`, 'takeBool'),
  bytes: scalar('Uint8Array', 'EMPTY', (value) => `putBytes(w, ${value})`, 'takeBytes'),
  enum: scalar('number', '0', (value) => `putNumber(w, ${value})`, 'takeInt32'),
  int64: scalar('bigint', '0n', (value) => `putBigint(w, ${value})`, 'takeBigInt64'),
  'int64 as number': scalar('number', '0', (value) => `putNumber(w, ${value})`, 'takeInt64'),
  string: scalar('string', "''", (value) => `putString(w, ${value})`, 'takeString'),
  uint32: scalar('number', '0', (value) => `putNumber(w, ${value})`, 'takeUint32'),
  uint64: scalar('bigint', '0n', (value) => `putBigint(w, ${value})`, 'takeBigUint64'),
  'uint64 as number': scalar('number', '0', (value) => `putNumber(w, ${value})`, 'takeUint64'),
}

function scalar(type: string, empty: string, put: ScalarFacts['put'], take: string): ScalarFacts {
  return { type, empty, put, take }
}

const VARINT = 0
const LENGTH = 2

function wireTypeOf({ type }: FieldModel): number {
  return typeof type === 'object' || type === 'bytes' || type === 'string' ? LENGTH : VARINT
}

function isPacked(field: FieldModel): boolean {
  return field.isRepeated && wireTypeOf(field) === VARINT
}

/** An enumeration: its values by name. On the wire and in messages it is a number. */
export function renderEnum(
  name: string,
  values: Readonly<Record<string, number>>,
  comment: string | null,
): string {
  const rows = Object.entries(values).map(([key, value]) => `  ${camelName(key)}: ${value},`)
  return [doc(comment, ''), `export const ${name} = {`, ...rows, '} as const', ''].join('\n')
}

/** A table of methods, in the shape in which gRPC libraries take a service. */
export function renderService(
  name: string,
  methods: readonly MethodModel[],
  comment: string | null,
): string {
  const rows = methods.flatMap((method) => [
    `  ${method.name}: {`,
    `    path: '${method.path}',`,
    `    requestStream: ${method.requestStream},`,
    `    responseStream: ${method.responseStream},`,
    `    requestSerialize: encode${method.request},`,
    `    requestDeserialize: decode${method.request},`,
    `    responseSerialize: encode${method.response},`,
    `    responseDeserialize: decode${method.response},`,
    `  },`,
  ])
  const head = `export const ${camelName(name)}Service = {`
  return [doc(comment ?? `The methods of ${name}.`, ''), head, ...rows, '} as const', ''].join('\n')
}

export function renderMessage(message: MessageModel): string {
  return [
    renderType(message),
    renderWriter(message),
    renderReader(message),
    `export function encode${message.name}(value: Init<${message.name}>): Buffer {`,
    `  return encode(write${message.name}, value)`,
    `}`,
    ``,
    `export function decode${message.name}(bytes: Uint8Array): ${message.name} {`,
    `  return decode(read${message.name}, bytes)`,
    `}`,
    ``,
  ].join('\n')
}

function doc(comment: string | null, indent: string): string {
  if (!comment) return ''
  return `${indent}/** ${comment.replaceAll('\n', ' ')} */`
}

// ── Type ─────────────────────────────────────────────────────────────────────────────────────────

function renderType({ name, comment, fields }: MessageModel): string {
  const head = doc(comment, '')
  if (fields.length === 0)
    return join(head, `export type ${name} = Readonly<Record<string, never>>\n`)
  const rows = fields.flatMap((field) => {
    const sign = field.oneof || (isMessage(field) && !field.isRepeated) ? '?' : ''
    return [doc(field.comment, '  '), `  readonly ${field.name}${sign}: ${typeOf(field)}`]
  })
  return join(head, `export type ${name} = {`, ...rows, '}\n')
}

function join(...lines: readonly string[]): string {
  return lines.filter((line) => line !== '').join('\n')
}

function isMessage({ type }: FieldModel): boolean {
  return typeof type === 'object'
}

function elementType({ type }: FieldModel): string {
  return typeof type === 'object' ? type.message : SCALARS[type].type
}

function typeOf(field: FieldModel): string {
  const type = elementType(field)
  return field.isRepeated ? `readonly ${type}[]` : type
}

// ── Writer ───────────────────────────────────────────────────────────────────────────────────────

function tagOf(field: FieldModel): number {
  return field.number * 8 + (isPacked(field) ? LENGTH : wireTypeOf(field))
}

function renderWriter({ name, fields }: MessageModel): string {
  if (fields.length === 0)
    return `export function write${name}(_w: Writer, _m: Init<${name}>): void {}\n`
  // Back to front, so that fields come in the order of their numbers.
  const rows = fields
    .toSorted((a, b) => b.number - a.number)
    .flatMap((field) => (field.isRepeated ? writeList(field) : writeOne(field)))
  return join(`export function write${name}(w: Writer, m: Init<${name}>): void {`, ...rows, '}\n')
}

function writeOne(field: FieldModel): string[] {
  const value = `m.${field.name}`
  const isPresent =
    field.oneof || isMessage(field)
      ? `${value} !== undefined`
      : field.type === 'bytes'
        ? `${value} !== undefined && ${value}.length > 0`
        : value
  return [`  if (${isPresent}) {`, ...writeValue(field, value, '    '), `  }`]
}

function writeValue(field: FieldModel, value: string, indent: string): string[] {
  const tag = `${indent}putVarint(w, ${tagOf(field)})`
  const { type } = field
  if (typeof type !== 'object') return [`${indent}${SCALARS[type].put(value)}`, tag]
  return [
    `${indent}const before = written(w)`,
    `${indent}write${type.message}(w, ${value})`,
    `${indent}putLength(w, before)`,
    tag,
  ]
}

function writeList(field: FieldModel): string[] {
  const list = `m.${field.name}`
  const loop = `for (let i = ${list}.length - 1; i >= 0; i--) {`
  const type = elementType(field)
  const value = `${list}[i] as ${isMessage(field) ? `Init<${type}>` : type}`
  if (!isPacked(field))
    return [
      `  if (${list} !== undefined) {`,
      `    ${loop}`,
      ...writeValue(field, value, '      '),
      `    }`,
      `  }`,
    ]
  const scalarType = field.type as ScalarType
  return [
    `  if (${list} !== undefined && ${list}.length > 0) {`,
    `    const before = written(w)`,
    `    ${loop}`,
    `      ${SCALARS[scalarType].put(value)}`,
    `    }`,
    `    putLength(w, before)`,
    `    putVarint(w, ${tagOf(field)})`,
    `  }`,
  ]
}

// ── Reader ───────────────────────────────────────────────────────────────────────────────────────

function renderReader({ name, fields }: MessageModel): string {
  const lists = fields.filter(({ isRepeated }) => isRepeated)
  const always = fields.filter((field) => field.isRepeated || (!field.oneof && !isMessage(field)))
  const oneofs = new Set(fields.map(({ oneof }) => oneof?.join(' ')).filter(Boolean))
  if (fields.length === 0)
    return [
      `export function read${name}(r: Reader): ${name} {`,
      `  while (r.at < r.end) skip(r, takeVarint(r))`,
      `  return {}`,
      `}`,
      ``,
    ].join('\n')
  return join(
    `export function read${name}(r: Reader): ${name} {`,
    ...lists.map((field) => `  const ${field.name}: ${elementType(field)}[] = []`),
    `  const m: Draft<${name}> = { ${always.map(emptyOf).join(', ')} }`,
    ...(oneofs.size > 0 ? [`  let chosen: ${keys(fields)} | undefined`] : []),
    `  while (r.at < r.end) {`,
    `    const tag = takeVarint(r)`,
    `    switch (tag) {`,
    ...fields.flatMap(readField),
    `      default:`,
    `        skip(r, tag)`,
    `    }`,
    `  }`,
    `  return m`,
    `}\n`,
  )
}

function keys(fields: readonly FieldModel[]): string {
  const names = fields.filter(({ oneof }) => oneof).map(({ name }) => `'${name}'`)
  return names.join(' | ')
}

function emptyOf(field: FieldModel): string {
  if (field.isRepeated) return field.name
  return `${field.name}: ${SCALARS[field.type as ScalarType].empty}`
}

function takeOf({ type }: FieldModel): string {
  return typeof type === 'object'
    ? `takeNested(r, read${type.message})`
    : `${SCALARS[type].take}(r)`
}

function readField(field: FieldModel): string[] {
  const lines = (number: number, ...body: readonly string[]): string[] => [
    `      case ${number}:`,
    ...body.map((line) => `        ${line}`),
    `        break`,
  ]
  const tag = field.number * 8 + wireTypeOf(field)
  if (!field.isRepeated) return lines(tag, ...chooseOf(field), `m.${field.name} = ${takeOf(field)}`)
  const one = lines(tag, `${field.name}.push(${takeOf(field)})`)
  if (!isPacked(field)) return one
  const { take } = SCALARS[field.type as ScalarType]
  return [...one, ...lines(tagOf(field), `takePacked(r, ${field.name}, ${take})`)]
}

/** Of a oneof the last one that comes wins. */
function chooseOf(field: FieldModel): string[] {
  if (!field.oneof) return []
  const isOther = `chosen !== undefined && chosen !== '${field.name}'`
  return [`if (${isOther}) delete m[chosen]`, `chosen = '${field.name}'`]
}

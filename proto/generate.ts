/**
 * Reads the .proto files beside this one and gives the text of the codecs in proto/gen. The parser is
 * a library's; what comes out is plain code: types, a reader and a writer for each message, a table
 * for each service. A construct that is not known here is an error, never left out.
 */
import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { assert } from '../lib/assert.ts'
import { camelName } from './names.ts'
import { renderEnum, renderMessage, renderService } from './render.ts'
import type { FieldModel, MessageModel, MethodModel, ScalarType } from './render.ts'

type SourceFile = { readonly source: string; readonly target: string; readonly package: string }

/** Each file has a package of its own, and uses only those before it. */
const FILES: readonly SourceFile[] = [
  { source: 'etcd/kv.proto', target: 'kv.ts', package: 'mvccpb' },
  { source: 'etcd/auth.proto', target: 'auth.ts', package: 'authpb' },
  { source: 'etcd/rpc.proto', target: 'rpc.ts', package: 'etcdserverpb' },
  { source: 'health.proto', target: 'health.ts', package: 'grpc.health.v1' },
  { source: 'raft.proto', target: 'raft.ts', package: 'hakiri.coord' },
]

/** What of proto/wire.ts the generated code may need. */
const WIRE_TYPES = ['Draft', 'Init', 'Reader', 'Writer']
const WIRE_VALUES = [
  'EMPTY decode encode putBigint putBytes putLength putNumber putString putVarint skip takeBigInt64',
  'takeBigUint64 takeBool takeBytes takeInt32 takeInt64 takeNested takePacked takeString takeUint32',
  'takeUint64 takeVarint written',
].flatMap((line) => line.split(' '))

/** Path and text of every generated file. */
export function renderCodecs(): readonly { readonly path: string; readonly text: string }[] {
  const root = parseAll()
  return FILES.map((file) => ({ path: `proto/gen/${file.target}`, text: renderFile(root, file) }))
}

/** All files in one name space. */
export function parseAll(): protobuf.Root {
  const root = new protobuf.Root()
  for (const { source } of FILES) {
    const text = readFileSync(new URL(source, import.meta.url), 'utf8')
    protobuf.parse(text, root, { keepCase: true, alternateCommentMode: true })
  }
  root.resolveAll()
  return root
}

function renderFile(root: protobuf.Root, file: SourceFile): string {
  const space = root.lookup(file.package)
  assert(space instanceof protobuf.Namespace, `no package ${file.package}`)
  const foreign = new Map<string, Set<string>>()
  const parts = space.nestedArray.flatMap((item) => renderItem(item, file, foreign))
  const body = parts.map((part) => part.trim()).join('\n\n') + '\n'
  return [
    `/** Codecs of ${file.source}. Generated: change that file and run \`npm run generate\`. */`,
    `import {\n${used(WIRE_VALUES, body)}} from '../wire.ts'`,
    `import type {\n${used(WIRE_TYPES, body)}} from '../wire.ts'`,
    ...[...foreign].map(
      ([target, names]) => `import {\n${used([...names].toSorted(), body)}} from './${target}'`,
    ),
    '',
    body,
  ].join('\n')
}

function used(names: readonly string[], text: string): string {
  const words = new Set(text.match(/\w+/g))
  return names
    .filter((name) => words.has(name.replace(/^type /, '')))
    .map((name) => `  ${name},\n`)
    .join('')
}

function renderItem(
  item: protobuf.ReflectionObject,
  file: SourceFile,
  foreign: Map<string, Set<string>>,
): string[] {
  if (item instanceof protobuf.Enum) return [renderEnum(item.name, item.values, item.comment)]
  if (item instanceof protobuf.Service)
    return [renderService(item.name, item.methodsArray.map(methodModel), item.comment)]
  assert(item instanceof protobuf.Type, `${item.fullName} is of a kind that is not known`)
  const inner = item.nestedArray.map((nested) => {
    assert(nested instanceof protobuf.Enum, `${nested.fullName}: only enumerations nest`)
    const name = nested.name.startsWith(item.name) ? nested.name : item.name + nested.name
    return renderEnum(name, nested.values, nested.comment)
  })
  const model = messageModel(item)
  for (const field of item.fieldsArray) noteForeign(field, file, foreign)
  return [...inner, renderMessage(model)]
}

function noteForeign(
  field: protobuf.Field,
  file: SourceFile,
  foreign: Map<string, Set<string>>,
): void {
  if (!(field.resolvedType instanceof protobuf.Type)) return
  const space = field.resolvedType.parent?.fullName.slice(1)
  if (space === file.package) return
  const home = FILES.find((other) => other.package === space)
  assert(home, `${field.fullName} has a type of an unknown package`)
  const { name } = field.resolvedType
  const names = foreign.get(home.target) ?? new Set()
  foreign.set(home.target, names.add(`read${name}`).add(`write${name}`).add(`type ${name}`))
}

function messageModel(type: protobuf.Type): MessageModel {
  return { name: type.name, comment: type.comment, fields: type.fieldsArray.map(fieldModel) }
}

function fieldModel(field: protobuf.Field): FieldModel {
  assert(!(field instanceof protobuf.MapField), `${field.fullName} is a map`)
  assert(!field.hasPresence || field.partOf || field.resolvedType, `${field.fullName} is optional`)
  const { resolvedType } = field
  return {
    name: camelName(field.name),
    number: field.id,
    type: resolvedType instanceof protobuf.Type ? { message: resolvedType.name } : scalarOf(field),
    isRepeated: field.repeated,
    oneof: field.partOf ? field.partOf.fieldsArray.map(({ name }) => camelName(name)) : undefined,
    comment: field.comment,
  }
}

function scalarOf(field: protobuf.Field): ScalarType {
  if (field.resolvedType) return 'enum'
  const isNumber = field.options?.['jstype'] === 'JS_NUMBER'
  const name = isNumber ? `${field.type} as number` : field.type
  const known: readonly string[] = SCALARS
  assert(known.includes(name), `${field.fullName} has the type ${name}, which is not known`)
  return name as ScalarType
}

const SCALARS: readonly ScalarType[] = [
  'bool',
  'bytes',
  'int64',
  'int64 as number',
  'string',
  'uint32',
  'uint64',
  'uint64 as number',
]

function methodModel(method: protobuf.Method): MethodModel {
  assert(method.resolvedRequestType && method.resolvedResponseType, `${method.fullName} is open`)
  const service = method.parent?.fullName.slice(1)
  return {
    name: camelName(method.name),
    path: `/${service}/${method.name}`,
    request: method.resolvedRequestType.name,
    response: method.resolvedResponseType.name,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
  }
}

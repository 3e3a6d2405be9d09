/** Rules of the Delta linter about single actions: protocol, metadata and partition values. */
import { decimalOf, parsePartitionValue } from './delta-values.ts'
import type { DeltaField, DeltaType } from './delta-values.ts'
import { parseSchema } from './delta-reader.ts'
import type { AddFile, Metadata, Protocol } from './delta-reader.ts'

type Report = (problem: string) => void

const PRIMITIVES = new Set(
  'string long integer short byte float double boolean binary date timestamp'.split(' '),
)
const FORBIDDEN_IN_NAMES = /[ ,;{}()\n\t=]/
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Feature lists exist only at reader 3 and writer 7; engines choke on them elsewhere. */
export function lintProtocol(protocol: Protocol, here: Report): void {
  const { minReaderVersion: reader, minWriterVersion: writer } = protocol
  if (reader !== 1 || writer !== 2) here(`protocol is ${reader}/${writer}, not 1/2`)
  if ('readerFeatures' in protocol && reader !== 3) here('readerFeatures below reader version 3')
  if ('writerFeatures' in protocol && writer !== 7) here('writerFeatures below writer version 7')
}

export function lintMetadata(metadata: Metadata, before: Metadata | undefined, here: Report): void {
  if (!GUID.test(metadata.id)) here(`metaData.id ${metadata.id} is not a GUID`)
  if (before && before.id !== metadata.id) here('metaData.id changes')
  if (metadata.format.provider !== 'parquet') here('metaData.format.provider is not parquet')
  if (typeof metadata.format.options !== 'object') here('metaData.format.options is missing')
  for (const [key, value] of Object.entries(metadata.configuration))
    if (typeof value !== 'string') here(`configuration ${key} is not a string`)
  const schema = schemaOf(metadata, here)
  if (!schema) return
  lintFields(schema, '', here)
  for (const column of metadata.partitionColumns)
    if (!schema.some((field) => field.name === column))
      here(`partition column ${column} is not in the schema`)
  if (before && String(before.partitionColumns) !== String(metadata.partitionColumns))
    here('partitionColumns change')
}

function schemaOf(metadata: Metadata, here: Report): readonly DeltaField[] | undefined {
  try {
    return parseSchema(metadata.schemaString)
  } catch {
    here('schemaString is not a struct type')
    return undefined
  }
}

function lintFields(fields: readonly DeltaField[], parent: string, here: Report): void {
  const seen = new Map<string, string>()
  for (const field of fields) {
    const name = parent + field.name
    const lower = String(field.name).toLowerCase()
    const other = seen.get(lower)
    if (other !== undefined) here(`columns ${other} and ${name} differ at most by case`)
    seen.set(lower, name)
    if (!field.name || FORBIDDEN_IN_NAMES.test(field.name))
      here(`column name ${JSON.stringify(name)} has a character that readers refuse`)
    if (field.nullable !== true) here(`column ${name} is not nullable`)
    if (typeof field.metadata !== 'object') here(`column ${name} has no metadata map`)
    lintType(field.type, name, here)
  }
}

function lintType(type: DeltaType, name: string, here: Report): void {
  if (typeof type === 'string') {
    const decimal = decimalOf(type)
    const sound = decimal && decimal.precision <= 38 && decimal.scale <= decimal.precision
    if (!sound && !PRIMITIVES.has(type)) here(`column ${name} has the unknown type ${type}`)
    return
  }
  switch (type.type) {
    case 'struct':
      return lintFields(type.fields, `${name}.`, here)
    case 'array':
      return lintType(type.elementType, name, here)
    case 'map':
      lintType(type.keyType, name, here)
      return lintType(type.valueType, name, here)
  }
}

/** Every partition column has a value, and nothing else does. */
export function lintPartitionValues(
  add: AddFile,
  metadata: Metadata | undefined,
  here: Report,
): void {
  if (!metadata) return here(`file ${add.path} is added before any metaData`)
  const columns = metadata.partitionColumns
  const named = Object.keys(add.partitionValues)
  if (named.toSorted().join() !== columns.toSorted().join())
    here(`file ${add.path} has partition values for [${named.join()}], not [${columns.join()}]`)
  for (const field of schemaOf(metadata, () => undefined) ?? []) {
    const text = add.partitionValues[field.name]
    if (text === undefined || text === null) continue
    try {
      parsePartitionValue(field.type, text)
    } catch (error) {
      here(`file ${add.path}: partition value of ${field.name}: ${String(error)}`)
    }
  }
}

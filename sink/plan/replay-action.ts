/** Reads one action of a table log, from untrusted JSON to a checked value or a sentence of complaint. */
import type { Json } from '../../lib/json.ts'
import { READER_VERSION } from './actions.ts'
import { isObject, type JsonObject } from './json-shape.ts'

export type Metadata = {
  readonly id: string
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly configuration: { readonly [key: string]: string }
}

export type AddedFile = {
  /** Decoded, relative to the table's folder. */
  readonly path: string
  readonly bytes: number
  /** From the statistics; undefined when there are none. */
  readonly rows: number | undefined
  /** JSON text as it stands in the log, "" for none. */
  readonly stats: string
  readonly partition: { readonly [column: string]: string | null }
  readonly tags: { readonly [key: string]: string }
}

export type Action =
  | { readonly kind: 'protocol' }
  | { readonly kind: 'metaData'; readonly metadata: Metadata }
  | { readonly kind: 'add'; readonly file: AddedFile }
  | {
      readonly kind: 'remove'
      readonly path: string
      readonly removedAt: number
      readonly bytes: number | undefined
      readonly partition: AddedFile['partition'] | undefined
    }
  | { readonly kind: 'txn'; readonly appId: string; readonly version: number }
  | { readonly kind: 'commitInfo'; readonly timestamp: number; readonly hakiri: Json }
  /** Known to the protocol, without meaning for the rows of a table at our versions. */
  | { readonly kind: 'other' }

const WITHOUT_MEANING: readonly string[] = [
  'cdc',
  'domainMetadata',
  'checkpointMetadata',
  'sidecar',
]

/** The one action of a row; a sentence when the row holds none, several, or one that is malformed. */
export function readAction(row: unknown): Action | string {
  if (!isObject(row)) return 'it is not an object'
  const present = Object.entries(row).filter(([, value]) => value !== null && value !== undefined)
  const [entry, second] = present
  if (!entry) return 'it holds no action'
  if (second) return `it holds both ${entry[0]} and ${second[0]}`
  const [kind, body] = entry
  if (!isObject(body)) return `${kind} is not an object`
  switch (kind) {
    case 'protocol':
      return readProtocol(body)
    case 'metaData':
      return readMetadata(body)
    case 'add':
      return readAdd(body)
    case 'remove':
      return readRemove(body)
    case 'txn':
      return readTxn(body)
    case 'commitInfo':
      return {
        kind,
        timestamp: wholeNumber(body['timestamp']) ?? 0,
        hakiri: body['hakiri'] ?? null,
      }
    default:
      return WITHOUT_MEANING.includes(kind) ? { kind: 'other' } : `${kind} is not a known action`
  }
}

function readProtocol(body: JsonObject): Action | string {
  const reader = wholeNumber(body['minReaderVersion'])
  if (reader === undefined) return 'protocol.minReaderVersion is missing'
  if (reader > READER_VERSION) return `it needs reader version ${reader}, this is ${READER_VERSION}`
  return { kind: 'protocol' }
}

function readMetadata(body: JsonObject): Action | string {
  const { id, schemaString } = body
  const partitionColumns = texts(body['partitionColumns'])
  const configuration = textMap(body['configuration'] ?? {})
  if (typeof id !== 'string') return 'metaData.id is missing'
  if (typeof schemaString !== 'string') return 'metaData.schemaString is missing'
  if (!partitionColumns) return 'metaData.partitionColumns is not a list of names'
  if (!configuration) return 'metaData.configuration is not a map of texts'
  return { kind: 'metaData', metadata: { id, schemaString, partitionColumns, configuration } }
}

function readAdd(body: JsonObject): Action | string {
  const path = decodePath(body['path'])
  const bytes = wholeNumber(body['size'])
  const partition = partitionMap(body['partitionValues'])
  const stats = body['stats'] ?? ''
  const tags = textMap(body['tags'] ?? {})
  if (path === undefined) return 'add.path is missing or not encoded as a URI'
  if (bytes === undefined) return 'add.size is missing'
  if (!partition) return 'add.partitionValues is missing'
  if (typeof stats !== 'string') return 'add.stats is not a text'
  if (!tags) return 'add.tags is not a map of texts'
  if (body['deletionVector'] !== undefined && body['deletionVector'] !== null) {
    return 'it has a deletion vector, which needs a later reader version'
  }
  return { kind: 'add', file: { path, bytes, rows: rowsOf(stats), stats, partition, tags } }
}

function readRemove(body: JsonObject): Action | string {
  const path = decodePath(body['path'])
  if (path === undefined) return 'remove.path is missing or not encoded as a URI'
  return {
    kind: 'remove',
    path,
    removedAt: wholeNumber(body['deletionTimestamp']) ?? 0,
    bytes: wholeNumber(body['size']),
    partition: partitionMap(body['partitionValues']),
  }
}

function readTxn(body: JsonObject): Action | string {
  const { appId } = body
  const version = wholeNumber(body['version'])
  if (typeof appId !== 'string') return 'txn.appId is missing'
  if (version === undefined) return 'txn.version is missing'
  return { kind: 'txn', appId, version }
}

function rowsOf(stats: string): number | undefined {
  if (stats === '') return undefined
  try {
    const value = JSON.parse(stats) as Json
    return isObject(value) ? wholeNumber(value['numRecords']) : undefined
  } catch {
    return undefined
  }
}

function decodePath(value: Json | undefined): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}

/** Numbers of a checkpoint may arrive as text or bigint, so that none loses digits on the way. */
function wholeNumber(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && /^-?\d+$/.test(value)
      ? Number(value)
      : typeof value === 'bigint'
        ? Number(value)
        : value
  return Number.isSafeInteger(number) ? (number as number) : undefined
}

function texts(value: Json | undefined): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const found = value.filter((item): item is string => typeof item === 'string')
  return found.length === value.length ? found : undefined
}

function textMap(value: Json | undefined): { readonly [key: string]: string } | undefined {
  const isMap = isObject(value) && Object.values(value).every((item) => typeof item === 'string')
  return isMap ? (value as { readonly [key: string]: string }) : undefined
}

function partitionMap(value: Json | undefined): AddedFile['partition'] | undefined {
  const isMap =
    isObject(value) &&
    Object.values(value).every((item) => item === null || typeof item === 'string')
  return isMap ? (value as AddedFile['partition']) : undefined
}

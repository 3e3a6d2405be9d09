/**
 * Where a data file lies below its table's folder. Folders are Hive's (`country=a%2Fb`), for readers
 * such as Polars take a partition's value from there and not from the log; so a value is given back by
 * decoding its folder once. A log URI-encodes the whole path once more; the catalog holds it as it is.
 *
 * Invariant: a path is made of [A-Za-z0-9._=/-] and whole %XX alone, no folder's name is longer than a
 * file system takes, and all of them together leave room in an object key for table and file.
 */
import { shortHash } from './hash.ts'

export type DataFileName = {
  readonly partition: { readonly [column: string]: string | null }
  readonly runId: number
  readonly shard: string
  readonly seq: number
  readonly index: number
  /** What makes the name one that never repeats; the rest is for people. */
  readonly uuid: string
}

/** Longest name that common file systems take. */
export const FOLDER_LENGTH_MAX = 255
/** All partition folders of a path: 900 for a key less the longest table folder and file name. */
export const FOLDERS_LENGTH_MAX = 460

/** What stands for null in a folder; a text that reads the same is null to whoever reads folders. */
const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'
const HASH_LENGTH = 9
/** A value that has to make room for others. */
const SHORT_VALUE_LENGTH = 40

/** "created_at_day=2024-05-01/run12-public.orders-s7-0-<uuid>.parquet", relative to the table's folder. */
export function dataFilePath(file: DataFileName): string {
  const parts = [
    `run${file.runId}`,
    plainText(file.shard, 48),
    `s${file.seq}`,
    file.index,
    plainText(file.uuid, 64),
  ]
  return [...partitionFolders(file.partition), `${parts.join('-')}.parquet`].join('/')
}

/** False for the log and whatever else lies beside the data; `_id=7/…` is data all the same. */
export function isDataPath(path: string): boolean {
  return !/^_[^/=]*(\/|$)/.test(path)
}

/** The longest values are cut first, and only as many as it takes. */
function partitionFolders(partition: DataFileName['partition']): readonly string[] {
  const entries = Object.entries(partition)
  const folders = entries.map(([column, value]) => folder(column, value, FOLDER_LENGTH_MAX))
  const longestFirst = [...folders.keys()].toSorted(
    (a, b) => folders[b]!.length - folders[a]!.length,
  )
  for (const index of longestFirst) {
    if (folders.join('/').length <= FOLDERS_LENGTH_MAX) break
    const [column, value] = entries[index]!
    folders[index] = folder(column, value, column.length + 1 + SHORT_VALUE_LENGTH)
  }
  return folders
}

function folder(column: string, value: string | null, lengthMax: number): string {
  if (value === null) return `${column}=${HIVE_NULL}`
  const whole = `${column}=${encodeValue(value)}`
  if (whole.length <= lengthMax) return whole
  const room = lengthMax - column.length - 1 - HASH_LENGTH
  return `${column}=${beginning(value, room)}-${shortHash(value)}`
}

/** As many whole characters as fit, so that what is left still decodes. */
function beginning(value: string, lengthMax: number): string {
  let text = ''
  for (const character of value) {
    const encoded = encodeValue(character)
    if (text.length + encoded.length > lengthMax) break
    text += encoded
  }
  return text
}

/** Percent-encoded UTF-8 but for [A-Za-z0-9._-]. */
function encodeValue(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** For people: other characters become `_` and their UTF-8 bytes in hex. */
function plainText(text: string, lengthMax: number): string {
  const plain = encodeURIComponent(text.toWellFormed()).replace(/%|[!'()*~]/g, '_')
  if (plain.length <= lengthMax) return plain
  return `${plain.slice(0, lengthMax - HASH_LENGTH)}-${shortHash(text)}`
}

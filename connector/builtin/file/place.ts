/**
 * What the file connector keeps between runs: the cursor of a pass (which file, how far), and for each
 * file that was read its version, length and checksum, so that later runs know whether it is new,
 * done, grown or changed.
 */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'

/** How far a file was read. */
export type Progress = {
  /** Size of the file and its version when it was read. */
  readonly bytes: number
  readonly version: string
  /** Unpacked bytes that are dealt with; for Parquet, rows. */
  readonly offset: number
  readonly rows: number
  /** CRC-32 of those bytes; for Parquet, of the file's last bytes. */
  readonly checksum: number
  /** The file ended in a row that looked unfinished and was left for later. */
  readonly unfinished: boolean
}

export type Place =
  | { readonly kind: 'start' }
  | { readonly kind: 'within'; readonly file: string; readonly progress: Progress }
  /** Files up to this name are done in this pass. */
  | { readonly kind: 'behind'; readonly file: string }
  | { readonly kind: 'end' }

export function writeWithin(file: string, progress: Progress): Json {
  const { bytes, version, offset, rows, checksum } = progress
  return { file, bytes, version, offset, rows, checksum }
}

export function writeBehind(file: string): Json {
  return { file, done: true }
}

export const END: Json = { end: true }

export function readPlace(cursor: Json): Place {
  if (cursor === null) return { kind: 'start' }
  if (typeof cursor !== 'object' || Array.isArray(cursor)) throw invalid()
  const { end, file, done, ...rest } = cursor as { readonly [key: string]: Json }
  if (end === true) return { kind: 'end' }
  if (typeof file !== 'string') throw invalid()
  if (done === true) return { kind: 'behind', file }
  const progress = toProgress(
    rest['bytes'],
    rest['version'],
    rest['offset'],
    rest['rows'],
    rest['checksum'],
    false,
  )
  if (!progress) throw invalid()
  return { kind: 'within', file, progress }
}

export function stateKey(file: string): string {
  return `file:${file}`
}

/** Short, since a shard may remember very many files. */
export function writeState(progress: Progress): Json {
  const { bytes, version, offset, rows, checksum, unfinished } = progress
  return [bytes, version, offset, rows, checksum, ...(unfinished ? [true] : [])]
}

/** Undefined for anything that `writeState` did not write: the file is then new. */
export function readState(json: Json | undefined): Progress | undefined {
  if (!Array.isArray(json)) return undefined
  const [bytes, version, offset, rows, checksum, unfinished] = json as readonly Json[]
  return toProgress(bytes, version, offset, rows, checksum, unfinished === true)
}

function toProgress(
  bytes: Json | undefined,
  version: Json | undefined,
  offset: Json | undefined,
  rows: Json | undefined,
  checksum: Json | undefined,
  unfinished: boolean,
): Progress | undefined {
  const isCount = (value: Json | undefined): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
  if (!isCount(bytes) || !isCount(offset) || !isCount(rows) || !isCount(checksum)) return undefined
  if (typeof version !== 'string') return undefined
  return { bytes, version, offset, rows, checksum, unfinished }
}

function invalid(): HakiriError {
  return new HakiriError('STATE_INVALID', 'the cursor is not one that the file connector wrote', {
    suggestion: 'Set it back with `hakiri state reset`; the next run reads from the beginning.',
  })
}

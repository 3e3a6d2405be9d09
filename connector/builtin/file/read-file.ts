/** Reads one file, of any format, from where it was left. */
import { crc32 } from 'node:zlib'
import { HakiriError } from '../../../lib/error.ts'
import type { SourceColumn } from '../../../lib/column.ts'
import type { Json } from '../../../lib/json.ts'
import type { ConnectorContext, SourceEvent } from '../../connector.ts'
import { skipSpace } from '../../json-grammar.ts'
import { kindOf, PARQUET_BYTES, ROW_BYTES, type FileConfig, type FileKind } from './config.ts'
import { openContent, withHead, type Content } from './content.ts'
import { createCsvSplitter, dialectOf, readHead, SAMPLE_BYTES } from './csv.ts'
import { createJsonSplitter } from './json.ts'
import type { FileEntry } from './locate.ts'
import { createNdjsonSplitter } from './ndjson.ts'
import { openParquet, readParquet } from './parquet.ts'
import { writeWithin, type Progress } from './place.ts'
import { readText, type Reached } from './read-text.ts'
import type { Splitter } from './split.ts'

/** A file that was written to this recently may have an unfinished last row. */
const SETTLE_MS = 60_000
const NEWLINE = 0x0a
/** Read before the rows of a file without a header, for its byte order mark. */
const HEAD_BYTES = 64 << 10

export type ReadJob = {
  readonly config: FileConfig
  readonly context: ConnectorContext
  readonly entry: FileEntry
  /** Undefined: from the start. */
  readonly left: Progress | undefined
  /** Columns that were announced last in this pass. */
  readonly announced: readonly SourceColumn[] | undefined
}

/** What the end of a file leaves behind. */
export type ReadEnd = {
  readonly progress: Progress
  readonly announced: readonly SourceColumn[] | undefined
}

type Events = AsyncGenerator<SourceEvent, ReadEnd, undefined>

const START: Reached = { offset: 0, rows: 0, checksum: 0 }

/** Events of the rows behind `left`; returns how far the file was read. */
export async function* readFile(job: ReadJob): Events {
  const kind = kindOf(job.entry.name, job.config)
  return kind.format === 'parquet' ? yield* readParquetFile(job) : yield* readTextFile(job, kind)
}

async function* readParquetFile({ config, context, entry, left, announced }: ReadJob): Events {
  const file = await openParquet(entry, context.signal)
  try {
    const at = (reached: Reached): Progress => ({ ...file, ...reached, unfinished: false })
    const reached = yield* readParquet(
      file,
      left ?? START,
      config.parquetBytesMax ?? PARQUET_BYTES,
      (place) => writeWithin(entry.name, at(place)),
    )
    return { progress: at({ ...reached, checksum: file.fingerprint }), announced }
  } finally {
    await file.use.drop()
  }
}

async function* readTextFile(job: ReadJob, kind: FileKind): Events {
  const { config, context, entry, left } = job
  // Only here are the columns of what was read before found again.
  const known = left && kind.format === 'csv' ? await findColumns(job, kind) : undefined
  await using content = await openContent(
    entry,
    kind.compression,
    left?.offset ?? 0,
    context.signal,
  )
  const head = left ? undefined : await readHeadBytes(content, kind)
  const start = head && startOf(job, kind, head)
  const found = start?.columns ?? known
  const same = JSON.stringify(found) === JSON.stringify(job.announced)
  const announced = same ? job.announced : (found ?? job.announced)
  if (found && !same) yield { kind: 'schema', columns: found }
  const from = left ?? start?.reached ?? START
  const at = (reached: Reached, unfinished: boolean): Progress => {
    const { offset, rows, checksum } = reached
    return { bytes: content.bytes, version: content.version, offset, rows, checksum, unfinished }
  }
  const splitter = makeSplitter(job, kind, found)
  const rest = head ? withHead(content, head.subarray(from.offset)) : content
  const { unfinished, ...reached } = yield* readText(rest, splitter, from, {
    chunkBytesMax: context.chunkBytesMax,
    rowBytesMax: config.rowBytesMax ?? ROW_BYTES,
    fresh: isFresh(entry, context),
    cursorAt: (reached): Json => writeWithin(entry.name, at(reached, false)),
  })
  await content.confirm()
  return { progress: at(reached, unfinished), announced }
}

/** True while the last row of the file may still be growing. */
export function isFresh({ modifiedAtMs }: FileEntry, { clock }: ConnectorContext): boolean {
  return modifiedAtMs !== undefined && clock.now() - modifiedAtMs < SETTLE_MS
}

function makeSplitter(
  { config, context, entry, left }: ReadJob,
  kind: FileKind,
  columns: readonly SourceColumn[] | undefined,
): Splitter {
  const { chunkBytesMax } = context
  switch (kind.format) {
    case 'csv':
      return createCsvSplitter(
        columns?.length ?? 0,
        dialectOf(config.csv, kind.tabs),
        chunkBytesMax,
      )
    case 'ndjson':
      return createNdjsonSplitter(chunkBytesMax)
    case 'json':
      return createJsonSplitter(entry.name, config.records, chunkBytesMax, left !== undefined)
    case 'parquet':
      throw new HakiriError('SOURCE_FATAL', `${entry.name} is no text file`)
  }
}

type TextStart = {
  readonly reached: Reached
  readonly columns: readonly SourceColumn[] | undefined
}

/** Where the rows start: behind a byte order mark and a CSV header. */
function startOf({ config, entry }: ReadJob, kind: FileKind, head: Buffer): TextStart {
  const markBytes = byteOrderMark(head, entry)
  const behind = (offset: number): Reached => ({
    offset,
    rows: 0,
    checksum: crc32(head.subarray(0, offset)),
  })
  if (kind.format !== 'csv') return { reached: behind(markBytes), columns: undefined }
  const dialect = dialectOf(config.csv, kind.tabs)
  const text = head.subarray(markBytes)
  const whole = head.length < SAMPLE_BYTES
  const found = readHead(text, whole, dialect, config.csv, config.types ?? {}, entry.name)
  return { reached: behind(markBytes + (found?.start ?? 0)), columns: found?.columns }
}

async function findColumns(
  job: ReadJob,
  kind: FileKind,
): Promise<readonly SourceColumn[] | undefined> {
  await using content = await openContent(job.entry, kind.compression, 0, job.context.signal)
  return startOf(job, kind, await readHeadBytes(content, kind)).columns
}

/** The first bytes of a file, all of a small one: what is read at once need not be asked for again. */
async function readHeadBytes(content: Content, { format }: FileKind): Promise<Buffer> {
  const wanted = format === 'csv' ? SAMPLE_BYTES : HEAD_BYTES
  const head = Buffer.allocUnsafeSlow(Math.min(wanted, content.left()))
  let end = 0
  for (let read = -1; read !== 0 && end < head.length; end += read)
    read = await content.read(head, end)
  return head.subarray(0, end)
}

function byteOrderMark(sample: Buffer, { name }: FileEntry): number {
  const [a, b, c] = sample
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) {
    throw new HakiriError('SOURCE_DATA', `${name} is UTF-16, not UTF-8`, {
      suggestion: 'Convert it: iconv -f UTF-16 -t UTF-8.',
    })
  }
  return a === 0xef && b === 0xbb && c === 0xbf ? 3 : 0
}

/** What became of a file since it was read up to `left`. */
export type Since =
  { readonly kind: 'same' | 'grown' } | { readonly kind: 'changed'; readonly how: string }

/** Reads again what was read then, and compares checksums. `finished`: it was read to its end. */
export async function compareFile(
  { config, context, entry }: Pick<ReadJob, 'config' | 'context' | 'entry'>,
  left: Progress,
  finished: boolean,
): Promise<Since> {
  if (entry.version === left.version && entry.bytes === left.bytes) return { kind: 'same' }
  const kind = kindOf(entry.name, config)
  if (kind.format === 'parquet') return compareParquet(entry, left, context.signal)
  if (kind.compression === 'none' && entry.bytes < left.offset)
    return { kind: 'changed', how: `shrank from ${left.offset} to ${entry.bytes} bytes` }
  await using content = await openContent(entry, kind.compression, 0, context.signal)
  const buffer = Buffer.allocUnsafeSlow(1 << 20)
  let [done, checksum, last] = [0, 0, NEWLINE]
  while (done < left.offset) {
    const room = buffer.subarray(0, Math.min(buffer.length, left.offset - done))
    const read = await content.read(room, 0)
    if (read === 0) return { kind: 'changed', how: `shrank to ${done} bytes` }
    checksum = crc32(room.subarray(0, read), checksum)
    last = room[read - 1]!
    done += read
  }
  if (checksum !== left.checksum) return { kind: 'changed', how: 'was changed' }
  const more = buffer.subarray(0, await content.read(buffer, 0))
  return kind.format === 'json' && finished ? behindJson(more) : continuation(more, last, left)
}

/** A document has nothing behind it but space. */
function behindJson(more: Buffer): Since {
  const isSpace = skipSpace(more, 0, more.length) === more.length
  return isSpace ? { kind: 'same' } : { kind: 'changed', how: 'got more text behind its end' }
}

/** A last row without a line break is complete only if a line break is what comes next. */
function continuation(more: Buffer, last: number, left: Progress): Since {
  if (more.length === 0) return { kind: 'same' }
  const isBreak = more[0] === NEWLINE || (more[0] === 0x0d && more[1] === NEWLINE)
  if (last === NEWLINE || left.offset === 0 || isBreak) return { kind: 'grown' }
  return { kind: 'changed', how: 'got more text in what was its last row' }
}

async function compareParquet(
  entry: FileEntry,
  left: Progress,
  signal: AbortSignal,
): Promise<Since> {
  const file = await openParquet(entry, signal)
  await file.use.drop()
  const isSame = file.bytes === left.bytes && file.fingerprint === left.checksum
  return isSame ? { kind: 'same' } : { kind: 'changed', how: 'was replaced' }
}

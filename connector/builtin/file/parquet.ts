/**
 * Parquet files are handed on as parts of a local file. Objects are fetched to a temporary file first,
 * which goes when the host has released its last part.
 */
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import type { SourceEvent } from '../../connector.ts'
import { openContent } from './content.ts'
import { fileError, type FileEntry } from './locate.ts'
import { footerLength, readFooter, TRAILER_BYTES, type ParquetFooter } from './parquet-footer.ts'
import type { Reached } from './read-text.ts'

/** The last bytes of a file hold its footer, which names the place and size of everything else. */
const FINGERPRINT_BYTES = 64 << 10
const FOOTER_BYTES_MAX = 256 << 20
const COPY_BYTES = 1 << 20

export type LocalParquet = {
  readonly path: string
  readonly footer: ParquetFooter
  readonly fingerprint: number
  readonly bytes: number
  readonly version: string
  readonly use: Use
}

/** Counts who needs the local file. */
type Use = { add(): void; drop(): Promise<void> }

/** Makes the file readable by path. The caller holds one use of it. */
export async function openParquet(entry: FileEntry, signal: AbortSignal): Promise<LocalParquet> {
  const { origin, name, bytes, version } = entry
  const fetched = origin.kind === 'local' ? undefined : await fetchFile(entry, signal)
  const use = countUses(fetched?.remove)
  const path = origin.kind === 'local' ? origin.path : (fetched?.path ?? '')
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    const tail = await readAt(handle, Math.max(0, bytes - FINGERPRINT_BYTES), bytes)
    const footer = await footerOf(handle, tail, bytes, name)
    return { path, footer, fingerprint: crc32(tail), bytes, version, use }
  } catch (error) {
    await use.drop()
    throw fileError(error, name)
  } finally {
    await handle?.close()
  }
}

function countUses(remove: (() => Promise<void>) | undefined): Use {
  let uses = 1
  return {
    add: () => void uses++,
    drop: async () => {
      if (--uses === 0) await remove?.()
    },
  }
}

async function footerOf(
  handle: FileHandle,
  tail: Buffer,
  bytes: number,
  name: string,
): Promise<ParquetFooter> {
  const length = footerLength(tail)
  const start = bytes - TRAILER_BYTES - (length ?? 0)
  if (length === undefined || start < 0 || length > FOOTER_BYTES_MAX) throw notParquet(name)
  const footer = readFooter(await readAt(handle, start, bytes - TRAILER_BYTES))
  if (!footer || !Number.isSafeInteger(footer.rows)) throw notParquet(name)
  return footer
}

async function readAt(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const into = Buffer.alloc(end - start)
  const { bytesRead } = await handle.read(into, 0, into.length, start)
  return into.subarray(0, bytesRead)
}

function notParquet(name: string): HakiriError {
  return new HakiriError('SOURCE_DATA', `${name} is not a complete Parquet file`, {
    suggestion: 'Check that the file is complete and not encrypted.',
  })
}

async function fetchFile(
  entry: FileEntry,
  signal: AbortSignal,
): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-parquet-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  const path = join(folder, 'part.parquet')
  try {
    const handle = await open(path, 'w')
    try {
      await using content = await openContent(entry, 'none', 0, signal)
      const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
      for (let read = 0; (read = await content.read(buffer, 0)) > 0;) {
        for (let done = 0; done < read;)
          done += (await handle.write(buffer, done, read - done)).bytesWritten
      }
      await content.confirm()
    } finally {
      await handle.close()
    }
    return { path, remove }
  } catch (error) {
    await remove()
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
      throw new HakiriError('DISK_FULL', `no space left to fetch ${entry.name} to ${folder}`, {
        cause: error,
      })
    }
    throw error
  }
}

/** Rows from `start` on, in parts of about `bytesMax` bytes (before compression). */
export async function* readParquet(
  file: LocalParquet,
  start: Reached,
  bytesMax: number,
  cursorAt: (reached: Reached) => Json,
): AsyncGenerator<SourceEvent, Reached, undefined> {
  let reached = { ...start, checksum: file.fingerprint }
  for (const part of partsOf(file.footer, bytesMax)) {
    const skipped = Math.max(0, reached.offset - part.from)
    if (skipped >= part.rows) continue
    const [from, rows] = [part.from + skipped, part.rows - skipped]
    reached = { ...reached, offset: from + rows, rows: from + rows }
    file.use.add()
    let held = true
    const release = async (): Promise<void> => {
      if (held) await file.use.drop()
      held = false
    }
    const bytes = Math.ceil((part.bytes * rows) / part.rows)
    yield {
      kind: 'parquet',
      path: file.path,
      from,
      rows,
      bytes,
      cursor: cursorAt(reached),
      release,
    }
  }
  return reached
}

type Part = { readonly from: number; readonly rows: number; readonly bytes: number }

/** Whole row groups where they are small, pieces of them where they are large. */
export function* partsOf(footer: ParquetFooter, bytesMax: number): Generator<Part> {
  let part: Part = { from: 0, rows: 0, bytes: 0 }
  for (const group of footer.groups) {
    // Nothing of it is read, whatever it weighs.
    if (group.rows === 0) continue
    if (part.rows > 0 && part.bytes + group.bytes > bytesMax) {
      yield part
      part = { from: part.from + part.rows, rows: 0, bytes: 0 }
    }
    const pieces = Math.min(Math.max(1, Math.ceil(group.bytes / bytesMax)), group.rows)
    for (let piece = 0; piece < pieces - 1; piece++) {
      const rows = Math.floor(group.rows / pieces)
      const bytes = Math.floor(group.bytes / pieces)
      yield { from: part.from, rows, bytes }
      part = { from: part.from + rows, rows: 0, bytes: 0 }
    }
    const rest = group.rows - Math.floor(group.rows / pieces) * (pieces - 1)
    const bytes = group.bytes - Math.floor(group.bytes / pieces) * (pieces - 1)
    part = { ...part, rows: part.rows + rest, bytes: part.bytes + bytes }
  }
  if (part.rows > 0) yield part
}

/**
 * The bytes of one file from an offset on, unpacked where it is packed. Reads the file as it was when
 * it was opened: growth is left for later, a file that shrinks or is rewritten meanwhile is an error
 * and never an early end.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { HakiriError } from '../../../lib/error.ts'
import type { Compression } from './config.ts'
import { fileError, localVersion, type FileEntry } from './locate.ts'

/** Bytes that are fetched from a bucket at once. */
const OBJECT_WINDOW = 8 << 20
/** Bytes that an unpacker is fed at once. */
const PACKED_WINDOW = 256 << 10

export type Content = AsyncDisposable & {
  /** Size of the file (packed, if it is) as far as this content reads it. */
  readonly bytes: number
  readonly version: string
  /** Fills `into` from `at` on; 0 at the end. */
  read(into: Buffer, at: number): Promise<number>
  /** Bytes that are still to come, at the most; Infinity for a packed file. */
  left(): number
  /** Goes on to where the file ends now. False when it did not grow. */
  grow(): Promise<boolean>
  /** Throws SOURCE_CHANGED when what was read is not what the file holds. */
  confirm(): Promise<void>
}

/** The raw bytes of a file, wherever it lies. */
type Raw = AsyncDisposable & {
  bytes: number
  version: string
  read(into: Buffer, at: number, position: number): Promise<number>
  current(): Promise<Pick<FileEntry, 'bytes' | 'version'> | undefined>
}

/** `from` counts unpacked bytes. Throws SOURCE_CHANGED when the file is shorter than that. */
export async function openContent(
  entry: FileEntry,
  compression: Compression,
  from: number,
  signal: AbortSignal,
): Promise<Content> {
  signal.throwIfAborted()
  const raw = entry.origin.kind === 'local' ? await openLocal(entry) : openObject(entry)
  try {
    const reader =
      compression === 'none' ? plainReader(raw, entry, from) : packedReader(raw, entry, compression)
    if (compression !== 'none') await skip(reader, from, entry, signal)
    return {
      get bytes() {
        return raw.bytes
      },
      get version() {
        return raw.version
      },
      async read(into, at) {
        signal.throwIfAborted()
        return reader.read(into, at)
      },
      left: () => reader.left(),
      async grow() {
        const now = compression === 'none' ? await raw.current() : undefined
        if (!now || now.bytes <= raw.bytes) return false
        raw.bytes = now.bytes
        raw.version = now.version
        return true
      },
      confirm: () => confirm(raw, entry),
      [Symbol.asyncDispose]: async () => {
        reader.close()
        await raw[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await raw[Symbol.asyncDispose]()
    throw error
  }
}

/** The same content, of which `head` was read already: it comes first. */
export function withHead(content: Content, head: Buffer): Pick<Content, 'read' | 'left' | 'grow'> {
  let rest = head
  return {
    async read(into, at) {
      if (rest.length === 0) return content.read(into, at)
      const bytes = rest.copy(into, at)
      rest = rest.subarray(bytes)
      return bytes
    },
    left: () => rest.length + content.left(),
    grow: () => content.grow(),
  }
}

async function confirm(raw: Raw, entry: FileEntry): Promise<void> {
  const now = await raw.current()
  if (!now) throw changed(entry, 'was removed')
  if (now.bytes < raw.bytes) throw changed(entry, `shrank from ${raw.bytes} to ${now.bytes} bytes`)
  if (now.bytes === raw.bytes && now.version !== raw.version) throw changed(entry, 'was rewritten')
}

export function changed(entry: FileEntry, what: string): HakiriError {
  return new HakiriError('SOURCE_CHANGED', `${entry.name} ${what} while it was read`, {
    suggestion: 'Write files under another name and move them into place when they are complete.',
  })
}

// ── Where bytes lie ───────────────────────────────────────────────────────────────────────────────

async function openLocal(entry: FileEntry): Promise<Raw> {
  const { origin, name } = entry
  if (origin.kind !== 'local') throw new HakiriError('SOURCE_FATAL', `${name} is not a local file`)
  let handle: FileHandle | undefined
  try {
    handle = await open(origin.path, 'r')
    const file = handle
    const { bytes, version } = localVersion(await file.stat({ bigint: true }))
    return {
      bytes,
      version,
      read: async (into, at, position) =>
        (await file.read(into, at, into.length - at, position)).bytesRead,
      // By handle: a file that was replaced by another of its name is read to its end.
      current: async () => localVersion(await file.stat({ bigint: true })),
      [Symbol.asyncDispose]: () => file.close(),
    }
  } catch (error) {
    await handle?.close()
    throw fileError(error, name)
  }
}

function openObject(entry: FileEntry): Raw {
  const { origin, name } = entry
  if (origin.kind !== 'bucket') throw new HakiriError('SOURCE_FATAL', `${name} is not an object`)
  const { bucket, key } = origin
  type Window = { readonly start: number; readonly body: Promise<Uint8Array> }
  let window: Window | undefined
  let ahead: Window | undefined
  const fetch = (start: number, bytes: number): Window => {
    const body = bucket.read(key, start, Math.min(start + OBJECT_WINDOW, bytes))
    // It is awaited when its turn comes, or never.
    body.catch(() => undefined)
    return { start, body }
  }
  return {
    bytes: entry.bytes,
    version: entry.version,
    async read(into, at, position) {
      const isWithin = (w: Window | undefined): boolean =>
        w !== undefined && position >= w.start && position < w.start + OBJECT_WINDOW
      if (!isWithin(window)) {
        window = isWithin(ahead) ? ahead : fetch(position, entry.bytes)
        const next = window!.start + OBJECT_WINDOW
        ahead = next < entry.bytes ? fetch(next, entry.bytes) : undefined
      }
      const { start, body } = window!
      const part = (await body).subarray(position - start)
      const length = Math.min(part.length, into.length - at)
      into.set(part.subarray(0, length), at)
      return length
    },
    async current() {
      for await (const object of bucket.list(key))
        if (object.key === key) return { bytes: object.bytes, version: object.etag }
      return undefined
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([window?.body, ahead?.body])
    },
  }
}

// ── How bytes come ────────────────────────────────────────────────────────────────────────────────

type Reader = {
  read(into: Buffer, at: number): Promise<number>
  left(): number
  close(): void
}

function plainReader(raw: Raw, entry: FileEntry, from: number): Reader {
  if (from > raw.bytes) throw changed(entry, `shrank to ${raw.bytes} bytes`)
  let position = from
  return {
    async read(into, at) {
      const room = Math.min(into.length - at, raw.bytes - position)
      if (room <= 0) return 0
      const bytes = await raw
        .read(into.subarray(0, at + room), at, position)
        .catch((error: unknown) => {
          throw fileError(error, entry.name)
        })
      if (bytes === 0) throw changed(entry, `shrank to ${position} bytes`)
      position += bytes
      return bytes
    },
    left: () => raw.bytes - position,
    close: () => undefined,
  }
}

function packedReader(raw: Raw, entry: FileEntry, compression: Compression): Reader {
  const plain = plainReader(raw, entry, 0)
  async function* parts(): AsyncGenerator<Buffer> {
    for (;;) {
      const part = Buffer.allocUnsafeSlow(PACKED_WINDOW)
      const bytes = await plain.read(part, 0)
      if (bytes === 0) return
      yield part.subarray(0, bytes)
    }
  }
  const source = Readable.from(parts(), { objectMode: false })
  const options = { chunkSize: PACKED_WINDOW }
  const unpacker = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
  source.on('error', (error) => unpacker.destroy(error))
  // Whoever reads the chunks gets the error; an error after the last reader has gone is nobody's.
  unpacker.on('error', () => undefined)
  source.pipe(unpacker)
  const chunks = unpacker[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let chunk: Buffer | undefined
  return {
    async read(into, at) {
      try {
        while (chunk === undefined || chunk.length === 0) {
          const next = await chunks.next()
          if (next.done) return 0
          chunk = next.value
        }
      } catch (error) {
        throw damaged(error, entry)
      }
      const bytes = chunk.copy(into, at)
      chunk = chunk.subarray(bytes)
      return bytes
    },
    left: () => Infinity,
    close() {
      source.destroy()
      unpacker.destroy()
    },
  }
}

function damaged(error: unknown, entry: FileEntry): HakiriError {
  if (error instanceof HakiriError) return error
  const { message } = error as Error
  return new HakiriError('SOURCE_DATA', `${entry.name} cannot be unpacked: ${message}`, {
    cause: error,
    suggestion: 'Check that the file is complete.',
  })
}

async function skip(
  reader: Reader,
  bytes: number,
  entry: FileEntry,
  signal: AbortSignal,
): Promise<void> {
  const scratch = Buffer.allocUnsafeSlow(Math.min(bytes, PACKED_WINDOW))
  for (let left = bytes; left > 0;) {
    signal.throwIfAborted()
    const read = await reader.read(scratch.subarray(0, Math.min(left, scratch.length)), 0)
    if (read === 0) throw changed(entry, `shrank to ${bytes - left} unpacked bytes`)
    left -= read
  }
}

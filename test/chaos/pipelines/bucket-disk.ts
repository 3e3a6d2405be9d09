/**
 * Objects of the S3 server on disk, so that they outlive its process and an audit needs no server: one
 * file a body, and a journal of every write and deletion in order, which is also the history of each key.
 * A body is there before the journal names it, and stays, so that an audit may take its time.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TableSource } from '../../support/delta-reader.ts'
import type { StubBucket, StubObject } from '../../support/s3-stub-objects.ts'

export type JournalEntry =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly etag: string
      readonly bytes: number
      readonly modifiedAt: number
      /** Name of the file with the body. */
      readonly file: string
    }
  | { readonly kind: 'delete'; readonly key: string }

/** A bucket as its folder holds it, and which keeps there what is written to it. */
export function openDiskBucket(folder: string): StubBucket {
  mkdirSync(join(folder, 'bodies'), { recursive: true })
  const journal = join(folder, 'journal')
  const objects = new Map<string, StubObject>()
  const entries = readJournal(folder)
  for (const entry of entries) {
    if (entry.kind === 'put') objects.set(entry.key, onDisk(folder, entry))
    else objects.delete(entry.key)
  }
  let count = entries.length
  const write = (entry: JournalEntry): void => {
    appendFileSync(journal, `${JSON.stringify(entry)}\n`)
    count++
  }
  return {
    objects,
    uploads: new Map(),
    sorted: undefined,
    keeper: {
      keep(key, { body, bytes, etag, modifiedAt }) {
        const file = String(count)
        const entry: JournalEntry = { kind: 'put', key, etag, bytes, modifiedAt, file }
        writeFileSync(bodyPath(folder, file), body)
        write(entry)
        return onDisk(folder, entry)
      },
      drop: (key) => write({ kind: 'delete', key }),
    },
  }
}

/** Everything that was ever written to the bucket; a torn last line is a write that did not happen. */
export function readJournal(folder: string): readonly JournalEntry[] {
  const text = textIfThere(join(folder, 'journal'))
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JournalEntry)
}

/** A table in the bucket, as its folder holds it now; the server may be gone. */
export function diskSource(folder: string, prefix: string): TableSource {
  const { objects } = openDiskBucket(folder)
  return {
    get: (key) => Promise.resolve(objects.get(prefix + key)?.body),
    async *list(under) {
      for (const [key, object] of objects)
        if (key.startsWith(prefix + under))
          yield { key: key.slice(prefix.length), bytes: object.bytes }
    },
  }
}

function onDisk(folder: string, entry: Extract<JournalEntry, { kind: 'put' }>): StubObject {
  const { etag, bytes, modifiedAt, file } = entry
  return {
    etag,
    bytes,
    modifiedAt,
    get body() {
      return readFileSync(bodyPath(folder, file))
    },
  }
}

function bodyPath(folder: string, file: string): string {
  return join(folder, 'bodies', file)
}

function textIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

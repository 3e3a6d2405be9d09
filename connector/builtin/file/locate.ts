/**
 * Finds files: local ones by glob, those of a bucket by listing. Names are stable over machines that
 * see the same tree, since cursors hold them.
 */
import { glob, stat } from 'node:fs/promises'
import { isAbsolute, matchesGlob, resolve } from 'node:path'
import { HakiriError } from '../../../lib/error.ts'
import type { ConnectorContext, SourceBucket } from '../../connector.ts'

export type FileEntry = {
  /** As configured: relative to the base folder, absolute, or s3://bucket/key. */
  readonly name: string
  readonly bytes: number
  /** Changes when the file does: modification time or ETag. */
  readonly version: string
  /** Undefined for objects, which never change in place. */
  readonly modifiedAtMs: number | undefined
  readonly origin:
    | { readonly kind: 'local'; readonly path: string }
    | { readonly kind: 'bucket'; readonly bucket: SourceBucket; readonly key: string }
}

const MAGIC = /[*?[\]{}!()]/

/** All files that the patterns select, each once, in order of their names. */
export async function locateFiles(
  patterns: readonly string[],
  context: ConnectorContext,
): Promise<readonly FileEntry[]> {
  const found = new Map<string, FileEntry>()
  for (const pattern of patterns) {
    const entries = await locatePattern(pattern, context)
    for (const entry of entries) found.set(entry.name, entry)
    // A pattern may be there before its first file; a mistake in it looks the same.
    if (entries.length === 0) context.logger.log('warn', `${pattern}: no file matches`)
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The files of one pattern; a name without wildcards has to exist. */
export async function locatePattern(
  pattern: string,
  context: ConnectorContext,
): Promise<readonly FileEntry[]> {
  context.signal.throwIfAborted()
  if (isUrl(pattern)) return locateObjects(pattern, context)
  const name = pattern.replace(/^(\.\/+)+/, '')
  const literal = await localEntry(name, context)
  if (literal) return [literal]
  if (!MAGIC.test(name)) throw missing(name)
  const entries: FileEntry[] = []
  for await (const match of glob(name, { cwd: context.baseFolder })) {
    const entry = await localEntry(match.replaceAll('\\', '/'), context)
    if (entry) entries.push(entry)
  }
  return entries
}

/** The file of this name now; undefined when it is gone. */
export async function locateFile(
  name: string,
  context: ConnectorContext,
): Promise<FileEntry | undefined> {
  if (!isUrl(name)) return localEntry(name, context)
  return (await locateObjects(name, context)).find((entry) => entry.name === name)
}

export function isUrl(pattern: string): boolean {
  return /^[a-z][a-z0-9+]*:\/\//i.test(pattern)
}

async function localEntry(name: string, context: ConnectorContext): Promise<FileEntry | undefined> {
  const path = isAbsolute(name) ? name : resolve(context.baseFolder, name)
  try {
    const facts = await stat(path, { bigint: true })
    if (!facts.isFile()) return undefined
    return { name, ...localVersion(facts), origin: { kind: 'local', path } }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw fileError(error, name)
  }
}

type Facts = { readonly size: bigint; readonly mtimeNs: bigint; readonly mtimeMs: bigint }

/** The facts of a local file that identify its version. */
export function localVersion(facts: Facts): Pick<FileEntry, 'bytes' | 'version' | 'modifiedAtMs'> {
  return {
    bytes: Number(facts.size),
    version: facts.mtimeNs.toString(36),
    modifiedAtMs: Number(facts.mtimeMs),
  }
}

/** Lists from the last '/' before the first wildcard. */
async function locateObjects(
  pattern: string,
  context: ConnectorContext,
): Promise<readonly FileEntry[]> {
  const wildcard = pattern.search(MAGIC)
  const stop = pattern.lastIndexOf('/', wildcard < 0 ? pattern.length : wildcard)
  const [root, rest] = [pattern.slice(0, stop), pattern.slice(stop + 1)]
  if (/^[a-z0-9+]+:\/*$/i.test(root)) {
    throw new HakiriError('CONFIG_INVALID', `${pattern} names no file in a bucket`, {
      suggestion: 'Write it like s3://bucket/prefix/*.csv.',
    })
  }
  const bucket = await context.openBucket(root)
  const entries: FileEntry[] = []
  for await (const { key, bytes, etag } of bucket.list(wildcard < 0 ? rest : '')) {
    context.signal.throwIfAborted()
    if (key !== rest && !(wildcard >= 0 && matchesGlob(key, rest))) continue
    const origin = { kind: 'bucket', bucket, key } as const
    entries.push({ name: `${root}/${key}`, bytes, version: etag, modifiedAtMs: undefined, origin })
    if (wildcard < 0) break
  }
  if (wildcard < 0 && entries.length === 0) throw missing(pattern)
  return entries
}

function missing(name: string): HakiriError {
  return new HakiriError('SOURCE_FATAL', `there is no file ${name}`, {
    suggestion: 'Check paths of the source; relative ones start at the folder of hakiri.toml.',
  })
}

/** A failed file operation, with a code. */
export function fileError(error: unknown, name: string): HakiriError {
  if (error instanceof HakiriError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return missing(name)
  if (code === 'EACCES' || code === 'EPERM') {
    return new HakiriError('SOURCE_AUTH', `${name} may not be read`, {
      cause: error,
      suggestion: 'Give the user that runs Hakiri the right to read it.',
    })
  }
  return new HakiriError('SOURCE_UNREACHABLE', `${name}: ${message}`, { cause: error })
}

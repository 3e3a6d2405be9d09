/**
 * Native parts of an artifact: they have to be files for the loader, so they are unpacked once into a
 * private folder, under a name that follows from what they hold. Invariant: nothing is loaded whose bytes
 * are not those that the artifact brought; whoever unpacks at the same time ends with the same files.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { getAsset, getRawAsset } from 'node:sea'
import { HakiriError } from '../../lib/error.ts'

/** Asset `native.json`: the files of each add-on, the one to load first. */
export type NativeManifest = { readonly [addOn: string]: readonly NativeFile[] }

export type NativeFile = {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

const CHUNK_BYTES = 1 << 20

/** Loads an add-on, unpacking it when this is the first time or when its files are not what they were. */
export function loadNative(addOn: string): unknown {
  const files = (JSON.parse(getAsset('native.json', 'utf8')) as NativeManifest)[addOn]
  const [first] = files ?? []
  if (!files || !first) throw new Error(`this artifact has no ${addOn}`)
  const cache = resolve(cacheFolder(process.env))
  const folder = join(cache, `${addOn}-${first.sha256.slice(0, 16)}`)
  try {
    makePrivate(cache)
    makePrivate(folder)
    for (const file of files)
      unpack(join(folder, file.name), file, () => Buffer.from(getRawAsset(assetName(addOn, file))))
  } catch (error) {
    if (error instanceof HakiriError) throw error
    throw cannotUnpack(folder, error)
  }
  const loaded = { exports: {} as unknown }
  process.dlopen(loaded, join(folder, first.name))
  return loaded.exports
}

export function assetName(addOn: string, { name }: { readonly name: string }): string {
  return `native/${addOn}/${name}`
}

type Env = Readonly<Record<string, string | undefined>>

/** HAKIRI_CACHE, else the one that systemd made for the service, else the user's. */
export function cacheFolder(env: Env): string {
  if (env['HAKIRI_CACHE']) return join(env['HAKIRI_CACHE'], 'native')
  const [fromSystemd] = (env['CACHE_DIRECTORY'] ?? '').split(':')
  if (fromSystemd) return join(fromSystemd, 'native')
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'hakiri', 'native')
  return join(homedir(), '.cache', 'hakiri', 'native')
}

/** A folder that others could write into may hold anything a moment after it was checked. */
export function makePrivate(folder: string): void {
  makeFolders(folder)
  const { uid, mode } = lstatSync(folder)
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return
  throw new HakiriError(
    'ENGINE_UNAVAILABLE',
    `${folder} belongs to others, or others may write it`,
    {
      suggestion: 'Remove it, or name another folder with HAKIRI_CACHE.',
    },
  )
}

/** The runtime's own way to make parents too never ends below /proc. */
function makeFolders(folder: string): void {
  const parent = dirname(folder)
  if (parent !== folder && !existsSync(parent)) makeFolders(parent)
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Makes sure that the file at `path` holds what was packed. */
export function unpack(path: string, file: NativeFile, content: () => Buffer): void {
  if (isIntact(path, file)) return
  const temporary = `${path}.${process.pid}.part`
  try {
    const out = openSync(temporary, 'wx', 0o500)
    try {
      const bytes = content()
      for (let at = 0; at < bytes.length;) at += writeSync(out, bytes, at)
      fsyncSync(out)
    } finally {
      closeSync(out)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  if (!isIntact(path, file)) throw new Error(`${path} does not hold what was written`)
}

function isIntact(path: string, { bytes, sha256 }: NativeFile): boolean {
  let input: number
  try {
    if (lstatSync(path).size !== bytes) return false
    input = openSync(path, 'r')
  } catch {
    return false
  }
  try {
    return digest(input) === sha256
  } finally {
    closeSync(input)
  }
}

/** In small pieces: a whole library read at once would count as memory of this process. */
function digest(input: number): string {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  for (;;) {
    const read = readSync(input, chunk)
    if (read === 0) return hash.digest('hex')
    hash.update(chunk.subarray(0, read))
  }
}

function cannotUnpack(folder: string, error: unknown): HakiriError {
  const reason = error instanceof Error ? error.message : String(error)
  return new HakiriError(
    'ENGINE_UNAVAILABLE',
    `native parts cannot be unpacked into ${folder}: ${reason}`,
    {
      cause: error,
      suggestion:
        'Name a folder that this user can write, on a file system without noexec, with HAKIRI_CACHE.',
    },
  )
}

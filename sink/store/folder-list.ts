/**
 * Lists the files of a folder tree as keys in ascending order, one folder in memory at a time.
 *
 * Why the order is right: within one folder a sub-folder sorts as "name/", which is how all keys below
 * it begin, and no sibling's name holds a '/'. So "a-b" < "a.b" < "a/x", as in a flat key space.
 */
import { readdir, stat } from 'node:fs/promises'
import type { Dirent } from 'node:fs'
import { join } from 'node:path'
import { errno, folderError } from './folder-errors.ts'
import { checkPrefix, TEMPORARY_FOLDER } from './keys.ts'
import type { ObjectInfo } from './store.ts'

/** Files looked at together; bounds open requests to the file system. */
const STATS_AT_ONCE = 64

/** Files below `root` whose key starts with `prefix` and sorts after `startAfter`. */
export async function* listFolder(
  root: string,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectInfo> {
  checkPrefix(prefix)
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  yield* walk(root, base, prefix, startAfter)
}

/** `base` is '' or a folder key that ends with '/'. */
async function* walk(
  root: string,
  base: string,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectInfo> {
  const names = (await readNames(join(root, base)))
    .map((name) => base + name)
    .filter((name) => isWanted(name, prefix, startAfter))
  for (let from = 0; from < names.length; from += STATS_AT_ONCE) {
    const some = names.slice(from, from + STATS_AT_ONCE)
    const infos = await Promise.all(
      some.map(async (name) => (name.endsWith('/') ? undefined : fileInfo(root, name))),
    )
    for (const [index, name] of some.entries()) {
      const info = infos[index]
      if (name.endsWith('/')) yield* walk(root, name, prefix, startAfter)
      else if (info) yield info
    }
  }
}

function isWanted(name: string, prefix: string, startAfter: string): boolean {
  if (name === `${TEMPORARY_FOLDER}/`) return false
  if (!name.endsWith('/')) return name.startsWith(prefix) && name > startAfter
  const mayHoldPrefix = name.startsWith(prefix) || prefix.startsWith(name)
  return mayHoldPrefix && (name > startAfter || startAfter.startsWith(name))
}

/** Names in a folder, sorted, sub-folders with a trailing '/'. A folder that is gone is empty. */
async function readNames(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter(isListed).map(keyName).toSorted(byText)
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return []
    throw folderError(error, 'list', folder)
  }
}

const isListed = (entry: Dirent): boolean =>
  entry.isFile() || entry.isDirectory() || entry.isSymbolicLink()
const keyName = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name)
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Undefined when there is no such file (or it is a folder, or went away meanwhile). */
export async function fileInfo(root: string, key: string): Promise<ObjectInfo | undefined> {
  try {
    const facts = await stat(join(root, key), { bigint: true })
    if (!facts.isFile()) return undefined
    return {
      key,
      bytes: Number(facts.size),
      modifiedAt: Number(facts.mtimeMs),
      etag: `${facts.mtimeNs.toString(36)}-${facts.ino.toString(36)}-${facts.size.toString(36)}`,
    }
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return undefined
    throw folderError(error, 'look at', join(root, key))
  }
}

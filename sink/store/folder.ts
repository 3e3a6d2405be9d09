/**
 * The object store on a local folder (or a mounted share). Objects are plain files; a reader sees the
 * old object or the new one, and what `put` reported survives a power cut.
 */
import { constants } from 'node:fs'
import { open, readFile, rm, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { formatBytes } from '../../lib/units.ts'
import { errno, explained } from './folder-errors.ts'
import { fileInfo, listFolder } from './folder-list.ts'
import { createFolderWriter, removeStaleTemporaries } from './folder-write.ts'
import { checkReadKey, checkWriteKey } from './keys.ts'
import type { StoreDeps } from './store-deps.ts'
import type { ObjectStore, StoreProbe } from './store.ts'

/** Deletions under way together. */
const DELETES_AT_ONCE = 16

/** Opens the folder; it is made with the first write, so that reading never changes anything. */
export async function openFolderStore(path: string, deps: StoreDeps): Promise<ObjectStore> {
  const root = resolve(path)
  await removeStaleTemporaries(root, deps)
  const writer = createFolderWriter(root, deps)
  const at = (key: string): string => {
    checkReadKey(key)
    return join(root, key)
  }
  const atWritable = (key: string): string => {
    checkWriteKey(key)
    return join(root, key)
  }
  const store: ObjectStore = {
    url: root,
    localRoot: root,
    put: async (key, body, options) => {
      const target = atWritable(key)
      return explained('write', target, async () => {
        const staged = await writer.stage(body)
        if (options?.ifAbsent) return writer.create(staged, target)
        await writer.replace(staged, target).catch(async (error: unknown) => {
          await rm(staged, { force: true })
          throw error
        })
        return 'created'
      })
    },
    putFile: async (key, localPath) => {
      const target = atWritable(key)
      await explained(`move ${localPath} to`, target, () => writer.adopt(localPath, target))
    },
    get: async (key) => explained('read', at(key), () => readWhole(at(key))),
    read: async (key, start, end) =>
      explained('read', at(key), () => readPart(at(key), start, end)),
    materialise: async (key) => {
      // Opening it now gives the error here, with a path, and not inside a query engine.
      await explained('read', at(key), () => readPart(at(key), 0, 0))
      return at(key)
    },
    head: async (key) => {
      checkReadKey(key)
      return fileInfo(root, key)
    },
    list: (prefix, startAfter = '') => listFolder(root, prefix, startAfter),
    delete: async (keys) => removeAll(keys.map(atWritable)),
    probe: () => probeFolder(store, root, deps),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return store
}

async function readWhole(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isNoObject(error)) return undefined
    throw error
  }
}

const isNoObject = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errno(error) ?? '')

async function readPart(path: string, start: number, end: number): Promise<Uint8Array> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    const { size } = await handle.stat()
    const length = Math.max(0, Math.min(end, size) - start)
    const bytes = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await handle.read(bytes, filled, length - filled, start + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  } finally {
    await handle.close()
  }
}

async function removeAll(paths: readonly string[]): Promise<void> {
  for (let from = 0; from < paths.length; from += DELETES_AT_ONCE) {
    const some = paths.slice(from, from + DELETES_AT_ONCE)
    await Promise.all(some.map((path) => explained('delete', path, () => removeFile(path))))
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await rm(path)
  } catch (error) {
    // A folder of that name holds objects below it, but is none itself.
    const noFile = isNoObject(error) || errno(error) === 'ERR_FS_EISDIR'
    if (!noFile) throw error
  }
}

async function probeFolder(store: ObjectStore, root: string, deps: StoreDeps): Promise<StoreProbe> {
  const key = `_probe/${deps.random.uuid()}`
  try {
    await store.put(key, new Uint8Array([1]), { ifAbsent: true })
    const second = await store.put(key, new Uint8Array([2]), { ifAbsent: true })
    const { bavail, bsize } = await statfs(root)
    return {
      conditionalPut: second === 'exists' ? 'honoured' : 'ignored',
      notes: [
        `${root} is writable; ${formatBytes(bavail * bsize)} are free.`,
        'Files appear atomically and are synced to disk.',
      ],
    }
  } finally {
    await store.delete([key])
  }
}

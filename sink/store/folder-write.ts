/**
 * Durable, atomic writes into a folder tree.
 *
 * Invariant: a name appears only after its bytes are on disk, in one step (link or rename), and the
 * call resolves only after the name itself is on disk. Unfinished bytes stay under `_tmp/`.
 */
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFile, syncFolder } from '../../lib/system/fs.ts'
import { errno } from './folder-errors.ts'
import { TEMPORARY_FOLDER } from './keys.ts'
import type { StoreDeps } from './store-deps.ts'
import type { PutOutcome } from './store.ts'

/** Temporary files older than this belong to nobody any more. */
const TEMPORARY_MS_MAX = 24 * 3_600_000
/** Folders remembered as durable; beyond it the memory starts afresh. */
const FOLDERS_MAX = 10_000

export type FolderWriter = {
  /** Writes `body` under a temporary name, durably, and returns the path. */
  stage(body: Uint8Array): Promise<string>
  /** Gives the finished file its name, replacing what was there. */
  replace(finished: string, target: string): Promise<void>
  /** Gives the finished file its name unless the name is taken; `finished` is gone afterwards. */
  create(finished: string, target: string): Promise<PutOutcome>
  /** Brings a file from elsewhere: a rename on the same device, else a durable copy. */
  adopt(localPath: string, target: string): Promise<void>
}

export function createFolderWriter(root: string, deps: StoreDeps): FolderWriter {
  const folders = createFolders(root)
  /** Runs `step` in a folder that is there, also when someone has removed it since it was made. */
  const within = async (folder: string, step: () => Promise<void>): Promise<void> => {
    await folders.ensure(folder)
    await step().catch(async (error: unknown) => {
      if (errno(error) !== 'ENOENT') throw error
      folders.forget()
      await folders.ensure(folder)
      await step()
    })
  }
  const temporaries = join(root, TEMPORARY_FOLDER)
  const stage = async (write: (path: string) => Promise<void>): Promise<string> => {
    const path = join(temporaries, deps.random.uuid())
    await within(temporaries, () => write(path))
    return path
  }
  const place = async (target: string, step: () => Promise<void>): Promise<void> => {
    await within(dirname(target), step)
    await syncFolder(dirname(target))
  }
  const replace = async (finished: string, target: string): Promise<void> => {
    await place(target, () => rename(finished, target))
  }
  return {
    stage: (body) => stage((path) => writeNew(path, body)),
    replace,
    async create(finished, target) {
      try {
        await place(target, () => link(finished, target))
        return 'created'
      } catch (error) {
        if (errno(error) === 'EEXIST') return 'exists'
        if (!hasNoLinks(error)) throw error
        return await createWithoutLinks(finished, target, replace)
      } finally {
        await rm(finished, { force: true })
      }
    },
    async adopt(localPath, target) {
      await syncFile(localPath)
      try {
        await replace(localPath, target)
      } catch (error) {
        if (errno(error) !== 'EXDEV') throw error
        await replace(await stage((path) => copyDurably(localPath, path)), target)
        await rm(localPath, { force: true })
      }
    },
  }
}

async function writeNew(path: string, body: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await handle.writeFile(body)
    await handle.datasync()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

async function copyDurably(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to)
    await syncFile(to)
  } catch (error) {
    await rm(to, { force: true })
    throw error
  }
}

const hasNoLinks = (error: unknown): boolean =>
  ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errno(error) ?? '')

/** For file systems without hard links (exFAT, some shares): looks first, so a race can slip through. */
async function createWithoutLinks(
  finished: string,
  target: string,
  replace: (finished: string, target: string) => Promise<void>,
): Promise<PutOutcome> {
  const taken = await stat(target).then(
    () => true,
    () => false,
  )
  if (taken) return 'exists'
  await replace(finished, target)
  return 'created'
}

type Folders = { ensure(folder: string): Promise<void>; forget(): void }

/**
 * Makes folders whose names are durable. A folder found in place is synced too, once: another process
 * may have made it a moment ago and not come to its own sync yet.
 */
function createFolders(root: string): Folders {
  const known = new Map<string, Promise<void>>()
  const make = async (folder: string): Promise<void> => {
    if (folder === root) {
      const first = await mkdir(root, { recursive: true })
      if (first !== undefined) await syncFolder(dirname(first))
      return
    }
    await ensure(dirname(folder))
    await mkdir(folder).catch((error: unknown) => {
      if (errno(error) !== 'EEXIST') throw error
    })
    await syncFolder(dirname(folder))
  }
  const ensure = (folder: string): Promise<void> => {
    const before = known.get(folder)
    if (before) return before
    if (known.size >= FOLDERS_MAX) known.clear()
    const made = make(folder)
    known.set(folder, made)
    made.catch(() => known.delete(folder))
    return made
  }
  return { ensure, forget: () => known.clear() }
}

/** Removes temporary files that a crash left behind long ago. Never fails: it is housekeeping. */
export async function removeStaleTemporaries(root: string, deps: StoreDeps): Promise<void> {
  const folder = join(root, TEMPORARY_FOLDER)
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const path = join(folder, name)
    const facts = await stat(path).catch(() => undefined)
    if (!facts || deps.clock.now() - facts.mtimeMs < TEMPORARY_MS_MAX) continue
    const removed = await rm(path, { force: true }).then(
      () => true,
      () => false,
    )
    deps.logger.log('debug', removed ? 'removed a stale temporary file' : 'cannot remove a file', {
      path,
    })
  }
}

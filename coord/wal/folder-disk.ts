/**
 * The disk of the log: a folder of the file system. Segments are written full of zeros before they are
 * used, so that a later write changes no size and its sync is one disk operation. Frames go through a
 * descriptor with O_DSYNC, which makes a write and its sync one call: a call less to wait for, and one
 * errand less for a thread, than with fdatasync.
 */
import { close, constants, fdatasync, ftruncate, open, write } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises'
import { platform } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { syncFolder } from '../../lib/system/fs.ts'
import type { WalDisk, WalFile } from './disk.ts'
import { lockFolder } from './lock.ts'

const openFile = promisify(open)
const closeFile = promisify(close)
const syncData = promisify(fdatasync)
const truncate = promisify(ftruncate)

/** Opens `folder`, made if need be, for this process alone. */
export async function openFolderDisk(folder: string): Promise<WalDisk> {
  if (await mkdir(folder, { recursive: true })) await syncFolder(dirname(folder))
  const unlock = await lockFolder(folder)
  const at = (name: string): string => join(folder, name)
  return {
    list: () => readdir(folder),
    read: (name) => readFile(at(name)),
    async create(name, sizeBytes) {
      const file = await openFile(at(name), 'w+', 0o600)
      try {
        await writeZeros(file, 0, sizeBytes)
        await syncData(file)
        return openedFile(file, await openDurable(at(name)))
      } catch (error) {
        await closeFile(file)
        await rm(at(name), { force: true })
        throw error
      }
    },
    open: async (name) => openedFile(await openFile(at(name), 'r+'), await openDurable(at(name))),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    syncFolder: () => syncFolder(folder),
    close: async () => unlock(),
  }
}

/** Elsewhere the flag is not there, or stops short of what fdatasync does to the disk's own cache. */
const hasDurableWrites = platform() === 'linux'

const openDurable = (path: string): Promise<number> =>
  openFile(path, hasDurableWrites ? constants.O_RDWR | constants.O_DSYNC : constants.O_RDWR)

function openedFile(file: number, durable: number): WalFile {
  return {
    async append(bytes, offset) {
      await writeAll(durable, bytes, offset)
      if (!hasDurableWrites) await syncData(durable)
    },
    async cut(offset, sizeBytes) {
      await truncate(file, offset)
      await writeZeros(file, offset, sizeBytes)
      await syncData(file)
    },
    async close() {
      await closeFile(durable)
      await closeFile(file)
    },
  }
}

/** A write may stop early, on a disk that fills up: the next one then says why. */
function writeAll(file: number, bytes: Uint8Array, offset: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (from: number): void => {
      write(file, bytes, from, bytes.length - from, offset + from, (error, written) => {
        if (error) reject(error)
        else if (from + written < bytes.length) step(from + written)
        else resolve()
      })
    }
    step(0)
  })
}

const ZERO_BYTES = 256 * 1024

async function writeZeros(file: number, from: number, to: number): Promise<void> {
  const zeros = Buffer.alloc(Math.min(ZERO_BYTES, Math.max(0, to - from)))
  for (let at = from; at < to; at += zeros.length)
    await writeAll(file, zeros.subarray(0, Math.min(zeros.length, to - at)), at)
}

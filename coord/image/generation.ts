/**
 * An image is one LevelDB folder among several, and a small file says which: replacing the whole image
 * is making a new folder and then changing that file. Whatever a crash leaves, the file names a folder
 * that is whole, and all others are rubbish.
 */
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Level } from 'level'
import { HakiriError } from '../../lib/error.ts'
import { syncFile, syncFolder } from '../../lib/system/fs.ts'
import { imageDamaged } from './mark.ts'

export type Database = Level<Uint8Array, Uint8Array>

export type Generation = {
  readonly number: number
  readonly folder: string
  readonly database: Database
}

/** LevelDB begins a new log when about this much has been written; it is what it keeps in memory. */
export const WRITE_BUFFER_BYTES = 2 ** 20
const CACHE_BYTES = 2 * 2 ** 20
const POINTER = 'current'

const folderName = (number: number): string => `image-${number}`

/** Opens the image that the pointer names; a fresh one where there is none. */
export async function openGeneration(folder: string): Promise<Generation> {
  if (await mkdir(folder, { recursive: true })) await syncFolder(dirname(folder))
  const number = await readPointer(folder)
  for (const name of await readdir(folder))
    if (/^image-\d+$|^current\.tmp$/.test(name) && name !== folderName(number ?? 0))
      await rm(join(folder, name), { recursive: true, force: true })
  if (number !== undefined) return openDatabase(folder, number, false)
  const fresh = await createGeneration(folder, 1)
  await pointTo(folder, 1)
  return fresh
}

/** An empty image beside the current one. */
export async function createGeneration(folder: string, number: number): Promise<Generation> {
  await rm(join(folder, folderName(number)), { recursive: true, force: true })
  return openDatabase(folder, number, true)
}

/** From here on the image is `number`, whatever happens. */
export async function pointTo(folder: string, number: number): Promise<void> {
  const temporary = join(folder, `${POINTER}.tmp`)
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(`${folderName(number)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, join(folder, POINTER))
  await syncFolder(folder)
}

async function readPointer(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, POINTER), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const match = /^image-(\d+)\n$/.exec(text)
  if (!match) throw imageDamaged(folder, `the file ${POINTER} cannot be read`)
  return Number(match[1])
}

async function openDatabase(folder: string, number: number, isNew: boolean): Promise<Generation> {
  const { Level } = await import('level')
  const path = join(folder, folderName(number))
  const database = new Level<Uint8Array, Uint8Array>(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: isNew,
    errorIfExists: isNew,
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
  })
  try {
    await database.open()
  } catch (error) {
    throw levelError(error, path)
  }
  return { number, folder: path, database }
}

/** The newest log of a database: another one means that LevelDB has begun it. */
export async function newestLog(folder: string): Promise<string | undefined> {
  return (await logs(folder)).at(-1)
}

async function logs(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.log')).toSorted()
}

/**
 * Makes durable what was written before. LevelDB syncs its tables and its list of them by itself, and
 * never syncs a log it has left; so all logs there are are synced here. One that is gone meanwhile has
 * become a table.
 */
export async function syncGeneration({ folder }: Generation): Promise<void> {
  for (const name of await logs(folder)) {
    try {
      await syncFile(join(folder, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  await syncFolder(folder)
}

/** What LevelDB or the file system reports, as what it means here. */
export function levelError(thrown: unknown, folder: string): Error {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  if (error instanceof HakiriError) return error
  const errors = [error, error.cause].filter((each) => each instanceof Error)
  const codes = errors.map((each) => (each as NodeJS.ErrnoException).code ?? '')
  const text = errors.map(({ message }) => message).join(': ')
  if (codes.includes('LEVEL_LOCKED'))
    return new HakiriError('DATA_LOCKED', `${folder} is in use by another process`, {
      cause: error,
      suggestion: 'Stop the other `hakiri coord`, or give this one a folder of its own.',
    })
  if (codes.includes('ENOSPC') || /no space left/i.test(text))
    return new HakiriError('DISK_FULL', `${folder}: ${text}`, {
      cause: error,
      suggestion: 'Free space on the disk of the data folder, then start again.',
    })
  if (
    codes.includes('LEVEL_CORRUPTION') ||
    /corrupt|does not exist|too short|no such file|\.ldb: invalid argument/i.test(text)
  )
    return imageDamaged(folder, text, error)
  if (!codes.some((code) => code !== '')) return error
  return new HakiriError('DISK_FAILED', `${folder}: ${text}`, {
    cause: error,
    suggestion: 'Check the disk, then start again.',
  })
}

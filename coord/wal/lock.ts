/**
 * One process at a time per folder. The lock is one of the kernel's, so that it ends with its process
 * however that ends, and no stale one is ever judged by a number of a process. Node cannot ask for
 * such a lock; its SQLite can, and holds one for as long as an exclusive transaction is open.
 */
import { join } from 'node:path'
import { HakiriError } from '../../lib/error.ts'

const LOCK_FILE = 'LOCK'

/** Holds `folder` until the returned function is called or the process ends. */
export async function lockFolder(folder: string): Promise<() => void> {
  const { DatabaseSync } = await import('node:sqlite')
  const lock = new DatabaseSync(join(folder, LOCK_FILE), { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (cause) {
    lock.close()
    throw new HakiriError('DATA_LOCKED', `${folder} is in use by another process`, {
      cause,
      suggestion: 'Stop the other `hakiri coord`, or give this one a folder of its own.',
    })
  }
  return () => lock.close()
}

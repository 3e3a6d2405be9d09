/** Folders of a worker's own disk, and what a failure of that disk is: no fault of the source or the table. */
import { mkdir } from 'node:fs/promises'
import { HakiriError, toHakiriError } from '../lib/error.ts'

/** Makes a folder for the files of one batch; rejects with DISK_FULL when it cannot. */
export async function makeScratchFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    throw scratchError(error, path)
  }
}

/** Whatever the file system says of a scratch file, with a code. */
export function scratchError(error: unknown, path: string): HakiriError {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new HakiriError('DISK_FULL', `no space left while writing ${path}`, {
      cause: error,
      suggestion: 'Free space on that disk; the run continues from its last commit.',
    })
  }
  return toHakiriError(error, 'DISK_FULL', `cannot write ${path}`)
}

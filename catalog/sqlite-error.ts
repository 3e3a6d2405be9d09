/** What SQLite's result codes mean for the people who run Hakiri. */
import { HakiriError } from '../lib/error.ts'

const PERMISSION = 3
const BUSY = 5
const LOCKED = 6
const READ_ONLY = 8
const CORRUPT = 11
const FULL = 13
const CANNOT_OPEN = 14
const NOT_A_DATABASE = 26

/** The primary result code of an SQLite failure; undefined for any other error. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined
  // The upper bits hold the extended code.
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined
}

export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === BUSY || code === LOCKED
}

/** A failure of the file as a HakiriError; a bug, or an error of our own, passes unchanged. */
export function sqliteError(error: unknown, label: string): unknown {
  const code = resultCode(error)
  if (code === FULL) {
    return new HakiriError('DISK_FULL', `no space is left for ${label}`, {
      cause: error,
      suggestion: 'Free some space and run again; nothing was half-written.',
    })
  }
  if (code === NOT_A_DATABASE || code === CORRUPT) {
    const advice = 'Move the file away and run `hakiri catalog rebuild --from-bucket`.'
    return refused(error, `${label} is not a catalog or is damaged`, advice)
  }
  if (code === CANNOT_OPEN || code === PERMISSION || code === READ_ONLY || isFileError(error)) {
    return refused(error, `${label} cannot be opened for writing`, 'Check the path and its owner.')
  }
  return error
}

function refused(cause: unknown, message: string, suggestion: string): HakiriError {
  return new HakiriError('CATALOG_REFUSED', message, { cause, suggestion })
}

/** Making the folder failed, before SQLite was asked. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

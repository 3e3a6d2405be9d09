/** Turns what the file system says into a HakiriError that names the path and the next step. */
import { HakiriError, type Code } from '../../lib/error.ts'

type Meaning = { readonly code: Code; readonly suggestion: string }

const FULL: Meaning = {
  code: 'DISK_FULL',
  suggestion: 'Free space on this disk (or raise the quota); the work carries on by itself.',
}
const DENIED: Meaning = {
  code: 'STORE_AUTH',
  suggestion: 'Give the user that runs Hakiri read and write access to the folder.',
}
const MISSING: Meaning = { code: 'STORE_NOT_FOUND', suggestion: 'Check the path.' }
const MISSHAPEN: Meaning = {
  code: 'STORE_REFUSED',
  suggestion: 'Check the path: a file stands where a folder is needed, or the name is too long.',
}
const CROSS_DEVICE: Meaning = {
  code: 'STORE_REFUSED',
  suggestion: 'Keep the whole folder on one file system, without mounts inside it.',
}
const TROUBLE: Meaning = {
  code: 'STORE_UNREACHABLE',
  suggestion: 'Check the disk or network share (dmesg, mount) and the limit of open files.',
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: DENIED,
  ENOENT: MISSING,
  ENOTDIR: MISSHAPEN,
  EISDIR: MISSHAPEN,
  ENAMETOOLONG: MISSHAPEN,
  ELOOP: MISSHAPEN,
  // From making a folder: a file has its name.
  EEXIST: MISSHAPEN,
  EXDEV: CROSS_DEVICE,
}

/** The errno name of a caught value ("ENOENT"), if it has one. */
export function errno(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

/** `doing` is a verb phrase: "write", "list". A HakiriError passes through unchanged. */
export function folderError(error: unknown, doing: string, path: string): HakiriError {
  if (error instanceof HakiriError) return error
  const meaning = MEANINGS[errno(error) ?? ''] ?? TROUBLE
  const text = error instanceof Error ? error.message : String(error)
  return new HakiriError(meaning.code, `Cannot ${doing} ${path}: ${text}`, {
    suggestion: meaning.suggestion,
    cause: error,
  })
}

/** Runs `work` and gives its failures a code. */
export async function explained<T>(
  doing: string,
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw folderError(error, doing, path)
  }
}

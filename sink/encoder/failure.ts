/** What the engine's errors mean to the rest of Hakiri. */
import { HakiriError } from '../../lib/error.ts'
import { MISFIT_ERROR } from './sql-encode.ts'

/** True when a value did not fit its column. */
export function isMisfit(error: unknown): boolean {
  return messageOf(error).includes(MISFIT_ERROR)
}

/** True when the bytes of the batch may be at fault, so that looking for bad rows makes sense. */
export function mayBeBadInput(error: unknown): boolean {
  return /^(Invalid Input Error|Conversion Error|Parser Error)/.test(messageOf(error))
}

/** Gives an engine error its code. */
export function encodeFailure(error: unknown): HakiriError {
  if (error instanceof HakiriError) return error
  const message = messageOf(error)
  const details = { cause: error }
  if (message.startsWith('Out of Memory Error')) {
    return new HakiriError(
      'MEMORY_EXCEEDED',
      `The batch needs too much memory: ${first(message)}`,
      {
        ...details,
        suggestion: 'Give the pipeline more memory (memory = "1GB").',
      },
    )
  }
  if (/No space left|ENOSPC|max_temp_directory_size/.test(message)) {
    return new HakiriError('DISK_FULL', `No space for the files of a batch: ${first(message)}`, {
      ...details,
      suggestion: 'Free space in the temporary folder.',
    })
  }
  return new HakiriError(
    'ENCODE_FAILED',
    `The batch could not be written: ${first(message)}`,
    details,
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Engine messages quote the data and go on for pages. */
function first(message: string): string {
  const line = message.split('\n', 1)[0] ?? ''
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}

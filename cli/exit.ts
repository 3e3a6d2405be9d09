/** Exit codes, as docs/errors.md lists them. */
import { CODES, type HakiriError } from '../lib/error.ts'

export const EXIT = { done: 0, runtime: 1, input: 2, environment: 3, changes: 4 } as const

export function exitCodeOf(error: HakiriError): number {
  return CODES[error.code].exit
}

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** Work that a signal stopped, cleanly or at once, reports 128 plus the signal's number. */
export function signalExit(signal: StopSignal): number {
  return 128 + (signal === 'SIGINT' ? 2 : 15)
}

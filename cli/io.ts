/**
 * What a command says and hears: stdout, stderr, signals. Invariants: a reader that goes away (`| head`)
 * never crashes a command; what is printed while a progress block is drawn goes above it, whole.
 */
import { HakiriError } from '../lib/error.ts'
import { createLogger } from '../lib/system/log.ts'
import type { CommandIo, Globals, Overlay } from './command.ts'
import { exitCodeOf, signalExit, type StopSignal } from './exit.ts'
import { errorFields, isJournal } from './journal.ts'
import { formatError } from './output.ts'

export type FrameIo = CommandIo & {
  /** Everything to stdout, also under --json. */
  write(text: string): void
  /** To stderr, above what is drawn there, without secrets. */
  writeError(text: string): void
  /** Says what went wrong. */
  fail(error: HakiriError): void
  /** The signal that asked this process to end, if one did. */
  stoppedBy(): StopSignal | undefined
  /** Once all is written: the exit code for an stdout that refused it (a full disk). */
  outputFailure(): Promise<number | undefined>
}

/** `drains` is what the first Ctrl-C waits for, in words: "after the current batch". */
export function createIo(globals: Globals, drains: string | undefined): FrameIo {
  const redactions: ((text: string) => string)[] = []
  const redact = (text: string): string => redactions.reduce((result, hide) => hide(result), text)
  const silent = globals.json || globals.quiet
  const color = process.stderr.isTTY === true && !process.env['NO_COLOR']
  const toJournal = isJournal()
  let overlay: Overlay | undefined
  const writeError = (text: string): void => {
    overlay?.hide()
    process.stderr.write(redact(text))
    overlay?.show()
  }
  const write = (text: string): void => void process.stdout.write(text)
  /** What is said once, by the way: a line of the log where that is what is read. */
  const remark = (text: string): void => {
    if (toJournal) journal.log('info', text.trim())
    else writeError(text)
  }
  const journal = createLogger({
    level: 'info',
    json: globals.json,
    write: writeError,
    redact,
    priorities: true,
  })
  const hint = toJournal ? '' : '; press Ctrl-C again to stop at once'
  const stop = watchSignals(drains, (text) => remark(`\n${text}${hint}\n`))
  return {
    print: (text) => {
      if (silent || text === '') return
      if (toJournal) remark(text)
      else write(`${redact(text)}\n`)
    },
    write,
    data: (text) => {
      if (!globals.json) write(text)
    },
    progress: (text) => {
      if (silent) return
      if (toJournal) remark(text)
      else process.stderr.write(redact(text))
    },
    overlay: (shown) => (overlay = shown),
    logger: createLogger({
      level: globals.quiet ? 'error' : globals.verbose ? 'debug' : 'warn',
      json: globals.json,
      write: writeError,
      redact,
      priorities: toJournal,
    }),
    isTerminal: process.stderr.isTTY === true && !silent,
    size: () => ({ columns: process.stderr.columns ?? 100, rows: process.stderr.rows ?? 24 }),
    stop: stop.signal,
    stoppedBy: stop.stoppedBy,
    redact,
    addRedaction: (hide) => void redactions.push(hide),
    writeError,
    fail: (error) => {
      if (toJournal) journal.log('error', error.message, errorFields(error))
      else writeError(formatError(error, color))
    },
    outputFailure: watchOutput(writeError, color),
  }
}

/** A closed pipe is the reader's choice and no failure; a full disk is one. */
function watchOutput(writeError: (text: string) => void, color: boolean): FrameIo['outputFailure'] {
  let exitCode: number | undefined
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || exitCode !== undefined) return
    const failure = new HakiriError('DISK_FULL', `cannot write the output: ${error.message}`)
    exitCode = exitCodeOf(failure)
    writeError(formatError(failure, color))
  })
  process.stderr.on('error', () => undefined)
  return async () => {
    await new Promise((resolve) => process.stdout.write('', resolve))
    return exitCode
  }
}

type Stop = { readonly signal: AbortSignal; readonly stoppedBy: () => StopSignal | undefined }

/** The first signal asks for a clean end; the second one ends at once. Both leave everything resumable. */
function watchSignals(drains: string | undefined, say: (text: string) => void): Stop {
  const controller = new AbortController()
  let stoppedBy: StopSignal | undefined
  const onSignal = (signal: StopSignal): void => {
    if (stoppedBy !== undefined) process.exit(signalExit(signal))
    stoppedBy = signal
    const when = drains === undefined ? '' : ` ${drains}`
    say(`stopping${when}`)
    controller.abort(new HakiriError('CANCELLED', `stopped by ${signal}`))
  }
  process.on('SIGINT', () => onSignal('SIGINT'))
  process.on('SIGTERM', () => onSignal('SIGTERM'))
  return { signal: controller.signal, stoppedBy: () => stoppedBy }
}

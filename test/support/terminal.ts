/**
 * Runs a command in a real terminal (a pty) and shows what a person would see: the screen after
 * cursor moves and erasures, and what has scrolled away. Waiting is for text to appear, with a
 * deadline that fails the test; nothing polls.
 */
import { spawn } from '@lydell/node-pty'
import { createScreen } from './terminal-screen.ts'

export const KEYS = { ctrlC: '\u0003', ctrlD: '\u0004', enter: '\r', up: '\u001b[A' } as const

export type TerminalExit = { readonly code: number; readonly signal: number }

export type Terminal = AsyncDisposable & {
  readonly pid: number
  /** Visible lines and those scrolled away, without trailing blanks. */
  screen(): string
  /** Every byte as it came. */
  raw(): string
  send(keys: string): void
  /** Resolves with the screen once it matches; rejects at the deadline or when the command ends. */
  waitFor(pattern: RegExp | string, deadlineMs?: number): Promise<string>
  /** Resolves when the command has ended and its output has been read. */
  readonly exited: Promise<TerminalExit>
}

export type TerminalOptions = {
  readonly cwd?: string
  /** Added to the environment of the test. */
  readonly env?: { readonly [name: string]: string }
  readonly columns?: number
  readonly rows?: number
}

const DEADLINE_MS = 20_000

type Waiter = { readonly check: () => void; readonly ended: () => void }

export function openTerminal(
  command: string,
  args: readonly string[],
  options: TerminalOptions = {},
): Terminal {
  const { columns = 100, rows = 30 } = options
  const screen = createScreen(rows)
  const waiters = new Set<Waiter>()
  let raw = ''
  const pty = spawn(command, [...args], {
    name: 'xterm-256color',
    cols: columns,
    rows,
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
  })
  pty.onData((data) => {
    raw += data
    screen.write(data)
    for (const waiter of waiters) waiter.check()
  })
  let hasEnded = false
  const exited = new Promise<TerminalExit>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      hasEnded = true
      for (const waiter of waiters) waiter.ended()
      resolve({ code: exitCode, signal: signal ?? 0 })
    })
  })

  const waitFor = (pattern: RegExp | string, deadlineMs = DEADLINE_MS): Promise<string> =>
    new Promise((resolve, reject) => {
      const isThere = (): boolean =>
        typeof pattern === 'string' ? screen.text().includes(pattern) : pattern.test(screen.text())
      const settle = (): void => {
        clearTimeout(deadline)
        waiters.delete(waiter)
      }
      const giveUp = (reason: string): void => {
        settle()
        reject(new Error(`${reason} before ${String(pattern)} was seen; screen:\n${screen.text()}`))
      }
      const waiter: Waiter = {
        check: () => {
          if (!isThere()) return
          settle()
          resolve(screen.text())
        },
        ended: () => (isThere() ? waiter.check() : giveUp('the command ended')),
      }
      const deadline = setTimeout(() => giveUp(`${deadlineMs} ms passed`), deadlineMs)
      waiters.add(waiter)
      if (hasEnded) waiter.ended()
      else waiter.check()
    })

  return {
    pid: pty.pid,
    screen: () => screen.text(),
    raw: () => raw,
    send: (keys) => pty.write(keys),
    waitFor,
    exited,
    async [Symbol.asyncDispose]() {
      if (!hasEnded) pty.kill('SIGKILL')
      await exited
    },
  }
}

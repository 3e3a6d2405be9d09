/**
 * A real `hakiri serve` process: its own folder, its own port, real signals. What it says is kept, so that
 * a test can wait for a line of its log instead of for a time.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { HAKIRI } from './project.ts'

export type ServeProcess = AsyncDisposable & {
  readonly name: string
  pid(): number | undefined
  /** http://host:port of its API. */
  readonly api: string
  /** Lines of its log so far, as objects. */
  lines(): readonly LogLine[]
  /** The first line that fits, now or later; rejects when the process ends or the time is up. */
  until(fits: (line: LogLine) => boolean, what: string, waitMs?: number): Promise<LogLine>
  /** Unless the process goes on, resolves with its exit code or signal. */
  signal(name: NodeJS.Signals): Promise<number | NodeJS.Signals | undefined>
  ended(): Promise<number | NodeJS.Signals>
}

export type LogLine = { readonly message: string; readonly [field: string]: unknown }

export type ServeOptions = {
  readonly name: string
  readonly folder: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The program that is `hakiri`: the launcher of the clone, or another build of it. */
  readonly command?: readonly [string, ...string[]]
}

const READY_MS = 30_000

/** Resolves once the worker is a member of its cluster. */
export async function startServe(options: ServeOptions): Promise<ServeProcess> {
  const [program, ...first] = options.command ?? [HAKIRI]
  const args = ['serve', '--json', '--name', options.name, '--port', '0', ...options.args]
  const child = spawn(program, [...first, ...args], {
    cwd: options.folder,
    env: { ...process.env, NO_COLOR: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 1))
  })
  const log = collectLog(child)
  const until: ServeProcess['until'] = (fits, what, waitMs = READY_MS) =>
    Promise.race([
      log.until(fits),
      ended.then((how) => fail(`${options.name} ended with ${how} before ${what}`, log)),
      delay(waitMs, undefined, { ref: false }).then(() =>
        fail(`${options.name}: no ${what} within ${waitMs} ms`, log),
      ),
    ])
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  const end = async (): Promise<void> => {
    if (isRunning()) child.kill('SIGKILL')
    await ended
  }
  try {
    const listening = await until(({ message }) => message === 'the API listens', 'its API')
    await until(({ message }) => message === 'this worker is a member', 'a session')
    return {
      name: options.name,
      api: String(listening['url']),
      pid: () => (isRunning() ? child.pid : undefined),
      lines: () => log.lines(),
      until,
      ended: () => ended,
      async signal(name) {
        if (!isRunning()) return undefined
        child.kill(name)
        return name === 'SIGSTOP' || name === 'SIGCONT' || name === 'SIGHUP' ? undefined : ended
      },
      [Symbol.asyncDispose]: end,
    }
  } catch (error) {
    await end()
    throw error
  }
}

function fail(message: string, log: Log): never {
  const last = log
    .lines()
    .slice(-20)
    .map((line) => JSON.stringify(line))
  throw new Error(`${message}\n${last.join('\n')}\n${log.other()}`)
}

type Log = {
  lines(): readonly LogLine[]
  /** What was no line of the log. */
  other(): string
  until(fits: (line: LogLine) => boolean): Promise<LogLine>
}

function collectLog(child: ChildProcess): Log {
  const lines: LogLine[] = []
  const waiting = new Set<(line: LogLine) => void>()
  let other = ''
  let rest = ''
  const take = (text: string): void => {
    const line = parse(text)
    if (!line) {
      other += `${text}\n`
      return
    }
    lines.push(line)
    for (const tell of waiting) tell(line)
  }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (other += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    parts.forEach(take)
  })
  return {
    lines: () => lines,
    other: () => other,
    until(fits) {
      const found = lines.find(fits)
      if (found) return Promise.resolve(found)
      return new Promise((resolve) => {
        const tell = (line: LogLine): void => {
          if (!fits(line)) return
          waiting.delete(tell)
          resolve(line)
        }
        waiting.add(tell)
      })
    },
  }
}

function parse(text: string): LogLine | undefined {
  try {
    const value = JSON.parse(text) as LogLine
    return typeof value?.message === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * A program on a host that a scenario kills, pauses and starts again. What it says is kept within a bound,
 * and lines of its log are told as they come, so that a scenario waits for a line and not for a time.
 */
import type { ChildProcess } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Host, SpawnOptions } from './lab.ts'

export type ActorOptions = SpawnOptions & {
  readonly host: Host
  /** Unique in its scenario. */
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly keptLinesMax?: number
}

/** How a process ended: its exit code, or the signal that ended it. */
export type Ending = number | NodeJS.Signals

/** A line of JSON that it has written to standard output or error. */
export type LogLine = { readonly [field: string]: unknown }

export type Actor = AsyncDisposable & {
  readonly name: string
  readonly host: Host
  /** Starts it, with these arguments instead of the last ones if they are given; it must not be running. */
  start(args?: readonly string[]): void
  /** Undefined unless it runs; a stopped process runs. */
  pid(): number | undefined
  isRunning(): boolean
  /** Sends the signal to the program itself. Gives its ending, if this signal is one that ends it. */
  signal(name: NodeJS.Signals): Promise<Ending | undefined>
  /** Ending of the process that was started last; waits for it. */
  ended(): Promise<Ending>
  /** Undefined when it does not run. */
  memory(): Promise<ActorMemory | undefined>
  /** The last lines of all its processes, those that are no JSON too, oldest first. */
  output(): readonly string[]
  /** Each line of JSON from now on. */
  onLine(tell: (line: LogLine) => void): Disposable
  /** The first line that fits, from now on; rejects when it ends first or the time is up. */
  until(fits: (line: LogLine) => boolean, what: string, waitMs?: number): Promise<LogLine>
}

export type ActorMemory = {
  readonly rssBytes: number
  /** Of its children and theirs, e.g. a worker's encoder. */
  readonly childrenRssBytes: number
}

const KEPT_LINES_MAX = 5_000
const LINE_CHARS_MAX = 64 * 1024
const LAST_WORDS_MS = 1_000
const WAIT_MS = 30_000
const GOES_ON: readonly NodeJS.Signals[] = ['SIGSTOP', 'SIGCONT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']

type Running = {
  readonly child: ChildProcess
  readonly ended: Promise<Ending>
}

export function createActor(options: ActorOptions): Actor {
  const { host, name, program } = options
  const log = createLog(options.keptLinesMax ?? KEPT_LINES_MAX)
  let args = options.args
  let last: Running | undefined
  const running = (): Running | undefined =>
    last?.child.exitCode === null && last.child.signalCode === null ? last : undefined
  const actor: Actor = {
    name,
    host,
    start(other) {
      if (running()) throw new Error(`${name} is running already`)
      args = other ?? args
      last = launch(host.spawn(program, args, options), log)
    },
    pid: () => running()?.child.pid,
    isRunning: () => running() !== undefined,
    async signal(signal) {
      const target = running()
      if (!target) return undefined
      target.child.kill(signal)
      return GOES_ON.includes(signal) ? undefined : target.ended
    },
    ended() {
      if (!last) throw new Error(`${name} has never been started`)
      return last.ended
    },
    memory: async () => {
      const pid = running()?.child.pid
      return pid === undefined ? undefined : memoryOf(pid)
    },
    output: () => log.lines(),
    onLine: (tell) => log.onLine(tell),
    until: (fits, what, waitMs = WAIT_MS) =>
      untilLine(actor, fits, (reason) => `${name} ${reason} before ${what}`, waitMs),
    async [Symbol.asyncDispose]() {
      await actor.signal('SIGKILL')
    },
  }
  return actor
}

function launch(child: ChildProcess, log: Log): Running {
  const { promise: ended, resolve, reject } = Promise.withResolvers<Ending>()
  // Whoever asks is told; nobody has to ask.
  ended.catch(() => undefined)
  child.once('error', reject)
  const end = (code: number | null, signal: NodeJS.Signals | null): void =>
    resolve(code ?? signal ?? 1)
  // Its last words are waited for, but not for ever: a child that outlives it may hold the pipes.
  child.once('exit', (code, signal) => {
    const letGo = setTimeout(() => {
      child.stdout?.destroy()
      child.stderr?.destroy()
      end(code, signal)
    }, LAST_WORDS_MS)
    child.once('close', () => clearTimeout(letGo))
  })
  child.once('close', end)
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = (lines.pop() ?? '').slice(-LINE_CHARS_MAX)
      for (const line of lines) log.take(line.slice(0, LINE_CHARS_MAX))
    })
    stream?.once('end', () => {
      if (rest !== '') log.take(rest)
    })
  }
  return { child, ended }
}

type Log = {
  take(text: string): void
  lines(): readonly string[]
  onLine(tell: (line: LogLine) => void): Disposable
}

function createLog(keptMax: number): Log {
  const kept: string[] = []
  const listeners = new Set<(line: LogLine) => void>()
  return {
    take(text) {
      // In halves: to drop one line at a time would move all the others each time.
      if (kept.length >= 2 * keptMax) kept.splice(0, kept.length - keptMax)
      kept.push(text)
      const line = parseLine(text)
      if (line) for (const tell of listeners) tell(line)
    },
    lines: () => kept.slice(-keptMax),
    onLine(tell) {
      listeners.add(tell)
      return { [Symbol.dispose]: () => void listeners.delete(tell) }
    },
  }
}

function parseLine(text: string): LogLine | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return undefined
  }
}

async function untilLine(
  actor: Actor,
  fits: (line: LogLine) => boolean,
  reasonOf: (what: string) => string,
  waitMs: number,
): Promise<LogLine> {
  const found = Promise.withResolvers<LogLine>()
  using _ = actor.onLine((line) => {
    if (fits(line)) found.resolve(line)
  })
  const fail = (what: string): void =>
    found.reject(new Error(`${reasonOf(what)}\n${actor.output().slice(-20).join('\n')}`))
  const timer = setTimeout(() => fail(`said nothing for ${waitMs} ms`), waitMs)
  actor.ended().then((how) => fail(`has ended with ${how}`), found.reject)
  try {
    return await found.promise
  } finally {
    clearTimeout(timer)
  }
}

/** Undefined when the process is gone. */
async function memoryOf(pid: number): Promise<ActorMemory | undefined> {
  const rssBytes = await rssOf(pid)
  if (rssBytes === undefined) return undefined
  const children = await descendantsOf(pid)
  const sizes = await Promise.all(children.map(rssOf))
  return { rssBytes, childrenRssBytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) }
}

async function rssOf(pid: number): Promise<number | undefined> {
  const status = await readProc(`/proc/${pid}/status`)
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status)
  return match ? Number(match[1]) * 1_024 : undefined
}

async function descendantsOf(pid: number): Promise<readonly number[]> {
  const parents = new Map<number, number[]>()
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    // The name of the program, in parentheses, may hold anything.
    const parent = Number(/^.*\) \S (\d+) /s.exec(await readProc(`/proc/${entry}/stat`))?.[1])
    parents.set(parent, [...(parents.get(parent) ?? []), Number(entry)])
  }
  const found: number[] = [...(parents.get(pid) ?? [])]
  for (const child of found) found.push(...(parents.get(child) ?? []))
  return found
}

/** Empty for a process that is gone. */
function readProc(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return ''
    throw error
  })
}

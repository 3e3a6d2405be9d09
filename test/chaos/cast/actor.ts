/**
 * One program of a chaos run on its host, as a service manager would keep it: what ends by itself is
 * started again after a second, and told to the timeline. An end that nothing explains is a problem of
 * the run. What it says goes into a file of its own, which outlives it.
 */
import type { ChildProcess } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Host } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'

export type Actor = AsyncDisposable & {
  readonly name: string
  readonly host: Host
  /** Of the process that runs now. */
  pid(): number | undefined
  state(): 'running' | 'stopped' | 'down'
  /** Starts it, unless it runs. It is not asked whether it is ready. */
  start(): void
  /** kill -9; resolves when it is gone. It stays down until it is started. */
  kill(): Promise<void>
  /** SIGTERM, and kill -9 after `waitMs`; gives how it ended. It stays down until it is started. */
  terminate(waitMs: number): Promise<End>
  pause(): void
  resume(): void
  /** What it is run as from its next start on. */
  command: Command
  /** While this is set, an end by itself is what a fault is about, and it is not started again. */
  isToEnd: boolean
  /** Where what it says is kept. */
  readonly logFile: string
  /** The end of what it has said. */
  lastWords(): Promise<string>
}

export type End = number | NodeJS.Signals

export type Command = {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly user?: { readonly uid: number; readonly gid: number }
}

export type ActorOptions = {
  readonly name: string
  readonly host: Host
  readonly command: Command
  readonly folder: string
  readonly timeline: Timeline
  /** Ends by itself that are the surroundings' fault, such as a catalog that is away at its start. */
  readonly excused?: readonly number[]
  problem(text: string): void
}

const AGAIN_MS = 1_000
const WORDS_CHARS_MAX = 3_000

export function createActor(options: ActorOptions): Actor {
  const { name, host, timeline, folder } = options
  const logFile = join(folder, `${name}.log`)
  const log = createWriteStream(logFile, { flags: 'a' })
  let process: Running | undefined
  let isWanted = false
  let isStopped = false
  let isOver = false

  const ended = async (running: Running): Promise<void> => {
    const how = await running.gone
    if (process !== running) return
    process = undefined
    isStopped = false
    timeline.add({ kind: 'process', name, what: 'ended', how: String(how) })
    if (!isWanted) return
    if (actor.isToEnd) {
      isWanted = false
      return
    }
    const isExcused = typeof how === 'number' && (options.excused ?? []).includes(how)
    if (!isExcused)
      options.problem(`${name} ended by itself with ${how}:\n${await actor.lastWords()}`)
    await delay(AGAIN_MS)
    if (isWanted && !isOver) actor.start()
  }

  const end = async (signal: NodeJS.Signals): Promise<Running | undefined> => {
    isWanted = false
    const running = process
    running?.child.kill(signal)
    return running
  }

  const actor: Actor = {
    name,
    host,
    command: options.command,
    isToEnd: false,
    logFile,
    pid: () => process?.child.pid,
    state: () => (process ? (isStopped ? 'stopped' : 'running') : 'down'),
    start() {
      isWanted = true
      if (process || isOver) return
      const running = launch(host, actor.command, log)
      process = running
      timeline.add({ kind: 'process', name, what: 'started' })
      void ended(running)
    },
    async kill() {
      await (
        await end('SIGKILL')
      )?.gone
    },
    async terminate(waitMs) {
      const running = await end('SIGTERM')
      if (!running) return 0
      const how = await Promise.race([running.gone, delay(waitMs, undefined, { ref: false })])
      if (how !== undefined) return how
      options.problem(`${name} was not gone ${waitMs} ms after SIGTERM`)
      running.child.kill('SIGKILL')
      return running.gone
    },
    pause() {
      if (!process) return
      process.child.kill('SIGSTOP')
      isStopped = true
      timeline.add({ kind: 'process', name, what: 'stopped' })
    },
    resume() {
      if (!process || !isStopped) return
      process.child.kill('SIGCONT')
      isStopped = false
      timeline.add({ kind: 'process', name, what: 'continued' })
    },
    lastWords: async () =>
      (await readFile(logFile, 'utf8').catch(() => '')).slice(-WORDS_CHARS_MAX),
    async [Symbol.asyncDispose]() {
      isOver = true
      await actor.kill()
      log.end()
    },
  }
  return actor
}

type Running = { readonly child: ChildProcess; readonly gone: Promise<End> }

function launch(host: Host, command: Command, log: WriteStream): Running {
  const { program, args, env, cwd, user } = command
  const child = host.spawn(program, args, {
    ...(env ? { env } : {}),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user ? { user } : {}),
  })
  for (const stream of [child.stdout, child.stderr]) stream?.pipe(log, { end: false })
  const gone = new Promise<End>((resolve) => {
    child.once('error', (error) => {
      log.write(`${String(error)}\n`)
      resolve(127)
    })
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 1))
  })
  return { child, gone }
}

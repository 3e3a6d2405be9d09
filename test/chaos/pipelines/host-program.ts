/** A program on a host of the lab: started until it answers, killed, stopped, continued, started again. */
import type { ChildProcess } from 'node:child_process'
import type { Clock } from '../../../lib/ports.ts'
import type { Host, SpawnOptions } from '../hosts/lab.ts'

export type HostProgram = AsyncDisposable & {
  readonly name: string
  pid(): number | undefined
  /** Starts it, unless it runs, and waits until it answers. */
  up(): Promise<void>
  signal(name: NodeJS.Signals): void
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

export type ProgramOptions = {
  readonly host: Host
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly spawn?: SpawnOptions
  /** Rejects while it does not answer. */
  readonly look: () => Promise<unknown>
  readonly clock: Clock
}

/** Long, for a machine whose every processor is wanted by a dozen programs. */
const READY_MS_MAX = 60_000
const LOOK_MS = 25
const SAID_CHARS_MAX = 8_000

export function createHostProgram(options: ProgramOptions): HostProgram {
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()
  let said = ''
  const isRunning = (): boolean => child?.exitCode === null && child.signalCode === null
  const hear = (chunk: Buffer): void => void (said = (said + String(chunk)).slice(-SAID_CHARS_MAX))
  const start = (): void => {
    const started = options.host.spawn(options.program, options.args, options.spawn)
    started.stdout?.on('data', hear)
    started.stderr?.on('data', hear)
    gone = new Promise((resolve) => {
      started.once('error', (error) => {
        hear(Buffer.from(String(error)))
        resolve()
      })
      started.once('exit', () => resolve())
    })
    child = started
  }
  const kill = async (): Promise<void> => {
    if (isRunning()) child?.kill('SIGKILL')
    await gone
  }
  return {
    name: options.name,
    pid: () => (isRunning() ? child?.pid : undefined),
    signal: (name) => void (isRunning() && child?.kill(name)),
    kill,
    async up() {
      if (!isRunning()) start()
      await untilAnswered(options, isRunning, () => said)
    },
    [Symbol.asyncDispose]: kill,
  }
}

async function untilAnswered(
  { name, look, clock }: ProgramOptions,
  isRunning: () => boolean,
  said: () => string,
): Promise<void> {
  const end = clock.monotonic() + READY_MS_MAX
  for (;;) {
    try {
      await look()
      return
    } catch (error) {
      if (!isRunning()) throw new Error(`${name} ended:\n${said()}`, { cause: error })
      if (clock.monotonic() > end)
        throw new Error(`${name} does not answer:\n${said()}`, { cause: error })
    }
    await clock.sleep(LOOK_MS)
  }
}

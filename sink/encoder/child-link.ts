/**
 * The near end of one encoder process: starts it when needed, sends calls, cancels them, and turns its
 * death into an error that a caller may retry. Invariant: a call settles exactly once, whatever happens
 * to the process.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { getCompileCacheDir } from 'node:module'
import { dirname, join } from 'node:path'
import { HakiriError, toHakiriError } from '../../lib/error.ts'
import type { Clock, Logger } from '../../lib/ports.ts'
import type { Answers, Call, ChildOptions, Failure, Reply, Request } from './protocol.ts'

/**
 * What an encoder process runs: a file, with the runtime that runs this process; or a program that carries
 * its own and becomes the encoder at a word (an artifact, of which child.ts is a part).
 */
export type ChildProgram =
  | { readonly kind: 'file'; readonly file: URL }
  | { readonly kind: 'program'; readonly path: string; readonly word: string }

export type LinkOptions = {
  readonly memoryBytes: number
  /** The process gets a folder of its own inside. */
  readonly tempFolder: string
  readonly child: ChildProgram
  readonly clock: Clock
  readonly logger: Logger
  /** How long a cancelled call may take before its process is killed. */
  readonly graceMs: number
}

export type ChildLink = AsyncDisposable & {
  call<K extends Call['kind']>(
    call: Extract<Call, { kind: K }>,
    signal: AbortSignal,
  ): Promise<Answers[K]>
  /** Ends the process when it does nothing; the next call starts another. */
  rest(): Promise<void>
  readonly pid: () => number | undefined
  readonly peakBytes: () => number
}

type Waiting = {
  readonly resolve: (value: Answers[keyof Answers]) => void
  readonly reject: (error: Error) => void
}

type Running = {
  readonly child: ChildProcess
  readonly folder: string
  readonly waiting: Map<number, Waiting>
  readonly ended: Promise<void>
  /** The last it said on stderr. */
  tail: string
}

const HEAP_FLAGS = ['--max-old-space-size=384', '--max-semi-space-size=4']
const TAIL_MAX = 2_000

export function createChildLink(options: LinkOptions): ChildLink {
  let running: Promise<Running> | undefined
  let current: Running | undefined
  let nextId = 1
  let peak = 0
  let isClosed = false

  async function start(): Promise<Running> {
    const folder = await mkdtemp(join(options.tempFolder, 'encoder-'))
    const process: Running = launch(options, folder, {
      onPeak: (bytes) => (peak = Math.max(peak, bytes)),
      onEnd() {
        if (current === process) current = running = undefined
      },
    })
    current = process
    return process
  }

  async function stop(process: Running): Promise<void> {
    if (current === process) current = running = undefined
    if (process.child.connected) process.child.disconnect()
    await endWithin(process, options)
  }

  return {
    async call(call, signal) {
      signal.throwIfAborted()
      // A process that is started now would be ended by nobody, and keep this one alive.
      if (isClosed) throw new HakiriError('CANCELLED', 'the encoder is closed')
      const process = await (running ??= start()).catch((error: unknown) => {
        running = undefined
        throw toHakiriError(error, 'DISK_FULL', 'the encoder has no temporary folder')
      })
      const id = nextId++
      const answer = new Promise<Answers[keyof Answers]>((resolve, reject) => {
        process.waiting.set(id, { resolve, reject })
      })
      send(process, { id, call })
      const value = await withCancel(answer, process, id, signal, options)
      return value as Answers[typeof call.kind]
    },
    async rest() {
      if (current && current.waiting.size === 0) await stop(current)
    },
    pid: () => current?.child.pid,
    peakBytes: () => peak,
    async [Symbol.asyncDispose]() {
      isClosed = true
      const process = await running?.catch(() => undefined)
      if (process) await stop(process)
    },
  }
}

type LaunchHooks = {
  readonly onPeak: (bytes: number) => void
  /** Before the calls of the process fail, so that trying again does not meet it. */
  readonly onEnd: () => void
}

/** Nothing of ours but the cache of compiled code, which halves the start of the child. */
function childEnvironment(): NodeJS.ProcessEnv {
  const cache = getCompileCacheDir()
  return {
    MALLOC_ARENA_MAX: '1',
    ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }),
  }
}

type Start = {
  readonly module: URL | string
  readonly execPath?: string
  readonly execArgv: string[]
}

function startOf(child: ChildProgram): Start {
  switch (child.kind) {
    case 'file':
      return { module: child.file, execArgv: [...HEAP_FLAGS] }
    case 'program':
      return {
        module: child.word,
        execPath: child.path,
        execArgv: [`--node-options=${HEAP_FLAGS.join(' ')}`],
      }
  }
}

function launch(options: LinkOptions, folder: string, hooks: LaunchHooks): Running {
  const argument: ChildOptions = { memoryBytes: options.memoryBytes, folder }
  const { module, ...how } = startOf(options.child)
  const child = fork(module, [JSON.stringify(argument)], {
    ...how,
    env: childEnvironment(),
    // In a group of its own, Ctrl-C in a terminal does not end it before it can refuse to be ended.
    detached: true,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, Waiting>()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const process: Running = { child, folder, waiting, ended, tail: '' }
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    process.tail = (process.tail + text).slice(-TAIL_MAX)
  })
  child.on('message', (message) => {
    const reply = message as Reply
    hooks.onPeak(reply.peakBytes)
    settle(waiting, reply)
  })
  const onEnd = (reason: string): void => {
    hooks.onEnd()
    failAll(process, lostError(reason, process.tail), options.logger)
    void rm(folder, { recursive: true, force: true }).then(end, end)
  }
  child.once('error', (error) => onEnd(error.message))
  child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${code}`))
  return process
}

function settle(waiting: Map<number, Waiting>, { id, result }: Reply): void {
  const call = waiting.get(id)
  waiting.delete(id)
  if (result.kind === 'done') call?.resolve(result.value)
  else call?.reject(failureError(result.failure))
}

function failureError({ code, message, suggestion }: Failure): HakiriError {
  return new HakiriError(code, message, suggestion === undefined ? {} : { suggestion })
}

function lostError(reason: string, tail: string): HakiriError {
  const said = tail.trim() === '' ? '' : `: ${tail.trim()}`
  return new HakiriError('ENCODER_LOST', `The encoder process ended (${reason})${said}`, {
    suggestion: 'It is started again on the next try; if this repeats, look for a lack of memory.',
  })
}

function failAll(process: Running, error: HakiriError, logger: Logger): void {
  if (process.waiting.size > 0) logger.log('warn', error.message, { pid: process.child.pid })
  for (const call of process.waiting.values()) call.reject(error)
  process.waiting.clear()
}

/** A process that has just gone cannot be sent to; its exit settles the call. */
function send({ child }: Running, request: Request): void {
  if (child.connected) child.send(request, () => undefined)
}

/** Rejects with the signal's reason once the process has let go of the call, or was killed. */
async function withCancel<T>(
  answer: Promise<T>,
  process: Running,
  id: number,
  signal: AbortSignal,
  options: LinkOptions,
): Promise<T> {
  const settled = new AbortController()
  const cancel = (): void => {
    send(process, { id, cancel: true })
    void options.clock.sleep(options.graceMs, settled.signal).then(
      () => process.child.kill('SIGKILL'),
      () => undefined,
    )
  }
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  try {
    return await answer
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    settled.abort()
    signal.removeEventListener('abort', cancel)
  }
}

async function endWithin(process: Running, options: LinkOptions): Promise<void> {
  const over = new AbortController()
  void options.clock.sleep(options.graceMs, over.signal).then(
    () => process.child.kill('SIGKILL'),
    () => undefined,
  )
  await process.ended
  over.abort()
}

/**
 * A real cluster of `hakiri coord` processes on loopback: real sockets, real disks, real signals. Each
 * member has its own folder and can be killed, paused and started again.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, freePorts } from './free-ports.ts'
import { HAKIRI } from './project.ts'

export type CoordMember = {
  /** host:port, for clients and members alike. */
  readonly endpoint: string
  readonly folder: string
  pid(): number | undefined
  /** What it has said since it was last started. */
  output(): string
  /** Starts it; resolves once it answers, whether or not there is a leader yet. */
  start(): Promise<void>
  /** Sends a signal and, unless the process goes on, waits for its end; gives the exit code or signal. */
  signal(name: NodeJS.Signals): Promise<number | NodeJS.Signals | undefined>
  /** Resolves with the exit code or signal when it ends by itself. */
  ended(): Promise<number | NodeJS.Signals>
}

export type CoordCluster = AsyncDisposable & {
  readonly members: readonly CoordMember[]
  readonly endpoints: readonly string[]
  /** Another process, not started yet; in the place of one that is gone if that is named. */
  add(other: {
    readonly args: readonly string[]
    readonly endpoint?: string
    readonly folder?: string
  }): Promise<CoordMember>
}

/** PEM; asked for at each look, for it may change on the way. */
export type PollTls = () => { readonly ca: string; readonly cert?: string; readonly key?: string }

export type CoordClusterOptions = {
  readonly members: number
  /** What comes after the list of peers. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** How to see whether a member is there, where it wants TLS; what it runs with stands in `args`. */
  readonly tls?: PollTls
  /** The program that is `hakiri`: the launcher of the clone, or a bundle; each member's own, if there are several. */
  readonly command?: Command | readonly Command[]
}

type Command = readonly [string, ...string[]]

/** The first start after a change compiles all sources, of all members at once, beside whatever else runs. */
const READY_MS = 60_000
const POLL_MS = 20

/** Starts all members and waits until each answers and one leads. */
export async function startCoordCluster(options: CoordClusterOptions): Promise<CoordCluster> {
  const root = await mkdtemp(join(tmpdir(), 'hakiri-cluster-'))
  const endpoints = (await freePorts(options.members)).map((port) => `127.0.0.1:${port}`)
  const peers = options.members > 1 ? ['--peers', endpoints.join(',')] : []
  const members: CoordMember[] = []
  const make = (endpoint: string, args: readonly string[], place?: string): CoordMember => {
    const folder = place ?? join(root, `member-${members.length + 1}`)
    const all = ['coord', '--bind', endpoint, '--data', folder, ...args]
    const command = commandOf(options, members.length)
    const member = createMember(options, command, endpoint, folder, all)
    members.push(member)
    return member
  }
  for (const endpoint of endpoints) make(endpoint, [...peers, ...(options.args ?? [])])
  const cluster: CoordCluster = {
    members,
    endpoints,
    async add({ args, endpoint, folder }) {
      return make(endpoint ?? `127.0.0.1:${await freePort()}`, args, folder)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.signal('SIGKILL')))
      await rm(root, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all(members.map((member) => member.start()))
    await untilReady(endpoints, READY_MS, options.tls)
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

/** Waits until each of them knows a leader and answers linearizable reads. */
export async function untilReady(
  endpoints: readonly string[],
  waitMs = READY_MS,
  tls?: PollTls,
): Promise<void> {
  await Promise.all(endpoints.map((endpoint) => poll(`${endpoint}/readyz`, waitMs, isFine, tls)))
}

const isFine = (status: number): boolean => status === 200

async function poll(
  url: string,
  waitMs: number,
  isDone: (status: number) => boolean,
  tls?: PollTls,
): Promise<void> {
  const end = performance.now() + waitMs
  for (let last = 'nothing'; ; await delay(POLL_MS)) {
    try {
      const answer = await look(url, tls)
      if (isDone(answer.status)) return
      last = `${answer.status} ${answer.text}`
    } catch (error) {
      last = String(error)
    }
    if (performance.now() > end) throw new Error(`${url} answers ${last} after ${waitMs} ms`)
  }
}

/** One HTTP/1.1 request on a connection of its own. */
async function look(
  url: string,
  tls: PollTls | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const signal = AbortSignal.timeout(1_000)
  if (!tls) {
    const answer = await fetch(`http://${url}`, { signal })
    return { status: answer.status, text: await answer.text() }
  }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get(`https://${url}`, { ...tls(), agent: false, signal }, resolve).once('error', reject)
  const answer = await promise
  let text = ''
  for await (const part of answer.setEncoding('utf8')) text += String(part)
  return { status: answer.statusCode ?? 0, text }
}

function commandOf({ command = [HAKIRI] }: CoordClusterOptions, member: number): Command {
  const [first] = command
  if (typeof first === 'string') return command as Command
  const own = (command as readonly Command[])[member]
  if (!own) throw new Error(`member ${member + 1} has no command`)
  return own
}

function createMember(
  options: CoordClusterOptions,
  [program, ...first]: Command,
  endpoint: string,
  folder: string,
  args: readonly string[],
): CoordMember {
  let child: ChildProcess | undefined
  let ended: Promise<number | NodeJS.Signals> = Promise.resolve(0)
  let said = ''
  const isRunning = (): boolean => child?.exitCode === null && child.signalCode === null
  return {
    endpoint,
    folder,
    pid: () => (isRunning() ? child?.pid : undefined),
    output: () => said,
    ended: () => ended,
    async start() {
      if (isRunning()) throw new Error(`${endpoint} runs already`)
      said = ''
      const env = { ...process.env, NO_COLOR: '1', ...options.env }
      const started = spawn(program, [...first, ...args], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      started.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      started.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
      ended = new Promise((resolve, reject) => {
        started.once('error', reject)
        started.once('close', (code, signal) => resolve(code ?? signal ?? 1))
      })
      const early = ended.then((how) => {
        throw new Error(`${endpoint} ended with ${how}:\n${said}`)
      })
      await Promise.race([poll(`${endpoint}/livez`, READY_MS, isFine, options.tls), early])
      early.catch(() => undefined)
    },
    async signal(name) {
      if (!child || !isRunning()) return undefined
      // A paused process takes no other signal but the kill.
      child.kill(name)
      return name === 'SIGSTOP' || name === 'SIGCONT' ? undefined : ended
    },
  }
}

/**
 * One program of a chaos run on its host, as a service manager would keep it: what ends by itself is
 * started again after a second, and told to the timeline. An end that nothing explains is a problem of
 * the run.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createActor, type Actor, type ActorMemory, type Ending } from '../hosts/processes.ts'
import type { Environment } from '../hosts/environment.ts'
import type { Host } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'

export type Kept = AsyncDisposable & {
  readonly name: string
  readonly host: Host
  /** Undefined while it is down. */
  pid(): number | undefined
  state(): 'running' | 'stopped' | 'down'
  /** Starts it, unless it runs. It is not asked whether it is ready. */
  start(): void
  /** kill -9; resolves when it is gone. It stays down until it is started. */
  kill(): Promise<void>
  /**
   * SIGTERM, and kill -9 when the time is up, which is a problem; the time may grow meanwhile. It stays down
   * until it is started.
   */
  terminate(limitMs: () => number): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  /** Arguments from its next start on. */
  args: readonly string[]
  /** Exit codes that are the surroundings' fault, such as a cluster that cannot take a newcomer in just now. */
  excused: readonly number[]
  /**
   * While this is set, an end by itself is what a fault is about, and it is not started again. A process
   * that has lived while it was set may also end later of it: that is no problem either.
   */
  isToEnd: boolean
  memory(): Promise<ActorMemory | undefined>
  /** The last lines that it has said. */
  output(): readonly string[]
}

export type KeptOptions = {
  readonly name: string
  readonly host: Host
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Environment
  readonly cwd?: string
  readonly timeline: Timeline
  /** Exit codes that are the surroundings' fault, such as a catalog that is away at its start. */
  readonly excused?: readonly number[]
  readonly problem: (text: string) => void
}

const AGAIN_MS = 1_000
const WORDS_MAX = 25

export function keep(options: KeptOptions): Kept {
  const { name, timeline } = options
  const actor = createActor(options)
  let life = 0
  let isToEnd = false
  let lastHarmedLife = 0
  let isWanted = false
  let isStopped = false
  let isOver = false

  const follow = async (mine: number): Promise<void> => {
    const how = await actor.ended().catch((error: unknown) => String(error))
    if (mine !== life) return
    isStopped = false
    timeline.add({ kind: 'process', name, what: 'ended', how: String(how) })
    if (!isWanted || isOver) return
    if (isToEnd) {
      isWanted = false
      return
    }
    const isSurroundings = typeof how === 'number' && kept.excused.includes(how)
    const isExcused = isSurroundings || mine <= lastHarmedLife
    if (!isExcused) options.problem(`${name} ended by itself with ${how}\n${lastWords(actor)}`)
    await delay(AGAIN_MS)
    if (isWanted && mine === life) kept.start()
  }

  const endBy = (signal: NodeJS.Signals): Promise<Ending | undefined> => {
    isWanted = false
    return actor.signal(signal)
  }

  const kept: Kept = {
    name,
    host: options.host,
    pid: () => actor.pid(),
    args: options.args,
    excused: options.excused ?? [],
    get isToEnd() {
      return isToEnd
    },
    set isToEnd(isSet) {
      isToEnd = isSet
      if (isSet) lastHarmedLife = life
    },
    state: () => (actor.isRunning() ? (isStopped ? 'stopped' : 'running') : 'down'),
    start() {
      isWanted = true
      if (actor.isRunning() || isOver) return
      actor.start(kept.args)
      timeline.add({ kind: 'process', name, what: 'started' })
      life += 1
      if (isToEnd) lastHarmedLife = life
      follow(life).catch((error: unknown) => options.problem(`${name}: ${String(error)}`))
    },
    async kill() {
      await endBy('SIGKILL')
    },
    async terminate(limitMs) {
      const began = performance.now()
      const passedMs = (): number => Math.round(performance.now() - began)
      const gone = endBy('SIGTERM').then(() => true)
      for (let leftMs = limitMs(); leftMs > 0; leftMs = limitMs() - passedMs())
        if (await Promise.race([gone, delay(leftMs, false, { ref: false })])) return
      options.problem(`${name} was not gone ${passedMs()} ms after SIGTERM\n${lastWords(actor)}`)
      await endBy('SIGKILL')
    },
    async pause() {
      if (!actor.isRunning()) return
      await actor.signal('SIGSTOP')
      isStopped = true
      timeline.add({ kind: 'process', name, what: 'stopped' })
    },
    async resume() {
      if (!isStopped) return
      await actor.signal('SIGCONT')
      isStopped = false
      timeline.add({ kind: 'process', name, what: 'continued' })
    },
    memory: () => actor.memory(),
    output: () => actor.output(),
    async [Symbol.asyncDispose]() {
      isOver = true
      await kept.kill()
    },
  }
  return kept
}

function lastWords(actor: Actor): string {
  return actor.output().slice(-WORDS_MAX).join('\n')
}

/**
 * The running switch of a lab (switch.c): its interfaces, and the state of all its links, which is set as
 * a whole and is in force when `setLinks` resolves.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import type { LinkFault } from './lab.ts'
import { type LinkState, linkStates } from './links.ts'
import { buildNative } from './native.ts'

export type Switch = AsyncDisposable & {
  /** The interface of this name leads to the host of this number. */
  addPort(host: number, device: string): Promise<void>
  /** `numberOf` gives a host's number and throws for one that is unknown. */
  setLinks(faults: readonly LinkFault[], numberOf: (host: string) => number): Promise<void>
}

const SOURCE = new URL('./switch.c', import.meta.url)
const ANSWER_MS = 5_000
const SWITCH_PRIORITY = -15

/** Starts it in the namespace; equal seeds draw equal numbers. */
export async function startSwitch(namespace: string, seed: number): Promise<Switch> {
  const program = await buildNative(SOURCE, 'program')
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, program, String(seed)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // It stands for wires and routers, which nothing on the hosts can starve.
  if (child.pid !== undefined) setPriority(child.pid, SWITCH_PRIORITY)
  const ask = answersOf(child)
  let changes = 0
  return {
    addPort: (host, device) => ask(`port ${host} ${device}\n`, `port ${host}`),
    setLinks: (faults, numberOf) => {
      const change = ++changes
      const lines = [...linkStates(faults)].flatMap(([from, row]) =>
        [...row].map(([to, state]) => lineOf(numberOf(from), numberOf(to), state)),
      )
      return ask(`${lines.join('')}apply ${change}\n`, `applied ${change}`)
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const { promise, resolve } = Promise.withResolvers<void>()
      child.once('close', () => resolve())
      child.kill('SIGKILL')
      await promise
    },
  }
}

function lineOf(from: number, to: number, state: LinkState): string {
  const partsPerMillion = (percent: number): number => Math.round(percent * 10_000)
  const fields = [
    from,
    to,
    state.isCut ? 1 : 0,
    state.delayMs * 1_000,
    state.jitterMs * 1_000,
    partsPerMillion(state.lossPercent),
    partsPerMillion(state.duplicatePercent),
    partsPerMillion(state.reorderPercent),
    state.kbitPerS ?? 0,
  ]
  return `link ${fields.join(' ')}\n`
}

/** Sends text and waits for the line that answers it; rejects when the switch ends instead. */
function answersOf(child: ChildProcess): (text: string, answer: string) => Promise<void> {
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  let words = ''
  let failure: Error | undefined
  const end = (reason: string): void => {
    failure ??= new Error(`the switch ${reason}: ${words}`)
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  child.stdin?.on('error', () => undefined)
  child.stderr
    ?.setEncoding('utf8')
    .on('data', (text: string) => (words = (words + text).slice(-2_000)))
  child.once('error', ({ message }) => end(message))
  child.once('close', (code, signal) => end(`has ended with ${code ?? signal}`))
  if (child.stdout)
    createInterface(child.stdout).on('line', (line) => {
      waiting.get(line)?.resolve()
      waiting.delete(line)
    })
  return (text, answer) => {
    if (failure) return Promise.reject(failure)
    const asked = Promise.withResolvers<void>()
    waiting.set(answer, asked)
    child.stdin?.write(text)
    const timer = setTimeout(
      () => asked.reject(new Error(`the switch has not answered "${answer}" in ${ANSWER_MS} ms`)),
      ANSWER_MS,
    )
    return asked.promise.finally(() => clearTimeout(timer))
  }
}

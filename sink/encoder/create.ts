/**
 * Opens the encoder: one or more processes behind one port. Each process encodes one batch at a time;
 * scanning another meanwhile is a lane of its own, because that runs beside the engine, not in it.
 */
import type { Clock, Logger } from '../../lib/ports.ts'
import type { Encoder } from './encoder.ts'
import { createChildLink } from './child-link.ts'
import type { ChildLink, ChildProgram } from './child-link.ts'
import { createLane } from './lane.ts'
import type { Lane } from './lane.ts'
import { QUEUE_MAX } from './limits.ts'
import type { Answers, Call } from './protocol.ts'

export type EncoderOptions = {
  /** Memory for each process: 256 MB is enough for batches of BATCH_BYTES. */
  readonly memoryBytes: number
  /** An existing folder for spilled data. */
  readonly tempFolder: string
  readonly clock: Clock
  readonly logger: Logger
  /** Processes, each with its own memory. Default 1. */
  readonly children?: number
  /** A process that does nothing for so long is ended. */
  readonly idleMs?: number
  /** How long a cancelled job may take before its process is killed. */
  readonly graceMs?: number
  /** The program of the process, where it is not the file beside this one. */
  readonly child?: ChildProgram
}

const IDLE_MS = 30_000
const GRACE_MS = 5_000
/** Inspected batches of which the process is remembered, so that they are encoded there. */
const PLACES_MAX = 64

/** Starts no process yet: the first call does. */
export async function createEncoder(options: EncoderOptions): Promise<Encoder> {
  const slots = Array.from({ length: options.children ?? 1 }, () => createSlot(options))
  const places = new Map<string, Slot>()
  const forever = new AbortController().signal

  const slotFor = (path: string): Slot => places.get(path) ?? leastBusy(slots)
  const place = (path: string, slot: Slot): void => {
    places.delete(path)
    places.set(path, slot)
    if (places.size > PLACES_MAX) places.delete(places.keys().next().value ?? '')
  }
  return {
    inspect: async (input, signal) => {
      signal.throwIfAborted()
      if (input.format === 'csv')
        return input.columns.map((column) => ({ ...column, empty: false }))
      const slot = slotFor(input.path)
      place(input.path, slot)
      return slot.call({ kind: 'inspect', input }, signal)
    },
    encode: async (job, signal) => slotFor(job.input.path).call({ kind: 'encode', job }, signal),
    rewrite: async (job, signal) => leastBusy(slots).call({ kind: 'rewrite', job }, signal),
    encodeRejects: async (rows, outFolder) =>
      leastBusy(slots).call({ kind: 'rejects', rows, outFolder }, forever),
    async encodeCheckpoint(actionsPath, outPath) {
      await leastBusy(slots).call({ kind: 'checkpoint', actionsPath, outPath }, forever)
    },
    peakMemory: () => Promise.resolve(slots.reduce((sum, { link }) => sum + link.peakBytes(), 0)),
    async [Symbol.asyncDispose]() {
      await Promise.all(slots.map((slot) => slot.end()))
    },
  }
}

type Slot = {
  readonly link: ChildLink
  readonly busy: () => number
  call<K extends Call['kind']>(
    call: Extract<Call, { kind: K }>,
    signal: AbortSignal,
  ): Promise<Answers[K]>
  end(): Promise<void>
}

function createSlot(options: EncoderOptions): Slot {
  const { clock, logger, tempFolder } = options
  const link = createChildLink({
    memoryBytes: options.memoryBytes,
    tempFolder,
    child: options.child ?? { kind: 'file', file: new URL('./child.ts', import.meta.url) },
    clock,
    logger,
    graceMs: options.graceMs ?? GRACE_MS,
  })
  const engineLane = createLane(QUEUE_MAX)
  const scanLane = createLane(QUEUE_MAX)
  const idle = createIdleTimer(clock, options.idleMs ?? IDLE_MS, () => link.rest())
  const busy = (): number => engineLane.waiting() + scanLane.waiting()
  return {
    link,
    busy,
    async call(call, signal) {
      idle.stop()
      const lane: Lane = call.kind === 'inspect' ? scanLane : engineLane
      try {
        return await lane.run(signal, () => link.call(call, signal))
      } finally {
        if (busy() === 0) idle.start()
      }
    },
    async end() {
      idle.stop()
      await link[Symbol.asyncDispose]()
    },
  }
}

function leastBusy(slots: readonly Slot[]): Slot {
  return slots.reduce((best, slot) => (slot.busy() < best.busy() ? slot : best))
}

type IdleTimer = { start(): void; stop(): void }

function createIdleTimer(clock: Clock, idleMs: number, onIdle: () => Promise<void>): IdleTimer {
  let timer: AbortController | undefined
  const stop = (): void => {
    timer?.abort()
    timer = undefined
  }
  return {
    stop,
    start() {
      stop()
      timer = new AbortController()
      clock
        .sleep(idleMs, timer.signal)
        .then(onIdle)
        .catch(() => undefined)
    },
  }
}

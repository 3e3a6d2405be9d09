/**
 * What every workload of a history stands on: clients, a round to write down in, chance and time. An
 * actor does one thing after the other and never repeats a request that failed.
 */
import type { CoordClient } from '../../../../coord/client/client.ts'
import type { Clock, Random } from '../../../../lib/ports.ts'
import { send } from '../calls.ts'
import type { Recorder, Stamps } from '../record.ts'
import type { KvRequest, KvResponse, Outcome, Request, Step } from '../types.ts'

/** A client and the name by which the history knows where it connects. */
export type NamedClient = { readonly name: string; readonly client: CoordClient }

export type Work = {
  readonly recorder: Recorder
  readonly clients: readonly NamedClient[]
  /** Of all keys of this round; ends with a slash. */
  readonly prefix: string
  readonly random: Random
  readonly clock: Clock
  readonly stamps: Stamps
  /** Nothing new is begun once it fires; what has begun is brought to its end. */
  readonly stop: AbortSignal
  /** What has begun is given up. */
  readonly giveUp: AbortSignal
  /** Monotonic milliseconds after which the round ends. */
  readonly endsAtMs: number
  readonly callMs: number
  /** The longest pause between two calls of an actor. */
  readonly pauseMs: number
  /** Whether this round may compact the history of the coordinator. */
  readonly compacts: boolean
}

export type Actor = {
  readonly name: string
  readonly client: CoordClient
  call(request: Request): Promise<Outcome>
  /** A KV call; undefined when it was not answered. */
  ask(request: KvRequest): Promise<KvResponse | undefined>
  /** A value that nobody else writes. */
  token(): string
}

export function createActor(work: Work, name: string, { client, name: place }: NamedClient): Actor {
  let tokens = 0
  const full = `${name}@${place}`
  const actor: Actor = {
    name: full,
    client,
    async call(request) {
      const { callMs, recorder, giveUp } = work
      const outcome = await recorder.call(full, request, () =>
        send(client, request, { timeoutMs: callMs, signal: giveUp }),
      )
      await think(work, outcome.kind === 'ok' ? work.pauseMs : 10 * work.pauseMs + 20)
      return outcome
    },
    async ask(request) {
      const outcome = await actor.call(request)
      return outcome.kind === 'ok' && outcome.response.kind === 'kv' ? outcome.response : undefined
    },
    token: () => `${name}.${++tokens}`,
  }
  return actor
}

/** So many actors, spread over the clients, all at once until each of them is done. */
export async function runActors(
  work: Work,
  count: number,
  run: (actor: Actor) => Promise<void>,
): Promise<void> {
  const actors = Array.from({ length: count }, (_, at) =>
    createActor(work, `a${at}`, work.clients[at % work.clients.length]!),
  )
  await Promise.all(actors.map(run))
}

export function isOver({ stop, clock, endsAtMs, recorder }: Work): boolean {
  return stop.aborted || recorder.isFull() || clock.monotonic() >= endsAtMs
}

/** Waits for up to `mostMs`, shorter when everything is given up. */
export async function think({ clock, random, giveUp }: Work, mostMs: number): Promise<void> {
  if (giveUp.aborted) return
  await clock.sleep(mostMs * random.float(), giveUp).catch(() => undefined)
}

/** Asks again and again until there is an answer; undefined when that is given up. */
export async function insist(
  work: Work,
  actor: Actor,
  next: () => KvRequest,
): Promise<KvResponse | undefined> {
  while (!work.giveUp.aborted) {
    const response = await actor.ask(next())
    if (response) return response
    await think(work, 500)
  }
  return undefined
}

/** An actor with every endpoint, which gets through when any does. */
export function lastActor(work: Work): Actor {
  return createActor(work, 'audit', work.clients.at(-1)!)
}

export function pick<T>({ random }: Pick<Work, 'random'>, among: readonly T[]): T {
  return among[Math.floor(random.float() * among.length)]!
}

export function chance({ random }: Pick<Work, 'random'>, share: number): boolean {
  return random.float() < share
}

export const plainly = (...success: readonly Step[]): KvRequest => ({
  kind: 'kv',
  compare: [],
  success,
  failure: [],
})

/** What every test of the coordinator's client needs: a place, clients, keys of its own, a history. */
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'
import type { CoordClient, WatchBatch, Watcher } from '../../../coord/client/client.ts'
import { CoordError } from '../../../coord/client/client.ts'
import { createCoordClient } from '../../../coord/client/create.ts'
import type { ClientParts } from '../../../coord/client/pool.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'

export type CoordMember = {
  /** host:port for clients. */
  readonly endpoint: string
  /** Starts it, anew with its old data after `kill`; resolves once it is healthy. */
  start(): Promise<void>
  /** Of the process while it runs. */
  pid(): number | undefined
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT. */
  pause(): void
  resume(): void
}

export type CoordPlace = AsyncDisposable & { readonly members: readonly CoordMember[] }

export type Declare = (title: string, run: (t: ExecutionContext) => Promise<void>) => void

/** What tests need that ask nothing of the place: a client of it, which ends with the test. */
export type ClientSuite = {
  /** `test.serial`: faults are timed, and neighbours would blur them. */
  readonly test: Declare
  readonly name: string
  readonly client: (t: ExecutionContext) => Promise<CoordClient>
}

export type CoordSuite = Omit<ClientSuite, 'client'> & {
  readonly newPlace: (size: 1 | 3) => Promise<CoordPlace>
  /** One member that all tests without faults share; ended by whoever calls the suite. */
  readonly shared: () => Promise<CoordPlace>
}

/** The parts of a client as the product makes them. */
export const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
export const ATTEMPT_MS = 2_000
export const READ_MS = 8_000
/** How late a timer may be on a machine that is busy with other tests. */
export const LATE_MS = 1_500

/** A client of these endpoints that ends with the test. */
export function newClient(
  t: ExecutionContext,
  endpoints: readonly string[],
  options: {
    readonly attemptMs?: number
    readonly readMs?: number
    readonly parts?: ClientParts
  } = {},
): CoordClient {
  const { attemptMs = ATTEMPT_MS, readMs = READ_MS, parts = PARTS } = options
  const client = createCoordClient({ endpoints, attemptMs, readMs }, parts)
  t.teardown(() => client[Symbol.asyncDispose]())
  return client
}

/** A client of the shared member. */
export async function sharedClient(t: ExecutionContext, suite: CoordSuite): Promise<CoordClient> {
  const place = await suite.shared()
  return newClient(t, endpointsOf(place))
}

/** A place of its own that ends with the test. */
export async function ownPlace(
  t: ExecutionContext,
  suite: CoordSuite,
  size: 1 | 3,
): Promise<CoordPlace> {
  const place = await suite.newPlace(size)
  t.teardown(() => place[Symbol.asyncDispose]())
  return place
}

export function endpointsOf({ members }: CoordPlace): string[] {
  return members.map(({ endpoint }) => endpoint)
}

export function endpointAt(place: CoordPlace, index: number): string {
  const endpoint = endpointsOf(place)[index]
  if (endpoint === undefined) throw new RangeError(`there is no member ${index}`)
  return endpoint
}

/** An endpoint where nobody listens. */
export const NOBODY = '127.0.0.1:9'

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString()

/** A prefix that no other test uses. */
export function newPrefix(): string {
  return `t/${systemRandom.uuid()}/`
}

/** The end of the range of all keys that begin with `prefix`; its last byte must not be 0xff. */
export function prefixEnd(prefix: string): Uint8Array {
  const end = Buffer.from(prefix)
  const last = end.length - 1
  end[last] = (end[last] ?? 0) + 1
  return end
}

/** Waits for the signal; rejects when that takes longer than `limitMs`. */
export async function aborted(signal: AbortSignal, limitMs: number): Promise<void> {
  if (signal.aborted) return
  await once(signal, 'abort', { signal: AbortSignal.timeout(limitMs) })
}

/** The error of a call that must fail. */
export async function failureOf(t: ExecutionContext, call: Promise<unknown>): Promise<CoordError> {
  const error = await t.throwsAsync(call)
  if (!(error instanceof CoordError))
    throw new TypeError('the failure is no CoordError', { cause: error })
  return error
}

export type Seen = {
  readonly revision: number
  readonly type: number
  readonly key: string
  readonly value: string
}

/** Takes batches until an event of `lastKey` came; gives all events up to that. */
export async function eventsUntil(watcher: Watcher, lastKey: string): Promise<readonly Seen[]> {
  const seen: Seen[] = []
  for await (const batch of watcher) {
    seen.push(...eventsOf(batch))
    if (seen.some(({ key }) => key === lastKey)) return seen
  }
  throw new Error(`the watch ended before ${lastKey}`)
}

export function eventsOf(batch: WatchBatch): Seen[] {
  if (batch.kind !== 'events') return []
  return batch.events.map(({ type, kv }) => ({
    revision: kv?.modRevision ?? 0,
    type,
    key: text(kv?.key),
    value: text(kv?.value),
  }))
}

/** The history of a prefix from `from` on as a client without any trouble sees it. */
export async function historyOf(
  t: ExecutionContext,
  endpoints: string | readonly string[],
  prefix: string,
  from: number,
  lastKey: string,
): Promise<readonly Seen[]> {
  const client = newClient(t, typeof endpoints === 'string' ? [endpoints] : endpoints)
  const options = { rangeEnd: prefixEnd(prefix), startRevision: from }
  await using watcher = client.watch(bytes(prefix), options)
  return await eventsUntil(watcher, lastKey)
}

export type Writer = {
  /** Stops writing; gives how many puts were acknowledged. */
  stop(): Promise<number>
}

/** Puts one key after another without a pause until stopped; a put that fails is left alone. */
export function startWriter(client: CoordClient, prefix: string): Writer {
  let isStopped = false
  const run = async (): Promise<number> => {
    let acknowledged = 0
    for (let step = 0; !isStopped; step++) {
      try {
        await client.put({ key: bytes(`${prefix}${step % 7}`), value: bytes(String(step)) })
        acknowledged++
      } catch (error) {
        if (!(error instanceof CoordError)) throw error
        await systemClock.sleep(10)
      }
    }
    return acknowledged
  }
  const running = run()
  return {
    stop() {
      isStopped = true
      return running
    },
  }
}

/** Puts the key that ends a history; tries again because nobody minds it twice. */
export async function putLast(client: CoordClient, key: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await client.put({ key: bytes(key) })
      return
    } catch (error) {
      if (attempt > 50) throw error
      await systemClock.sleep(100)
    }
  }
}

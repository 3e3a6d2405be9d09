/**
 * Hears what other processes committed, over LISTEN on a connection of its own.
 *
 * What is heard are hints: a broken connection loses some, so each new one begins with a wake-up for
 * everything. Trouble here is never anybody's error; polling carries on without it.
 */
import { createHash } from 'node:crypto'
import { Socket } from 'node:net'
import pg from 'pg'
import { type Backoff, backoffMs } from '../lib/backoff.ts'
import { WAKE_TOPICS, type WakeTopic } from './cluster.ts'
import type { CatalogDeps } from './sql.ts'

/** Without an end: the catalog may be away for as long as it likes. */
const RECONNECT: Backoff = { retriesMax: Infinity, firstMs: 100, mostMs: 10_000 }
const CONNECT_TIMEOUT_MS = 10_000
/** A connection that lasted this long was a good one: the next begins with short waits again. */
const STEADY_MS = 30_000

export type WakeListener = (topic: WakeTopic) => void

export type Listener = {
  listen(listener: WakeListener): AsyncDisposable
  close(): Promise<void>
}

/** The channel of a schema; names of channels are short, those of schemas may not be. */
export function channelOf(schema: string): string {
  return `hakiri_${createHash('sha256').update(schema).digest('hex').slice(0, 32)}`
}

type Heard = {
  readonly listeners: Set<WakeListener>
  isConnected: boolean
}

/** Connects when the first listener comes; the connection stays until `close`. */
export function createListener(url: string, channel: string, deps: CatalogDeps): Listener {
  const heard: Heard = { listeners: new Set(), isConnected: false }
  const closing = new AbortController()
  let listening: Promise<void> | undefined
  return {
    listen: (listener) => {
      // One of its own, so that a listener that is there twice leaves once.
      const own = (topic: WakeTopic): void => listener(topic)
      heard.listeners.add(own)
      if (!closing.signal.aborted) {
        listening ??= keepListening(url, channel, deps, heard, closing.signal)
      }
      queueMicrotask(() => {
        if (heard.isConnected && heard.listeners.has(own))
          for (const topic of WAKE_TOPICS) own(topic)
      })
      return {
        [Symbol.asyncDispose]: async () => {
          heard.listeners.delete(own)
        },
      }
    },
    close: async () => {
      heard.listeners.clear()
      closing.abort()
      await listening
    },
  }
}

function tell(heard: Heard, topics: readonly WakeTopic[]): void {
  for (const topic of topics) for (const listener of heard.listeners) listener(topic)
}

/** Never rejects; ends when the signal fires. */
async function keepListening(
  url: string,
  channel: string,
  deps: CatalogDeps,
  heard: Heard,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    const began = deps.clock.monotonic()
    await listenOnce(url, channel, heard, signal)
    heard.isConnected = false
    if (signal.aborted) return
    if (deps.clock.monotonic() - began > STEADY_MS) attempt = 1
    // It rejects when the signal fires, and the loop ends then.
    await deps.clock
      .sleep(backoffMs(RECONNECT, attempt, deps.random), signal)
      .catch(() => undefined)
  }
}

/** Listens until the connection ends, however it does, or the signal fires. */
async function listenOnce(
  url: string,
  channel: string,
  heard: Heard,
  signal: AbortSignal,
): Promise<void> {
  const socket = new Socket()
  const client = new pg.Client({
    stream: () => socket,
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'hakiri catalog wake-ups',
  })
  // An error is followed by the end; unheard, it would end the process.
  client.on('error', () => undefined)
  client.on('notification', ({ payload }) => {
    tell(
      heard,
      WAKE_TOPICS.filter((topic) => topic === payload),
    )
  })
  // No goodbye: a server that does not answer would have us wait for its own.
  const stop = (): void => void socket.destroy()
  signal.addEventListener('abort', stop, { once: true })
  const ended = new Promise<void>((resolve) => {
    client.once('end', resolve)
  })
  try {
    await client.connect()
    await client.query(`listen ${pg.escapeIdentifier(channel)}`)
    heard.isConnected = !signal.aborted
    // What a listener throws is no trouble of the connection.
    if (heard.isConnected) queueMicrotask(() => tell(heard, WAKE_TOPICS))
    await ended
  } catch {
    // Why does not matter: the next attempt finds out whether it lasts.
  } finally {
    signal.removeEventListener('abort', stop)
    await client.end().catch(() => undefined)
  }
}

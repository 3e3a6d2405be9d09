/**
 * All endpoints together: picks one, keeps score, fails over. Invariant: a request whose outcome is
 * unknown is never sent again unless the caller said that it only reads.
 */
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import { type CallOptions, type ClientConfig, CoordError } from './client.ts'
import {
  markDown,
  markUp,
  newStanding,
  orderOf,
  parseEndpoint,
  type Standing,
} from './endpoints.ts'
import {
  cancelled,
  createLink,
  type Link,
  type Method,
  type OpenStream,
  type StreamHandlers,
} from './link.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { mayHelpElsewhere } from './outcome.ts'

export type ClientParts = {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export type PooledStream<Q> = OpenStream<Q> & {
  /** Cancels, and prefers other endpoints from now on: this one stopped answering. */
  blame(): void
}

/** A request handed to one link. */
export type Attempt<T> = (link: Link, limitMs: number) => Promise<T>

export type Pool = {
  /** Tries until an endpoint answers or `readMs` are over: only for what may be done twice. */
  repeat<T>(attempt: Attempt<T>, options?: CallOptions): Promise<T>
  /** Tries elsewhere only while nothing can have landed: one round. */
  once<T>(attempt: Attempt<T>, options?: CallOptions): Promise<T>
  /** Opens a stream on the best endpoint that can be reached. */
  stream<Q, A>(
    method: Method<Q, A>,
    to: StreamHandlers<A>,
    options: { readonly limitMs: number; readonly signal?: AbortSignal },
  ): Promise<PooledStream<Q>>
  /** One request answered by a stream. */
  download<Q, A>(
    method: Method<Q, A>,
    request: Q,
    to: StreamHandlers<A>,
    signal: AbortSignal | undefined,
  ): Promise<OpenStream<never>>
  close(): void
}

const CONNECT_MOST_MS = 2_000
const PAUSE_FIRST_MS = 25
const PAUSE_MOST_MS = 500
/** Attempts in a row without an answer after which a connection counts as dead. */
const SILENCES_MAX = 2

export function createPool(config: ClientConfig, parts: ClientParts): Pool {
  const { clock } = parts
  const endpoints = config.endpoints.map(parseEndpoint)
  if (endpoints.length === 0)
    throw new CoordError(STATUS.invalidArgument, 'no endpoint is given', 'failed')
  const links = endpoints.map((endpoint) => createLink({ endpoint, tls: config.tls, clock }))
  const scores = createScores(endpoints.length, links, parts)
  const connectMs = Math.min(config.attemptMs, CONNECT_MOST_MS)

  const tryOne = async <T>(
    index: number,
    attempt: Attempt<T>,
    limitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<T> => {
    const link = linkAt(links, index)
    try {
      const connecting = link.ready(Math.min(connectMs, limitMs), signal)
      if (connecting) await connecting
      const answer = await attempt(link, limitMs)
      scores.up(index)
      return answer
    } catch (error) {
      if (error instanceof CoordError) scores.note(index, error)
      throw error
    }
  }

  const once: Pool['once'] = async (attempt, options = {}) => {
    const { signal } = options
    const limitMs = options.timeoutMs ?? config.attemptMs
    let last: unknown
    for (const index of scores.order()) {
      if (signal?.aborted) throw cancelled(signal, 'failed')
      try {
        return await tryOne(index, attempt, limitMs, signal)
      } catch (error) {
        if (!isCoordError(error) || error.outcome === 'unknown' || !mayHelpElsewhere(error))
          throw error
        last = error
      }
    }
    throw last
  }

  return {
    once,
    async repeat(attempt, options = {}) {
      const { signal } = options
      const deadline = clock.monotonic() + (options.timeoutMs ?? config.readMs)
      for (let round = 0; ; round++) {
        for (const index of scores.order()) {
          if (signal?.aborted) throw cancelled(signal, 'failed')
          const leftMs = deadline - clock.monotonic()
          try {
            const limitMs = Math.max(1, Math.min(config.attemptMs, leftMs))
            return await tryOne(index, attempt, limitMs, signal)
          } catch (error) {
            const isOver = clock.monotonic() >= deadline
            if (!isCoordError(error) || !mayHelpElsewhere(error) || isOver) throw error
          }
        }
        await pause(round, Math.max(0, deadline - clock.monotonic()), parts, signal)
      }
    },
    stream: (method, to, options) =>
      openStream({ links, scores, connectMs, method, to, ...options }),
    download: (method, request, to, signal) =>
      once((link) => Promise.resolve(link.download(method, request, to)), signal ? { signal } : {}),
    close() {
      for (const link of links) link.close()
    },
  }
}

async function pause(
  round: number,
  mostMs: number,
  { clock, random }: ClientParts,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ceiling = Math.min(PAUSE_MOST_MS, PAUSE_FIRST_MS * 2 ** round)
  try {
    await clock.sleep(Math.min(mostMs, ceiling / 2 + (ceiling / 2) * random.float()), signal)
  } catch (error) {
    throw signal?.aborted ? cancelled(signal, 'failed') : error
  }
}

type Scores = {
  order(): readonly number[]
  up(index: number): void
  down(index: number): void
  note(index: number, error: CoordError): void
}

function createScores(count: number, links: readonly Link[], parts: ClientParts): Scores {
  const { clock, random, logger } = parts
  let standing: Standing = newStanding(count, random.float())
  const silences = links.map(() => 0)
  const down = (index: number): void => {
    standing = markDown(standing, index, clock.monotonic(), random.float())
  }
  return {
    order: () => orderOf(standing, clock.monotonic()),
    up(index) {
      silences[index] = 0
      standing = markUp(standing, index)
    },
    down,
    note(index, error) {
      const isSilence = error.status === STATUS.deadlineExceeded
      silences[index] = isSilence ? (silences[index] ?? 0) + 1 : 0
      if (!mayHelpElsewhere(error)) return
      logger.log('debug', 'a coordinator failed a call', {
        endpoint: index,
        status: error.status,
        reason: error.message,
      })
      down(index)
      if ((silences[index] ?? 0) < SILENCES_MAX) return
      // Half open: the other side may be gone without a word, and a new connection would tell.
      silences[index] = 0
      linkAt(links, index).renew()
    },
  }
}

type StreamParts<Q, A> = {
  readonly links: readonly Link[]
  readonly scores: Scores
  readonly connectMs: number
  readonly method: Method<Q, A>
  readonly to: StreamHandlers<A>
  readonly limitMs: number
  readonly signal?: AbortSignal
}

async function openStream<Q, A>(parts: StreamParts<Q, A>): Promise<PooledStream<Q>> {
  const { links, scores, connectMs, limitMs, signal } = parts
  let last: unknown
  for (const index of scores.order()) {
    if (signal?.aborted) throw cancelled(signal, 'failed')
    try {
      await linkAt(links, index).ready(Math.min(connectMs, limitMs), signal)
      return streamOn(index, parts)
    } catch (error) {
      // Also when the caller lost patience while this one was connecting.
      scores.down(index)
      if (!isCoordError(error) || !mayHelpElsewhere(error)) throw error
      last = error
    }
  }
  throw last
}

function streamOn<Q, A>(index: number, parts: StreamParts<Q, A>): PooledStream<Q> {
  const { links, scores, method, to } = parts
  let hasAnswered = false
  const stream = linkAt(links, index).duplex(method, true, {
    onAnswer(answer) {
      if (!hasAnswered) scores.up(index)
      hasAnswered = true
      to.onAnswer(answer)
    },
    onEnd(error) {
      // A server that closes streams in good order is about to stop.
      scores.down(index)
      to.onEnd(error)
    },
  })
  return {
    ...stream,
    blame() {
      scores.down(index)
      stream.cancel()
    },
  }
}

function linkAt(links: readonly Link[], index: number): Link {
  const link = links[index]
  if (!link) throw new RangeError(`no endpoint has the number ${index}`)
  return link
}

function isCoordError(error: unknown): error is CoordError {
  return error instanceof CoordError
}

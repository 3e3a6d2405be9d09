/**
 * How long a membership may be used. Invariant: once its session is lost, by the holder's own deadline
 * or because the lease is known to be gone, nothing that it is asked for succeeds any more.
 */
import type { Session } from '../coord/client/client.ts'
import { sessionLost } from './failures.ts'

export type Life = {
  readonly lost: AbortSignal
  /** Monotonic milliseconds until which the session is certain. */
  certainUntil(): number
  /** Throws when the session is over, or with the reason of the caller's signal. */
  check(signal?: AbortSignal): void
  /** The caller's signal and the end of the session in one. */
  within(signal: AbortSignal): AbortSignal
  /** The lease turned out to be gone before the deadline. */
  end(cause: unknown): void
}

export function createLife(worker: string, session: Session): Life {
  const lost = new AbortController()
  const end = (cause: unknown): void => lost.abort(sessionLost(worker, cause))
  const onLost = (): void => end(session.lost.reason)
  if (session.lost.aborted) onLost()
  else session.lost.addEventListener('abort', onLost, { once: true })
  return {
    lost: lost.signal,
    certainUntil: () => (lost.signal.aborted ? Number.NEGATIVE_INFINITY : session.certainUntil()),
    check(signal) {
      lost.signal.throwIfAborted()
      signal?.throwIfAborted()
    },
    within: (signal) => AbortSignal.any([signal, lost.signal]),
    end,
  }
}

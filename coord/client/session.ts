/**
 * A lease that is kept alive: drives the session machine with a renewal stream and a clock. The stream
 * is the session's own, so a renewal never waits behind anybody else's.
 */
import type { LeaseKeepAliveResponse } from '../../proto/gen/rpc.ts'
import { CoordError, type Session } from './client.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import type { StreamHandlers } from './link.ts'
import type { ClientParts, PooledStream } from './pool.ts'
import {
  answerLimitOf,
  type SessionEffect,
  type SessionInput,
  type SessionLoss,
  type SessionStep,
  startSession,
  stepSession,
  wakeAt,
} from './session-state.ts'
import { createTimer } from './timer.ts'

export type SessionParts = ClientParts & {
  /** Opens a stream of renewals; an answer comes for each lease that is sent. */
  readonly openRenewals: (
    to: StreamHandlers<LeaseKeepAliveResponse>,
    options: { readonly limitMs: number; readonly signal: AbortSignal },
  ) => Promise<PooledStream<{ readonly id: bigint }>>
  /** Gives the lease back; called once, at the end. */
  readonly revoke: (lease: bigint) => Promise<void>
}

/** What a grant answered, and when it was sent on the monotonic clock. */
export type Grant = { readonly id: bigint; readonly ttlMs: number; readonly sentAt: number }

/** Keeps `grant` alive until it is lost or disposed of. */
export function keepSession(grant: Grant, parts: SessionParts): Session {
  const { clock, random, logger } = parts
  const lost = new AbortController()
  const timer = createTimer(clock, () => take({ kind: 'time' }))
  const renewals = createRenewals(grant.id, parts, (input) => take(input))
  const first = startSession(grant.ttlMs, grant.sentAt, clock.monotonic())
  let { state } = first
  let loss: SessionLoss['why'] | 'released' | undefined

  const end = (why: SessionLoss['why'] | 'released'): void => {
    loss = why
    lost.abort(lossError(grant.id, why))
  }
  const perform = (effect: SessionEffect): void => {
    switch (effect.kind) {
      case 'open':
        return renewals.open(answerLimitOf(state.ttlMs))
      case 'renew':
        return renewals.renew()
      case 'drop':
        return renewals.drop(true)
      case 'lost':
        logger.log('warn', 'a session was lost', { lease: grant.id.toString(16), why: effect.why })
        return end(effect.why)
    }
  }
  const settle = (step: SessionStep): void => {
    state = step.state
    for (const effect of step.effects) perform(effect)
    timer.set(wakeAt(state))
  }
  const take = (input: SessionInput): void => {
    if (loss === undefined) settle(stepSession(state, input, clock.monotonic(), random.float()))
  }
  settle(first)

  return {
    lease: grant.id,
    get ttlMs() {
      return state.ttlMs
    },
    lost: lost.signal,
    certainUntil: () => (loss === undefined ? state.certainUntil : Number.NEGATIVE_INFINITY),
    async [Symbol.asyncDispose]() {
      timer.set(undefined)
      renewals.drop(false)
      if (loss === 'released') return
      const isGone = loss === 'unknown-lease'
      end('released')
      if (!isGone) await parts.revoke(grant.id)
    },
  }
}

function lossError(lease: bigint, why: SessionLoss['why'] | 'released'): CoordError {
  const name = `the session with lease ${lease.toString(16)}`
  const text = {
    expired: `${name} was lost: no renewal was acknowledged in time`,
    'unknown-lease': `${name} was lost: the coordinator does not know the lease any more`,
    released: `${name} was released`,
  }
  return new CoordError(STATUS.notFound, text[why], 'failed')
}

type Renewals = {
  open(limitMs: number): void
  renew(): void
  /** Gives the stream up; `blame` prefers other endpoints from now on. */
  drop(blame: boolean): void
}

/** The renewal stream, at most one at a time; what an abandoned one still says is not heard. */
function createRenewals(
  lease: bigint,
  parts: SessionParts,
  tell: (input: SessionInput) => void,
): Renewals {
  let current:
    { readonly ended: AbortController; stream?: PooledStream<{ readonly id: bigint }> } | undefined
  return {
    open(limitMs) {
      const mine: NonNullable<typeof current> = { ended: new AbortController() }
      current = mine
      const say = (input: SessionInput): void => {
        if (current === mine) tell(input)
      }
      const handlers = {
        onAnswer: (answer: LeaseKeepAliveResponse) =>
          say({ kind: 'acknowledged', ttlSeconds: answer.ttl }),
        onEnd: () => say({ kind: 'broken' }),
      }
      const opening = parts.openRenewals(handlers, { limitMs, signal: mine.ended.signal })
      opening.then(
        (stream) => {
          if (current !== mine) return stream.cancel()
          mine.stream = stream
          say({ kind: 'opened' })
        },
        () => say({ kind: 'broken' }),
      )
    },
    renew: () => current?.stream?.send({ id: lease }),
    drop(blame) {
      const old = current
      current = undefined
      old?.ended.abort()
      if (blame) old?.stream?.blame()
      else old?.stream?.cancel()
    },
  }
}

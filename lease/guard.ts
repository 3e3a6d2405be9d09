/**
 * Writes of one session. Each is a transaction that happens only while the worker's member record is
 * the one that the session wrote last, so a write of an earlier session changes nothing.
 *
 * Invariant: a write whose outcome is unknown is settled before anything else is said about it. The
 * guard writes the member record anew; from then on the lost write either has happened or never will,
 * because what it compares with is gone. Only then it is sent again, and its operations are such that
 * doing them twice is doing them once.
 */
import { CoordError, type CoordClient } from '../coord/client/client.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock, Logger, Random } from '../lib/ports.ts'
import type { KeyValue } from '../proto/gen/kv.ts'
import type { Compare, RequestOp, ResponseOp } from '../proto/gen/rpc.ts'
import { coordFailure } from './failures.ts'
import type { Life } from './life.ts'
import { isWrittenAt, put, read } from './ops.ts'

export type GuardParts = {
  readonly client: CoordClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly worker: string
  readonly lease: bigint
  /** Key of the worker's member record. */
  readonly key: Uint8Array
  readonly life: Life
}

export type GuardedWrite = {
  readonly doing: string
  readonly compare?: readonly Compare[]
  readonly operations: readonly RequestOp[]
  /** What to read when `compare` does not hold. */
  readonly otherwise?: readonly RequestOp[]
}

export type GuardedAnswer = {
  /** False: `compare` did not hold, and nothing was written. */
  readonly isDone: boolean
  readonly responses: readonly ResponseOp[]
  readonly revision: number
}

export type Guard = {
  /** Rejects with SESSION_LOST, the signal's reason, or what the coordinator says. */
  write(write: GuardedWrite, signal: AbortSignal): Promise<GuardedAnswer>
  /** Replaces the member record. */
  record(value: Uint8Array, signal: AbortSignal): Promise<void>
}

const PAUSES = { retriesMax: Infinity, firstMs: 50, mostMs: 1_000 }

/** Over a member record that was written with `value` at `revision`. */
export function createGuard(parts: GuardParts, value: Uint8Array, revision: number): Guard {
  const { client, clock, random, logger, key, lease, life, worker } = parts
  let current = { value, revision }

  /** Takes over where the member record stands now, as a failed comparison showed it. */
  const look = ({ responses }: { readonly responses: readonly ResponseOp[] }): void => {
    const kv = responses[0]?.responseRange?.kvs[0]
    if (kv?.lease !== lease) life.end(new Error(goneText(worker, kv)))
    else current = { value: kv.value, revision: kv.modRevision }
    life.check()
  }

  const pause = async (attempt: number, signal: AbortSignal): Promise<void> => {
    try {
      await clock.sleep(backoffMs(PAUSES, attempt, random), life.within(signal))
    } catch (error) {
      life.check(signal)
      throw error
    }
  }

  /**
   * After this no write that was sent before can happen any more. Goes on while the session lasts: what
   * was asked for cannot be told before.
   */
  const settle = async (signal: AbortSignal): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      life.check(signal)
      const before = current
      try {
        const answer = await client.txn(
          {
            compare: [isWrittenAt(key, before.revision)],
            success: [put(key, before.value, lease)],
            failure: [read(key)],
          },
          { signal: life.within(signal) },
        )
        if (answer.succeeded) current = { ...current, revision: answer.revision }
        else look(answer)
        return
      } catch (error) {
        if (!(error instanceof CoordError)) throw error
        logger.log('debug', 'a write is not settled yet', { attempt, reason: error.message })
        await pause(attempt, signal)
      }
    }
  }

  const send = async (
    { compare = [], operations, otherwise = [] }: GuardedWrite,
    signal: AbortSignal,
  ): Promise<GuardedAnswer | undefined> => {
    const before = current.revision
    const {
      succeeded,
      responses,
      revision: at,
    } = await client.txn(
      {
        compare: [isWrittenAt(key, before), ...compare],
        success: operations,
        failure: [read(key), ...otherwise],
      },
      { signal: life.within(signal) },
    )
    life.check(signal)
    if (succeeded) return { isDone: true, responses, revision: at }
    look({ responses })
    // Another write of this session moved the guard: nothing of this one happened.
    if (current.revision !== before) return undefined
    return { isDone: false, responses: responses.slice(1), revision: at }
  }

  const write: Guard['write'] = async (request, signal) => {
    for (;;) {
      life.check(signal)
      try {
        const answer = await send(request, signal)
        if (answer) return answer
      } catch (error) {
        life.check(signal)
        if (!(error instanceof CoordError) || error.outcome === 'failed')
          throw coordFailure(error, request.doing)
        logger.log('info', 'a write is looked after', {
          doing: request.doing,
          reason: error.message,
        })
        await settle(signal)
      }
    }
  }
  return {
    write,
    async record(next, signal) {
      const operations = [put(key, next, lease)]
      const { revision: at } = await write(
        { doing: 'cannot update the member', operations },
        signal,
      )
      current = { value: next, revision: at }
    },
  }
}

function goneText(worker: string, kv: KeyValue | undefined): string {
  return kv
    ? `another process took the name ${worker}`
    : 'the coordinator does not know the worker any more'
}

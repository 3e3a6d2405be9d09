/**
 * The planner's office: one key under the session of whoever has it. Invariant: assignments are written
 * only while that key is the one of this term, so a planner that was deposed changes nothing, and what
 * it published before stays complete for the units it named.
 */
import { CoordError, type CoordClient } from '../coord/client/client.ts'
import { backoffMs } from '../lib/backoff.ts'
import { HakiriError } from '../lib/error.ts'
import type { Clock, Logger, Random } from '../lib/ports.ts'
import type { RequestOp } from '../proto/gen/rpc.ts'
import { type ClaimParts, otherHolder } from './claims.ts'
import type { Move, PlannerTerm } from './coordination.ts'
import type { Life } from './life.ts'
import { create, isCreatedAt, put, remove } from './ops.ts'
import { encodeHolder } from './records.ts'

export type PlannerParts = ClaimParts & {
  readonly client: CoordClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly life: Life
}

const PER_WRITE = 100
const RESIGN_MS_MAX = 5_000
const PAUSES = { retriesMax: Infinity, firstMs: 50, mostMs: 2_000 }
const DELETED = 1

/** Waits until the office is free and takes it. */
export async function campaign(parts: PlannerParts, signal: AbortSignal): Promise<PlannerTerm> {
  for (;;) {
    const tried = await tryToTake(parts, signal)
    if (tried.kind === 'taken') return createTerm(parts, tried.revision)
    await untilFree(parts, tried.revision, signal)
  }
}

type Try = {
  /** held: as of `revision`. taken: by a key created at `revision`. */
  readonly kind: 'taken' | 'held'
  readonly revision: number
}

async function tryToTake(
  { guard, keys, worker, lease }: PlannerParts,
  signal: AbortSignal,
): Promise<Try> {
  const operations = [create(keys.planner, encodeHolder(worker), lease)]
  const answer = await guard.write({ doing: 'cannot become the planner', operations }, signal)
  const response = answer.responses[0]
  if (otherHolder(response, lease)) return { kind: 'held', revision: answer.revision }
  const own = response?.responseTxn?.responses[0]?.responseRange?.kvs[0]
  return { kind: 'taken', revision: own?.createRevision ?? answer.revision }
}

/** Returns when the planner's key went away after `revision`, or when it is unclear whether it did. */
async function untilFree(
  { client, clock, random, logger, keys, life }: PlannerParts,
  revision: number,
  signal: AbortSignal,
): Promise<void> {
  const within = life.within(signal)
  const options = { startRevision: revision + 1, signal: within }
  try {
    await using watcher = client.watch(keys.planner, options)
    for await (const batch of watcher) {
      if (batch.kind === 'compacted') return
      if (batch.kind === 'events' && batch.events.some(({ type }) => type === DELETED)) return
    }
  } catch (error) {
    if (!(error instanceof CoordError)) throw error
    logger.log('debug', 'the planner is watched anew', { reason: error.message })
  }
  life.check(signal)
  // The watch ended by itself, which it does only for want of a server that takes it.
  await clock.sleep(backoffMs(PAUSES, 3, random), within).catch(() => life.check(signal))
}

function createTerm(parts: PlannerParts, token: number): PlannerTerm {
  const { keys, guard, life, logger, worker } = parts
  const ended = new AbortController()
  const lost = AbortSignal.any([ended.signal, life.lost])
  const isMine = isCreatedAt(keys.planner, token)
  const depose = (): 'deposed' => {
    ended.abort(new HakiriError('SESSION_LOST', `worker ${worker} is not the planner any more`))
    return 'deposed'
  }
  logger.log('info', 'this worker plans now', { term: token })

  const publishAll = async (moves: readonly Move[], signal: AbortSignal) => {
    const operations = assignmentsOf(parts, moves)
    for (let at = 0; at < operations.length; at += PER_WRITE) {
      if (lost.aborted) return 'deposed'
      const batch = operations.slice(at, at + PER_WRITE)
      const write = { doing: 'cannot publish', compare: [isMine], operations: batch }
      const { isDone } = await guard.write(write, signal)
      if (!isDone) return depose()
    }
    return 'published'
  }
  return {
    lost,
    async publish(moves, signal) {
      if (lost.aborted) return 'deposed'
      try {
        return await publishAll(moves, signal)
      } catch (error) {
        // A session that ended deposes like anything else; it wrote nothing of the rest.
        if (life.lost.aborted) return 'deposed'
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      if (lost.aborted) return
      depose()
      const write = {
        doing: 'cannot resign',
        compare: [isMine],
        operations: [remove(keys.planner)],
      }
      try {
        await guard.write(write, AbortSignal.timeout(RESIGN_MS_MAX))
      } catch (error) {
        // The office falls vacant with the session.
        const reason = error instanceof Error ? error.message : String(error)
        logger.log('warn', 'the office of the planner could not be given back', { reason })
      }
    },
  }
}

/** The last word on each unit. */
function assignmentsOf({ keys }: PlannerParts, moves: readonly Move[]): readonly RequestOp[] {
  const targets = new Map(moves.map(({ unit, to }) => [unit, to]))
  return [...targets].map(([unit, to]) => {
    const key = keys.assignment(unit)
    return to === undefined ? remove(key) : put(key, encodeHolder(to), 0n)
  })
}

/**
 * Locks under leases, and counters that only the holder may write: each write names the create revision
 * of the lock it was made under. Some holders keep their lease by a session of the product, some renew it
 * by hand and forget it as a crashed one would, and some go on writing after their deadline, which must
 * do no harm.
 */
import { CoordError } from '../../../../coord/client/client.ts'
import { leaseText } from '../calls.ts'
import { endOf } from '../store-model.ts'
import type { KvRequest, KvResponse } from '../types.ts'
import { chance, insist, isOver, lastActor, think, pick, plainly, runActors } from './work.ts'
import type { Actor, Work } from './work.ts'

const ACTORS = 5
const LOCKS = ['one', 'two'] as const
const TTL_S = 2
const WRITES_MAX = 30

/** Who holds, and until when by its own reckoning. */
type Holder = {
  readonly lease: string
  /** Stamp until which the lease is certain; in the past when it is not any more. */
  certainUntilUs(): number
  renew(): Promise<void>
  end(): Promise<void>
}

export async function runLocks(work: Work): Promise<void> {
  await runActors(work, ACTORS, async (actor) => {
    while (!isOver(work)) {
      const holder = await newHolder(work, actor)
      if (!holder) continue
      const lock = `${work.prefix}lock/${pick(work, LOCKS)}`
      const createRevision = await acquire(work, actor, holder, lock)
      if (createRevision !== undefined) await hold(work, actor, holder, { lock, createRevision })
      await holder.end()
    }
  })
  const last = lastActor(work)
  const audit = await insist(work, last, () =>
    plainly({ kind: 'get', key: work.prefix, end: endOf(work.prefix) }),
  )
  if (audit) work.recorder.close(audit.revision)
}

function newHolder(work: Work, actor: Actor): Promise<Holder | undefined> {
  return chance(work, 0.5) ? openSession(work, actor) : grantLease(work, actor)
}

/** A session keeps its own deadline; whether that is sound is what is to be seen. */
async function openSession(work: Work, actor: Actor): Promise<Holder | undefined> {
  try {
    const session = await actor.client.session(TTL_S, { signal: work.giveUp })
    return {
      lease: leaseText(session.lease),
      certainUntilUs: () => Math.floor(session.certainUntil() * 1_000),
      renew: () => Promise.resolve(),
      end: async () => session[Symbol.asyncDispose](),
    }
  } catch (error) {
    if (!(error instanceof CoordError)) throw error
    await think(work, 500)
    return undefined
  }
}

/** A lease without a keeper: certain until its TTL after the last renewal that was acknowledged was sent. */
async function grantLease(work: Work, actor: Actor): Promise<Holder | undefined> {
  let untilUs = 0
  const sentUs = work.stamps.next()
  const outcome = await actor.call({ kind: 'grant', ttlSeconds: TTL_S })
  if (outcome.kind !== 'ok' || outcome.response.kind !== 'lease') return undefined
  const { lease, ttlSeconds } = outcome.response
  untilUs = sentUs + ttlSeconds * 1e6
  return {
    lease,
    certainUntilUs: () => (work.stamps.next() < untilUs ? untilUs : -Infinity),
    async renew() {
      const againUs = work.stamps.next()
      if (againUs < untilUs - 1.5e6) return
      const answer = await actor.call({ kind: 'renew', lease })
      const isOk = answer.kind === 'ok' && answer.response.kind === 'lease'
      if (isOk && answer.response.ttlSeconds > 0)
        untilUs = againUs + answer.response.ttlSeconds * 1e6
    },
    async end() {
      if (chance(work, 0.5)) await actor.call({ kind: 'revoke', lease })
    },
  }
}

/** The create revision of the lock if it was got. */
async function acquire(
  work: Work,
  actor: Actor,
  { lease }: Holder,
  lock: string,
): Promise<number | undefined> {
  for (let tries = 0; tries < 5 && !isOver(work); tries++) {
    const response = await actor.ask({
      kind: 'kv',
      compare: [{ key: lock, target: 'create', is: '=', than: 0 }],
      success: [{ kind: 'put', key: lock, value: actor.token(), lease }],
      failure: [{ kind: 'get', key: lock }],
    })
    if (response?.succeeded) return response.revision
    await think(work, 150)
  }
  return undefined
}

type Held = { readonly lock: string; readonly createRevision: number }

/** Writes for as long as it holds; what it believed is noted at the end. */
async function hold(work: Work, actor: Actor, holder: Holder, held: Held): Promise<void> {
  const fromUs = work.stamps.next()
  let certainUs = holder.certainUntilUs()
  for (let writes = 0; writes < WRITES_MAX && !isOver(work); writes++) {
    const isCertain = holder.certainUntilUs()
    if (isCertain === -Infinity) break
    certainUs = isCertain
    await holder.renew()
    const response = await actor.ask(guardedWrite(work, actor, held))
    if (response && !response.succeeded) break
    if (chance(work, 0.04)) break
  }
  const untilUs = Math.min(certainUs, work.stamps.next())
  work.recorder.hold({ client: actor.name, ...held, fromUs, untilUs: Math.max(fromUs, untilUs) })
  await leave(work, actor, held)
}

/** Gives the lock back, or tries to write once more in spite of everything, or just goes. */
async function leave(work: Work, actor: Actor, held: Held): Promise<void> {
  const lot = work.random.float()
  if (lot < 0.5) await release(actor, held)
  else if (lot < 0.75) await actor.ask(guardedWrite(work, actor, held))
}

function guardedWrite({ prefix }: Work, actor: Actor, { lock, createRevision }: Held): KvRequest {
  const counter = `${prefix}counter/${lock.slice(lock.lastIndexOf('/') + 1)}`
  return {
    kind: 'kv',
    compare: [{ key: lock, target: 'create', is: '=', than: createRevision }],
    success: [
      { kind: 'get', key: counter },
      { kind: 'put', key: counter, value: actor.token() },
    ],
    failure: [{ kind: 'get', key: lock }],
  }
}

function release(actor: Actor, { lock, createRevision }: Held): Promise<KvResponse | undefined> {
  return actor.ask({
    kind: 'kv',
    compare: [{ key: lock, target: 'create', is: '=', than: createRevision }],
    success: [{ kind: 'delete', key: lock }],
    failure: [{ kind: 'get', key: lock }],
  })
}

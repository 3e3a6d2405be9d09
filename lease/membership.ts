/** One worker in the cluster, from its join to its leave. */
import type { CoordClient, Session } from '../coord/client/client.ts'
import { assert } from '../lib/assert.ts'
import type { Random } from '../lib/ports.ts'
import { claimUnits, releaseUnits } from './claims.ts'
import type { Membership, WorkerIdentity } from './coordination.ts'
import { coordFailure } from './failures.ts'
import { createGuard } from './guard.ts'
import { type JoinParts, takeName } from './join.ts'
import { createLife } from './life.ts'
import { campaign, type PlannerParts } from './planner-term.ts'
import { encodeMember, UNKNOWN_WORKER } from './records.ts'

export type MembershipParts = JoinParts & {
  readonly random: Random
  readonly holderOf: (value: Uint8Array) => string
}

/** Opens a session and takes the name. */
export async function join(
  parts: MembershipParts,
  identity: WorkerIdentity,
  ttlMs: number,
  signal: AbortSignal,
): Promise<Membership> {
  assert(isName(identity.name), `"${identity.name}" is no name of a worker`)
  const doing = `worker ${identity.name} cannot join`
  const session = await openSession(parts.client, ttlMs, signal).catch((error: unknown) => {
    throw failure(error, doing, signal)
  })
  try {
    const { revision, value } = await takeName(parts, identity, session, signal)
    return createMembership(parts, identity, session, value, revision)
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw failure(error, doing, signal)
  }
}

function isName(name: string): boolean {
  return name !== '' && name !== UNKNOWN_WORKER && !name.includes('/')
}

function openSession(client: CoordClient, ttlMs: number, signal: AbortSignal): Promise<Session> {
  return client.session(Math.ceil(ttlMs / 1_000), { signal })
}

function failure(error: unknown, doing: string, signal: AbortSignal): unknown {
  return signal.aborted ? signal.reason : coordFailure(error, doing)
}

function createMembership(
  given: MembershipParts,
  identity: WorkerIdentity,
  session: Session,
  value: Uint8Array,
  revision: number,
): Membership {
  const { keys } = given
  const { name } = identity
  const life = createLife(name, session)
  const base = { ...given, worker: name, lease: session.lease, life }
  const guard = createGuard({ ...base, key: keys.member(name) }, value, revision)
  const parts: PlannerParts = { ...base, guard }
  return {
    name,
    lost: life.lost,
    certainUntil: () => life.certainUntil(),
    claim: (units, signal) => claimUnits(parts, units, signal),
    release: (units, signal) => releaseUnits(parts, units, signal),
    campaign: (signal) => campaign(parts, signal),
    announceLeaving: (signal) => guard.record(encodeMember(identity, 'leaving'), signal),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}

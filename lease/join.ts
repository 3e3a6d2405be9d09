/**
 * How a worker takes its name: the member record is created under a fresh session, only where there is
 * none. Invariant: two living workers never have the same name; the record of one that lives is never
 * removed by another.
 */
import { CoordError, type CoordClient, type Session } from '../coord/client/client.ts'
import { HakiriError } from '../lib/error.ts'
import { STATUS } from '../lib/grpc-status.ts'
import type { Clock, Logger } from '../lib/ports.ts'
import type { KeyValue } from '../proto/gen/kv.ts'
import type { MemberRecord, WorkerIdentity } from './coordination.ts'
import { sessionLost } from './failures.ts'
import type { Keys } from './keys.ts'
import { create } from './ops.ts'
import { otherHolder } from './claims.ts'
import { requireCommonProtocol } from './protocol.ts'
import { decodeMember, encodeMember, leaseName } from './records.ts'

export type JoinParts = {
  readonly client: CoordClient
  readonly clock: Clock
  readonly logger: Logger
  readonly keys: Keys
  /** Whether a process with this id runs on this machine. */
  readonly isAlive: (pid: number) => boolean
}

/** How much longer than its TTL a lease may be seen: a change of leader, and the next look at expiry. */
const EXTRA_MS = 3_000
const DELETED = 1
const UNKNOWN_MAX = 5

/** Creates the member record under `session`; gives its revision and value. */
export async function takeName(
  parts: JoinParts,
  identity: WorkerIdentity,
  session: Session,
  signal: AbortSignal,
): Promise<{ readonly revision: number; readonly value: Uint8Array }> {
  const { clock } = parts
  const within = AbortSignal.any([signal, session.lost])
  const value = encodeMember(identity, 'active')
  requireCommonProtocol(identity, await membersBefore(parts, Infinity, identity.name, signal))
  let patienceEnds: number | undefined
  for (;;) {
    signal.throwIfAborted()
    if (session.lost.aborted) throw sessionLost(identity.name, session.lost.reason)
    const { other, revision, createdAt } = await tryName(
      parts,
      identity.name,
      value,
      session,
      signal,
    )
    if (!other) {
      // Somebody may have come in between; of two that do not understand each other the later one goes.
      const earlier = await membersBefore(parts, createdAt, identity.name, signal)
      requireCommonProtocol(identity, earlier)
      return { revision: createdAt, value }
    }
    const former = decodeMember(identity.name, other)
    if (former && isFormerSelf(parts, identity, former)) await revoke(parts, other.lease, signal)
    else {
      patienceEnds ??= clock.monotonic() + (await patienceFor(parts, other.lease, signal))
      const leftMs = patienceEnds - clock.monotonic()
      if (leftMs <= 0) throw twin(identity, former, other)
      await untilGone(parts, parts.keys.member(identity.name), revision, leftMs, within)
    }
  }
}

/** Of this very process, whose session is over; or of one on this machine that is dead. */
function isFormerSelf({ isAlive }: JoinParts, self: WorkerIdentity, former: MemberRecord): boolean {
  if (former.incarnation === self.incarnation) return true
  return former.machine === self.machine && former.machine !== '' && !isAlive(former.pid)
}

async function tryName(
  { client, keys }: JoinParts,
  name: string,
  value: Uint8Array,
  session: Session,
  signal: AbortSignal,
): Promise<{
  readonly other: KeyValue | undefined
  readonly revision: number
  readonly createdAt: number
}> {
  const request = {
    compare: [],
    success: [create(keys.member(name), value, session.lease)],
    failure: [],
  }
  for (let attempt = 1; ; attempt++) {
    try {
      const { responses, revision } = await client.txn(request, { signal })
      const other = otherHolder(responses[0], session.lease)
      // Where an attempt whose answer was lost had created it.
      const own = responses[0]?.responseTxn?.responses[0]?.responseRange?.kvs[0]
      return { other, revision, createdAt: own?.createRevision ?? revision }
    } catch (error) {
      // Creating it twice under one lease is creating it once, so this may be sent again.
      const isUnclear = error instanceof CoordError && error.outcome === 'unknown'
      if (!isUnclear || signal.aborted || attempt === UNKNOWN_MAX) throw error
    }
  }
}

/** Members whose records were created before `revision`, as far as they can be read. */
async function membersBefore(
  { client, keys, logger }: JoinParts,
  revision: number,
  self: string,
  signal: AbortSignal,
): Promise<readonly MemberRecord[]> {
  const { kvs } = await client.range(keys.members, { signal })
  return kvs.flatMap((kv) => {
    const meaning = keys.read(kv.key)
    if (meaning.kind !== 'member' || meaning.name === self) return []
    const member = decodeMember(meaning.name, kv)
    if (!member)
      logger.log('warn', 'the record of a member cannot be read', { worker: meaning.name })
    return member && kv.createRevision < revision ? member : []
  })
}

async function revoke({ client, logger }: JoinParts, lease: bigint, signal: AbortSignal) {
  logger.log('info', 'the session of a former self is ended', { lease: leaseName(lease) })
  try {
    await client.leaseRevoke(lease, { signal })
  } catch (error) {
    // Whether it is gone by now shows when the name is tried again.
    const isGone = error instanceof CoordError && error.status === STATUS.notFound
    const isUnclear = error instanceof CoordError && error.outcome === 'unknown'
    if (!isGone && !isUnclear) throw error
  }
}

async function patienceFor(
  { client }: JoinParts,
  lease: bigint,
  signal: AbortSignal,
): Promise<number> {
  // A record under no lease never goes away by itself.
  if (lease === 0n) return 0
  const { grantedTtl } = await client.leaseTimeToLive(lease, { signal })
  return grantedTtl * 1_000 + EXTRA_MS
}

/** Returns when the key was deleted after `revision`, when the time is over or the signal fires, or when it is unclear. */
async function untilGone(
  { client, clock }: JoinParts,
  key: Uint8Array,
  revision: number,
  limitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  const finish = (): void => over.abort()
  clock.sleep(limitMs, both).then(finish, finish)
  try {
    await using watcher = client.watch(key, { startRevision: revision + 1, signal: both })
    for await (const batch of watcher)
      if (batch.kind === 'events' && batch.events.some(({ type }) => type === DELETED)) break
  } finally {
    finish()
  }
}

function twin(
  { name }: WorkerIdentity,
  former: MemberRecord | undefined,
  { lease }: KeyValue,
): HakiriError {
  const who = former
    ? `process ${former.pid} at ${former.address}, started ${new Date(former.startedAt).toISOString()}`
    : 'somebody whose record cannot be read'
  const session = lease === 0n ? 'under no session' : `with session ${leaseName(lease)}`
  return new HakiriError('COORD_REFUSED', `the name ${name} is taken by ${who}, ${session}`, {
    suggestion: 'Stop that worker, or start this one with another --name.',
  })
}

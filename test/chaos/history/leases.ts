/**
 * How long leases live. L2: a lease is there until its TTL after the last acknowledged renewal was
 * sent, whatever leads meanwhile; and it ends within a bound when nobody renews it while the cluster is
 * whole. All keys of a lease go in one revision, and what has ended does not come back.
 */
import type { Finding, Operation, Round } from './types.ts'

export type LeaseOptions = {
  /** How much of a TTL a lease may end early, 0 to 1: for runs whose clocks are bent. */
  readonly earlyShare: number
  /** What may pass after the TTL until a lease has ended in a whole cluster. */
  readonly lateMs: number
}

export const LEASE_OPTIONS: LeaseOptions = { earlyShare: 0, lateMs: 10_000 }

/** An answer that says whether a lease, or a key that lives by it, is there. */
type Sight = { readonly op: Operation; readonly isThere: boolean }

type Lease = {
  readonly id: string
  readonly ttlUs: number
  /** When the last acknowledged grant or renewal was sent. */
  readonly certainFromUs: number
  /** When the last grant or renewal that may have had an effect was over. */
  readonly possibleToUs: number
  /** When the first revocation was sent. */
  readonly revokedUs: number
  readonly sights: readonly Sight[]
  readonly keys: ReadonlySet<string>
}

export function checkLeases(
  round: Pick<Round, 'operations' | 'watches' | 'calm'>,
  options: LeaseOptions = LEASE_OPTIONS,
): readonly Finding[] {
  const leases = collect(round.operations)
  return [
    ...leases.flatMap((lease) => checkEarly(lease, options)),
    ...leases.flatMap((lease) => checkLate(lease, round.calm, options)),
    ...leases.flatMap(checkReturn),
    ...checkTogether(round, leases),
  ]
}

function collect(operations: readonly Operation[]): readonly Lease[] {
  const granted = new Map<string, Operation[]>()
  const ownerOf = new Map<string, Owner>()
  for (const op of operations) {
    const { request, outcome } = op
    if (request.kind === 'grant' && outcome.kind === 'ok' && outcome.response.kind === 'lease')
      granted.set(outcome.response.lease, [op])
    if (request.kind === 'kv' && outcome.kind === 'ok')
      for (const step of request.success)
        if (step.kind === 'put' && step.lease !== undefined)
          ownerOf.set(step.key, { lease: step.lease, fromUs: op.completedUs })
  }
  for (const op of operations)
    for (const lease of leasesOf(op, ownerOf)) granted.get(lease)?.push(op)
  const keys = Map.groupBy(ownerOf, ([, { lease }]) => lease)
  return [...granted].map(([id, ops]) =>
    describe(id, ops, new Set((keys.get(id) ?? []).map(([key]) => key))),
  )
}

/** The lease of a key, and when the write of the key was answered. */
type Owner = { readonly lease: string; readonly fromUs: number }

/** The leases about which an answer can tell something. */
function leasesOf(
  { request, invokedUs }: Operation,
  ownerOf: ReadonlyMap<string, Owner>,
): readonly string[] {
  switch (request.kind) {
    case 'renew':
    case 'revoke':
    case 'remaining':
      return [request.lease]
    case 'kv':
      return request.success.flatMap((step) => {
        if (step.kind === 'put') return step.lease ?? []
        const owner = ownerOf.get(step.key)
        return owner && step.kind === 'get' && owner.fromUs < invokedUs ? owner.lease : []
      })
    case 'grant':
    case 'compact':
      return []
  }
}

function describe(id: string, ops: readonly Operation[], keys: ReadonlySet<string>): Lease {
  let ttlUs = 0
  let certainFromUs = 0
  let possibleToUs = 0
  let revokedUs = Infinity
  const sights: Sight[] = []
  for (const op of ops) {
    const { request, outcome } = op
    if (request.kind === 'revoke') revokedUs = Math.min(revokedUs, op.invokedUs)
    const isSign = request.kind === 'grant' || request.kind === 'renew'
    if (isSign && outcome.kind !== 'failed') possibleToUs = Math.max(possibleToUs, op.completedUs)
    const isThere = sees(op)
    if (isThere !== undefined) sights.push({ op, isThere })
    if (!isSign || isThere !== true) continue
    certainFromUs = Math.max(certainFromUs, op.invokedUs)
    if (outcome.kind === 'ok' && outcome.response.kind === 'lease')
      ttlUs = Math.max(ttlUs, outcome.response.ttlSeconds * 1e6)
  }
  return { id, ttlUs, certainFromUs, possibleToUs, revokedUs, sights, keys }
}

/** Whether an answer says that the lease is there; undefined if it says nothing. */
function sees({ request, outcome }: Operation): boolean | undefined {
  if (outcome.kind === 'failed') return /lease not found/.test(outcome.why) ? false : undefined
  if (outcome.kind !== 'ok') return undefined
  if (outcome.response.kind === 'lease') return outcome.response.ttlSeconds > 0
  if (outcome.response.kind !== 'kv' || request.kind !== 'kv' || request.isSerializable)
    return undefined
  const [result] = outcome.response.results
  return result?.kind === 'got' ? result.kvs.length > 0 : undefined
}

function checkEarly(lease: Lease, { earlyShare }: LeaseOptions): Finding[] {
  const untilUs = lease.certainFromUs + lease.ttlUs * (1 - earlyShare)
  return lease.sights.flatMap(({ op, isThere }) => {
    if (isThere || op.completedUs >= untilUs || op.completedUs > lease.revokedUs) return []
    const text = `lease ${lease.id} was gone ${untilUs - op.completedUs} µs before its time`
    return [{ rule: 'lease-early', text, operations: [op.id] }]
  })
}

/** A sight of it, asked for after all that may have prolonged it and after a calm that was long enough. */
function checkLate(lease: Lease, calm: Round['calm'], { lateMs }: LeaseOptions): Finding[] {
  return lease.sights.flatMap(({ op, isThere }) => {
    const during = calm.find(
      ({ fromUs, untilUs }) => fromUs <= op.invokedUs && op.invokedUs < untilUs,
    )
    if (!isThere || !during || op.request.kind === 'renew' || op.request.kind === 'grant') return []
    const endUs = Math.max(lease.possibleToUs, during.fromUs) + lease.ttlUs + lateMs * 1_000
    if (op.invokedUs <= endUs) return []
    const text = `lease ${lease.id} was there ${op.invokedUs - endUs} µs after it should have ended`
    return [{ rule: 'lease-late', text, operations: [op.id] }]
  })
}

function checkReturn({ id, sights }: Lease): Finding[] {
  let goneAt: Operation | undefined
  for (const { op, isThere } of sights)
    if (!isThere && op.completedUs < (goneAt?.completedUs ?? Infinity)) goneAt = op
  const back =
    goneAt && sights.find(({ op, isThere }) => isThere && op.invokedUs > goneAt.completedUs)
  if (!back || !goneAt) return []
  const text = `lease ${id} was there again after it had ended`
  return [{ rule: 'lease-back', text, operations: [goneAt.id, back.op.id] }]
}

/** The keys of a lease vanish in one revision, as every watch shows. */
function checkTogether({ watches }: Pick<Round, 'watches'>, leases: readonly Lease[]): Finding[] {
  const goneAt = new Map<string, number>()
  for (const batch of watches.flatMap(({ batches }) => batches))
    if (batch.kind === 'events')
      for (const { type, kv } of batch.events) if (type === 'delete') goneAt.set(kv.key, kv.mod)
  return leases.flatMap(({ id, keys }) => {
    const revisions = new Set([...keys].flatMap((key) => goneAt.get(key) ?? []))
    if (revisions.size <= 1) return []
    const text = `the keys of lease ${id} went at ${[...revisions].join(' and ')}`
    return [{ rule: 'lease-torn', text, operations: [] }]
  })
}

/** The leases and what hangs on them. Which keys those are follows from the keys' newest changes. */
import type { LeaseRecord } from './types.ts'

export const LEASE_TTL_MAX = 9_000_000_000

/** Counted for each lease, so that leases fill the quota too. */
export const LEASE_COST_BYTES = 64

type Lease = LeaseRecord & { readonly keyIds: Set<number> }

export type Leases = {
  readonly byId: Map<bigint, Lease>
  /** Leases whose record in the image is out of date. */
  readonly unsaved: Set<bigint>
}

export function createLeases(): Leases {
  return { byId: new Map(), unsaved: new Set() }
}

export function addLease(leases: Leases, { id, ttl, grantIndex }: LeaseRecord): void {
  leases.byId.set(id, { id, ttl, grantIndex, keyIds: new Set() })
  leases.unsaved.add(id)
}

export function removeLease(leases: Leases, id: bigint): void {
  leases.byId.delete(id)
  leases.unsaved.add(id)
}

export function attach(leases: Leases, id: bigint, keyId: number): void {
  if (id !== 0n) leases.byId.get(id)?.keyIds.add(keyId)
}

export function detach(leases: Leases, id: bigint, keyId: number): void {
  if (id !== 0n) leases.byId.get(id)?.keyIds.delete(keyId)
}

/** In the order of their ids, which does not depend on how the store came to be. */
export function listLeases(leases: Leases): readonly LeaseRecord[] {
  return [...leases.byId.values()]
    .map(({ id, ttl, grantIndex }) => ({ id, ttl, grantIndex }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** K3, R4: members whose stores stand at the same revision have the same hash, and never step back. */
import type { KvStore } from '../../../coord/kv/types.ts'
import { demand } from './violation.ts'

export type StateChecker = {
  looked(member: bigint, replica: { readonly store: KvStore; readonly applied: number }): void
}

/** Hashing every revision would cost more than the rest of a run. */
const EVERY_REVISIONS = 16

type Looked = { store: KvStore; revision: number; applied: number }

export function createStateChecker(): StateChecker {
  const hashes = new Map<string, { readonly hash: number; readonly member: bigint }>()
  const last = new Map<bigint, Looked>()

  function compare(member: bigint, store: KvStore, revision: number): void {
    const result = store.hash(revision)
    if (!result.ok) return
    const { hash, compactRevision } = result.value
    const key = `${revision}/${compactRevision}`
    const known = hashes.get(key)
    if (!known) hashes.set(key, { hash, member })
    const isSame = (known?.hash ?? hash) === hash
    demand(isSame, 'K3', () => `${member} and ${known?.member} differ at revision ${key}`)
  }

  return {
    looked(member, { store, applied }) {
      const { revision } = store
      const before = last.get(member)
      if (before && before.store === store) {
        demand(
          revision >= before.revision,
          'K1',
          () => `${member}: ${before.revision} → ${revision}`,
        )
        demand(applied >= before.applied, 'R4', () => `${member} applied ${applied} again`)
      }
      last.set(member, { store, revision, applied })
      const step = Math.floor(revision / EVERY_REVISIONS)
      if (step > Math.floor((before?.revision ?? 0) / EVERY_REVISIONS))
        compare(member, store, step * EVERY_REVISIONS)
    },
  }
}

/**
 * A catalog and a store that wait when their other side is away, so that what is encoded is kept and the
 * source feels the backpressure, instead of being read again. Only calls that may be repeated wait. Once
 * the signal has fired every call is refused: nothing is committed under a session that is lost (L2).
 */
import type { Catalog } from '../../catalog/catalog.ts'
import { backoffMs, type Backoff } from '../../lib/backoff.ts'
import { HakiriError, type Code } from '../../lib/error.ts'
import type { Clock, Random } from '../../lib/ports.ts'
import type { ObjectStore } from '../../sink/store/store.ts'

export type Patience = {
  /** Ends the waiting, and everything after it. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly random: Random
}

const PAUSE: Backoff = { retriesMax: Number.MAX_SAFE_INTEGER, firstMs: 100, mostMs: 2_000 }
const CATALOG_AWAY: readonly Code[] = ['CATALOG_UNREACHABLE', 'CATALOG_LOCKED', 'CATALOG_AUTH']
/** Refused credentials are a pause too: keys are rotated, and nothing may be dropped for it. */
const STORE_AWAY: readonly Code[] = ['STORE_UNREACHABLE', 'STORE_AUTH']

/** What a runner calls, and may call again: the same commit under the same epoch has one outcome. */
const CATALOG_CALLS = [
  'table',
  'tables',
  'ensureTable',
  'evolveSchema',
  'requestDecision',
  'decisions',
  'acquireShard',
  'shardState',
  'shardStates',
  'commit',
  'commitShards',
  'knownPaths',
  'settleShards',
] as const satisfies readonly (keyof Catalog)[]

export function patientCatalog(catalog: Catalog, patience: Patience): Catalog {
  return patientOver(catalog, CATALOG_CALLS, CATALOG_AWAY, patience)
}

export function patientStore(store: ObjectStore, patience: Patience): ObjectStore {
  return patientOver(store, ['put', 'putFile'], STORE_AWAY, patience)
}

function patientOver<T extends object>(
  target: T,
  calls: readonly (keyof T)[],
  away: readonly Code[],
  patience: Patience,
): T {
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name)
      if (typeof member !== 'function') return member
      const call = member.bind(object) as (...args: readonly unknown[]) => unknown
      const waits = (calls as readonly PropertyKey[]).includes(name)
      return (...args: readonly unknown[]) => {
        if (!waits) return call(...args)
        return patiently(() => Promise.resolve(call(...args)), away, patience)
      }
    },
  })
}

async function patiently<R>(
  call: () => Promise<R>,
  away: readonly Code[],
  { signal, clock, random }: Patience,
): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    if (signal.aborted) throw new HakiriError('CANCELLED', 'the session of this worker is over')
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof HakiriError) || !away.includes(error.code)) throw error
      await clock.sleep(backoffMs(PAUSE, attempt, random), signal).catch(() => undefined)
    }
  }
}

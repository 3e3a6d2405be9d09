/** The coordination port over a client of a coordinator: ours, a real etcd, or one inside this process. */
import type { CoordClient } from '../coord/client/client.ts'
import type { Clock, Logger, Random } from '../lib/ports.ts'
import type { Coordination } from './coordination.ts'
import { coordFailure } from './failures.ts'
import { createKeys } from './keys.ts'
import { join } from './membership.ts'
import { createHolderReader } from './records.ts'
import { readView } from './view.ts'
import { type LiveView, watchView } from './watch-view.ts'

export type CoordinationParts = {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Of all keys of the cluster; ends with a slash, e.g. `hakiri/CATALOG/`. */
  readonly prefix: string
  /** Whether a process with this id runs on this machine. */
  readonly isAlive: (pid: number) => boolean
}

/**
 * The client stays the caller's. Disposing of this ends its watches; memberships are disposed of by
 * whoever joined.
 */
export function createCoordination(client: CoordClient, given: CoordinationParts): Coordination {
  const parts = {
    ...given,
    client,
    keys: createKeys(given.prefix),
    holderOf: createHolderReader(),
  }
  const views = new Set<LiveView>()
  return {
    join: (identity, ttlMs, signal) => join(parts, identity, ttlMs, signal),
    watch(onChange) {
      const view = watchView(parts, onChange)
      views.add(view)
      return {
        get current() {
          return view.current
        },
        async [Symbol.asyncDispose]() {
          views.delete(view)
          await view[Symbol.asyncDispose]()
        },
      }
    },
    async view(signal) {
      try {
        const { state, revision } = await readView(parts, signal)
        return state.at(revision)
      } catch (error) {
        throw signal.aborted ? signal.reason : coordFailure(error, 'cannot read the cluster')
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...views].map((view) => view[Symbol.asyncDispose]()))
      views.clear()
    },
  }
}

/**
 * How long one turn applies entries. A slice is small but of unknown cost, and time is not the
 * replica's to measure: so slices are taken one by one until the turn has had its share, and heartbeats
 * leave in between however long the backlog is.
 */
import type { Replica } from './types.ts'

/** After this no further slice is begun in the same turn. */
const SHARE_MS = 5

/** `carryOut` gets what each slice brought; false from `isLive` ends it. */
export function workShare(
  replica: Pick<Replica, 'hasWork' | 'work' | 'takeEffects'>,
  now: () => number,
  isLive: () => boolean,
  carryOut: (effects: ReturnType<Replica['takeEffects']>) => void,
): void {
  const from = now()
  do {
    if (replica.hasWork()) replica.work(now())
    carryOut(replica.takeEffects())
  } while (isLive() && replica.hasWork() && now() - from < SHARE_MS)
}

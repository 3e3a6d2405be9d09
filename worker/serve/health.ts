/** What this worker depends on, and whether it is there: one log line per change, reasons for /readyz. */
import { HakiriError } from '../../lib/error.ts'
import type { Clock, Logger } from '../../lib/ports.ts'
import type { Dependency, ServeObserver } from './deps.ts'

export type Health = {
  /** `place`: which one, where a worker has several of a kind. */
  isUp(dependency: Dependency, place?: string): void
  isDown(dependency: Dependency, why: string, place?: string): void
  /** Why this worker is not ready; empty when it is. */
  reasons(): readonly string[]
}

type Outage = { readonly dependency: Dependency; readonly since: number; readonly why: string }

export function createHealth(parts: {
  readonly clock: Clock
  readonly logger: Logger
  readonly observer: Pick<ServeObserver, 'dependencyChanged'>
}): Health {
  const { clock, logger, observer } = parts
  /** By kind and place: two buckets do not answer for each other. */
  const outages = new Map<string, Outage>()
  const keyOf = (dependency: Dependency, place: string): string => `${dependency} ${place}`
  const isOut = (dependency: Dependency): boolean =>
    [...outages.values()].some((outage) => outage.dependency === dependency)
  return {
    isUp(dependency, place = '') {
      const outage = outages.get(keyOf(dependency, place))
      if (!outage) return
      outages.delete(keyOf(dependency, place))
      const awayMs = Math.round(clock.monotonic() - outage.since)
      logger.log('info', `the ${dependency} is back`, { awayMs, ...named(place) })
      if (!isOut(dependency)) observer.dependencyChanged(dependency, true)
    },
    isDown(dependency, why, place = '') {
      if (outages.has(keyOf(dependency, place))) return
      const isFirst = !isOut(dependency)
      outages.set(keyOf(dependency, place), { dependency, since: clock.monotonic(), why })
      const effect = EFFECTS[dependency]
      logger.log('warn', `the ${dependency} is away`, { why, effect, ...named(place) })
      if (isFirst) observer.dependencyChanged(dependency, false)
    },
    reasons: () => [...outages.values()].map(({ dependency, why }) => `${dependency}: ${why}`),
  }
}

function named(place: string): { readonly place?: string } {
  return place === '' ? {} : { place }
}

const EFFECTS: Readonly<Record<Dependency, string>> = {
  coordinator: 'shards at work go on while the catalog lets them; nothing new is claimed',
  catalog: 'nothing is committed; what is encoded is kept',
  bucket: 'nothing new is committed; committed work is published later',
}

/** The same object, with the fate of each of its calls told to `health`. */
export function watched<T extends object>(
  target: T,
  dependency: Dependency,
  prefix: 'CATALOG_' | 'STORE_',
  health: Health,
  place?: string,
): T {
  const judge = (error: unknown): void => {
    if (error instanceof HakiriError && error.code.startsWith(prefix)) {
      if (AWAY.test(error.code)) health.isDown(dependency, error.message, place)
    }
  }
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name)
      if (typeof member !== 'function') return member
      const call = member.bind(object) as (...args: readonly unknown[]) => unknown
      return (...args: readonly unknown[]) => {
        const answer = call(...args)
        if (answer instanceof Promise) answer.then(() => health.isUp(dependency, place), judge)
        return answer
      }
    },
  })
}

const AWAY = /_(UNREACHABLE|AUTH|LOCKED)$/

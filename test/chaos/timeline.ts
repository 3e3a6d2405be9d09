/**
 * What happened in a chaos run, in order of time: the one record that reports are drawn from and that
 * checks may read. Times are milliseconds since the run began, by one monotonic clock.
 */
export type TimelineEvent = { readonly atMs: number } & (
  | { readonly kind: 'phase'; readonly name: 'warm-up' | 'faults' | 'healing' | 'audit' | 'end' }
  | {
      readonly kind: 'fault-begins'
      readonly fault: number
      readonly title: string
      readonly hosts: readonly string[]
    }
  | { readonly kind: 'fault-ends'; readonly fault: number }
  /** A coordinator leads from now on, as it says itself. */
  | { readonly kind: 'leader'; readonly member: string; readonly term: number }
  /** Who has claimed a unit from now on; nobody when it is undefined. */
  | { readonly kind: 'holder'; readonly unit: string; readonly worker: string | undefined }
  | {
      readonly kind: 'commit'
      readonly pipeline: string
      readonly shard: string
      readonly epoch: number
      readonly seq: number
      readonly files: number
      /** As the catalog's database knows it. */
      readonly worker: string
    }
  | {
      readonly kind: 'process'
      readonly name: string
      readonly what: 'started' | 'stopped' | 'continued' | 'ended'
      readonly how?: string
    }
  | {
      readonly kind: 'memory'
      readonly name: string
      readonly rssBytes: number
      readonly childrenRssBytes: number
    }
  | { readonly kind: 'note'; readonly text: string }
  /** A check that did not hold. */
  | { readonly kind: 'problem'; readonly check: string; readonly text: string }
)

export type Timeline = {
  /** Milliseconds since the run began. */
  nowMs(): number
  add(event: DistributiveOmit<TimelineEvent, 'atMs'>): void
  /** For what is heard of later than it happened. */
  addAt(atMs: number, event: DistributiveOmit<TimelineEvent, 'atMs'>): void
  /** In order of time but for those that were heard of later. */
  readonly events: readonly TimelineEvent[]
}

type DistributiveOmit<T, Key extends PropertyKey> = T extends unknown ? Omit<T, Key> : never

/** `now` gives monotonic milliseconds. */
export function createTimeline(now: () => number): Timeline {
  const began = now()
  const events: TimelineEvent[] = []
  const nowMs = (): number => Math.round(now() - began)
  return {
    nowMs,
    events,
    add: (event) => void events.push({ atMs: nowMs(), ...event }),
    addAt: (atMs, event) => void events.push({ atMs, ...event }),
  }
}

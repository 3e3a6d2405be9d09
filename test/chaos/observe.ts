/**
 * Watches a run from outside and writes into its timeline: who leads and in which term, who holds what, how
 * much memory each process has. It also checks what only an onlooker sees: one leader a term (R1).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { CoordClient } from '../../coord/client/client.ts'
import { createKeys } from '../../lease/keys.ts'
import { createHolderReader } from '../../lease/records.ts'
import { type Event, EventType } from '../../proto/gen/kv.ts'
import type { Kept } from './cast/kept.ts'
import type { Coordinators } from './cast/coordinators.ts'
import type { Backend } from './faults/catalogue.ts'
import type { Claims } from './pipelines/writers.ts'
import type { Slowness } from './slowness.ts'
import type { Timeline } from './timeline.ts'

/** Ends when it is disposed of; what it found is there then. */
export type Observer = AsyncDisposable & {
  problems(): readonly string[]
  /** What was looked at, in words. */
  seen(): string
}

const LOOK_MS = 400
const MEMORY_MS = 2_000

/**
 * Asks each coordinator whether it leads. Of etcd nothing is demanded: its status reads leader and term one
 * after the other, so that one that is deposed in between puts its own name beside the next term.
 */
export function observeLeaders(
  coordinators: Coordinators,
  backend: Backend,
  timeline: Timeline,
): Observer {
  const leaders = new Map<number, Set<string>>()
  let last = ''
  let looks = 0
  const look = async (): Promise<void> => {
    for (const { name, term } of await coordinators.leaders()) {
      const known = leaders.get(term) ?? new Set()
      leaders.set(term, known.add(name))
      looks += 1
    }
    const newest = Math.max(...leaders.keys())
    const member = [...(leaders.get(newest) ?? [])].at(-1)
    if (member === undefined || last === `${member} ${newest}`) return
    last = `${member} ${newest}`
    timeline.add({ kind: 'leader', member, term: newest })
  }
  return repeat(LOOK_MS, look, {
    problems: () =>
      [...leaders]
        .filter(([, names]) => backend === 'raft' && names.size > 1)
        .map(([term, names]) => `term ${term} had ${names.size} leaders: ${[...names].join(', ')}`),
    seen: () => `${looks} answers of leaders, ${leaders.size} terms`,
  })
}

/** Memory of each process, and how long they all had to wait for a processor. */
export function observeMemory(
  kept: () => readonly Kept[],
  timeline: Timeline,
  slowness: Slowness,
): Observer {
  let looks = 0
  const look = async (): Promise<void> => {
    await slowness.look(kept().flatMap((one) => one.pid() ?? []))
    for (const one of kept()) {
      const memory = await one.memory()
      if (!memory) continue
      looks += 1
      const { childrenRssBytes } = memory
      const rssBytes = memory.rssBytes + childrenRssBytes
      timeline.add({ kind: 'memory', name: one.name, rssBytes, childrenRssBytes })
    }
  }
  return repeat(MEMORY_MS, look, { problems: () => [], seen: () => `${looks} looks` })
}

export type HolderObserver = Observer & {
  /** Resolves when nothing is missed from now on. */
  readonly begun: Promise<unknown>
  /** Everyone who has claimed a unit; undefined when some of it was compacted away unseen. */
  claims(): Claims | undefined
}

/** Every claim from now on: the coordinator shows each change once (K2), so none is missed. */
export function observeHolders(
  client: CoordClient,
  prefix: string,
  timeline: Timeline,
): HolderObserver {
  const keys = createKeys(prefix)
  const holderOf = createHolderReader()
  const ended = new AbortController()
  const problems: string[] = []
  const holders = new Map<string, string>()
  const claimed = new Map<string, Set<string>>()
  const take = ({ kv, type }: Event): void => {
    const meaning = kv ? keys.read(kv.key) : undefined
    if (!kv || meaning?.kind !== 'claim') return
    const { unit } = meaning
    const worker = type === EventType.delete ? undefined : holderOf(kv.value)
    const before = holders.get(unit)
    if (worker !== undefined && before !== undefined && before !== worker)
      problems.push(`${unit} went from ${before} to ${worker} without being free (L1)`)
    if (worker === undefined) holders.delete(unit)
    else holders.set(unit, worker)
    if (worker !== undefined) claimed.set(unit, (claimed.get(unit) ?? new Set()).add(worker))
    if (worker !== before) timeline.add({ kind: 'holder', unit, worker })
  }
  const begun = Promise.withResolvers<unknown>()
  let isWhole = true
  const follow = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await using watcher = client.watch(keys.all.key, {
        rangeEnd: keys.all.rangeEnd,
        signal: ended.signal,
      })
      watcher.created.then(begun.resolve, begun.reject)
      for await (const batch of watcher) {
        if (batch.kind === 'events') batch.events.forEach(take)
        // What happened in between is not known: nobody is taken for a holder any more.
        if (batch.kind === 'compacted') {
          holders.clear()
          isWhole = false
        }
      }
    }
  }
  const following = follow().catch((error: unknown) => {
    if (!ended.signal.aborted) problems.push(`the watch of claims ended: ${String(error)}`)
  })
  return {
    problems: () => problems,
    begun: begun.promise,
    claims: () => (isWhole ? claimed : undefined),
    seen: () =>
      `${claimed.size} units, ${[...claimed.values()].reduce((sum, { size }) => sum + size, 0)} different holders${isWhole ? '' : '; some were compacted away unseen, so takings were not compared with claims'}`,
    async [Symbol.asyncDispose]() {
      ended.abort()
      await following
    },
  }
}

function repeat(
  everyMs: number,
  look: () => Promise<void>,
  found: Pick<Observer, 'problems' | 'seen'>,
): Observer {
  const ended = new AbortController()
  const running = (async () => {
    while (!ended.signal.aborted) {
      await look()
      await delay(everyMs, undefined, { signal: ended.signal }).catch(() => undefined)
    }
  })()
  return {
    ...found,
    async [Symbol.asyncDispose]() {
      ended.abort()
      await running
    },
  }
}

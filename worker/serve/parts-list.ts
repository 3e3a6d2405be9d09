/**
 * The pending parts of runs whose shards this worker holds, as the catalog had them last. All of them are
 * read when runs change and now and then, but never for more than a small share of the time; parts of
 * units that were just taken, or that something became of, are looked up by name.
 *
 * Invariant: what happened to a part here while the list was read is not undone by what was read; it is
 * looked up again instead. The list may be behind: whoever takes a part up is guarded by the catalog.
 */
import type { Catalog } from '../../catalog/catalog.ts'
import type { RunShard } from '../../catalog/cluster.ts'
import type { UnitName } from '../../lease/coordination.ts'
import type { Clock } from '../../lib/ports.ts'
import { parseUnit, shardUnit } from './units.ts'

export type PartsList = {
  readonly parts: ReadonlyMap<UnitName, RunShard>
  /** Its part is over, as far as this worker knows. */
  drop(unit: UnitName): void
  /** What is known of these units is not so any more, or nothing is known. */
  lookUp(units: readonly UnitName[]): void
  /** Anything may have changed. */
  lookAtAll(): void
  clear(): void
  /** Reads what is due. */
  refresh(): Promise<void>
}

export type PartsListParts = {
  readonly catalog: Pick<Catalog, 'pendingShards' | 'pendingParts'>
  readonly clock: Clock
  readonly held: ReadonlySet<UnitName>
  /** Whether a run of one of these pipelines is at work. */
  readonly isRunning: (pipelines: ReadonlySet<string>) => boolean
  /** Told what was read; `asked` is undefined when it was everything. */
  readonly onRead: (open: readonly RunShard[], asked: ReadonlySet<UnitName> | undefined) => void
}

/** The whole list is read this often while parts are pending, if it can be read quickly. */
const REFRESH_MS = 2_000
/** A reading that took long is followed by so many times as long without one. */
const REFRESH_REST = 20

export function createPartsList(given: PartsListParts): PartsList {
  const { catalog, clock, held } = given
  const parts = new Map<UnitName, RunShard>()
  let wanted = new Set<UnitName>()
  /** Units of which something was said since the reading that is under way began. */
  let touched = new Set<UnitName>()
  let isStale = true
  let dueAt = Number.NEGATIVE_INFINITY

  async function readAll(): Promise<void> {
    const before = wanted
    isStale = false
    wanted = new Set()
    touched = new Set()
    const pipelines = new Set([...held].map((unit) => unit.slice(0, unit.indexOf('/'))))
    const began = clock.monotonic()
    try {
      const open = given.isRunning(pipelines) ? await catalog.pendingShards([...pipelines]) : []
      for (const unit of parts.keys()) if (!touched.has(unit)) parts.delete(unit)
      keep(open)
      given.onRead(open, undefined)
    } catch (error) {
      isStale = true
      wanted = new Set([...before, ...wanted])
      throw error
    }
    const ended = clock.monotonic()
    dueAt = ended + Math.max(REFRESH_MS, REFRESH_REST * (ended - began))
  }

  async function readWanted(): Promise<void> {
    const asked = wanted
    wanted = new Set()
    touched = new Set()
    const keys = [...asked].flatMap((unit) => {
      const parsed = parseUnit(unit)
      return parsed.kind === 'shard' && held.has(unit) ? [parsed] : []
    })
    const pipelines = new Set(keys.map(({ pipeline }) => pipeline))
    try {
      const open =
        given.isRunning(pipelines) && keys.length > 0
          ? await catalog.pendingParts(keys.map(({ pipeline, shard }) => ({ pipeline, shard })))
          : []
      for (const unit of asked) if (!touched.has(unit)) parts.delete(unit)
      keep(open)
      given.onRead(open, asked)
    } catch (error) {
      wanted = new Set([...asked, ...wanted])
      throw error
    }
  }

  function keep(open: readonly RunShard[]): void {
    for (const part of open) {
      const unit = shardUnit(part.pipeline, part.shard)
      if (held.has(unit) && !touched.has(unit)) parts.set(unit, part)
    }
  }

  return {
    parts,
    drop(unit) {
      parts.delete(unit)
      touched.add(unit)
    },
    lookUp(units) {
      for (const unit of units) {
        parts.delete(unit)
        touched.add(unit)
        wanted.add(unit)
      }
    },
    lookAtAll: () => (isStale = true),
    clear() {
      parts.clear()
      wanted.clear()
      isStale = true
    },
    async refresh() {
      if (isStale || clock.monotonic() >= dueAt) await readAll()
      if (wanted.size > 0) await readWanted()
    },
  }
}

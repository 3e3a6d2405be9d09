/**
 * The log in memory: the entries after the mark, and how far they are on their way to the disk.
 * `durable` never names an entry whose newest content might still be lost (R6): when a newer leader
 * replaces entries, every portion under way loses its claim to them, even if equal ones come back.
 */
import { assert } from '../../lib/assert.ts'
import type { Entry } from './types.ts'

/** What an entry costs beside its data, in memory and on the wire, roughly. */
const ENTRY_OVERHEAD_BYTES = 16

/** A portion handed to the driver and not yet reported durable. */
type Portion = {
  readonly number: number
  /** Once the portion is durable, so is the log up to here; lowered when entries are replaced. */
  last: number
  /** The log begins anew at this place: a snapshot is part of the portion. */
  readonly isReset: boolean
}

export type Log = {
  markIndex: number
  markTerm: number
  entries: Entry[]
  /** Handed out to be made durable. */
  handed: number
  /** Durable, with the content they have now. */
  durable: number
  /** Of the entries, overhead included. */
  bytes: number
  readonly portions: Portion[]
}

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES
}

export function createLog(
  mark: { readonly index: number; readonly term: number },
  entries: readonly Entry[],
): Log {
  const log: Log = {
    markIndex: mark.index,
    markTerm: mark.term,
    entries: [],
    handed: 0,
    durable: 0,
    bytes: 0,
    portions: [],
  }
  appendEntries(log, entries)
  log.handed = lastIndex(log)
  log.durable = lastIndex(log)
  return log
}

export function lastIndex(log: Log): number {
  return log.markIndex + log.entries.length
}

export function lastTerm(log: Log): number {
  return log.entries.at(-1)?.term ?? log.markTerm
}

/** Undefined where the log does not reach. */
export function termAt(log: Log, index: number): number | undefined {
  if (index === log.markIndex) return log.markTerm
  return log.entries[index - log.markIndex - 1]?.term
}

/** Entries from `first` to `last`, both included. */
export function entriesBetween(log: Log, first: number, last: number): readonly Entry[] {
  if (last < first) return []
  return log.entries.slice(first - log.markIndex - 1, last - log.markIndex)
}

/** Entries from `first` on, as many as fit in `bytesMax`, but at least one. */
export function entriesWithin(log: Log, first: number, bytesMax: number): readonly Entry[] {
  const start = first - log.markIndex - 1
  let bytes = 0
  let end = start
  for (; end < log.entries.length; end++) {
    bytes += entryBytes(log.entries[end] as Entry)
    if (bytes > bytesMax && end > start) break
  }
  return log.entries.slice(start, end)
}

/** Adds entries at the end (R2: no gap, terms never fall). */
export function appendEntries(log: Log, entries: readonly Entry[]): void {
  let index = lastIndex(log)
  let term = lastTerm(log)
  for (const entry of entries) {
    index++
    assert(entry.index === index, `R2: entry ${entry.index} stands where ${index} belongs`)
    assert(entry.term >= term, `R2: term falls at entry ${index}`)
    term = entry.term
    log.bytes += entryBytes(entry)
    log.entries.push(entry)
  }
}

/** Takes over what a leader sent after a place that matches; what is there already stays. */
export function mergeEntries(log: Log, entries: readonly Entry[], commit: number): void {
  const fresh = entries.findIndex(({ index, term }) => termAt(log, index) !== term)
  if (fresh < 0) return
  const first = (entries[fresh] as Entry).index
  if (first <= lastIndex(log)) {
    assert(first > commit, `R4: committed entry ${first} would be replaced`)
    truncate(log, first)
  }
  appendEntries(log, fresh === 0 ? entries : entries.slice(fresh))
}

function truncate(log: Log, first: number): void {
  for (const entry of log.entries.splice(first - log.markIndex - 1)) log.bytes -= entryBytes(entry)
  log.handed = Math.min(log.handed, first - 1)
  log.durable = Math.min(log.durable, first - 1)
  for (const portion of log.portions) portion.last = Math.min(portion.last, first - 1)
}

/** The last place at or before `index` whose term is not above `term`; below the mark nothing is known. */
export function lastAtOrBelowTerm(log: Log, index: number, term: number): number {
  let place = index
  while (place > log.markIndex && (termAt(log, place) ?? 0) > term) place--
  return place
}

/** Forgets what a snapshot at `index` covers. */
export function compactLog(log: Log, index: number): void {
  const term = termAt(log, index)
  assert(term !== undefined, `the log does not reach ${index}`)
  for (const entry of log.entries.splice(0, index - log.markIndex)) log.bytes -= entryBytes(entry)
  log.markIndex = index
  log.markTerm = term
}

/** The log begins anew after a snapshot; of the old one only what is committed stays durable for sure. */
export function resetLog(log: Log, index: number, term: number, commit: number): void {
  log.markIndex = index
  log.markTerm = term
  log.entries = []
  log.bytes = 0
  log.handed = index
  log.durable = Math.min(log.durable, commit)
  for (const portion of log.portions) portion.last = Math.min(portion.last, commit)
}

/** Entries that the driver does not have yet; they are handed out with this call. */
export function takeUnhanded(log: Log): readonly Entry[] {
  const entries =
    log.handed < lastIndex(log) ? entriesBetween(log, log.handed + 1, lastIndex(log)) : []
  log.handed = lastIndex(log)
  return entries
}

/** Notes that portion `number`, just handed out, has to become durable. */
export function openPortion(log: Log, number: number, isReset: boolean): void {
  log.portions.push({ number, last: log.handed, isReset })
}

/** Everything up to portion `number` is durable. */
export function closePortions(log: Log, number: number): void {
  while (log.portions[0] && log.portions[0].number <= number) {
    const portion = log.portions.shift() as Portion
    log.durable = Math.max(log.durable, portion.last)
  }
}

/** Whether a snapshot is on its way to the disk. */
export function isResetting(log: Log): boolean {
  return log.portions.some(({ isReset }) => isReset)
}

/**
 * What watches showed against what was written: every revision once, whole and in order, nothing left
 * out between the start and the last thing seen, nothing that nobody wrote, and what was there before
 * as it was. What the writes were is made out from their answers; an end of a lease, and a delete
 * without an answer, are known from watches alone, which must then agree.
 */
import { kvDifference, type RevisionChanges } from './by-revision.ts'
import type { Change } from './store-model.ts'
import type { Finding, Kv, Round, WatchBatch, WatchEvent, WatchPart } from './types.ts'

export type WatchTruth = {
  readonly changes: readonly RevisionChanges[]
  /** Keys that may vanish at a revision that only watches tell. */
  readonly loose: ReadonlySet<string>
  /**
   * Whether the state as of a revision may have been compacted away by then: what a key was before an
   * event is not told any more, as the API of etcd says of `prev_kv`.
   */
  readonly mayBeCompacted: (revision: number, atUs: number) => boolean
}

export function checkWatches(
  { watches, finalRevision }: Pick<Round, 'watches' | 'finalRevision'>,
  truth: WatchTruth,
): readonly Finding[] {
  const findings: Finding[] = []
  const changes = withVanished(watches, truth, findings)
  for (const part of watches)
    findings.push(...checkPart(part, changes), ...checkPrevious(part, changes, truth))
  for (const [watcher, parts] of Map.groupBy(watches, ({ watcher }) => watcher))
    findings.push(...checkResumption(watcher, parts), ...checkEnd(watcher, parts, finalRevision))
  return findings
}

const finding = (rule: string, part: Pick<WatchPart, 'watcher'>, text: string): Finding => ({
  rule,
  text: `${part.watcher}: ${text}`,
  operations: [],
})

/** All changes by revision, with what vanished at revisions that watches alone tell. */
function withVanished(
  watches: readonly WatchPart[],
  { changes, loose }: WatchTruth,
  findings: Finding[],
): ReadonlyMap<number, readonly Change[]> {
  const all = new Map(changes.map((one) => [one.revision, one.changes]))
  const last = new Map<string, Kv>()
  for (const { kv } of changes.flatMap((one) => one.changes)) if (kv) last.set(kv.key, kv)
  const vanished = new Map<string, number>()
  for (const part of watches)
    for (const { type, kv } of part.batches.flatMap(eventsOf)) {
      if (type !== 'delete' || !loose.has(kv.key) || isKnown(all, kv)) continue
      const before = vanished.get(kv.key)
      const prev = last.get(kv.key)
      if (before !== undefined)
        findings.push(
          finding('event-disputed', part, `${kv.key} vanished at ${before} and ${kv.mod}`),
        )
      else {
        vanished.set(kv.key, kv.mod)
        all.set(kv.mod, [...(all.get(kv.mod) ?? []), { key: kv.key, ...(prev && { prev }) }])
      }
    }
  return all
}

function isKnown(all: ReadonlyMap<number, readonly Change[]>, { key, mod }: Kv): boolean {
  return all.get(mod)?.some((change) => change.key === key) ?? false
}

function eventsOf(batch: WatchBatch): readonly WatchEvent[] {
  return batch.kind === 'events' ? batch.events : []
}

function checkPart(part: WatchPart, changes: ReadonlyMap<number, readonly Change[]>): Finding[] {
  const events = part.batches.flatMap(eventsOf)
  const seen = Map.groupBy(events, ({ kv }) => kv.mod)
  return [
    ...checkOrder(part),
    ...[...seen].flatMap(([revision, those]) =>
      checkRevision(part, revision, those, changes.get(revision) ?? []),
    ),
    ...checkGaps(part, seen, changes),
  ]
}

/** Revisions rise from batch to batch, a revision lies in one batch, and progress is not overtaken. */
function checkOrder(part: WatchPart): Finding[] {
  const findings: Finding[] = []
  let seenTo = part.from - 1
  for (const batch of part.batches) {
    if (batch.kind === 'compacted') continue
    if (batch.kind === 'progress') {
      seenTo = Math.max(seenTo, batch.revision)
      continue
    }
    let last = seenTo
    for (const { kv } of batch.events) {
      if (kv.mod <= seenTo)
        findings.push(finding('event-order', part, `${kv.key} at ${kv.mod} after ${seenTo}`))
      else if (kv.mod < last)
        findings.push(finding('event-order', part, `${kv.key} at ${kv.mod} after ${last}`))
      last = Math.max(last, kv.mod)
    }
    seenTo = last
  }
  return findings
}

/** The events of one revision are its changes: all, once, and as they were. */
function checkRevision(
  part: WatchPart,
  revision: number,
  events: readonly WatchEvent[],
  changes: readonly Change[],
): Finding[] {
  const wanted = changes.filter(({ key }) => isWatched(part, key))
  const findings: Finding[] = []
  for (const event of events) {
    const { key } = event.kv
    const change = wanted.find((one) => one.key === key)
    if (!isWatched(part, key))
      findings.push(finding('event-foreign', part, `${key} is not watched`))
    else if (!change)
      findings.push(finding('event-phantom', part, `nobody changed ${key} at ${revision}`))
    else findings.push(...checkEvent(part, event, change))
  }
  const keys = events.map(({ kv }) => kv.key)
  if (new Set(keys).size < keys.length)
    findings.push(finding('event-twice', part, `a key comes twice at ${revision}`))
  for (const { key } of wanted)
    if (!keys.includes(key))
      findings.push(finding('event-torn', part, `${revision} came without ${key}`))
  return findings
}

function checkEvent(part: WatchPart, event: WatchEvent, change: Change): Finding[] {
  const findings: Finding[] = []
  const at = `${change.key} at ${event.kv.mod}`
  if ((event.type === 'put') !== (change.kv !== undefined))
    findings.push(finding('event-wrong', part, `${at} is told as a ${event.type}`))
  else if (event.type === 'put') {
    const text = kvDifference(change.kv, event.kv)
    if (text !== undefined) findings.push(finding('event-wrong', part, `${at}: ${text}`))
  }
  return findings
}

/** What was there before is told as it was, unless it was compacted away meanwhile. */
function checkPrevious(
  part: WatchPart,
  changes: ReadonlyMap<number, readonly Change[]>,
  { mayBeCompacted }: WatchTruth,
): Finding[] {
  if (!part.hasPrev) return []
  return part.batches.flatMap((batch) =>
    eventsOf(batch).flatMap(({ kv: { key, mod }, prev }) => {
      const change = changes.get(mod)?.find((one) => one.key === key)
      if (!change || (!prev && mayBeCompacted(mod - 1, batch.atUs))) return []
      const text = kvDifference(change.prev, prev)
      const rule = prev ? 'event-prev' : 'event-prev-missing'
      return text === undefined ? [] : [finding(rule, part, `${key} at ${mod}, before: ${text}`)]
    }),
  )
}

/** Every change between the start and the last thing seen was shown. */
function checkGaps(
  part: WatchPart,
  seen: ReadonlyMap<number, readonly WatchEvent[]>,
  changes: ReadonlyMap<number, readonly Change[]>,
): Finding[] {
  const to = seenTo(part)
  return [...changes].flatMap(([revision, those]) => {
    const isDue = revision >= part.from && revision <= to && !seen.has(revision)
    const missed = isDue ? those.find(({ key }) => isWatched(part, key)) : undefined
    if (!missed) return []
    return [finding('event-lost', part, `${missed.key} at ${revision} is missing before ${to}`)]
  })
}

function seenTo({ from, batches }: WatchPart): number {
  let most = from - 1
  for (const batch of batches) {
    if (batch.kind === 'progress') most = Math.max(most, batch.revision)
    for (const { kv } of eventsOf(batch)) most = Math.max(most, kv.mod)
  }
  return most
}

function isWatched({ key, end }: WatchPart, name: string): boolean {
  return name >= key && name < end
}

/** A watcher goes on where it was, or was told truly that this is not there any more. */
function checkResumption(watcher: string, parts: readonly WatchPart[]): Finding[] {
  return parts.flatMap((part, at) => {
    const findings: Finding[] = []
    const compacted = part.batches.find((batch) => batch.kind === 'compacted')
    const wanted = seenTo(part) + 1
    if (compacted && compacted.compactRevision < wanted)
      findings.push(
        finding(
          'compacted-untrue',
          part,
          `${wanted} was wanted, and only what is below ${compacted.compactRevision} is gone`,
        ),
      )
    const next = parts[at + 1]
    if (next && !compacted && next.from > wanted)
      findings.push(finding('watch-skipped', { watcher }, `went on at ${next.from}, not ${wanted}`))
    return findings
  })
}

/** Every watcher gets to see the last write, unless it is told that history up to there is gone. */
function checkEnd(
  watcher: string,
  parts: readonly WatchPart[],
  finalRevision: number | undefined,
): Finding[] {
  const gone = parts.flatMap(({ batches }) =>
    batches.flatMap((batch) => (batch.kind === 'compacted' ? [batch.compactRevision] : [])),
  )
  const to = Math.max(...parts.map(seenTo), ...gone)
  if (finalRevision === undefined || to >= finalRevision) return []
  return [finding('watch-stuck', { watcher }, `saw up to ${to} of ${finalRevision}`)]
}

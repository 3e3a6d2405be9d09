/**
 * Who wrote, judged from the trail alone: at most one writer for each shard and epoch, and for each
 * publish epoch of a table; nothing written under an epoch that is not the newest. Pure.
 */
import { named, type Problem } from './problem.ts'
import type { TrailEvent } from './trail.ts'

/** Everyone who has claimed a unit ("PIPELINE/SHARD") since the run began. */
export type Claims = ReadonlyMap<string, ReadonlySet<string>>

type Of<Kind extends TrailEvent['kind']> = Extract<TrailEvent, { kind: Kind }>
type Report = (check: string, text: string) => void

/** Breaches of the rules, each with the shard or table, and the numbers. */
export function auditWriters(trail: readonly TrailEvent[], claims?: Claims): readonly Problem[] {
  const problems: Problem[] = []
  const report: Report = (check, text) => void problems.push({ check, text })
  const shards = Map.groupBy(trail.filter(isOfShard), (event) => `${event.pipeline}/${event.shard}`)
  for (const [unit, events] of shards) auditShard(unit, events, report)
  const tables = Map.groupBy(trail.filter(isOfTable), ({ table }) => table)
  for (const [table, events] of tables) auditPublishers(table, events, report)
  if (claims) auditClaims(trail, claims, report)
  return problems
}

type ShardEvent = Of<'acquired'> | Of<'moved'> | Of<'committed'>
type TableEvent = Of<'publisher'> | Of<'version'>

function isOfShard(event: TrailEvent): event is ShardEvent {
  return event.kind === 'acquired' || event.kind === 'moved' || event.kind === 'committed'
}

function isOfTable(event: TrailEvent): event is TableEvent {
  return event.kind === 'publisher' || event.kind === 'version'
}

/** Who has the shard, as the trail tells it so far. */
type Holding = { readonly epoch: number; readonly by: string | undefined }

function auditShard(unit: string, events: readonly ShardEvent[], report: Report): void {
  let holding: Holding = { epoch: 0, by: undefined }
  let moved = 0
  let committed = 0
  for (const event of events) {
    switch (event.kind) {
      case 'acquired':
        lintAcquired(unit, event, holding, report)
        holding = { epoch: event.epoch, by: event.by }
        break
      case 'moved':
        if (event.seq !== moved + 1)
          report('seq-by-one', `${unit}: seq goes from ${moved} to ${event.seq}`)
        lintWriter(unit, event, holding, report)
        moved = event.seq
        break
      case 'committed':
        lintCommitted(unit, event, { moved, committed }, report)
        lintWriter(unit, event, holding, report)
        committed = event.seq
        break
    }
  }
  if (committed !== moved)
    report('seq-has-commit', `${unit}: seq is ${moved}, its last commit has ${committed}`)
}

function lintAcquired(unit: string, event: Of<'acquired'>, holding: Holding, report: Report): void {
  const { epoch, by, holder } = event
  if (epoch <= holding.epoch)
    report('epoch-grows', `${unit}: epoch goes from ${holding.epoch} to ${epoch}, taken by ${by}`)
  if (holder !== null && holder !== by)
    report('holder-is-writer', `${unit}: ${by} took epoch ${epoch} in the name of ${holder}`)
}

/** The row of a shard moves first, then come its commits: one for its table, more for others. */
function lintCommitted(
  unit: string,
  { seq, table }: Of<'committed'>,
  { moved, committed }: { readonly moved: number; readonly committed: number },
  report: Report,
): void {
  if (seq !== moved) report('seq-has-commit', `${unit}: commit ${seq} of ${table} at seq ${moved}`)
  if (seq !== committed && seq !== committed + 1)
    report('seq-by-one', `${unit}: commits go from ${committed} to ${seq}`)
}

function lintWriter(
  unit: string,
  { kind, epoch, seq, by }: Of<'moved'> | Of<'committed'>,
  holding: Holding,
  report: Report,
): void {
  const what = `${unit}: ${kind} seq ${seq} under epoch ${epoch} by ${by}`
  if (epoch !== holding.epoch) report('newest-epoch', `${what}, but the newest is ${holding.epoch}`)
  if (by !== holding.by)
    report('one-writer', `${what}, but ${holding.by ?? 'nobody'} took epoch ${holding.epoch}`)
}

function auditPublishers(table: string, events: readonly TableEvent[], report: Report): void {
  let holding: Holding = { epoch: 0, by: undefined }
  let version = -1
  for (const event of events) {
    switch (event.kind) {
      case 'publisher':
        if (event.epoch <= holding.epoch)
          report(
            'publish-epoch-grows',
            `${table}: epoch goes from ${holding.epoch} to ${event.epoch}`,
          )
        holding = { epoch: event.epoch, by: event.by }
        break
      case 'version':
        lintVersion(table, event, version, holding, report)
        version = event.version
        break
    }
  }
}

function lintVersion(
  table: string,
  { version, epoch, by }: Of<'version'>,
  before: number,
  holding: Holding,
  report: Report,
): void {
  const what = `${table}: version ${version} by ${by}`
  if (version !== before + 1) report('version-by-one', `${what} follows ${before}`)
  if (epoch !== holding.epoch)
    report('newest-publisher', `${what} under epoch ${epoch}, the newest is ${holding.epoch}`)
  if (by !== holding.by)
    report('one-publisher', `${what}, but ${holding.by ?? 'nobody'} took epoch ${holding.epoch}`)
}

/** Whoever takes a shard has claimed it at some time; upkeep is nobody's claim. */
function auditClaims(trail: readonly TrailEvent[], claims: Claims, report: Report): void {
  const strangers = new Set(
    trail.flatMap((event) => {
      if (event.kind !== 'acquired' || event.holder === null) return []
      const unit = `${event.pipeline}/${event.shard}`
      return claims.get(unit)?.has(event.holder) ? [] : [`${event.holder} took ${unit}`]
    }),
  )
  if (strangers.size > 0) report('claimed-first', named('takings without a claim', [...strangers]))
}

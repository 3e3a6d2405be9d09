/**
 * How work on a shard of a run ended, when no commit says it: decided for each part from its row and
 * its shard's while both are held, then written in two statements for all of them.
 */
import type { ClusterCatalog, RunShard, ShardSettlement } from './cluster.ts'
import type { ShardKey } from './rows.ts'
import { IS_PENDING, lockOpenRuns, stopParts, toRunShard, wakeAtEnd } from './run-parts.ts'
import {
  type CatalogDeps,
  type Engine,
  numberOf,
  printable,
  records,
  type Row,
  type Sql,
  textOrNull,
} from './sql.ts'

export function settleMethods(
  engine: Engine,
  deps: CatalogDeps,
): Pick<ClusterCatalog, 'settleShards'> {
  return {
    settleShards: async (settlements) =>
      settlements.length === 0 ? 0 : engine.write((sql) => settle(sql, deps, settlements)),
  }
}

const PART_ID = { run_id: 'integer', pipeline: 'text', shard: 'text' } as const

type Health = { readonly failures: number; readonly quarantine: string | null }
type Held = { part: RunShard; health: Health; readonly epoch: number }

async function settle(
  sql: Sql,
  deps: CatalogDeps,
  settlements: readonly ShardSettlement[],
): Promise<number> {
  const held = await lockParts(sql, settlements)
  const parts = new Map<string, RunShard>()
  const shards = new Map<string, RunShard & Health>()
  let count = 0
  for (const each of settlements) {
    const row = held.get(partKey(each))
    if (!row || row.part.state !== 'pending' || each.epoch < row.epoch) continue
    row.part = settledPart(row.part, each, deps.clock.now())
    parts.set(partKey(each), row.part)
    const health = settledHealth(row.health, each)
    if (health) shards.set(`${each.pipeline}\0${each.shard}`, { ...row.part, ...health })
    if (each.end.kind !== 'done' && each.end.kind !== 'retry') sql.wake('runs')
    // The planner finds another worker for it.
    if (each.end.kind === 'elsewhere') sql.wake('shards')
    count++
  }
  await writeParts(sql, [...parts.values()])
  await writeHealth(sql, [...shards.values()])
  await stopQuarantined(sql, [...shards.values()])
  const done = [...parts.values()].filter(({ state }) => state === 'done')
  await wakeAtEnd(sql, new Set(done.map(({ runId }) => runId)))
  return count
}

function partKey({ runId, pipeline, shard }: ShardKey & { readonly runId: number }): string {
  return `${runId}\0${pipeline}\0${shard}`
}

/** Shards before parts, in the order of their keys, as a commit takes them. */
async function lockParts(
  sql: Sql,
  settlements: readonly ShardSettlement[],
): Promise<Map<string, Held>> {
  const ids = new Map(
    settlements.map((each) => [
      partKey(each),
      { run_id: each.runId, pipeline: each.pipeline, shard: each.shard },
    ]),
  )
  const rows = await sql.rows(
    `select part.*, s.spec, s.epoch, s.failures, s.quarantine
     from ${sql.each('v', PART_ID)}
     join shard as s on s.pipeline = v.pipeline and s.shard = v.shard
     join run_shard as part on part.run_id = v.run_id and part.shard = v.shard
       and part.pipeline = v.pipeline
     where s.dropped = false and ${IS_PENDING} order by s.pipeline, s.shard, part.run_id
     ${sql.lock('no key update', 's')} ${sql.lock('no key update', 'part')}`,
    records([...ids.values()]),
  )
  return new Map(rows.map((row) => [partKey(toRunShard(row)), toHeld(row)]))
}

function toHeld(row: Row): Held {
  return {
    part: toRunShard(row),
    epoch: numberOf(row, 'epoch'),
    health: { failures: numberOf(row, 'failures'), quarantine: textOrNull(row, 'quarantine') },
  }
}

function settledPart(part: RunShard, { end, worker }: ShardSettlement, now: number): RunShard {
  const settled = { ...part, worker }
  switch (end.kind) {
    case 'done':
      return { ...settled, state: 'done', attempts: 0, error: null }
    case 'stopped':
      return { ...settled, state: 'stopped' }
    case 'retry': {
      const { attempts, nextAt, error } = end
      return { ...settled, attempts, nextAt, error: printable(error) }
    }
    case 'elsewhere': {
      const failedOn = [...new Set([...part.failedOn, worker])]
      return { ...settled, attempts: 0, nextAt: now, error: printable(end.error), failedOn }
    }
    case 'failed':
      return { ...settled, state: 'failed', error: printable(end.error) }
  }
}

/** Undefined: it stays as it is. */
function settledHealth({ failures, quarantine }: Health, { end }: ShardSettlement) {
  switch (end.kind) {
    case 'done':
      return { failures: 0, quarantine }
    case 'failed': {
      const next = failures + 1
      if (next < end.quarantineAfter || quarantine !== null) return { failures: next, quarantine }
      return {
        failures: next,
        quarantine: printable(`failed in ${next} runs in a row: ${end.error}`),
      }
    }
    case 'retry':
    case 'elsewhere':
    case 'stopped':
      return undefined
  }
}

/** As when a person does it: nothing of the shard stays pending anywhere. */
async function stopQuarantined(sql: Sql, shards: readonly (ShardKey & Health)[]): Promise<void> {
  for (const { pipeline, shard, quarantine } of shards) {
    if (quarantine === null) continue
    sql.wake('shards')
    await lockOpenRuns(sql, pipeline)
    await stopParts(sql, pipeline, [shard])
  }
}

async function writeParts(sql: Sql, parts: readonly RunShard[]): Promise<void> {
  if (parts.length === 0) return
  const columns = {
    ...PART_ID,
    state: 'text',
    attempts: 'integer',
    next_at: 'integer',
    worker: 'text',
    error: 'text',
    failed_on: 'json',
  } as const
  await sql.run(
    `update run_shard as part set state = v.state, attempts = v.attempts, next_at = v.next_at,
       worker = v.worker, error = v.error, failed_on = v.failed_on
     from ${sql.each('v', columns)} where part.run_id = v.run_id and part.shard = v.shard`,
    records(
      parts.map((part) => ({
        run_id: part.runId,
        pipeline: part.pipeline,
        shard: part.shard,
        state: part.state,
        attempts: part.attempts,
        next_at: part.nextAt,
        worker: part.worker,
        error: part.error,
        failed_on: JSON.stringify(part.failedOn),
      })),
    ),
  )
}

async function writeHealth(sql: Sql, shards: readonly (ShardKey & Health)[]): Promise<void> {
  if (shards.length === 0) return
  const columns = {
    pipeline: 'text',
    shard: 'text',
    failures: 'integer',
    quarantine: 'text',
  } as const
  await sql.run(
    `update shard as s set failures = v.failures, quarantine = v.quarantine
     from ${sql.each('v', columns)} where s.pipeline = v.pipeline and s.shard = v.shard
       and (s.failures <> v.failures or s.quarantine is distinct from v.quarantine)`,
    records(
      shards.map(({ pipeline, shard, failures, quarantine }) => ({
        pipeline,
        shard,
        failures,
        quarantine,
      })),
    ),
  )
}

/**
 * What the planner, and workers of themselves, record for people. Nothing here decides who may write;
 * but a planner that was deposed must not overwrite what its successor recorded.
 */
import type { ClusterCatalog, NewPlacement, Placement, WorkerRow } from './cluster.ts'
import {
  booleanOf,
  type CatalogDeps,
  chunks,
  type Engine,
  jsonOf,
  numberOf,
  records,
  type Row,
  type Sql,
  textOf,
  textOrNull,
} from './sql.ts'

type PlacementMethods = Pick<
  ClusterCatalog,
  | 'acquirePlanner'
  | 'recordPlacements'
  | 'placements'
  | 'recordWorker'
  | 'recordPresence'
  | 'workers'
  | 'cordonWorker'
>

/** The planner's one row. */
const PLANNER = 1
const RECORD_MAX = 5_000

export function placementMethods(engine: Engine, deps: CatalogDeps): PlacementMethods {
  return {
    acquirePlanner: (worker) =>
      engine.write(async (sql) => {
        const [row] = await sql.rows(
          `insert into planner (id, epoch, worker) values (?, 1, ?)
           on conflict (id) do update set epoch = planner.epoch + 1, worker = excluded.worker
           returning epoch`,
          PLANNER,
          worker,
        )
        return numberOf(row!, 'epoch')
      }),
    recordPlacements: (epoch, placements) =>
      engine.write(async (sql) => {
        if (!(await isPlanner(sql, epoch))) return false
        await storePlacements(sql, deps, placements)
        return true
      }),
    placements: ({ pipeline, worker } = {}) =>
      engine.read(async (sql) => {
        const filters = [
          ...(pipeline === undefined ? [] : [{ text: 'pipeline = ?', value: pipeline }]),
          ...(worker === undefined ? [] : [{ text: 'worker = ?', value: worker }]),
        ]
        const where = filters.map(({ text }) => `and ${text}`).join(' ')
        const rows = await sql.rows(
          `select * from placement where true ${where} order by pipeline, shard`,
          ...filters.map(({ value }) => value),
        )
        return rows.map(toPlacement)
      }),
    recordWorker: (worker) => engine.write((sql) => recordWorker(sql, deps, worker)),
    recordPresence: (epoch, present) =>
      engine.write(async (sql) => {
        if (!(await isPlanner(sql, epoch))) return false
        await storePresence(sql, deps, present)
        return true
      }),
    workers: () =>
      engine.read(async (sql) =>
        (await sql.rows('select * from worker order by name')).map(toWorker),
      ),
    cordonWorker: (name, cordoned) =>
      engine.write(async (sql) => {
        const [row] = await sql.rows(
          'update worker set is_cordoned = ? where name = ? returning *',
          cordoned,
          name,
        )
        if (row) sql.wake('workers')
        return row && toWorker(row)
      }),
  }
}

/** Holds the planner's row, so that nobody becomes the planner in between. */
async function isPlanner(sql: Sql, epoch: number): Promise<boolean> {
  const [row] = await sql.rows(
    `select epoch from planner where id = ? ${sql.lock('no key update')}`,
    PLANNER,
  )
  return row !== undefined && numberOf(row, 'epoch') === epoch
}

// ── Placements ────────────────────────────────────────────────────────────────────────────────────

/** The whole picture: what is not in it is forgotten, what stays as it was keeps its `since`. */
async function storePlacements(
  sql: Sql,
  deps: CatalogDeps,
  placements: readonly NewPlacement[],
): Promise<void> {
  const columns = { pipeline: 'text', shard: 'text', worker: 'text', reason: 'text' } as const
  const key = ({ pipeline, shard }: { pipeline: string; shard: string }) => `${pipeline}\0${shard}`
  const wanted = new Map(placements.map((each) => [key(each), each]))
  const stored = (await sql.rows('select * from placement')).map(toPlacement)
  const before = new Map(stored.map((each) => [key(each), each]))
  const changed = [...wanted.values()].filter((each) => {
    const old = before.get(key(each))
    return !old || old.worker !== each.worker || old.reason !== each.reason
  })
  for (const some of chunks(changed, RECORD_MAX)) {
    await sql.run(
      `insert into placement (pipeline, shard, worker, reason, since)
       select v.pipeline, v.shard, v.worker, v.reason, cast(? as bigint)
       from ${sql.each('v', columns)} where true
       on conflict (pipeline, shard) do update
         set worker = excluded.worker, reason = excluded.reason, since = excluded.since`,
      deps.clock.now(),
      records(
        some.map(({ pipeline, shard, worker, reason }) => ({ pipeline, shard, worker, reason })),
      ),
    )
  }
  const gone = stored.filter((each) => !wanted.has(key(each)))
  for (const some of chunks(gone, RECORD_MAX)) {
    await sql.run(
      `delete from placement where (pipeline, shard) in
         (select v.pipeline, v.shard from ${sql.each('v', { pipeline: 'text', shard: 'text' })})`,
      records(some.map(({ pipeline, shard }) => ({ pipeline, shard }))),
    )
  }
}

function toPlacement(row: Row): Placement {
  return {
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    worker: textOrNull(row, 'worker'),
    reason: textOrNull(row, 'reason'),
    since: numberOf(row, 'since'),
  }
}

// ── Workers ───────────────────────────────────────────────────────────────────────────────────────

async function recordWorker(
  sql: Sql,
  deps: CatalogDeps,
  worker: Parameters<ClusterCatalog['recordWorker']>[0],
): Promise<WorkerRow> {
  const [row] = await sql.rows(
    `insert into worker (name, address, labels, slots, version, started_at, seen_at)
     values (?, ?, ?, ?, ?, ?, ?)
     on conflict (name) do update set address = excluded.address, labels = excluded.labels,
       slots = excluded.slots, version = excluded.version, started_at = excluded.started_at,
       seen_at = excluded.seen_at
     returning *`,
    worker.name,
    worker.address,
    JSON.stringify(worker.labels),
    worker.slots,
    worker.version,
    worker.startedAt,
    deps.clock.now(),
  )
  sql.wake('workers')
  return toWorker(row!)
}

async function storePresence(
  sql: Sql,
  deps: CatalogDeps,
  present: readonly string[],
): Promise<void> {
  const names = records(present.map((name) => ({ name })))
  const among = `name in (select v.name from ${sql.each('v', { name: 'text' })})`
  const left = await sql.run(
    `update worker set is_present = false where is_present = true and not ${among}`,
    names,
  )
  const came = await sql.run(
    `update worker set is_present = true where is_present = false and ${among}`,
    names,
  )
  await sql.run('update worker set seen_at = ? where is_present = true', deps.clock.now())
  if (left + came > 0) sql.wake('workers')
}

function toWorker(row: Row): WorkerRow {
  return {
    name: textOf(row, 'name'),
    address: textOf(row, 'address'),
    labels: jsonOf<WorkerRow['labels']>(row, 'labels'),
    slots: numberOf(row, 'slots'),
    version: textOf(row, 'version'),
    startedAt: numberOf(row, 'started_at'),
    isCordoned: booleanOf(row, 'is_cordoned'),
    isPresent: booleanOf(row, 'is_present'),
    seenAt: numberOf(row, 'seen_at'),
  }
}

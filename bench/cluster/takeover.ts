/**
 * Endless shards that commit about twice a second. A worker is killed with SIGKILL: how long
 * until one of its shards has committed elsewhere, and until all have. And a worker is drained: how long
 * after its last commit until each of its shards has another holder. Every row is audited at the end.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClusterView } from '../../lease/coordination.ts'
import { percentile } from '../coord/load.ts'
import { log } from '../report.ts'
import { apiManifest, type ApiSource, rowsOf, startApi } from './api-source.ts'
import { isOver, type Lab, mustSucceed, startLab, untilSettled, type Worker } from './lab.ts'

const WORKERS = 4
const PARTS = 8
/** Two offices: the run and the publisher. */
const UNITS = PARTS + 2
const LIMIT_MS = 60_000
const POLL_MS = 10

export type Endless = AsyncDisposable & {
  readonly lab: Lab
  readonly source: ApiSource
  readonly run: number
}

/** A run that does not end by itself, on four workers, every shard at work. */
export async function startEndless(ttl: string): Promise<Endless> {
  await using cleaning = new AsyncDisposableStack()
  const source = cleaning.use(await startApi({ latencyMs: 50, pages: Infinity }))
  const lab = cleaning.use(await startLab())
  const place = { url: source.url, lake: join(lab.folder, 'lake'), parts: PARTS }
  await lab.apply(apiManifest({ ...place, mode: 'append', maxOpenTime: '500ms' }))
  for (let n = 1; n <= WORKERS; n++) await addWorker(lab, `w${n}`, ttl)
  const run = await lab.start('api')
  await untilSettled(lab, UNITS, WORKERS)
  const own = cleaning.move()
  return { lab, source, run, [Symbol.asyncDispose]: () => own[Symbol.asyncDispose]() }
}

function addWorker(lab: Lab, name: string, ttl: string): Promise<Worker> {
  // As many slots as there are shards: what is measured is the takeover, not a queue.
  return lab.addWorker(name, ['--session-ttl', ttl, '--slots', String(PARTS)])
}

/** Lets the source end, and compares the table with what was given. */
export async function auditEndless({
  lab,
  source,
  run,
}: Endless): Promise<Readonly<Record<string, number>>> {
  source.end()
  const { counters } = mustSucceed(await lab.untilRun(run, isOver))
  const found = (await lab.hakiri('query', 'select count(*), count(distinct id) from items')) as {
    readonly rows: readonly (readonly unknown[])[]
  }
  const [rows, ids] = (found.rows[0] ?? []).map(Number)
  const given = rowsOf(source)
  if (rows !== given || ids !== given)
    throw new Error(`the table holds ${rows} rows, ${ids} ids; the source gave ${given}`)
  return { sourceRows: given, tableRows: rows, rowsCommittedTwice: counters.rowsRead - given }
}

type Held = ReadonlyMap<string, number>

/** Shards that this worker has acquired, with the epochs it has them at. */
async function heldBy({ sql }: Lab, worker: string): Promise<Held> {
  const { rows } = await sql.query(
    `select shard, epoch from shard where pipeline = 'api' and holder = $1`,
    [worker],
  )
  return new Map(
    (rows as readonly { readonly shard: string; readonly epoch: string }[]).map((row) => [
      row.shard,
      Number(row.epoch),
    ]),
  )
}

/** When each of the shards committed first at a later epoch, in wall time. */
async function firstCommits({ sql }: Lab, held: Held): Promise<readonly number[]> {
  const { rows } = await sql.query(
    `select c.shard, min(c.committed_at) as at from table_commit as c
     join unnest($1::text[], $2::bigint[]) as h (shard, epoch) on h.shard = c.shard
     where c.pipeline = 'api' and c.epoch > h.epoch group by c.shard`,
    [[...held.keys()], [...held.values()]],
  )
  return (rows as readonly { readonly at: string }[]).map((row) => Number(row.at))
}

export type Takeovers = {
  readonly ttlMs: number
  readonly kills: number
  /** Kill → first commit of one of its shards elsewhere. */
  readonly firstMs: { readonly p50: number; readonly p99: number; readonly all: readonly number[] }
  /** Kill → first commit of the last of its shards elsewhere. */
  readonly lastMs: { readonly p50: number; readonly p99: number; readonly all: readonly number[] }
}

export async function measureTakeovers(
  { lab }: Endless,
  ttlMs: number,
  kills: number,
): Promise<Takeovers> {
  const first: number[] = []
  const last: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    await untilSettled(lab, UNITS, WORKERS)
    await untilAllAtWork(lab)
    const { victim, held } = await busiest(lab)
    const killedAt = Date.now()
    await victim.signal('SIGKILL')
    const at = await untilCommitted(lab, held)
    first.push(Math.min(...at) - killedAt)
    last.push(Math.max(...at) - killedAt)
    log(
      `takeover ${kill + 1}: ${victim.name} with ${held.size} shards: ${first.at(-1)}, all ${last.at(-1)} ms`,
    )
    await lab.dropWorker(victim)
    await addWorker(lab, victim.name, `${ttlMs}ms`)
  }
  return { ttlMs, kills, firstMs: spread(first), lastMs: spread(last) }
}

function spread(all: readonly number[]) {
  return { p50: percentile(all, 0.5), p99: percentile(all, 0.99), all }
}

/** Every part has been acquired by the worker that it is assigned to. */
async function untilAllAtWork({ sql, coordination }: Lab): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  for (;;) {
    const { assignments } = await coordination.view(signal)
    const { rows } = await sql.query(`select shard, holder from shard where pipeline = 'api'`)
    const isSo = (rows as readonly { readonly shard: string; readonly holder: string }[]).every(
      ({ shard, holder }) => assignments.get(`api/${shard}`) === holder,
    )
    if (isSo) return
    await delay(POLL_MS)
  }
}

async function busiest(lab: Lab): Promise<{ readonly victim: Worker; readonly held: Held }> {
  const all = await Promise.all(
    lab.workers.map(async (victim) => ({ victim, held: await heldBy(lab, victim.name) })),
  )
  const [most] = all.toSorted((a, b) => b.held.size - a.held.size)
  if (!most || most.held.size === 0) throw new Error('no worker holds a shard')
  return most
}

async function untilCommitted(lab: Lab, held: Held): Promise<readonly number[]> {
  const end = performance.now() + LIMIT_MS
  for (;;) {
    const at = await firstCommits(lab, held)
    if (at.length === held.size) return at
    if (performance.now() > end)
      throw new Error(`${at.length} of ${held.size} shards committed elsewhere in ${LIMIT_MS} ms`)
    await delay(POLL_MS)
  }
}

// ── Drain ─────────────────────────────────────────────────────────────────────────────────────────

export type Drains = {
  readonly drains: number
  /** For each shard: its last commit on the drained worker, or the drain, → claimed elsewhere. */
  readonly handOverMs: {
    readonly p50: number
    readonly most: number
    readonly all: readonly number[]
  }
  /** The command → the last unit, offices included, claimed elsewhere. */
  readonly wholeMs: { readonly p50: number; readonly most: number; readonly all: readonly number[] }
}

export async function measureDrains({ lab }: Endless, drains: number): Promise<Drains> {
  const handOver: number[] = []
  const whole: number[] = []
  for (let drain = 0; drain < drains; drain++) {
    await untilSettled(lab, UNITS, WORKERS)
    await untilAllAtWork(lab)
    const { victim, held } = await busiest(lab)
    const drained = await drainOne(lab, victim.name)
    const commits = await lastCommits(lab, held)
    for (const shard of held.keys()) {
      const claimedAt = drained.claimedAt.get(`api/${shard}`)
      if (claimedAt === undefined) throw new Error(`${shard} was not handed over`)
      handOver.push(claimedAt - Math.max(drained.askedAt, commits.get(shard) ?? 0))
    }
    whole.push(Math.max(...drained.claimedAt.values()) - drained.askedAt)
    log(`drain ${drain + 1}: ${victim.name} with ${held.size} shards: ${whole.at(-1)} ms`)
    await lab.hakiri('uncordon', victim.name)
  }
  const of = (all: readonly number[]) => ({
    p50: percentile(all, 0.5),
    most: Math.max(...all),
    all,
  })
  return { drains, handOverMs: of(handOver), wholeMs: of(whole) }
}

type Drained = {
  readonly askedAt: number
  /** By unit that the worker had: when somebody else was first seen to have it. */
  readonly claimedAt: ReadonlyMap<string, number>
}

async function drainOne(lab: Lab, name: string): Promise<Drained> {
  const before = await lab.coordination.view(AbortSignal.timeout(LIMIT_MS))
  const units = [...before.claims].filter(([, holder]) => holder === name).map(([unit]) => unit)
  const claimedAt = new Map<string, number>()
  const done = Promise.withResolvers<void>()
  const onChange = ({ claims }: ClusterView): void => {
    for (const unit of units) {
      const holder = claims.get(unit)
      if (holder !== undefined && holder !== name && !claimedAt.has(unit))
        claimedAt.set(unit, Date.now())
    }
    if (claimedAt.size === units.length) done.resolve()
  }
  await using _watch = lab.coordination.watch(onChange)
  const limit = delay(LIMIT_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${claimedAt.size} of ${units.length} units of ${name} were handed over`)
  })
  const asked = lab.hakiri('drain', name)
  await Promise.race([done.promise, limit])
  await asked
  return { askedAt: await cordonedAt(lab, name), claimedAt }
}

/** When the catalog had it: the start of the command is not the worker's. */
async function cordonedAt({ sql }: Lab, name: string): Promise<number> {
  const { rows } = await sql.query(
    `select max(at) as at from run_event where kind = 'worker-drained' and worker = $1`,
    [name],
  )
  return Number((rows as readonly { readonly at: string }[])[0]?.at)
}

/** The newest commit of each shard at the epoch it was drained at. */
async function lastCommits({ sql }: Lab, held: Held): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql.query(
    `select c.shard, max(c.committed_at) as at from table_commit as c
     join unnest($1::text[], $2::bigint[]) as h (shard, epoch) on h.shard = c.shard
     where c.pipeline = 'api' and c.epoch = h.epoch group by c.shard`,
    [[...held.keys()], [...held.values()]],
  )
  return new Map(
    (rows as readonly { readonly shard: string; readonly at: string }[]).map((row) => [
      row.shard,
      Number(row.at),
    ]),
  )
}

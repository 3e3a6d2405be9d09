/** Routes about shards, workers, tables and the cluster as a whole. */
import type { ShardRow } from '../../catalog/catalog.ts'
import type { WorkerRow } from '../../catalog/cluster.ts'
import type * as v from 'valibot'
import {
  cordonWorker,
  pauseShard,
  releaseShard,
  resetShard,
  resumeShard,
  type Operator,
} from '../operate.ts'
import { viewShards, type ShardView } from '../shard-view.ts'
import { explainShard } from '../shard-why.ts'
import { PAGE_PARAMS, pageOf } from './paging.ts'
import type { ApiPorts } from './ports.ts'
import { jsonRoute, type Route } from './route.ts'
import {
  changedShardSchema,
  clusterSchema,
  pageSchema,
  resetSchema,
  shardSchema,
  tableSchema,
  workerSchema,
} from './schemas.ts'
import { changedShardShape, isoOrNull, isoTime } from './shapes.ts'

const shards = jsonRoute({
  method: 'GET',
  path: '/v1/shards',
  scope: 'read',
  summary: 'Shards and offices: where each is, and why.',
  query: {
    ...PAGE_PARAMS,
    pipeline: { kind: 'text', about: 'Only of this pipeline.' },
    worker: { kind: 'text', about: 'Only those assigned to this worker or held by it.' },
    unassigned: { kind: 'flag', about: 'Only those that no worker is meant to have.' },
  },
  answer: pageSchema(shardSchema),
  async handle({ query }, { catalog, clock }) {
    const now = clock.now()
    const { pipeline, worker, unassigned } = query
    const filter = {
      unassigned,
      ...(pipeline === undefined ? {} : { pipeline }),
      ...(worker === undefined ? {} : { worker }),
    }
    const [views, workers] = await Promise.all([
      viewShards(catalog, filter, now),
      catalog.workers(),
    ])
    const page = pageOf(views, (view) => [view.pipeline, view.shard], query)
    const items = page.items.map((view) => shardShape(view, workers, now))
    return { body: { items, next: page.next } }
  },
})

function shardShape(view: ShardView, workers: readonly WorkerRow[], now: number) {
  const { pipeline, shard, state, row, placement, part } = view
  return {
    pipeline,
    shard,
    state,
    table: row?.table ?? null,
    worker: placement?.worker ?? null,
    reason: placement?.reason ?? null,
    since: isoOrNull(placement?.since),
    holder: row?.holder ?? null,
    epoch: row?.epoch ?? null,
    seq: row?.seq ?? null,
    failures: row?.failures ?? 0,
    quarantine: row?.quarantine ?? null,
    run: part
      ? {
          id: part.runId,
          attempts: part.attempts,
          nextAt: isoTime(part.nextAt),
          error: part.error,
        }
      : null,
    advice: explainShard(view, workers, now).advice,
  }
}

type ShardChange = (
  operator: Operator,
  key: { readonly pipeline: string; readonly shard: string },
) => Promise<ShardRow>

function shardRoute(
  verb: string,
  summary: string,
  change: ShardChange,
  scope: 'operate' | 'admin' = 'operate',
  body?: v.GenericSchema,
): Route {
  return jsonRoute({
    method: 'POST',
    path: `/v1/shards/:pipeline/:shard/${verb}`,
    scope,
    summary,
    query: {},
    body,
    answer: changedShardSchema,
    refusals: [404],
    async handle({ path, by }, ports) {
      const key = { pipeline: path['pipeline'] ?? '', shard: path['shard'] ?? '' }
      return { body: changedShardShape(await change(operatorOf(ports, by), key)) }
    },
  })
}

function operatorOf({ catalog, clock }: ApiPorts, by: string | undefined): Operator {
  return { catalog, clock, by: by ?? '' }
}

const workers = jsonRoute({
  method: 'GET',
  path: '/v1/workers',
  scope: 'read',
  summary: 'Workers, also those that are away.',
  query: PAGE_PARAMS,
  answer: pageSchema(workerSchema),
  async handle({ query }, { catalog }) {
    const [rows, placements] = await Promise.all([catalog.workers(), catalog.placements()])
    const counts = countBy(placements.map((placement) => placement.worker))
    const sorted = rows
      .map((row) => workerShape(row, counts.get(row.name) ?? 0))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const { items, next } = pageOf(sorted, ({ name }) => [name], query)
    return { body: { items: [...items], next } }
  },
})

function workerShape(row: WorkerRow, assigned: number) {
  const { name, address, labels, slots, version, isCordoned, isPresent } = row
  return {
    name,
    address,
    labels: { ...labels },
    slots,
    version,
    startedAt: isoTime(row.startedAt),
    seenAt: isoTime(row.seenAt),
    isCordoned,
    isPresent,
    assigned,
  }
}

function countBy(names: Iterable<string | null>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

function cordonRoute(verb: string, summary: string, cordoned: boolean): Route {
  return jsonRoute({
    method: 'POST',
    path: `/v1/workers/:name/${verb}`,
    scope: 'operate',
    summary,
    query: {},
    answer: workerSchema,
    refusals: [404],
    async handle({ path, by }, ports) {
      const row = await cordonWorker(operatorOf(ports, by), path['name'] ?? '', cordoned)
      const placements = await ports.catalog.placements({ worker: row.name })
      return { body: workerShape(row, placements.length) }
    },
  })
}

const cluster = jsonRoute({
  method: 'GET',
  path: '/v1/cluster',
  scope: 'read',
  summary: 'Sessions, planner and coordinators, as the worker that answers sees them.',
  query: {},
  answer: clusterSchema,
  async handle({ signal }, ports) {
    const status = ports.status()
    const [coordinators, manifest] = await Promise.all([
      ports.coordinators(signal),
      ports.catalog.manifest(),
    ])
    const { view } = status
    const claims = countBy(view?.claims.values() ?? [])
    const assignments = countBy(view?.assignments.values() ?? [])
    const sessions = [...(view?.members.values() ?? [])].map((member) => ({
      name: member.name,
      state: member.state,
      address: member.address,
      slots: member.slots,
      labels: { ...member.labels },
      version: member.version,
      startedAt: isoTime(member.startedAt),
      claims: claims.get(member.name) ?? 0,
      assignments: assignments.get(member.name) ?? 0,
    }))
    return {
      body: {
        worker: status.worker,
        version: status.version,
        startedAt: isoTime(status.startedAt),
        session: status.session,
        notReady: [...status.notReady],
        planner: status.planner,
        manifestVersion: manifest?.version ?? null,
        revision: view?.revision ?? null,
        sessions: sessions.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        coordinators: coordinators.map((each) => ({ ...each })),
      },
    }
  },
})

const tables = jsonRoute({
  method: 'GET',
  path: '/v1/tables',
  scope: 'read',
  summary: 'Tables: how they are written, and their columns.',
  query: PAGE_PARAMS,
  answer: pageSchema(tableSchema),
  async handle({ query }, { catalog }) {
    const sorted = (await catalog.tables()).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const { items, next } = pageOf(sorted, ({ name }) => [name], query)
    return {
      body: {
        next,
        items: items.map((table) => ({
          name: table.name,
          destination: table.destination,
          mode: table.mode,
          key: [...table.key],
          partitionBy: [...table.partitionBy],
          generation: table.generation,
          staging: table.staging,
          schemaRevision: table.schemaRevision,
          columns: table.columns.map(({ name, type }) => ({ name, type })),
          version: table.nextVersion === 0 ? null : table.nextVersion - 1,
        })),
      },
    }
  },
})

export const CLUSTER_ROUTES: readonly Route[] = [
  shards,
  shardRoute('pause', 'Keeps a shard from every run.', pauseShard),
  shardRoute('resume', 'Lifts a pause and a quarantine.', resumeShard),
  shardRoute('release', 'Fences the holder, so that the shard is acquired anew.', releaseShard),
  shardRoute(
    'reset',
    'Forgets the cursor: the next run reads from the start. Rows of append tables double.',
    resetShard,
    'admin',
    resetSchema,
  ),
  workers,
  cordonRoute('drain', 'Has a worker give back what it has; it gets nothing new.', true),
  cordonRoute('uncordon', 'Lets a worker have shards again.', false),
  cluster,
  tables,
]

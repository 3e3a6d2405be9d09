/** Routes about pipelines and their runs. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { ClusterRun } from '../../catalog/cluster.ts'
import type { Pipeline } from '../../manifest/manifest.ts'
import { notFound } from '../names.ts'
import { cancelRun, newestManifest, requestRun, unknownRun } from '../operate.ts'
import { viewShards } from '../shard-view.ts'
import { PAGE_PARAMS, cut, limitOf, pageOf, readCursor } from './paging.ts'
import { refused } from './params.ts'
import type { ApiPorts } from './ports.ts'
import { ApiFailure } from './problem.ts'
import { jsonRoute, type Request, type Route } from './route.ts'
import {
  admittedSchema,
  cancelledSchema,
  eventSchema,
  newRunSchema,
  pageSchema,
  pipelineDetailSchema,
  pipelineSchema,
  runDetailSchema,
  runPartSchema,
  runSchema,
} from './schemas.ts'
import { eventShape, isoOrNull, isoTime, runShape } from './shapes.ts'

const LATEST_RUNS = 5

const pipelines = jsonRoute({
  method: 'GET',
  path: '/v1/pipelines',
  scope: 'read',
  summary: 'Pipelines of the newest manifest.',
  query: PAGE_PARAMS,
  answer: pageSchema(pipelineSchema),
  refusals: [404],
  async handle({ query }, { catalog }) {
    const { manifest } = await newestManifest(catalog)
    const [scheduled, open] = await Promise.all([catalog.lastScheduled(), catalog.openRuns()])
    const all = Object.values(manifest.pipelines)
      .map((pipeline) => pipelineShape(pipeline, scheduled, open))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    return { body: mutable(pageOf(all, ({ name }) => [name], query)) }
  },
})

function mutable<T>({
  items,
  next,
}: {
  readonly items: readonly T[]
  readonly next: string | null
}) {
  return { items: [...items], next }
}

function pipelineShape(
  { name, source, destination, mode, schedule, placement }: Pipeline,
  scheduled: ReadonlyMap<string, number>,
  open: readonly ClusterRun[],
) {
  return {
    name,
    source: source.type,
    destination,
    mode,
    placement: { ...placement },
    schedule: schedule
      ? { ...schedule, cron: schedule.cron ?? null, everyMs: schedule.everyMs ?? null }
      : null,
    lastScheduledAt: isoOrNull(scheduled.get(name)),
    openRuns: open.filter((run) => run.pipeline === name).map((run) => run.id),
  }
}

const pipelineDetail = jsonRoute({
  method: 'GET',
  path: '/v1/pipelines/:name',
  scope: 'read',
  summary: 'One pipeline: its shards, tables and latest runs.',
  query: {},
  answer: pipelineDetailSchema,
  refusals: [404],
  async handle({ path }, { catalog, clock }) {
    const name = path['name'] ?? ''
    const { manifest, version } = await newestManifest(catalog)
    const names = Object.keys(manifest.pipelines)
    const pipeline = names.includes(name) ? manifest.pipelines[name] : undefined
    if (!pipeline) throw notFound('pipeline', name, names, 'See /v1/pipelines.')
    const [scheduled, open, shards, runs] = await Promise.all([
      catalog.lastScheduled(),
      catalog.openRuns(),
      viewShards(catalog, { pipeline: name }, clock.now()),
      catalog.runs({ pipeline: name, limit: LATEST_RUNS }),
    ])
    const rows = shards.filter((shard) => shard.row !== null)
    const inState = (state: string): number => rows.filter((shard) => shard.state === state).length
    return {
      body: {
        ...pipelineShape(pipeline, scheduled, open),
        manifestVersion: version,
        shards: {
          total: rows.length,
          paused: inState('paused'),
          quarantined: inState('quarantined'),
          unassigned: inState('unassigned'),
        },
        tables: [...new Set(rows.flatMap(({ row }) => (row ? [row.table] : [])))].toSorted(),
        latestRuns: runs.map(runShape),
      },
    }
  },
})

const startRun = jsonRoute({
  method: 'POST',
  path: '/v1/pipelines/:name/runs',
  scope: 'operate',
  summary: 'Asks for a run; with the header Idempotency-Key, once.',
  status: 201,
  query: {},
  body: newRunSchema,
  answer: admittedSchema,
  refusals: [404, 409, 429],
  async handle({ path, body, by, headers }, { catalog, clock }) {
    const key = readKey(headers['idempotency-key'])
    const { shard, ...rest } = body
    const admission = await requestRun(
      { catalog, clock, by: by ?? '' },
      {
        pipeline: path['name'] ?? '',
        ...rest,
        ...(shard === undefined ? {} : { shard }),
        ...(key === undefined ? {} : { key }),
      },
    )
    const { kind, runId } = admission
    if (kind === 'skipped')
      throw new ApiFailure(409, `another run is not over; run ${runId} was recorded as skipped`)
    const status = kind === 'created' ? 201 : 200
    return { status, body: { kind, runId }, headers: { location: `/v1/runs/${runId}` } }
  },
})

function readKey(header: Request<{}, unknown>['headers'][string]): string | undefined {
  if (header === undefined) return undefined
  if (typeof header === 'string' && /^[\x21-\x7e]{1,128}$/.test(header)) return header
  throw refused('Idempotency-Key must be 1 to 128 visible characters')
}

const runs = jsonRoute({
  method: 'GET',
  path: '/v1/runs',
  scope: 'read',
  summary: 'Runs, newest first.',
  query: { ...PAGE_PARAMS, pipeline: { kind: 'text', about: 'Only of this pipeline.' } },
  answer: pageSchema(runSchema),
  async handle({ query }, { catalog }) {
    const limit = limitOf(query)
    const [before] = readCursor(query) ?? []
    const found = await catalog.runs({
      limit: limit + 1,
      ...(query.pipeline === undefined ? {} : { pipeline: query.pipeline }),
      ...(typeof before === 'number' ? { before } : {}),
    })
    return { body: mutable(cut(found.map(runShape), ({ id }) => [id], limit)) }
  },
})

const runDetail = jsonRoute({
  method: 'GET',
  path: '/v1/runs/:id',
  scope: 'read',
  summary: 'One run and how far it is.',
  query: {},
  answer: runDetailSchema,
  refusals: [404],
  async handle({ path }, { catalog }) {
    const run = await findRun(catalog, path['id'])
    const [progress, open] = await Promise.all([
      catalog.runProgress(run.id),
      catalog.openRuns().then((all) => all.find(({ id }) => id === run.id)),
    ])
    return {
      body: {
        ...runShape(run),
        progress: { ...progress },
        open: open
          ? {
              trigger: open.trigger,
              scheduledAt: isoTime(open.scheduledAt),
              manifestVersion: open.manifestVersion,
              isCancelled: open.isCancelled,
            }
          : null,
      },
    }
  },
})

const runParts = jsonRoute({
  method: 'GET',
  path: '/v1/runs/:id/shards',
  scope: 'read',
  summary: 'The parts of a run, in order of shard.',
  query: {
    ...PAGE_PARAMS,
    state: {
      kind: 'word',
      about: 'Only in this state.',
      words: ['pending', 'done', 'failed', 'stopped'],
    },
  },
  answer: pageSchema(runPartSchema),
  refusals: [404],
  async handle({ path, query }, { catalog }) {
    const run = await findRun(catalog, path['id'])
    const limit = limitOf(query)
    const [after] = readCursor(query) ?? []
    const state = query.state as 'pending' | 'done' | 'failed' | 'stopped' | undefined
    const found = await catalog.runShards(run.id, {
      limit: limit + 1,
      ...(typeof after === 'string' ? { after } : {}),
      ...(state === undefined ? {} : { state }),
    })
    const parts = found.map((part) => ({
      shard: part.shard,
      table: part.table,
      state: part.state,
      attempts: part.attempts,
      nextAt: isoTime(part.nextAt),
      worker: part.worker,
      error: part.error,
      failedOn: [...part.failedOn],
    }))
    return { body: mutable(cut(parts, ({ shard }) => [shard], limit)) }
  },
})

const runEvents = jsonRoute({
  method: 'GET',
  path: '/v1/runs/:id/events',
  scope: 'read',
  summary: 'The history of a run, oldest first.',
  query: PAGE_PARAMS,
  answer: pageSchema(eventSchema),
  refusals: [404],
  async handle({ path, query }, { catalog }) {
    const run = await findRun(catalog, path['id'])
    const limit = limitOf(query)
    const [after] = readCursor(query) ?? []
    const afterId = typeof after === 'number' ? after : 0
    const found = await catalog.clusterEvents({ runId: run.id, afterId, limit: limit + 1 })
    return { body: mutable(cut(found.map(eventShape), ({ id }) => [id], limit)) }
  },
})

const cancel = jsonRoute({
  method: 'POST',
  path: '/v1/runs/:id/cancel',
  scope: 'operate',
  summary: 'Asks a run to end; "asked": its holders finish their batch first.',
  query: {},
  answer: cancelledSchema,
  refusals: [404],
  async handle({ path, by }, { catalog, clock }: ApiPorts) {
    const runId = readId(path['id'])
    const outcome = await cancelRun({ catalog, clock, by: by ?? '' }, runId)
    return { body: { runId, outcome } }
  },
})

async function findRun(catalog: Catalog, text: string | undefined) {
  const run = await catalog.run(readId(text))
  if (run) return run
  throw unknownRun(text ?? '')
}

function readId(text = ''): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw refused(`${JSON.stringify(text.slice(0, 64))} is no run`, 'Runs have numbers: /v1/runs/12.')
}

export const RUN_ROUTES: readonly Route[] = [
  pipelines,
  pipelineDetail,
  startRun,
  runs,
  runDetail,
  runParts,
  runEvents,
  cancel,
]

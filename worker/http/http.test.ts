/** The HTTP API over real sockets, on both catalogs: its document, its answers, its refusals. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import * as v from 'valibot'
import type { Catalog } from '../../catalog/catalog.ts'
import type { TokenScope } from '../../catalog/cluster.ts'
import { openCatalog } from '../../catalog/open.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Clock } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import {
  openApiLab,
  type Answered,
  type ApiLab,
  type LabOptions,
} from '../../test/support/api-lab.ts'
import { seedCluster } from '../../test/support/cluster-catalog.ts'
import { startPostgres, type Postgres } from '../../test/support/postgres.ts'
import { checkListen, createTokenGate, hashToken, isLoopbackHost } from './access.ts'
import { createApi } from './api.ts'
import { problemSchema } from './schemas.ts'
import type { ApiPorts } from './ports.ts'
import type { Route } from './route.ts'

const deps = { clock: systemClock, random: systemRandom }
let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

async function sqlite(t: ExecutionContext): Promise<Catalog> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-http-'))
  const catalog = await openCatalog(join(folder, 'catalog.db'), deps)
  t.teardown(async () => {
    await catalog[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  return catalog
}

async function onPostgres(t: ExecutionContext): Promise<Catalog> {
  const catalog = await openCatalog(await postgres.newDatabase(), deps)
  t.teardown(() => catalog[Symbol.asyncDispose]())
  return catalog
}

async function openLab(
  t: ExecutionContext,
  catalog: Catalog,
  options: LabOptions = {},
): Promise<ApiLab> {
  const lab = await openApiLab(catalog, options)
  t.teardown(() => lab[Symbol.asyncDispose]())
  return lab
}

const ROUTES: readonly Route[] = createApi({} as ApiPorts, {
  isLoopback: true,
  version: '0',
  signal: new AbortController().signal,
}).routes

function problem(t: ExecutionContext, answered: Answered, status: number, code: string): void {
  t.is(answered.status, status, answered.text)
  t.is(answered.headers['content-type'], 'application/problem+json')
  t.true(v.safeParse(problemSchema, answered.json).success, answered.text)
  t.deepEqual([answered.json['status'], answered.json['code']], [status, code], answered.text)
}

// ── The document and the routes ───────────────────────────────────────────────────────────────────

/** One call of each route, in an order that leaves the later ones something to ask about. */
const CALLS: readonly (readonly [route: string, path: string, body?: string])[] = [
  ['GET /v1/pipelines', '/v1/pipelines'],
  ['GET /v1/pipelines/:name', '/v1/pipelines/shop'],
  ['GET /v1/runs', '/v1/runs?pipeline=shop'],
  ['GET /v1/runs/:id', '/v1/runs/1'],
  ['GET /v1/runs/:id/shards', '/v1/runs/1/shards'],
  ['GET /v1/runs/:id/events', '/v1/runs/1/events'],
  ['GET /v1/shards', '/v1/shards'],
  ['GET /v1/workers', '/v1/workers'],
  ['GET /v1/cluster', '/v1/cluster'],
  ['GET /v1/tables', '/v1/tables'],
  ['GET /v1/errors/:code', '/v1/errors/NOT_FOUND'],
  ['GET /v1/openapi.json', '/v1/openapi.json'],
  ['GET /metrics', '/metrics'],
  ['GET /healthz', '/healthz'],
  ['GET /readyz', '/readyz'],
  ['POST /v1/shards/:pipeline/:shard/pause', '/v1/shards/shop/a%2Fb%20c%25/pause'],
  ['POST /v1/shards/:pipeline/:shard/resume', '/v1/shards/shop/a%2Fb%20c%25/resume'],
  ['POST /v1/shards/:pipeline/:shard/release', '/v1/shards/shop/a%2Fb%20c%25/release'],
  ['POST /v1/shards/:pipeline/:shard/reset', '/v1/shards/shop/held/reset', '{"confirm":true}'],
  ['POST /v1/workers/:name/drain', '/v1/workers/w1/drain'],
  ['POST /v1/workers/:name/uncordon', '/v1/workers/w1/uncordon'],
  ['POST /v1/pipelines/:name/runs', '/v1/pipelines/web/runs', '{"fullRefresh":true}'],
  ['POST /v1/runs/:id/cancel', '/v1/runs/1/cancel'],
]

for (const [name, open] of [
  ['sqlite', sqlite],
  ['postgres', onPostgres],
] as const) {
  test(`every documented route answers as documented: ${name}`, async (t) => {
    const catalog = await open(t)
    await seedCluster(catalog, Date.now())
    const lab = await openLab(t, catalog)
    const document = (await lab.ask('/v1/openapi.json')).json as {
      readonly paths: {
        readonly [path: string]: { readonly [method: string]: { responses: object } }
      }
    }
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(
        (method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
      ),
    )
    const nameOf = (route: Route): string => `${route.method} ${route.path}`
    t.deepEqual(documented.toSorted(), ROUTES.map(nameOf).toSorted())
    const called = CALLS.map(([route]) => route)
    t.deepEqual([...called, 'GET /v1/events'].toSorted(), documented.toSorted())
    for (const [wanted, path, body] of CALLS) {
      const route = ROUTES.find((each) => nameOf(each) === wanted)!
      const answered = await lab.ask(path, {
        method: route.method,
        ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
      })
      const { responses } =
        document.paths[route.path.replaceAll(/:(\w+)/g, '{$1}')]![route.method.toLowerCase()]!
      t.true(String(answered.status) in responses, `${wanted}: ${answered.status}`)
      t.true(answered.status < 300, `${wanted}: ${answered.text}`)
      if (route.kind !== 'json') continue
      const checked = v.safeParse(route.answer, answered.json)
      t.true(checked.success, `${wanted}: ${JSON.stringify(checked.issues?.[0])} ${answered.text}`)
    }
  })
}

test('answers tell what the catalog holds', async (t) => {
  const catalog = await sqlite(t)
  const { runId } = await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  const { json } = await lab.ask(`/v1/runs/${runId}`)
  t.deepEqual(json['progress'], { pending: 2, done: 1, failed: 0, stopped: 0 })
  const { items } = (await lab.ask('/v1/shards?pipeline=shop')).json as {
    items: { shard: string; state: string; reason: string | null; advice: string | null }[]
  }
  t.deepEqual(
    items.map(({ shard, state }) => [shard, state]),
    [
      ['a/b c%', 'running'],
      ['held', 'idle'],
      ['paused', 'paused'],
      ['quarantined', 'quarantined'],
      ['unplaced', 'unassigned'],
      ['waiting', 'waiting'],
      ['~run', 'idle'],
    ],
  )
  t.is(items[4]?.reason, 'no worker carries zone=us')
  t.regex(items[3]?.advice ?? '', /hakiri shard resume shop\/quarantined/)
  const unassigned = (await lab.ask('/v1/shards?unassigned=true')).json as { items: unknown[] }
  t.is(unassigned.items.length, 4)
  const held = (await lab.ask('/v1/shards?worker=w1')).json as { items: unknown[] }
  t.is(held.items.length, 4)
  const cluster = (await lab.ask('/v1/cluster')).json
  t.like(cluster, { planner: 'w1', revision: 7, manifestVersion: 1 })
  t.like((cluster['sessions'] as object[])[0], { name: 'w1', claims: 1, assignments: 2 })
  t.deepEqual(
    (cluster['coordinators'] as { isLeader: boolean }[]).map((each) => each.isLeader),
    [true, false],
  )
})

test('what an operator asks for happens, and the events say who asked', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  const post = (path: string, body?: string) =>
    lab.ask(path, {
      method: 'POST',
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
    })
  const row = async (shard: string) =>
    (await catalog.shards('shop')).find((each) => each.shard === shard)!
  const before = await row('a/b c%')
  await post('/v1/shards/shop/a%2Fb%20c%25/release')
  t.is((await row('a/b c%')).epoch, before.epoch + 1)
  await post('/v1/shards/shop/quarantined/resume')
  t.is((await row('quarantined')).quarantine, null)
  await post('/v1/shards/shop/held/pause')
  t.true((await row('held')).paused)
  problem(t, await post('/v1/shards/shop/held/reset'), 400, 'API_REQUEST')
  problem(t, await post('/v1/shards/shop/held/reset', '{"confirm":false}'), 400, 'API_REQUEST')
  t.is((await post('/v1/shards/shop/held/reset', '{"confirm":true}')).status, 200)
  await post('/v1/workers/w1/drain')
  t.true((await catalog.workers()).find(({ name }) => name === 'w1')?.isCordoned)
  const events = await catalog.clusterEvents({ afterId: 0, limit: 100 })
  t.deepEqual(
    events.slice(-5).map(({ kind, data }) => [kind, data]),
    ['shard-released', 'shard-resumed', 'shard-paused', 'shard-reset', 'worker-drained'].map(
      (kind) => [kind, { by: 'loopback' }],
    ),
  )
})

test('a run is asked for once a key, and waits or is skipped behind another', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  const start = (body: string, headers: { [name: string]: string } = {}) =>
    lab.ask('/v1/pipelines/shop/runs', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    })
  const first = await start('{}', { 'idempotency-key': 'k1' })
  t.deepEqual(
    [first.status, first.headers.location],
    [201, `/v1/runs/${Number(first.json['runId'])}`],
  )
  const again = await start('{}', { 'idempotency-key': 'k1' })
  t.deepEqual([again.status, again.json], [200, { kind: 'known', runId: first.json['runId'] }])
  problem(t, await start('{"overlap":"skip"}'), 409, 'API_REQUEST')
  problem(t, await start('{"shard":"helt"}'), 404, 'NOT_FOUND')
  problem(t, await start('{"overlap":"never"}'), 400, 'API_REQUEST')
  problem(t, await start('{"fullrefresh":true}'), 400, 'API_REQUEST')
  problem(t, await start('{}', { 'idempotency-key': 'a b' }), 400, 'API_REQUEST')
  for (let n = 1; n < 10; n++) t.is((await start('{}')).status, 201)
  problem(t, await start('{}'), 429, 'RUNS_WAITING')
  const [newest] = await catalog.openRuns().then((runs) => runs.slice(-1))
  t.like(newest, { kind: 'run', request: { kind: 'run', fullRefresh: false }, trigger: 'manual' })
})

// ── Pages, tags, forms ────────────────────────────────────────────────────────────────────────────

for (const [name, open] of [
  ['sqlite', sqlite],
  ['postgres', onPostgres],
] as const) {
  test(`pages hold everything once, while rows come and go: ${name}`, async (t) => {
    const catalog = await open(t)
    await seedCluster(catalog, Date.now())
    for (let n = 0; n < 5; n++)
      await catalog.createRun({ pipeline: 'web', kind: 'run', worker: 'w', shardsTotal: 0 })
    const lab = await openLab(t, catalog)
    for (const [path, key, total] of [
      ['/v1/shards?', 'shard', 8],
      ['/v1/runs?', 'id', 6],
      ['/v1/workers?', 'name', 3],
      ['/v1/tables?', 'name', 2],
      ['/v1/pipelines?', 'name', 2],
      ['/v1/runs/1/shards?', 'shard', 3],
      ['/v1/shards?pipeline=shop&', 'shard', 7],
    ] as const) {
      const seen: unknown[] = []
      let next: string | null = null
      do {
        const cursor: string = next === null ? '' : `&cursor=${next}`
        const { status, json, text } = await lab.ask(`${path}limit=2${cursor}`)
        t.is(status, 200, text)
        const items = json['items'] as { [key: string]: unknown; pipeline?: string }[]
        t.true(items.length <= 2)
        seen.push(...items.map((item) => `${item.pipeline ?? ''} ${String(item[key])}`))
        next = json['next'] as string | null
        if (path === '/v1/runs?')
          await catalog.createRun({ pipeline: 'late', kind: 'run', worker: 'w', shardsTotal: 0 })
      } while (next !== null)
      t.deepEqual([seen.length, new Set(seen).size], [total, total], path)
    }
  })
}

test('what did not change is answered with 304, and what did is sent', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  const first = await lab.ask('/v1/workers')
  const { etag } = first.headers
  t.regex(etag ?? '', /^"[\w-]{27}"$/)
  t.regex(first.headers.vary ?? '', /authorization/)
  for (const tag of [etag!, `W/${etag}`, `"x", ${etag}`, '*']) {
    const { status, text, headers } = await lab.ask('/v1/workers', {
      headers: { 'if-none-match': tag },
    })
    t.deepEqual([status, text, headers.etag], [304, '', etag])
  }
  const other = await lab.ask('/v1/tables', { headers: { 'if-none-match': etag! } })
  t.is(other.status, 200)
  await catalog.cordonWorker('w1', true)
  const changed = await lab.ask('/v1/workers', { headers: { 'if-none-match': etag! } })
  t.is(changed.status, 200)
  t.not(changed.headers.etag, etag)
})

test('HEAD is GET without the body', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  for (const path of ['/v1/tables', '/metrics', '/healthz', '/v1/runs/77']) {
    const [get, head] = [await lab.ask(path), await lab.ask(path, { method: 'HEAD' })]
    t.deepEqual([head.status, head.text], [get.status, ''], path)
    for (const name of ['content-length', 'content-type', 'etag'])
      t.is(head.headers[name], get.headers[name], `${path} ${name}`)
  }
  t.is(
    (await lab.ask('/v1/events', { method: 'HEAD' })).headers['content-type'],
    'text/event-stream; charset=utf-8',
  )
})

const JSON_TYPE = { 'content-type': 'application/json' }
const REFUSED: readonly (readonly [
  status: number,
  code: string,
  method: string,
  path: string,
  headers?: { readonly [name: string]: string },
  body?: string,
])[] = [
  [404, 'NOT_FOUND', 'GET', '/'],
  [404, 'NOT_FOUND', 'GET', '/v1/nothing'],
  [404, 'NOT_FOUND', 'GET', '/v1/runs/'],
  [404, 'NOT_FOUND', 'GET', '/v1/runs/77'],
  [404, 'NOT_FOUND', 'GET', '/v1/pipelines/shopp'],
  [404, 'NOT_FOUND', 'POST', '/v1/shards/shop/helt/pause'],
  [404, 'NOT_FOUND', 'POST', '/v1/workers/w9/drain'],
  [404, 'NOT_FOUND', 'POST', '/v1/runs/77/cancel'],
  [404, 'NOT_FOUND', 'GET', '/v1/errors/NOPE'],
  [400, 'API_REQUEST', 'GET', '/v1/runs/seven'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?limit=0'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?limit=1001'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?limit=1&limit=2'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?limmit=1'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?cursor=!!'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?cursor=W3t9XQ'],
  [400, 'API_REQUEST', 'GET', '/v1/runs?__proto__=1'],
  [400, 'API_REQUEST', 'GET', '/v1/shards?unassigned=yes'],
  [400, 'API_REQUEST', 'GET', '/v1/runs/1/shards?state=lost'],
  [400, 'API_REQUEST', 'GET', '/v1/pipelines/%E0%A4%A'],
  [400, 'API_REQUEST', 'GET', '/v1/events', { 'last-event-id': 'x' }],
  [405, 'API_REQUEST', 'DELETE', '/v1/runs/1'],
  [405, 'API_REQUEST', 'POST', '/v1/runs'],
  [405, 'API_REQUEST', 'GET', '/v1/runs/1/cancel'],
  [406, 'API_REQUEST', 'GET', '/v1/runs', { accept: 'text/html' }],
  [406, 'API_REQUEST', 'GET', '/v1/runs', { accept: 'application/json;q=0, */*' }],
  [406, 'API_REQUEST', 'GET', '/v1/events', { accept: 'application/json' }],
  [413, 'API_REQUEST', 'POST', '/v1/pipelines/shop/runs', JSON_TYPE, `"${'x'.repeat(70_000)}"`],
  [
    413,
    'API_REQUEST',
    'POST',
    '/v1/pipelines/shop/runs',
    { ...JSON_TYPE, 'transfer-encoding': 'chunked' },
    `"${'x'.repeat(70_000)}"`,
  ],
  [415, 'API_REQUEST', 'POST', '/v1/pipelines/shop/runs', { 'content-type': 'text/plain' }, '{}'],
  [415, 'API_REQUEST', 'POST', '/v1/pipelines/shop/runs', {}, '{}'],
  [400, 'API_REQUEST', 'POST', '/v1/pipelines/shop/runs', JSON_TYPE, '{"a'],
  [400, 'API_REQUEST', 'POST', '/v1/pipelines/shop/runs', JSON_TYPE, '[]'],
  [400, 'API_REQUEST', 'POST', '/v1/workers/w1/drain', JSON_TYPE, '{}'],
]

test('what is not understood is refused, each with its code', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  for (const [status, code, method, path, headers = {}, body] of REFUSED) {
    const answered = await lab.ask(path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    t.is(answered.status, status, `${method} ${path}: ${answered.text}`)
    problem(t, answered, status, code)
  }
  t.is((await lab.ask('/v1/runs', { method: 'PUT' })).headers.allow, 'GET, HEAD')
  t.is((await lab.ask('/v1/pipelines/shopp')).json['suggestion'], 'Did you mean shop?')
  for (const accept of ['*/*', 'application/*', 'text/html, application/json;q=0.5'])
    t.is((await lab.ask('/v1/runs', { headers: { accept } })).status, 200, accept)
})

test('without a manifest the API says what to do', async (t) => {
  const lab = await openLab(t, await sqlite(t))
  const answered = await lab.ask('/v1/pipelines')
  problem(t, answered, 404, 'NOT_FOUND')
  t.is(answered.json['suggestion'], 'Run `hakiri apply` first.')
})

test('a bug is answered without its insides', async (t) => {
  const lab = await openLab(t, await sqlite(t), {
    ports: {
      renderMetrics: () => {
        throw new TypeError('secret insides')
      },
    },
  })
  const answered = await lab.ask('/metrics')
  problem(t, answered, 500, 'INTERNAL')
  t.false(answered.text.includes('secret'))
})

test('probes tell the state, and a catalog that is away is no reason to be restarted', async (t) => {
  const catalog = await sqlite(t)
  const away = {
    ...catalog,
    tokens: () => Promise.reject(new HakiriError('CATALOG_UNREACHABLE', 'away')),
    tables: () => Promise.reject(new HakiriError('CATALOG_UNREACHABLE', 'away')),
  }
  const lab = await openLab(t, away, { status: { notReady: ['no session', 'catalog away'] } })
  t.is((await lab.ask('/healthz')).status, 200)
  t.deepEqual((await lab.ask('/readyz')).text, 'not ready\n')
  problem(t, await lab.ask('/v1/tables'), 503, 'CATALOG_UNREACHABLE')
  const known = await openLab(t, catalog, { status: { notReady: ['no session', 'catalog away'] } })
  const { status, text } = await known.ask('/readyz')
  t.deepEqual([status, text], [503, 'not ready: no session; catalog away\n'])
  t.deepEqual(known.requests, [{ route: '/readyz', status: 503 }])
})

// ── Who may ask ───────────────────────────────────────────────────────────────────────────────────

async function addToken(
  catalog: Catalog,
  scope: TokenScope,
  expiresAt: number | null = null,
): Promise<string> {
  const token = `hk_${scope}_${systemRandom.uuid()}`
  await catalog.createToken({
    name: `${scope}-${systemRandom.uuid().slice(0, 8)}`,
    scope,
    hash: hashToken(token),
    createdBy: 'ann',
    expiresAt,
  })
  return token
}

test('each scope opens its own routes and those below', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const tokens = {
    read: await addToken(catalog, 'read'),
    operate: await addToken(catalog, 'operate'),
    admin: await addToken(catalog, 'admin'),
  }
  const lab = await openLab(t, catalog)
  const rank = { open: -1, read: 0, operate: 1, admin: 2 }
  for (const route of ROUTES.filter((each) => each.kind !== 'stream')) {
    const path = route.path.replaceAll(/:\w+/g, 'x')
    const ask = (headers: { [name: string]: string }) =>
      lab.ask(path, { method: route.method, headers })
    const bare = await ask({})
    if (route.scope === 'open') t.is(bare.status, 200, path)
    else problem(t, bare, 401, 'API_TOKEN')
    for (const scope of ['read', 'operate', 'admin'] as const) {
      const answered = await ask({ authorization: `Bearer ${tokens[scope]}` })
      if (rank[scope] < rank[route.scope]) problem(t, answered, 403, 'API_SCOPE')
      else t.false([401, 403].includes(answered.status), `${scope} ${path} ${answered.text}`)
    }
  }
  const refused = await lab.ask('/v1/runs')
  t.is(refused.headers['www-authenticate'], 'Bearer realm="hakiri"')
  problem(t, await lab.ask('/v1/nothing'), 401, 'API_TOKEN')
  for (const authorization of ['Bearer', 'Bearer x', `Basic ${tokens.admin}`, tokens.admin])
    problem(t, await lab.ask('/v1/runs', { headers: { authorization } }), 401, 'API_TOKEN')
})

test('an expired token opens nothing, also where no token would be needed', async (t) => {
  const catalog = await sqlite(t)
  const token = await addToken(catalog, 'admin', Date.now() - 1)
  const lab = await openLab(t, catalog)
  problem(t, await lab.ask('/v1/tables'), 401, 'API_TOKEN')
  const answered = await lab.ask('/v1/tables', { headers: { authorization: `Bearer ${token}` } })
  problem(t, answered, 401, 'API_TOKEN')
  t.regex(String(answered.json['detail']), /past its time/)
})

test('beyond loopback nothing is told without a token, and the port is not opened without one', async (t) => {
  const catalog = await sqlite(t)
  t.throws(() => checkListen('0.0.0.0', [], 0), { code: 'API_TOKEN' } as never)
  const lab = await openLab(t, catalog, { host: '0.0.0.0' })
  problem(t, await lab.ask('/v1/tables'), 401, 'API_TOKEN')
  problem(t, await lab.ask('/metrics'), 401, 'API_TOKEN')
  await addToken(catalog, 'read', 1)
  const tokens = await catalog.tokens()
  t.throws(() => checkListen('10.0.0.1', tokens, 2), { code: 'API_TOKEN' } as never)
  t.notThrows(() => checkListen('10.0.0.1', tokens, 0))
  for (const host of ['127.0.0.1', 'localhost', '::1', '127.9.9.9'])
    t.notThrows(() => checkListen(host, [], 0))
  for (const host of [
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '0.0.0.0',
    '::',
    '10.0.0.1',
  ])
    t.false(isLoopbackHost(host), host)
})

test('tokens are looked up every few seconds, and stand while the catalog is away', async (t) => {
  let [now, asked, isAway] = [0, 0, false]
  const hash = hashToken('t')
  const row = {
    name: 'n',
    scope: 'read' as const,
    hash,
    createdAt: 0,
    createdBy: 'a',
    expiresAt: null,
  }
  let rows = [row]
  const gate = createTokenGate({
    isLoopback: false,
    clock: { ...systemClock, now: () => now, monotonic: () => now },
    catalog: {
      tokens: async () => {
        asked++
        if (isAway) throw new HakiriError('CATALOG_UNREACHABLE', 'away')
        return rows
      },
    },
  })
  t.is((await gate('t')).kind, 'allowed')
  t.is((await gate('t')).kind, 'allowed')
  t.is(asked, 1)
  rows = []
  now = 3_000
  t.deepEqual(await gate('t'), { kind: 'refused', reason: 'unknown' })
  rows = [row]
  now = 6_000
  await gate('t')
  isAway = true
  now = 200_000
  const before = asked
  for (let n = 0; n < 5; n++) t.is((await gate('t')).kind, 'allowed')
  t.is(asked, before + 1, 'a catalog that is away is not asked by every request')
  now = 4_000_000
  await t.throwsAsync(gate('t'), { message: 'away' })
})

test('a page in a browser can neither read under its own name nor write', async (t) => {
  const catalog = await sqlite(t)
  await seedCluster(catalog, Date.now())
  const lab = await openLab(t, catalog)
  const drain = (headers: { [name: string]: string }) =>
    lab.ask('/v1/workers/w1/drain', { method: 'POST', headers })
  for (const host of [
    'evil.example',
    'localhost.evil.example:80',
    '127.0.0.1.evil.example',
    '10.0.0.1',
  ])
    problem(t, await lab.ask('/v1/tables', { headers: { host } }), 403, 'API_ORIGIN')
  for (const host of ['localhost:7700', '127.0.0.1', '[::1]:7700'])
    t.is((await lab.ask('/v1/tables', { headers: { host } })).status, 200, host)
  problem(t, await drain({ origin: 'https://evil.example' }), 403, 'API_ORIGIN')
  problem(t, await drain({ origin: 'null' }), 403, 'API_ORIGIN')
  problem(t, await drain({ 'sec-fetch-site': 'cross-site' }), 403, 'API_ORIGIN')
  t.false((await catalog.workers()).find(({ name }) => name === 'w1')!.isCordoned)
  const read = await lab.ask('/v1/tables', { headers: { origin: 'https://evil.example' } })
  t.deepEqual([read.status, read.headers['access-control-allow-origin']], [200, undefined])
  t.is((await drain({})).status, 200)
})

// ── Limits ────────────────────────────────────────────────────────────────────────────────────────

/** Everything until the other side closes. */
async function rest(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  socket.on('error', () => undefined)
  await once(socket, 'close')
  return Buffer.concat(parts).toString()
}

test('headers that never end, or are too many, cost a moment and no more', async (t) => {
  const lab = await openLab(t, await sqlite(t), { limits: { headersMs: 200, requestMs: 400 } })
  const slow = await lab.socket()
  slow.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ')
  t.regex(await rest(slow), /^HTTP\/1\.1 408 /)
  const slowBody = await lab.socket()
  slowBody.write(
    'POST /v1/workers/w1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{',
  )
  t.regex(await rest(slowBody), /^HTTP\/1\.1 408 /)
  // With ample time: slow is not what these two are.
  const patient = await openLab(t, await sqlite(t))
  const large = await patient.socket()
  large.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`)
  t.regex(await rest(large), /^HTTP\/1\.1 431 /)
  const garbage = await patient.socket()
  garbage.write('\u0016\u0003\u0001 what\r\n\r\n')
  t.regex(await rest(garbage), /^HTTP\/1\.1 400 /)
  t.is((await patient.ask('/healthz')).status, 200)
})

test('there are never more connections than set', async (t) => {
  const lab = await openLab(t, await sqlite(t), { limits: { connectionsMax: 2 } })
  const first = await lab.socket()
  const second = await lab.socket()
  const third = await lab.socket()
  t.is(await rest(third), '')
  first.destroy()
  second.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  t.regex(await rest(second), /^HTTP\/1\.1 200 /)
})

test('too many requests at a time, and answers that take too long, are refused', async (t) => {
  const catalog = await sqlite(t)
  let open: (() => void) | undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  let entered: (() => void) | undefined
  const isIn = new Promise<void>((resolve) => (entered = resolve))
  const stuck: Catalog = {
    ...catalog,
    tables: async () => {
      entered?.()
      await opened
      return []
    },
  }
  // The deadline of an answer passes when the test says so; everything else takes its time.
  let pass: (() => void) | undefined
  const passed = new Promise<void>((resolve) => (pass = resolve))
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => (ms === 1_234 ? passed : systemClock.sleep(ms, signal)),
  }
  const lab = await openLab(t, stuck, { clock, limits: { requestsMax: 1, answerMs: 1_234 } })
  const waiting = lab.ask('/v1/tables')
  await isIn
  const busy = await lab.ask('/v1/workers')
  problem(t, busy, 503, 'API_BUSY')
  t.is(busy.headers['retry-after'], '1')
  t.is((await lab.ask('/healthz')).status, 200)
  pass?.()
  const late = await waiting
  problem(t, late, 503, 'API_BUSY')
  t.regex(String(late.json['detail']), /no answer within 1234 ms/)
  open?.()
})

// ── Events ────────────────────────────────────────────────────────────────────────────────────────

type Follower = { readonly until: (pattern: RegExp) => Promise<string>; readonly socket: Socket }

async function follow(lab: ApiLab, path: string, extra = ''): Promise<Follower> {
  const socket = await lab.socket()
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (part: Buffer) => (text += part.toString()))
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${extra}\r\n`,
  )
  return {
    socket,
    async until(pattern) {
      const late = AbortSignal.timeout(60_000)
      while (!pattern.test(text)) await once(socket, 'data', { signal: late })
      return text
    },
  }
}

const EVENT = {
  at: 1,
  level: 'info',
  runId: null,
  pipeline: 'shop',
  shard: null,
  worker: null,
  kind: 'told',
  message: 'm',
  data: null,
} as const

for (const [name, open] of [
  ['sqlite', sqlite],
  ['postgres', onPostgres],
] as const) {
  test(`events arrive as they happen, and Last-Event-ID resumes: ${name}`, async (t) => {
    const catalog = await open(t)
    await seedCluster(catalog, Date.now())
    const lab = await openLab(t, catalog)
    const live = await follow(lab, '/v1/events')
    t.regex(await live.until(/retry: \d+\n\n/), /content-type: text\/event-stream/)
    await catalog.addClusterEvents([{ ...EVENT, message: 'first' }])
    const text = await live.until(/first/)
    t.notRegex(text, /nothing new/, 'what was before is not told')
    const id = Number(/id: (\d+)\nevent: told\ndata: /.exec(text)?.[1])
    live.socket.destroy()
    await catalog.addClusterEvents([
      { ...EVENT, message: 'second' },
      { ...EVENT, pipeline: 'web', message: 'other' },
      { ...EVENT, message: 'third' },
    ])
    const back = await follow(lab, '/v1/events?pipeline=shop', `Last-Event-ID: ${id}\r\n`)
    const missed = await back.until(/third/)
    t.regex(missed, /second[^]*third/)
    t.notRegex(missed, /first|other/)
    const run = await follow(lab, '/v1/events?run=1&after=0')
    const told = await run.until(/nothing new/)
    t.regex(told, /event: shard-done\ndata: \{.*"message":"nothing new\\nhere"/)
    for (const each of [back, run]) each.socket.destroy()
  })
}

test('a wake-up brings an event at once, without waiting for the next look', async (t) => {
  const catalog = await sqlite(t)
  // Nothing that waits for time ever goes on.
  const sleep: Clock['sleep'] = (_ms, signal) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    })
  const lab = await openLab(t, catalog, {
    clock: { ...systemClock, sleep },
    limits: { drainMs: 0 },
    ports: { authorize: async () => ({ kind: 'allowed', name: 'n', scope: 'read' }) },
  })
  const live = await follow(lab, '/v1/events')
  await live.until(/retry/)
  for (const message of ['first', 'second']) {
    await catalog.addClusterEvents([{ ...EVENT, message }])
    t.regex(await live.until(new RegExp(message)), /event: told/)
  }
  live.socket.destroy()
})

test('a client that takes nothing is dropped, and streams end with the API', async (t) => {
  const catalog = await sqlite(t)
  const lab = await openLab(t, catalog, { limits: { stallMs: 300 } })
  const message = 'x'.repeat(200_000)
  await catalog.addClusterEvents(Array.from({ length: 150 }, () => ({ ...EVENT, message })))
  const stuck = await lab.socket()
  stuck.on('error', () => undefined)
  stuck.pause()
  stuck.write('GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const live = await follow(lab, '/v1/events')
  await live.until(/retry/)
  // What the kernel has taken for it is still there to read; after it comes the end, not the rest.
  await lab.ask('/healthz')
  await fewerThan(lab, 2)
  stuck.resume()
  const got = await rest(stuck)
  t.true(got.length < message.length * 150)
  await lab[Symbol.asyncDispose]()
  await once(live.socket, 'close')
  t.pass()
})

/** Until the API has fewer connections than that. */
async function fewerThan(lab: ApiLab, connections: number): Promise<void> {
  const late = AbortSignal.timeout(60_000)
  while (lab.connections() >= connections) {
    late.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('no more clients follow events than may', async (t) => {
  const lab = await openLab(t, await sqlite(t))
  const followers = await Promise.all(Array.from({ length: 64 }, () => follow(lab, '/v1/events')))
  await Promise.all(followers.map((each) => each.until(/retry/)))
  problem(t, await lab.ask('/v1/events'), 503, 'API_REQUEST')
  for (const each of followers) each.socket.destroy()
  await fewerThan(lab, 1)
  const again = await follow(lab, '/v1/events')
  t.regex(await again.until(/retry/), /^HTTP\/1\.1 200 /)
  again.socket.destroy()
})

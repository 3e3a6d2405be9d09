import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import pg from 'pg'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { openStore } from '../../../sink/store/open.ts'
import { mulberry } from '../../cluster/random.ts'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { type ServeProcess, startServe } from '../../support/serve-process.ts'
import { until } from '../../support/until.ts'
import type { Host } from '../hosts/lab.ts'
import { auditPipelines, inspectPipelines } from './audit.ts'
import { openDiskBucket } from './bucket-disk.ts'
import { postgresRows } from './expected.ts'
import { query } from './host-postgres.ts'
import { PIPELINES, tablePrefix } from './manifest.ts'
import { type Pipelines, startPipelines } from './pipelines.ts'
import { growLedger } from './sources.ts'

const SEED = 7
const WORKER = 'worker-1'
const WITHIN_MS = 20_000

/** Every host is this machine; nothing is wrong with any link. */
function loopbackHost(name: string): Host {
  return {
    name,
    address: '127.0.0.1',
    spawn: (program, args, { env, cwd, user } = {}) =>
      spawn(program, args, {
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
        ...user,
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
  }
}

type Scene = {
  readonly pipelines: Pipelines
  readonly worker: ServeProcess
}

async function openPipelines(t: ExecutionContext): Promise<Pipelines> {
  const cleaning = new AsyncDisposableStack()
  t.teardown(() => cleaning[Symbol.asyncDispose]())
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-pipes-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  return cleaning.use(
    await startPipelines({
      lab: { addHost: (name) => Promise.resolve(loopbackHost(name)) },
      folder,
      workers: [WORKER],
      seed: SEED,
      clock: systemClock,
      random: mulberry(SEED),
      sizes: { parts: 8 },
    }),
  )
}

async function openScene(t: ExecutionContext): Promise<Scene> {
  const place = await startHakiriPlace(1)
  t.teardown(() => place[Symbol.asyncDispose]())
  const pipelines = await openPipelines(t)
  const own = join(pipelines.folder, WORKER)
  await mkdir(own)
  const coord = place.members.map(({ endpoint }) => endpoint).join(',')
  const args = ['--coord', coord, '--session-ttl', '3s', '--slots', '4', '--memory', '64MB']
  const options = { name: WORKER, folder: own, args, env: pipelines.env(WORKER) }
  const worker = await startServe(options)
  t.teardown(() => worker[Symbol.asyncDispose]())
  return { pipelines, worker }
}

test.serial(
  'pipelines over sources that change and an API that misbehaves lose and double nothing',
  async (t) => {
    const { pipelines, worker } = await openScene(t)
    await pipelines.api.faults({ rate: 0.02, badGateway: 0.05, slow: 0.02, cut: 0.05, reset: 0.05 })
    await pipelines.start()
    for (const name of PIPELINES)
      await until(`a run of ${name} succeeds`, async () => {
        const runs = await pipelines.catalog.runs({ pipeline: name, limit: 50 })
        return runs.filter(({ status }) => status === 'succeeded').length >= 1
      })
    const misbehaved = await pipelines.api.state()
    const liveness = await pipelines.settle({
      up: [WORKER],
      sourceFaults: [],
      withinMs: () => WITHIN_MS,
    })
    const audit = await inspectPipelines(pipelines, { liveness, withinMs: WITHIN_MS })
    t.deepEqual(audit.problems, [])
    t.true(misbehaved.faults > 0, 'the API did nothing wrong')
    for (const name of PIPELINES) {
      const { rows = 0, versions = 0 } = audit.tables.get(name) ?? {}
      t.true(rows > 0 && versions > 1, `${name}: ${rows} rows, ${versions} versions`)
    }
    t.true(audit.commits > 0 && audit.versions > 0)

    await worker.signal('SIGKILL')
    await plantBreaches(pipelines)
    const problems = await auditPipelines(pipelines, { liveness, withinMs: WITHIN_MS })
    const found = new Set(problems.map(({ check }) => check))
    t.deepEqual(
      PLANTED.filter((check) => !found.has(check)),
      [],
    )
  },
)

/** What the audit must find, each after it has found nothing. */
const PLANTED = [
  'changed',
  'lost',
  'extra',
  'missing-file',
  'unreadable',
  'log-bodies',
  'object-rewritten',
  'delta',
  'live-files',
  'seq-has-commit',
  'one-writer',
  'one-publisher',
] as const

async function plantBreaches({
  bucket,
  catalogPostgres,
  sourcePostgres,
}: Pipelines): Promise<void> {
  await query(
    sourcePostgres.localUrl,
    `update ledger set note = 'planted' where id = 5; delete from ledger where id = 6;
     ${growLedger(1)}`,
  )
  await query(
    catalogPostgres.localUrl,
    `update hakiri.shard set seq = seq + 1 where pipeline = 'tickets';
     update hakiri.table_file set removed_at = 1
       where ctid = (select min(ctid) from hakiri.table_file
         where table_name = 'ledger.ledger' and version is not null and removed_at is null);
     insert into hakiri.table_log (table_name, version, body, created_at)
       select 'tickets.tickets', max(version) + 1, '', 0 from hakiri.table_log`,
  )
  const objects = openDiskBucket(bucket.folder)
  const keys = [...objects.objects.keys()]
  const file = keys.find((key) => key.startsWith(tablePrefix('events.events') + 'run'))
  objects.keeper?.drop(file ?? '')
  const version = `${tablePrefix('accounts.accounts')}_delta_log/${'0'.repeat(20)}.json`
  const body = Buffer.from('{}\n')
  objects.keeper?.keep(version, { body, bytes: body.length, etag: 'planted', modifiedAt: 1 })
}

test.serial(
  'servers that are killed come back with what they had, and fail only while they are told to',
  async (t) => {
    const pipelines = await openPipelines(t)
    const { api, bucket, sourcePostgres } = pipelines
    await using store = await openStore(
      {
        type: 's3',
        url: 's3://lake/probe',
        endpoint: bucket.url,
        credentials: { accessKeyId: 'stub-access-key', secretAccessKey: 'stub-secret-key' },
      },
      { clock: systemClock, random: systemRandom, logger: silentLogger },
    )
    await store.put('kept', Buffer.from('bytes'))

    const keys: number[] = []
    for await (const { key } of postgresRows(sourcePostgres.localUrl, 'ledger', 100)) keys.push(key)
    t.true(keys.length > 1_000)
    t.deepEqual(
      keys,
      keys.map((_, at) => at + 1),
      'pages of the source do not add up to it',
    )

    await pipelines.start()
    const rows = async () =>
      Number((await query(sourcePostgres.localUrl, 'select count(*) from ledger'))[0]?.['count'])
    const first = await rows()
    await until('the ledger grows', async () => (await rows()) > first)
    const { count } = await api.state()
    await using client = await connected(sourcePostgres.url())

    await Promise.all([bucket.kill(), api.kill(), sourcePostgres.kill()])
    await client.ended
    await t.throwsAsync(fetch(api.url))
    await Promise.all([bucket.up(), api.up(), sourcePostgres.up()])
    t.deepEqual(Buffer.from((await store.get('kept')) ?? []).toString(), 'bytes')
    t.true((await api.state()).count >= count)
    const recovered = await rows()
    t.true(recovered >= first)
    await until('the ledger grows again', async () => (await rows()) > recovered)

    await using other = await connected(sourcePostgres.url())
    t.true((await sourcePostgres.dropConnections()) >= 1)
    await other.ended

    await bucket.mood({ faults: [{ kind: 'forbidden' }] })
    await t.throwsAsync(store.get('kept'), { message: /403|AccessDenied|refused/i })
    await bucket.mood({ settings: { conditional: 'ignored' } })
    t.is((await store.probe()).conditionalPut, 'ignored')
    await bucket.mood({})
    t.is((await store.probe()).conditionalPut, 'honoured')
  },
)

/** A connection over the network, and when it ended. */
async function connected(
  url: string,
): Promise<AsyncDisposable & { readonly ended: Promise<void> }> {
  const client = new pg.Client({ connectionString: url })
  const ended = new Promise<void>((resolve) => {
    client.on('error', () => resolve())
    client.once('end', () => resolve())
  })
  await client.connect()
  return { ended, [Symbol.asyncDispose]: () => client.end() }
}

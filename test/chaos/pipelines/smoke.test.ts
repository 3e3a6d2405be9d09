import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { systemClock } from '../../../lib/system/clock.ts'
import { mulberry } from '../../cluster/random.ts'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { type ServeProcess, startServe } from '../../support/serve-process.ts'
import { until } from '../../support/worker-cluster.ts'
import type { Host } from '../hosts/lab.ts'
import { inspectPipelines } from './audit.ts'
import { PIPELINES } from './manifest.ts'
import { type Pipelines, startPipelines } from './pipelines.ts'

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

type Scene = { readonly pipelines: Pipelines; readonly worker: ServeProcess }

async function openScene(t: ExecutionContext): Promise<Scene> {
  const cleaning = new AsyncDisposableStack()
  t.teardown(() => cleaning[Symbol.asyncDispose]())
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-pipes-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const [place, pipelines] = await Promise.all([
    startHakiriPlace(1),
    startPipelines({
      lab: { addHost: (name) => Promise.resolve(loopbackHost(name)) },
      folder,
      workers: [WORKER],
      seed: SEED,
      clock: systemClock,
      random: mulberry(SEED),
      sizes: { parts: 8 },
    }),
  ])
  cleaning.use(place)
  cleaning.use(pipelines)
  const own = join(folder, WORKER)
  await mkdir(own)
  const coord = place.members.map(({ endpoint }) => endpoint).join(',')
  const args = ['--coord', coord, '--session-ttl', '3s', '--slots', '4', '--memory', '64MB']
  const options = { name: WORKER, folder: own, args, env: pipelines.env(WORKER) }
  const worker = cleaning.use(await startServe(options))
  return { pipelines, worker }
}

test('pipelines over sources that change and an API that misbehaves lose and double nothing', async (t) => {
  const { pipelines } = await openScene(t)
  await pipelines.api.faults({ rate: 0.02, badGateway: 0.05, slow: 0.02, cut: 0.05, reset: 0.05 })
  await pipelines.start()
  for (const name of PIPELINES)
    await until(`a run of ${name} succeeds`, async () => {
      const runs = await pipelines.catalog.runs({ pipeline: name, limit: 50 })
      return runs.filter(({ status }) => status === 'succeeded').length >= 1
    })
  const misbehaved = await pipelines.api.state()
  const liveness = await pipelines.settle({ up: [WORKER], sourceFaults: [], withinMs: WITHIN_MS })
  const audit = await inspectPipelines(pipelines, { liveness, withinMs: WITHIN_MS })
  t.log(
    JSON.stringify({
      ...pipelines.summary(),
      tables: [...audit.tables].map(([name, { rows, versions, orphans }]) => [
        name,
        rows,
        versions,
        orphans.files,
      ]),
    }),
  )
  t.deepEqual(audit.problems, [])
  t.true(misbehaved.faults > 0, 'the API did nothing wrong')
  for (const name of PIPELINES) {
    const { rows = 0, versions = 0 } = audit.tables.get(name) ?? {}
    t.true(rows > 0 && versions > 1, `${name}: ${rows} rows, ${versions} versions`)
  }
  t.true(audit.commits > 0 && audit.versions > 0)
})

/**
 * What a cluster stands on goes away and comes back: coordinators, catalog, bucket. Each worker says so
 * once, /readyz tells, what was at work goes on as far as it may, and all of it recovers without a restart.
 */
import { readdir, readFile } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import { createAdminClient } from '../../../coord/client/admin.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import type { CoordPlace } from '../../conformance/coord-client-suite.ts'
import { etcdMissing } from '../../etcd/start-etcd.ts'
import { lakeIn } from '../../support/bucket-source.ts'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { forEachBackend } from '../../support/coord-backends.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { startS3Stub } from '../../support/s3-stub.ts'
import type { ServeProcess } from '../../support/serve-process.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster, type WorkerCluster } from '../../support/worker-cluster.ts'

const missing = await etcdMissing()

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

async function readyz({
  api,
}: ServeProcess): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(`${api}/readyz`, { signal: AbortSignal.timeout(10_000) })
  return { status: answer.status, text: await answer.text() }
}

function isReady(worker: ServeProcess): Promise<true> {
  return until(`${worker.name} is ready`, async () => (await readyz(worker)).status === 200)
}

/** It was away and came back, said each time once and by turns. */
function saidByTurns(t: ExecutionContext, worker: ServeProcess, what: string): void {
  const said = worker
    .lines()
    .map(({ message }) => message)
    .filter((message) => [`the ${what} is away`, `the ${what} is back`].includes(message))
  t.true(said.length > 0 && said.length % 2 === 0, `${worker.name}: ${said.join(', ')}`)
  said.forEach((message, at) => t.is(message, `the ${what} is ${at % 2 === 0 ? 'away' : 'back'}`))
}

const rowsRead = async (lab: WorkerCluster, run: number): Promise<number> =>
  (await lab.catalog.run(run))?.counters.rowsRead ?? 0

/** The member that leads, once one does. */
async function leaderOf({ members }: CoordPlace): Promise<CoordPlace['members'][number]> {
  const endpoints = members.map(({ endpoint }) => endpoint)
  const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }
  await using admin = createAdminClient({ endpoints, attemptMs: 1_000, readMs: 2_000 }, parts)
  return await until('a coordinator leads', async () => {
    for (const member of members) {
      const status = await admin.status(member.endpoint).catch(() => undefined)
      if (status && status.leader !== 0n && status.leader === status.header?.memberId) return member
    }
    return undefined
  })
}

forEachBackend(test, missing, (backend) => {
  test.serial(
    `the leading coordinator is killed, then all of them, and come back: ${backend.name}`,
    async (t) => {
      await using place = await backend.start(3)
      const lab = await openWorkerCluster(t, { postgres, place, rows: 1_000 })
      await lab.apply()
      lab.api.latencyMs = 150
      const workers = [await lab.start('one'), await lab.start('two')]
      const pids = workers.map((worker) => worker.pid())
      const run = await lab.run()
      await until('rows are committed', async () => (await rowsRead(lab, run)) > 0)
      const leader = await leaderOf(place)
      await leader.kill()
      await leaderOf(place)
      await leader.start()

      await Promise.all(place.members.map((member) => member.kill()))
      for (const worker of workers) {
        await worker.until(({ message }) => message === 'the coordinator is away', 'the outage')
        const { status, text } = await readyz(worker)
        t.is(status, 503)
        t.regex(text, /coordinator/)
      }
      // What was at work has lost its session and goes on while its epoch stands.
      const before = await rowsRead(lab, run)
      const detached = await lab.catalog.runProgress(run)
      await until('work goes on alone', async () => (await rowsRead(lab, run)) > before)
      const begun = async (): Promise<number> =>
        (await lab.catalog.shards('shop')).filter(({ epoch }) => epoch > 0).length
      const under = await begun()
      await until('what was at work is done', async () => {
        const { done } = await lab.catalog.runProgress(run)
        return done >= Math.min(under, detached.done + 1)
      })
      t.is(await begun(), under, 'nothing new was taken up')

      await Promise.all(place.members.map((member) => member.start()))
      for (const worker of workers) await isReady(worker)
      t.is((await lab.ended(run)).status, 'succeeded')
      await lab.audit(t)
      t.deepEqual(
        workers.map((worker) => worker.pid()),
        pids,
        'nobody was restarted',
      )
      for (const worker of workers) saidByTurns(t, worker, 'coordinator')
    },
  )

  test.serial(
    `the catalog crashes under load and is back after a while: ${backend.name}`,
    async (t) => {
      await using own = await startPostgres()
      const lab = await openWorkerCluster(t, {
        postgres: own,
        place: await backend.shared(),
        rows: 1_000,
      })
      await lab.apply()
      lab.api.latencyMs = 100
      const workers = [await lab.start('one'), await lab.start('two')]
      // Who may be told why is known from now on, also while the catalog cannot be asked.
      for (const worker of workers) await isReady(worker)
      const run = await lab.run()
      await until('rows are committed', async () => (await rowsRead(lab, run)) > 0)
      await own.restart('immediate')
      await until('work goes on', async () => {
        const rows = await rowsRead(lab, run).catch(() => 0)
        return rows > 500
      })
      await own.down('immediate')
      for (const worker of workers) {
        await until(`${worker.name} tells`, async () => {
          const { status, text } = await readyz(worker)
          return status === 503 && text.includes('catalog')
        })
      }
      await own.up()
      for (const worker of workers) await isReady(worker)
      t.is((await lab.ended(run)).status, 'succeeded')
      await lab.audit(t)
      for (const worker of workers) saidByTurns(t, worker, 'catalog')
    },
  )
})

/** Of the process and those that it started. */
async function residentBytes(pid: number): Promise<number> {
  let bytes = 0
  for (const entry of await readdir('/proc')) {
    const status = /^\d+$/.test(entry)
      ? await readFile(`/proc/${entry}/status`, 'utf8').catch(() => '')
      : ''
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
    if (Number(entry) === pid || field('PPid') === pid) bytes += field('VmRSS') * 1_024
  }
  return bytes
}

/** `--memory` of the labs, and what Node and the two engines weigh beside it. */
const MEMORY_BYTES = 64e6
const FIXED_BYTES = 300e6

test.serial(
  'a bucket that is away, refuses or is slow holds work back within the memory',
  async (t) => {
    await using place = await startHakiriPlace(1)
    await using stub = await startS3Stub({ buckets: ['lake'] })
    const lab = await openWorkerCluster(t, {
      postgres,
      place,
      parts: 4,
      rows: 3_000,
      lake: lakeIn(stub),
    })
    await lab.apply()
    lab.api.latencyMs = 20
    const worker = await lab.start('one')
    const run = await lab.run()
    await until('rows are committed', async () => (await rowsRead(lab, run)) > 0)
    let peak = 0
    for (const fault of [{ kind: 'slow-down' }, { kind: 'forbidden' }] as const) {
      stub.fault(fault)
      await until(`${fault.kind} is told`, async () => {
        peak = Math.max(peak, await residentBytes(worker.pid() ?? 0))
        const { status, text } = await readyz(worker)
        return status === 503 && text.includes('bucket')
      })
      const before = stub.log.length
      await until('it is tried again and again', async () => {
        peak = Math.max(peak, await residentBytes(worker.pid() ?? 0))
        return stub.log.length >= before + 10
      })
      stub.clearFaults()
      await isReady(worker)
    }
    stub.set({ latencyMs: 1_000 })
    const slow = await rowsRead(lab, run)
    await until('a slow bucket still gets rows', async () => (await rowsRead(lab, run)) > slow)
    stub.set({ latencyMs: 0 })
    t.is((await lab.ended(run)).status, 'succeeded')
    await lab.audit(t)
    saidByTurns(t, worker, 'bucket')
    t.log(`most resident: ${Math.round(peak / 1e6)} MB`)
    t.true(peak < MEMORY_BYTES + FIXED_BYTES, `${peak} bytes`)
  },
)

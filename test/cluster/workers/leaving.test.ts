/**
 * A worker that is asked to end while what it needs does not answer: it is gone when the time for a clean
 * stop is up, instead of waiting for others, and nothing that it had begun is lost or doubled.
 */
import test from 'ava'
import { lakeIn } from '../../support/bucket-source.ts'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { startS3Stub, type S3Stub } from '../../support/s3-stub.ts'
import type { ServeProcess } from '../../support/serve-process.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster } from '../../support/worker-cluster.ts'

const LEAVES_SOON = { args: ['--drain-timeout', '2s'] }

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

/** Asks it to end, and gives its exit code. */
async function leave(worker: ServeProcess): Promise<number | NodeJS.Signals | undefined> {
  const leaving = worker.signal('SIGTERM')
  await until(`${worker.name} is gone`, async () => worker.pid() === undefined)
  return leaving
}

/** Writes that the bucket was asked for and never answered. */
const unanswered = ({ log }: S3Stub): readonly string[] =>
  log
    .filter(({ fault, operation }) => fault === 'hang' && operation === 'put')
    .map(({ key }) => key)

test.serial('a bucket that does not answer does not keep a worker', async (t) => {
  await using place = await startHakiriPlace(1)
  await using stub = await startS3Stub({ buckets: ['lake'] })
  const lab = await openWorkerCluster(t, {
    postgres,
    place,
    parts: 4,
    lake: lakeIn(stub),
  })
  await lab.apply()
  lab.api.latencyMs = 20
  const one = await lab.start('one', LEAVES_SOON)
  const run = await lab.run()
  await until('rows are committed', async () => (await lab.catalog.run(run))?.counters.rowsRead)
  stub.fault({ kind: 'hang', on: ['put'] })
  await until('a write waits', async () => unanswered(stub).length > 0)
  t.is(await leave(one), 0)
  const asked = unanswered(stub)
  t.deepEqual(asked, [...new Set(asked)], 'the wait was broken off: nothing was asked for again')
  stub.clearFaults()
  await lab.start('two')
  t.is((await lab.ended(run)).status, 'succeeded')
  await lab.audit(t)
})

test.serial('nor do a catalog and coordinators that are away', async (t) => {
  await using own = await startPostgres()
  await using place = await startHakiriPlace(1)
  const lab = await openWorkerCluster(t, { postgres: own, place, rows: 1_000 })
  await lab.apply()
  lab.api.latencyMs = 150
  const one = await lab.start('one', LEAVES_SOON)
  const run = await lab.run()
  const rowsRead = async (): Promise<number> => (await lab.catalog.run(run))?.counters.rowsRead ?? 0
  await until('rows are committed', async () => (await rowsRead()) > 0)
  await Promise.all(place.members.map((member) => member.kill()))
  await one.until(({ message }) => message === 'the coordinator is away', 'the outage')
  const before = await rowsRead()
  await until('work goes on alone', async () => (await rowsRead()) > before)
  await own.down('immediate')
  await one.until(({ message }) => message === 'the catalog is away', 'the second outage')
  t.is(await leave(one), 0)
  await own.up()
  await Promise.all(place.members.map((member) => member.start()))
  await lab.start('two')
  t.is((await lab.ended(run)).status, 'succeeded')
  await lab.audit(t)
})

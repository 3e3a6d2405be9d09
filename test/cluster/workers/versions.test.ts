/**
 * Two versions side by side: workers of a later build, with one more migration, a wider protocol and
 * another version number, work on one run with those of this build, in both directions of an upgrade.
 */
import test from 'ava'
import { startHakiriPlace } from '../../support/coord-place.ts'
import { makeNextBuild } from '../../support/next-build.ts'
import { offsetOf } from '../../support/gated-api.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { version } from '../../../cli/version.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster, type WorkerCluster } from '../../support/worker-cluster.ts'

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

/** Each of them holds shards, and nobody else does. */
function share(lab: WorkerCluster, names: readonly string[]): Promise<true> {
  return until(`${names.join(' and ')} share the shards`, async () => {
    const { claims } = await lab.view()
    const shards = [...claims].filter(([unit]) => !unit.includes('/~'))
    const at = new Set(shards.map(([, holder]) => holder))
    return at.size === names.length && names.every((name) => at.has(name))
  })
}

test.serial('a cluster is upgraded worker by worker under load, and back', async (t) => {
  await using place = await startHakiriPlace(1)
  await using next = await makeNextBuild({
    version: '99.0.0',
    protocol: { oldest: 1, newest: 2 },
    migration: 'alter table run add column of_the_next_version text;',
  })
  const lab = await openWorkerCluster(t, { postgres, place, rows: 1_000, ttlMs: 30_000 })
  await lab.apply()
  lab.api.latencyMs = 20
  // As long as nobody is let past the middle, all of them are at work on it.
  const gate = lab.api.hold((request) => offsetOf(request) >= 500)
  const old = [await lab.start('old-1'), await lab.start('old-2')]
  const run = await lab.run()
  await share(lab, ['old-1', 'old-2'])
  const command = [next.hakiri] as const
  const young = [await lab.start('new-1', { command }), await lab.start('new-2', { command })]
  await share(lab, ['old-1', 'old-2', 'new-1', 'new-2'])
  t.is((await lab.catalog.run(run))?.status, 'running', 'they work on one run')
  const versions = new Map((await lab.catalog.workers()).map((row) => [row.name, row.version]))
  gate.open()
  t.deepEqual([versions.get('old-1'), versions.get('new-1')], [version(), '99.0.0'])
  for (const worker of old) t.is(await worker.signal('SIGTERM'), 0)
  await share(lab, ['new-1', 'new-2'])
  t.is((await lab.ended(run)).status, 'succeeded')
  await lab.audit(t)

  lab.api.rows += 500
  const second = lab.api.hold((request) => offsetOf(request) >= 300)
  const back = await lab.run()
  await lab.start('old-3')
  await share(lab, ['new-1', 'new-2', 'old-3'])
  second.open()
  for (const worker of young) t.is(await worker.signal('SIGTERM'), 0)
  t.is((await lab.ended(back)).status, 'succeeded')
  await lab.audit(t)
})

test.serial(
  'a version that speaks none of the protocols that are spoken is refused by name',
  async (t) => {
    await using place = await startHakiriPlace(1)
    await using far = await makeNextBuild({ version: '99.0.0', protocol: { oldest: 3, newest: 4 } })
    const lab = await openWorkerCluster(t, { postgres, place })
    const here = await lab.start('here')
    const refused = await t.throwsAsync(lab.start('far', { command: [far.hakiri] }))
    t.regex(refused?.message ?? '', /far ended with 3 before a session/)
    t.regex(refused?.message ?? '', /far \(Hakiri 99\.0\.0\) speaks versions 3 to 4/)
    t.regex(refused?.message ?? '', /here \(Hakiri [\d.]+\) speaks version 1/)
    t.not(here.pid(), undefined)
  },
)

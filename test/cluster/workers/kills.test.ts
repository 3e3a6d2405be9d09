/**
 * kill -9 of a worker at each point of the commit path, and a holder that is stopped beyond its session:
 * another takes over, the table equals the source (S1, S2, S3), an older epoch changes nothing (L3).
 */
import test from 'ava'
import { etcdMissing } from '../../etcd/start-etcd.ts'
import { forEachBackend } from '../../support/coord-backends.ts'
import { CRASH_POINTS } from '../../support/crash-points.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster, sayingFrom } from '../../support/worker-cluster.ts'

const missing = await etcdMissing()

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

forEachBackend(test, missing, (backend) => {
  test.serial(
    `kill -9 at each point of the commit path loses and doubles nothing: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, { postgres, place: await backend.shared(), rows: 0 })
      await lab.apply()
      const stays = await lab.start('stays')
      for (const point of CRASH_POINTS) {
        lab.api.rows += 200
        // Holds work and offices alone, so that each point is met; then the other comes back for it.
        await lab.catalog.cordonWorker('stays', true)
        const victim = await lab.start('victim', { plant: `kill:${point}:1` })
        await until('everything is with the victim', async () => {
          const { claims } = await lab.view()
          return claims.size > 0 && [...claims.values()].every((holder) => holder === 'victim')
        })
        const run = await lab.run()
        const how = await victim.ended()
        t.is(how, 'SIGKILL', `${point} was never reached`)
        await lab.catalog.cordonWorker('stays', false)
        const { status, error } = await lab.ended(run)
        t.is(status, 'succeeded', `${point}: ${error}`)
        await lab.audit(t)
      }
      t.is(await stays.signal('SIGTERM'), 0)
    },
  )

  test.serial(
    `a holder that was stopped beyond its session is refused: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, { postgres, place: await backend.shared(), parts: 1 })
      await lab.apply()
      const first = await lab.start('first', { plant: 'stop:before-commit:1' })
      const run = await lab.run()
      await first.until(({ message }) => message === 'planted', 'the commit')
      // The one that takes over has it, and has not committed anything yet: only the epoch tells them apart.
      const gate = lab.api.hold(() => true)
      await lab.start('second')
      await until('the second reads', async () => gate.waiting().has('0'))
      const key = { pipeline: 'shop', shard: 'events/part=0' }
      const held = await lab.catalog.shard(key)
      t.is(held?.holder, 'second')
      const saying = sayingFrom(first)
      await first.signal('SIGCONT')
      const refused = await saying(
        ({ message }) => message.includes('was taken over'),
        'that it was refused',
      )
      t.is(refused['currentEpoch'], held?.epoch)
      t.true(Number(refused['epoch']) < Number(refused['currentEpoch']), JSON.stringify(refused))
      t.is((await lab.catalog.shard(key))?.seq, 0, 'it has committed nothing')
      gate.open()
      t.is((await lab.ended(run)).status, 'succeeded')
      await saying(({ message }) => message === 'this worker is a member', 'a new session')
      await lab.audit(t)
      t.is(await first.signal('SIGTERM'), 0)
    },
  )
})

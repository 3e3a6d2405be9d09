/**
 * Work changes hands while it is under way, as an operator means it to: drain, clean stop, more and fewer
 * workers, a restart under the same name. Nothing is read twice, nobody who stays is stopped, and nobody
 * waits for a session to run out (L1, S3).
 */
import test from 'ava'
import { etcdMissing } from '../../etcd/start-etcd.ts'
import { forEachBackend } from '../../support/coord-backends.ts'
import { offsetOf, PAGE_ROWS } from '../../support/gated-api.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import type { LogLine, ServeProcess } from '../../support/serve-process.ts'
import { until } from '../../support/until.ts'
import { openWorkerCluster, type WorkerCluster } from '../../support/worker-cluster.ts'

const missing = await etcdMissing()

/** Nobody can wait for such a session to run out, and no busy machine loses it. */
const LONG_TTL_MS = 600_000

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

/** Resolves when the worker holds something, or nothing any more. */
function holding(lab: WorkerCluster, name: string, something: boolean): Promise<true> {
  return until(
    `${name} holds ${something ? 'something' : 'nothing'}`,
    async () => {
      const held = [...(await lab.view()).claims.values()].includes(name)
      return held === something
    },
    undefined,
    async () => JSON.stringify([...(await lab.view()).claims]),
  )
}

/** Workers that hold shards of the API; offices do not count. */
async function holders(lab: WorkerCluster): Promise<ReadonlyMap<string, string>> {
  const { claims } = await lab.view()
  return new Map([...claims].filter(([unit]) => !unit.includes('/~')))
}

/** No page was answered twice, and no row was committed twice. */
async function readOnce(lab: WorkerCluster): Promise<{ readonly twice: readonly string[] }> {
  return { twice: [...lab.api.answered()].filter(([, times]) => times > 1).map(([page]) => page) }
}

forEachBackend(test, missing, (backend) => {
  test.serial(
    `drain and a clean stop hand over at once and read nothing twice: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, {
        postgres,
        place: await backend.shared(),
        rows: 600,
        ttlMs: LONG_TTL_MS,
      })
      await lab.apply()
      const [one] = [await lab.start('one'), await lab.start('two')]
      // All that is at work has come to a page that is kept back.
      const stopInTheMiddle = async (from: number) => {
        const gate = lab.api.hold((request) => offsetOf(request) >= from)
        const run = await lab.run()
        await until('four shards are in the middle', async () => gate.waiting().size >= 4)
        return { gate, run }
      }
      const first = await stopInTheMiddle(6 * PAGE_ROWS)
      await holding(lab, 'one', true)
      const began = performance.now()
      t.is((await lab.hakiri('drain', 'one')).code, 0)
      await holding(lab, 'one', false)
      t.log(`drained after ${Math.round(performance.now() - began)} ms, command included`)
      t.true((await lab.view()).members.has('one'), 'no session ended for it')
      first.gate.open()
      t.is((await lab.ended(first.run)).status, 'succeeded')
      t.deepEqual(await readOnce(lab), { twice: [] })
      t.is((await lab.catalog.run(first.run))?.counters.rowsRead, 8 * 600)
      await lab.audit(t)

      t.is((await lab.hakiri('uncordon', 'one')).code, 0)
      await holding(lab, 'one', true)
      lab.api.rows += 600
      const second = await stopInTheMiddle(6 * PAGE_ROWS)
      await holding(lab, 'one', true)
      const stopping = performance.now()
      t.is(await one.signal('SIGTERM'), 0)
      t.log(`stopped after ${Math.round(performance.now() - stopping)} ms`)
      const after = await lab.view()
      t.false(after.members.has('one'), 'the session was revoked, not left to run out')
      t.false([...after.claims.values()].includes('one'))
      second.gate.open()
      t.is((await lab.ended(second.run)).status, 'succeeded')
      t.deepEqual(await readOnce(lab), { twice: [] })
      await lab.audit(t)
    },
  )

  test.serial(
    `shards that stay are not stopped when workers come and go: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, {
        postgres,
        place: await backend.shared(),
        parts: 12,
        rows: 1_500,
        ttlMs: LONG_TTL_MS,
      })
      await lab.apply()
      lab.api.latencyMs = 100
      const workers = new Map<string, ServeProcess>([['w1', await lab.start('w1')]])
      const run = await lab.run()
      const spread = (names: readonly string[]): Promise<true> =>
        until(`${names.join(', ')} hold shards`, async () => {
          const now = await holders(lab)
          const at = new Set(now.values())
          return now.size === 12 && at.size === names.length && names.every((name) => at.has(name))
        })
      await spread(['w1'])
      for (const name of ['w2', 'w3', 'w4']) workers.set(name, await lab.start(name))
      await spread(['w1', 'w2', 'w3', 'w4'])
      t.is((await lab.catalog.run(run))?.status, 'running', 'there is work to move')
      await lab.catalog.cordonWorker('w4', true)
      t.is(await workers.get('w3')?.signal('SIGTERM'), 0)
      await spread(['w1', 'w2'])
      t.is((await lab.ended(run)).status, 'succeeded')
      for (const row of await lab.catalog.shards('shop')) {
        const seen = lab.claimed().get(`shop/${row.shard}`) ?? []
        t.true(
          row.epoch <= seen.length,
          `${row.shard} was taken ${row.epoch} times by ${seen.join(', ')}`,
        )
      }
      t.is((await lab.catalog.run(run))?.counters.rowsRead, 12 * 1_500)
      await lab.audit(t)
    },
  )

  test.serial(
    `a worker that restarts under its name has its shards back at once: ${backend.name}`,
    async (t) => {
      const lab = await openWorkerCluster(t, {
        postgres,
        place: await backend.shared(),
        rows: 600,
        ttlMs: 600_000,
      })
      await lab.apply()
      const former = await lab.start('only')
      const gate = lab.api.hold((request) => offsetOf(request) >= 6 * PAGE_ROWS)
      const run = await lab.run()
      await until('two shards are in the middle', async () => gate.waiting().size >= 2)
      t.is(await former.signal('SIGKILL'), 'SIGKILL')
      const self = await lab.start('only')
      gate.open()
      t.is((await lab.ended(run)).status, 'succeeded')
      await lab.audit(t)

      t.not(self.pid(), undefined)
    },
  )

  test.serial(`a claim that comes late takes nothing from anybody: ${backend.name}`, async (t) => {
    const lab = await openWorkerCluster(t, {
      postgres,
      place: await backend.shared(),
      rows: 50,
      ttlMs: LONG_TTL_MS,
    })
    await lab.apply()
    await lab.start('one')
    await lab.runThrough()
    const late = await lab.start('late', { plant: 'stop:before-claim:1' })
    await late.until(({ message }) => message === 'planted', 'its first claim')
    await lab.catalog.cordonWorker('late', true)
    const all = 8 + 2
    await until('one has all of it', async () => {
      const { claims } = await lab.view()
      return claims.size === all && [...claims.values()].every((holder) => holder === 'one')
    })
    await late.signal('SIGCONT')
    const claimed = ({ message }: LogLine) => message === 'units were claimed'
    t.is((await late.until(claimed, 'the answer to its claim'))['units'], 0)
    t.is(await late.signal('SIGTERM'), 0)
    const { claims } = await lab.view()
    t.deepEqual([claims.size, ...new Set(claims.values())], [all, 'one'])
    lab.api.rows += 50
    await lab.runThrough()
    await lab.audit(t)
  })

  test.serial(`a twin of a living worker is refused: ${backend.name}`, async (t) => {
    const lab = await openWorkerCluster(t, { postgres, place: await backend.shared() })
    const self = await lab.start('only')
    const twin = await t.throwsAsync(lab.start('only'))
    t.regex(twin?.message ?? '', /only ended with 3 before a session/)
    t.regex(twin?.message ?? '', new RegExp(`the name only is taken by process ${self.pid()}`))
    t.not(self.pid(), undefined, 'the one that was there lives on')
  })
})

/** The connection that hears wake-ups: it comes back, it never hurts, and it ends when told to. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import pg from 'pg'
import { systemClock, systemRandom } from '../lib/system/clock.ts'
import { type Postgres, startPostgres } from '../test/support/postgres.ts'
import { WAKE_TOPICS, type WakeTopic } from './cluster.ts'
import { openPostgresCatalog } from './postgres.ts'
import { createListener } from './postgres-listen.ts'

const deps = { clock: systemClock, random: systemRandom }
const WAIT_MS = 20_000
let server: Postgres

test.before(async () => {
  server = await startPostgres()
})
test.after.always(async () => server?.stop())

test.serial('what another process commits is heard, what it rolls back is not', async (t) => {
  const url = await server.newDatabase()
  await using one = await openPostgresCatalog(url, deps)
  await using two = await openPostgresCatalog(url, deps)
  await using elsewhere = await openPostgresCatalog(url, deps, { schema: 'elsewhere' })
  const ear = newEar((listener) => one.onWake(listener))
  await ear.until(...WAKE_TOPICS)
  await elsewhere.applyManifest('not for us', 'h', 'me')
  const part = {
    runId: 4_711,
    at: 1,
    level: 'info',
    shard: null,
    kind: 'k',
    message: '',
    data: null,
  }
  await t.throwsAsync(two.addEvents([{ ...part, level: 'info' }]), { message: /foreign key/ })
  await two.recordWorker({
    name: 'w',
    address: 'h:1',
    labels: {},
    slots: 1,
    version: '1',
    startedAt: 1,
  })
  await ear.until('workers')
  t.deepEqual(ear.topics, ['workers'])
})

test.serial('a connection that was ended by the server is made again, and says so', async (t) => {
  const url = await server.newDatabase()
  await using catalog = await openPostgresCatalog(url, deps)
  const ear = newEar((listener) => catalog.onWake(listener))
  await ear.until(...WAKE_TOPICS)
  ear.topics.length = 0
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const ended = await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'hakiri catalog wake-ups' and datname = current_database()`,
  )
  await client.end()
  t.is(ended.rowCount, 1, 'one connection, whoever listens')
  await ear.until(...WAKE_TOPICS)
  ear.topics.length = 0
  await catalog.applyManifest({}, 'h', 'me')
  await ear.until('manifest')
  t.deepEqual(ear.topics, ['manifest'])
})

test.serial(
  'a server that is away is tried again and again, and closing does not wait',
  async (t) => {
    const away = await newServer(t, (socket) => socket.destroy())
    let waits = 0
    const clock = {
      ...systemClock,
      sleep: async (ms: number, signal?: AbortSignal) => {
        t.true(ms <= 10_000)
        waits++
        if (waits > 3) reached.resolve()
        await systemClock.sleep(1, signal)
      },
    }
    const reached = Promise.withResolvers<void>()
    const listener = createListener(away, 'channel', { ...deps, clock })
    listener.listen(() => t.fail('nothing was said'))
    await reached.promise
    await listener.close()
    t.true(waits > 3)
  },
)

test.serial('a server that never answers is no reason to close late', async (t) => {
  const connected = Promise.withResolvers<void>()
  const silent = await newServer(t, () => connected.resolve())
  const listener = createListener(silent, 'channel', deps)
  listener.listen(() => t.fail('nothing was said'))
  await connected.promise
  const began = performance.now()
  await listener.close()
  t.true(performance.now() - began < 5_000)
  listener.listen(() => t.fail('it is closed'))
  await listener.close()
})

/** Listens on a port of its own; gives the URL. */
async function newServer(t: ExecutionContext, onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const away: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  away.listen(0, '127.0.0.1')
  await once(away, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    away.close()
  })
  const address = away.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `postgres://me@127.0.0.1:${address.port}/db`
}

type Ear = {
  readonly topics: WakeTopic[]
  /** Until all of these were heard; what was there before is cleared when they were. */
  until(...wanted: readonly WakeTopic[]): Promise<void>
}

function newEar(listen: (listener: (topic: WakeTopic) => void) => unknown): Ear {
  const topics: WakeTopic[] = []
  let notice: (() => void) | undefined
  listen((topic) => {
    topics.push(topic)
    notice?.()
  })
  const until = async (...wanted: readonly WakeTopic[]): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error(`heard only ${topics.join()}`)), WAIT_MS)
    notice = () => wanted.every((topic) => topics.includes(topic)) && resolve()
    notice()
    await promise.finally(() => clearTimeout(timer))
    if (wanted.length > 1) topics.length = 0
  }
  return { topics, until }
}

/** The Postgres that every other test leans on must itself start, stop and clean up. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import pg from 'pg'
import { startPostgres } from './postgres.ts'

const embedded = process.env['PGURL'] ? test.skip : test

async function answers(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return Object.values((await client.query(sql)).rows[0] as object)[0]
  } finally {
    await client.end()
  }
}

test('a started server has separate databases', async (t) => {
  await using server = await startPostgres()
  const [one, two] = [await server.newDatabase(), await server.newDatabase()]
  await execute(one, 'create table only_here (a int)')
  t.is(await answers(one, "select count(*)::int from pg_class where relname = 'only_here'"), 1)
  t.is(await answers(two, "select count(*)::int from pg_class where relname = 'only_here'"), 0)
})

embedded('settings reach the server and its data outlives a crash', async (t) => {
  await using server = await startPostgres({ settings: { wal_level: 'logical' }, fsync: true })
  t.is(await answers(server.url, 'show wal_level'), 'logical')
  t.is(await answers(server.url, 'show fsync'), 'on')
  await execute(server.url, 'create table kept (a int)')
  await server.restart('immediate')
  t.is(await answers(server.url, "select count(*)::int from pg_class where relname = 'kept'"), 1)
})

embedded('stop ends the process and removes the folder, unless the folder was given', async (t) => {
  const own = await startPostgres()
  await own.stop()
  await own.stop()
  t.false(existsSync(own.dataFolder ?? ''))
  await t.throwsAsync(connected(own.port))

  const folder = await mkdtemp(join(tmpdir(), 'hakiri-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const first = await startPostgres({ folder })
  await execute(first.url, 'create table kept (a int)')
  await first.stop()
  await using second = await startPostgres({ folder })
  t.is(await answers(second.url, "select count(*)::int from pg_class where relname = 'kept'"), 1)
})

embedded('a server ends with the process that started it, even after SIGKILL', async (t) => {
  const module = new URL('./postgres.ts', import.meta.url).href
  const script = `const { startPostgres } = await import('${module}')
    const server = await startPostgres()
    console.log(JSON.stringify([server.port, server.dataFolder]))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const [port, dataFolder] = JSON.parse(line.toString()) as [number, string]
  const socket = await connected(port)
  child.kill('SIGKILL')
  // The server closes the connection when it ends.
  socket.resume()
  await once(socket, 'close')
  while (existsSync(dirname(dataFolder))) await new Promise((resolve) => setImmediate(resolve))
  await t.throwsAsync(connected(port))
})

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql)
  await client.end()
}

async function connected(port: number) {
  const socket = createConnection(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

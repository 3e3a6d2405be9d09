/**
 * A Postgres on a host of the lab, on that host's address, run as an ordinary user. Whoever drives the run
 * reaches it through a socket in a folder, whatever becomes of the network.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, chown, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Clock } from '../../../lib/ports.ts'
import { findBinaries, type Binaries } from '../../support/postgres-binaries.ts'
import type { Host } from '../hosts/lab.ts'
import { createHostProgram, type HostProgram } from './host-program.ts'

export type HostPostgres = AsyncDisposable & {
  readonly program: HostProgram
  /** As hosts reach it. */
  url(user?: string): string
  /** As whoever drives the run reaches it. */
  readonly localUrl: string
  /** Starts it; a server that was killed recovers first. */
  up(): Promise<void>
  /** SIGKILL to the server's first process; the others notice and end. */
  kill(): Promise<void>
  /** Ends every connection but those through the socket; gives how many. */
  dropConnections(): Promise<number>
}

export type HostPostgresOptions = {
  readonly host: Host
  readonly port: number
  readonly folder: string
  readonly database: string
  readonly clock: Clock
  readonly settings?: Readonly<Record<string, string>>
}

const START_MS_MAX = 60_000
const LOOK_MS = 50

/** Makes the data folder and starts the server. */
export async function startHostPostgres(options: HostPostgresOptions): Promise<HostPostgres> {
  const { host, port, folder, database, clock } = options
  const binaries = await findBinaries()
  await initialise(binaries, folder)
  const data = join(folder, 'data')
  const localUrl = `postgres://postgres@localhost:${port}/${database}?host=${encodeURIComponent(join(folder, 'socket'))}`
  const maintenance = localUrl.replace(`/${database}?`, '/postgres?')
  const program = createHostProgram({
    host,
    name: `postgres on ${host.name}`,
    program: binaries.postgres,
    args: flagsOf(options, data),
    spawn: { cwd: '/', ...userOf(binaries) },
    look: () => query(maintenance, 'select 1'),
    clock,
  })
  const up = async (): Promise<void> => {
    // Right after a kill the old server's memory is still in use, until its children have noticed.
    const end = clock.monotonic() + START_MS_MAX
    for (;;) {
      try {
        return await program.up()
      } catch (error) {
        const isPassing = /in use|is running|already exists/.test(String(error))
        if (!isPassing || clock.monotonic() > end) throw error
      }
      await clock.sleep(LOOK_MS)
    }
  }
  const postgres: HostPostgres = {
    program,
    localUrl,
    url: (user = 'postgres') => `postgres://${user}@${host.address}:${port}/${database}`,
    up,
    kill: async () => {
      if (program.pid() !== undefined) await killServer(data)
      await program.kill()
    },
    dropConnections: async () => {
      const rows = await query(
        maintenance,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where backend_type = 'client backend' and client_addr is not null`,
      )
      return rows.length
    },
    [Symbol.asyncDispose]: () => postgres.kill(),
  }
  await up()
  await query(maintenance, `create database ${pg.escapeIdentifier(database)}`)
  return postgres
}

/** One statement on a connection of its own. */
export async function query(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  // A server that goes down in between is heard of through the statement that fails.
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql, [...values])
    return rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

function flagsOf(options: HostPostgresOptions, data: string): readonly string[] {
  const settings = {
    listen_addresses: options.host.address,
    unix_socket_directories: join(options.folder, 'socket'),
    port: String(options.port),
    // Processes are killed here, not machines.
    fsync: 'off',
    max_connections: '200',
    shared_buffers: '64MB',
    ...options.settings,
  }
  return [
    '-D',
    data,
    ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
  ]
}

function userOf({ runAs: { uid, gid } }: Binaries) {
  return uid === undefined || gid === undefined ? {} : { user: { uid, gid } }
}

async function initialise(binaries: Binaries, folder: string): Promise<void> {
  const { uid, gid } = binaries.runAs
  for (const name of ['data', 'socket']) {
    await mkdir(join(folder, name), { recursive: true })
    if (uid !== undefined && gid !== undefined) await chown(join(folder, name), uid, gid)
  }
  await chmod(folder, 0o755)
  await chmod(join(folder, 'data'), 0o700)
  const flags = [
    '--username=postgres',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]
  const child = spawn(binaries.initdb, ['-D', join(folder, 'data'), ...flags], {
    ...binaries.runAs,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`initdb failed:\n${said}`)
  // By default only loopback is let in.
  await appendFile(join(folder, 'data', 'pg_hba.conf'), 'host all all 0.0.0.0/0 trust\n')
}

/**
 * Whatever stands between us and the server (a program that enters a namespace), the file has its own id.
 * The file outlives a server that was killed, and the number may be another's by then.
 */
async function killServer(data: string): Promise<void> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  if (!(pid > 1)) return
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  if (!command.includes(data)) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * A real Postgres for tests, the demo and benchmarks: its own process, folder and port, on loopback
 * only, gone when it is stopped or when the process that started it dies, however it dies.
 * With PGURL set, that server is used instead, inside databases of our own that are dropped again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from './free-ports.ts'
import { type Binaries, findBinaries, type RunAs } from './postgres-binaries.ts'

export type PostgresOptions = {
  /** Server settings by name, e.g. `wal_level: 'logical'`. Not applied to a PGURL server. */
  readonly settings?: Readonly<Record<string, string>>
  /** Off unless asked for: tests gain speed, and crash tests kill processes, not machines. */
  readonly fsync?: boolean
  /** Keeps the data in `folder/data`, reuses what is there, and leaves it there after `stop`. */
  readonly folder?: string
}

export type Postgres = AsyncDisposable & {
  /** A database to work in: postgres://user@host:port/database. */
  readonly url: string
  readonly port: number
  /** Undefined for a PGURL server. */
  readonly dataFolder: string | undefined
  /** Creates a database (of a random name unless given) and returns its URL. */
  newDatabase(name?: string): Promise<string>
  /** Stops the server and leaves its data; 'immediate' is a crash. Not for a PGURL server. */
  down(mode?: 'fast' | 'immediate'): Promise<void>
  /** Starts it again on the same port. */
  up(): Promise<void>
  restart(mode?: 'fast' | 'immediate'): Promise<void>
  stop(): Promise<void>
}

const START_ATTEMPTS_MAX = 5
const OUTPUT_CHARS_MAX = 16_384

/** Starts a server, or opens the one that PGURL names. Rejects with the server's own last words. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const given = process.env['PGURL']
  return given ? useServer(given) : startEmbedded(options)
}

async function startEmbedded(options: PostgresOptions): Promise<Postgres> {
  const binaries = await findBinaries()
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'hakiri-postgres-')))
  const dataFolder = join(folder, 'data')
  const removed = options.folder === undefined ? folder : undefined
  const watchdog = startWatchdog(removed)
  const end = async (): Promise<void> => {
    watchdog.end()
    if (removed) await rm(removed, { recursive: true, force: true })
  }
  try {
    await prepareFolder(folder, binaries.runAs)
    await initialise(binaries, dataFolder)
    const start = (port: number) => startServer(binaries, dataFolder, port, options, watchdog)
    const { port, running } = await startOnFreePort(start)
    return embedded(dataFolder, port, running, () => start(port), end)
  } catch (error) {
    await end()
    throw error
  }
}

function embedded(
  dataFolder: string,
  port: number,
  first: Running,
  start: () => Promise<Running>,
  end: () => Promise<void>,
): Postgres {
  let running: Running | undefined = first
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const down = async (mode: 'fast' | 'immediate' = 'fast'): Promise<void> => {
    await running?.stop(mode)
    running = undefined
  }
  const up = async (): Promise<void> => {
    running ??= await start()
  }
  const stop = async (): Promise<void> => {
    await down()
    await end()
  }
  return {
    url,
    port,
    dataFolder,
    newDatabase: (name) => createDatabase(url, name),
    down,
    up,
    restart: async (mode) => {
      await down(mode)
      await up()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Works inside a server that is not ours: only our own databases are touched. */
async function useServer(server: string): Promise<Postgres> {
  const made: string[] = []
  const newDatabase = async (name?: string): Promise<string> => {
    const url = await createDatabase(server, name)
    made.push(url)
    return url
  }
  const url = await newDatabase()
  const stop = async (): Promise<void> => {
    for (const each of made.splice(0)) {
      const name = new URL(each).pathname.slice(1)
      await execute(server, `drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
    }
  }
  const refuse = () => Promise.reject(new Error('the PGURL server is not ours to stop or start'))
  return {
    url,
    port: Number(new URL(server).port || 5432),
    dataFolder: undefined,
    newDatabase,
    down: refuse,
    up: refuse,
    restart: refuse,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function createDatabase(server: string, given?: string): Promise<string> {
  const name = given ?? `hakiri_${randomBytes(8).toString('hex')}`
  await execute(server, `create database ${pg.escapeIdentifier(name)}`)
  const url = new URL(server)
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

// ── The process ───────────────────────────────────────────────────────────────────────────────────

/** The server's user must be able to pass through our folder to its own. */
async function prepareFolder(folder: string, runAs: RunAs): Promise<void> {
  const data = join(folder, 'data')
  await mkdir(data, { recursive: true })
  if (runAs.uid === undefined || runAs.gid === undefined) return
  await chmod(folder, 0o755)
  await chown(data, runAs.uid, runAs.gid)
  await chmod(data, 0o700)
}

async function initialise(binaries: Binaries, dataFolder: string): Promise<void> {
  const exists = await access(join(dataFolder, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (exists) return
  const flags = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C']
  const child = spawn(binaries.initdb, ['-D', dataFolder, ...flags, '--no-sync'], {
    ...binaries.runAs,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = tail(child)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`initdb failed:\n${output()}`)
}

type Running = { stop(mode: 'fast' | 'immediate'): Promise<void> }

/** Postgres cannot listen on port 0; a port that was free a moment ago may be taken: try others. */
async function startOnFreePort(
  start: (port: number) => Promise<Running>,
): Promise<{ readonly port: number; readonly running: Running }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return { port, running: await start(port) }
    } catch (error) {
      const taken = String(error).includes('could not create any TCP/IP sockets')
      if (!taken || attempt === START_ATTEMPTS_MAX) throw error
    }
  }
}

async function startServer(
  binaries: Binaries,
  dataFolder: string,
  port: number,
  options: PostgresOptions,
  watchdog: Watchdog,
): Promise<Running> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    fsync: options.fsync ? 'on' : 'off',
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  const child = spawn(binaries.postgres, ['-D', dataFolder, ...flags], {
    ...binaries.runAs,
    cwd: '/',
    // Its own group: Ctrl-C in a terminal must reach it through us, not before us.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  watchdog.watch(child.pid)
  await ready(child)
  child.unref()
  unref(child.stderr)
  return { stop: (mode) => stopServer(child, watchdog, mode) }
}

/** Resolves when the server says that it takes connections; rejects with its output when it ends. */
function ready(child: ChildProcess): Promise<void> {
  const output = tail(child)
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', () => {
      if (output().includes('ready to accept connections')) resolve()
    })
    child.once('error', reject)
    child.once('close', () => reject(new Error(`postgres did not start:\n${output()}`)))
  })
}

type Watchdog = {
  /** From now on this server is the one to end; undefined for none. */
  watch(pid: number | undefined): void
  end(): void
}

/**
 * Ends the server when our process is gone, even by SIGKILL: the pipe to its standard input closes.
 * It also removes the folder, since nobody else is left to do so.
 */
function startWatchdog(removed: string | undefined): Watchdog {
  const script = [
    'p=; while read -r line; do p=$line; done',
    'if [ -n "$p" ]; then kill -QUIT "$p"; fi',
    'n=0; while [ -n "$p" ] && kill -0 "$p" 2>/dev/null && [ $n -lt 100 ]; do',
    '  sleep 0.1; n=$((n+1))',
    'done',
    'if [ -n "$1" ]; then rm -rf -- "$1"; fi',
  ].join('\n')
  const shell = spawn('/bin/sh', ['-c', script, 'watchdog', removed ?? ''], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.unref()
  unref(shell.stdin)
  // It may be gone before us, by somebody else's signal.
  shell.stdin.on('error', () => undefined)
  return {
    watch: (pid) => shell.stdin.write(`${pid ?? ''}\n`),
    end: () => {
      shell.kill('SIGKILL')
    },
  }
}

async function stopServer(
  child: ChildProcess,
  watchdog: Watchdog,
  mode: 'fast' | 'immediate',
): Promise<void> {
  // First, so that it cannot signal a process that gets the server's number later.
  watchdog.watch(undefined)
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  const gone = once(child, 'exit')
  child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  await gone
}

/** A stream of a child process is a socket, which the stream types do not say. */
function unref(stream: unknown): void {
  if (stream instanceof Socket) stream.unref()
}

/** Collects what a process prints, the newest characters only. */
function tail(child: ChildProcess): () => string {
  let text = ''
  const add = (chunk: Buffer): void => {
    text = (text + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return () => text
}

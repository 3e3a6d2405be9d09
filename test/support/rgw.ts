/**
 * Starts a real Ceph object gateway (RGW) on free loopback ports in a temporary folder: one monitor,
 * one storage daemon that keeps everything in memory, one gateway. Needs the Debian packages
 * radosgw, ceph-mon and ceph-osd; everything is gone after `stop`.
 */
import { spawn, execFile, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { openSync, closeSync } from 'node:fs'
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { createS3Client } from '../../sink/store/s3-client.ts'
import { freePorts } from './free-ports.ts'

export type Rgw = AsyncDisposable & {
  readonly endpoint: string
  readonly region: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  createBucket(name: string): Promise<void>
}

const run = promisify(execFile)
const PROGRAMS = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph', 'radosgw-admin', 'monmaptool']
const REGION = 'us-east-1'
const CREDENTIALS = { accessKeyId: 'rgw-access-key', secretAccessKey: 'rgw-secret-key' }
const READY_MS_MAX = 90_000
const COMMAND_MS_MAX = 60_000

export async function isRgwInstalled(): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(':')
  const found = await Promise.all(
    PROGRAMS.map(async (program) => {
      const tries = folders.map((folder) => access(join(folder, program)).then(() => true))
      return Promise.any(tries).catch(() => false)
    }),
  )
  return found.every(Boolean)
}

/** Ready for requests when it resolves, with no bucket yet. */
export async function startRgw(): Promise<Rgw> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-rgw-'))
  const daemons: ChildProcess[] = []
  // Nothing may outlive the test process, even one that ends in the middle.
  const kill = (): void => daemons.forEach((daemon) => void daemon.kill('SIGKILL'))
  process.once('exit', kill)
  try {
    const [monitorPort = 0, gatewayPort = 0] = await freePorts(2)
    await prepare(folder, monitorPort, gatewayPort)
    const bed: Bed = { folder, daemons, command: commandIn(folder) }
    await startMonitor(bed)
    await startStorage(bed)
    await startGateway(bed, `http://127.0.0.1:${gatewayPort}`)
    const endpoint = `http://127.0.0.1:${gatewayPort}`
    return {
      endpoint,
      region: REGION,
      credentials: CREDENTIALS,
      createBucket: (name) => createBucket(endpoint, name),
      async [Symbol.asyncDispose]() {
        process.off('exit', kill)
        await stop(folder, daemons)
      },
    }
  } catch (error) {
    const log = await readFile(join(folder, 'daemons.log'), 'utf8').catch(() => '')
    await stop(folder, daemons)
    throw new Error(`the object gateway did not start\n${log.slice(-2000)}`, { cause: error })
  }
}

type Command = (program: string, args: string) => Promise<string>
type Bed = {
  readonly folder: string
  readonly daemons: ChildProcess[]
  readonly command: Command
}

/** Arguments are written as one line, separated by blanks. */
const commandIn =
  (folder: string): Command =>
  async (program, args) => {
    const { stdout } = await run(program, ['--conf', 'ceph.conf', ...args.split(' ')], {
      cwd: folder,
      timeout: COMMAND_MS_MAX,
      killSignal: 'SIGKILL',
    })
    return stdout
  }

async function prepare(folder: string, monitorPort: number, gatewayPort: number): Promise<void> {
  for (const name of ['mon.a', 'osd.0', 'rgw']) await mkdir(join(folder, name))
  const address = `[v2:127.0.0.1:${monitorPort}]`
  const id = randomUUID()
  await writeFile(join(folder, 'ceph.conf'), config(folder, id, address, gatewayPort))
  const keyring = join(folder, 'keyring')
  const all = 'allow *'
  const identities: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
    'mon.': [['mon', all]],
    'client.admin': [
      ['mon', all],
      ['osd', all],
      ['mgr', all],
    ],
    'client.rgw': [
      ['mon', all],
      ['osd', all],
    ],
    'osd.0': [
      ['mon', 'allow profile osd'],
      ['osd', all],
    ],
  }
  for (const [index, [name, rights]] of Object.entries(identities).entries()) {
    const create = index === 0 ? ['--create-keyring'] : []
    const caps = rights.flatMap(([daemon, what]) => ['--cap', daemon, what])
    await run('ceph-authtool', [keyring, ...create, '--gen-key', '-n', name, ...caps])
  }
  await run('monmaptool', [
    '--create',
    '--fsid',
    id,
    '--addv',
    'a',
    address,
    join(folder, 'monmap'),
  ])
}

/** One copy of everything, no rebalancing, tiny placement groups, nothing outside the folder. */
function config(folder: string, id: string, address: string, gatewayPort: number): string {
  return `[global]
fsid = ${id}
mon host = ${address}
keyring = ${folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
mon data avail crit = 1
mon max pg per osd = 500
run dir = ${folder}
admin socket = ${folder}/$name.asok
log file = ${folder}/$name.log
pid file = ${folder}/$name.pid
public network = 127.0.0.0/8
ms bind ipv6 = false
[mon.a]
mon data = ${folder}/mon.a
[osd.0]
osd data = ${folder}/osd.0
osd objectstore = memstore
memstore device bytes = 2147483648
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort}
rgw data = ${folder}/rgw
rgw thread pool size = 16
rgw run sync thread = false
rgw dynamic resharding = false
`
}

function startDaemon(bed: Bed, program: string, args: string): void {
  const log = openSync(join(bed.folder, 'daemons.log'), 'a')
  const child = spawn(program, ['--conf', 'ceph.conf', ...args.split(' '), '-f'], {
    cwd: bed.folder,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  bed.daemons.push(child)
}

async function startMonitor(bed: Bed): Promise<void> {
  await bed.command('ceph-mon', '--mkfs -i a --monmap monmap --keyring keyring')
  startDaemon(bed, 'ceph-mon', '-i a')
  await until(bed, () => bed.command('ceph', 'quorum_status'))
}

async function startStorage(bed: Bed): Promise<void> {
  const id = randomUUID()
  await bed.command('ceph', `osd new ${id} 0`)
  await bed.command('ceph', 'auth import -i keyring')
  await bed.command('ceph-osd', `-i 0 --mkfs --osd-uuid ${id}`)
  await bed.command('ceph', 'osd crush add osd.0 1.0 host=localhost root=default')
  startDaemon(bed, 'ceph-osd', '-i 0')
  await until(bed, async () => {
    const status = await bed.command('ceph', 'osd stat')
    if (!status.includes('1 up')) throw new Error(`the storage daemon is not up: ${status}`)
  })
}

async function startGateway(bed: Bed, endpoint: string): Promise<void> {
  startDaemon(bed, 'radosgw', '-n client.rgw')
  await until(bed, async () => {
    const answer = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) })
    await answer.arrayBuffer()
  })
  const { accessKeyId, secretAccessKey } = CREDENTIALS
  await bed.command(
    'radosgw-admin',
    `-n client.rgw user create --uid hakiri --display-name hakiri --access-key ${accessKeyId} --secret-key ${secretAccessKey}`,
  )
}

/** Asks until the answer is yes, a daemon has died or the time is up. */
async function until(bed: Bed, isReady: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  for (;;) {
    try {
      await isReady()
      return
    } catch (error) {
      const isLate = performance.now() - started > READY_MS_MAX
      const isDead = bed.daemons.some((daemon) => daemon.exitCode !== null)
      if (isLate || isDead) throw error
    }
    await delay(100)
  }
}

async function createBucket(endpoint: string, name: string): Promise<void> {
  const client = createS3Client(
    { url: `s3://${name}`, endpoint, region: REGION, credentials: CREDENTIALS },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
  try {
    await client.send({ method: 'PUT', verb: 'create' })
  } finally {
    client.close()
  }
}

/** SIGKILL at once: the storage daemon takes very long over SIGTERM, and nothing here is to be kept. */
async function stop(folder: string, daemons: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    daemons.map(async (daemon) => {
      if (daemon.exitCode !== null || daemon.signalCode !== null) return
      const ended = new Promise((resolve) => daemon.once('exit', resolve))
      daemon.kill('SIGKILL')
      await ended
    }),
  )
  await rm(folder, { recursive: true, force: true })
}

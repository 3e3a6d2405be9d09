/**
 * A real etcd of one or three members for tests: own processes, own temporary folder, free loopback
 * ports, gone when it is disposed of or when the process that started it dies, however it dies.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { systemClock } from '../../lib/system/clock.ts'
import { freePorts } from '../support/free-ports.ts'
import type { CoordMember, CoordPlace } from '../conformance/coord-client/kit.ts'

export type EtcdOptions = {
  readonly size?: 1 | 3
  /** More flags for each member, e.g. `--auto-compaction-retention=1`. */
  readonly flags?: readonly string[]
}

const ATTEMPTS_MAX = 5
const READY_MS = 30_000
const ASK_EVERY_MS = 50

/** Why a test that needs etcd cannot run here; undefined if it can. Throws when etcd is required. */
export async function etcdMissing(): Promise<string | undefined> {
  if (await findEtcd()) return undefined
  const reason = 'etcd is not on the PATH (Debian: apt-get install etcd-server)'
  if (process.env['HAKIRI_REQUIRE_ETCD'] === '1')
    throw new Error(`HAKIRI_REQUIRE_ETCD=1, but ${reason}`)
  return reason
}

async function findEtcd(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'etcd')
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (folder !== '' && isThere) return path
  }
  return undefined
}

/** Starts it and waits until every member answers as healthy. */
export async function startEtcd(options: EtcdOptions = {}): Promise<CoordPlace> {
  const binary = await findEtcd()
  if (binary === undefined) throw new Error('etcd is not installed')
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(binary, options)
    } catch (error) {
      // Somebody may have taken a port between our look and etcd's.
      if (attempt === ATTEMPTS_MAX) throw error
    }
  }
}

async function startOnce(binary: string, options: EtcdOptions): Promise<CoordPlace> {
  const size = options.size ?? 1
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-etcd-'))
  const ports = await freePorts(2 * size)
  const plan = Array.from({ length: size }, (_, index) => ({
    name: `m${index + 1}`,
    client: `http://127.0.0.1:${ports[2 * index]}`,
    peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
  }))
  const cluster = plan.map(({ name, peer }) => `${name}=${peer}`).join(',')
  const members = plan.map((one) => newMember(binary, folder, one, cluster, options.flags ?? []))
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.kill()))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(members.map((member) => member.start()))
  } catch (error) {
    await stop()
    throw error
  }
  return { members, [Symbol.asyncDispose]: stop }
}

type MemberPlan = { readonly name: string; readonly client: string; readonly peer: string }

function newMember(
  binary: string,
  folder: string,
  plan: MemberPlan,
  cluster: string,
  flags: readonly string[],
): CoordMember {
  const settings = {
    name: plan.name,
    'data-dir': join(folder, plan.name),
    'listen-client-urls': plan.client,
    'advertise-client-urls': plan.client,
    'listen-peer-urls': plan.peer,
    'initial-advertise-peer-urls': plan.peer,
    'initial-cluster': cluster,
    'initial-cluster-state': 'new',
    logger: 'zap',
    'log-level': 'error',
  }
  const args = [...Object.entries(settings).map(([key, value]) => `--${key}=${value}`), ...flags]
  let child: ChildProcess | undefined
  return {
    endpoint: plan.client.replace('http://', ''),
    async start() {
      // The kernel ends it with us, whatever ends us.
      child = spawn('setpriv', ['--pdeathsig', 'KILL', binary, ...args], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      await ready(child, `${plan.client}/health`)
    },
    async kill() {
      const dying = child
      child = undefined
      if (!dying || dying.exitCode !== null || dying.signalCode !== null) return
      const gone = once(dying, 'exit')
      dying.kill('SIGKILL')
      await gone
    },
    pid: () => child?.pid,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  }
}

/** Asks until it is healthy; rejects with its last words when it ends instead. */
async function ready(child: ChildProcess, url: string): Promise<void> {
  let words = ''
  child.stderr?.setEncoding('utf8')
  child.stderr?.on('data', (text: string) => (words = (words + text).slice(-4_000)))
  let failure: Error | undefined
  child.once('error', (error) => (failure = error))
  const deadline = performance.now() + READY_MS
  for (;;) {
    if (failure) throw failure
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`etcd ended before it was ready: ${words}`)
    if (performance.now() > deadline) throw new Error(`etcd is not ready in time: ${words}`)
    if (await isHealthy(url)) return
    await systemClock.sleep(ASK_EVERY_MS)
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    return ((await answer.json()) as { health?: string }).health === 'true'
  } catch {
    return false
  }
}

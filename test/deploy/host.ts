/**
 * A host: a container with a systemd of its own that boots, freezes, loses power and boots again. Whoever
 * makes one ends it; the sandbox ends what is left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { cutDisk, type HostRoot, makeRoot, mountDisk, unmountDisk } from './host-root.ts'
import { plugIn } from './network.ts'
import { groupPrefix } from './sandbox.ts'
import { run, type Ran, type RunOptions } from './shell.ts'
import { until } from '../support/until.ts'

export type Host = {
  readonly name: string
  readonly address: string
  /** Where its root lies on this machine. */
  readonly root: string
  /** Resolves when ssh answers. */
  boot(): Promise<void>
  /** At once: nothing is synced, nothing says goodbye. */
  cutPower(): Promise<void>
  /** As an administrator would: services are stopped, then it boots again. */
  reboot(): Promise<void>
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Runs a command on it. */
  ssh(command: string, options?: RunOptions): Promise<Ran>
  /** What its console and journal said last, for a test that failed. */
  story(): Promise<string>
}

export type HostOptions = {
  readonly name: string
  readonly address: string
  /** Of the run. */
  readonly folder: string
  readonly sshKeyFile: string
  readonly diskMb?: number
}

const DISK_MB = 384
const MEMORY = '2G'
const BOOT_MS = 60_000
/** Kernel 6 without the controllers of version 2: those of version 1, and the tree that systemd needs. */
const GROUPS = ['unified', 'systemd', 'memory', 'cpu', 'pids', 'freezer']

/**
 * Lets go of the disks of other hosts, which a copy of them in its mounts would hold when their power is
 * cut; joins control groups; becomes the container.
 */
const ENTER = `
set -e
hosts=$1 name=$2
shift 2
awk '{ print $2 }' /proc/self/mounts | grep "^$hosts/" | grep -v -E "^$hosts/$name(/|$)" | tac |
  while read -r other; do umount -l "$other"; done
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done
shift
exec "$@"
`

type Running = { readonly child: ChildProcess; readonly ended: Promise<void> }

/** Makes its disk and its cable; it is off. */
export async function makeHost(options: HostOptions): Promise<Host> {
  const { name, address, folder } = options
  const namespace = await plugIn(name, address)
  const base = join(folder, name)
  const place = await makeRoot({
    ...options,
    folder: base,
    diskMb: options.diskMb ?? DISK_MB,
    sshKey: await readFile(`${options.sshKeyFile}.pub`, 'utf8'),
  })
  const group = `${groupPrefix()}${name}`
  const log = join(folder, `${name}.log`)
  let running: Running | undefined
  const ssh = (command: string, more: RunOptions = {}): Promise<Ran> =>
    run('ssh', [...sshOptions(options.sshKeyFile), `root@${address}`, command], more)

  const host: Host = {
    name,
    address,
    root: place.root,
    async boot() {
      running = await start(name, place, namespace, group, log)
      await until(`${name} answers ssh`, () => speaksSsh(address), BOOT_MS)
    },
    async cutPower() {
      if (!running) throw new Error(`${name} is off`)
      await cutDisk(place)
      await kill(running)
      running = undefined
      await unmountDisk(place)
      await mountDisk(place)
    },
    async reboot() {
      if (!running) throw new Error(`${name} is off`)
      await ssh('systemctl poweroff --no-wall', { codes: [0, 255] })
      await running.ended
      running = await start(name, place, namespace, group, log)
      await until(`${name} answers ssh`, () => speaksSsh(address), BOOT_MS)
    },
    freeze: () => writeFile(`/sys/fs/cgroup/unified/${group}/cgroup.freeze`, '1'),
    thaw: () => writeFile(`/sys/fs/cgroup/unified/${group}/cgroup.freeze`, '0'),
    ssh,
    async story() {
      const journal =
        'journalctl --no-pager -q -o short-precise -n 60 -u "hakiri*" -u "postgresql*" -u ssh'
      const said = await ssh(journal, { timeoutMs: 10_000 }).catch((error: unknown) => ({
        stdout: String(error),
      }))
      return `── ${name}\n${said.stdout}`
    },
  }
  return host
}

export function sshOptions(keyFile: string): readonly string[] {
  const options = {
    BatchMode: 'yes',
    ConnectTimeout: '10',
    IdentitiesOnly: 'yes',
    LogLevel: 'ERROR',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
  }
  return [
    '-i',
    keyFile,
    ...Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]),
  ]
}

/**
 * Each in control groups of its own from its first moment: two systemds in one group would end each
 * other's services.
 */
async function start(
  name: string,
  { root }: HostRoot,
  namespace: string,
  group: string,
  log: string,
): Promise<Running> {
  const folders: string[] = []
  for (const each of GROUPS) {
    const folder = `/sys/fs/cgroup/${each}/${group}`
    await mkdir(folder, { recursive: true })
    folders.push(folder)
  }
  await writeFile(`/sys/fs/cgroup/memory/${group}/memory.limit_in_bytes`, MEMORY)
  const nspawn = [
    'systemd-nspawn',
    '-q',
    '-D',
    root,
    `--machine=${name}`,
    '--boot',
    '--register=no',
    '--keep-unit',
    `--network-namespace-path=${namespace}`,
    '--console=pipe',
    '--kill-signal=SIGRTMIN+4',
  ]
  const child = spawn(
    'unshare',
    [
      '--mount',
      '--propagation',
      'private',
      '/bin/sh',
      '-c',
      ENTER,
      'sh',
      dirname(dirname(root)),
      name,
      ...folders,
      '--',
      ...nspawn,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => appendFileSync(log, chunk))
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve())
  })
  return { child, ended }
}

/** The first process of the container takes all others along; nspawn ends when it has gone. */
async function kill({ child, ended }: Running): Promise<void> {
  const pid = await until('the container has a first process', () => innerInit(child.pid), 10_000)
  process.kill(pid, 'SIGKILL')
  await ended
}

async function innerInit(nspawn: number | undefined): Promise<number | undefined> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const status = await readFile(`/proc/${entry}/status`, 'utf8').catch(() => '')
    if (!status.includes(`\nPPid:\t${nspawn}\n`)) continue
    if (/^Name:\tsystemd$/m.test(status)) return Number(entry)
  }
  return undefined
}

function speaksSsh(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 500 })
    const done = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('data', (chunk) => done(chunk.toString().startsWith('SSH-')))
    socket.once('error', () => done(false))
    socket.once('timeout', () => done(false))
    socket.once('close', () => done(false))
  })
}

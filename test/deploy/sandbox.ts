/**
 * Everything that a deployment test makes lives in namespaces of its own: network, mounts, processes. When
 * the first process inside ends, however it ends, the kernel ends all others and takes mounts and links
 * with it. Only control groups have names outside; those of dead runs are swept.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'

const INSIDE = 'HAKIRI_DEPLOY_INSIDE'
const GROUP = /^hakiri-deploy-(\d+)-/
const CGROUP_ROOT = '/sys/fs/cgroup'

/** Whether this process is the first of a sandbox. */
export function isInside(): boolean {
  return process.env[INSIDE] !== undefined
}

/** Names its control groups: the number of the process that started it, as the outside sees it. */
export function groupPrefix(): string {
  return `hakiri-deploy-${process.env[INSIDE] ?? process.pid}-`
}

/** Runs this program again inside, and resolves with its exit code. */
export async function runInside(args: readonly string[]): Promise<number> {
  await sweepGroups()
  const child = spawn(
    'unshare',
    [
      '--net',
      '--mount',
      '--propagation',
      'private',
      '--uts',
      '--ipc',
      '--pid',
      '--fork',
      '--kill-child=KILL',
      '--mount-proc',
      process.execPath,
      ...args,
    ],
    {
      env: { ...process.env, [INSIDE]: String(process.pid) },
      stdio: ['pipe', 'inherit', 'inherit'],
    },
  )
  // unshare does not hand signals on: what is inside ends when its standard input does.
  const end = (): void => void child.stdin.end()
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  const code = await closed(child)
  await sweepGroups(process.pid)
  return code
}

/** Fires when whoever started the sandbox wants it to end, or is gone. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  const end = (): void => stop.abort(new Error('the run was stopped'))
  process.stdin.on('end', end).on('error', end).resume()
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  return stop.signal
}

function closed(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

/** Removes the groups of runs that are gone, and of `own`. */
async function sweepGroups(own?: number): Promise<void> {
  const roots = await readdir(CGROUP_ROOT, { withFileTypes: true })
  for (const root of roots.filter((entry) => entry.isDirectory())) {
    const folder = join(CGROUP_ROOT, root.name)
    for (const name of await readdir(folder).catch((): string[] => [])) {
      const pid = Number(GROUP.exec(name)?.[1] ?? NaN)
      if (pid === own || (pid > 0 && !(await isRun(pid)))) await removeGroup(join(folder, name))
    }
  }
}

async function isRun(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.includes('test/deploy/')
}

/** A group that still has processes stays; the next run tries again. */
async function removeGroup(folder: string): Promise<void> {
  const inner = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of inner) if (entry.isDirectory()) await removeGroup(join(folder, entry.name))
  await rmdir(folder).catch(() => undefined)
}

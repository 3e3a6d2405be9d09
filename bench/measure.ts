/** Runs a command and tells what it cost: wall time, CPU of it and all its children, peak memory. */
import { spawn } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'

export type Cost = {
  readonly wallS: number
  /** User and system seconds of the process and every child it waited for. */
  readonly cpuS: number
  /** Largest sum of resident memory over the process and its children, sampled every 20 ms. */
  readonly peakRssMb: number
  readonly stdout: string
}

export type Watch = {
  /** Called while the command runs; may end it with SIGKILL by returning true. */
  readonly killWhen?: () => Promise<boolean>
}

const SAMPLE_MS = 20

/** Throws when the command fails, unless the watch killed it. */
export async function measure(
  command: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  watch: Watch = {},
): Promise<Cost> {
  const script = 'TIMEFORMAT="%R %U %S"; time "$@"'
  const child = spawn('bash', ['-c', script, 'bash', ...command], {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? -1))
  })
  const sampling = sample(child.pid ?? 0, ended, watch)
  const code = await ended
  const { peakRssMb, killed } = await sampling
  if (code !== 0 && !killed)
    throw new Error(`${command.join(' ')} ended with ${code}: ${stderr.slice(-2000)}`)
  const [wallS = 0, user = 0, system = 0] = (stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number)
  return { wallS, cpuS: user + system, peakRssMb, stdout }
}

async function sample(
  root: number,
  ended: Promise<number>,
  watch: Watch,
): Promise<{ peakRssMb: number; killed: boolean }> {
  let [peakRssMb, killed, running] = [0, false, true]
  ended.then(
    () => (running = false),
    () => (running = false),
  )
  while (running) {
    const tree = (await processTree(root)).filter((pid) => pid !== root)
    const sizes = await Promise.all(tree.map(rssMb))
    peakRssMb = Math.max(
      peakRssMb,
      sizes.reduce((sum, size) => sum + size, 0),
    )
    if (!killed && (await watch.killWhen?.()) === true) {
      for (const pid of tree) process.kill(pid, 'SIGKILL')
      killed = true
    }
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
  }
  return { peakRssMb, killed }
}

/** The process and everything below it. */
async function processTree(root: number): Promise<readonly number[]> {
  const parents = new Map<number, number>()
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
  }
  const tree = new Set([root])
  for (let grew = true; grew;) {
    grew = false
    for (const [pid, parent] of parents) {
      if (tree.has(parent) && !tree.has(pid)) {
        tree.add(pid)
        grew = true
      }
    }
  }
  return [...tree]
}

async function rssMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1000
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

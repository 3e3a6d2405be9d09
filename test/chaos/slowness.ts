/**
 * How much slower the machine is than what a run asks of it: time that our processes could have run in,
 * against the time that they ran, as the kernel's scheduler counts both. What has to be done within a time
 * is given more of it where somebody else had the processors.
 */
import { readFile } from 'node:fs/promises'

type Spent = { readonly ranNs: number; readonly waitedNs: number }

export type Slowness = {
  /** Looks at these processes; to be called again and again. */
  look(pids: readonly number[]): Promise<void>
  /** 1 when nobody ever had to wait for a processor. */
  factor(): number
}

export function createSlowness(): Slowness {
  const last = new Map<number, Spent>()
  let ranNs = 0
  let waitedNs = 0
  return {
    async look(pids) {
      for (const pid of pids) {
        const spent = await spentBy(pid)
        if (!spent) continue
        const before = last.get(pid) ?? spent
        ranNs += Math.max(0, spent.ranNs - before.ranNs)
        waitedNs += Math.max(0, spent.waitedNs - before.waitedNs)
        last.set(pid, spent)
      }
    },
    factor: () => (ranNs === 0 ? 1 : (ranNs + waitedNs) / ranNs),
  }
}

/** Of its first thread; undefined when it is gone, or where there is no such count. */
async function spentBy(pid: number): Promise<Spent | undefined> {
  const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '')
  const [ran, waited] = text.split(' ').map(Number)
  return ran === undefined || waited === undefined || text === ''
    ? undefined
    : { ranNs: ran, waitedNs: waited }
}

/** Twice is what a dozen processes on two processors do to each other. */
const USUAL = 2
const MOST = 5

/** The factor by which times are stretched. Pure. */
export function stretchOf(factor: number): number {
  return Math.min(MOST, Math.max(1, factor / USUAL))
}

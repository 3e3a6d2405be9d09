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
  /** 1 when nobody ever had to wait for a processor; of all looks or of the last ones, whichever is more. */
  factor(): number
}

/** What has to be done within a minute is judged by how slow that minute was. */
const RECENT_LOOKS = 30

export function createSlowness(spentBy = readSpent): Slowness {
  const last = new Map<number, Spent>()
  let [ranNs, waitedNs] = [0, 0]
  const sums: Spent[] = [{ ranNs, waitedNs }]
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
      sums.push({ ranNs, waitedNs })
      if (sums.length > RECENT_LOOKS) sums.shift()
    },
    factor() {
      const [first] = sums
      const recent = first ? share(ranNs - first.ranNs, waitedNs - first.waitedNs) : 1
      return Math.max(share(ranNs, waitedNs), recent)
    },
  }
}

function share(ranNs: number, waitedNs: number): number {
  return ranNs === 0 ? 1 : (ranNs + waitedNs) / ranNs
}

/** Of its first thread; undefined when it is gone, or where there is no such count. */
async function readSpent(pid: number): Promise<Spent | undefined> {
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

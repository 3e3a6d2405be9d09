/** What the kernel counts for processes: CPU so far, and resident memory, of one and of all below it. */
import { readFileSync, readdirSync } from 'node:fs'
import { memoryOf, type ProcessMemory } from '../coord/process-memory.ts'

/** Clock ticks a second, as /proc counts them on every Linux of ours. */
const TICKS = 100

/** User and system seconds of the process and of the children that it has waited for. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS
}

/** Those that the process has started and that are still there. */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((word) => word.trim() !== '')
      .map(Number),
  )
}

/** Seconds of the process and of everything below it. */
export function cpuOfTree(pid: number): number {
  return cpuOf(pid) + childrenOf(pid).reduce((sum, child) => sum + lenient(child), 0)
}

/** A child that ended after it was listed counts with its parent from then on. */
function lenient(pid: number): number {
  try {
    return cpuOfTree(pid)
  } catch {
    return 0
  }
}

export type CpuBy = Readonly<Record<string, number>>

/** Seconds by name, each over a process and everything below it; `machine`: of all there is, others' too. */
export function cpuBy(pids: Readonly<Record<string, readonly number[]>>): CpuBy {
  const own = Object.entries(pids).map(([name, roots]): readonly [string, number] => [
    name,
    roots.reduce((sum, pid) => sum + cpuOfTree(pid), 0),
  ])
  return { ...Object.fromEntries(own), machine: cpuOfMachine() }
}

/** Seconds that all cores together were busy. */
function cpuOfMachine(): number {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0] = first
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + interrupts + soft) / TICKS
}

export function cpuBetween(before: CpuBy, after: CpuBy): CpuBy {
  const rounded = (seconds: number): number => Math.round(seconds * 100) / 100
  return Object.fromEntries(
    Object.keys(after).map((name) => [name, rounded((after[name] ?? 0) - (before[name] ?? 0))]),
  )
}

export type TreeMemory = {
  readonly own: ProcessMemory
  readonly children: readonly ProcessMemory[]
}

export async function memoryOfTree(pid: number): Promise<TreeMemory> {
  return { own: await memoryOf(pid), children: await Promise.all(childrenOf(pid).map(memoryOf)) }
}

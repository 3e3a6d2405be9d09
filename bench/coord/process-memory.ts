/** What the kernel counts for a process, in MB of 10^6 bytes. */
import { readFile } from 'node:fs/promises'

export type ProcessMemory = {
  readonly rss: number
  readonly anonymous: number
  readonly file: number
  /** Shared pages divided among those that share them. */
  readonly pss: number
}

export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  const field = (text: string, name: string): number =>
    Math.round((Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e5) /
    10
  return {
    rss: field(status, 'VmRSS'),
    anonymous: field(status, 'RssAnon'),
    file: field(status, 'RssFile'),
    pss: field(rollup, 'Pss'),
  }
}

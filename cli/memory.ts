/** Resident memory of this process and everything it started, so that nothing hides in a child. */
import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096
/** Children of children; an encoder has none today. */
const DEPTH_MAX = 4

/** Bytes now; where /proc is missing, this process alone. */
export function clientMemory(): number {
  try {
    return residentBytes(process.pid, DEPTH_MAX)
  } catch {
    return process.memoryUsage.rss()
  }
}

function residentBytes(pid: number, depth: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
  const children = depth > 0 ? childrenOf(pid) : []
  return pages * PAGE_BYTES + children.reduce((sum, child) => sum + lenient(child, depth - 1), 0)
}

/** A child may end between being listed and being read. */
function lenient(pid: number, depth: number): number {
  try {
    return residentBytes(pid, depth)
  } catch {
    return 0
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((word) => word.trim() !== '')
      .map(Number),
  )
}

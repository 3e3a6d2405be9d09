/**
 * Writes to the coordinators without a pause and counts: for how long nothing could be written at most,
 * and whether everything that was acknowledged is there afterwards.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Lab } from './lab.ts'

export type WriterReport = {
  readonly written: number
  readonly lost: number
  /** Longest time between two acknowledged writes, and when it ended, in UTC, to find it in the journals. */
  readonly longestGapMs: number
  readonly longestGapEnd: string
}

export type Writer = AsyncDisposable & {
  /** The longest gap is counted anew from here. */
  mark(): number
  stop(): Promise<WriterReport>
}

const ATTEMPT_MS = 400
const PAUSE_MS = 10
const PREFIX = 'deploy-writer/'
const PAGE = 1_000

export async function startWriter(lab: Lab): Promise<Writer> {
  const client = await lab.client(ATTEMPT_MS)
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const run = `${PREFIX}${Date.now()}/`
  const acknowledged: string[] = []
  let isOver = false
  let lastAt = performance.now()
  let longestGapMs = 0
  let longestGapEnd = ''
  const look = (now: number): void => {
    if (now - lastAt <= longestGapMs) return
    longestGapMs = now - lastAt
    longestGapEnd = new Date().toISOString().slice(11, 23)
  }
  const work = async (): Promise<void> => {
    for (let count = 0; !isOver; count++) {
      const key = `${run}${String(count).padStart(9, '0')}`
      try {
        await client.put(
          { key: bytes(key), value: bytes(String(count)) },
          { timeoutMs: ATTEMPT_MS },
        )
        look(performance.now())
        lastAt = performance.now()
        acknowledged.push(key)
      } catch {
        // Its outcome is not known: it counts neither as written nor as lost.
      }
      await delay(PAUSE_MS)
    }
  }
  const working = work()
  return {
    mark() {
      look(performance.now())
      const gap = longestGapMs
      longestGapMs = 0
      return gap
    },
    async stop() {
      isOver = true
      await working
      const found = new Set<string>()
      let from = run
      for (;;) {
        const { kvs, more } = await client.range({
          key: bytes(from),
          rangeEnd: bytes(`${run}~`),
          limit: PAGE,
        })
        for (const { key } of kvs) found.add(new TextDecoder().decode(key))
        const last = kvs.at(-1)
        if (!more || !last) break
        from = `${new TextDecoder().decode(last.key)}\0`
      }
      const lost = acknowledged.filter((key) => !found.has(key)).length
      await client.deleteRange({ key: bytes(run), rangeEnd: bytes(`${run}~`) })
      return { written: acknowledged.length, lost, longestGapMs, longestGapEnd }
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      await working
      await client[Symbol.asyncDispose]()
    },
  }
}

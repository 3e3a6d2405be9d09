/** A put until the last of many watchers has it: each watcher has its own stream. */
import type { BenchCluster } from './contenders.ts'
import { percentile } from './load.ts'
import { clientOf } from './throughput.ts'

const WATCHERS = 100
const PUTS = 200
const KEY = Buffer.from('watched')

export type WatchResult = { readonly p50Ms: number; readonly p99Ms: number }

/** Every watcher has to see every put, once and in order, or the bench fails. */
export async function measureWatch(cluster: BenchCluster): Promise<WatchResult> {
  await using client = clientOf(cluster)
  const end = new AbortController()
  const seen = Array.from({ length: WATCHERS }, () => 0)
  let onAll: (() => void) | undefined
  let wanted = 0
  const watchers = Array.from({ length: WATCHERS }, () => client.watch(KEY, { signal: end.signal }))
  const reading = watchers.map(async (watcher, index) => {
    for await (const batch of watcher) {
      if (batch.kind !== 'events') continue
      for (const { kv } of batch.events) {
        const number = Number(Buffer.from(kv?.value ?? []).toString())
        if (number !== seen[index]! + 1)
          throw new Error(`watcher ${index} saw ${number} after ${seen[index]}`)
        seen[index] = number
      }
      if (seen.every((number) => number >= wanted)) onAll?.()
    }
  })
  const failed = Promise.all(reading)
  await Promise.all(watchers.map(({ created }) => created))
  const took: number[] = []
  for (wanted = 1; wanted <= PUTS; wanted++) {
    const all = new Promise<void>((resolve) => (onAll = resolve))
    const sent = performance.now()
    await client.put({ key: KEY, value: Buffer.from(String(wanted)) })
    await Promise.race([all, failed])
    took.push(performance.now() - sent)
  }
  end.abort()
  await Promise.allSettled(reading)
  return { p50Ms: percentile(took, 0.5), p99Ms: percentile(took, 0.99) }
}

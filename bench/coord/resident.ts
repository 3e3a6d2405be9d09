/** What a member keeps resident: idle, after requests and quiet, and right after a burst. */
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCluster } from './contenders.ts'
import { memoryOf, type ProcessMemory } from './process-memory.ts'
import { clientOf } from './throughput.ts'

const QUIET_MS = 60_000

export type Resident = {
  /** One entry a member. */
  readonly idle: readonly ProcessMemory[]
  readonly afterRequests: readonly ProcessMemory[]
  readonly afterBurst: readonly ProcessMemory[]
}

export async function measureResident(cluster: BenchCluster): Promise<Resident> {
  await using client = clientOf(cluster)
  const small = Buffer.alloc(256, 'v')
  for (let n = 0; n < 1_000; n++) await client.put({ key: Buffer.from(`key/${n}`), value: small })
  await delay(QUIET_MS)
  const idle = await memories(cluster)
  await requests(20_000, (n) =>
    n % 2 === 0
      ? client.put({ key: Buffer.from(`key/${n % 1_000}`), value: small })
      : client.range({ key: Buffer.from(`key/${n % 1_000}`) }),
  )
  await delay(QUIET_MS)
  const afterRequests = await memories(cluster)
  const large = Buffer.alloc(1_024, 'v')
  await requests(60_000, (n) =>
    client.put({ key: Buffer.from(`large/${n % 10_000}`), value: large }),
  )
  const afterBurst = await memories(cluster)
  return { idle, afterRequests, afterBurst }
}

/** So many requests by 64 clients. */
async function requests(count: number, request: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const client = async (): Promise<void> => {
    while (next < count) await request(next++)
  }
  await Promise.all(Array.from({ length: 64 }, client))
}

function memories(cluster: BenchCluster): Promise<ProcessMemory[]> {
  return Promise.all(cluster.members.map((member) => memoryOf(member.pid() ?? 0)))
}

/** Puts and linearizable gets a second, by number of clients; every acknowledged key is read back. */
import { createCoordClient } from '../../coord/client/create.ts'
import type { CoordClient } from '../../coord/client/client.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { BenchCluster } from './contenders.ts'
import { runLoad, type LoadResult } from './load.ts'

export const CLIENTS = [1, 16, 64] as const
const VALUE_BYTES = 256

export function clientOf(cluster: BenchCluster): CoordClient {
  return createCoordClient(
    {
      endpoints: cluster.members.map(({ endpoint }) => endpoint),
      attemptMs: 5_000,
      readMs: 10_000,
    },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
}

export type Throughput = Readonly<Record<string, LoadResult>>

export async function measureThroughput(
  cluster: BenchCluster,
  seconds: number,
): Promise<Throughput> {
  await using client = clientOf(cluster)
  const results: Record<string, LoadResult> = {}
  const value = Buffer.alloc(VALUE_BYTES, 'v')
  let written = 0
  for (const clients of CLIENTS) {
    const put = await runLoad({ clients, seconds }, (number) =>
      client.put({ key: Buffer.from(`put/${clients}/${number}`), value }),
    )
    results[`put ${clients}`] = put
    written += put.answered
  }
  for (const clients of CLIENTS)
    results[`get ${clients}`] = await runLoad({ clients, seconds }, (number) =>
      client.range({ key: Buffer.from(`put/64/${number % results['put 64']!.answered}`) }),
    )
  const { count } = await client.range({
    key: Buffer.from('put/'),
    rangeEnd: Buffer.from('put0'),
    countOnly: true,
  })
  if (count !== written)
    throw new Error(`${written} puts were acknowledged, ${count} keys are there`)
  return results
}

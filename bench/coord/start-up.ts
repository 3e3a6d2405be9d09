/** From the start of the process to the first linearizable answer, with many keys in the image. */
import type { BenchCluster } from './contenders.ts'
import { clientOf } from './throughput.ts'

const KEYS = 100_000
const PUTS_IN_TXN = 100

export async function fillKeys(cluster: BenchCluster): Promise<void> {
  await using client = clientOf(cluster)
  const value = Buffer.alloc(256, 'v')
  for (let first = 0; first < KEYS; first += PUTS_IN_TXN) {
    const success = Array.from({ length: PUTS_IN_TXN }, (_, n) => ({
      requestPut: {
        key: Buffer.from(`start/${first + n}`),
        value,
        lease: 0n,
        prevKv: false,
        ignoreValue: false,
        ignoreLease: false,
      },
    }))
    await client.txn({ compare: [], success, failure: [] })
  }
}

/** Milliseconds; the member must be the only one of its cluster. */
export async function measureStartUp(cluster: BenchCluster): Promise<number> {
  const [member] = cluster.members
  if (!member) throw new Error('no member')
  await member.kill()
  const started = performance.now()
  await member.start()
  await using client = clientOf(cluster)
  const { count } = await client.range({
    key: Buffer.from('start/'),
    rangeEnd: Buffer.from('start0'),
    countOnly: true,
  })
  const tookMs = Math.round(performance.now() - started)
  if (count !== KEYS) throw new Error(`${count} of ${KEYS} keys are there after the start`)
  return tookMs
}

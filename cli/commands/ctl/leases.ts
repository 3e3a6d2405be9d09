/** `hakiri ctl leases`: who holds what for how long, those that expire first in front. */
import { hex, withCluster } from '../../coord/connect.ts'
import { formatTable } from '../../output.ts'

const ASKED_AT_ONCE = 16

export const leases = withCluster(async ({ client }) => {
  const ids = await client.leases()
  const found: { id: string; ttl: number; granted: number; keys: number }[] = []
  let next = 0
  const ask = async (): Promise<void> => {
    while (next < ids.length) {
      const at = next++
      const { ttl, grantedTtl, keys } = await client.leaseTimeToLive(ids[at]!, { keys: true })
      found[at] = { id: hex(ids[at]!), ttl, granted: grantedTtl, keys: keys.length }
    }
  }
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask))
  // One that ran out since it was listed has a TTL of -1.
  const alive = found.filter(({ ttl }) => ttl >= 0)
  return {
    result: alive,
    summary: `${alive.length} lease(s)`,
    text: formatTable(
      ['lease', 'remaining s', 'granted s', 'keys'],
      alive.map(({ id, ttl, granted, keys }) => [id, ttl, granted, keys]),
    ),
  }
})

/** When a cluster is whole again. */
import type { Host } from './host.ts'
import type { Lab } from './lab.ts'
import { until } from '../support/until.ts'

const WHOLE_MS = 120_000

export type MemberStatus = {
  readonly endpoint: string
  readonly id: string
  readonly role: string
  readonly problems: readonly string[]
}

/** Each coordinator for itself; those that do not answer are left out. */
export async function memberStatuses(lab: Lab, on: Host): Promise<readonly MemberStatus[]> {
  const { stdout } = await on.ssh(
    '/usr/local/bin/hakiri ctl status --json --quiet --config /var/lib/hakiri',
    { codes: [0, 1, 3], timeoutMs: 30_000 },
  )
  const result = (JSON.parse(stdout) as { readonly result: readonly MemberStatus[] | null }).result
  return result ?? []
}

export async function leaderHost(lab: Lab): Promise<Host> {
  const [on] = lab.hosts('worker')
  if (!on) throw new Error('no worker')
  return until(
    'there is a leader',
    async () => {
      const leader = (await memberStatuses(lab, on)).find(({ role }) => role === 'leader')
      return lab.hosts('coord').find(({ address }) => leader?.endpoint === `${address}:7701`)
    },
    WHOLE_MS,
  )
}

/** Every coordinator answers with a leader, and every worker takes part. */
export async function isWhole(lab: Lab): Promise<void> {
  const [on] = lab.hosts('worker')
  if (!on) throw new Error('no worker')
  let last: readonly MemberStatus[] = []
  await until(
    'all coordinators answer',
    async () => {
      last = await memberStatuses(lab, on).catch(() => [])
      return (
        last.filter(({ role }) => role === 'leader' || role === 'follower').length ===
          lab.members.coord.length && last.some(({ role }) => role === 'leader')
      )
    },
    WHOLE_MS,
    () => Promise.resolve(JSON.stringify(last)),
  )
  await using catalog = await lab.catalog()
  await until(
    'all workers take part',
    async () => {
      const rows = await catalog.workers()
      return lab.members.worker.every((name) =>
        rows.some((row) => row.name === name && row.isPresent && !row.isCordoned),
      )
    },
    WHOLE_MS,
    async () => JSON.stringify(await catalog.workers()),
  )
}

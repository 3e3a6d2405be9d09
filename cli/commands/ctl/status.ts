/** `hakiri ctl status | hash | doctor`: each member asked for itself, and what follows from it. */
import type { AdminClient } from '../../../coord/client/admin.ts'
import { formatBytes } from '../../../lib/units.ts'
import type { StatusResponse } from '../../../proto/gen/rpc.ts'
import { hex, withCluster, type Ctl } from '../../coord/connect.ts'
import { EXIT } from '../../exit.ts'
import { formatTable } from '../../output.ts'

type Said =
  | { readonly endpoint: string; readonly status: StatusResponse }
  | { readonly endpoint: string; readonly error: string }

async function askAll({
  admin,
  endpoints,
}: Pick<Ctl, 'admin' | 'endpoints'>): Promise<readonly Said[]> {
  return Promise.all(
    endpoints.map(async (endpoint) => {
      try {
        return { endpoint, status: await admin.status(endpoint) }
      } catch (error) {
        return { endpoint, error: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
}

/** Whoever of these says that it leads. */
export async function findLeader(
  admin: AdminClient,
  endpoints: readonly string[],
): Promise<{ readonly endpoint: string; readonly id: bigint } | undefined> {
  for (const said of await askAll({ admin, endpoints: [...new Set(endpoints)] })) {
    if (!('status' in said) || said.status.leader === 0n) continue
    const id = said.status.header?.memberId ?? 0n
    if (said.status.leader === id) return { endpoint: said.endpoint, id }
  }
  return undefined
}

export const status = withCluster(async (ctl) => {
  const all = await askAll(ctl)
  const bad = all.filter((said) => !('status' in said) || said.status.errors.length > 0).length
  return {
    result: all.map(asJson),
    summary:
      bad === 0
        ? `✓ ${all.length} member(s) answer`
        : `✗ ${bad} of ${all.length} member(s) have a problem`,
    text: formatTable(
      ['endpoint', 'id', 'role', 'version', 'term', 'index', 'applied', 'data', 'problem'],
      all.map(row),
    ),
    exitCode: bad === 0 ? EXIT.done : EXIT.environment,
  }
})

function roleOf(said: StatusResponse): string {
  if (said.isLearner) return 'learner'
  if (said.leader === 0n) return 'no leader'
  return said.leader === said.header?.memberId ? 'leader' : 'follower'
}

function asJson(said: Said) {
  if (!('status' in said)) return { endpoint: said.endpoint, error: said.error }
  const { endpoint, status: one } = said
  return {
    endpoint,
    id: hex(one.header?.memberId ?? 0n),
    role: roleOf(one),
    leader: hex(one.leader),
    version: one.version,
    term: Number(one.raftTerm),
    index: Number(one.raftIndex),
    applied: Number(one.raftAppliedIndex),
    revision: one.header?.revision ?? 0,
    dataBytes: one.dbSize,
    problems: one.errors,
  }
}

function row(said: Said): readonly (string | number)[] {
  if (!('status' in said)) return [said.endpoint, '', '', '', '', '', '', '', said.error]
  const { status: one } = said
  return [
    said.endpoint,
    hex(one.header?.memberId ?? 0n),
    roleOf(one),
    one.version,
    Number(one.raftTerm),
    Number(one.raftIndex),
    Number(one.raftAppliedIndex),
    formatBytes(one.dbSize),
    one.errors.join('; '),
  ]
}

/** Equal at one revision on all members, or something is badly wrong (K3). */
export const hash = withCluster(async ({ admin, endpoints }) => {
  const statuses = await Promise.all(endpoints.map((endpoint) => admin.status(endpoint)))
  const revision = Math.min(...statuses.map(({ header }) => header?.revision ?? 0))
  const hashes = await Promise.all(
    endpoints.map(async (endpoint) => ({
      endpoint,
      hash: (await admin.hashKv(endpoint, revision)).hash,
    })),
  )
  const isEqual = new Set(hashes.map((one) => one.hash)).size === 1
  return {
    result: { revision, equal: isEqual, hashes },
    summary: isEqual
      ? `✓ ${endpoints.length} member(s) agree at revision ${revision}`
      : `✗ members differ at revision ${revision}: keep a snapshot of each, and replace the odd one`,
    text: formatTable(
      ['endpoint', 'hash'],
      hashes.map((one) => [one.endpoint, one.hash]),
    ),
    exitCode: isEqual ? EXIT.done : EXIT.runtime,
  }
})

type Finding = { readonly severity: 'ok' | 'warn' | 'error'; readonly message: string }

export const doctor = withCluster(async (ctl) => {
  const all = await askAll(ctl)
  const findings = [...memberFindings(all), ...(await clusterFindings(ctl, all))]
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const mark = { ok: '✓', warn: '!', error: '✗' }
  return {
    result: findings,
    summary: errors === 0 ? '✓ all well' : `✗ ${errors} problem(s)`,
    text: findings.map(({ severity, message }) => `  ${mark[severity]} ${message}`).join('\n'),
    exitCode: errors === 0 ? EXIT.done : EXIT.environment,
  }
})

function memberFindings(all: readonly Said[]): readonly Finding[] {
  return all.map((said): Finding => {
    if (!('status' in said))
      return { severity: 'error', message: `${said.endpoint}: ${said.error}` }
    const { endpoint, status: one } = said
    if (one.leader === 0n) return { severity: 'error', message: `${endpoint} knows no leader` }
    if (one.errors.length > 0)
      return { severity: 'error', message: `${endpoint}: ${one.errors.join('; ')}` }
    return { severity: 'ok', message: `${endpoint} is ${roleOf(one)}, ${formatBytes(one.dbSize)}` }
  })
}

async function clusterFindings(ctl: Ctl, all: readonly Said[]): Promise<readonly Finding[]> {
  const statuses = all.flatMap((said) => ('status' in said ? [said.status] : []))
  if (statuses.length === 0) return []
  const findings: Finding[] = []
  const versions = new Set(statuses.map(({ version }) => version))
  if (versions.size > 1)
    findings.push({
      severity: 'warn',
      message: `members run different versions: ${[...versions].join(', ')}`,
    })
  const newest = Math.max(...statuses.map(({ raftIndex }) => Number(raftIndex)))
  const oldest = Math.min(...statuses.map(({ raftAppliedIndex }) => Number(raftAppliedIndex)))
  if (newest - oldest > 5_000)
    findings.push({ severity: 'warn', message: `a member is ${newest - oldest} entries behind` })
  const { members } = await ctl.admin.memberList({ linearizable: false })
  const voters = members.filter(({ isLearner }) => !isLearner).length
  findings.push(
    voters % 2 === 1
      ? {
          severity: 'ok',
          message: `${voters} voter(s): ${Math.floor((voters - 1) / 2)} may fail at a time`,
        }
      : {
          severity: 'warn',
          message: `${voters} voters stand no more failures than ${voters - 1}: add or remove one`,
        },
  )
  const [alarms, unstarted] = [await ctl.admin.alarms(), members.filter(({ name }) => name === '')]
  for (const { alarm } of alarms)
    findings.push({
      severity: 'error',
      message: alarm === 1 ? 'the quota is used up' : 'members differ (corrupt)',
    })
  for (const { id } of unstarted)
    findings.push({ severity: 'warn', message: `member ${hex(id)} was added and never started` })
  return findings
}

/** What a run is held against at its end, check by check, and the figures that a line about it has. */
import type { AdminClient } from '../../coord/client/admin.ts'
import type { CoordClient } from '../../coord/client/client.ts'
import type { Coordinators } from './cast/coordinators.ts'
import type { Backend } from './faults/catalogue.ts'
import type { Driven } from './faults/drive.ts'
import type { PlannedFault } from './faults/schedule.ts'
import type { ChaosHistory } from './history/start.ts'
import type { Observer } from './observe.ts'
import type { PipelinesAudit } from './pipelines/audit.ts'
import type { Check, RunFigures } from './report/run-report.ts'

/** Rules of the audit of pipelines, by what they are about; what is not named stands for itself. */
const GROUPS: readonly { readonly name: string; readonly rules: readonly string[] }[] = [
  { name: 'rows: nothing is lost', rules: ['lost', 'past-lost', 'append-only'] },
  { name: 'rows: nothing is doubled', rules: ['doubled', 'past-doubled', 'extra', 'strange'] },
  { name: 'rows: each is as its source has it', rules: ['changed', 'differs'] },
  {
    name: 'tables: a reader of the protocol finds them sound',
    rules: ['delta', 'unreadable', 'missing-file', 'object-rewritten', 'log-bodies', 'log-txns'],
  },
  {
    name: 'writers: one for each shard and epoch, one publisher for each table and epoch',
    rules: [
      'one-writer',
      'one-publisher',
      'newest-epoch',
      'newest-publisher',
      'epoch-grows',
      'holder-is-writer',
      'claimed-first',
      'log-epochs',
      'log-seqs',
      'seq-by-one',
      'seq-has-commit',
      'version-by-one',
    ],
  },
  {
    name: 'liveness: once healed, everything completes in time',
    rules: [
      'run-ends',
      'run-succeeds',
      'run-in-time',
      'member',
      'member-gone',
      'shard-stuck',
      'shard-paused',
      'quarantine',
    ],
  },
  { name: 'memory: within what was promised', rules: ['memory', 'memory-unseen'] },
]

type Found = { readonly check: string; readonly text: string }

/** `settled` says how long the last runs took. */
export function pipelineChecks(
  { problems, tables, commits, versions }: PipelinesAudit,
  settled: string,
): readonly Check[] {
  const all = [...tables.values()]
  const total = (of: (table: (typeof all)[number]) => number): number =>
    all.reduce((sum, table) => sum + of(table), 0)
  const rows = `${total((table) => table.rows)} rows in ${all.length} tables`
  const seen: Readonly<Record<string, string>> = {
    rows,
    tables: `${versions} versions, ${total((table) => table.checkpoints)} checkpoints, ${total((table) => table.orphans.files)} orphans`,
    writers: `${commits} commits`,
    liveness: settled,
  }
  const known = new Set(GROUPS.flatMap(({ rules }) => rules))
  const named = GROUPS.map(({ name, rules }) => ({
    name,
    problems: textsOf(problems.filter(({ check }) => rules.includes(check))),
    seen: seen[name.split(':')[0] ?? ''] ?? '',
  }))
  const others = Map.groupBy(
    problems.filter(({ check }) => !known.has(check)),
    ({ check }) => check,
  )
  return [
    ...named,
    ...[...others].map(([name, found]) => ({ name, problems: textsOf(found), seen: '' })),
  ]
}

function textsOf(found: readonly Found[]): readonly string[] {
  return found.map(({ check, text }) => `${check}: ${text}`)
}

const KINDS_OF_HISTORY = {
  registers: 'coordinator: keys that are contended for are strictly serializable',
  keys: 'coordinator: answers follow revisions, watches see each once and in order',
  locks: 'coordinator: guarded writes come in the order of their locks',
  leases: 'coordinator: no lease ends early or stays',
} as const

/**
 * What etcd 3.4 itself does not keep under these faults: a leader that has been deposed goes on renewing
 * leases, which then end early, and a watch may come without what was before. It is counted, not judged:
 * with etcd a run is about Hakiri, which must do no harm whatever its leases do.
 */
const ETCDS_OWN: ReadonlySet<string> = new Set(['lease-early', 'event-prev-missing'])

export function historyChecks(history: ChaosHistory, backend: Backend): readonly Check[] {
  const { rounds, operations, ok, unknown, watchEvents, holds } = history.counts
  const isEtcds = ({ rule }: { readonly rule: string }): boolean =>
    backend === 'etcd' && ETCDS_OWN.has(rule)
  const problems = history.check().filter((problem) => !isEtcds(problem))
  const excused = history.check().filter(isEtcds)
  const seen = {
    registers: `${operations} operations, ${ok} answered, ${unknown} unknown`,
    keys: `${watchEvents} watch events`,
    locks: `${holds} holds`,
    leases: '',
  }
  return (['registers', 'keys', 'locks', 'leases'] as const).map((kind) => ({
    name: KINDS_OF_HISTORY[kind],
    problems: problems
      .filter(({ round }) => round.startsWith(`${kind} `))
      .map(({ round, rule, text }) => `${round}, ${rule}: ${text}`),
    seen: [`${rounds[kind]} rounds`, seen[kind], excusedOf(excused, kind)]
      .filter((text) => text !== '')
      .join(', '),
  }))
}

function excusedOf(excused: readonly { readonly round: string }[], kind: string): string {
  const count = excused.filter(({ round }) => round.startsWith(`${kind} `)).length
  return count === 0 ? '' : `${count} breaches by etcd itself`
}

/** Equal revision, equal hash on every member (K3). */
export async function hashCheck({ all, admin }: Coordinators, client: CoordClient): Promise<Check> {
  const { revision } = await client.range({ key: Buffer.from('any'), limit: 1 })
  const hashes = await Promise.all(
    all.map(
      async ({ actor, endpoint }) => `${actor.name} ${await hashAt(admin, endpoint, revision)}`,
    ),
  )
  const different = new Set(hashes.map((hash) => hash.split(' ')[1]))
  return {
    name: 'coordinator: all members hold the same (K3)',
    problems: different.size === 1 ? [] : [`at revision ${revision}: ${hashes.join(', ')}`],
    seen: `revision ${revision}`,
  }
}

const HASH_TRIES_MAX = 50
const HASH_PAUSE_MS = 200

/** A member that is a little behind knows the revision a moment later. */
async function hashAt(admin: AdminClient, endpoint: string, revision: number): Promise<string> {
  for (let tries = 1; ; tries++)
    try {
      return String((await admin.hashKv(endpoint, revision)).hash)
    } catch (error) {
      if (tries === HASH_TRIES_MAX) return `answers ${String(error)}`
      await new Promise((resolve) => setTimeout(resolve, HASH_PAUSE_MS))
    }
}

export function observerCheck(name: string, observer: Observer): Check {
  return { name, problems: observer.problems(), seen: observer.seen() }
}

/** A run in which hardly anything happened proves nothing. */
export function happenedCheck(
  plan: readonly PlannedFault[],
  driven: Driven,
  figures: RunFigures,
): Check {
  const shown = [...driven.shown.values()].reduce((sum, count) => sum + count, 0)
  const problems: string[] = []
  if (plan.length >= 4 && shown < plan.length / 2)
    problems.push(`only ${shown} of ${plan.length} planned faults were in force`)
  if (figures.commits < 10) problems.push(`only ${figures.commits} commits`)
  if (figures.operations < 100) problems.push(`only ${figures.operations} operations`)
  const seen = `${shown} of ${plan.length} faults, ${figures.commits} commits, ${figures.operations} operations`
  return { name: 'the run: enough happened', problems, seen }
}

export const NO_FIGURES: RunFigures = {
  commits: 0,
  rows: 0,
  lost: 0,
  doubled: 0,
  split: 0,
  operations: 0,
}

/** `split` counts breaches of one leader, one holder, one writer. */
export function figuresOf(
  audit: PipelinesAudit,
  checks: readonly Check[],
  operations: number,
): RunFigures {
  const count = (part: string): number =>
    checks
      .filter(({ name }) => name.includes(part))
      .reduce((sum, { problems }) => sum + problems.length, 0)
  return {
    commits: audit.commits,
    rows: [...audit.tables.values()].reduce((sum, { rows }) => sum + rows, 0),
    lost: count('nothing is lost'),
    doubled: count('nothing is doubled'),
    split: count('one for each') + count('(R1)') + count('(L1)') + count('order of their locks'),
    operations,
  }
}

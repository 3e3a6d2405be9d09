/** The one audit of a chaos run: tables against sources, writers against the trail, memory, liveness. */
import { mulberry } from '../../cluster/random.ts'
import { diskSource, readJournal } from './bucket-disk.ts'
import { apiRows, postgresRows } from './expected.ts'
import { query } from './host-postgres.ts'
import { auditLiveness, type LivenessFacts } from './liveness.ts'
import { PIPELINES, type PipelineName, tableOf, tablePrefix } from './manifest.ts'
import { auditMemory, type MemoryBound, type MemorySample } from './memory.ts'
import { auditObjects } from './objects.ts'
import type { Pipelines } from './pipelines.ts'
import type { Problem } from './problem.ts'
import { auditTable, type StoredTable, type TableAudit } from './tables.ts'
import { readTrail } from './trail.ts'
import { auditWriters, type Claims } from './writers.ts'

export type AuditFacts = {
  /** What `settle` gave, and the time that it should have taken. */
  readonly liveness: LivenessFacts
  readonly withinMs: number
  readonly memory?: {
    readonly samples: readonly MemorySample[]
    readonly bounds: readonly MemoryBound[]
  }
  readonly claims?: Claims
}

export type PipelinesAudit = {
  readonly problems: readonly Problem[]
  readonly tables: ReadonlyMap<PipelineName, TableAudit>
  /** Commits and versions that the trail knows of. */
  readonly commits: number
  readonly versions: number
}

/** Every broken rule of a run that has settled; none is the claim that nothing was lost, doubled or split. */
export async function auditPipelines(
  pipelines: Pipelines,
  facts: AuditFacts,
): Promise<readonly Problem[]> {
  return (await inspectPipelines(pipelines, facts)).problems
}

/** The same with what was looked at, for a report. */
export async function inspectPipelines(
  pipelines: Pipelines,
  facts: AuditFacts,
): Promise<PipelinesAudit> {
  const trail = await readTrail(pipelines.catalogPostgres.localUrl)
  const problems: Problem[] = [
    ...auditWriters(trail, facts.claims),
    ...auditObjects(readJournal(pipelines.bucket.folder)),
    ...auditLiveness(facts.liveness, facts.withinMs),
    ...(facts.memory ? auditMemory(facts.memory.samples, facts.memory.bounds) : []),
  ]
  const random = mulberry(pipelines.seed)
  const tables = new Map<PipelineName, TableAudit>()
  for (const name of PIPELINES) tables.set(name, await auditOne(pipelines, name, random))
  for (const audit of tables.values()) problems.push(...audit.problems)
  return {
    problems,
    tables,
    commits: trail.filter(({ kind }) => kind === 'moved').length,
    versions: trail.filter(({ kind }) => kind === 'version').length,
  }
}

async function auditOne(
  pipelines: Pipelines,
  name: PipelineName,
  random: () => number,
): Promise<TableAudit> {
  const table = tableOf(name)
  // Before the look at the bucket: what the catalog says is published must be there.
  const stored = await storedTable(pipelines.catalogPostgres.localUrl, table)
  const { count } = await pipelines.api.state()
  return auditTable({
    name,
    table,
    source: diskSource(pipelines.bucket.folder, tablePrefix(table)),
    expected: () =>
      name === 'events'
        ? apiRows(pipelines.sizes.parts, count)
        : postgresRows(pipelines.sourcePostgres.localUrl, name),
    stored,
    random,
  })
}

/** One statement, and so one moment. */
async function storedTable(url: string, table: string): Promise<StoredTable> {
  const [found] = await query(
    url,
    `select table_schema from information_schema.tables where table_name = 'table_log'`,
  )
  const schema = String(found?.['table_schema'])
  const [row] = await query(
    url,
    `select t.next_version - 1 as version,
       (select json_agg(json_build_object('version', l.version, 'body', l.body) order by l.version)
        from ${schema}.table_log as l
        where l.table_name = t.name and l.published_at is not null) as bodies,
       (select json_agg(f.path) from ${schema}.table_file as f
        where f.table_name = t.name and f.version is not null and f.removed_at is null) as live
     from ${schema}.data_table as t where t.name = $1`,
    [table],
  )
  return {
    bodies: (row?.['bodies'] ?? []) as StoredTable['bodies'],
    version: Number(row?.['version'] ?? -1),
    live: new Set((row?.['live'] ?? []) as readonly string[]),
  }
}

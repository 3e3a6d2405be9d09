/**
 * Very many small shards, every one a file of fifty rows, on four workers and three coordinators. The rate
 * is that of the run from its first part to its last: from when it was planned until none is pending.
 */
import { join } from 'node:path'
import { isOver, type Lab, mustSucceed, startLab, untilSettled } from './lab.ts'
import { cpuBetween, cpuBy, type CpuBy } from './proc.ts'
import { type Audit, AUDIT_SQL, auditOf, mustEqual } from './shard-files.ts'

const WORKERS = 4

export type ShardsResult = {
  readonly shardsPerS: number
  readonly workS: number
  /** From the request to the published end. */
  readonly wholeS: number
  /** Seconds of CPU while parts were worked off, by kind of process. */
  readonly cpuS: CpuBy
  readonly files: number
}

/** A fresh cluster reads all files once; every row is audited. */
export async function measureHakiri(
  source: string,
  shards: number,
  audit: Audit,
): Promise<ShardsResult> {
  await using lab = await startLab()
  await lab.apply(smallManifest(source, join(lab.folder, 'lake')))
  for (let n = 1; n <= WORKERS; n++) await lab.addWorker(`w${n}`)
  await untilSettled(lab, 1, WORKERS)
  const asked = performance.now()
  const run = await lab.start('small')
  await lab.untilRun(run, ({ status }) => status === 'running')
  const [began, before] = [performance.now(), cpuBy(lab.pids())]
  await lab.untilRun(run, ({ status }) => status !== 'running')
  const [ended, after] = [performance.now(), cpuBy(lab.pids())]
  mustSucceed(await lab.untilRun(run, isOver))
  const wholeS = (performance.now() - asked) / 1000
  await auditTable(lab, audit)
  const workS = (ended - began) / 1000
  const { rows } = await lab.sql.query(
    'select count(*) as files from table_file where removed_by is null',
  )
  return {
    shardsPerS: Math.round(shards / workS),
    workS: round(workS),
    wholeS: round(wholeS),
    cpuS: cpuBetween(before, after),
    files: Number((rows[0] as { readonly files: string }).files),
  }
}

async function auditTable(lab: Lab, audit: Audit): Promise<void> {
  const found = (await lab.hakiri('query', `select ${AUDIT_SQL} from small`)) as {
    readonly rows: readonly (readonly unknown[])[]
  }
  mustEqual(auditOf(found.rows[0] ?? []), audit, 'the table')
}

const round = (seconds: number): number => Math.round(seconds * 100) / 100

export function smallManifest(source: string, lake: string): string {
  return `version = 1
[destination.lake]
type = "file"
url = "${lake}"
[pipelines.small]
shard_by = "file"
write = { mode = "append" }
[pipelines.small.source]
type = "file"
paths = ["${source}/*.ndjson"]
table = "small"
`
}

/** `hakiri status`: problems first, then every pipeline and its last run. */
import type { RunRow } from '../../catalog/catalog.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { markLostRuns } from '../lost-runs.ts'
import { openProject } from '../project.ts'
import { ago } from '../time.ts'

export const status: CommandRun = async ({ globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  await markLostRuns(catalog)
  const decisions = await catalog.decisions('pending')
  const rows: { pipeline: string; last: RunRow | undefined; shards: number; unfinished: number }[] =
    []
  for (const { name } of project.pipelines([])) {
    const [last] = await catalog.runs({ pipeline: name, limit: 1 })
    const shards = await catalog.shards(name)
    rows.push({
      pipeline: name,
      last,
      shards: shards.length,
      unfinished: shards.filter((shard) => !shard.done && shard.seq > 0).length,
    })
  }
  const bad = rows.filter((row) => row.last && row.last.status !== 'succeeded')
  const sorted = [...bad, ...rows.filter((row) => !bad.includes(row))]
  return {
    result: {
      catalog: catalog.label,
      pipelines: sorted.map(({ pipeline, last, shards, unfinished }) => ({
        pipeline,
        shards,
        unfinished,
        lastRun: last ? { ...last, counters: { ...last.counters } } : null,
      })),
      pendingDecisions: decisions.length,
    },
    summary: summaryOf(bad.length, rows.length, decisions.length),
    text: formatTable(
      ['pipeline', 'last run', 'when', 'rows', 'shards', 'error'],
      sorted.map(({ pipeline, last, shards }) => [
        pipeline,
        last ? `#${last.id} ${last.status}` : 'never ran',
        last ? ago(last.startedAt) : '',
        last?.counters.rowsRead ?? 0,
        shards,
        last?.error?.slice(0, 80) ?? '',
      ]),
    ),
  }
}

function summaryOf(bad: number, total: number, decisions: number): string {
  const ask = decisions > 0 ? ` · ${decisions} schema decision(s) wait: hakiri schema` : ''
  if (total === 0) return 'no pipelines yet'
  return (
    (bad > 0
      ? `⚠ ${bad} of ${total} pipelines need a look: hakiri runs`
      : `✓ ${total} pipeline(s)`) + ask
  )
}

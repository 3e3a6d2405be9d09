/** `hakiri plan`: what a run would do, without doing any of it. */
import type { Json } from '../../lib/json.ts'
import { planRun, type RunPlan, type TablePlan } from '../../worker/prepare.ts'
import type { CommandRun } from '../command.ts'
import { EXIT } from '../exit.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'
import { previewChanges } from '../../worker/preview.ts'

export const plan: CommandRun = async ({ args, options, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const plans: RunPlan[] = []
  for (const pipeline of project.pipelines((args[0] as readonly string[] | undefined) ?? [])) {
    const connector = await project.connector(pipeline)
    const context = project.connectorHost(pipeline)(io.stop, () => undefined, 1e6)
    plans.push(
      await planRun(
        pipeline,
        { kind: 'run', fullRefresh: false, shard: undefined },
        connector,
        context,
        catalog,
      ),
    )
  }
  const views = plans.map((entry) => ({ entry, changes: changesOf(entry) }))
  const changes = views.flatMap((view) => view.changes)
  return {
    result: views.map(({ entry, changes: found }) => planJson(entry, found)),
    summary:
      changes.length === 0
        ? '✓ no changes to tables or shards'
        : `${changes.length} change(s); next: hakiri run`,
    text: views.map(({ entry, changes: found }) => planText(entry, found)).join('\n\n'),
    exitCode: options['check'] === true && changes.length > 0 ? EXIT.changes : EXIT.done,
  }
}

/** Sentences for everything that a run would alter beyond adding rows. */
function changesOf(plan: RunPlan): readonly string[] {
  return [
    ...plan.tables.flatMap((table) =>
      table.existing ? previewChanges(table, plan.pipeline) : [`new table ${table.target.name}`],
    ),
    ...plan.shards.filter((shard) => !shard.known).map((shard) => `new shard ${shard.shard.id}`),
    ...plan.gone.map((row) => `shard ${row.shard} is gone from the source`),
  ]
}

function planJson(plan: RunPlan, changes: readonly string[]): Json {
  return {
    pipeline: plan.pipeline.name,
    tables: plan.tables.map((table) => ({
      table: table.target.name,
      source: table.source.name,
      write: table.target.mode,
      exists: table.existing !== undefined,
      staged: table.staged,
      key: table.target.key,
    })),
    shards: plan.shards.map(({ shard, known }) => ({
      shard: shard.id,
      rowsEstimate: shard.rowsEstimate ?? null,
      cursor: known?.cursor ?? null,
      known: known !== undefined,
    })),
    changes,
    warnings: plan.warnings,
  }
}

function planText(plan: RunPlan, changes: readonly string[]): string {
  const tables = formatTable(
    ['table', 'from', 'write', 'read'],
    plan.tables.map((table) => [
      table.target.name,
      table.source.name,
      table.target.mode,
      readWords(table),
    ]),
  )
  const shards = formatTable(
    ['shard', 'rows (estimate)', 'from'],
    plan.shards
      .slice(0, 20)
      .map(({ shard, known }) => [
        shard.id,
        shard.rowsEstimate ?? '?',
        (known?.cursor ?? null) === null ? 'the start' : JSON.stringify(known?.cursor),
      ]),
  )
  const more = plan.shards.length > 20 ? `\n… and ${plan.shards.length - 20} more shards` : ''
  const notes = [
    ...plan.warnings.map((warning) => `⚠ ${warning}`),
    ...changes.map((change) => `~ ${change}`),
  ]
  return [`pipeline ${plan.pipeline.name}`, tables, '', shards + more, ...notes].join('\n')
}

function readWords(table: TablePlan): string {
  if (table.resumesStaging) return 'all, carrying on an unfinished load'
  if (table.staged) return 'all, swapped in at the end'
  return table.mode.kind === 'incremental' ? `after the last ${table.mode.column}` : 'what is new'
}

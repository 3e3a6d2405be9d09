/** `hakiri state get|set|reset`: cursors, by hand. */
import type { ShardRow } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import { jsonArgument } from '../arguments.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'

export const stateGet: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const [pipeline, shard] = args as readonly (string | undefined)[]
  const rows = (await catalog.shards(pipeline)).filter(
    (row) => shard === undefined || row.shard === shard,
  )
  if (shard !== undefined && rows.length === 0) throw unknownShard(String(pipeline), shard)
  // A pipeline that has left the configuration may still have state; any other name is a slip.
  if (pipeline !== undefined && rows.length === 0) project.pipelines([pipeline])
  return {
    result: rows.map((row) => ({ ...row })),
    summary: `${rows.length} shard(s)`,
    text: formatTable(
      ['pipeline', 'shard', 'seq', 'epoch', 'whole', 'cursor'],
      rows.map((row) => [
        row.pipeline,
        row.shard,
        row.seq,
        row.epoch,
        row.done ? 'yes' : 'no',
        JSON.stringify(row.cursor),
      ]),
    ),
  }
}

export const stateSet: CommandRun = async ({ args, globals }, io) => {
  const [pipeline, shard, text] = args as readonly string[]
  const cursor = jsonArgument(String(text), 'the cursor')
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const row = await catalog.setCursor({ pipeline: String(pipeline), shard: String(shard) }, cursor)
  if (!row) throw unknownShard(String(pipeline), String(shard))
  return {
    result: { ...row },
    summary: `✓ ${pipeline}/${shard} continues after ${JSON.stringify(cursor)}`,
  }
}

export const stateReset: CommandRun = async ({ args, globals }, io) => {
  const [pipeline, shard] = args as readonly (string | undefined)[]
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const rows = (await catalog.shards(pipeline)).filter(
    (row) => shard === undefined || row.shard === shard,
  )
  if (rows.length === 0) throw unknownShard(String(pipeline), shard ?? '')
  const doubling = await tablesThatWouldDouble(
    rows,
    async (name) => (await catalog.table(name))?.mode === 'append',
  )
  if (doubling.length > 0) {
    throw new HakiriError(
      'STATE_INVALID',
      `reading again from the start would double the rows of ${doubling.join(', ')} (mode append)`,
      {
        suggestion: `Run \`hakiri run ${pipeline} --full-refresh\`: it loads everything anew and swaps it in.`,
      },
    )
  }
  for (const row of rows) {
    await catalog.setCursor(row, null)
    await catalog.clearShardState(row)
  }
  return {
    result: rows.map((row) => row.shard),
    summary: `✓ ${rows.length} shard(s) of ${pipeline} start over at the next run`,
  }
}

async function tablesThatWouldDouble(
  rows: readonly ShardRow[],
  isAppend: (table: string) => Promise<boolean>,
): Promise<readonly string[]> {
  const written = [
    ...new Set(rows.filter((row) => row.seq > 0 && row.cursor !== null).map((row) => row.table)),
  ]
  const verdicts = await Promise.all(written.map((table) => isAppend(table)))
  return written.filter((_, index) => verdicts[index])
}

function unknownShard(pipeline: string, shard: string): HakiriError {
  return new HakiriError('NOT_FOUND', `no shard ${pipeline}/${shard} in the catalog`, {
    suggestion: '`hakiri state get` lists them.',
  })
}

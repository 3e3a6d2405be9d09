/** `hakiri shard pause|resume|release|reset`: what an operator may do to one shard. */
import { createInterface } from 'node:readline/promises'
import type { ShardKey, ShardRow } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import {
  pauseShard,
  releaseShard,
  resetShard,
  resumeShard,
  wouldDouble,
  type Operator,
} from '../../worker/operate.ts'
import { unitName } from '../../worker/shard-view.ts'
import { openClusterCatalog, operatorOf, shardArgument } from '../cluster.ts'
import type { CommandIo, CommandRun } from '../command.ts'

type Change = (operator: Operator, key: ShardKey) => Promise<ShardRow>

/** A command over one shard; `say` tells what is so now. */
function changing(change: Change, say: (unit: string, row: ShardRow) => string): CommandRun {
  return async ({ args, globals }, io) => {
    const key = shardArgument(String(args[0]))
    await using catalog = await openClusterCatalog(globals, io)
    const row = await change(operatorOf(catalog), key)
    return { result: rowJson(row), summary: `✓ ${say(unitName(key), row)}` }
  }
}

export const shardPause: CommandRun = changing(
  pauseShard,
  (unit) => `${unit} is paused; next: hakiri shard resume ${unit}`,
)

export const shardResume: CommandRun = changing(
  resumeShard,
  (unit) => `${unit} takes part in the next run`,
)

export const shardRelease: CommandRun = changing(
  releaseShard,
  (unit, row) => `${unit} is at epoch ${row.epoch}: whoever held it is fenced`,
)

export const shardReset: CommandRun = async ({ args, options, globals }, io) => {
  const key = shardArgument(String(args[0]))
  const unit = unitName(key)
  await using catalog = await openClusterCatalog(globals, io)
  const doubles = await wouldDouble(catalog, key)
  const warning = doubles
    ? `${unit} feeds a table of mode append: reading it from the start doubles its rows`
    : `${unit} is read from the start by the next run`
  if (options['yes'] !== true) await confirm(warning, io)
  const row = await resetShard(operatorOf(catalog), key)
  return {
    result: { ...rowJson(row), doubles },
    summary: `✓ ${unit} starts over at the next run`,
    text: doubles ? `⚠ ${warning}` : '',
  }
}

async function confirm(warning: string, io: CommandIo): Promise<void> {
  if (!process.stdin.isTTY || !io.isTerminal)
    throw new HakiriError('USAGE', warning, { suggestion: 'Add --yes if that is meant.' })
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const reply = await lines.question(`⚠ ${warning}. Go on? [y/N] `, { signal: io.stop })
    if (/^y(es)?$/i.test(reply.trim())) return
  } finally {
    lines.close()
  }
  throw new HakiriError('CANCELLED', 'nothing was changed')
}

function rowJson({ pipeline, shard, epoch, seq, paused, quarantine }: ShardRow) {
  const json: { readonly [key: string]: Json } = { pipeline, shard, epoch, seq, paused, quarantine }
  return json
}

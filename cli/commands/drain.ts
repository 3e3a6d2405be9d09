/** `hakiri drain`, `hakiri uncordon`: a worker gives back what it has, or may have shards again. */
import type { Catalog } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { parseDuration } from '../../lib/units.ts'
import { cordonWorker } from '../../worker/operate.ts'
import { viewShards } from '../../worker/shard-view.ts'
import { openClusterCatalog, operatorOf, waitUntil } from '../cluster.ts'
import type { CommandIo, CommandOutput, CommandRun } from '../command.ts'

export const drain: CommandRun = async ({ args, options, globals }, io) => {
  const name = String(args[0])
  const timeoutMs = durationOption(String(options['timeout'] ?? '10m'), '--timeout')
  await using catalog = await openClusterCatalog(globals, io)
  const row = await cordonWorker(operatorOf(catalog), name, true)
  if (options['wait'] === true) return await waitForHandOver(catalog, name, timeoutMs, io)
  return {
    result: { ...row },
    summary: `✓ ${name} drains; next: hakiri shards --worker ${name}`,
  }
}

export const uncordon: CommandRun = async ({ args, globals }, io) => {
  const name = String(args[0])
  await using catalog = await openClusterCatalog(globals, io)
  const row = await cordonWorker(operatorOf(catalog), name, false)
  return { result: { ...row }, summary: `✓ ${name} may have shards again` }
}

/** Until nothing is meant for it, and nothing that has to be done is still with it. */
async function waitForHandOver(
  catalog: Catalog,
  name: string,
  timeoutMs: number,
  io: CommandIo,
): Promise<CommandOutput> {
  const until = systemClock.monotonic() + timeoutMs
  let said = -1
  const done = await waitUntil(io, async () => {
    const left = await countLeft(catalog, name)
    if (left !== said) io.progress(`${left} shard(s) and offices left on ${name}\n`)
    said = left
    if (left === 0) return true
    if (systemClock.monotonic() < until) return undefined
    throw new HakiriError('CANCELLED', `${name} still has ${left} shard(s) or offices`, {
      suggestion: `It goes on draining. \`hakiri shards --worker ${name}\` shows what is left, \`hakiri workers\` who could have it.`,
    })
  })
  return done
    ? {
        result: { name, left: 0 },
        summary: `✓ ${name} has given back everything; it can be stopped`,
      }
    : { result: { name, left: said }, summary: `${name} goes on draining`, stopped: true }
}

async function countLeft(catalog: Catalog, name: string): Promise<number> {
  const views = await viewShards(catalog, { worker: name }, systemClock.now())
  return views.filter(
    ({ placement, part, row }) =>
      placement?.worker === name || (part !== null && row?.holder === name),
  ).length
}

/** A duration of more than nothing. */
export function durationOption(text: string, name: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms > 0) return ms
  throw new HakiriError('USAGE', `${name} takes a duration, not "${text}"`, {
    suggestion: 'Write a number and ms, s, m, h or d, such as 30s or 90d.',
  })
}

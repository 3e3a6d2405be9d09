/** `hakiri events`: what happened to the cluster and its runs, and with --follow what happens. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { ClusterEvent } from '../../catalog/cluster.ts'
import { HakiriError } from '../../lib/error.ts'
import { wholeNumber } from '../arguments.ts'
import { openClusterCatalog, waitUntil } from '../cluster.ts'
import type { CommandIo, CommandOutput, CommandRun } from '../command.ts'
import { isoTime } from '../time.ts'

const PAGE = 500

type Filter = { readonly pipeline?: string; readonly runId?: number }

export const events: CommandRun = async ({ options, globals }, io) => {
  const follow = options['follow'] === true
  if (follow && globals.json)
    throw new HakiriError('USAGE', '--json prints one object, and --follow has no end', {
      suggestion: 'Use --follow --ndjson: one JSON object a line.',
    })
  const pipeline = options['pipeline'] as string | undefined
  const run = options['run'] as string | undefined
  const filter = {
    ...(pipeline === undefined ? {} : { pipeline }),
    ...(run === undefined ? {} : { runId: wholeNumber(run, '--run') }),
  }
  const limit = wholeNumber(String(options['limit'] ?? '50'), '--limit')
  const format = options['ndjson'] === true ? ndjson : eventLine
  await using catalog = await openClusterCatalog(globals, io)
  const found = await catalog.clusterEvents({ ...filter, afterId: 0, limit, newest: true })
  if (follow) return await followFrom(catalog, filter, found, format, io)
  if (options['ndjson'] === true) {
    io.data(found.map((event) => `${ndjson(event)}\n`).join(''))
    return { result: found.map((event) => ({ ...event })), summary: '', written: true }
  }
  return {
    result: found.map((event) => ({ ...event })),
    summary: `${found.length} event(s)`,
    text: found.map(eventLine).join('\n'),
  }
}

async function followFrom(
  catalog: Catalog,
  filter: Filter,
  found: readonly ClusterEvent[],
  format: (event: ClusterEvent) => string,
  io: CommandIo,
): Promise<CommandOutput> {
  let lastId = found.at(-1)?.id ?? (await newestId(catalog))
  const tell = (page: readonly ClusterEvent[]): void => {
    if (page.length > 0) io.data(page.map((event) => `${format(event)}\n`).join(''))
    lastId = page.at(-1)?.id ?? lastId
  }
  tell(found)
  await waitUntil(io, async () => {
    let page: readonly ClusterEvent[]
    do {
      page = await catalog.clusterEvents({ ...filter, afterId: lastId, limit: PAGE })
      tell(page)
    } while (page.length === PAGE)
    return undefined
  })
  return { result: null, summary: '', written: true, stopped: true }
}

async function newestId(catalog: Catalog): Promise<number> {
  const [newest] = await catalog.clusterEvents({ afterId: 0, limit: 1, newest: true })
  return newest?.id ?? 0
}

/** Of the whole cluster, so that each line says whose it is. */
function eventLine(event: ClusterEvent): string {
  const run = event.runId === null ? '' : `#${event.runId} `
  const unit = [event.pipeline, event.shard].filter((part) => part !== null).join('/')
  const where = [unit, event.worker ?? ''].filter((part) => part !== '').join(' @ ')
  return `${isoTime(event.at)} ${event.level.padEnd(5)} ${run}${where === '' ? '-' : where} ${event.kind} ${event.message}`
}

function ndjson(event: ClusterEvent): string {
  return JSON.stringify(event)
}

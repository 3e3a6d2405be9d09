/** `hakiri tables compact|vacuum`: what runs do on their own, now. */
import { rm } from 'node:fs/promises'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { formatBytes, parseDuration } from '../../lib/units.ts'
import type { TableRow } from '../../catalog/catalog.ts'
import type { Destination } from '../../manifest/manifest.ts'
import type { WorkerDeps } from '../../worker/deps.ts'
import { collectOrphans, compactTable, vacuumTable } from '../../worker/maintenance.ts'
import type { CommandInput, CommandIo, CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'
import { openWorker } from '../worker.ts'
import { findTable } from './tables.ts'

const ENCODER_BYTES = 256e6

export const compact: CommandRun = async (input, io) => {
  const reports = await eachTable(input, io, async (table, destination, deps) => {
    // Asked for by hand, it does not wait until there are many.
    const files = { ...destination.files, compactMinFiles: 2 }
    const report = await compactTable(table, files, deps, io.stop)
    return [table.name, report.filesBefore, report.filesAfter, formatBytes(report.bytesRewritten)]
  })
  return {
    result: reports as Json,
    summary: `✓ ${reports.length} table(s) looked at`,
    text: formatTable(['table', 'files before', 'files after', 'rewritten'], reports),
  }
}

export const vacuum: CommandRun = async (input, io) => {
  const graceMs = parseDuration(String(input.options['grace'] ?? '24h'))
  if (graceMs === undefined)
    throw new HakiriError(
      'USAGE',
      `--grace takes a duration such as 24h, not ${String(input.options['grace'])}`,
    )
  const reports = await eachTable(input, io, async (table, destination, deps) => {
    const removed = await vacuumTable(table, destination.files.retainMs, deps)
    const orphans = await collectOrphans(table, graceMs, deps)
    return [table.name, removed, orphans.length]
  })
  return {
    result: reports as Json,
    summary: `✓ ${reports.length} table(s) swept`,
    text: formatTable(['table', 'old files deleted', 'orphans deleted'], reports),
  }
}

type Row = (string | number)[]

async function eachTable(
  { args, globals }: CommandInput,
  io: CommandIo,
  work: (table: TableRow, destination: Destination, deps: WorkerDeps) => Promise<Row>,
): Promise<Row[]> {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const name = args[0] as string | undefined
  const tables = name === undefined ? await catalog.tables() : [await findTable(catalog, name)]
  const scratchFolder = await project.scratchFolder()
  const rows: Row[] = []
  try {
    for (const table of tables.filter((candidate) => candidate.nextVersion > 0)) {
      const destination = project.destination(table.destination)
      await using worker = await openWorker(project, {
        catalog,
        destination,
        scratchFolder,
        encoderBytes: ENCODER_BYTES,
        io,
        onProgress: () => undefined,
      })
      rows.push(await work(table, destination, worker.deps))
    }
  } finally {
    await rm(scratchFolder, { recursive: true, force: true })
  }
  return rows
}

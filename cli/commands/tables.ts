/** `hakiri tables`, `tables show`, `tables history`. */
import type { Catalog, TableRow } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import { formatBytes } from '../../lib/units.ts'
import { tableFolder } from '../../sink/plan/names.ts'
import { wholeNumber } from '../arguments.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'
import { isoTime } from '../time.ts'

export const tables: CommandRun = async ({ globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const rows = []
  for (const table of await catalog.tables()) {
    const live = await catalog.liveFiles(table.name)
    rows.push({
      table: table.name,
      mode: table.mode,
      rows: live.reduce((sum, file) => sum + file.rows, 0),
      files: live.length,
      bytes: live.reduce((sum, file) => sum + file.bytes, 0),
      version: table.nextVersion - 1,
      columns: table.columns.length,
    })
  }
  return {
    result: rows,
    summary:
      rows.length === 0
        ? 'no tables yet; next: hakiri run'
        : `${rows.length} table(s); next: hakiri tables show ${rows[0]?.table}`,
    text: formatTable(
      ['table', 'mode', 'rows', 'files', 'bytes', 'version', 'columns'],
      rows.map((row) => [
        row.table,
        row.mode,
        row.rows,
        row.files,
        formatBytes(row.bytes),
        row.version,
        row.columns,
      ]),
    ),
  }
}

export const tablesShow: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const table = await findTable(catalog, String(args[0]))
  const live = await catalog.liveFiles(table.name)
  const destination = project.manifest.destinations[table.destination]
  return {
    result: {
      ...table,
      columns: table.columns.map((column) => ({ ...column })),
      files: live.map((file) => ({ ...file, partition: { ...file.partition } })),
    },
    summary: `${table.name} version ${table.nextVersion - 1} in ${destination?.url ?? table.destination}/${tableFolder(table.name)}`,
    text: [
      formatTable(
        ['id', 'column', 'type', 'source', 'source type'],
        table.columns.map((column) => [
          column.id,
          column.name,
          column.type,
          column.source,
          column.sourceType,
        ]),
      ),
      '',
      formatTable(
        ['file', 'rows', 'bytes', 'since version'],
        live
          .slice(0, 30)
          .map((file) => [file.path, file.rows, formatBytes(file.bytes), file.version]),
      ),
      ...(live.length > 30 ? [`… and ${live.length - 30} more files`] : []),
    ].join('\n'),
  }
}

export const tablesHistory: CommandRun = async ({ args, options, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const table = await findTable(catalog, String(args[0]))
  const entries = await catalog.logEntries(
    table.name,
    wholeNumber(String(options['limit'] ?? '20'), '--limit'),
  )
  const rows = entries.map((entry) => {
    const actions = entry.body
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, { stats?: string }>)
    const adds = actions.flatMap((action) => (action['add'] ? [action['add']] : []))
    return {
      version: entry.version,
      at: entry.createdAt,
      published: entry.publishedAt !== null,
      adds: adds.length,
      removes: actions.filter((action) => action['remove']).length,
      rows: adds.reduce(
        (sum, add) =>
          sum + ((JSON.parse(add.stats ?? '{}') as { numRecords?: number }).numRecords ?? 0),
        0,
      ),
      schema: actions.some((action) => action['metaData']),
    }
  })
  return {
    result: rows,
    summary: `${rows.length} version(s) of ${table.name}; as of one: hakiri query --at VERSION`,
    text: formatTable(
      ['version', 'at', 'files +', 'files -', 'rows +', 'schema', 'in bucket'],
      rows.map((row) => [
        row.version,
        isoTime(row.at),
        row.adds,
        row.removes,
        row.rows,
        row.schema ? 'changed' : '',
        row.published ? 'yes' : 'not yet',
      ]),
    ),
  }
}

/** Finds a table by its full name, or by the part behind the pipeline when that is unique. */
export async function findTable(catalog: Catalog, name: string): Promise<TableRow> {
  const all = await catalog.tables()
  const exact = all.find((table) => table.name === name)
  if (exact) return exact
  const short = all.filter(
    (table) => table.name.endsWith(`.${name}`) && !table.name.startsWith('_'),
  )
  if (short.length === 1 && short[0]) return short[0]
  throw new HakiriError(
    'NOT_FOUND',
    short.length > 1
      ? `${name} could be ${short.map((table) => table.name).join(' or ')}`
      : `no table ${name}`,
    {
      suggestion: '`hakiri tables` lists them.',
    },
  )
}

/** `hakiri schema`, `schema log`, `schema approve|deny`. */
import { HakiriError } from '../../lib/error.ts'
import { wholeNumber } from '../arguments.ts'
import type { CommandInput, CommandIo, CommandOutput, CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'
import { isoTime } from '../time.ts'
import { findTable } from './tables.ts'

export const schema: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const name = args[0] as string | undefined
  const tables = name === undefined ? await catalog.tables() : [await findTable(catalog, name)]
  const pending = await catalog.decisions('pending')
  return {
    result: {
      tables: tables.map((table) => ({
        table: table.name,
        revision: table.schemaRevision,
        columns: table.columns.map((column) => ({ ...column })),
      })),
      decisions: pending.map((decision) => ({ ...decision })),
    },
    summary:
      pending.length > 0
        ? `${pending.length} decision(s) wait: hakiri schema approve|deny ID`
        : `${tables.length} table(s)`,
    text: [
      ...tables.map(
        (table) =>
          `${table.name} (revision ${table.schemaRevision})\n${table.columns.map((column) => `  ${column.name}  ${column.type}${column.semantic ? ` (${column.semantic})` : ''}`).join('\n')}`,
      ),
      ...pending.map(
        (decision) => `? ${decision.id}  ${decision.table}: ${JSON.stringify(decision.change)}`,
      ),
    ].join('\n'),
  }
}

export const schemaLog: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const name = args[0] as string | undefined
  const revisions = await catalog.schemaRevisions(
    name === undefined ? undefined : (await findTable(catalog, name)).name,
  )
  return {
    result: revisions.map((revision) => ({
      ...revision,
      columns: revision.columns.map((column) => ({ ...column })),
    })),
    summary: `${revisions.length} revision(s)`,
    text: formatTable(
      ['table', 'revision', 'at', 'run', 'changes'],
      revisions.map((entry) => [
        entry.table,
        entry.revision,
        isoTime(entry.createdAt),
        entry.runId,
        entry.changes.join('; '),
      ]),
    ),
  }
}

export const schemaApprove: CommandRun = (input, io) => decide(input, io, 'approved')
export const schemaDeny: CommandRun = (input, io) => decide(input, io, 'denied')

async function decide(
  { args, globals }: CommandInput,
  io: CommandIo,
  verdict: 'approved' | 'denied',
): Promise<CommandOutput> {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const id = wholeNumber(String(args[0]), 'the decision')
  const decision = await catalog.decide(id, verdict)
  if (!decision)
    throw new HakiriError('NOT_FOUND', `no schema decision ${id}`, {
      suggestion: '`hakiri schema` lists them.',
    })
  return {
    result: { ...decision },
    summary: `✓ ${verdict}; the next run of ${decision.pipeline} follows it`,
  }
}

/** The prompt of `hakiri query`: statements end with a semicolon, \q leaves. */
import { createInterface } from 'node:readline/promises'
import { HakiriError } from '../lib/error.ts'
import type { Engine } from '../sink/query/engine.ts'
import type { CommandIo, CommandOutput } from './command.ts'
import { cell } from './commands/query.ts'
import { formatError, formatTable } from './output.ts'

const ROWS_MAX = 100

export async function prompt(engine: Engine, io: CommandIo): Promise<CommandOutput> {
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'hakiri> ',
  })
  let statement = ''
  let count = 0
  io.print(
    'SQL over all tables; end a statement with ; and leave with \\q. `show all tables;` lists them.',
  )
  lines.prompt()
  for await (const line of lines) {
    if (/^\s*(\\q|exit|quit)\s*;?\s*$/i.test(line)) break
    statement += `${line}\n`
    if (/;\s*$/.test(statement)) {
      await answer(engine, statement, io)
      count++
      statement = ''
    }
    lines.setPrompt(statement.trim() === '' ? 'hakiri> ' : '     -> ')
    lines.prompt()
  }
  lines.close()
  return { result: { statements: count }, summary: '' }
}

async function answer(engine: Engine, sql: string, io: CommandIo): Promise<void> {
  try {
    const found = await engine.ask(sql, ROWS_MAX, io.stop)
    io.print(
      formatTable(
        found.columns.map((column) => column.name),
        found.rows.map((row) => row.map(cell)),
      ),
    )
    io.print(`${found.rows.length} row(s)${found.truncated ? ' shown' : ''}`)
  } catch (error) {
    if (!(error instanceof HakiriError)) throw error
    process.stderr.write(formatError(error, false))
  }
}

/**
 * `hakiri query` without SQL: a prompt on a terminal, a script on piped input. Statements end with a
 * semicolon. A failing statement ends a script, since what follows may rest on it; it does not end a
 * prompt. Ctrl-C stops the statement that runs or drops the one that is typed; Ctrl-D leaves.
 */
import { createInterface, type Interface } from 'node:readline'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { Answer, Engine } from '../sink/query/engine.ts'
import type { CommandIo, CommandOutput } from './command.ts'
import { formatError, formatTable, toCell } from './output.ts'

const ROWS_MAX = 100
const SCRIPT_ROWS_MAX = 100_000

export function prompt(engine: Engine, io: CommandIo): Promise<CommandOutput> {
  return process.stdin.isTTY && process.stdout.isTTY ? dialogue(engine, io) : script(engine, io)
}

async function script(engine: Engine, io: CommandIo): Promise<CommandOutput> {
  const lines = createInterface({ input: process.stdin, signal: io.stop })
  const results: Json[] = []
  const run = async (sql: string): Promise<void> => {
    const found = await engine.ask(sql, SCRIPT_ROWS_MAX, io.stop)
    results.push({
      columns: found.columns.map((column) => ({ ...column })),
      rows: found.rows,
      truncated: found.truncated,
    })
    io.data(`${answerText(found)}\n`)
  }
  let statement = ''
  for await (const line of lines) {
    if (isLeave(line)) break
    statement += `${line}\n`
    if (!isWhole(statement)) continue
    await run(statement)
    statement = ''
  }
  io.stop.throwIfAborted()
  if (statement.trim() !== '') await run(statement)
  return { result: results, summary: '' }
}

async function dialogue(engine: Engine, io: CommandIo): Promise<CommandOutput> {
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    signal: io.stop,
    prompt: FRESH,
  })
  let statement = ''
  let running: AbortController | undefined
  lines.on('SIGINT', () => {
    if (running) return running.abort()
    process.stdout.write('\n')
    statement = ''
    startLine(lines, FRESH)
  })
  process.stdout.write(
    'SQL over all tables; end a statement with ; and leave with \\q or Ctrl-D.\n',
  )
  lines.prompt()
  let count = 0
  for await (const line of lines) {
    if (isLeave(line)) break
    statement += `${line}\n`
    if (isWhole(statement)) {
      running = new AbortController()
      await tell(engine, statement, AbortSignal.any([running.signal, io.stop]), io)
      running = undefined
      statement = ''
      count++
    }
    if (io.stop.aborted) break
    startLine(lines, statement.trim() === '' ? FRESH : GOING_ON)
  }
  lines.close()
  return { result: { statements: count }, summary: '', stopped: io.stop.aborted }
}

const FRESH = 'hakiri> '
const GOING_ON = '     -> '

function startLine(lines: Interface, text: string): void {
  // Ctrl-C leaves what was typed in the line; it is dropped here.
  lines.write(null, { ctrl: true, name: 'u' })
  lines.setPrompt(text)
  lines.prompt()
}

async function tell(
  engine: Engine,
  sql: string,
  signal: AbortSignal,
  io: CommandIo,
): Promise<void> {
  try {
    process.stdout.write(`${answerText(await engine.ask(sql, ROWS_MAX, signal))}\n`)
  } catch (error) {
    if (!(error instanceof HakiriError)) throw error
    process.stderr.write(io.redact(formatError(error, false)))
  }
}

function answerText(found: Answer): string {
  const table = formatTable(
    found.columns.map((column) => column.name),
    found.rows.map((row) => row.map(toCell)),
  )
  return `${table}\n${found.rows.length} row(s)${found.truncated ? ' shown, there are more' : ''}`
}

function isLeave(line: string): boolean {
  return /^\s*(\\q|exit|quit)\s*;?\s*$/i.test(line)
}

function isWhole(statement: string): boolean {
  return /;\s*$/.test(statement)
}

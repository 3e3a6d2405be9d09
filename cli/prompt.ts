/**
 * `hakiri query` without SQL: a prompt on a terminal, a script on piped input. Statements end with a
 * semicolon. A failing statement ends a script, since what follows may rest on it; it does not end a
 * prompt. Ctrl-C stops the statement that runs or drops the one that is typed; Ctrl-D leaves.
 */
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { Answer, Engine } from '../sink/query/engine.ts'
import type { CommandIo, CommandOutput } from './command.ts'
import { formatAnswer, formatError } from './output.ts'

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
  let asked = 0
  let waiting = 0
  let work = Promise.resolve()
  // Of all statements that run or wait; lines may come faster than answers.
  let cancel = new AbortController()
  const run = (sql: string): void => {
    const signal = AbortSignal.any([cancel.signal, io.stop])
    asked++
    waiting++
    work = work.then(async () => {
      await tell(engine, sql, signal, io)
      if (--waiting === 0 && !io.stop.aborted) startLine(lines, FRESH)
    })
  }
  lines.on('line', (line) => {
    if (isLeave(line)) return lines.close()
    statement += `${line}\n`
    if (!isWhole(statement)) return startLine(lines, statement.trim() === '' ? FRESH : GOING_ON)
    run(statement)
    statement = ''
  })
  lines.on('SIGINT', () => {
    cancel.abort()
    cancel = new AbortController()
    statement = ''
    process.stdout.write('\n')
    if (waiting === 0) startLine(lines, FRESH)
  })
  const closed = once(lines, 'close')
  process.stdout.write(
    'SQL over all tables; end a statement with ; and leave with \\q or Ctrl-D.\n',
  )
  lines.prompt()
  await closed
  await work
  return { result: { statements: asked }, summary: '', stopped: io.stop.aborted }
}

const FRESH = 'hakiri> '
const GOING_ON = '     -> '

function startLine(lines: Interface, text: string): void {
  if ('closed' in lines && lines.closed) return
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
    if (signal.aborted) throw new HakiriError('CANCELLED', 'the statement was not run')
    process.stdout.write(`${answerText(await engine.ask(sql, ROWS_MAX, signal))}\n`)
  } catch (error) {
    if (!(error instanceof HakiriError)) throw error
    process.stderr.write(io.redact(formatError(error, false)))
  }
}

function answerText(found: Answer): string {
  return `${formatAnswer(found)}\n${found.rows.length} row(s)${found.truncated ? ' shown, there are more' : ''}`
}

function isLeave(line: string): boolean {
  return /^\s*(\\q|exit|quit)\s*;?\s*$/i.test(line)
}

function isWhole(statement: string): boolean {
  return /;\s*$/.test(statement)
}

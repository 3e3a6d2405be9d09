/**
 * The frame around every command: reads the command line, runs one command, reports in one shape and
 * decides the exit code. Invariant: with --json exactly one object goes to stdout, whatever happens.
 */
import { HakiriError, toHakiriError } from '../lib/error.ts'
import type { CommandInput, CommandOutput, CommandSpec, Globals } from './command.ts'
import { EXIT, exitCodeOf, signalExit } from './exit.ts'
import { createIo, type FrameIo } from './io.ts'
import { envelope } from './output.ts'
import { buildProgram, commandName, parseFailure, type Parsed } from './parse.ts'

/** Runs the command line and returns the exit code of the process. */
export async function main(argv: readonly string[]): Promise<number> {
  const parsed = await parse(argv)
  switch (parsed.kind) {
    case 'command':
      return runCommand(parsed.spec, parsed.input)
    case 'text':
      return reportText(parsed.text, parsed.json)
    case 'failure':
      return reportUsage(parsed.failure, parsed.json)
  }
}

async function parse(argv: readonly string[]): Promise<Parsed> {
  const json = argv.includes('--json')
  let text = ''
  let found: Parsed | undefined
  const program = buildProgram(
    (part) => (text += part),
    (spec, input) => (found = { kind: 'command', spec, input }),
  )
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    const failure = parseFailure(error)
    if (failure) return { kind: 'failure', failure, json }
  }
  return found ?? { kind: 'text', text, json }
}

/** Help and version. */
function reportText(text: string, json: boolean): number {
  const io = createIo(plainGlobals(json), undefined)
  const output = { result: { text }, summary: '' }
  io.write(json ? `${envelope('help', output, undefined)}\n` : text)
  return EXIT.done
}

function reportUsage(failure: HakiriError, json: boolean): number {
  const io = createIo(plainGlobals(json), undefined)
  if (json) io.write(`${envelope('hakiri', undefined, failure)}\n`)
  else io.fail(failure)
  return exitCodeOf(failure)
}

function plainGlobals(json: boolean): Globals {
  return {
    json,
    quiet: false,
    verbose: false,
    config: '.',
    catalog: undefined,
  }
}

async function runCommand(spec: CommandSpec, input: CommandInput): Promise<number> {
  const io = createIo(input.globals, spec.drains)
  const name = commandName(spec)
  const onBug = (error: unknown): never => {
    reportFailure(name, input.globals, io, error)
    process.exit(EXIT.runtime)
  }
  process.on('uncaughtException', onBug)
  try {
    const output = await (await spec.load())(input, io)
    print(name, input.globals, io, output)
    return (await io.outputFailure()) ?? stoppedExit(output, io) ?? output.exitCode ?? EXIT.done
  } catch (error) {
    const code = reportFailure(name, input.globals, io, error)
    const signal = io.stoppedBy()
    return signal === undefined ? code : signalExit(signal)
  } finally {
    process.off('uncaughtException', onBug)
  }
}

function stoppedExit(output: CommandOutput, io: FrameIo): number | undefined {
  const signal = io.stoppedBy()
  return output.stopped && signal !== undefined ? signalExit(signal) : undefined
}

/** Says what went wrong. What is no HakiriError is a bug: its stack goes to stderr. */
function reportFailure(name: string, globals: Globals, io: FrameIo, error: unknown): number {
  const isBug = !(error instanceof HakiriError)
  if (isBug) io.writeError(`${error instanceof Error ? error.stack : String(error)}\n`)
  const failure = isBug
    ? new HakiriError('INTERNAL', toHakiriError(error, 'INTERNAL').message, {
        suggestion: 'This is a bug in Hakiri: please report it with the lines above.',
      })
    : error
  if (globals.json) io.write(io.redact(`${envelope(name, undefined, failure)}\n`))
  else io.fail(failure)
  return exitCodeOf(failure)
}

function print(name: string, globals: Globals, io: FrameIo, output: CommandOutput): void {
  if (globals.json) {
    io.write(io.redact(`${envelope(name, output, undefined)}\n`))
    return
  }
  if (output.written) return
  io.print(output.text ?? '')
  io.print(output.summary)
}

#!/usr/bin/env node
/** The hakiri command: builds the command tree, runs one command, reports in one shape. */
import { Command, CommanderError } from 'commander'
import { HakiriError, toHakiriError } from '../lib/error.ts'
import { createLogger } from '../lib/system/log.ts'
import type { CommandIo, CommandInput, CommandOutput, CommandSpec, Globals } from './command.ts'
import { EXIT, exitCodeOf, signalExit } from './exit.ts'
import { COMMANDS } from './commands.ts'
import { version } from './version.ts'
import { envelope, formatError } from './output.ts'

if (process.argv.length === 3 && (process.argv[2] === '--version' || process.argv[2] === '-V')) {
  process.stdout.write(`${version()}\n`)
} else {
  process.exitCode = await main(process.argv)
}

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done
  const program = buildProgram(async (spec, input) => {
    exitCode = await runCommand(spec, input)
  })
  try {
    await program.parseAsync([...argv])
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return reportUsage(error, argv)
  }
  return exitCode
}

function reportUsage(error: CommanderError, argv: readonly string[]): number {
  if (error.exitCode === 0) return EXIT.done
  const text = error.message.replace(/^error: /, '')
  const failure = new HakiriError('USAGE', text, { suggestion: 'See `hakiri --help`.' })
  if (argv.includes('--json')) process.stdout.write(`${envelope('hakiri', undefined, failure)}\n`)
  else process.stderr.write(formatError(failure, useColor()))
  return EXIT.input
}

type Runner = (spec: CommandSpec, input: CommandInput) => Promise<void>

function buildProgram(run: Runner): Command {
  const program = new Command('hakiri')
    .description('Pulls data from sources into Parquet tables in a bucket that a whole team reads.')
    .version(version())
    .option('--json', 'one JSON object on stdout, logs on stderr')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-v, --verbose', 'print what happens inside')
    .option('-c, --config <path>', 'hakiri.toml or its folder', '.')
    .option('--catalog <url>', 'use this catalog instead of the one in hakiri.toml')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .showHelpAfterError(false)
  for (const spec of COMMANDS) addCommand(program, spec, run)
  return program
}

/** "runs show <id>" becomes command `show` under command `runs`. */
function addCommand(program: Command, spec: CommandSpec, run: Runner): void {
  const words = spec.usage.split(' ')
  const firstArgument = words.findIndex((word) => /^[<[]/.test(word))
  const names = firstArgument < 0 ? words : words.slice(0, firstArgument)
  const args = firstArgument < 0 ? [] : words.slice(firstArgument)
  const command = names.reduce((parent, name) => childOf(parent, name), program)
  command
    .description(spec.summary)
    .addHelpText('after', `\nExamples:\n${spec.examples.map((line) => `  $ ${line}\n`).join('')}`)
  for (const argument of args) command.argument(argument)
  for (const option of spec.options ?? [])
    command.option(option.flags, option.summary, option.fallback)
  command.action(async (...values: unknown[]) => {
    const options = command.opts()
    const positional = values.slice(0, args.length) as CommandInput['args']
    await run(spec, { args: positional, options, globals: readGlobals(program) })
  })
}

function childOf(parent: Command, name: string): Command {
  const existing = parent.commands.find((command) => command.name() === name)
  if (existing) return existing
  const child = parent.command(name).exitOverride()
  // Options such as --json are understood on either side of the command.
  for (const option of ['--json', '-q, --quiet', '-v, --verbose']) child.option(option)
  return child
}

function readGlobals(program: Command): Globals {
  const options = program.opts()
  const has = (name: string): boolean =>
    options[name] === true || process.argv.includes(`--${name}`)
  return {
    json: has('json'),
    quiet: has('quiet') || process.argv.includes('-q'),
    verbose: has('verbose') || process.argv.includes('-v'),
    config: String(options['config']),
    catalog: options['catalog'] as string | undefined,
    color: useColor(),
  }
}

function useColor(): boolean {
  return process.stderr.isTTY === true && !process.env['NO_COLOR']
}

async function runCommand(spec: CommandSpec, input: CommandInput): Promise<number> {
  const io = createIo(input.globals)
  const name = spec.usage
    .split(' ')
    .filter((word) => !/^[<[]/.test(word))
    .join(' ')
  try {
    const output = await (await spec.load())(input, io)
    print(name, input.globals, io, output)
    return output.exitCode ?? EXIT.done
  } catch (error) {
    if (!(error instanceof HakiriError))
      process.stderr.write(io.redact(`${(error as Error).stack}\n`))
    const failure = toHakiriError(error, 'INTERNAL')
    if (input.globals.json)
      process.stdout.write(io.redact(`${envelope(name, undefined, failure)}\n`))
    else process.stderr.write(io.redact(formatError(failure, input.globals.color)))
    return exitCodeOf(failure)
  }
}

function print(name: string, globals: Globals, io: CommandIo, output: CommandOutput): void {
  if (globals.json) {
    process.stdout.write(io.redact(`${envelope(name, output, undefined)}\n`))
    return
  }
  if (globals.quiet || output.written) return
  io.print(output.text ?? '')
  io.print(output.summary)
}

function createIo(globals: Globals): CommandIo {
  const redactions: ((text: string) => string)[] = []
  const redact = (text: string): string => redactions.reduce((result, hide) => hide(result), text)
  const silent = globals.json || globals.quiet
  return {
    print: (text) => {
      if (!silent && text !== '') process.stdout.write(`${redact(text)}\n`)
    },
    write: (text) => void process.stdout.write(text),
    progress: (text) => {
      if (!silent) process.stderr.write(redact(text))
    },
    logger: createLogger({
      level: globals.quiet ? 'error' : globals.verbose ? 'debug' : 'warn',
      json: globals.json,
      write: (line) => void process.stderr.write(line),
      redact,
    }),
    isTerminal: process.stderr.isTTY === true && !silent,
    columns: process.stderr.columns ?? 100,
    stop: watchSignals(),
    redact,
    addRedaction: (hide) => void redactions.push(hide),
  }
}

/** The first signal asks for a clean end; the second one ends at once. Both leave everything resumable. */
function watchSignals(): AbortSignal {
  const controller = new AbortController()
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (controller.signal.aborted) process.exit(signalExit(signal))
    process.stderr.write('\nstopping after the current batch; press Ctrl-C again to stop at once\n')
    controller.abort(new HakiriError('CANCELLED', `stopped by ${signal}`))
  }
  process.on('SIGINT', () => onSignal('SIGINT'))
  process.on('SIGTERM', () => onSignal('SIGTERM'))
  return controller.signal
}

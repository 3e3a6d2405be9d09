/** The command line as a grammar, made from the command table; what it cannot read becomes advice. */
import { Command, CommanderError } from 'commander'
import { HakiriError } from '../lib/error.ts'
import { nearest } from '../manifest/words.ts'
import type { CommandInput, CommandSpec, Globals, OptionSpec } from './command.ts'
import { COMMANDS, GROUPS } from './commands.ts'
import { version } from './version.ts'

export type Parsed =
  | { readonly kind: 'command'; readonly spec: CommandSpec; readonly input: CommandInput }
  /** Help or version was asked for. */
  | { readonly kind: 'text'; readonly text: string; readonly json: boolean }
  | { readonly kind: 'failure'; readonly failure: HakiriError; readonly json: boolean }

/** Understood before and after every command. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', summary: 'one JSON object on stdout, logs on stderr' },
  { flags: '-q, --quiet', summary: 'print nothing but errors and the data that was asked for' },
  { flags: '-v, --verbose', summary: 'print what happens inside' },
  { flags: '-c, --config <path>', summary: 'hakiri.toml or its folder', fallback: '.' },
  {
    flags: '--catalog <url>',
    summary: 'use this catalog instead of the one in hakiri.toml (HAKIRI_CATALOG)',
  },
]

type Found = (spec: CommandSpec, input: CommandInput) => void

/** Parsing calls `found` with the command, or writes help, or throws what `parseFailure` reads. */
export function buildProgram(writeOut: (text: string) => void, found: Found): Command {
  const program = new Command('hakiri')
    .description('Pulls data from sources into Parquet tables in a bucket that a whole team reads.')
    .version(version())
    .helpCommand(true)
    .exitOverride()
    .configureOutput({ writeOut, writeErr: () => undefined })
    .configureHelp({ showGlobalOptions: true })
  for (const { flags, summary, fallback } of GLOBAL_OPTIONS)
    program.option(flags, summary, fallback)
  program.addHelpText(
    'after',
    '\nExamples:\n  $ hakiri init my-project\n  $ hakiri run --help\n\nExit codes: 0 done, 1 failed, 2 invalid input, 3 environment, 4 plan --check found changes, 128+n stopped by signal n.\n',
  )
  asGroup(program, () => writeOut(program.helpInformation()))
  for (const spec of COMMANDS) addCommand(program, spec, found)
  return program
}

/** "runs show <id>" becomes command `show` under command `runs`. */
function addCommand(program: Command, spec: CommandSpec, found: Found): void {
  const names = commandName(spec).split(' ')
  const args = spec.usage.split(' ').slice(names.length)
  const command = names.reduce((parent, name) => childOf(parent, name), program)
  const examples = spec.examples.map((line) => `  $ ${line}\n`).join('')
  command
    .description(spec.summary)
    .addHelpText('after', `\nExamples:\n${examples}`)
    .allowUnknownOption(false)
  for (const argument of args) command.argument(argument)
  for (const { flags, summary, fallback } of spec.options ?? [])
    command.option(flags, summary, fallback)
  command.action(() => {
    const isVariadic = args.at(-1)?.endsWith('...]') === true
    const extra = isVariadic ? undefined : command.args[args.length]
    if (extra !== undefined) throw unknownWord(command, extra)
    found(spec, {
      args: command.processedArgs as CommandInput['args'],
      options: command.opts(),
      globals: readGlobals(program),
    })
  })
}

function childOf(parent: Command, name: string): Command {
  const existing = parent.commands.find((command) => command.name() === name)
  if (existing) return existing
  const child = parent.command(name).description(GROUPS[name] ?? '')
  asGroup(child, () => {
    throw new HakiriError('USAGE', `${pathOf(child)} needs one more word`, {
      suggestion: `There is ${namesOf(child).join(', ')}.`,
    })
  })
  return child
}

/** Until it gets an action of its own, a command only holds others. */
function asGroup(command: Command, alone: () => void): void {
  command
    .allowUnknownOption(true)
    .allowExcessArguments(true)
    .action(() => {
      const [first] = command.args
      if (first === undefined) alone()
      else if (first.startsWith('-')) throw unknownOption(command, first)
      else throw unknownWord(command, first)
    })
}

function unknownWord(command: Command, word: string): HakiriError {
  const names = namesOf(command)
  const path = pathOf(command)
  const near = nearest(word, names)
  if (names.length === 0) {
    return new HakiriError('USAGE', `"${word}" is one argument too many for ${path}`, {
      suggestion: `See \`${path} --help\`.`,
    })
  }
  return new HakiriError('USAGE', `unknown command "${path} ${word}"`, {
    suggestion:
      near === undefined
        ? `There is ${names.join(', ')}.`
        : `Did you mean \`${path} ${near}\`? See \`${path} --help\`.`,
  })
}

function unknownOption(command: Command, word: string): HakiriError {
  const flags = GLOBAL_OPTIONS.flatMap((option) => option.flags.match(/--[a-z-]+/g) ?? [])
  const near = nearest(word, [...flags, '--help', '--version'])
  return new HakiriError('USAGE', `unknown option '${word}'`, {
    suggestion: `${near === undefined ? '' : `Did you mean ${near}? `}See \`${pathOf(command)} --help\`.`,
  })
}

function namesOf(command: Command): readonly string[] {
  return command.commands.map((child) => child.name())
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}

/** "runs show <id>" → "runs show". */
export function commandName(spec: CommandSpec): string {
  return spec.usage
    .split(' ')
    .filter((word) => !/^[<[]/.test(word))
    .join(' ')
}

function readGlobals(program: Command): Globals {
  const options = program.opts()
  return {
    json: options['json'] === true,
    quiet: options['quiet'] === true,
    verbose: options['verbose'] === true,
    config: String(options['config']),
    catalog: (options['catalog'] as string | undefined) ?? process.env['HAKIRI_CATALOG'],
  }
}

/** Undefined when parsing ended because help or the version was shown; a bug is thrown on. */
export function parseFailure(error: unknown): HakiriError | undefined {
  if (error instanceof HakiriError) return error
  if (!(error instanceof CommanderError)) throw error
  if (error.exitCode === 0) return undefined
  const [message = '', advice] = error.message.replace(/^error: /, '').split('\n')
  const near = /^\(Did you mean (.*)\?\)$/.exec(advice ?? '')?.[1]
  return new HakiriError('USAGE', message, {
    suggestion: `${near === undefined ? '' : `Did you mean ${near}? `}See \`hakiri --help\`.`,
  })
}

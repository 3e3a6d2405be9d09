/**
 * What a command is: a name, its words, and a function from options to a result. The frame (main.ts)
 * does the rest: --json, --quiet, errors, exit codes, signals.
 */
import type { Json } from '../lib/json.ts'
import type { Logger } from '../lib/ports.ts'

export type OptionSpec = {
  /** Commander's form: "--full-refresh", "--shard <id>". */
  readonly flags: string
  readonly summary: string
  readonly fallback?: string
}

export type CommandSpec = {
  /** "run [pipelines...]", "runs show <id>": words, then arguments. */
  readonly usage: string
  readonly summary: string
  readonly options?: readonly OptionSpec[]
  /** Shown under the help; each works as it is written. */
  readonly examples: readonly string[]
  /** Imports the implementation, so that a command loads only what it needs. */
  readonly load: () => Promise<CommandRun>
}

export type CommandRun = (input: CommandInput, io: CommandIo) => Promise<CommandOutput>

export type CommandInput = {
  readonly args: readonly (string | readonly string[] | undefined)[]
  readonly options: { readonly [name: string]: unknown }
  readonly globals: Globals
}

export type Globals = {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** Path of hakiri.toml or its folder. */
  readonly config: string
  /** Overrides the catalog of the manifest. */
  readonly catalog: string | undefined
  readonly color: boolean
}

export type CommandIo = {
  /** Human output; nothing when --json or --quiet. */
  print(text: string): void
  /** Raw bytes to stdout, whatever the mode (query results). */
  write(text: string): void
  /** Progress, to stderr; nothing when --json or --quiet. */
  progress(text: string): void
  readonly logger: Logger
  readonly isTerminal: boolean
  readonly columns: number
  /** Fires at the first Ctrl-C or SIGTERM; the second one ends the process. */
  readonly stop: AbortSignal
  readonly redact: (text: string) => string
  /** Called with every secret resolver so that later output hides what it resolved. */
  addRedaction(redact: (text: string) => string): void
}

export type CommandOutput = {
  /** For the JSON envelope. */
  readonly result: Json
  /** One sentence: what happened. */
  readonly summary: string
  /** Not 0 when the command worked but has bad news (failed shards 1, changes found 4). */
  readonly exitCode?: number
  /** Human form of the result; `summary` is printed after it. */
  readonly text?: string
  /** The command wrote stdout itself (query output): the frame prints nothing more unless --json. */
  readonly written?: boolean
}

/**
 * What a command is: a name, its words, and a function from options to a result. The frame (frame.ts)
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
  /** What the first Ctrl-C waits for, in words: "after the current batch". */
  readonly drains?: string
  /** Imports the implementation, so that a command loads only what it needs. */
  readonly load: () => Promise<CommandRun>
}

export type CommandRun = (input: CommandInput, io: CommandIo) => Promise<CommandOutput>

export type CommandInput = {
  readonly args: readonly (string | readonly string[] | undefined)[]
  /** Text of options with a value, true for flags. */
  readonly options: { readonly [name: string]: string | boolean | undefined }
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
}

export type TerminalSize = { readonly columns: number; readonly rows: number }

export type Overlay = { hide(): void; show(): void }

export type CommandIo = {
  /** Human output; nothing when --json or --quiet. */
  print(text: string): void
  /** What was asked for, to stdout: silenced by --json (it is in the result), not by --quiet. */
  data(text: string): void
  /** Progress, to stderr; nothing when --json or --quiet. */
  progress(text: string): void
  /** Registers what is drawn on stderr, so that other lines go above it. */
  overlay(shown: Overlay | undefined): void
  readonly logger: Logger
  readonly isTerminal: boolean
  /** Of the terminal, now. */
  readonly size: () => TerminalSize
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
  /** A signal ended the work before it was done: the exit code is that of the signal. */
  readonly stopped?: boolean
}

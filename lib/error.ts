/**
 * The closed set of things that can go wrong while operating Hakiri, and what each one means for a
 * caller: exit code, HTTP status, gRPC status, and whether trying again can help.
 */

/** How a failure behaves over time; decides who retries, and how. */
export type Retry = 'transient' | 'rate' | 'auth' | 'data' | 'fatal'

export type CodeFacts = {
  /** Process exit code: 1 runtime, 2 input or configuration, 3 environment. */
  readonly exit: 1 | 2 | 3
  readonly http: number
  readonly grpc: number
  readonly retry: Retry
  /** One sentence for docs/errors.md: what it means and what to do. */
  readonly meaning: string
}

const facts = <T extends Record<string, CodeFacts>>(table: T): T => table

const input = (meaning: string): CodeFacts => ({
  exit: 2,
  http: 400,
  grpc: 3,
  retry: 'fatal',
  meaning,
})
const environment = (meaning: string, retry: Retry = 'transient'): CodeFacts => ({
  exit: 3,
  http: 503,
  grpc: 14,
  retry,
  meaning,
})
const runtime = (meaning: string, retry: Retry = 'fatal'): CodeFacts => ({
  exit: 1,
  http: 500,
  grpc: 13,
  retry,
  meaning,
})

export const CODES = facts({
  // Input and configuration.
  CONFIG_NOT_FOUND: input('No hakiri.toml was found. Run `hakiri init` or pass --config.'),
  CONFIG_SYNTAX: input('A configuration file is not valid TOML or JSON.'),
  CONFIG_INVALID: input('A key of the configuration has a wrong type or value.'),
  CONFIG_UNKNOWN_KEY: input('The configuration has a key that does not exist.'),
  CONFIG_SECRET: input(
    'A secret stands in the configuration as plain text. Use env:, file: or secret:// instead.',
  ),
  CONFIG_UNAVAILABLE: input('The configuration asks for what this version does not have yet.'),
  SECRET_MISSING: input('A reference (env:, file:, secret://) names something that is not there.'),
  USAGE: input('The command line is not understood.'),
  NOT_FOUND: {
    ...input('The named pipeline, table, run, shard or version does not exist.'),
    http: 404,
    grpc: 5,
  },
  QUERY_INVALID: input('The SQL of a query is not valid.'),
  STATE_INVALID: input('A cursor or state value is not valid JSON or not of the expected shape.'),
  SNAPSHOT_INVALID: input('A snapshot of a coordinator is damaged, cut short or not one at all.'),
  BACKFILL_UNSAFE: input('A backfill into a table without a key would double rows.'),
  RESHARD_REFUSED: input(
    'shard_by changed for a pipeline that has state. Run with --full-refresh.',
  ),
  API_REQUEST: input('The HTTP API does not understand the request.'),
  API_TOKEN: {
    ...input('The HTTP API wants a valid token. Make one with `hakiri token create`.'),
    http: 401,
    grpc: 16,
  },
  API_SCOPE: {
    ...input('The token of a request to the HTTP API does not allow what is asked for.'),
    http: 403,
    grpc: 7,
  },
  API_ORIGIN: {
    ...input('The HTTP API refuses requests that a page of another site has a browser send.'),
    http: 403,
    grpc: 7,
  },
  // Environment.
  SOURCE_UNREACHABLE: environment('The source does not answer.'),
  SOURCE_AUTH: environment('The source refuses the credentials.', 'auth'),
  SOURCE_RATE: environment('The source asks to slow down.', 'rate'),
  CATALOG_UNREACHABLE: environment('The catalog does not answer.'),
  CATALOG_AUTH: environment('The catalog refuses the credentials.', 'auth'),
  CATALOG_REFUSED: environment('The catalog cannot be opened or refuses the request.', 'fatal'),
  CATALOG_VERSION: environment('The catalog was written by a newer Hakiri than this one.', 'fatal'),
  CATALOG_LOCKED: environment('Another process holds the catalog for writing.'),
  STORE_UNREACHABLE: environment('The bucket does not answer.'),
  STORE_AUTH: environment('The bucket refuses the credentials.', 'auth'),
  STORE_REFUSED: environment('The bucket refuses the request.', 'fatal'),
  STORE_NOT_FOUND: environment('The object or bucket does not exist.', 'fatal'),
  COORD_UNREACHABLE: environment('No coordinator answers, or none leads.'),
  COORD_REFUSED: environment('The coordinator refuses the request.', 'fatal'),
  SESSION_LOST: environment(
    'The session with the coordinator ended, and what was held under it is given up. A worker opens the next one by itself.',
  ),
  DISK_FULL: environment('No space is left on a local disk.'),
  DISK_FAILED: environment('A local disk failed to read, write or sync. Check the disk.', 'fatal'),
  DATA_LOCKED: environment('Another process holds the data folder.', 'fatal'),
  DATA_FOREIGN: environment(
    'The data folder belongs to another member or cluster, or to a newer Hakiri.',
    'fatal',
  ),
  WAL_DAMAGED: environment(
    'The log of a coordinator is damaged. Rejoin the cluster with `hakiri ctl member replace`.',
    'fatal',
  ),
  IMAGE_DAMAGED: environment(
    'The state of a coordinator is damaged. Rejoin the cluster with `hakiri ctl member replace`.',
    'fatal',
  ),
  MEMBER_REMOVED: environment(
    'This coordinator is no longer a member of its cluster. To join again, start with an empty data folder and --join.',
    'fatal',
  ),
  MEMBER_LOST_DISK: environment(
    'The cluster knows this coordinator with another disk. Replace it with `hakiri ctl member replace`.',
    'fatal',
  ),
  LISTEN_FAILED: environment(
    'The address to listen on cannot be had: it is in use or not of this host.',
    'fatal',
  ),
  SNAPSHOT_DAMAGED: environment(
    'A snapshot came in damaged from another member; it is sent again.',
  ),
  INSTALL_REFUSED: environment(
    'This host, or this user, cannot take in the service. Nothing was changed.',
    'fatal',
  ),
  INSTALL_FAILED: environment(
    'A step of installing failed. What came before it stands; run the command again.',
    'fatal',
  ),
  API_BUSY: environment('The HTTP API has too much to do at the moment.'),
  ENGINE_UNAVAILABLE: environment('The query engine could not be started.', 'fatal'),
  // Runtime.
  SOURCE_DATA: runtime('The source sent something that cannot be read.', 'data'),
  SOURCE_FATAL: runtime('The source answered with an error that trying again cannot cure.'),
  SOURCE_CHANGED: runtime('The source changed while it was read.', 'transient'),
  ROW_REJECTED: runtime('A row cannot be stored in its table.', 'data'),
  QUARANTINE_FULL: runtime('More rows were rejected than the pipeline allows.', 'data'),
  SCHEMA_FROZEN: runtime('The source changed its schema and the policy is freeze.', 'data'),
  SCHEMA_INVALID: runtime('The schema of a source cannot be stored as a table.', 'data'),
  FENCED: runtime('Another worker took the shard over; this one stopped.'),
  LOG_CONFLICT: runtime('The table log holds a version that Hakiri did not write.'),
  LOG_DAMAGED: runtime('The table log cannot be read.'),
  ENCODE_FAILED: runtime('A batch could not be written as Parquet.', 'data'),
  ENCODER_LOST: runtime(
    'The process that writes Parquet ended in the middle of a job.',
    'transient',
  ),
  MEMORY_EXCEEDED: runtime('A single row or batch does not fit into the memory budget.', 'data'),
  RUNS_WAITING: {
    ...runtime('As many runs of the pipeline wait as may wait.', 'transient'),
    http: 429,
    grpc: 8,
  },
  RUN_FAILED: runtime('One or more shards of a run failed.'),
  INTERNAL: runtime('A bug in Hakiri. Please report it with the text on stderr.'),
  CANCELLED: runtime('The work was stopped before it was done.'),
})

export type Code = keyof typeof CODES

/** Where in the user's input a failure comes from. Lines and columns count from 1. */
export type Place = {
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly key?: string
}

export type ErrorDetails = {
  readonly cause?: unknown
  /** What the user can do next, one imperative sentence. */
  readonly suggestion?: string
  readonly place?: Place
  /** For `rate`: how long the other side asked to wait. */
  readonly retryAfterMs?: number
}

/** An operating condition. The code is stable; the message is for people and free to change. */
export class HakiriError extends Error {
  override readonly name = 'HakiriError'
  readonly code: Code
  readonly suggestion: string | undefined
  readonly place: Place | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.suggestion = details.suggestion
    this.place = details.place
    this.retryAfterMs = details.retryAfterMs
  }

  get retry(): Retry {
    return CODES[this.code].retry
  }
}

/** Gives any caught value a code; a HakiriError passes through unchanged. */
export function toHakiriError(error: unknown, fallback: Code, context?: string): HakiriError {
  if (error instanceof HakiriError) return error
  const text = error instanceof Error ? error.message : String(error)
  return new HakiriError(fallback, context ? `${context}: ${text}` : text, { cause: error })
}

/**
 * Like `toHakiriError` for what the outside world can do to us; anything else is a bug and is thrown on.
 */
export function operatingError(error: unknown, fallback: Code, context?: string): HakiriError {
  const isSystemError =
    error instanceof Error && typeof (error as { code?: unknown }).code === 'string'
  if (error instanceof HakiriError || isSystemError) return toHakiriError(error, fallback, context)
  throw error
}

/** True for a failure that the same call may not meet again. */
export function isRetryable(error: unknown): boolean {
  return error instanceof HakiriError && (error.retry === 'transient' || error.retry === 'rate')
}

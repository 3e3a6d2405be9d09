/** What the inside of Hakiri may know of the world: time, chance and a place to report to. */

export type Clock = {
  /** Wall clock, milliseconds since the epoch. Never used for safety. */
  now(): number
  /** Monotonic milliseconds from an arbitrary start. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when it fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** When something runs that does not run at once. */
export type Scheduler = {
  /** After everything that is ready now, so that what came in meanwhile is handled together. */
  soon(run: () => void): void
  /** Again and again, as far as the process gets to it, until disposed of. */
  every(ms: number, run: () => void): Disposable
}

export type Random = {
  /** Uniform in [0, 1). */
  float(): number
  uuid(): string
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = {
  readonly [key: string]: string | number | bigint | boolean | null | undefined
}

export type Logger = {
  log(level: LogLevel, message: string, fields?: LogFields): void
}

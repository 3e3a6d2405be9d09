/** What every store adapter is given from outside. */
import type { Clock, Logger, Random } from '../../lib/ports.ts'

export type StoreDeps = {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Ends every request and wait of the store; calls then fail with CANCELLED. */
  readonly signal?: AbortSignal
}

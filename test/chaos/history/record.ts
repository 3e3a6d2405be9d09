/**
 * Writes a round down while it happens, in memory and, if wanted, line by line. An operation is noted
 * when it is sent and again when it is answered: one that never is has an unknown outcome. Invariant:
 * each stamp is greater than all before it.
 */
import { CoordError } from '../../../coord/client/client.ts'
import type { Line } from './ndjson.ts'
import type { Hold, Operation, Outcome, Request, Response, Round, RoundKind } from './types.ts'
import type { WatchBatch, WatchPart } from './types.ts'

export type Recorder = {
  readonly kind: RoundKind
  readonly number: number
  /** Sends by `run`; an error that is not the coordinator's is thrown on. */
  call(client: string, request: Request, run: () => Promise<Response>): Promise<Outcome>
  /** Begins a watch; what it brings is given to the returned function. */
  watch(part: Omit<WatchPart, 'batches'>): (batch: DistributiveOmit<WatchBatch, 'atUs'>) => void
  hold(hold: Hold): void
  /** Says that everything was written up to this revision. */
  close(finalRevision: number): void
  /** True when the round should end: memory is bounded by what it may hold. */
  isFull(): boolean
  round(): Round
}

type DistributiveOmit<T, Key extends PropertyKey> = T extends unknown ? Omit<T, Key> : never

export type Stamps = { next(): number }

/** Microseconds of a clock that gives monotonic milliseconds, each later than the one before. */
export function createStamps(nowMs: () => number): Stamps {
  let last = 0
  return { next: () => (last = Math.max(last + 1, Math.round(nowMs() * 1_000))) }
}

export type RecorderOptions = {
  readonly kind: RoundKind
  readonly number: number
  readonly stamps: Stamps
  /** Operations and watch batches that are kept; the round ends at the next look. */
  readonly entriesMax: number
  readonly calm: () => Round['calm']
  readonly save?: (line: Line) => void
}

const PENDING: Outcome = { kind: 'unknown', why: 'it was not answered yet' }

export function createRecorder(options: RecorderOptions): Recorder {
  const { kind, number, stamps } = options
  const operations: { -readonly [Key in keyof Operation]: Operation[Key] }[] = []
  const watches: (Omit<WatchPart, 'batches'> & { readonly batches: WatchBatch[] })[] = []
  const holds: Hold[] = []
  let entries = 0
  let finalRevision: number | undefined
  const save = (line: Line): void => options.save?.(line)
  const place = { kind, number }
  return {
    kind,
    number,
    async call(client, request, run) {
      const id = operations.length
      const sent = { id, client, invokedUs: stamps.next(), request }
      const operation = { ...sent, completedUs: Infinity, outcome: PENDING }
      operations.push(operation)
      entries++
      save({ ...place, entry: 'sent', ...sent })
      operation.outcome = await outcomeOf(run)
      operation.completedUs = stamps.next()
      const { completedUs, outcome } = operation
      save({ ...place, entry: 'answered', id, completedUs, outcome })
      return outcome
    },
    watch(part) {
      const id = watches.length
      const mine = { ...part, batches: [] as WatchBatch[] }
      watches.push(mine)
      save({ ...place, entry: 'watch', id, ...part })
      return (seen) => {
        const batch: WatchBatch = { atUs: stamps.next(), ...seen }
        mine.batches.push(batch)
        entries++
        save({ ...place, entry: 'seen', id, batch })
      }
    },
    hold(hold) {
      holds.push(hold)
      save({ ...place, entry: 'hold', hold })
    },
    close(revision) {
      finalRevision = revision
      save({ ...place, entry: 'closed', finalRevision: revision, calm: options.calm() })
    },
    isFull: () => entries >= options.entriesMax,
    round: () => ({
      ...place,
      operations,
      watches,
      holds,
      calm: options.calm(),
      ...(finalRevision !== undefined && { finalRevision }),
    }),
  }
}

async function outcomeOf(run: () => Promise<Response>): Promise<Outcome> {
  try {
    return { kind: 'ok', response: await run() }
  } catch (error) {
    if (!(error instanceof CoordError)) throw error
    return { kind: error.outcome, why: error.message }
  }
}

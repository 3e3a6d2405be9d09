/** Messages between Hakiri and an encoder process: requests by number, answered in any order. */
import type { Code } from '../../lib/error.ts'
import type { BatchInput, ObservedColumn } from '../plan/batch-plan.ts'
import type { EncodedFile, EncodeJob, EncodeOutcome, RejectRecord, RewriteJob } from './encoder.ts'

export type Call =
  | { readonly kind: 'inspect'; readonly input: BatchInput }
  | { readonly kind: 'encode'; readonly job: EncodeJob }
  | { readonly kind: 'rewrite'; readonly job: RewriteJob }
  | { readonly kind: 'rejects'; readonly rows: readonly RejectRecord[]; readonly outFolder: string }
  | { readonly kind: 'checkpoint'; readonly actionsPath: string; readonly outPath: string }

/** What each call answers. */
export type Answers = {
  inspect: readonly ObservedColumn[]
  encode: EncodeOutcome
  rewrite: EncodedFile
  rejects: EncodedFile
  checkpoint: null
}

export type Request =
  | { readonly id: number; readonly call: Call }
  /** Cancels an earlier request, which is then answered with a failure. */
  | { readonly id: number; readonly cancel: true }

export type Failure = {
  readonly code: Code
  readonly message: string
  readonly suggestion: string | undefined
}

export type Reply = {
  readonly id: number
  /** Peak resident memory of the process so far, bytes. */
  readonly peakBytes: number
  readonly result:
    | { readonly kind: 'done'; readonly value: Answers[keyof Answers] }
    | { readonly kind: 'failed'; readonly failure: Failure }
}

/** How the process is started: the one argument, as JSON. */
export type ChildOptions = {
  /** Resident memory that the process should stay within. */
  readonly memoryBytes: number
  /** Its own folder: spilled data and repaired batches. */
  readonly folder: string
}

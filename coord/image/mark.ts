/** The image's own record: how far the log is inside, and what all the other records add up to. */
import { HakiriError } from '../../lib/error.ts'
import type { Membership, SnapshotMark } from '../raft/types.ts'
import type { Tally } from './tally.ts'

/** Sorts before all others; no other record may have it. */
export const MARK_KEY = new Uint8Array(0)

const VERSION = 1

export type MarkRecord = { readonly mark: SnapshotMark; readonly tally: Tally }

type Stored = {
  readonly version: number
  readonly index: number
  readonly term: number
  readonly membership: {
    readonly voters: readonly string[]
    readonly outgoing: readonly string[]
    readonly learners: readonly string[]
    readonly learnersNext: readonly string[]
    readonly autoLeave: boolean
  }
  readonly tally: Tally
}

export function encodeMark({ mark, tally }: MarkRecord): Uint8Array {
  const { voters, outgoing, learners, learnersNext, autoLeave } = mark.membership
  const stored: Stored = {
    version: VERSION,
    index: mark.index,
    term: mark.term,
    membership: {
      voters: voters.map(String),
      outgoing: outgoing.map(String),
      learners: learners.map(String),
      learnersNext: learnersNext.map(String),
      autoLeave,
    },
    tally,
  }
  return Buffer.from(JSON.stringify(stored))
}

/** Throws IMAGE_DAMAGED, or DATA_FOREIGN for a format that a newer Hakiri wrote. */
export function decodeMark(bytes: Uint8Array, folder: string): MarkRecord {
  const stored = parse(bytes)
  if (stored && stored.version > VERSION)
    throw new HakiriError('DATA_FOREIGN', `${folder}: its format ${stored.version} is newer`, {
      suggestion: 'Start the newer Hakiri that wrote it.',
    })
  if (!stored) throw imageDamaged(folder, 'its mark cannot be read')
  const { index, term, tally } = stored
  return { mark: { index, term, membership: decodeMembership(stored.membership) }, tally }
}

function decodeMembership(stored: Stored['membership']): Membership {
  return {
    voters: stored.voters.map(BigInt),
    outgoing: stored.outgoing.map(BigInt),
    learners: stored.learners.map(BigInt),
    learnersNext: stored.learnersNext.map(BigInt),
    autoLeave: stored.autoLeave,
  }
}

function parse(bytes: Uint8Array): Stored | undefined {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString()) as Partial<Stored> | null
    return typeof value?.version === 'number' && value.membership && value.tally
      ? (value as Stored)
      : undefined
  } catch {
    return undefined
  }
}

/** The state cannot be trusted, and why. */
export function imageDamaged(folder: string, reason: string, cause?: unknown): HakiriError {
  return new HakiriError('IMAGE_DAMAGED', `${folder}: ${reason}`, {
    cause,
    suggestion:
      'Replace this member: run `hakiri ctl member replace` against the others, then start it with an empty data folder.',
  })
}

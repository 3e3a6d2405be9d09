/**
 * A history as lines of JSON, in the order in which things happened, so that a run that was cut short
 * leaves what it saw. Reading gives the rounds back; an operation without an answer is unknown.
 */
import type { Hold, Operation, Outcome, Request, Round, RoundKind } from './types.ts'
import type { WatchBatch, WatchPart } from './types.ts'

export type Line = { readonly kind: RoundKind; readonly number: number } & (
  | {
      readonly entry: 'sent'
      readonly id: number
      readonly client: string
      readonly invokedUs: number
      readonly request: Request
    }
  | {
      readonly entry: 'answered'
      readonly id: number
      readonly completedUs: number
      readonly outcome: Outcome
    }
  | ({ readonly entry: 'watch'; readonly id: number } & Omit<WatchPart, 'batches'>)
  | { readonly entry: 'seen'; readonly id: number; readonly batch: WatchBatch }
  | { readonly entry: 'hold'; readonly hold: Hold }
  | { readonly entry: 'closed'; readonly finalRevision: number; readonly calm: Round['calm'] }
)

type Draft = {
  readonly kind: RoundKind
  readonly number: number
  readonly operations: Map<number, Operation>
  readonly watches: Map<number, WatchPart & { readonly batches: WatchBatch[] }>
  readonly holds: Hold[]
  calm: Round['calm']
  finalRevision?: number
}

/** The lines of rounds that are over, as the recorder would have written them. */
export function* linesOf(rounds: readonly Round[]): Generator<Line, undefined> {
  for (const { kind, number, operations, watches, holds, finalRevision, calm } of rounds) {
    const place = { kind, number }
    for (const { completedUs, outcome, ...sent } of operations) {
      yield { ...place, entry: 'sent', ...sent }
      if (completedUs < Infinity)
        yield { ...place, entry: 'answered', id: sent.id, completedUs, outcome }
    }
    for (const [id, { batches, ...part }] of watches.entries()) {
      yield { ...place, entry: 'watch', id, ...part }
      for (const batch of batches) yield { ...place, entry: 'seen', id, batch }
    }
    for (const hold of holds) yield { ...place, entry: 'hold', hold }
    if (finalRevision !== undefined) yield { ...place, entry: 'closed', finalRevision, calm }
  }
}

/** Rounds from lines of text; throws with the number of a line that is no part of a history. */
export async function readRounds(
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<Round[]> {
  const drafts = new Map<string, Draft>()
  let at = 0
  for await (const text of lines) {
    at++
    if (text.trim() === '') continue
    try {
      take(drafts, JSON.parse(text) as Line)
    } catch (error) {
      throw new Error(`line ${at} is no part of a history: ${String(error)}`, { cause: error })
    }
  }
  return [...drafts.values()].map(({ operations, watches, ...rest }) => ({
    ...rest,
    operations: [...operations.values()],
    watches: [...watches.values()],
  }))
}

function take(drafts: Map<string, Draft>, line: Line): void {
  const { kind, number } = line
  const name = `${kind} ${number}`
  const draft = drafts.get(name) ?? newDraft(kind, number)
  drafts.set(name, draft)
  switch (line.entry) {
    case 'sent': {
      const { id, client, invokedUs, request } = line
      const outcome: Outcome = { kind: 'unknown', why: 'it was not answered' }
      draft.operations.set(id, { id, client, invokedUs, request, completedUs: Infinity, outcome })
      return
    }
    case 'answered': {
      const { id, completedUs, outcome } = line
      draft.operations.set(id, { ...known(draft.operations, id), completedUs, outcome })
      return
    }
    case 'watch': {
      const { watcher, key, end, hasPrev, from } = line
      draft.watches.set(line.id, { watcher, key, end, hasPrev, from, batches: [] })
      return
    }
    case 'seen':
      known(draft.watches, line.id).batches.push(line.batch)
      return
    case 'hold':
      draft.holds.push(line.hold)
      return
    case 'closed':
      draft.finalRevision = line.finalRevision
      draft.calm = line.calm
      return
  }
  throw new TypeError('its entry is of no known kind')
}

function newDraft(kind: RoundKind, number: number): Draft {
  return { kind, number, operations: new Map(), watches: new Map(), holds: [], calm: [] }
}

function known<T>(map: ReadonlyMap<number, T>, id: number): T {
  const one = map.get(id)
  if (!one) throw new TypeError(`it belongs to ${id}, which did not begin`)
  return one
}

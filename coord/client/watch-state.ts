/**
 * A watch across streams as a pure state machine. Invariant (K2): every revision from the first wanted
 * one on is handed out once and in order, or the watch ends with the reason why it cannot be.
 */
import type { Event } from '../../proto/gen/kv.ts'
import type { WatchResponse } from '../../proto/gen/rpc.ts'
import type { WatchBatch } from './client.ts'
import { isMemberRefusal } from './outcome.ts'

export type WatchState = {
  readonly phase: 'opening' | 'open' | 'ended'
  /** Events below this were handed out, or lie before the start; undefined: not known before the first answer. */
  readonly seenBelow: number | undefined
  /** Where the next stream starts; 0 asks for what comes after its creation. */
  readonly resumeAt: number
}

export type WatchInput =
  | { readonly kind: 'answer'; readonly answer: WatchResponse }
  | { readonly kind: 'broken'; readonly status: number; readonly message: string }

export type WatchEffect =
  | { readonly kind: 'created'; readonly revision: number }
  | { readonly kind: 'batch'; readonly batch: WatchBatch }
  /** The stream is of no use any more; open another one from `resumeAt`. */
  | { readonly kind: 'reopen' }
  | { readonly kind: 'end' }
  | { readonly kind: 'fail'; readonly status: number; readonly message: string }

export type WatchStep = { readonly state: WatchState; readonly effects: readonly WatchEffect[] }

/** Statuses that another stream would only meet again, unless it is the member that refuses. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([3, 5, 7, 9, 11, 12, 16])
const REFUSED = 3
const ABORTED = 10

/** A watch from `startRevision`; 0 stands for what comes after its creation. */
export function startWatch(startRevision: number): WatchState {
  return {
    phase: 'opening',
    seenBelow: startRevision > 0 ? startRevision : undefined,
    resumeAt: startRevision,
  }
}

/** Takes an answer of the current stream, or its end. */
export function stepWatch(state: WatchState, input: WatchInput): WatchStep {
  if (state.phase === 'ended') return { state, effects: [] }
  switch (input.kind) {
    case 'answer':
      return onAnswer(state, input.answer)
    case 'broken':
      return FINAL_STATUSES.has(input.status) && !isMemberRefusal(input.message)
        ? fail(state, input.status, input.message)
        : reopen(state, [])
  }
}

function onAnswer(state: WatchState, answer: WatchResponse): WatchStep {
  const created: WatchStep = answer.created ? onCreated(state, answer) : { state, effects: [] }
  if (!answer.canceled) return answer.created ? created : onNews(state, answer)
  if (answer.compactRevision > 0) return onCompacted(created, answer.compactRevision)
  if (answer.created) return fail(state, REFUSED, answer.cancelReason || 'the watch was refused')
  // The server gave the watch up, for want of a leader or of memory: what is missing comes from history.
  return reopen(state, [])
}

function onCreated(state: WatchState, answer: WatchResponse): WatchStep {
  const revision = answer.header?.revision ?? 0
  const from = state.seenBelow ?? revision + 1
  return {
    state: { phase: 'open', seenBelow: from, resumeAt: Math.max(state.resumeAt, from) },
    effects: [{ kind: 'created', revision }],
  }
}

function onCompacted({ state, effects }: WatchStep, compactRevision: number): WatchStep {
  const batch: WatchBatch = { kind: 'compacted', compactRevision }
  return {
    state: { ...state, phase: 'ended' },
    effects: [...effects, { kind: 'batch', batch }, { kind: 'end' }],
  }
}

function onNews(state: WatchState, answer: WatchResponse): WatchStep {
  if (state.phase !== 'open' || state.seenBelow === undefined)
    return fail(state, ABORTED, 'the server sent events of a watch that it had not created')
  const revision = answer.header?.revision ?? 0
  if (answer.events.length === 0) return onProgress(state, revision)
  const { seenBelow } = state
  const events = answer.events.filter((event) => revisionOf(event) >= seenBelow)
  if (events.length === 0) return { state, effects: [] }
  const next = events.reduce((most, event) => Math.max(most, revisionOf(event)), 0) + 1
  const batch: WatchBatch = { kind: 'events', revision, events }
  return {
    state: { ...state, seenBelow: next, resumeAt: Math.max(state.resumeAt, next) },
    effects: [{ kind: 'batch', batch }],
  }
}

/**
 * A progress note moves where the next stream starts, so that it does not ask for what is compacted by
 * then, but not what counts as seen: an event that it overtook is still handed out.
 */
function onProgress(state: WatchState, revision: number): WatchStep {
  return {
    state: { ...state, resumeAt: Math.max(state.resumeAt, revision + 1) },
    effects: [{ kind: 'batch', batch: { kind: 'progress', revision } }],
  }
}

function reopen(state: WatchState, before: readonly WatchEffect[]): WatchStep {
  return { state: { ...state, phase: 'opening' }, effects: [...before, { kind: 'reopen' }] }
}

function fail(state: WatchState, status: number, message: string): WatchStep {
  return { state: { ...state, phase: 'ended' }, effects: [{ kind: 'fail', status, message }] }
}

function revisionOf(event: Event): number {
  return event.kv?.modRevision ?? 0
}

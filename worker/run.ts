/**
 * The states of one shard while a worker runs it, and every event that can meet them. Pure: the driver
 * (shard-runner.ts) feeds events and performs effects.
 *
 *            start            acquired             ended            flushed
 *   queued ─────────► acquiring ──────► reading ─────────► flushing ────────► done
 *      │                  │                │ │ stop            │
 *      │ stop             │ failed         │ └──► flushing ────┴───────────► stopped
 *      ▼                  ▼                ▼ failed (transient, rate)
 *   stopped            backoff ◄───────────┘        any ── fenced ──► fenced
 *                         └── timer ──► acquiring   any ── failed for good ──► failed
 *
 * Invariants: only `reading` and `flushing` may commit; every way out of them that is not a clean end
 * drops what was not committed (S2); attempts count from the last commit, so progress is never punished.
 */
import { unreachable } from '../lib/assert.ts'
import type { HakiriError } from '../lib/error.ts'

export type ShardState =
  | { readonly kind: 'queued' }
  | { readonly kind: 'acquiring'; readonly attempt: number }
  | { readonly kind: 'reading'; readonly attempt: number }
  | { readonly kind: 'flushing'; readonly attempt: number; readonly next: 'done' | 'stopped' }
  | { readonly kind: 'backoff'; readonly attempt: number; readonly error: HakiriError }
  | { readonly kind: 'done' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'fenced' }
  | { readonly kind: 'failed'; readonly error: HakiriError }

export type ShardEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'acquired' }
  | { readonly kind: 'committed' }
  /** The source has no more rows. */
  | { readonly kind: 'ended' }
  /** Everything read is committed. */
  | { readonly kind: 'flushed' }
  | { readonly kind: 'timer' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'fenced' }
  | { readonly kind: 'failed'; readonly error: HakiriError }

export type ShardEffect =
  | { readonly kind: 'acquire' }
  | { readonly kind: 'read' }
  /** Commit what has a cursor; drop the rest when stopping. */
  | { readonly kind: 'flush'; readonly complete: boolean }
  | { readonly kind: 'wait'; readonly attempt: number; readonly error: HakiriError }
  | { readonly kind: 'drop' }

export type Transition = { readonly state: ShardState; readonly effects: readonly ShardEffect[] }

export type RunLimits = { readonly retriesMax: number }

export const INITIAL: ShardState = { kind: 'queued' }

export function isFinal(state: ShardState): boolean {
  switch (state.kind) {
    case 'done':
    case 'stopped':
    case 'fenced':
    case 'failed':
      return true
    case 'queued':
    case 'acquiring':
    case 'reading':
    case 'flushing':
    case 'backoff':
      return false
    default:
      return unreachable(state)
  }
}

/** The next state and what to do about it. An event that means nothing in a state changes nothing. */
export function transition(state: ShardState, event: ShardEvent, limits: RunLimits): Transition {
  if (isFinal(state)) return stay(state)
  switch (event.kind) {
    case 'start':
      return state.kind === 'queued' ? acquire(1) : stay(state)
    case 'acquired':
      return state.kind === 'acquiring'
        ? go({ kind: 'reading', attempt: state.attempt }, { kind: 'read' })
        : stay(state)
    case 'committed':
      return isWorking(state) ? stay({ ...state, attempt: 1 }) : stay(state)
    case 'ended':
      return state.kind === 'reading' ? flush(state.attempt, 'done') : stay(state)
    case 'flushed':
      return state.kind === 'flushing' ? go({ kind: state.next }) : stay(state)
    case 'timer':
      return state.kind === 'backoff' ? acquire(state.attempt + 1) : stay(state)
    case 'stop':
      return onStop(state)
    case 'fenced':
      return go({ kind: 'fenced' }, { kind: 'drop' })
    case 'failed':
      return onFailed(state, event.error, limits)
    default:
      return unreachable(event)
  }
}

type Working = Extract<ShardState, { kind: 'reading' | 'flushing' }>

function isWorking(state: ShardState): state is Working {
  return state.kind === 'reading' || state.kind === 'flushing'
}

function onStop(state: ShardState): Transition {
  if (state.kind === 'reading') return flush(state.attempt, 'stopped')
  if (state.kind === 'flushing') return stay(state)
  return go({ kind: 'stopped' }, { kind: 'drop' })
}

function onFailed(state: ShardState, error: HakiriError, limits: RunLimits): Transition {
  const attempt = 'attempt' in state ? state.attempt : 1
  const curable = error.retry === 'transient' || error.retry === 'rate'
  const stopping = state.kind === 'flushing' && state.next === 'stopped'
  if (curable && !stopping && attempt <= limits.retriesMax) {
    return go(
      { kind: 'backoff', attempt, error },
      { kind: 'drop' },
      { kind: 'wait', attempt, error },
    )
  }
  return go({ kind: 'failed', error }, { kind: 'drop' })
}

function acquire(attempt: number): Transition {
  return go({ kind: 'acquiring', attempt }, { kind: 'acquire' })
}

function flush(attempt: number, next: 'done' | 'stopped'): Transition {
  return go({ kind: 'flushing', attempt, next }, { kind: 'flush', complete: next === 'done' })
}

function stay(state: ShardState): Transition {
  return { state, effects: [] }
}

function go(state: ShardState, ...effects: readonly ShardEffect[]): Transition {
  return { state, effects }
}

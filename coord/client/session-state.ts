/**
 * The life of a session as a pure state machine: what to do with the renewal stream, and when the
 * lease is no longer certain. Invariants: `certainUntil` is never later than the send time of the
 * last acknowledged renewal + TTL − margin, and a session that is lost stays lost (L2, from the
 * holder's side). At most one renewal is under way, so an answer belongs to the one that was sent.
 */
import { assert } from '../../lib/assert.ts'

export type SessionPhase =
  /** A stream is being opened on some endpoint. */
  | { readonly kind: 'opening'; readonly giveUpAt: number }
  /** The stream stands; nothing is due before `renewAt`. */
  | { readonly kind: 'quiet'; readonly renewAt: number }
  /** A renewal was sent and is not answered yet. */
  | { readonly kind: 'asked'; readonly sentAt: number; readonly giveUpAt: number }
  /** The stream broke; the next one is opened after a pause. */
  | { readonly kind: 'resting'; readonly until: number }
  | { readonly kind: 'ended' }

/** All times are monotonic milliseconds. */
export type SessionState = {
  readonly ttlMs: number
  readonly certainUntil: number
  /** When the last acknowledged renewal, or the grant, was sent. */
  readonly confirmedAt: number
  /** Streams that broke one after another. */
  readonly breaks: number
  readonly phase: SessionPhase
}

export type SessionInput =
  | { readonly kind: 'time' }
  | { readonly kind: 'opened' }
  | { readonly kind: 'acknowledged'; readonly ttlSeconds: number }
  /** The stream ended, or none could be opened. */
  | { readonly kind: 'broken' }

export type SessionEffect =
  { readonly kind: 'open' } | { readonly kind: 'renew' } | { readonly kind: 'drop' } | SessionLoss
export type SessionLoss = { readonly kind: 'lost'; readonly why: 'expired' | 'unknown-lease' }

export type SessionStep = {
  readonly state: SessionState
  readonly effects: readonly SessionEffect[]
}

const MARGIN_MIN_MS = 250
const REST_FIRST_MS = 20

/** What is kept back of a TTL for late timers and for clocks that run at different speeds. */
export function marginOf(ttlMs: number): number {
  return Math.max(MARGIN_MIN_MS, ttlMs / 10)
}

/** How long an opening or a renewal may take before another endpoint is asked. */
export function answerLimitOf(ttlMs: number): number {
  return ttlMs / 6
}

/** A session whose lease was granted by a request sent at `sentAt`. */
export function startSession(ttlMs: number, sentAt: number, now: number): SessionStep {
  assert(ttlMs > 0, 'a session needs a TTL')
  const state: SessionState = {
    ttlMs,
    certainUntil: sentAt + ttlMs - marginOf(ttlMs),
    confirmedAt: sentAt,
    breaks: 0,
    phase: { kind: 'ended' },
  }
  return now >= state.certainUntil ? lose(state, 'expired') : open(state, now, [])
}

/** Takes one input at `now`; `chance` in [0, 1) spreads the pauses. */
export function stepSession(
  state: SessionState,
  input: SessionInput,
  now: number,
  chance: number,
): SessionStep {
  if (state.phase.kind === 'ended') return { state, effects: [] }
  // Before anything else: an answer that comes too late does not bring a session back.
  if (now >= state.certainUntil) return lose(state, 'expired')
  switch (input.kind) {
    case 'time':
      return onTime(state, now)
    case 'opened':
      return state.phase.kind === 'opening' ? onOpened(state, now) : { state, effects: [] }
    case 'acknowledged':
      return onAcknowledged(state, input.ttlSeconds, now)
    case 'broken':
      return onBroken(state, now, chance)
  }
}

/** When the machine wants its next `time`; undefined after the end. */
export function wakeAt({ phase, certainUntil }: SessionState): number | undefined {
  switch (phase.kind) {
    case 'opening':
    case 'asked':
      return Math.min(certainUntil, phase.giveUpAt)
    case 'quiet':
      return Math.min(certainUntil, phase.renewAt)
    case 'resting':
      return Math.min(certainUntil, phase.until)
    case 'ended':
      return undefined
  }
}

function onTime(state: SessionState, now: number): SessionStep {
  const { phase } = state
  switch (phase.kind) {
    case 'opening':
    case 'asked':
      return now >= phase.giveUpAt ? open(state, now, [{ kind: 'drop' }]) : stay(state)
    case 'quiet':
      return now >= phase.renewAt ? renew(state, now) : stay(state)
    case 'resting':
      return now >= phase.until ? open(state, now, []) : stay(state)
    case 'ended':
      return stay(state)
  }
}

function onOpened(state: SessionState, now: number): SessionStep {
  const renewAt = state.confirmedAt + state.ttlMs / 3
  if (now >= renewAt) return renew(state, now)
  return { state: { ...state, phase: { kind: 'quiet', renewAt } }, effects: [] }
}

function onAcknowledged(state: SessionState, ttlSeconds: number, now: number): SessionStep {
  if (state.phase.kind !== 'asked') return stay(state)
  if (ttlSeconds <= 0) return lose(state, 'unknown-lease')
  const { sentAt } = state.phase
  const ttlMs = ttlSeconds * 1000
  const renewed: SessionState = {
    ttlMs,
    certainUntil: sentAt + ttlMs - marginOf(ttlMs),
    confirmedAt: sentAt,
    breaks: 0,
    phase: { kind: 'quiet', renewAt: sentAt + ttlMs / 3 },
  }
  return now >= renewed.certainUntil ? lose(renewed, 'expired') : stay(renewed)
}

function onBroken(state: SessionState, now: number, chance: number): SessionStep {
  const { kind } = state.phase
  if (kind === 'resting') return stay(state)
  const ceiling = Math.min(state.ttlMs / 20, REST_FIRST_MS * 2 ** state.breaks)
  const until = now + ceiling / 2 + (ceiling / 2) * chance
  return stay({ ...state, breaks: state.breaks + 1, phase: { kind: 'resting', until } })
}

function open(state: SessionState, now: number, before: readonly SessionEffect[]): SessionStep {
  const phase: SessionPhase = { kind: 'opening', giveUpAt: now + answerLimitOf(state.ttlMs) }
  return { state: { ...state, phase }, effects: [...before, { kind: 'open' }] }
}

function renew(state: SessionState, now: number): SessionStep {
  const giveUpAt = now + answerLimitOf(state.ttlMs)
  const phase: SessionPhase = { kind: 'asked', sentAt: now, giveUpAt }
  return { state: { ...state, phase }, effects: [{ kind: 'renew' }] }
}

function lose(state: SessionState, why: SessionLoss['why']): SessionStep {
  const ended: SessionState = { ...state, phase: { kind: 'ended' } }
  return { state: ended, effects: [{ kind: 'drop' }, { kind: 'lost', why }] }
}

function stay(state: SessionState): SessionStep {
  return { state, effects: [] }
}

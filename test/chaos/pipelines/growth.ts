/**
 * How much of a growing source is there by now. Kept in a file, so that a source which is killed and
 * started again has not lost what it has shown: a count never goes back.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Clock } from '../../../lib/ports.ts'

export type Growth = {
  /** Units of growth so far, whole ones. */
  count(perSecond: number): number
  start(): void
  stop(): void
}

/** Milliseconds of growth before the present stretch, and when that began; null while it stands still. */
type State = { readonly grownMs: number; readonly since: number | null }

/** `clock.now` is taken, for it is one for all processes of a machine. */
export function openGrowth(path: string, clock: Pick<Clock, 'now'>): Growth {
  let state = load(path)
  let newest = 0
  const grownMs = (): number => {
    const running = state.since === null ? 0 : Math.max(0, clock.now() - state.since)
    newest = Math.max(newest, state.grownMs + running)
    return newest
  }
  const save = (next: State): void => {
    state = next
    writeFileSync(`${path}.new`, JSON.stringify(next))
    renameSync(`${path}.new`, path)
  }
  return {
    count: (perSecond) => Math.floor((grownMs() * perSecond) / 1_000),
    start: () => {
      if (state.since === null) save({ grownMs: grownMs(), since: clock.now() })
    },
    stop: () => {
      if (state.since !== null) save({ grownMs: grownMs(), since: null })
    },
  }
}

function load(path: string): State {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as State
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { grownMs: 0, since: null }
    throw error
  }
}

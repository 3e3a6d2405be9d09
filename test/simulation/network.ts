/**
 * The network between members and clients: loss, copies, other orders, delay, clogs, cuts in one
 * direction or both, connections that are open at one end only, and old messages that come again after
 * a cut has healed (N1–N8). A link keeps its order unless the dice say otherwise, as a connection does.
 */
import type { Dice } from './random.ts'
import type { Timeline } from './timeline.ts'

/** Probabilities for each message, and how long it travels. */
export type NetworkFaults = {
  readonly drop: number
  readonly duplicate: number
  readonly reorder: number
  readonly delayMs: number
  readonly jitterMs: number
  /** How likely each remembered message comes once more when a cut heals. */
  readonly replay: number
}

export const CALM_NETWORK: NetworkFaults = {
  drop: 0,
  duplicate: 0,
  reorder: 0,
  delayMs: 1,
  jitterMs: 1,
  replay: 0,
}

export type Network<T> = {
  send(from: number, to: number, lane: string, payload: T): void
  /** Nothing gets from one to the other until healed. */
  cut(from: number, to: number): void
  /** Nothing arrives for a while; then everything does, in order. */
  clog(from: number, to: number, ms: number): void
  isCut(from: number, to: number): boolean
  /** Ends all cuts; what was remembered may be played again. */
  heal(): void
  setFaults(faults: NetworkFaults): void
  readonly counts: { sent: number; dropped: number; duplicated: number; replayed: number }
}

const REMEMBERED_MAX = 64
/** Between clients and members: a connection, so nothing comes twice. */
export const CLIENT_LANE = 'client'

type Letter<T> = {
  readonly from: number
  readonly to: number
  readonly lane: string
  readonly payload: T
}

export function createNetwork<T>(
  timeline: Timeline,
  dice: Dice,
  deliver: (from: number, to: number, payload: T) => void,
): Network<T> {
  let faults = CALM_NETWORK
  const cuts = new Set<string>()
  const cloggedUntil = new Map<string, number>()
  const lastArrival = new Map<string, number>()
  const remembered: Letter<T>[] = []
  const counts = { sent: 0, dropped: 0, duplicated: 0, replayed: 0 }
  const path = (from: number, to: number): string => `${from}>${to}`

  function post({ from, to, lane, payload }: Letter<T>): void {
    const link = path(from, to)
    const queue = `${link}/${lane}`
    const start = Math.max(timeline.now(), cloggedUntil.get(link) ?? 0)
    const travel = faults.delayMs + dice.exponential(faults.jitterMs)
    let arrival = start + travel
    if (dice.chance(faults.reorder)) arrival += dice.exponential(faults.jitterMs * 10)
    else {
      arrival = Math.max(arrival, lastArrival.get(queue) ?? 0)
      lastArrival.set(queue, arrival)
    }
    timeline.after(arrival - timeline.now(), () => {
      if (cuts.has(link)) counts.dropped++
      else deliver(from, to, payload)
    })
  }

  function remember(letter: Letter<T>): void {
    if (faults.replay === 0 || letter.lane === CLIENT_LANE) return
    if (remembered.length < REMEMBERED_MAX) remembered.push(letter)
    else remembered[dice.int(REMEMBERED_MAX)] = letter
  }

  return {
    counts,
    send(from, to, lane, payload) {
      counts.sent++
      const letter = { from, to, lane, payload }
      remember(letter)
      if (cuts.has(path(from, to)) || dice.chance(faults.drop)) {
        counts.dropped++
        return
      }
      post(letter)
      if (lane !== CLIENT_LANE && dice.chance(faults.duplicate)) {
        counts.duplicated++
        post(letter)
      }
    },
    cut: (from, to) => void cuts.add(path(from, to)),
    clog: (from, to, ms) => void cloggedUntil.set(path(from, to), timeline.now() + ms),
    isCut: (from, to) => cuts.has(path(from, to)),
    heal() {
      cuts.clear()
      cloggedUntil.clear()
      for (const letter of remembered)
        if (dice.chance(faults.replay)) {
          counts.replayed++
          post(letter)
        }
    },
    setFaults: (next) => void (faults = next),
  }
}

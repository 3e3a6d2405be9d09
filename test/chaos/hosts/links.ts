/** What several faults of one direction come to, and the words in which scenarios speak of many links. */
import type { LinkFault } from './lab.ts'

/** Everything that is wrong with one direction. */
export type LinkState = {
  readonly isCut: boolean
  readonly delayMs: number
  readonly jitterMs: number
  readonly lossPercent: number
  readonly duplicatePercent: number
  readonly reorderPercent: number
  /** Undefined: as fast as it can. */
  readonly kbitPerS: number | undefined
}

export const SOUND: LinkState = {
  isCut: false,
  delayMs: 0,
  jitterMs: 0,
  lossPercent: 0,
  duplicatePercent: 0,
  reorderPercent: 0,
  kbitPerS: undefined,
}

/** Times add up, chances are independent of each other, the slowest rate counts. */
export function addFault(state: LinkState, fault: LinkFault): LinkState {
  const either = (one: number, other = 0): number => 100 - ((100 - one) * (100 - other)) / 100
  const rates = [state.kbitPerS, fault.kbitPerS].filter((rate) => rate !== undefined)
  return {
    isCut: state.isCut || fault.isCut === true,
    delayMs: state.delayMs + (fault.delayMs ?? 0),
    jitterMs: state.jitterMs + (fault.jitterMs ?? 0),
    lossPercent: either(state.lossPercent, fault.lossPercent),
    duplicatePercent: either(state.duplicatePercent, fault.duplicatePercent),
    reorderPercent: either(state.reorderPercent, fault.reorderPercent),
    kbitPerS: rates.length === 0 ? undefined : Math.min(...rates),
  }
}

/** The state of each direction that is not sound, by `from` and then `to`. */
export function linkStates(
  faults: readonly LinkFault[],
): ReadonlyMap<string, ReadonlyMap<string, LinkState>> {
  const states = new Map<string, Map<string, LinkState>>()
  for (const fault of faults) {
    const row = states.get(fault.from) ?? new Map<string, LinkState>()
    states.set(fault.from, row.set(fault.to, addFault(row.get(fault.to) ?? SOUND, fault)))
  }
  return states
}

/** One fault for everything that hosts of `from` send to hosts of `to`. */
export function oneWay(
  from: readonly string[],
  to: readonly string[],
  what: Omit<LinkFault, 'from' | 'to'>,
): readonly LinkFault[] {
  return from.flatMap((a) => to.filter((b) => b !== a).map((b) => ({ from: a, to: b, ...what })))
}

/** One fault in both directions between hosts of `one` and hosts of `other`. */
export function bothWays(
  one: readonly string[],
  other: readonly string[],
  what: Omit<LinkFault, 'from' | 'to'>,
): readonly LinkFault[] {
  return [...oneWay(one, other, what), ...oneWay(other, one, what)]
}

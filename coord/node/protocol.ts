/**
 * Which versions of the protocol between members a program speaks, and which the cluster has come to.
 * Two members speak while their ranges meet. The level is part of the state: it rises, by a command of
 * the leader, once every member has shown that it speaks more, and never falls. What a version brings
 * (commands, questions, fields that change an effect) is used only at its level, so that nobody ever has
 * to apply what it cannot read; and a member that speaks less than the level is not let in.
 */

export type ProtocolRange = { readonly min: number; readonly max: number }

/** 1: the first. 2: levels, and a member that takes the place of another in one change. */
export const PROTOCOLS: ProtocolRange = { min: 1, max: 2 }

/** Where a cluster begins, whoever forms it. */
export const FIRST_LEVEL = 1
/** From this level on a learner may take the place of a voter. */
export const REPLACE_LEVEL = 2

/** The version that both speak best; undefined when there is none. */
export function commonProtocol(one: ProtocolRange, other: ProtocolRange): number | undefined {
  const most = Math.min(one.max, other.max)
  return most >= Math.max(one.min, other.min) ? most : undefined
}

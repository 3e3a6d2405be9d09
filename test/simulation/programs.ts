/**
 * The programs that members run (M3): the one of this tree, one that speaks only what came before it, and
 * one of the future, which speaks more and says things in between that nobody knows yet.
 */
import { PROTOCOLS } from '../../coord/node/protocol.ts'
import type { ProtocolRange } from '../../coord/node/protocol.ts'
import type { Dice } from './random.ts'

export type Program = ProtocolRange

const OLDER: Program = { min: 1, max: PROTOCOLS.max - 1 }
const NEWER: Program = { min: 1, max: PROTOCOLS.max + 1 }
/** From the oldest to the newest. */
const LADDER: readonly Program[] = [OLDER, PROTOCOLS, NEWER]

export function drawProgram(isMixed: boolean, dice: Dice): Program {
  return isMixed ? dice.pick(LADDER) : PROTOCOLS
}

/** The one after it, or the same. */
export function newerThan(program: Program): Program {
  return LADDER.find(({ max }) => max > program.max) ?? program
}

/** The one before it, or the same. */
export function olderThan(program: Program): Program {
  return LADDER.findLast(({ max }) => max < program.max) ?? program
}

/** The oldest that an operator could start at this level. */
export function programFor(level: number, program: Program): Program {
  return level <= program.max ? program : LADDER.find(({ max }) => max >= level)!
}

export const isOfTheFuture = ({ max }: Program): boolean => max > PROTOCOLS.max
/** Whether it was made before a learner could take the place of a voter. */
export const isOfThePast = ({ max }: Program): boolean => max < PROTOCOLS.max

/** A promise that was seen broken. The rule is the id of the invariant, as the design page lists them. */

export type Rule =
  | 'R1'
  | 'R2'
  | 'R3'
  | 'R4'
  | 'R5'
  | 'R6'
  | 'K1'
  | 'K2'
  | 'K3'
  | 'L1'
  | 'L2'
  /** Strict serializability of what clients were told. */
  | 'history'
  /** After healing: a leader, answers, equal states. */
  | 'liveness'
  /** What must be refused was accepted, or the other way round. */
  | 'refusal'

export class Violation extends Error {
  override readonly name = 'Violation'
  readonly rule: Rule
  constructor(rule: Rule, message: string) {
    super(`${rule}: ${message}`)
    this.rule = rule
  }
}

/** Ends the run unless `holds`. The message is made only when needed. */
export function demand(holds: boolean, rule: Rule, message: () => string): asserts holds {
  if (!holds) throw new Violation(rule, message())
}

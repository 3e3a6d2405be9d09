/** What a scenario is, and what it may say. */
import type { Lab } from './lab.ts'

export type Figures = {
  record(name: string, value: number): void
}

export type Scenario = {
  readonly name: string
  readonly claims: string
  /** Starts from and leaves behind a cluster that works, but for `site`, which starts from nothing. */
  run(lab: Lab, figures: Figures): Promise<void>
}

export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

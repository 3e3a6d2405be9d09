/** The loops of the offices that this worker holds: one per unit, started when claimed, ended before release. */
import type { UnitName } from '../../lease/coordination.ts'
import { assert } from '../../lib/assert.ts'

/** A loop of its own, as a steward or a publisher has one. */
export type Office = {
  ring(): void
  run(signal: AbortSignal): Promise<void>
}

export type Offices = {
  take(units: readonly UnitName[]): void
  /** Resolves when their loops have ended. */
  giveUp(units: readonly UnitName[]): Promise<void>
  /** All at once, e.g. when the session is lost. */
  giveUpAll(): Promise<void>
  ring(): void
}

/** `onBug`: a loop ended by itself, which only a bug makes it do. */
export function createOffices(
  open: (unit: UnitName) => Office,
  onBug: (error: unknown) => void,
): Offices {
  type Running = {
    readonly office: Office
    readonly stop: AbortController
    readonly ended: Promise<void>
  }
  const running = new Map<UnitName, Running>()

  function start(unit: UnitName): void {
    assert(!running.has(unit), `${unit} is at work already`)
    const office = open(unit)
    const stop = new AbortController()
    const ended = office.run(stop.signal).catch(onBug)
    running.set(unit, { office, stop, ended })
  }

  async function giveUp(units: readonly UnitName[]): Promise<void> {
    const leaving = units.flatMap((unit) => {
      const found = running.get(unit)
      running.delete(unit)
      return found ? [found] : []
    })
    for (const { stop } of leaving) stop.abort()
    await Promise.all(leaving.map(({ ended }) => ended))
  }

  return {
    take: (units) => units.forEach(start),
    giveUp,
    giveUpAll: () => giveUp([...running.keys()]),
    ring: () => {
      for (const { office } of running.values()) office.ring()
    },
  }
}

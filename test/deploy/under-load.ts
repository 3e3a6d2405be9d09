/** Runs and writes that go on while something happens to the hosts, and how they fared. */
import type { Lab } from './lab.ts'
import { type Load, startLoad } from './load.ts'
import { expect, type Figures } from './scenario.ts'
import { startWriter } from './writer.ts'

export type LoadOptions = {
  /** What happens, as the figure names it. */
  readonly what: string
  /** For how long coordinators may be unavailable for writes at a time; published, not judged, without it. */
  readonly gapMsMax?: number
}

/** Everything is audited afterwards: rows by their source, writes by what was acknowledged. */
export async function underLoad(
  lab: Lab,
  figures: Figures,
  { what, gapMsMax = Infinity }: LoadOptions,
  happen: (load: Load) => Promise<void>,
): Promise<void> {
  await using load = await startLoad(lab)
  await using writer = await startWriter(lab)
  await load.more(1)
  writer.mark()
  await happen(load)
  const { rows } = await load.finish()
  const { written, lost, longestGapMs, longestGapEnd } = await writer.stop()
  const gapS = longestGapMs / 1_000
  figures.record(`${what}: writes unavailable at most, s`, gapS)
  lab.note(
    `${rows} rows, lost 0, doubled 0; ${written} writes, lost ${lost}, longest gap ${gapS.toFixed(2)} s, until ${longestGapEnd}`,
  )
  expect(lost === 0, `${lost} acknowledged writes of ${written} are gone`)
  expect(longestGapMs <= gapMsMax, `writes were unavailable for ${gapS.toFixed(2)} s at a time`)
}

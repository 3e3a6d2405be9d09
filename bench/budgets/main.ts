/**
 * `npm run budgets [-- coord core full]`: what each artifact in dist/ takes, compressed, in memory and to
 * start, beside what it may take; ends with 1 when one takes more. The artifacts are those that ship, of this
 * clone as it is now; their processes run as the systemd units run them, and each figure of memory is the
 * worst that was seen. What only waits waits at once: about three minutes. Adds a line to
 * bench/results/budgets.ndjson.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../../deploy/package/bundle.ts'
import { type Profile, PROFILES } from '../../deploy/package/profiles.ts'
import { isCurrent } from '../../deploy/package/stamp.ts'
import { closingLine } from '../../test/support/tap.ts'
import { log, machineFacts, readWords } from '../report.ts'
import { measureCoord, measureWorker, type IdleMemory } from './idle.ts'
import { type BudgetRow, figuresOf, judge, table } from './judge.ts'
import { type StartUp, startUpOf } from './start-up.ts'
import { addToTrend, lastFigures } from './trend.ts'

/** DESIGN: profiles and budgets. MB of 10^6 bytes. */
const BUDGETS: Readonly<Record<Profile, { readonly size: number; readonly rss: number }>> = {
  coord: { size: 50, rss: 50 },
  core: { size: 50, rss: 60 },
  full: { size: 150, rss: 180 },
}
const START_UP_MS = 150
const DIST = join(ROOT, 'dist')
const TARGET = `linux-${process.arch}`

const nameOf = (profile: Profile): string => `hakiri-${profile}-${TARGET}`

async function main(profiles: readonly Profile[]): Promise<number> {
  const names = profiles.flatMap((profile) => [nameOf(profile), `${nameOf(profile)}.tar.zst`])
  if (!(await isCurrent(DIST, names))) {
    log('✗ dist/ does not hold what this clone builds now, with archives: npm run package')
    return close(0, 1)
  }
  const judged = judge(await measureAll(profiles))
  console.log(table(judged, await lastFigures(TARGET)))
  await addToTrend({
    date: new Date().toISOString(),
    target: TARGET,
    machine: machineFacts(),
    figures: figuresOf(judged),
  })
  const over = judged.filter(({ isOver }) => isOver)
  for (const { profile, what } of over) log(`✗ ${profile}: ${what} is over its budget`)
  return close(judged.length - over.length, over.length)
}

async function measureAll(profiles: readonly Profile[]): Promise<readonly BudgetRow[]> {
  const started: StartUp[] = []
  for (const profile of profiles) {
    const startUp = await startUpOf(join(DIST, nameOf(profile)))
    started.push(startUp)
    // No bar: on a busy machine it says how busy it is.
    log(`${profile}: --version took ${Math.round(startUp.wallMs)} ms by the clock, at best`)
  }
  const memories = await Promise.all(profiles.map(memoryOf))
  const archives = await Promise.all(
    profiles.map((profile) => stat(join(DIST, `${nameOf(profile)}.tar.zst`))),
  )
  return profiles.flatMap((profile, n): readonly BudgetRow[] => {
    const { size, rss } = BUDGETS[profile]
    const row = (what: string, is: number | undefined, may: number): BudgetRow => ({
      profile,
      what,
      is: is ?? Number.NaN,
      may,
    })
    return [
      row('compressed, MB', (archives[n]?.size ?? Number.NaN) / 1e6, size),
      row('resident after a minute idle, MB', memories[n]?.afterStart, rss),
      row('resident a minute after work, MB', memories[n]?.afterWork, rss),
      row('--version, ms of processor', started[n]?.cpuMs, START_UP_MS),
    ]
  })
}

function memoryOf(profile: Profile): Promise<IdleMemory> {
  const path = join(DIST, nameOf(profile))
  return profile === 'coord' ? measureCoord(path) : measureWorker(path)
}

function close(passed: number, failed: number): number {
  console.log(closingLine({ passed, failed, skipped: 0 }))
  return failed > 0 ? 1 : 0
}

const { wants } = readWords(process.argv.slice(2))
process.exitCode = await main(PROFILES.filter(wants))

/**
 * `npm run budgets [-- coord core full] [--target=…]`: what each artifact in dist/ takes, compressed and in
 * memory, beside what it may take; ends with 1 when one takes more. The artifacts are those that ship, their
 * processes run as the systemd units run them, and each figure is the worst that was seen. Everything is
 * measured at once, in about three minutes; writes bench/results/<date>-budgets.json.
 */
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { log, machineFacts, readWords, writeReport } from '../report.ts'
import { type BudgetRow, judge, table } from './judge.ts'
import { measureCoord, measureWorker, type IdleMemory } from './idle.ts'
import { startUpMs } from './start-up.ts'

const PROFILES = ['coord', 'core', 'full'] as const
type Profile = (typeof PROFILES)[number]

/** DESIGN: profiles and budgets. MB of 10^6 bytes. */
const BUDGETS: Readonly<Record<Profile, { readonly size: number; readonly rss: number }>> = {
  coord: { size: 50, rss: 50 },
  core: { size: 50, rss: 60 },
  full: { size: 150, rss: 180 },
}
const START_UP_MS = 150

const { wants } = readWords(process.argv.slice(2))
const profiles = PROFILES.filter(wants)
const pathOf = (profile: Profile): string =>
  fileURLToPath(new URL(`../../dist/hakiri-${profile}-linux-${process.arch}`, import.meta.url))

const started: { readonly [profile: string]: number } = Object.fromEntries(
  await Promise.all(
    profiles.map(async (profile) => [profile, await startUpMs(pathOf(profile))] as const),
  ),
)
const memories = await Promise.all(
  profiles.map(async (profile): Promise<readonly [Profile, IdleMemory]> => {
    const path = pathOf(profile)
    return [profile, await (profile === 'coord' ? measureCoord(path) : measureWorker(path))]
  }),
)
const rows: BudgetRow[] = []
for (const [profile, memory] of memories) {
  const { size, rss } = BUDGETS[profile]
  const archive = await sizeMb(`${pathOf(profile)}.tar.zst`)
  rows.push({ profile, what: 'compressed, MB', is: archive, may: size })
  rows.push({ profile, what: 'resident after a minute idle, MB', is: memory.afterStart, may: rss })
  rows.push({ profile, what: 'resident a minute after work, MB', is: memory.afterWork, may: rss })
  rows.push({
    profile,
    what: '--version, ms of processor',
    is: started[profile] ?? 0,
    may: START_UP_MS,
  })
}
const judged = judge(rows)
console.log(table(judged))
await writeReport('budgets', {
  machine: machineFacts(),
  date: new Date().toISOString(),
  rows: judged,
  memories: Object.fromEntries(memories),
})
const over = judged.filter(({ isOver }) => isOver)
for (const { profile, what } of over) log(`✗ ${profile}: ${what} is over its budget`)
console.log(`${judged.length - over.length} passed, ${over.length} failed`)
process.exitCode = over.length > 0 ? 1 : 0

/** What is not there is over every budget. */
async function sizeMb(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  return found ? found.size / 1e6 : Number.NaN
}

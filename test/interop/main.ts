/**
 * `npm run test:interop [TABLE…]`: foreign Delta readers must see what the independent reader sees, in
 * the tables given as folders or else in freshly written ones. Without Python or its packages it says
 * so and counts as skipped; any difference is a failure.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { auditDelta } from '../support/delta-lint.ts'
import { buildGoodTable } from '../support/delta-fixture.ts'
import { closingLine } from '../support/tap.ts'
import { installReaders, readWith } from './python.ts'
import type { ForeignSummary } from './python.ts'
import { buildSampleTables } from './sample-tables.ts'
import { differences, summarise } from './summary.ts'
import type { TableSummary } from './summary.ts'

const PROBLEMS_SHOWN_MAX = 20
const tally = { passed: 0, failed: 0, skipped: 0 }

function report(what: string, problems: readonly string[]): void {
  tally[problems.length === 0 ? 'passed' : 'failed']++
  console.log(`${problems.length === 0 ? '✓' : '✗'} ${what}`)
  for (const problem of problems.slice(0, PROBLEMS_SHOWN_MAX)) console.log(`    ${problem}`)
  const hidden = problems.length - PROBLEMS_SHOWN_MAX
  if (hidden > 0) console.log(`    and ${hidden} more`)
}

async function tablesToRead(workFolder: string): Promise<string[]> {
  const given = process.argv.slice(2).map((folder) => resolve(folder))
  if (given.length > 0) return given
  const handmade = join(workFolder, 'handmade')
  await buildGoodTable(handmade)
  return [handmade, ...(await buildSampleTables(join(workFolder, 'project')))]
}

async function main(workFolder: string): Promise<void> {
  const readers = await installReaders(workFolder)
  if ('reason' in readers) {
    tally.skipped++
    console.log(`the comparison with foreign readers was not run: ${readers.reason}`)
    return
  }
  const ours = new Map<string, TableSummary>()
  for (const folder of await tablesToRead(workFolder)) {
    report(`${basename(folder)}: protocol`, (await auditDelta(folder)).problems)
    ours.set(folder, await summarise(folder))
  }
  const summaries = await readWith(readers.python, [...ours.keys()])
  for (const theirs of summaries) compare(ours, theirs)
  for (const folder of ours.keys())
    if (!summaries.some((theirs) => theirs.folder === folder))
      report(basename(folder), ['no foreign reader said anything about it'])
}

function compare(ours: ReadonlyMap<string, TableSummary>, theirs: ForeignSummary): void {
  const mine = ours.get(theirs.folder)
  const problems =
    theirs.error !== undefined
      ? [theirs.error]
      : mine === undefined
        ? ['is not a table that was asked for']
        : differences(mine, theirs)
  const size = `${theirs.rows ?? 0} rows, version ${theirs.version ?? '?'}`
  report(`${basename(theirs.folder)}: ${theirs.reader} (${size})`, problems)
}

const workFolder = await mkdtemp(join(tmpdir(), 'interop-'))
try {
  await main(workFolder)
} catch (error) {
  report('the comparison could not be finished', [String(error)])
} finally {
  await rm(workFolder, { recursive: true, force: true })
}
console.log(closingLine(tally))
process.exitCode = tally.failed > 0 ? 1 : 0

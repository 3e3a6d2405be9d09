/**
 * `npm run test:deploy [-- SCENARIO…]`: real systemd hosts, provisioned with the playbooks, hurt, and audited
 * row by row. All scenarios unless some are named, which start from a cluster that was set up once. The last
 * line is `N passed, N failed`; figures go to bench/results.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run as runProgram } from './shell.ts'
import { isCurrent } from '../../deploy/package/stamp.ts'
import { closingLine } from '../support/tap.ts'
import { type Lab, openLab } from './lab.ts'
import { whyNoHosts } from './needs.ts'
import { isInside, runInside, stopSignal } from './sandbox.ts'
import type { Scenario } from './scenario.ts'
import { addWorker, replaceCoord, rotateCerts } from './scenarios/changes.ts'
import { disk, fault, freeze, reboot } from './scenarios/faults.ts'
import { restore } from './scenarios/restore.ts'
import { drift, setUp, site } from './scenarios/site.ts'
import { upgrade } from './scenarios/upgrade.ts'

/** In the order in which they run; the last one leaves the first hosts behind. */
const SCENARIOS: readonly Scenario[] = [
  site,
  drift,
  fault,
  freeze,
  disk,
  reboot,
  addWorker,
  replaceCoord,
  rotateCerts,
  upgrade,
  restore,
]
/** What `site` begins with, for the others. */
const SET_UP: Scenario = {
  name: 'set-up',
  claims: 'site.yml makes a cluster of bare hosts',
  run: setUp,
}
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ARTIFACT = join(ROOT, 'dist/hakiri-full-linux-x64')
/** Nothing takes longer; what does hangs. */
const SCENARIO_MS_MAX = 1_800_000

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => SCENARIOS.every((each) => each.name !== name))
  if (unknown.length > 0) {
    console.error(
      `no such scenario: ${unknown.join(', ')}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`,
    )
    return 2
  }
  const why = whyNoHosts()
  if (why !== undefined) {
    console.error(`✗ ${why}\n`)
    console.log(closingLine({ passed: 0, failed: 1, skipped: 0 }))
    return 1
  }
  if (!isInside()) return runInside([fileURLToPath(import.meta.url), ...names])
  const chosen = SCENARIOS.filter(({ name }) => names.length === 0 || names.includes(name))
  return runScenarios(chosen.includes(site) ? chosen : [SET_UP, ...chosen], stopSignal())
}

async function runScenarios(chosen: readonly Scenario[], stop: AbortSignal): Promise<number> {
  await ensureArtifact()
  const figures = new Map<string, number>()
  const tally = { passed: 0, failed: 0, skipped: 0 }
  const lab = await openLab(ARTIFACT, stop)
  for (const scenario of chosen) {
    if (tally.failed > 0) {
      // The hosts are not what the next one starts from.
      console.log(`✗ ${scenario.name}: not run, since a scenario before it failed`)
      tally.failed++
      continue
    }
    tally[await runOne(scenario, lab, figures, stop)]++
    await keepLogs(lab)
  }
  for (const [name, value] of figures) console.log(`  ${name}: ${value.toFixed(1)}`)
  await writeFigures(chosen, figures, tally)
  console.log(closingLine(tally))
  return tally.failed > 0 ? 1 : 0
}

async function runOne(
  scenario: Scenario,
  lab: Lab,
  figures: Map<string, number>,
  stop: AbortSignal,
): Promise<'passed' | 'failed'> {
  const started = performance.now()
  const record = (name: string, value: number): void => void figures.set(name, value)
  console.log(`— ${scenario.name}: ${scenario.claims}`)
  try {
    await Promise.race([scenario.run(lab, { record }), hangs(stop)])
    console.log(`✓ ${scenario.name} (${seconds(started)} s)`)
    return 'passed'
  } catch (error) {
    console.log(
      `✗ ${scenario.name} (${seconds(started)} s)\n${String(error instanceof Error ? error.stack : error)}`,
    )
    await tellStory(lab)
    return 'failed'
  }
}

function hangs(stop: AbortSignal): Promise<never> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(SCENARIO_MS_MAX)])
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}

async function tellStory(lab: Lab): Promise<void> {
  for (const name of Object.values(lab.members).flat())
    console.log(
      await lab
        .host(name)
        .story()
        .catch(() => `── ${name} does not exist`),
    )
}

async function keepLogs(lab: Lab): Promise<void> {
  const kept = process.env['HAKIRI_DEPLOY_LOGS']
  if (kept === undefined) return
  await mkdir(kept, { recursive: true })
  for (const file of await readdir(lab.folder))
    if (file.endsWith('.log')) await copyFile(join(lab.folder, file), join(kept, file))
  for (const name of await readdir(join(lab.folder, 'hosts')))
    if (name.endsWith('.log')) await copyFile(join(lab.folder, 'hosts', name), join(kept, name))
}

/** The hosts get what operators get: of this clone as it is now. */
async function ensureArtifact(): Promise<void> {
  if (existsSync(ARTIFACT) && process.env['HAKIRI_DEPLOY_ARTIFACT'] === 'keep') return
  if (await isCurrent(dirname(ARTIFACT), [basename(ARTIFACT)])) return
  await runProgram(
    process.execPath,
    ['deploy/package/main.ts', '--profile=full', '--target=linux-x64', '--no-archive'],
    { cwd: ROOT, timeoutMs: 300_000 },
  )
}

async function writeFigures(
  chosen: readonly Scenario[],
  figures: ReadonlyMap<string, number>,
  tally: object,
): Promise<void> {
  const at = new Date().toISOString()
  const result = {
    at,
    scenarios: chosen.map(({ name }) => name),
    ...tally,
    figures: Object.fromEntries(
      [...figures].map(([name, value]) => [name, Number(value.toFixed(2))]),
    ),
  }
  const file = join(ROOT, 'bench/results', `${at.slice(0, 16).replace(':', '')}-deploy.json`)
  await writeFile(file, `${JSON.stringify(result, undefined, 2)}\n`)
}

process.exit(await main(process.argv.slice(2)))

/** From this version to the next, one host at a time, while the cluster works. */
import { copyFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeNextBuild } from '../../support/next-build.ts'
import { expect, type Scenario } from '../scenario.ts'
import { isWhole } from '../health.ts'
import { run } from '../shell.ts'
import { underLoad } from '../under-load.ts'
import type { Lab } from '../lab.ts'

const VERSION = '99.0.0'
/** What coordinators may be unavailable for at a time. */
const GAP_MS_MAX = 2_000
const BUILD_MS = 300_000
const WORKERS = 4

export const upgrade: Scenario = {
  name: 'upgrade',
  claims: 'upgrade.yml brings all hosts to the next version under load, and no run fails',
  async run(lab, figures) {
    await haveWorkers(lab, WORKERS)
    // The next version knows a newer protocol of workers and has one more migration.
    await using next = await makeNextBuild({
      version: VERSION,
      protocol: { oldest: 1, newest: 2 },
      migration: 'alter table run add column of_the_next_version text;',
    })
    const cwd = dirname(next.hakiri)
    await run(
      process.execPath,
      ['deploy/package/main.ts', '--profile=full', '--target=linux-x64', '--no-archive'],
      { cwd, timeoutMs: BUILD_MS },
    )
    await underLoad(lab, figures, { what: 'upgrade', gapMsMax: GAP_MS_MAX }, async (load) => {
      const runs = load.runs()
      lab.artifact = join(lab.folder, `hakiri-${VERSION}`)
      await copyFile(join(cwd, 'dist/hakiri-full-linux-x64'), lab.artifact)
      const play = await lab.play('upgrade.yml')
      figures.record('upgrade.yml under load, s', play.seconds)
      lab.note(
        `${lab.members.coord.length} coordinators, ${lab.members.worker.length} workers; ${load.runs() - runs} runs ended well during it`,
      )
      await isWhole(lab)
      await haveVersion(lab)
    })
  },
}

/** Adds as many as are missing. */
async function haveWorkers(lab: Lab, count: number): Promise<void> {
  const missing = Array.from({ length: count }, (_, index) => `worker${index + 1}`)
    .filter((name) => !lab.members.worker.includes(name))
    .slice(0, Math.max(0, count - lab.members.worker.length))
  if (missing.length === 0) return
  await lab.boot(missing)
  lab.members = { ...lab.members, worker: [...lab.members.worker, ...missing] }
  await lab.play('add-worker.yml', { limit: missing.join(',') })
  await isWhole(lab)
}

/** What runs is what was rolled out, not only what lies there. */
async function haveVersion(lab: Lab): Promise<void> {
  await using catalog = await lab.catalog()
  for (const { name, version, isPresent } of await catalog.workers())
    expect(!isPresent || version === VERSION, `${name} runs ${version}`)
  for (const host of lab.hosts('coord')) {
    const same =
      'p=$(systemctl show --property MainPID --value hakiri-coord); cmp /proc/$p/exe /usr/local/bin/hakiri && hakiri --version'
    const { stdout } = await host.ssh(same)
    expect(stdout.trim() === VERSION, `${host.name} runs ${stdout}`)
  }
}

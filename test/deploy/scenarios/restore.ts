/** The drill: everything is lost but the bucket, the authority and a backup. */
import { join } from 'node:path'
import { startLoad } from '../load.ts'
import { expect, type Scenario } from '../scenario.ts'
import { isWhole } from '../health.ts'
import type { Lab } from '../lab.ts'

const KEY = new TextEncoder().encode('deploy-backup')

export const restore: Scenario = {
  name: 'restore',
  claims: 'backup.yml and restore.yml bring a cluster to fresh hosts, where it carries on',
  async run(lab, figures) {
    await using before = await startLoad(lab)
    await before.more(1)
    await before.finish()
    await putKey(lab)
    const folder = join(lab.folder, 'backup')
    const saved = await lab.play('backup.yml', { extra: { hakiri_backup_folder: folder } })
    figures.record('backup.yml, s', saved.seconds)
    for (const name of Object.values(lab.members).flat()) await lab.host(name).cutPower()
    lab.note('all hosts are gone')
    lab.members = {
      coord: ['coord7', 'coord8', 'coord9'],
      worker: ['worker8', 'worker9'],
      postgres: ['db9'],
    }
    await lab.boot(Object.values(lab.members).flat())
    const restored = await lab.play('restore.yml', { extra: { hakiri_backup_folder: folder } })
    figures.record('restore.yml onto fresh hosts, s', restored.seconds)
    await isWhole(lab)
    expect(await hasKey(lab), 'what the coordinators held is gone')
    await using after = await startLoad(lab)
    await after.more(1)
    const { rows } = await after.finish()
    lab.note(`${rows} rows, lost 0, doubled 0`)
    const again = await lab.play('restore.yml', { extra: { hakiri_backup_folder: folder } }).then(
      () => 'restored over what was there',
      (error: unknown) => String(error),
    )
    expect(again.includes('holds a catalog already'), `a second restore was not refused: ${again}`)
  },
}

async function putKey(lab: Lab): Promise<void> {
  await using client = await lab.client(5_000)
  await client.put({ key: KEY, value: KEY })
}

async function hasKey(lab: Lab): Promise<boolean> {
  await using client = await lab.client(5_000)
  return (await client.range({ key: KEY })).count === 1
}

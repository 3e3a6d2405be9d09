/** Scratch space of one process; what processes that died have left is removed by the next one. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemRandom } from '../lib/system/clock.ts'
import { isProcessAlive } from '../lib/system/process.ts'

/** A fresh folder below `root`, of this process alone. */
export async function freshScratch(root: string): Promise<string> {
  await mkdir(root, { recursive: true })
  for (const name of await readdir(root)) {
    const pid = Number(name.split('-')[0])
    if (!isProcessAlive(pid)) await rm(join(root, name), { recursive: true, force: true })
  }
  const folder = join(root, `${process.pid}-${systemRandom.uuid().slice(0, 8)}`)
  await mkdir(folder)
  return folder
}

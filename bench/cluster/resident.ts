/** What a worker of a cluster keeps resident: a minute after its start, and a minute after a run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { smallManifest } from './many-shards.ts'
import { isOver, mustSucceed, startLab } from './lab.ts'
import { memoryOfTree, type TreeMemory } from './proc.ts'
import { writeShardFiles } from './shard-files.ts'

const QUIET_MS = 60_000
const SHARDS = 2_000

export type ServeResident = {
  readonly afterStart: TreeMemory
  /** Right after a run of many small shards. */
  readonly atRunEnd: TreeMemory
  readonly afterRun: TreeMemory
}

export async function measureServeResident(): Promise<ServeResident> {
  const source = await mkdtemp(join(tmpdir(), 'hakiri-bench-files-'))
  try {
    await writeShardFiles(source, SHARDS)
    await using lab = await startLab()
    await lab.apply(smallManifest(source, join(lab.folder, 'lake')))
    const worker = await lab.addWorker('w1')
    const memory = (): Promise<TreeMemory> => memoryOfTree(worker.pid() ?? 0)
    await delay(QUIET_MS)
    const afterStart = await memory()
    mustSucceed(await lab.untilRun(await lab.start('small'), isOver))
    const atRunEnd = await memory()
    await delay(QUIET_MS)
    return { afterStart, atRunEnd, afterRun: await memory() }
  } finally {
    await rm(source, { recursive: true, force: true })
  }
}

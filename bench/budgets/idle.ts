/**
 * What the processes of an artifact keep resident: a minute after they are up, and a minute after work.
 * Before the start the file is read as a whole, as a copy or a checksum does: the kernel then has it in
 * large pages, which is the worst that can come before a start.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createCoordClient } from '../../coord/client/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { startCoordCluster } from '../../test/support/coord-cluster.ts'
import { startServe } from '../../test/support/serve-process.ts'
import { memoryOfTree } from '../cluster/proc.ts'
import { median } from '../measure.ts'

const run = promisify(execFile)
const QUIET_MS = 60_000
/** Not in step with the processes, which give pages back every two seconds. */
const LOOKS = 27
const LOOK_MS = 370
const REQUESTS = 20_000
const CLIENTS = 64
const KEYS = 1_000
/** What deploy/systemd sets. */
const COORD_ENV = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' }
const WORKER_ENV = { MALLOC_ARENA_MAX: '1' }

export type IdleMemory = {
  /** MB of 10^6 bytes, of a process and all that it started; of several members the largest. */
  readonly afterStart: number
  readonly afterWork: number
}

/**
 * Three members, so that there are heartbeats; 20 000 puts and gets by 64 clients. Each runs a copy of its
 * own, as on a host of its own: what one gives back another does not hold.
 */
export async function measureCoord(program: string): Promise<IdleMemory> {
  await using cleaning = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-budget-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const copies = [1, 2, 3].map((member) => join(folder, `hakiri-${member}`))
  for (const copy of copies) {
    await copyFile(program, copy)
    await readFile(copy)
  }
  const cluster = cleaning.use(
    await startCoordCluster({
      members: 3,
      command: copies.map((copy) => [copy] as const),
      env: COORD_ENV,
    }),
  )
  const largest = async (): Promise<number> =>
    Math.max(...(await Promise.all(cluster.members.map((member) => residentMb(member.pid() ?? 0)))))
  await delay(QUIET_MS)
  const afterStart = await largest()
  await load(cluster.endpoints)
  await delay(QUIET_MS)
  return { afterStart, afterWork: await largest() }
}

async function load(endpoints: readonly string[]): Promise<void> {
  await using client = createCoordClient(
    { endpoints, attemptMs: 60_000, readMs: 60_000 },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
  const value = Buffer.alloc(256, 'v')
  let next = 0
  const work = async (): Promise<void> => {
    while (next < REQUESTS) {
      const key = Buffer.from(`key/${next % KEYS}`)
      if (next++ % 2 === 0) await client.put({ key, value })
      else await client.range({ key })
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, work))
}

/** A worker on its own, with the project that `init` makes; the work is one run of its pipeline. */
export async function measureWorker(program: string): Promise<IdleMemory> {
  await readFile(program)
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-budget-'))
  try {
    await run(program, ['init', 'project'], { cwd: folder })
    await using worker = await startServe({
      name: 'idle',
      folder: join(folder, 'project'),
      args: [],
      command: [program],
      env: WORKER_ENV,
    })
    const resident = (): Promise<number> => residentMb(worker.pid() ?? 0)
    await delay(QUIET_MS)
    const afterStart = await resident()
    const done = worker.until(({ message }) => message === 'a run ended', 'end of the run')
    await startRun(worker.api)
    await done
    await delay(QUIET_MS)
    return { afterStart, afterWork: await resident() }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function startRun(api: string): Promise<void> {
  const answer = await fetch(`${api}/v1/pipelines/orders/runs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'budget' },
    body: '{}',
  })
  if (!answer.ok) throw new Error(`the run was refused: ${answer.status} ${await answer.text()}`)
}

/** Median of ten seconds: what heartbeats touch stays for a moment. */
async function residentMb(pid: number): Promise<number> {
  const looks: number[] = []
  while (looks.length < LOOKS) {
    const { own, children } = await memoryOfTree(pid)
    looks.push([own, ...children].reduce((sum, { rss }) => sum + rss, 0))
    await delay(LOOK_MS)
  }
  return median(looks)
}

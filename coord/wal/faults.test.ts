/** The log as a process of its own, on a disk that fails under it or at its sudden end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { HakiriError } from '../../lib/error.ts'
import { systemClock as clock } from '../../lib/system/clock.ts'
import { SEGMENT_BYTES } from '../../test/conformance/wal-suite.ts'
import {
  buildDiskFaults,
  faultEnvironment,
  type DiskFault,
} from '../../test/support/disk-faults.ts'
import { openWal } from './log.ts'

const shimFolder = await mkdtemp(join(tmpdir(), 'hakiri-faults-'))
const library = await buildDiskFaults(shimFolder)
test.after.always(() => rm(shimFolder, { recursive: true, force: true }))

const WRITER = new URL('../../test/support/wal-writer.ts', import.meta.url).pathname

type Life = {
  readonly lines: readonly string[]
  readonly acknowledged: number
  readonly code: number | null
}

/** Runs the writer until it ends, or until `isEnough` and then SIGKILL. */
async function live(
  folder: string,
  count: number,
  environment: NodeJS.ProcessEnv,
  isEnough: (acknowledged: number) => boolean = () => false,
): Promise<Life> {
  const child = spawn(process.execPath, [WRITER, folder, String(count)], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const lines: string[] = []
  let acknowledged = 0
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (line.startsWith('acknowledged '))
      acknowledged = Math.max(acknowledged, Number(line.slice(13)))
    if (isEnough(acknowledged) && !child.killed) child.kill('SIGKILL')
  }
  const [code] = (await ended) as [number | null]
  return { lines, acknowledged, code }
}

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-wal-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'log')
}

/** Everything that was acknowledged is there, and nothing is missing in between. */
async function holdsAll(
  t: ExecutionContext,
  folder: string,
  { acknowledged }: Life,
): Promise<number> {
  const opened = await openWal({ folder, clock, segmentBytes: SEGMENT_BYTES })
  const indexes = opened?.recovery.entries.map(({ index }) => index) ?? []
  t.true(indexes.length >= acknowledged, `${acknowledged} acknowledged, ${indexes.length} there`)
  t.deepEqual(
    indexes,
    indexes.map((_, nth) => nth + 1),
  )
  await opened?.wal.close()
  return indexes.length
}

test('a process that is killed loses nothing that it acknowledged, and frees its folder', async (t) => {
  const folder = await temporaryFolder(t)
  let acknowledged = 0
  for (let round = 1; round <= 5; round++) {
    const target = acknowledged + 60 * round
    const life = await live(folder, 1e6, process.env, (count) => count >= target)
    t.true(life.acknowledged >= target)
    acknowledged = await holdsAll(t, folder, life)
  }
})

test('a folder that another process holds is refused', async (t) => {
  const folder = await temporaryFolder(t)
  let refusal: Promise<unknown> | undefined
  const life = await live(folder, 1e6, process.env, (acknowledged) => {
    if (acknowledged === 0) return false
    refusal ??= openWal({ folder, clock }).catch((error: unknown) => error)
    return acknowledged > 400
  })
  const refused = await refusal
  t.is(refused instanceof HakiriError && refused.code, 'DATA_LOCKED')
  await holdsAll(t, folder, life)
})

const withFault = library === undefined ? test.skip : test
if (library === undefined)
  process.stderr.write('no gcc: disk faults of real processes are not tried\n')

async function liveWith(folder: string, count: number, fault: DiskFault): Promise<Life> {
  return live(folder, count, faultEnvironment(library ?? '', fault))
}

withFault(
  'a sync that fails once ends the log for good, and nothing acknowledged is lost',
  async (t) => {
    for (const at of [1, 2, 7, 30]) {
      const folder = await temporaryFolder(t)
      const life = await liveWith(folder, 1000, { kind: 'sync-error', path: '.wal', at })
      t.is(life.code, 3)
      t.deepEqual(life.lines.slice(-2), ['late DISK_FAILED', 'failed DISK_FAILED'])
      await holdsAll(t, folder, life)
      const next = await live(folder, 40, process.env)
      t.is(next.code, 0)
      await holdsAll(t, folder, next)
    }
  },
)

withFault('a write that fails does the same', async (t) => {
  const folder = await temporaryFolder(t)
  const life = await liveWith(folder, 1000, { kind: 'write-error', path: '.wal', at: 12 })
  t.deepEqual(life.lines.slice(-2), ['late DISK_FAILED', 'failed DISK_FAILED'])
  t.true(life.acknowledged >= 40)
  await holdsAll(t, folder, life)
})

withFault('a disk that is full says so, whether in a segment or in making one', async (t) => {
  for (const [path, at] of [
    ['.wal', 1500],
    ['.tmp', 2 * SEGMENT_BYTES + 1700],
  ] as const) {
    const folder = await temporaryFolder(t)
    const life = await liveWith(folder, 4000, { kind: 'full', path, at })
    t.is(life.code, 3)
    t.deepEqual(life.lines.slice(-2), ['late DISK_FULL', 'failed DISK_FULL'], path)
    t.true(life.acknowledged > 10)
    await holdsAll(t, folder, life)
    t.is((await live(folder, 200, process.env)).code, 0, 'with space again it goes on')
  }
})

withFault('a write that is torn, with the end of its process, is cut or whole', async (t) => {
  for (const [at, bytes] of [
    [1, 0],
    [2, 1],
    [5, 31],
    [5, 40],
    [9, 100],
    [9, 100_000],
  ] as const) {
    const folder = await temporaryFolder(t)
    const life = await liveWith(folder, 1000, { kind: 'torn', path: '.wal', at, bytes })
    t.is(life.code, 137)
    await holdsAll(t, folder, life)
  }
})

withFault('a slow disk shows in what the log reports', async (t) => {
  const folder = await temporaryFolder(t)
  const life = await liveWith(folder, 12, { kind: 'slow', path: '.wal', at: 2, bytes: 300 })
  t.is(life.code, 0)
  const syncs = life.lines
    .filter((line) => line.startsWith('sync '))
    .map((line) => Number(line.slice(5)))
  t.true(Math.max(...syncs) >= 300, syncs.join(' '))
})

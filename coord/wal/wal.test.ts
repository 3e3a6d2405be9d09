/** The log on its two disks, its group commit, and what it does when a disk fails. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { HakiriError } from '../../lib/error.ts'
import { systemClock as clock } from '../../lib/system/clock.ts'
import {
  IDENTITY,
  SEGMENT_BYTES,
  START,
  contents,
  entries,
  entry,
  markAt,
  walSuite,
} from '../../test/conformance/wal-suite.ts'
import { createMemoryDisk, type MemoryDisk } from '../../test/support/memory-disk.ts'
import { crc32c } from './crc32c.ts'
import { createWal, openWal } from './log.ts'
import { parseSegmentName } from './segment.ts'

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-wal-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

walSuite(test, 'folder', async (t) => {
  const folder = join(await temporaryFolder(t), 'wal')
  const options = { folder, clock, segmentBytes: SEGMENT_BYTES }
  return {
    create: (start) => createWal({ ...options, identity: IDENTITY, start }),
    open: (identity, observer) =>
      openWal({ ...options, ...(identity && { identity }), ...(observer && { observer }) }),
    segments: async () => (await readdir(folder)).filter((name) => parseSegmentName(name)),
  }
})

walSuite(test, 'memory', () => {
  const disk = createMemoryDisk()
  const options = { folder: 'memory', disk, clock, segmentBytes: SEGMENT_BYTES }
  return Promise.resolve({
    create: (start) => createWal({ ...options, identity: IDENTITY, start }),
    open: (identity, observer) =>
      openWal({ ...options, ...(identity && { identity }), ...(observer && { observer }) }),
    segments: async () => (await disk.list()).filter((name) => parseSegmentName(name)),
  })
})

test('the checksum is the one of RFC 3720, whole and in parts', (t) => {
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283)
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa)
  t.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43)
  t.is(crc32c(Uint8Array.from({ length: 32 }, (_, byte) => byte)), 0x46dd794e)
  const bytes = Uint8Array.from({ length: 99 }, (_, nth) => (nth * 37) % 256)
  for (let cut = 0; cut <= bytes.length; cut++)
    t.is(crc32c(bytes.subarray(cut), crc32c(bytes, 0, 0, cut)), crc32c(bytes))
})

// ── On a disk that the test holds ─────────────────────────────────────────────────────────────────

const onMemory = (disk: MemoryDisk) => ({
  folder: 'memory',
  disk,
  clock,
  segmentBytes: SEGMENT_BYTES,
})

async function newLog(disk: MemoryDisk) {
  return createWal({ ...onMemory(disk), identity: IDENTITY, start: START })
}

async function afterCrash(disk: MemoryDisk, isFolderKept = true) {
  const files = disk.crash({ kind: 'nothing' }, isFolderKept)
  const opened = await openWal(onMemory(createMemoryDisk(files)))
  return opened!.recovery
}

test('nothing is acknowledged before its sync has ended (R6)', async (t) => {
  const disk = createMemoryDisk()
  const wal = await newLog(disk)
  const { promise: isReleased, resolve: letGo } = Promise.withResolvers<void>()
  const { promise: isSyncing, resolve: syncing } = Promise.withResolvers<void>()
  disk.gate = (operation) => {
    if (operation !== 'sync') return undefined
    syncing()
    return isReleased
  }
  let isAcknowledged = false
  const appended = wal.append({ entries: [entry(1)] }).then(() => (isAcknowledged = true))
  await isSyncing
  await new Promise((resolve) => setImmediate(resolve))
  t.false(isAcknowledged)
  t.deepEqual((await afterCrash(disk)).entries, [])
  letGo()
  await appended
  t.is((await afterCrash(disk)).entries.length, 1)
})

test('one sync is under way at a time; what waits meanwhile shares the next', async (t) => {
  const disk = createMemoryDisk()
  const wal = await newLog(disk)
  const steps: string[] = []
  const gates: (() => void)[] = []
  const reached: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()]
  disk.gate = (operation) => {
    steps.push(operation)
    if (operation !== 'sync') return undefined
    reached[gates.length]?.resolve()
    return new Promise((resolve) => gates.push(resolve))
  }
  const first = wal.append({ entries: [entry(1)] })
  await reached[0]!.promise
  const others = entries(2, 40).map((each) => wal.append({ entries: [each] }))
  t.deepEqual(steps, ['write', 'sync'])
  gates[0]!()
  await first
  await reached[1]!.promise
  t.deepEqual(steps, ['write', 'sync', 'write', 'sync'])
  gates[1]!()
  await Promise.all(others)
  t.is(steps.length, 4)
})

const failing = (code: string): Error => Object.assign(new Error(`${code}: planted`), { code })

test('a sync or write that fails ends the log: all that waits is refused, nothing is tried again', async (t) => {
  for (const operation of ['sync', 'write'] as const) {
    const disk = createMemoryDisk()
    const wal = await newLog(disk)
    await wal.append({ entries: [entry(1)] })
    let calls = 0
    disk.gate = (asked) => {
      calls++
      if (asked === operation) throw failing('EIO')
    }
    const refused = await Promise.allSettled(
      [2, 3].map((index) => wal.append({ entries: [entry(index)] })),
    )
    for (const each of refused) {
      const reason: unknown = each.status === 'rejected' && each.reason
      t.is(reason instanceof HakiriError && reason.code, 'DISK_FAILED')
    }
    const callsThen = calls
    disk.gate = () => void calls++
    const late = await t.throwsAsync(wal.append({ entries: [entry(2)] }))
    t.is(late instanceof HakiriError && late.code, 'DISK_FAILED')
    await t.throwsAsync(wal.release(markAt(1)), { instanceOf: HakiriError })
    t.is(calls, callsThen, 'the disk is left alone')
    await wal.close()
    t.deepEqual(
      contents(await afterCrash(disk)).entries,
      contents({ ...START, entries: [entry(1)] }).entries,
    )
  }
})

test('a full disk says so once a segment is needed, not while one is only prepared', async (t) => {
  const disk = createMemoryDisk()
  const wal = await newLog(disk)
  let created = 0
  disk.gate = (operation) => {
    if (operation !== 'create') return
    created++
    throw failing('ENOSPC')
  }
  let acknowledged = 0
  const error = await t.throwsAsync(async () => {
    for (const each of entries(1, 500)) {
      await wal.append({ entries: [each] })
      acknowledged = each.index
    }
  })
  t.is(error instanceof HakiriError && error.code, 'DISK_FULL')
  t.is(created, 2, 'once ahead of time, once in earnest')
  t.true(acknowledged > 20)
  t.is((await afterCrash(disk)).entries.length, acknowledged)
})

test('a segment that was prepared is used, and the half-made one of a crash is not', async (t) => {
  const disk = createMemoryDisk()
  const wal = await newLog(disk)
  const created: string[] = []
  disk.gate = (operation, name) => {
    if (operation === 'create') created.push(name)
  }
  for (const each of entries(1, 120)) await wal.append({ entries: [each] })
  t.true(created.length >= 2)
  t.true(created.every((name) => name === 'spare.tmp'))
  const files = new Map(disk.crash({ kind: 'whole' }, true))
  files.set('segment.tmp', new Uint8Array(100).fill(7))
  const next = createMemoryDisk(files)
  const opened = await openWal(onMemory(next))
  t.is(opened?.recovery.entries.length, 120)
  t.deepEqual(
    (await next.list()).filter((name) => name.endsWith('.tmp')),
    [],
  )
})

test('a segment is removed only once its release is durable', async (t) => {
  const disk = createMemoryDisk()
  const wal = await newLog(disk)
  for (const each of entries(1, 200)) await wal.append({ entries: [each] })
  const steps: string[] = []
  disk.gate = (operation) => void steps.push(operation)
  await wal.release(markAt(200))
  t.deepEqual(steps.slice(0, 3), ['write', 'sync', 'remove'])
  t.is(steps.at(-1), 'sync-folder')
  t.deepEqual((await afterCrash(disk, false)).mark, markAt(200))
})

test('a second opening of a folder is refused until the first has ended', async (t) => {
  const folder = await temporaryFolder(t)
  const options = { folder, clock, segmentBytes: SEGMENT_BYTES }
  const wal = await createWal({ ...options, identity: IDENTITY, start: START })
  const error = await t.throwsAsync(openWal(options), { instanceOf: HakiriError })
  t.is(error?.code, 'DATA_LOCKED')
  await wal.close()
  const again = await openWal(options)
  t.truthy(again)
  await again?.wal.close()
})

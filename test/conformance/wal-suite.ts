/**
 * The executable specification of the durable log. Its test file says only how to open one; crashes
 * and damage are told by the place that keeps its bytes.
 */
import type { ExecutionContext, TestFn } from 'ava'
import type { Entry, HardState, SnapshotMark } from '../../coord/raft/types.ts'
import type { OpenedWal } from '../../coord/wal/log.ts'
import type { Wal, WalBatch, WalIdentity, WalObserver, WalRecovery } from '../../coord/wal/wal.ts'
import { HakiriError } from '../../lib/error.ts'

/** A place for one log; it keeps what is durable between openings. */
export type WalPlace = {
  create(start: { readonly mark: SnapshotMark; readonly hardState: HardState }): Promise<Wal>
  open(identity?: WalIdentity, observer?: WalObserver): Promise<OpenedWal | undefined>
  /** Names of the segments on the disk. */
  segments(): Promise<readonly string[]>
}

/** Every place makes its logs for this member, with segments of this size. */
export const IDENTITY: WalIdentity = { clusterId: 0xfedc_ba98_7654_3210n, memberId: 2n ** 63n + 1n }
export const SEGMENT_BYTES = 4096

const NONE = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false }
export const START = {
  mark: { index: 0, term: 0, membership: NONE },
  hardState: { term: 0, vote: 0n, commit: 0 },
}

export const entry = (index: number, term = 1, text = `entry ${index} of ${term}`): Entry => ({
  index,
  term,
  kind: 'command',
  data: Buffer.from(text),
})
export const entries = (from: number, to: number, term = 1): readonly Entry[] =>
  Array.from({ length: to - from + 1 }, (_, nth) => entry(from + nth, term))
export const markAt = (index: number, term = 1): SnapshotMark => ({
  index,
  term,
  membership: { ...NONE, voters: [1n, 2n], learners: [2n ** 64n - 1n] },
})

/** Plain values, so that two recoveries compare by content. */
export function contents({ hardState, mark, entries }: Omit<WalRecovery, 'identity' | 'cutBytes'>) {
  const plain = entries.map(({ data, ...rest }) => ({ ...rest, text: String(Buffer.from(data)) }))
  return { hardState, mark, entries: plain }
}

type Check = (claim: string, body: (t: ExecutionContext, place: WalPlace) => Promise<void>) => void

/** Declares the tests; `open` makes a new, empty place for each. */
export function walSuite(
  test: TestFn,
  name: string,
  open: (t: ExecutionContext) => Promise<WalPlace>,
): void {
  const check: Check = (claim, body) =>
    test(`${name}: ${claim}`, async (t) => body(t, await open(t)))
  openings(check)
  batches(check)
  segments(check)
}

/** Writes the batches to a new log, closes it, and gives what comes back. */
async function roundTrip(place: WalPlace, given: readonly WalBatch[]): Promise<WalRecovery> {
  const wal = await place.create(START)
  for (const batch of given) await wal.append(batch)
  await wal.close()
  return reopen(place)
}

async function reopen(place: WalPlace): Promise<WalRecovery> {
  const opened = await place.open()
  if (!opened) throw new Error('there is no log')
  await opened.wal.close()
  return opened.recovery
}

function openings(check: Check): void {
  check('there is none before it is created', async (t, place) => {
    t.is(await place.open(), undefined)
  })

  check('a new one holds its start and nothing else', async (t, place) => {
    const hardState = { term: 7, vote: 0n, commit: 40 }
    await (await place.create({ mark: markAt(40, 6), hardState })).close()
    const recovery = await reopen(place)
    t.deepEqual(recovery, {
      identity: IDENTITY,
      mark: markAt(40, 6),
      hardState,
      entries: [],
      cutBytes: 0,
    })
  })

  check('none is made where there is one', async (t, place) => {
    await (await place.create(START)).close()
    const error = await t.throwsAsync(place.create(START), { instanceOf: HakiriError })
    t.is(error?.code, 'DATA_FOREIGN')
    t.deepEqual((await reopen(place)).entries, [])
  })

  check("another member's is refused, and named", async (t, place) => {
    await (await place.create(START)).close()
    for (const other of [
      { ...IDENTITY, memberId: 5n },
      { ...IDENTITY, clusterId: 5n },
    ]) {
      const error = await t.throwsAsync(place.open(other), { instanceOf: HakiriError })
      t.is(error?.code, 'DATA_FOREIGN')
      t.regex(error?.message ?? '', /member 8000000000000001 of cluster fedcba9876543210/)
    }
    t.truthy(await place.open(IDENTITY).then((opened) => opened?.wal.close().then(() => true)))
  })

  check('after close nothing is taken', async (t, place) => {
    const wal = await place.create(START)
    await wal.close()
    await wal.close()
    const error = await t.throwsAsync(wal.append({ entries: [entry(1)] }))
    t.is(error instanceof HakiriError && error.code, 'CANCELLED')
  })
}

function batches(check: Check): void {
  check('everything of a batch comes back', async (t, place) => {
    const given: readonly Entry[] = [
      { index: 41, term: 3, kind: 'empty', data: Buffer.alloc(0) },
      { index: 42, term: 3, kind: 'membership', data: Buffer.from([0, 255, 0]) },
      { index: 43, term: 2 ** 53 - 1, kind: 'command', data: Buffer.alloc(700) },
    ]
    const hardState = { term: 2 ** 53 - 1, vote: 2n ** 64n - 1n, commit: 42 }
    const recovery = await roundTrip(place, [{ mark: markAt(40), hardState, entries: given }])
    t.deepEqual(contents(recovery), contents({ mark: markAt(40), hardState, entries: given }))
  })

  check('a batch of a hard state alone, or of nothing, is one', async (t, place) => {
    const hardState = { term: 2, vote: 9n, commit: 0 }
    const recovery = await roundTrip(place, [{ hardState, entries: [] }, { entries: [] }])
    t.deepEqual(recovery.hardState, hardState)
    t.deepEqual(recovery.entries, [])
  })

  check('entries replace from their index on', async (t, place) => {
    const recovery = await roundTrip(place, [
      { entries: entries(1, 9) },
      { entries: entries(4, 5, 2) },
      { entries: entries(6, 6, 3) },
    ])
    const expected = [...entries(1, 3), ...entries(4, 5, 2), ...entries(6, 6, 3)]
    t.deepEqual(contents(recovery), contents({ ...START, entries: expected }))
  })

  check('a mark in a batch begins the log anew', async (t, place) => {
    const recovery = await roundTrip(place, [
      { entries: entries(1, 9) },
      { mark: markAt(100, 4), entries: entries(101, 102, 4) },
    ])
    const expected = {
      mark: markAt(100, 4),
      hardState: START.hardState,
      entries: entries(101, 102, 4),
    }
    t.deepEqual(contents(recovery), contents(expected))
  })

  check('what is appended together is kept in its order, with fewer syncs', async (t, place) => {
    await (await place.create(START)).close()
    const syncs: number[] = []
    const opened = await place.open(IDENTITY, {
      onSync: (durationMs, count, bytes) => {
        t.true(durationMs >= 0 && bytes > 0)
        syncs.push(count)
      },
    })
    const done: number[] = []
    await Promise.all(
      entries(1, 50).map(async (each) => {
        await opened?.wal.append({ entries: [each] })
        done.push(each.index)
      }),
    )
    t.deepEqual(
      done,
      Array.from({ length: 50 }, (_, nth) => nth + 1),
    )
    t.is(
      syncs.reduce((sum, count) => sum + count, 0),
      50,
    )
    t.true(syncs.length <= 5, `${syncs.length} syncs`)
    await opened?.wal.close()
    t.is((await reopen(place)).entries.length, 50)
  })

  check('a batch that would break the log is a bug, not a batch (R5)', async (t, place) => {
    const wrong: readonly WalBatch[] = [
      { hardState: { term: 4, vote: 1n, commit: 3 }, entries: [] },
      { hardState: { term: 5, vote: 2n, commit: 3 }, entries: [] },
      { hardState: { term: 5, vote: 1n, commit: 2 }, entries: [] },
      { entries: [entry(7)] },
      { entries: [entry(2)] },
    ]
    const hardState = { term: 5, vote: 1n, commit: 3 }
    const wal = await place.create(START)
    await wal.append({ mark: markAt(2), hardState, entries: entries(3, 5) })
    await wal.close()
    for (const batch of wrong) {
      const opened = await place.open()
      await t.throwsAsync(opened!.wal.append(batch), { name: 'AssertionFailure' })
      await opened!.wal.close()
    }
    const recovery = await reopen(place)
    t.deepEqual(
      contents(recovery),
      contents({ mark: markAt(2), hardState, entries: entries(3, 5) }),
    )
  })
}

function segments(check: Check): void {
  check('it grows over many segments', async (t, place) => {
    const recovery = await roundTrip(
      place,
      entries(1, 300).map((each) => ({ entries: [each] })),
    )
    t.deepEqual(contents(recovery), contents({ ...START, entries: entries(1, 300) }))
    t.true((await place.segments()).length > 3)
  })

  check('an entry larger than a segment has one of its own', async (t, place) => {
    const large = 'x'.repeat(5 * SEGMENT_BYTES)
    const recovery = await roundTrip(place, [
      { entries: [entry(1)] },
      { entries: [entry(2, 1, large)] },
      { entries: [entry(3)] },
    ])
    const expected = [entry(1), entry(2, 1, large), entry(3)]
    t.deepEqual(contents(recovery), contents({ ...START, entries: expected }))
  })

  check('a release lets whole segments go and keeps what follows', async (t, place) => {
    const wal = await place.create(START)
    const hardState = { term: 1, vote: 3n, commit: 250 }
    for (const each of entries(1, 300)) await wal.append({ entries: [each] })
    await wal.append({ hardState, entries: [] })
    const before = (await place.segments()).length
    const bytesBefore = wal.sizeBytes()
    await wal.release(markAt(250))
    const after = await place.segments()
    t.true(after.length < before && after.length > 1)
    t.true(wal.sizeBytes() < bytesBefore)
    await wal.append({ entries: [entry(301)] })
    await wal.close()
    const expected = { mark: markAt(250), hardState, entries: entries(251, 301) }
    t.deepEqual(contents(await reopen(place)), contents(expected))
  })

  check('a release that an installed snapshot overtook changes nothing', async (t, place) => {
    const wal = await place.create(START)
    await wal.append({ entries: entries(1, 20) })
    const installed = wal.append({ mark: markAt(90), entries: [entry(91)] })
    await Promise.all([installed, wal.release(markAt(10))])
    await wal.close()
    const recovery = await reopen(place)
    t.deepEqual(recovery.mark, markAt(90))
    t.deepEqual(
      recovery.entries.map(({ index }) => index),
      [91],
    )
  })

  check('entries may replace ones of a segment that has gone', async (t, place) => {
    const wal = await place.create(START)
    for (const each of entries(1, 200)) await wal.append({ entries: [each] })
    await wal.append({ entries: entries(150, 151, 2) })
    await wal.release(markAt(149))
    for (const each of entries(152, 320, 2)) await wal.append({ entries: [each] })
    await wal.release(markAt(300, 2))
    await wal.close()
    const expected = { ...START, mark: markAt(300, 2), entries: entries(301, 320, 2) }
    t.deepEqual(contents(await reopen(place)), contents(expected))
  })

  check('it goes on in each life where it stopped', async (t, place) => {
    await (await place.create(START)).close()
    for (let life = 1; life <= 12; life++) {
      const opened = await place.open(IDENTITY)
      t.is(opened?.recovery.entries.length, (life - 1) * 10)
      await opened?.wal.append({ entries: entries(life * 10 - 9, life * 10) })
      await opened?.wal.close()
    }
    t.deepEqual(contents(await reopen(place)), contents({ ...START, entries: entries(1, 120) }))
  })
}

/** What a crash or a damaged disk leaves of a log: all that was acknowledged, or a refusal. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Entry, HardState, SnapshotMark } from '../raft/types.ts'
import { HakiriError } from '../../lib/error.ts'
import { systemClock as clock } from '../../lib/system/clock.ts'
import {
  IDENTITY,
  START,
  contents,
  entries,
  entry,
  markAt,
} from '../../test/conformance/wal-suite.ts'
import { createMemoryDisk, type Tear } from '../../test/support/memory-disk.ts'
import { findFrame, frameBytes, sealFrame } from './frame.ts'
import type { Chain } from './frame.ts'
import { createWal, openWal } from './log.ts'
import { recoverWal, type WalOutcome } from './recover.ts'
import { parseSegmentName } from './segment.ts'
import type { Wal, WalBatch } from './wal.ts'
import { createWalWriter, firstSegment, type WalWrite } from './writer.ts'

type Files = ReadonlyMap<string, Uint8Array>

const SMALL_SEGMENT = 1024

const recover = (files: Files): WalOutcome =>
  recoverWal([...files].map(([name, bytes]) => ({ name, bytes })))!

/** Stands for a whole outcome: refused, or what came back. */
const summary = (outcome: WalOutcome): string =>
  outcome.ok
    ? JSON.stringify(contents(outcome.recovery), (_, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      )
    : 'refused'

type Small = {
  readonly files: Files
  readonly last: WalWrite
  readonly withLast: string
  readonly withoutLast: string
}

/** A log of several segments; its last frame, of some sectors with one of zeros among them, lies apart. */
function smallLog(lastEntries: readonly Entry[]): Small {
  const files = new Map<string, Uint8Array>()
  const apply = ({ kind, name, offset, sizeBytes, bytes }: WalWrite): void => {
    if (kind === 'segment') files.set(name, new Uint8Array(sizeBytes))
    files.get(name)!.set(bytes, offset)
  }
  const first = firstSegment(IDENTITY, START, SMALL_SEGMENT)
  apply(first.write)
  const writer = createWalWriter(first.tail, SMALL_SEGMENT)
  const before: readonly WalBatch[] = [
    { hardState: { term: 1, vote: 3n, commit: 0 }, entries: entries(1, 8) },
    { entries: entries(9, 16) },
    { hardState: { term: 2, vote: 4n, commit: 9 }, entries: entries(10, 16, 2) },
    { entries: [entry(17, 2, '\0'.repeat(400))] },
    { mark: markAt(20, 2), entries: [entry(21, 2)] },
    { entries: [entry(22, 2)] },
  ]
  for (const batch of before) apply(writer.place([{ kind: 'batch', batch }]))
  const withoutLast = summary(recover(files))
  const placed = writer.place([{ kind: 'batch', batch: { entries: lastEntries } }])
  const last = { ...placed, bytes: Uint8Array.from(placed.bytes) }
  const whole = copy(files)
  whole.get(last.name)!.set(last.bytes, last.offset)
  return { files, last, withoutLast, withLast: summary(recover(whole)) }
}

const copy = (files: Files): Map<string, Uint8Array> =>
  new Map([...files].map(([name, bytes]) => [name, Uint8Array.from(bytes)]))

const LASTS: readonly (readonly Entry[])[] = [
  [entry(23, 2)],
  [entry(23, 2, 'a'.repeat(40)), entry(24, 2, 'b'.repeat(300))],
]

test('a last frame that is cut at any byte is left out, a whole one is there', (t) => {
  for (const given of LASTS) {
    const { files, last, withLast, withoutLast } = smallLog(given)
    t.is(last.kind, 'append')
    t.not(withLast, withoutLast)
    for (let cut = 0; cut <= last.bytes.length; cut++) {
      const expected = cut === last.bytes.length ? withLast : withoutLast
      const zeroed = copy(files)
      zeroed.get(last.name)!.set(last.bytes.subarray(0, cut), last.offset)
      t.is(summary(recover(zeroed)), expected, `zeros from byte ${cut}`)
      const shortened = zeroed.set(last.name, zeroed.get(last.name)!.slice(0, last.offset + cut))
      t.is(summary(recover(shortened)), expected, `ends at byte ${cut}`)
    }
  }
})

test('a last frame of which any sectors are missing is left out', (t) => {
  const text = `${'x'.repeat(700)}${'\0'.repeat(1100)}${'y'.repeat(900)}`
  const first = firstSegment(IDENTITY, START, 8192)
  const writer = createWalWriter(first.tail, 8192)
  const start = new Uint8Array(8192)
  start.set(first.write.bytes)
  for (const each of [entry(1), entry(2, 1, 'z'.repeat(260))]) {
    const { bytes, offset } = writer.place([{ kind: 'batch', batch: { entries: [each] } }])
    start.set(bytes, offset)
  }
  const last = writer.place([{ kind: 'batch', batch: { entries: [entry(3, 1, text)] } }])
  const parts: { readonly at: number; readonly bytes: Uint8Array }[] = []
  for (let at = last.offset; at < last.offset + last.bytes.length;) {
    const next = Math.min(last.offset + last.bytes.length, at + 512 - (at % 512))
    parts.push({ at, bytes: last.bytes.slice(at - last.offset, next - last.offset) })
    at = next
  }
  t.true(parts.length >= 6)
  for (let mask = 0; mask < 2 ** parts.length; mask++) {
    const file = Uint8Array.from(start)
    parts.forEach(({ at, bytes }, nth) => {
      if (mask & (1 << nth)) file.set(bytes, at)
    })
    const isWhole = parts.every(
      ({ bytes }, nth) => mask & (1 << nth) || bytes.every((b) => b === 0),
    )
    const outcome = recover(new Map([[last.name, file]]))
    const count = outcome.ok ? outcome.recovery.entries.length : 'refused'
    t.is(count, isWhole ? 3 : 2, `sectors ${mask.toString(2)}`)
  }
})

test('a bit that flips is never taken for a log: before the last frame it is refused', (t) => {
  for (const given of LASTS) {
    const { files, last, withLast, withoutLast } = smallLog(given)
    const whole = copy(files)
    whole.get(last.name)!.set(last.bytes, last.offset)
    let [refused, left, cut] = [0, 0, 0]
    for (const [name, bytes] of whole) {
      for (let at = 0; at < bytes.length; at++) {
        const isLast = name === last.name && at >= last.offset
        for (let bit = 0; bit < 8; bit++) {
          bytes[at]! ^= 1 << bit
          const found = summary(recover(whole))
          bytes[at]! ^= 1 << bit
          const isBehind = isLast && at >= last.offset + last.bytes.length
          const allowed = isBehind ? [withLast] : isLast ? ['refused', withoutLast] : ['refused']
          if (!allowed.includes(found)) t.fail(`bit ${bit} of byte ${at} of ${name}`)
          if (found === 'refused') refused++
          else if (found === withLast) left++
          else cut++
        }
      }
    }
    t.true(refused > 15_000 && left > 0, `${refused} refused, ${left} behind the end`)
    t.is(cut, 0, 'even in the last frame a flip is told from a tear')
  }
})

test('whole bytes that go wrong are refused too, and the message says where', (t) => {
  const { files, last } = smallLog(LASTS[0]!)
  const names = [...files.keys()]
  t.true(names.length >= 3)
  const middle = names[1]!
  const damaged = copy(files)
  damaged.get(middle)!.fill(0, 512, 1024)
  const outcome = recover(damaged)
  t.false(outcome.ok)
  if (!outcome.ok) t.is(outcome.damage.file, middle)
  const without = copy(files)
  without.delete(middle)
  const missing = recover(without)
  t.regex(missing.ok ? '' : missing.damage.reason, /number \d+, is missing/)
  const swapped = copy(files).set(names[0]!, files.get(middle)!)
  t.is(summary(recover(swapped)), 'refused')
  const emptied = copy(files).set(last.name, new Uint8Array(SMALL_SEGMENT))
  t.regex(summary(recover(emptied)), /refused/)
  const older = new Map([...files].slice(1))
  t.is(summary(recover(older)), summary(recover(files)), 'a mark stands above the first segment')
})

/** One segment of frames with an entry each; gives where each frame begins. */
function oneSegment(texts: readonly string[]) {
  const sizeBytes = 8192
  const first = firstSegment(IDENTITY, START, sizeBytes)
  const writer = createWalWriter(first.tail, sizeBytes)
  const bytes = new Uint8Array(sizeBytes)
  bytes.set(first.write.bytes)
  const offsets = texts.map((text, nth) => {
    const batch = { entries: [entry(nth + 1, 1, text)] }
    const write = writer.place([{ kind: 'batch', batch }])
    bytes.set(write.bytes, write.offset)
    return write.offset
  })
  return { name: first.write.name, bytes, offsets: [...offsets, writer.tail().offset] }
}

test('what looks torn but is followed by a whole frame was damaged', (t) => {
  const { name, bytes, offsets } = oneSegment(['a'.repeat(1500), 'b'.repeat(1500), 'c'])
  const [, from = 0, to = 0] = offsets
  for (const [zeroFrom, zeroTo] of [
    [from, to],
    [from, from + 32],
    [from + 512 - (from % 512), to],
    [to - 1, to],
  ] as const) {
    const damaged = Uint8Array.from(bytes).fill(0, zeroFrom, zeroTo)
    const outcome = recover(new Map([[name, damaged]]))
    t.regex(outcome.ok ? '' : outcome.damage.reason, /a whole one follows/)
    t.is(outcome.ok ? -1 : outcome.damage.offset, from)
  }
})

test('a frame of another log does not fit, however whole it is', (t) => {
  const one = oneSegment(['aaa', 'bbb'])
  const other = oneSegment(['xxx', 'yyy'])
  t.deepEqual(one.offsets, other.offsets)
  const mixed = Uint8Array.from(one.bytes)
  mixed.set(other.bytes.subarray(one.offsets[1], one.offsets[2]), one.offsets[1])
  const outcome = recover(new Map([[one.name, mixed]]))
  t.regex(outcome.ok ? '' : outcome.damage.reason, /does not follow the one before it/)
})

test('a log whose older segments have gone without a release is refused', (t) => {
  const first = firstSegment(IDENTITY, START, SMALL_SEGMENT)
  const writer = createWalWriter(first.tail, SMALL_SEGMENT)
  const files = new Map([[first.write.name, Uint8Array.from(first.write.bytes)]])
  for (const each of entries(1, 20)) {
    const write = writer.place([{ kind: 'batch', batch: { entries: [each] } }])
    const file = files.get(write.name) ?? new Uint8Array(SMALL_SEGMENT)
    const whole = new Uint8Array(SMALL_SEGMENT)
    whole.set(file)
    whole.set(write.bytes, write.offset)
    files.set(write.name, whole)
  }
  t.true(recover(files).ok && files.size > 1)
  const outcome = recover(new Map([...files].slice(1)))
  t.regex(outcome.ok ? '' : outcome.damage.reason, /^entries 1 to \d+ are missing/)
})

test('a log that was closed in order refuses a flip in its last entry as well', async (t) => {
  const disk = createMemoryDisk()
  const options = { folder: 'memory', disk, clock, segmentBytes: SMALL_SEGMENT }
  const wal = await createWal({ ...options, identity: IDENTITY, start: START })
  await wal.append({ entries: [entry(1, 1, 'the last one')] })
  await wal.close()
  const files = disk.crash({ kind: 'nothing' }, false)
  const bytes = Buffer.from([...files.values()][0]!)
  bytes.fill(0, bytes.indexOf('the last one'), bytes.indexOf('the last one') + 12)
  const name = [...files.keys()].find((each) => parseSegmentName(each))!
  const error = await t.throwsAsync(
    openWal({ ...options, disk: createMemoryDisk(new Map([[name, bytes]])) }),
    { instanceOf: HakiriError },
  )
  t.is(error?.code, 'WAL_DAMAGED')
  t.regex(error?.message ?? '', /^memory\/00000001-00000000000001\.wal: at byte \d+: /)
  t.regex(error?.suggestion ?? '', /hakiri ctl member replace/)
})

test('what was cut stays cut: the next life writes over it and is whole', async (t) => {
  const { files, last, withoutLast } = smallLog(LASTS[1]!)
  for (const cut of [1, 20, 33, last.bytes.length - 1]) {
    const torn = copy(files)
    torn.get(last.name)!.set(last.bytes.subarray(0, cut), last.offset)
    const disk = createMemoryDisk(torn)
    const options = { folder: 'memory', disk, clock, segmentBytes: SMALL_SEGMENT }
    const opened = await openWal(options)
    t.true(opened!.recovery.cutBytes >= 1 && opened!.recovery.cutBytes <= cut)
    t.is(summary(recover(disk.crash({ kind: 'nothing' }, false))), withoutLast)
    await opened!.wal.append({ entries: [entry(23, 3, 'another')] })
    const outcome = recover(disk.crash({ kind: 'nothing' }, false))
    t.is(outcome.ok && outcome.recovery.entries.at(-1)?.term, 3)
  }
})

// ── Any batches, any crash ────────────────────────────────────────────────────────────────────────

type Model = {
  readonly mark: SnapshotMark
  readonly hardState: HardState
  readonly entries: readonly Entry[]
}
type Step =
  | { readonly kind: 'batch'; readonly batch: WalBatch }
  | { readonly kind: 'release'; readonly mark: SnapshotMark }

const lastOf = ({ mark, entries }: Model): number => entries.at(-1)?.index ?? mark.index

/** The same rules as the log's, in their plainest form. */
function after(model: Model, step: Step): Model {
  if (step.kind === 'release')
    return {
      ...model,
      mark: step.mark,
      entries: model.entries.filter(({ index }) => index > step.mark.index),
    }
  const { mark, hardState = model.hardState, entries } = step.batch
  const kept = mark ? [] : model.entries
  const from = entries[0]?.index ?? Infinity
  return {
    mark: mark ?? model.mark,
    hardState,
    entries: [...kept.filter(({ index }) => index < from), ...entries],
  }
}

type Draw = {
  readonly choice: number
  readonly back: number
  readonly count: number
  readonly size: number
}

/** A step that makes sense where the log stands. */
function stepFor(model: Model, { choice, back, count, size }: Draw): Step {
  const last = lastOf(model)
  const span = last - model.mark.index
  if (choice === 0 && span > 0)
    return { kind: 'release', mark: markAt(model.mark.index + 1 + (back % span), 1) }
  const { term, commit } = model.hardState
  const hardState = choice % 2 ? { term: term + 1, vote: BigInt(back), commit } : undefined
  const mark = choice === 1 ? markAt(last + 1 + back, term) : undefined
  const from = mark ? mark.index + 1 : last + 1 - (choice < 5 && span > 0 ? back % (span + 1) : 0)
  const added = Array.from({ length: count }, (_, nth) =>
    entry(from + nth, term + 1, `${'\0'.repeat(size % 3 ? 0 : size)}${'v'.repeat(size)}${choice}`),
  )
  const batch = { ...(mark && { mark }), ...(hardState && { hardState }), entries: added }
  return { kind: 'batch', batch }
}

const perform = (wal: Wal, step: Step): Promise<void> =>
  step.kind === 'batch' ? wal.append(step.batch) : wal.release(step.mark)

/** Performs steps, some at once, until operation number `operations` of the disk; gives what counts. */
async function liveUntil(
  wal: Wal,
  disk: ReturnType<typeof createMemoryDisk>,
  models: Model[],
  draws: readonly Draw[],
  operations: number,
): Promise<number> {
  let remaining = operations
  let isDown = false
  disk.gate = () => {
    if (isDown || remaining-- <= 0) {
      isDown = true
      throw Object.assign(new Error('the power is off'), { code: 'EIO' })
    }
  }
  let acknowledged = 0
  const pending: Promise<void>[] = []
  for (const draw of draws) {
    const step = stepFor(models.at(-1)!, draw)
    const at = models.push(after(models.at(-1)!, step)) - 1
    pending.push(
      perform(wal, step).then(
        () => void (acknowledged = Math.max(acknowledged, at)),
        () => undefined,
      ),
    )
    if (draw.choice % 3 === 0) await Promise.all(pending)
  }
  await Promise.all(pending)
  return acknowledged
}

const DRAW = fc.record({
  choice: fc.nat(11),
  back: fc.nat(6),
  count: fc.nat(4),
  size: fc.oneof(fc.nat(60), fc.nat(900)),
})
const LIFE = fc.record({
  draws: fc.array(DRAW, { minLength: 1, maxLength: 25 }),
  operations: fc.nat(60),
  tear: fc.oneof(
    fc.constant<Tear>({ kind: 'nothing' }),
    fc.constant<Tear>({ kind: 'whole' }),
    fc.nat(2500).map((bytes): Tear => ({ kind: 'prefix', bytes })),
    fc
      .nat(2 ** 12)
      .map((mask): Tear => ({ kind: 'sectors', has: (nth) => ((mask >> nth) & 1) === 1 })),
  ),
  isFolderKept: fc.boolean(),
})

type Life = typeof LIFE extends fc.Arbitrary<infer T> ? T : never

async function survive(t: ExecutionContext, lives: readonly Life[]) {
  let files: Files = new Map()
  let models: Model[] = [START].map((start) => ({ ...start, entries: [] }))
  for (const [nth, { draws, operations, tear, isFolderKept }] of lives.entries()) {
    const disk = createMemoryDisk(files)
    const options = { folder: 'memory', disk, clock, segmentBytes: SMALL_SEGMENT }
    const wal =
      nth === 0
        ? await createWal({ ...options, identity: IDENTITY, start: START })
        : (await openWal({ ...options, identity: IDENTITY }))!.wal
    const acknowledged = await liveUntil(wal, disk, models, draws, operations)
    files = disk.crash(tear, isFolderKept)
    const outcome = recover(files)
    t.true(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.damage))
    if (!outcome.ok) return
    const texts = models.map((model) => JSON.stringify(plain(model)))
    const found = texts.lastIndexOf(JSON.stringify(plain(outcome.recovery)))
    t.true(found >= acknowledged, `acknowledged ${acknowledged}, recovered ${found}`)
    models = [models[found]!]
  }
}

/** By content alone, in one order. */
const plain = ({ hardState, mark, entries }: Model) => [
  [hardState.term, String(hardState.vote), hardState.commit, mark.index, mark.term],
  entries.map(({ index, term, kind, data }) => [index, term, kind, String(Buffer.from(data))]),
]

test('whatever is appended and whenever the power goes, a prefix with all that was acknowledged is there', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(LIFE, { minLength: 1, maxLength: 3 }), (lives) => survive(t, lives)),
    { numRuns: 1500 },
  )
})

test('a frame and the beginning of the next in one wrong sector are refused, not cut off', (t) => {
  // Guards against taking a synced frame for torn because the header behind it is broken as well.
  const SECTOR = 512
  const file = new Uint8Array(8 * SECTOR)
  let chain: Chain = { number: 0, crc: 0 }
  let at = 0
  for (const body of [700, 1200]) {
    const bytes = new Uint8Array(frameBytes(body)).fill(7)
    chain = sealFrame(bytes, body, chain, at)
    file.set(bytes, at)
    at += bytes.length
  }
  const first = { number: 0, crc: 0 }
  t.is(findFrame(file, 0, first).kind, 'frame')
  for (const [from, to] of [
    [SECTOR, 2 * SECTOR],
    [600, 2 * SECTOR],
  ] as const)
    t.is(findFrame(file.slice().fill(0, from, to), 0, first).kind, 'damaged', `${from}`)
  t.is(findFrame(file.slice().fill(0, SECTOR), 0, first).kind, 'torn')
})

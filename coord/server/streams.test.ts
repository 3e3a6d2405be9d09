import test from 'ava'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { healthService } from '../../proto/gen/health.ts'
import { kvService, leaseService, maintenanceService, watchService } from '../../proto/gen/rpc.ts'
import type { WatchCreateRequest, WatchResponse } from '../../proto/gen/rpc.ts'
import { HakiriError } from '../../lib/error.ts'
import { startEdge } from '../../test/support/edge-lab.ts'
import type { EdgeLab, Talk } from '../../test/support/edge-lab.ts'
import { TOO_MANY_WATCHES } from './errors.ts'
import { decodeSnapshot, encodeSnapshot } from './snapshot-file.ts'
import type { SnapshotHeader } from './snapshot-file.ts'

type Watching = Talk<Parameters<typeof watchService.watch.requestSerialize>[0], WatchResponse>

const bytes = (text: string): Buffer => Buffer.from(text)
const ALL = { key: Buffer.of(0), rangeEnd: Buffer.of(0) }
const NO_LEADER = { code: 14, details: 'etcdserver: no leader' }

function put(lab: EdgeLab, key: string, value: string | Buffer = 'v') {
  return lab.call(kvService.put, { key: bytes(key), value: Buffer.from(value) })
}

function openWatch(lab: EdgeLab, metadata?: Readonly<Record<string, string>>): Watching {
  return lab.stream(watchService.watch, metadata)
}

function create(watch: Watching, request: Partial<WatchCreateRequest>): Promise<WatchResponse> {
  watch.send({ createRequest: request })
  return watch.next()
}

function textOf({ events }: WatchResponse): readonly string[] {
  return events.map(({ type, kv }) => `${type}:${String(kv?.key)}=${String(kv?.value)}`)
}

test('a watch is created before its events, with an id that the server chose', async (t) => {
  await using lab = await startEdge()
  await put(lab, 'a', '1')
  const watch = openWatch(lab)
  const first = await create(watch, { key: bytes('a'), startRevision: 2 })
  t.deepEqual([first.created, first.watchId, first.header?.revision], [true, 0, 2])
  t.deepEqual(textOf(await watch.next()), ['0:a=1'])
  const second = await create(watch, { key: bytes('b') })
  t.deepEqual([second.created, second.watchId, second.events.length], [true, 1, 0])
  const chosen = await create(watch, { key: bytes('c'), watchId: 77 })
  t.is(chosen.watchId, 77)
  await put(lab, 'c', '2')
  const seen = await watch.next()
  t.deepEqual([seen.watchId, seen.header?.revision], [77, 3])
})

test('an empty key means everything from the smallest key on', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, { rangeEnd: Buffer.of(0) })
  await put(lab, 'a')
  t.deepEqual(textOf(await watch.next()), ['0:a=v'])
})

test('what cannot be watched is answered as created and cancelled, and the stream goes on', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, { key: bytes('a'), watchId: 5 })
  const refused = [
    await create(watch, { key: bytes('b'), rangeEnd: bytes('a') }),
    await create(watch, { key: bytes('a'), watchId: 5 }),
    await create(watch, { key: bytes('a'), startRevision: -1 }),
  ]
  for (const answer of refused) {
    t.deepEqual([answer.created, answer.canceled, answer.watchId], [true, true, -1])
    t.not(answer.cancelReason, '')
  }
  await put(lab, 'a')
  t.is((await watch.next()).watchId, 5)
})

test('a stream has only so many watches; cancelled ones make room', async (t) => {
  await using lab = await startEdge({ edge: { watchesPerStreamMax: 2 } })
  const watch = openWatch(lab)
  for (const key of ['a', 'b', 'c']) watch.send({ createRequest: { key: bytes(key) } })
  t.is((await watch.next()).watchId, 0)
  t.is((await watch.next()).watchId, 1)
  const refused = await watch.next()
  t.deepEqual([refused.watchId, refused.cancelReason], [-1, TOO_MANY_WATCHES])
  watch.send({ cancelRequest: { watchId: 0 } })
  t.deepEqual([(await watch.next()).canceled, true], [true, true])
  t.is((await create(watch, { key: bytes('c') })).watchId, 2)
})

test('cancelling answers once, and an unknown id is met with silence', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, ALL)
  watch.send({ cancelRequest: { watchId: 99 } })
  watch.send({ cancelRequest: { watchId: 0 } })
  const cancelled = await watch.next()
  t.deepEqual([cancelled.canceled, cancelled.watchId, cancelled.cancelReason], [true, 0, ''])
  await put(lab, 'a')
  watch.send({ progressRequest: {} })
  t.is((await watch.next()).watchId, -1)
})

test('a start that was compacted away is created, then cancelled with the revision', async (t) => {
  await using lab = await startEdge()
  for (const value of ['1', '2', '3']) await put(lab, 'a', value)
  await lab.call(kvService.compact, { revision: 4 })
  const watch = openWatch(lab)
  const created = await create(watch, { key: bytes('a'), startRevision: 2 })
  t.true(created.created && !created.canceled)
  const cancelled = await watch.next()
  t.deepEqual(
    [cancelled.canceled, cancelled.compactRevision, cancelled.cancelReason],
    [true, 4, ''],
  )
})

test('a start in the future gets nothing older', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, { key: bytes('a'), startRevision: 4 })
  for (const value of ['2', '3', '4']) await put(lab, 'a', value)
  t.deepEqual(textOf(await watch.next()), ['0:a=4'])
})

test('filters drop events, and previous values come along when asked for', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, { ...ALL, filters: [0], prevKv: true })
  await put(lab, 'a', '1')
  await lab.call(kvService.deleteRange, { key: bytes('a') })
  const seen = await watch.next()
  t.deepEqual(textOf(seen), ['1:a='])
  t.is(String(seen.events[0]?.prevKv?.value), '1')
})

test('the events of a transaction come together', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, ALL)
  const operation = (key: string) => ({ requestPut: { key: bytes(key), value: bytes(key) } })
  await lab.call(kvService.txn, { success: ['a', 'b', 'c'].map(operation) })
  t.deepEqual(textOf(await watch.next()), ['0:a=a', '0:b=b', '0:c=c'])
})

test('progress never overtakes an event, whether asked for or due', async (t) => {
  await using lab = await startEdge({ progressIntervalMs: 10_000 })
  const watch = openWatch(lab)
  await create(watch, { ...ALL, progressNotify: true })
  await put(lab, 'a')
  watch.send({ progressRequest: {} })
  t.deepEqual(textOf(await watch.next()), ['0:a=v'])
  const progress = await watch.next()
  t.deepEqual([progress.watchId, progress.header?.revision, progress.events.length], [-1, 2, 0])
  lab.node.pass(1)
  lab.node.pass(12_000)
  lab.node.pass(12_000)
  const notice = await watch.next()
  t.deepEqual([notice.watchId, notice.header?.revision, notice.events.length], [0, 2, 0])
})

test('a large answer comes in parts to those who take parts, whole to others', async (t) => {
  await using lab = await startEdge({ edge: { requestBytesMax: 10_000 } })
  const watch = openWatch(lab)
  await create(watch, { ...ALL, fragment: true })
  const whole = openWatch(lab)
  await create(whole, ALL)
  const operation = (key: number) => ({
    requestPut: { key: bytes(`k${key}`), value: Buffer.alloc(3_000) },
  })
  // Larger than a request may be: it is applied by the node itself.
  await lab.node.propose(
    {
      kind: 'txn',
      request: {
        compare: [],
        failure: [],
        success: [0, 1, 2, 3, 4, 5, 6].map((key) => ({
          requestPut: {
            ...operation(key).requestPut,
            lease: 0n,
            prevKv: false,
            ignoreValue: false,
            ignoreLease: false,
          },
        })),
      },
    },
    new AbortController().signal,
  )
  const parts = [await watch.next(), await watch.next(), await watch.next()]
  t.deepEqual(
    parts.map(({ fragment, events }) => [fragment, events.length]),
    [
      [true, 3],
      [true, 3],
      [false, 1],
    ],
  )
  const { fragment, events } = await whole.next()
  t.deepEqual([fragment, events.length], [false, 7])
})

test('a client that does not read holds back its own stream only, and misses nothing', async (t) => {
  await using lab = await startEdge({ edge: { watchUnsentBytesMax: 10_000 } })
  const slow = openWatch(lab)
  await create(slow, ALL)
  slow.pause()
  const quick = openWatch(lab)
  await create(quick, ALL)
  const count = 100
  const value = Buffer.alloc(10_000)
  for (let key = 0; key < count; key += 1) await put(lab, `k${key}`, value)
  const keysOf = async (watch: Watching): Promise<readonly string[]> => {
    const keys: string[] = []
    while (keys.length < count)
      keys.push(...(await watch.next()).events.map(({ kv }) => String(kv?.key)))
    return keys
  }
  const wanted = Array.from({ length: count }, (_, key) => `k${key}`)
  t.deepEqual(await keysOf(quick), wanted)
  const sentBefore = lab.metrics.watchEventsSent.value()
  t.true(sentBefore < 2 * count, `${sentBefore} events were sent to a client that does not read`)
  slow.resume()
  slow.send({ progressRequest: {} })
  t.deepEqual(await keysOf(slow), wanted)
  t.is((await slow.next()).watchId, -1)
})

test('streams that ask for a leader end three election timeouts after it was lost', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab, { hasleader: 'true' })
  const patient = openWatch(lab)
  const renewals = lab.stream(leaseService.leaseKeepAlive, { hasleader: 'true' })
  const { id } = await lab.call(leaseService.leaseGrant, { ttl: 60 })
  renewals.send({ id })
  await renewals.next()
  await create(watch, ALL)
  await create(patient, ALL)
  lab.node.loseLeader()
  lab.node.pass(2_999)
  watch.send({ progressRequest: {} })
  t.is((await watch.next()).watchId, -1)
  lab.node.pass(1)
  t.deepEqual(await watch.ended, NO_LEADER)
  t.deepEqual(await renewals.ended, NO_LEADER)
  t.deepEqual(await openWatch(lab, { hasleader: 'true' }).ended, NO_LEADER)
  patient.send({ progressRequest: {} })
  t.is((await patient.next()).watchId, -1)
})

test('a learner refuses a watch; too many streams are refused', async (t) => {
  await using learner = await startEdge()
  learner.node.becomeLearner()
  t.deepEqual(await openWatch(learner).ended, {
    code: 9,
    details: 'etcdserver: rpc not supported for learner',
  })
  await using lab = await startEdge({ edge: { streamsMax: 1 } })
  const first = openWatch(lab)
  await create(first, ALL)
  t.deepEqual(await openWatch(lab).ended, {
    code: 8,
    details: 'etcdserver: too many requests',
  })
})

test('streams end with their client, and with their server', async (t) => {
  await using lab = await startEdge()
  const gone = openWatch(lab)
  await create(gone, ALL)
  t.is(lab.node.watchers(), 1)
  gone.finish()
  t.is((await gone.ended).code, 0)
  t.is(lab.node.watchStreams(), 0)
  const left = openWatch(lab)
  await create(left, ALL)
  lab.server.close()
  t.deepEqual(await left.ended, { code: 14, details: 'etcdserver: server stopped' })
  t.is(lab.node.watchStreams(), 0)
})

test('renewals are answered in the order in which they were asked', async (t) => {
  await using lab = await startEdge()
  const ttls = [10, 20, 30, 40]
  const leases = await Promise.all(ttls.map((ttl) => lab.call(leaseService.leaseGrant, { ttl })))
  const renewals = lab.stream(leaseService.leaseKeepAlive)
  const asked = Array.from({ length: 400 }, (_, turn) => leases[turn % 4]?.id ?? 0n)
  for (const id of asked) renewals.send({ id })
  const answers = []
  for (const _ of asked) answers.push(await renewals.next())
  t.deepEqual(
    answers.map(({ id }) => id),
    asked,
  )
  t.deepEqual(
    answers.slice(0, 4).map(({ ttl }) => ttl),
    ttls,
  )
})

test('a renewal that takes long holds back those after it, never the other way round', async (t) => {
  await using lab = await startEdge()
  const slow = await lab.call(leaseService.leaseGrant, { ttl: 10 })
  const quick = await lab.call(leaseService.leaseGrant, { ttl: 20 })
  const release = lab.node.holdLease(slow.id)
  const renewals = lab.stream(leaseService.leaseKeepAlive)
  const asked = [quick.id, slow.id, quick.id, quick.id]
  for (const id of asked) renewals.send({ id })
  t.is((await renewals.next()).id, quick.id)
  // Another stream is not held back; by then the others on the first one are long settled.
  const other = lab.stream(leaseService.leaseKeepAlive)
  other.send({ id: quick.id })
  await other.next()
  t.is(renewals.waiting(), 0)
  release()
  t.deepEqual(
    [await renewals.next(), await renewals.next(), await renewals.next()].map(({ id }) => id),
    asked.slice(1),
  )
})

test('a client that goes away without a word leaves nothing behind', async (t) => {
  await using lab = await startEdge()
  const watch = openWatch(lab)
  await create(watch, ALL)
  t.is(lab.node.watchStreams(), 1)
  watch.cancel()
  // On the same connection the end of the stream comes before what is asked afterwards.
  await put(lab, 'a')
  await put(lab, 'a')
  t.is(lab.node.watchStreams(), 0)
})

test('a stream that only the server writes to ends with its client too', async (t) => {
  await using lab = await startEdge({ edge: { streamsMax: 1 } })
  const first = lab.listen(healthService.watch, {})
  await first.next()
  first.cancel()
  await put(lab, 'a')
  await put(lab, 'a')
  const second = lab.listen(healthService.watch, {})
  t.is((await second.next()).status, 1)
})

test('renewals under way are bounded, and those beyond wait their turn', async (t) => {
  await using lab = await startEdge({ edge: { renewalsInFlightMax: 8 } })
  const { id } = await lab.call(leaseService.leaseGrant, { ttl: 60 })
  const release = lab.node.hold()
  const renewals = lab.stream(leaseService.leaseKeepAlive)
  for (let turn = 0; turn < 100; turn += 1) renewals.send({ id })
  const roundTrip = () => lab.call(kvService.range, { key: bytes('a'), serializable: true })
  while (lab.node.renewed() < 8) await roundTrip()
  for (let trip = 0; trip < 10; trip += 1) await roundTrip()
  t.is(lab.node.renewed(), 8)
  release()
  for (let turn = 0; turn < 100; turn += 1) t.is((await renewals.next()).ttl, 60)
  renewals.finish()
  t.is((await renewals.ended).code, 0)
})

test('a lease that is gone is answered with 0 and the stream goes on', async (t) => {
  await using lab = await startEdge()
  const { id } = await lab.call(leaseService.leaseGrant, { ttl: 5 })
  const renewals = lab.stream(leaseService.leaseKeepAlive)
  renewals.send({ id: 12_345n })
  t.is((await renewals.next()).ttl, 0)
  lab.node.pass(4_000)
  renewals.send({ id })
  t.is((await renewals.next()).ttl, 5)
  lab.node.pass(5_000)
  renewals.send({ id })
  t.is((await renewals.next()).ttl, 0)
  lab.node.failWith('timed-out')
  renewals.send({ id })
  t.deepEqual(await renewals.ended, { code: 14, details: 'etcdserver: request timed out' })
})

test('a snapshot is blocks of 512 bytes and a checksum, and holds what the image holds', async (t) => {
  await using lab = await startEdge()
  for (let key = 0; key < 300; key += 1) await put(lab, `k${key}`, Buffer.alloc(500, key))
  const talk = lab.listen(maintenanceService.snapshot, {})
  const blobs: Uint8Array[] = []
  for (;;) {
    try {
      const { blob, version, header } = await talk.next()
      t.regex(version, /^3\.5\./)
      t.is(header?.revision, 301)
      blobs.push(blob)
    } catch {
      break
    }
  }
  t.is((await talk.ended).code, 0)
  const file = Buffer.concat(blobs)
  t.is(file.length % 512, 32)
  const digest = createHash('sha256').update(file.subarray(0, -32)).digest()
  t.deepEqual(file.subarray(-32), digest)
  await using view = await lab.node.snapshot()
  const records = await recordsOf(view.records(new AbortController().signal))
  const { header, portions } = await decodeSnapshot(pieces(file, 1_000))
  t.deepEqual(header.mark, view.mark)
  t.is(header.clusterId, lab.node.clusterId)
  t.deepEqual(await recordsOf(portions), records)
  t.true(records.length > 300)
})

test('any records survive a snapshot file, cut into pieces of any size', async (t) => {
  const record = fc.record({
    key: fc.uint8Array({ maxLength: 40 }),
    value: fc.uint8Array({ maxLength: 600 }),
  })
  const portions = fc.array(fc.array(record, { maxLength: 5 }), { maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(portions, fc.integer({ min: 1, max: 700 }), async (written, size) => {
      const file = await fileOf(written)
      const { header, portions: read } = await decodeSnapshot(pieces(file, size))
      t.deepEqual(header, HEADER)
      const wanted = written.flat().map(({ key, value }) => textOfRecord(key, value))
      t.deepEqual(await recordsOf(read), wanted)
    }),
    { numRuns: 50 },
  )
})

test('a snapshot file that was cut or changed anywhere is refused', async (t) => {
  const file = await fileOf([[{ key: bytes('key'), value: bytes('value') }]])
  const read = async (damaged: Buffer): Promise<void> => {
    const { portions } = await decodeSnapshot(pieces(damaged, 100))
    await recordsOf(portions)
  }
  await t.notThrowsAsync(read(file))
  for (let at = 0; at < file.length; at += 1) {
    const flipped = Buffer.from(file)
    flipped[at] = (flipped[at] ?? 0) ^ 4
    const errors = await Promise.all([
      failureOf(read(flipped)),
      failureOf(read(file.subarray(0, at))),
    ])
    for (const error of errors) t.is(error, 'SNAPSHOT_INVALID', `at ${at}`)
  }
})

const HEADER: SnapshotHeader = {
  clusterId: 2n ** 64n - 1n,
  memberId: 3n,
  revision: 7,
  version: 'x',
  mark: {
    index: 9,
    term: 2,
    membership: {
      voters: [3n, 2n ** 63n],
      outgoing: [],
      learners: [5n],
      learnersNext: [],
      autoLeave: false,
    },
  },
}

type Records = readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]

async function fileOf(portions: readonly Records[]): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const piece of encodeSnapshot(HEADER, each(portions))) parts.push(piece)
  return Buffer.concat(parts)
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item)
}

function pieces(file: Buffer, size: number): AsyncIterable<Uint8Array> {
  const count = Math.ceil(file.length / size)
  return each(
    Array.from({ length: count }, (_, index) => file.subarray(index * size, (index + 1) * size)),
  )
}

function textOfRecord(key: Uint8Array, value: Uint8Array): string {
  return `${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('hex')}`
}

async function recordsOf(portions: AsyncIterable<Records>): Promise<readonly string[]> {
  const records: string[] = []
  for await (const portion of portions)
    records.push(...portion.map(({ key, value }) => textOfRecord(key, value)))
  return records
}

async function failureOf(action: Promise<void>): Promise<string> {
  try {
    await action
    return 'none'
  } catch (error) {
    return error instanceof HakiriError ? error.code : String(error)
  }
}

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import { systemClock, systemRandom, systemScheduler } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { decodePeerFrame } from '../../proto/gen/raft.ts'
import type { PeerFrame } from '../../proto/gen/raft.ts'
import { createAuthority, createIdentity } from '../../test/support/certificates.ts'
import type { Authority } from '../../test/support/certificates.ts'
import { startHalfOpenProxy } from '../../test/support/half-open-proxy.ts'
import { introduce, recordOf, startPeer, viewOf } from '../../test/support/peer-lab.ts'
import type { LabPeer, SnapshotMessage } from '../../test/support/peer-lab.ts'
import type { ImageRecord } from '../image/image.ts'
import type { PeerMessage } from '../node/transport.ts'
import { greetingText } from './peer-greeting.ts'
import { DEFAULT_PEER_LIMITS } from './peer-limits.ts'
import { createPeerNetwork } from './peer-network.ts'
import { pack, unpack } from './peer-snapshot.ts'
import { PEER_MAGIC, RECORD, createRecordReader, readEnd, writeRecord } from './peer-wire.ts'
import { openTls } from './tls.ts'
import type { TlsSource } from './tls.ts'

const CLUSTER = 0xfeed_0000_0000_0001n

const heartbeat = (from: bigint, to: bigint, context: number): PeerMessage => ({
  kind: 'raft',
  message: { kind: 'heartbeat', from, to, term: 3, commit: 5, context },
})

function append(from: bigint, to: bigint, bytes: number): PeerMessage {
  const entry = { term: 3, index: 9, kind: 'command', data: Buffer.alloc(bytes, 1) } as const
  const at = { from, to, term: 3, prevIndex: 8, prevTerm: 3, commit: 5 }
  return { kind: 'raft', message: { kind: 'append', ...at, entries: [entry] } }
}

function snapshotTo(to: bigint): SnapshotMessage {
  return { kind: 'snapshot', from: 1n, to, term: 3, mark: viewOf(0, 0).mark }
}

async function pair(
  first: Partial<Parameters<typeof startPeer>[0]> = {},
  second: Partial<Parameters<typeof startPeer>[0]> = {},
): Promise<AsyncDisposable & { readonly a: LabPeer; readonly b: LabPeer }> {
  const a = await startPeer({ id: 1n, ...first })
  const b = await startPeer({ id: 2n, ...second })
  introduce(a, b)
  await Promise.all([a.connectedTo(2n), b.connectedTo(1n)])
  return {
    a,
    b,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()])
    },
  }
}

// ── How it travels ───────────────────────────────────────────────────────────────────────────────

test('messages arrive in order, each kind on its own connection', async (t) => {
  await using peers = await pair()
  const { a, b } = peers
  for (let context = 1; context <= 500; context++) {
    a.transport.send(2n, heartbeat(1n, 2n, context))
    if (context % 50 === 0) a.transport.send(2n, append(1n, 2n, context))
  }
  await b.until(() => b.received.length === 510)
  const raft = b.received.flatMap(({ message }) =>
    message.kind === 'raft' ? [message.message] : [],
  )
  const contexts = raft.flatMap((item) => (item.kind === 'heartbeat' ? [item.context] : []))
  t.deepEqual(
    contexts,
    Array.from({ length: 500 }, (_, index) => index + 1),
  )
  const sizes = raft.flatMap((item) =>
    item.kind === 'append' ? [item.entries[0]?.data.length] : [],
  )
  t.deepEqual(sizes, [50, 100, 150, 200, 250, 300, 350, 400, 450, 500])
  t.true(b.received.every(({ from }) => from === 1n))
  t.is(a.listener.connections(), 2)
})

/** A member made of nothing but a handler for frames. */
async function startRaw(
  id: bigint,
  read: (frame: PeerFrame) => void,
): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const limits = { hasMagic: true, payloadBytesMax: 1_000_000 }
    const take = createRecordReader(limits, (kind, payload) => {
      if (kind === RECORD.frame) read(decodePeerFrame(payload))
      if (kind !== RECORD.hello) return
      const answer = greetingText({ clusterId: CLUSTER, memberId: id }, 1n)
      writeRecord(socket, RECORD.hello, Buffer.from(answer))
    })
    socket.on('data', take)
    socket.on('error', () => undefined)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('what is sent in one turn is one frame, and no frame is larger than it should be', async (t) => {
  const sizes: number[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  await using raw = await startRaw(2n, (frame) => {
    sizes.push(frame.messages.length)
    if (sizes.reduce((sum, size) => sum + size, 0) === 108) resolve()
  })
  await using a = await startPeer({ id: 1n, limits: { frameBytesMax: 10_000 } })
  a.transport.setMembers([{ member: 2n, peerUrls: [raw.url] }])
  await a.connectedTo(2n)
  for (let context = 0; context < 100; context++) a.transport.send(2n, heartbeat(1n, 2n, context))
  await Promise.resolve()
  for (let count = 0; count < 8; count++) a.transport.send(2n, append(1n, 2n, 4_000))
  await promise
  t.deepEqual(
    sizes.toSorted((x, y) => x - y),
    [2, 2, 2, 2, 100],
  )
})

/** An append that brings nothing but the news that `commit` is committed. */
function news(from: bigint, to: bigint, commit: number): PeerMessage {
  const at = { from, to, term: 3, prevIndex: 8, prevTerm: 3, commit }
  return { kind: 'raft', message: { kind: 'append', ...at, entries: [] } }
}

test('bare news of a commit goes with the next append, in one frame and in order', async (t) => {
  const frames: PeerFrame[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  await using raw = await startRaw(2n, (frame) => {
    frames.push(frame)
    resolve()
  })
  await using a = await startPeer({ id: 1n, limits: { patienceMs: 3_600_000 } })
  a.transport.setMembers([{ member: 2n, peerUrls: [raw.url] }])
  await a.connectedTo(2n)
  a.transport.send(2n, news(1n, 2n, 7))
  for (let turn = 0; turn < 10; turn++) await new Promise((next) => setImmediate(next))
  a.transport.send(2n, append(1n, 2n, 10))
  await promise
  t.deepEqual(
    frames.map(({ messages }) => messages.map(({ raft }) => [raft?.commit, raft?.entries.length])),
    [
      [
        [7, 0],
        [5, 1],
      ],
    ],
  )
})

test('news that nothing goes with leaves by itself; one who waits for it has it at once', async (t) => {
  await using quick = await pair({ limits: { patienceMs: 1 } })
  quick.a.transport.send(2n, news(1n, 2n, 7))
  await quick.b.until(() => quick.b.received.length === 1)
  await using peers = await pair({ limits: { patienceMs: 3_600_000, askedMs: 3_600_000 } })
  const { a, b } = peers
  const commands = [Buffer.from('a write of a client of b')]
  const propose = { kind: 'propose', from: 2n, to: 1n, term: 3, commands } as const
  b.transport.send(1n, { kind: 'raft', message: propose })
  await a.until(() => a.received.length === 1)
  a.transport.send(2n, news(1n, 2n, 8))
  await b.until(() => b.received.length === 1)
  t.deepEqual(
    b.received.map(({ message }) => message),
    [news(1n, 2n, 8)],
  )
})

test('messages to nobody and to a member that is away are dropped without a word', async (t) => {
  await using a = await startPeer({ id: 1n })
  a.transport.send(2n, heartbeat(1n, 2n, 1))
  a.transport.setMembers([{ member: 2n, peerUrls: ['http://127.0.0.1:1'] }])
  await a.until(() => a.lines.length === 2)
  for (let count = 0; count < 10_000; count++) a.transport.send(2n, append(1n, 2n, 10_000))
  t.is(a.lines.length, 2)
  const reason = 'address=http://127.0.0.1:1 reason=.*ECONNREFUSED'
  const lines = a.lines.toSorted()
  t.regex(lines[0] ?? '', new RegExp(`^debug cannot reach a member member=2 lane=append ${reason}`))
  t.regex(lines[1] ?? '', new RegExp(`^warn cannot reach a member member=2 lane=control ${reason}`))
  t.is(a.transport.connected().size, 0)
})

test.serial(
  'a member that takes nothing is not waited for: what is over the bound is dropped, and said',
  async (t) => {
    await using proxied = await startPeer({ id: 2n })
    await using proxy = await startHalfOpenProxy(proxied.port)
    const limits = { unsentBytesMax: 1_000_000, keepaliveMs: 400 }
    await using a = await startPeer({ id: 1n, limits })
    a.transport.setMembers([{ member: 2n, peerUrls: [`http://127.0.0.1:${proxy.port}`] }])
    await a.connectedTo(2n)
    proxy.silence()
    const message = append(1n, 2n, 100_000)
    const before = process.memoryUsage().external
    for (let turn = 0; turn < 200; turn++) {
      for (let count = 0; count < 5; count++) a.transport.send(2n, message)
      await new Promise((resolve) => setImmediate(resolve))
    }
    t.true(
      process.memoryUsage().external - before < 30_000_000,
      'of 100 MB next to nothing is held',
    )
    t.true(
      a.lines.includes('warn dropping messages to a member that takes none member=2 lane=append'),
    )
  },
)

test('a member whose machine is gone without a word is noticed, and found again', async (t) => {
  await using b = await startPeer({ id: 2n })
  await using proxy = await startHalfOpenProxy(b.port)
  await using a = await startPeer({ id: 1n })
  a.transport.setMembers([{ member: 2n, peerUrls: [`http://127.0.0.1:${proxy.port}`] }])
  await a.connectedTo(2n)
  proxy.silence()
  await a.until(() => a.lines.some((line) => line.includes('lost the connection')))
  t.false(a.transport.connected().has(2n))
  // What accepts and never answers is given up too, again and again.
  const accepted = proxy.accepted()
  await a.until(() => a.lines.some((line) => line.includes('cannot reach a member')))
  proxy.heal()
  await a.connectedTo(2n)
  t.true(proxy.accepted() > accepted)
  a.transport.send(2n, heartbeat(1n, 2n, 7))
  await b.until(() => b.received.length === 1)
  // It has not said that nobody listens there.
  t.deepEqual(a.gone, [])
})

const FAILED = 'cannot reach a member'

test('a program that has ended is known to be gone, once each time, and one that never was is not', async (t) => {
  await using a = await startPeer({ id: 1n, limits: { reconnectMsMax: 20 } })
  const first = await startPeer({ id: 2n })
  const { port, url } = first
  introduce(a, first)
  await a.connectedTo(2n)
  await first[Symbol.asyncDispose]()
  await a.until(() => a.gone.length === 1 && a.lines.some((line) => line.includes(FAILED)))
  const second = await startPeer({ id: 2n, port })
  await a.connectedTo(2n)
  await second[Symbol.asyncDispose]()
  await a.until(() => a.gone.length === 2)
  a.transport.setMembers([{ member: 3n, peerUrls: [url] }])
  await a.until(() => a.lines.some((line) => line.includes(`${FAILED} member=3`)))
  t.deepEqual(a.gone, [2n, 2n])
})

test('a member with two addresses is gone when nobody listens at either', async (t) => {
  await using silent = await startHalfOpenProxy(0)
  silent.silence()
  const limits = { reconnectMsMax: 20, connectMs: 100 }
  await using a = await startPeer({ id: 1n, limits })
  for (const isGone of [false, true]) {
    const b = await startPeer({ id: 2n })
    a.transport.setMembers([])
    const before = a.lines.length
    const other = isGone ? b.url : `http://127.0.0.1:${silent.port}`
    a.transport.setMembers([{ member: 2n, peerUrls: [b.url, other] }])
    await a.connectedTo(2n)
    await b[Symbol.asyncDispose]()
    const said = (text: string): boolean =>
      a.lines.slice(before).some((line) => line.includes(text) && line.includes('lane=control'))
    await a.until(() => (isGone ? a.gone.length > 0 : said('no answer') && said('ECONNREFUSED')))
    t.deepEqual(a.gone, isGone ? [2n] : [])
  }
})

test('a member that comes back is connected to at once, not when the wait is over', async (t) => {
  await using a = await startPeer({ id: 1n, limits: { reconnectMsMax: 3_600_000 } })
  const first = await startPeer({ id: 2n })
  introduce(a, first)
  await Promise.all([a.connectedTo(2n), first.connectedTo(1n)])
  const { port } = first
  await first[Symbol.asyncDispose]()
  await a.until(() => a.lines.filter((line) => line.includes('lost the')).length === 2)
  await using second = await startPeer({ id: 2n, port })
  introduce(a, second)
  await a.connectedTo(2n)
  t.pass()
})

// ── Who may ──────────────────────────────────────────────────────────────────────────────────────

test('a member of another cluster is refused, and both sides say why', async (t) => {
  await using a = await startPeer({ id: 1n, clusterId: 0xabcn })
  await using b = await startPeer({ id: 2n, clusterId: 0xdefn })
  introduce(a, b)
  const reason = 'this member is of cluster def, not of abc'
  await a.until(() => a.lines.filter((line) => line.includes(reason)).length === 2)
  t.regex(
    a.lines.join('\n'),
    new RegExp(`error a member refuses this one member=2 lane=control .*${reason}`),
  )
  t.true(b.lines.includes(`warn refused a member from=1 details=${reason}`))
  a.transport.send(2n, heartbeat(1n, 2n, 1))
  t.is(a.transport.connected().size, 0)
  t.deepEqual(b.received, [])
})

test('a member that is not the one meant is refused', async (t) => {
  await using a = await startPeer({ id: 1n })
  await using b = await startPeer({ id: 2n })
  a.transport.setMembers([{ member: 3n, peerUrls: [b.url] }])
  await a.until(() => a.lines.some((line) => line.includes('this is member 2, not 3')))
  t.is(a.transport.connected().size, 0)
})

test('a member that was removed is told so, in the middle of what it says too', async (t) => {
  await using peers = await pair()
  const { a, b } = peers
  b.removed.add(1n)
  a.transport.send(2n, heartbeat(1n, 2n, 1))
  await a.until(() => a.removedBy.has(2n))
  t.deepEqual(b.received, [])
  await b.until(() =>
    b.lines.some((line) => line.includes('member 1 was removed from the cluster')),
  )
})

test('nobody speaks for another: messages that name another sender or receiver are not taken', async (t) => {
  await using peers = await pair()
  const { a, b } = peers
  a.transport.send(2n, heartbeat(9n, 2n, 1))
  a.transport.send(2n, heartbeat(1n, 9n, 2))
  a.transport.send(2n, heartbeat(1n, 2n, 3))
  await b.until(() => b.received.length > 0)
  t.deepEqual(
    b.received.map(({ message }) => message),
    [heartbeat(1n, 2n, 3)],
  )
})

/** Connects as any program could that is no member; gives the kinds of what is answered, and the end. */
async function speak(
  port: number,
  bytes: Uint8Array,
): Promise<{ readonly kinds: readonly number[]; readonly end: ReturnType<typeof readEnd> }> {
  const socket = connect(port, '127.0.0.1')
  const kinds: number[] = []
  let end = { code: -1, details: '' }
  const read = createRecordReader({ hasMagic: false, payloadBytesMax: 1_000 }, (kind, payload) => {
    kinds.push(kind)
    if (kind === RECORD.end) end = readEnd(payload)
  })
  socket.on('data', read)
  socket.on('error', () => undefined)
  socket.write(bytes)
  await once(socket, 'close')
  return { kinds, end }
}

type Record = readonly [kind: number, payload: Uint8Array]

/** The bytes of records, with what comes in front of them. */
function bytesOf(...records: Record[]): Buffer {
  const written: Uint8Array[] = [PEER_MAGIC]
  const sink = { write: (bytes: Uint8Array) => written.push(bytes) > 0, cork() {}, uncork() {} }
  for (const [kind, payload] of records) writeRecord(sink, kind, payload)
  return Buffer.concat(written)
}

/** No frame of the codec. */
const BAD = Buffer.from('0affff', 'hex')

test('whoever does not greet as a member is refused, and damaged frames end only their connection', async (t) => {
  await using b = await startPeer({ id: 2n })
  const good = greetingText({ clusterId: CLUSTER, memberId: 1n }, 2n)
  const said = (text: string) => [RECORD.hello, Buffer.from(text)] as const
  const ends = async (...records: Parameters<typeof bytesOf>) =>
    (await speak(b.port, bytesOf(...records))).end
  t.like(await ends(said('')), { code: 3, details: 'only members may call this' })
  t.like(await ends(said(good.replace(/from: 1/, 'from: zz'))), { code: 3 })
  const speaks = (range: string) => said(good.replace(/hakiri-protocol: .*/s, range))
  // As before there was a range: the newest is the oldest.
  t.like(await ends(speaks('hakiri-protocol: 0')), {
    code: 9,
    details: 'the member speaks protocol 0, this one 1 to 2: start the same Hakiri on both',
  })
  t.like(await ends(speaks('hakiri-protocol: 4\nhakiri-protocol-min: 3')), { code: 9 })
  t.like(await ends(speaks('hakiri-protocol: 4\nhakiri-protocol-min: 5')), { code: 3 })
  for (const range of ['hakiri-protocol: 1', 'hakiri-protocol: 4\nhakiri-protocol-min: 2']) {
    const { kinds } = await speak(b.port, bytesOf(speaks(range), [RECORD.frame, BAD]))
    t.deepEqual(kinds, [RECORD.hello, RECORD.end], range)
  }
  const damaged = [RECORD.frame, BAD] as const
  t.like(await ends(said(good), damaged), { code: 13, details: 'a frame is damaged' })
  const [huge, fine] = [Buffer.from('7fffffff02', 'hex'), bytesOf(said(good))]
  t.like((await speak(b.port, Buffer.concat([fine, huge]))).end, {
    code: 13,
    details: 'a record of 2147483647 bytes is too large',
  })
  // A frame before the greeting is not looked at, nor is a kind that is not known.
  const other = [99, Buffer.from('any')] as const
  const { kinds } = await speak(b.port, bytesOf(damaged, other, said(good), other, damaged))
  t.deepEqual(kinds, [RECORD.hello, RECORD.end])
  t.deepEqual(b.received, [])
})

test('records come out of chunks of any size as they went in', (t) => {
  const record = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 60 }))
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1 }),
      (records, sizes) => {
        const bytes = bytesOf(...records)
        const out: [number, string][] = []
        const read = createRecordReader(
          { hasMagic: true, payloadBytesMax: 60 },
          (kind, payload) => void out.push([kind, payload.toString('hex')]),
        )
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length]!
          t.is(read(bytes.subarray(at, at + size)), undefined)
          at += size
        }
        t.deepEqual(
          out,
          records.map(([kind, payload]) => [kind, Buffer.from(payload).toString('hex')]),
        )
      },
    ),
  )
})

test('before the node is there, others are told to come back', async (t) => {
  const network = createPeerNetwork({
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    logger: silentLogger,
  })
  const server = createServer(network.accept)
  t.teardown(() => void server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const text = greetingText({ clusterId: CLUSTER, memberId: 1n }, 2n)
  const { end } = await speak(port, bytesOf([RECORD.hello, Buffer.from(text)]))
  t.deepEqual(end, { code: 14, details: 'this member is not ready' })
})

test('members that leave the list are closed, those that move are followed, and closing ends all', async (t) => {
  await using peers = await pair()
  const { a, b } = peers
  a.transport.setMembers([{ member: 1n, peerUrls: [a.url] }])
  t.is(a.transport.connected().size, 0)
  await using moved = await startPeer({ id: 2n })
  a.transport.setMembers([{ member: 2n, peerUrls: ['http://127.0.0.1:1', moved.url] }])
  await a.connectedTo(2n)
  a.transport.send(2n, heartbeat(1n, 2n, 1))
  await moved.until(() => moved.received.length === 1)
  t.is(b.received.length, 0)
  await a.transport.close()
  a.transport.setMembers([{ member: 2n, peerUrls: [moved.url] }])
  a.transport.send(2n, heartbeat(1n, 2n, 2))
  t.is(a.transport.connected().size, 0)
})

// ── Snapshots ────────────────────────────────────────────────────────────────────────────────────

async function digestOf(records: AsyncIterable<readonly ImageRecord[]>): Promise<string> {
  const hash = createHash('sha1')
  for await (const portion of records)
    for (const { key, value } of portion) hash.update(key).update(value)
  return hash.digest('hex')
}

async function* portions(
  ...all: readonly (readonly ImageRecord[])[]
): AsyncGenerator<readonly ImageRecord[]> {
  yield* all
}

test('records come out of parts of any size as they went in', async (t) => {
  const record = fc.record({
    key: fc.uint8Array({ maxLength: 40 }),
    value: fc.uint8Array({ maxLength: 200 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(record, { maxLength: 5 }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 300 }),
      async (all, size) => {
        const hash = createHash('sha256')
        const chunks: { data: Uint8Array; digest: Uint8Array; totalBytes: number }[] = []
        let totalBytes = 0
        for await (const data of pack(portions(...all), size)) {
          hash.update(data)
          totalBytes += data.length
          chunks.push({ data, digest: Buffer.alloc(0), totalBytes: 0 })
        }
        t.true(chunks.slice(0, -1).every(({ data }) => data.length === size))
        chunks.push({ data: Buffer.alloc(0), digest: hash.digest(), totalBytes })
        const out: ImageRecord[] = []
        for await (const some of unpack(iterate(chunks), DEFAULT_PEER_LIMITS)) out.push(...some)
        const plain = (items: readonly ImageRecord[]): string[][] =>
          items.map(({ key, value }) =>
            [key, value].map((part) => Buffer.from(part).toString('hex')),
          )
        t.deepEqual(plain(out), plain(all.flat()))
      },
    ),
    { numRuns: 100 },
  )
})

async function* iterate<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

test('a snapshot that lacks a part, has a changed byte, no end or a huge record is refused', async (t) => {
  const parts: Buffer[] = []
  for await (const part of pack(viewOf(40, 100).records(AbortSignal.abort()), 500)) parts.push(part)
  const data = Buffer.concat(parts)
  const digest: Buffer = createHash('sha256').update(data).digest()
  const none: Buffer = Buffer.alloc(0)
  const end = { data: none, digest, totalBytes: data.length }
  const chunksOf = (items: readonly Buffer[]) =>
    items.map((item) => ({ data: item, digest: none, totalBytes: 0 }))
  const taken = async (chunks: readonly (typeof end)[]): Promise<string> => {
    try {
      return await digestOf(unpack(iterate(chunks), DEFAULT_PEER_LIMITS))
    } catch (error) {
      return error instanceof Error ? error.message : ''
    }
  }
  const whole = [...chunksOf(parts), end]
  t.is(await taken(whole), await digestOf(viewOf(40, 100).records(AbortSignal.abort())))
  t.regex(await taken(whole.toSpliced(3, 1)), /damaged/)
  t.regex(await taken(whole.slice(0, -1)), /ends before its digest/)
  const changed = Buffer.from(parts[2] ?? none)
  changed[100] = (changed[100] ?? 0) ^ 1
  t.regex(await taken([...chunksOf(parts.toSpliced(2, 1, changed)), end]), /damaged/)
  t.regex(await taken(chunksOf([Buffer.alloc(100, 0xff)])), /too large/)
})

test('a large snapshot arrives whole, and heartbeats pass it by', async (t) => {
  let digest = ''
  let message: SnapshotMessage | undefined
  let passedBy = 0
  await using peers = await pair(
    {},
    {
      takeSnapshot: async (first, records) => {
        message = first
        digest = await digestOf(records)
        passedBy = peers.b.received.length
        return true
      },
    },
  )
  const { a, b } = peers
  const view = viewOf(4_000, 20_000)
  let context = 0
  const beat = setInterval(() => a.transport.send(2n, heartbeat(1n, 2n, ++context)), 10)
  t.true(await a.transport.sendSnapshot(2n, snapshotTo(2n), view, AbortSignal.timeout(60_000)))
  clearInterval(beat)
  await b.until(() => b.received.length === context)
  t.is(digest, await digestOf(viewOf(4_000, 20_000).records(AbortSignal.abort())))
  t.deepEqual(message, { ...snapshotTo(2n), mark: view.mark })
  t.log(`${passedBy} of ${context} heartbeats had passed 80 MB before its end`)
  t.true(passedBy >= 5)
})

test('a slow receiver slows the sender down, and holds only a few parts', async (t) => {
  const { promise: gate, resolve: go } = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  await using peers = await pair(
    {},
    {
      takeSnapshot: async (_message, records) => {
        begun.resolve()
        await gate
        await digestOf(records)
        return true
      },
    },
  )
  const view = viewOf(3_000, 20_000)
  const sending = peers.a.transport.sendSnapshot(
    2n,
    snapshotTo(2n),
    view,
    new AbortController().signal,
  )
  await begun.promise
  // Far more turns than 60 MB would take if nothing held them back.
  for (let turn = 0; turn < 5_000; turn++) await new Promise((resolve) => setImmediate(resolve))
  const held = view.readBytes()
  t.true(held < 10_000_000, `${held} bytes are on their way`)
  t.is(
    await peers.a.transport.sendSnapshot(2n, snapshotTo(2n), viewOf(1, 1), AbortSignal.abort()),
    false,
  )
  go()
  t.true(await sending)
  t.is(view.readBytes(), 60_000_000)
})

test('a snapshot that the node does not want, or that is given up, is no snapshot', async (t) => {
  const outcomes: string[] = []
  const ended = Promise.withResolvers<void>()
  const answers = [
    () => Promise.resolve(false),
    () => Promise.reject(new Error('no room')),
    (records: AsyncIterable<readonly ImageRecord[]>) =>
      digestOf(records).then(
        () => true,
        (error: unknown) => {
          outcomes.push(String(error))
          ended.resolve()
          throw error
        },
      ),
  ]
  await using peers = await pair(
    {},
    { takeSnapshot: (_message, records) => answers.shift()?.(records) ?? Promise.resolve(true) },
  )
  const { a, b } = peers
  const never = new AbortController().signal
  t.false(await a.transport.sendSnapshot(2n, snapshotTo(2n), viewOf(500, 20_000), never))
  t.false(await a.transport.sendSnapshot(2n, snapshotTo(2n), viewOf(500, 20_000), never))
  t.true(a.lines.some((line) => line.includes('reason=no room')))
  const stop = new AbortController()
  const view = viewOf(50_000, 20_000)
  const sending = a.transport.sendSnapshot(
    2n,
    snapshotTo(2n),
    { ...view, records: stopping(view, stop) },
    stop.signal,
  )
  t.false(await sending)
  await ended.promise
  t.is(outcomes.length, 1)
  t.true(
    await a.transport.sendSnapshot(2n, snapshotTo(2n), viewOf(10, 10), never),
    'the next one passes',
  )
  t.is(b.transport.connected().size, 1)
})

/** The view of `view`, during which the sender gives up. */
function stopping(view: ReturnType<typeof viewOf>, stop: AbortController): typeof view.records {
  return async function* (signal) {
    let count = 0
    for await (const records of view.records(signal)) {
      if (++count === 100) stop.abort()
      yield records
    }
  }
}

test('a view that cannot be read, and a member that is not there, give false', async (t) => {
  const taken = Promise.withResolvers<unknown>()
  await using peers = await pair(
    {},
    {
      takeSnapshot: (_message, records) =>
        digestOf(records).then(
          () => true,
          (error: unknown) => {
            taken.resolve(error)
            throw error
          },
        ),
    },
  )
  const { a } = peers
  const view = viewOf(100, 1_000)
  const broken = {
    ...view,
    records: async function* () {
      yield [recordOf(1, 2_000_000)]
      throw new Error('a bad sector')
    },
  }
  const never = new AbortController().signal
  t.false(await a.transport.sendSnapshot(2n, snapshotTo(2n), broken, never))
  t.true(a.lines.some((line) => line.includes('a bad sector')))
  t.true((await taken.promise) instanceof Error)
  t.false(await a.transport.sendSnapshot(7n, snapshotTo(7n), view, never))
})

test('a snapshot whose other end falls silent is given up on both ends', async (t) => {
  const limits = { snapshotStallMs: 200, keepaliveMs: 60_000 }
  const failed = Promise.withResolvers<unknown>()
  await using b = await startPeer({
    id: 2n,
    limits,
    takeSnapshot: (_message, records) =>
      digestOf(records).then(
        () => true,
        (error: unknown) => {
          failed.resolve(error)
          throw error
        },
      ),
  })
  await using proxy = await startHalfOpenProxy(b.port)
  await using a = await startPeer({ id: 1n, limits })
  a.transport.setMembers([{ member: 2n, peerUrls: [`http://127.0.0.1:${proxy.port}`] }])
  await a.connectedTo(2n)
  const view = viewOf(100_000, 20_000)
  const records = async function* (signal: AbortSignal): AsyncGenerator<readonly ImageRecord[]> {
    let count = 0
    for await (const some of view.records(signal)) {
      if (++count === 50) proxy.silence()
      yield some
    }
  }
  const never = new AbortController().signal
  t.false(await a.transport.sendSnapshot(2n, snapshotTo(2n), { ...view, records }, never))
  t.true((await failed.promise) instanceof Error)
})

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

async function tlsFor(
  t: ExecutionContext,
  name: string,
  authority: Authority,
): Promise<TlsSource & { trust(...authorities: readonly Authority[]): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-peers-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const { certificate, key } = createIdentity(authority, name)
  const files = { cert: join(folder, 'cert'), key: join(folder, 'key'), ca: join(folder, 'ca') }
  await writeFile(files.cert, certificate)
  await writeFile(files.key, key)
  const bundle = (...all: readonly Authority[]): string =>
    all.map((item) => item.certificate).join('')
  await writeFile(files.ca, bundle(authority))
  const source = await openTls({ files, scheduler: systemScheduler, logger: silentLogger })
  t.teardown(() => source[Symbol.dispose]())
  const trust = async (...authorities: readonly Authority[]): Promise<void> => {
    const taken = new Promise<void>((resolve) => {
      source.onChange(() => {
        if (source.current().ca?.toString() === bundle(...authorities)) resolve()
      })
    })
    await writeFile(files.ca, bundle(...authorities))
    await taken
  }
  return { ...source, trust }
}

test('members prove themselves with certificates; one of another authority stays out until the bundle has it', async (t) => {
  const [one, two] = [createAuthority('One'), createAuthority('Two')]
  const [tlsA, tlsB] = [await tlsFor(t, 'a', one), await tlsFor(t, 'b', one)]
  const tlsC = await tlsFor(t, 'c', two)
  await using peers = await pair({ tls: tlsA }, { tls: tlsB })
  const { a, b } = peers
  await using c = await startPeer({ id: 3n, tls: tlsC, limits: { reconnectMsMax: 100 } })
  introduce(a, b, c)
  await c.until(() => c.lines.some((line) => line.includes('cannot reach a member')))
  t.is(c.transport.connected().size, 0)

  const lost = (): number =>
    [...a.lines, ...b.lines].filter((line) => line.includes('lost the')).length
  for (const tls of [tlsA, tlsB, tlsC]) await tls.trust(one, two)
  await Promise.all([a.connectedTo(3n), c.connectedTo(1n), c.connectedTo(2n), b.connectedTo(3n)])
  t.is(lost(), 0, 'the connections between the others never broke')
  a.transport.send(3n, heartbeat(1n, 3n, 1))
  c.transport.send(1n, heartbeat(3n, 1n, 2))
  await Promise.all([
    c.until(() => c.received.length === 1),
    a.until(() => a.received.some(({ from }) => from === 3n)),
  ])
})

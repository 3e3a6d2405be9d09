/** Whole nodes on real disks, in one process: what was acknowledged survives ends of every kind. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { systemClock, systemRandom, systemScheduler } from '../../lib/system/clock.ts'
import { HakiriError } from '../../lib/error.ts'
import { openImage } from '../image/level-image.ts'
import type { ImageView } from '../image/image.ts'
import type { KvCommand, PutRequest } from '../kv/types.ts'
import type { MemberId } from '../raft/types.ts'
import { createWal, openWal } from '../wal/log.ts'
import type { Wal } from '../wal/wal.ts'
import type { WalDisk, WalFile } from '../wal/disk.ts'
import { openFolderDisk } from '../wal/folder-disk.ts'
import { NodeError } from './node.ts'
import { openNode } from './open.ts'
import type { Boot, NodeOptions, NodeStorage, OpenedNode } from './options.ts'
import type { OpenTransport, PeerInbox, PeerMessage, Transport } from './transport.ts'

const NEVER = new AbortController().signal

/** A network within the process; a member that is cut off neither sends nor receives. */
type Net = {
  readonly open: OpenTransport
  readonly cut: Set<MemberId>
  readonly installs: MemberId[]
}

function createNet(): Net {
  const inboxes = new Map<MemberId, PeerInbox>()
  const cut = new Set<MemberId>()
  const installs: MemberId[] = []
  const open: OpenTransport = (inbox, { memberId }) => {
    inboxes.set(memberId, inbox)
    const reach = (to: MemberId): PeerInbox | undefined =>
      cut.has(memberId) || cut.has(to) || inboxes.get(memberId) !== inbox
        ? undefined
        : inboxes.get(to)
    const transport: Transport = {
      setMembers: () => undefined,
      send(to: MemberId, message: PeerMessage) {
        setImmediate(() => reach(to)?.receive(memberId, message))
      },
      async sendSnapshot(to, message, view: ImageView, signal) {
        if (message.kind !== 'snapshot') return false
        const isTaken = await reach(to)?.receiveSnapshot(memberId, message, view.records(signal))
        if (isTaken) installs.push(to)
        return isTaken ?? false
      },
      connected: () => new Set(inboxes.keys()),
      close() {
        if (inboxes.get(memberId) === inbox) inboxes.delete(memberId)
        return Promise.resolve()
      },
    }
    return transport
  }
  return { open, cut, installs }
}

type Lines = { readonly lines: string[] }

function storageIn(folder: string, disk?: () => Promise<WalDisk>): NodeStorage {
  const log = join(folder, 'log')
  const parts = async (): Promise<{
    folder: string
    clock: typeof systemClock
    disk?: WalDisk
  }> => ({
    folder: log,
    clock: systemClock,
    ...(disk && { disk: await disk() }),
  })
  return {
    openWal: async (identity, observer) => openWal({ ...(await parts()), identity, observer }),
    createWal: async (identity, start, observer) =>
      createWal({ ...(await parts()), identity, start, observer }),
    openImage: () => openImage({ folder: join(folder, 'image') }),
  }
}

function optionsFor(
  folder: string,
  boot: Boot,
  net: Net,
  more: Partial<NodeOptions> & Partial<Lines> = {},
): NodeOptions {
  const { lines, ...rest } = more
  return {
    folder,
    boot,
    attributes: { name: boot.kind === 'form' ? boot.self : 'new', clientUrls: ['http://c:1'] },
    storage: storageIn(folder),
    openTransport: net.open,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    logger: { log: (_level, message) => void lines?.push(message) },
    heartbeatMs: 20,
    electionMs: 200,
    ...rest,
  }
}

async function newFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-node-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const ALONE: Boot = { kind: 'form', token: 't', peerUrls: ['http://a:1'], self: 'http://a:1' }

function put(key: string, value: string, lease = 0n): KvCommand {
  const request: PutRequest = {
    key: Buffer.from(key),
    value: Buffer.from(value),
    lease,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }
  return { kind: 'put', request }
}

function valueAt(node: OpenedNode, key: string): string | undefined {
  const found = node.store.keyAt(Buffer.from(key), node.store.revision)
  return found && Buffer.from(found.value).toString()
}

/** Writes until it is acknowledged: a leader may still have to be found. */
async function surelyPut(node: OpenedNode, key: string, value: string): Promise<void> {
  for (;;) {
    try {
      await node.propose(put(key, value), NEVER)
      return
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
    }
  }
}

async function stop(node: OpenedNode): Promise<void> {
  await node.stop(AbortSignal.timeout(5_000))
}

test('a node of one writes, reads, leases and watches, and knows it all after a restart', async (t) => {
  const folder = await newFolder(t)
  const net = createNet()
  const node = await openNode(optionsFor(folder, ALONE, net))
  const seen: string[] = []
  const stream = node.watch(() => {
    for (let given = stream.take(1 << 20); given; given = stream.take(1 << 20))
      for (const { kv } of given.events) seen.push(Buffer.from(kv.value).toString())
  })
  stream.create({
    key: Buffer.from('a'),
    rangeEnd: new Uint8Array(0),
    startRevision: 0,
    withPrevKv: false,
    skipPuts: false,
    skipDeletes: false,
    progressNotify: false,
    watchId: 0,
  })
  stream.take(1)
  await node.propose({ kind: 'lease-grant', request: { id: 7n, ttl: 60 } }, NEVER)
  const { revision } = await node.propose(put('a', '1', 7n), NEVER)
  await node.propose(put('a', '2', 7n), NEVER)
  await node.linearize(NEVER)
  t.is(valueAt(node, 'a'), '2')
  t.like(await node.renew(7n, NEVER), { ttl: 60 })
  t.is((await node.timeToLive(7n, NEVER)).record?.ttl, 60)
  t.is((await node.timeToLive(8n, NEVER)).ttl, -1)
  t.deepEqual(seen, ['1', '2'])
  t.like(node.status(), { role: 'leader', isLearner: false, errors: [] })
  const hash = node.store.hash(0)
  await stop(node)
  await t.throwsAsync(node.propose(put('a', '3'), NEVER), { message: 'stopped' })

  const again = await openNode(optionsFor(folder, ALONE, net))
  await again.linearize(NEVER)
  t.deepEqual(again.store.hash(0), hash)
  t.is(again.store.revision, revision + 1)
  t.is(again.store.lease(7n)?.ttl, 60)
  t.is(again.memberId, node.memberId)
  await stop(again)
})

test('many writes at once are all answered in the order of their revisions', async (t) => {
  const node = await openNode(optionsFor(await newFolder(t), ALONE, createNet()))
  await surelyPut(node, 'first', '')
  const answers = await Promise.all(
    Array.from({ length: 2000 }, (_, n) => node.propose(put(`k${n}`, 'v'), NEVER)),
  )
  t.deepEqual(
    answers.map(({ revision }) => revision),
    answers.map((_, n) => n + 3),
  )
  await stop(node)
})

type Trio = {
  readonly nodes: OpenedNode[]
  readonly folders: readonly string[]
  readonly net: Net
  open(position: number): Promise<OpenedNode>
}

async function openTrio(
  t: ExecutionContext,
  more: Partial<NodeOptions> = {},
  around: (storage: NodeStorage) => NodeStorage = (storage) => storage,
): Promise<Trio> {
  const net = createNet()
  const peerUrls = ['http://a:1', 'http://b:1', 'http://c:1']
  const folders = await Promise.all(peerUrls.map(() => newFolder(t)))
  const open = (position: number): Promise<OpenedNode> => {
    const self = peerUrls[position] as string
    const boot: Boot = { kind: 'form', token: 't', peerUrls, self }
    const folder = folders[position] as string
    const storage = around(storageIn(folder))
    return openNode(optionsFor(folder, boot, net, { ...more, storage }))
  }
  return { nodes: await Promise.all([0, 1, 2].map(open)), folders, net, open }
}

function leaderIn(nodes: readonly OpenedNode[]): OpenedNode | undefined {
  return nodes.find((node) => node.status().role === 'leader')
}

async function leaderOf(nodes: readonly OpenedNode[]): Promise<OpenedNode> {
  for (;;) {
    const leader = leaderIn(nodes)
    if (leader) return leader
    await systemClock.sleep(10)
  }
}

test('three nodes form a cluster by themselves; any of them takes any request', async (t) => {
  const { nodes } = await openTrio(t)
  for (const [n, node] of nodes.entries()) await surelyPut(node, `k${n}`, 'v')
  await nodes[0]?.propose({ kind: 'lease-grant', request: { id: 7n, ttl: 60 } }, NEVER)
  for (const node of nodes) {
    await node.linearize(NEVER)
    for (const key of ['k0', 'k1', 'k2']) t.is(valueAt(node, key), 'v')
    t.like(await node.renew(7n, NEVER), { ttl: 60 })
    t.is((await node.timeToLive(7n, NEVER)).record?.ttl, 60)
    t.is(node.clusterId, (nodes[0] as OpenedNode).clusterId)
  }
  t.is(new Set(nodes.map(({ memberId }) => memberId)).size, 3)
  await Promise.all(nodes.map(stop))
})

test('no acknowledged write is lost while members stop and come back in turn', async (t) => {
  const trio = await openTrio(t)
  const { nodes } = trio
  await surelyPut(nodes[0] as OpenedNode, 'first', 'v')
  let written = 0
  for (let round = 0; round < 6; round++) {
    const victim = round % 3
    const other = nodes[(victim + 1) % 3] as OpenedNode
    const writing = Promise.all(
      Array.from({ length: 20 }, (_, n) => surelyPut(other, `r${round}-${n}`, 'v')),
    )
    if (round % 2 === 0) await stop(nodes[victim] as OpenedNode)
    else {
      // Cut off, it ends without handing anything over.
      trio.net.cut.add((nodes[victim] as OpenedNode).memberId)
      await (nodes[victim] as OpenedNode).stop(AbortSignal.abort())
      trio.net.cut.clear()
    }
    await writing
    written += 20
    nodes[victim] = await trio.open(victim)
  }
  for (const node of nodes) await node.linearize(NEVER)
  for (const node of nodes)
    for (let round = 0; round < 6; round++)
      for (let n = 0; n < 20; n++) t.is(valueAt(node, `r${round}-${n}`), 'v')
  t.is(written, 120)
  t.deepEqual(nodes[1]?.store.hash(0), nodes[0]?.store.hash(0))
  t.deepEqual(nodes[2]?.store.hash(0), nodes[0]?.store.hash(0))
  await Promise.all(nodes.map(stop))
})

test('a clean stop hands leadership over before it ends', async (t) => {
  const { nodes } = await openTrio(t)
  const leader = await leaderOf(nodes)
  await surelyPut(leader, 'a', '1')
  const rest = nodes.filter((node) => node !== leader)
  const term = leader.header().raftTerm
  await stop(leader)
  const next = leaderIn(rest)
  t.truthy(next)
  t.is(next?.header().raftTerm, term + 1)
  await Promise.all(rest.map(stop))
})

/** Notes when an image is installed whole, and when the log begins anew behind it. */
function inOrder(storage: NodeStorage, order: string[]): NodeStorage {
  return {
    ...storage,
    async openWal(identity, observer) {
      const opened = await storage.openWal(identity, observer)
      if (!opened) return undefined
      const { wal } = opened
      const append: Wal['append'] = (batch) => {
        if (batch.mark) order.push('log begins anew')
        return wal.append(batch)
      }
      return { ...opened, wal: { ...wal, append } }
    },
    async openImage() {
      const image = await storage.openImage()
      const install = image.install.bind(image)
      image.install = async (mark, records) => {
        await install(mark, records)
        order.push('installed')
      }
      return image
    },
  }
}

test('a member that was away too long is brought up by an image', async (t) => {
  const tuning = { keepEntries: 20, imageEntries: 10, imageMs: 20 }
  const order: string[] = []
  const trio = await openTrio(t, { tuning }, (storage) => inOrder(storage, order))
  const { nodes, net } = trio
  await surelyPut(nodes[0] as OpenedNode, 'first', 'v')
  const leader = await leaderOf(nodes)
  const away = nodes.findIndex((node) => node !== leader)
  const { memberId } = nodes[away] as OpenedNode
  await stop(nodes[away] as OpenedNode)
  for (let n = 0; n < 200; n++) await surelyPut(leader, `k${n}`, 'v')
  nodes[away] = await trio.open(away)
  const back = nodes[away]
  await surelyPut(back, 'last', 'v')
  t.deepEqual(net.installs, [memberId])
  t.deepEqual(order, ['installed', 'log begins anew'])
  for (let n = 0; n < 200; n++) t.is(valueAt(back, `k${n}`), 'v')
  await stop(back)
  nodes[away] = await trio.open(away)
  await nodes[away].linearize(NEVER)
  t.deepEqual(nodes[away].store.hash(0), leader.store.hash(0))
  await Promise.all(nodes.map(stop))
})

test('a new member joins by its first image and takes part', async (t) => {
  const { nodes, net } = await openTrio(t, { tuning: { promoteAfterMs: 50 } })
  const [first] = nodes as [OpenedNode]
  await surelyPut(first, 'a', '1')
  const added = await first.memberAdd(['http://d:1'], true, NEVER)
  t.true(added.isLearner)
  await t.throwsAsync(first.memberAdd(['http://d:1'], true, NEVER), { message: 'peer-urls-exist' })
  const boot: Boot = {
    kind: 'join',
    clusterId: first.clusterId,
    memberId: added.id,
    members: first.members(),
  }
  const joined = await openNode(optionsFor(await newFolder(t), boot, net))
  while (joined.status().isLearner) await systemClock.sleep(10)
  await joined.propose(put('b', '2'), NEVER)
  t.is(valueAt(joined, 'a'), '1')
  t.is(joined.members().length, 4)
  await first.memberRemove(joined.memberId, NEVER)
  t.is(first.members().length, 3)
  await Promise.all([...nodes, joined].map(stop))
})

test('a new member joins while the image lags behind what is applied, as it does under writes', async (t) => {
  const lines: string[] = []
  // Never written after the first: what is applied stays ahead of it, however long one waits.
  const tuning = { imageEntries: 1_000_000, imageMs: 3_600_000, promoteAfterMs: 50 }
  const { nodes, net } = await openTrio(t, {
    tuning,
    logger: { log: (_, line) => lines.push(line) },
  })
  const [first] = nodes as [OpenedNode]
  await surelyPut(first, 'a', '1')
  const { id: memberId } = await first.memberAdd(['http://d:1'], true, NEVER)
  const { clusterId } = first
  const boot: Boot = { kind: 'join', clusterId, memberId, members: first.members() }
  const joined = await openNode(optionsFor(await newFolder(t), boot, net))
  const deadline = systemClock.monotonic() + 10_000
  while (joined.status().isLearner && systemClock.monotonic() < deadline)
    await systemClock.sleep(10)
  t.deepEqual(net.installs, [memberId])
  t.false(joined.status().isLearner)
  t.is(valueAt(joined, 'a'), '1')
  t.false(lines.includes('a snapshot could not be sent'))
  await Promise.all([...nodes, joined].map(stop))
})

test('a member whose folder was emptied is told what to run', async (t) => {
  const trio = await openTrio(t)
  const { nodes, folders } = trio
  await surelyPut(nodes[0] as OpenedNode, 'a', '1')
  await stop(nodes[2] as OpenedNode)
  await rm(folders[2] as string, { recursive: true })
  const lost = await trio.open(2)
  const error = await t.throwsAsync(lost.failed, { instanceOf: HakiriError })
  t.is(error.code, 'MEMBER_LOST_DISK')
  t.regex(error.suggestion ?? '', /hakiri ctl member replace/)
  t.is(lost.status().role, 'follower')
  await Promise.all([nodes[0] as OpenedNode, nodes[1] as OpenedNode, lost].map(stop))
})

test('a folder that lost its log or its image is refused', async (t) => {
  for (const lost of ['log', 'image']) {
    const folder = await newFolder(t)
    const node = await openNode(optionsFor(folder, ALONE, createNet()))
    await surelyPut(node, 'a', '1')
    await stop(node)
    await rm(join(folder, lost), { recursive: true })
    const opening = openNode(optionsFor(folder, ALONE, createNet()))
    await t.throwsAsync(opening, { message: new RegExp(`has lost its ${lost}`) })
  }
})

test('a first start that was cut short anywhere is taken up', async (t) => {
  const folder = await newFolder(t)
  const node = await openNode(optionsFor(folder, ALONE, createNet()))
  await stop(node)
  const path = join(folder, 'member.json')
  const { isComplete, ...rest } = JSON.parse(await readFile(path, 'utf8')) as { isComplete: true }
  t.true(isComplete)
  await writeFile(path, JSON.stringify({ ...rest, isComplete: false }))
  await rm(join(folder, 'log'), { recursive: true })
  const again = await openNode(optionsFor(folder, ALONE, createNet()))
  await surelyPut(again, 'a', '1')
  t.is(again.memberId, node.memberId)
  await stop(again)
})

test('a log that cannot be synced ends the node and fails what waits', async (t) => {
  const folder = await newFolder(t)
  let isBroken = false
  const disk = async (): Promise<WalDisk> => {
    const real = await openFolderDisk(join(folder, 'log'))
    return {
      ...real,
      async open(...name: Parameters<WalDisk['open']>) {
        const file = await real.open(...name)
        return breakable(file, () => isBroken)
      },
      async create(...name: Parameters<WalDisk['create']>) {
        const file = await real.create(...name)
        return breakable(file, () => isBroken)
      },
    }
  }
  const storage = storageIn(folder, disk)
  const node = await openNode(optionsFor(folder, ALONE, createNet(), { storage }))
  await surelyPut(node, 'a', '1')
  isBroken = true
  await t.throwsAsync(node.propose(put('a', '2'), NEVER), { message: 'stopped' })
  const error = await t.throwsAsync(node.failed, { instanceOf: HakiriError })
  t.is(error.code, 'DISK_FAILED')
  await stop(node)
  isBroken = false
  const again = await openNode(optionsFor(folder, ALONE, createNet(), { storage }))
  await again.linearize(NEVER)
  t.is(valueAt(again, 'a')?.length, 1)
  await stop(again)
})

function breakable(file: WalFile, isBroken: () => boolean): WalFile {
  return {
    ...file,
    async append(bytes, offset) {
      if (isBroken()) throw Object.assign(new Error('i/o error'), { code: 'EIO' })
      await file.append(bytes, offset)
    },
  }
}

test('a snapshot for a client holds all that was acknowledged before it', async (t) => {
  const node = await openNode(optionsFor(await newFolder(t), ALONE, createNet()))
  for (let n = 0; n < 50; n++) await surelyPut(node, `k${n}`, 'v')
  await using view = await node.snapshot()
  let bytes = ''
  for await (const portion of view.records(NEVER))
    for (const { key, value } of portion)
      bytes += Buffer.from(key).toString('latin1') + Buffer.from(value).toString('latin1')
  for (let n = 0; n < 50; n++) t.true(bytes.includes(`k${n}`))
  await stop(node)
})

/** Three whole members that speak TLS by their flags: with each other, with clients, and while certificates change. */
import { spawn } from 'node:child_process'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { createCoordClient } from '../../coord/client/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { createAuthority, createIdentity } from '../support/certificates.ts'
import type { Authority, Identity } from '../support/certificates.ts'
import { startCoordCluster, untilReady } from '../support/coord-cluster.ts'
import type { CoordCluster } from '../support/coord-cluster.ts'
import { finished, HAKIRI } from '../support/project.ts'
import { ctl, membersOf, scratch, succeeds, until } from './ctl.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
/** A process that has nothing left to do ends within moments; a busy machine takes longer to start it. */
const END_MS = 30_000
const FILES = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' }

/** Replaced as a whole, as tools that renew certificates do it. */
async function put(folder: string, name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text)
  await rename(join(folder, `${name}.new`), join(folder, name))
}

async function putIdentity(folder: string, { certificate, key }: Identity): Promise<void> {
  await Promise.all([put(folder, FILES.cert, certificate), put(folder, FILES.key, key)])
}

const flags = (folder: string, isMutual = true): readonly string[] => [
  ...(['cert', 'key', 'ca'] as const).flatMap((name) => [
    `--tls-${name}`,
    join(folder, FILES[name]),
  ]),
  ...(isMutual ? ['--tls-client-auth'] : []),
]
const clientFlags = (folder: string): readonly string[] => flags(folder, false)

type Secured = {
  readonly cluster: CoordCluster
  /** Files of the members, and of an operator. */
  readonly servers: string
  readonly operator: string
  /** What the operator trusts and shows now. */
  readonly shown: { ca: string; cert: string; key: string }
}

async function secured(t: ExecutionContext, authority: Authority, isMutual: boolean) {
  const [servers, operator] = [await scratch(t), await scratch(t)]
  const own = createIdentity(authority, 'operator')
  const shown = { ca: authority.certificate, cert: own.certificate, key: own.key }
  for (const folder of [servers, operator]) await put(folder, FILES.ca, authority.certificate)
  await putIdentity(servers, createIdentity(authority, 'members'))
  await putIdentity(operator, own)
  const args = flags(servers, isMutual)
  const cluster = await startCoordCluster({ members: 3, args, tls: () => shown })
  t.teardown(() => cluster[Symbol.asyncDispose]())
  return { cluster, servers, operator, shown } satisfies Secured
}

/** A bare connection, and what the other end shows; rejects when it is refused. */
async function dial(endpoint: string, options: ConnectionOptions): Promise<TLSSocket> {
  const [host, port] = endpoint.split(':')
  const socket = connect({ host: host!, port: Number(port), ALPNProtocols: ['h2'], ...options })
  await once(socket, 'secureConnect')
  return socket
}

test.serial(
  'three members form over mutual TLS, and let in whom their CA has signed',
  async (t) => {
    const authority = createAuthority('one')
    const { cluster, servers, operator, shown } = await secured(t, authority, true)
    const { endpoints } = cluster
    await succeeds(t, endpoints, 'put', 'k', 'v', ...clientFlags(operator))
    const got = await ctl(endpoints, 'get', 'k', ...clientFlags(operator))
    t.like(got.result, { kvs: [{ value: 'v' }] }, got.stdout)
    await succeeds(t, endpoints, 'doctor', ...clientFlags(operator))
    const members = await membersOf(endpoints, ...clientFlags(operator))
    t.true(members.every(({ peerUrls }) => peerUrls[0]!.startsWith('https://')))

    const unsigned = await ctl(endpoints, 'get', 'k', '--tls-ca', join(operator, FILES.ca))
    t.is(unsigned.error?.code, 'COORD_UNREACHABLE', 'without a certificate')
    t.is((await ctl(endpoints, 'get', 'k')).error?.code, 'COORD_UNREACHABLE', 'in plain text')
    const secure = endpoints.map((endpoint) => `https://${endpoint}`)
    const untrusted = await ctl(secure, 'get', 'k')
    t.regex(untrusted.error?.message ?? '', /certificate/i, 'TLS by its scheme, without a CA')
    const stranger = await scratch(t)
    await put(stranger, FILES.ca, shown.ca)
    await putIdentity(stranger, createIdentity(createAuthority('other'), 'stranger'))
    const refused = await ctl(endpoints, 'get', 'k', ...clientFlags(stranger))
    t.is(refused.error?.code, 'COORD_UNREACHABLE', 'with a certificate of another CA')

    // One that is killed comes back and is let in by the others.
    const [first] = cluster.members
    await first!.signal('SIGKILL')
    await first!.start()
    await untilReady(endpoints, undefined, () => shown)
    const args = ['--join', endpoints.join(','), ...flags(servers)]
    const joiner = await cluster.add({ args })
    await joiner.start()
    await until('promotion over TLS', async () => {
      const found = await membersOf(endpoints, ...clientFlags(operator))
      return found.length === 4 && found.every(({ isLearner }) => !isLearner)
    })
    const hashed = await ctl([...endpoints, joiner.endpoint], 'hash', ...clientFlags(operator))
    t.like(hashed.result, { equal: true })
    await replacesOverTls(t, cluster, operator, args)
  },
)

test.serial(
  'TLS without client certificates asks for none, and a backup comes back with https addresses',
  async (t) => {
    const { cluster, operator, servers } = await secured(t, createAuthority('one'), false)
    const { endpoints } = cluster
    const ca = ['--tls-ca', join(operator, FILES.ca)]
    await succeeds(t, endpoints, 'put', 'k', 'v', ...ca)
    const file = join(operator, 'backup.db')
    const saved = await ctl(endpoints, 'snapshot', 'save', file, ...ca)
    t.true(saved.ok, saved.stdout)
    const [first, ...rest] = cluster.members
    for (const member of rest) await member.signal('SIGKILL')
    await first!.signal('SIGKILL')
    const mixed = ['--peers', `https://${endpoints[0]},${endpoints[1]}`]
    const refused = await ctl(
      [],
      'snapshot',
      'restore',
      file,
      '--data',
      join(operator, 'x'),
      ...mixed,
    )
    t.is(refused.error?.code, 'USAGE')
    const data = join(operator, 'restored')
    const url = `https://${first!.endpoint}`
    const restored = await ctl([], 'snapshot', 'restore', file, '--data', data, '--peers', url)
    t.true(restored.ok, restored.stdout)
    const args = flags(servers, false)
    const alone = await cluster.add({ endpoint: first!.endpoint, folder: data, args })
    await alone.start()
    const found = await membersOf([alone.endpoint], ...ca)
    t.deepEqual(
      found.map(({ peerUrls }) => peerUrls),
      [[url]],
    )
    t.notRegex(alone.output(), /not obeyed/)
    t.like((await ctl([alone.endpoint], 'get', 'k', ...ca)).result, { kvs: [{ value: 'v' }] })

    await alone.signal('SIGKILL')
    const recovered = await ctl([], 'recover', '--force', '--data', data, '--advertise', url)
    t.true(recovered.ok, recovered.stdout)
    await alone.start()
    t.is((await membersOf([alone.endpoint], ...ca))[0]!.peerUrls[0], url)
    t.notRegex(alone.output(), /not obeyed/)
  },
)

/** An address without a scheme means TLS here, so the newcomer finds its place and is reached. */
async function replacesOverTls(
  t: ExecutionContext,
  cluster: CoordCluster,
  operator: string,
  args: readonly string[],
): Promise<void> {
  const { endpoints, members } = cluster
  const old = members.at(-1)!
  const change = (...what: string[]) => ctl(endpoints, 'member', ...what, ...clientFlags(operator))
  const before = await membersOf(endpoints, ...clientFlags(operator))
  const { id } = before.find(({ peerUrls }) => peerUrls[0] === `https://${old.endpoint}`)!
  const plain = await change('add', 'http://127.0.0.1:1')
  t.like(plain.result, { member: { peerUrls: ['http://127.0.0.1:1'] } }, plain.stdout)
  const added = await change('add', '127.0.0.1:2')
  t.like(added.result, { member: { peerUrls: ['https://127.0.0.1:2'] } }, added.stdout)
  for (const { result } of [plain, added]) {
    const { member } = result as { readonly member: { readonly id: string } }
    t.true((await change('remove', member.id)).ok)
  }
  const newcomer = await cluster.add({ args })
  const replaced = await change('replace', id, newcomer.endpoint)
  const url = `https://${newcomer.endpoint}`
  t.like(replaced.result, { isJoint: true, member: { peerUrls: [url] } }, replaced.stdout)
  await newcomer.start()
  await until('the swap over TLS', async () => {
    const found = await membersOf(endpoints, ...clientFlags(operator))
    const isThere = found.some(({ peerUrls, isLearner }) => peerUrls[0] === url && !isLearner)
    return isThere && found.length === 4 && found.every((member) => member.id !== id)
  })
  await old.ended()
}

/** Who leads, and in which term. */
async function leads(endpoints: readonly string[], operator: string): Promise<readonly unknown[]> {
  const { result } = await ctl(endpoints, 'status', ...clientFlags(operator))
  const rows = result as readonly { id: string; role: string; term: number }[]
  return rows.map(({ id, role, term }) => ({ id, role, term }))
}

test.serial('certificates and then their CA change, and no connection is dropped', async (t) => {
  const [older, newer] = [createAuthority('older'), createAuthority('newer')]
  const { cluster, servers, operator, shown } = await secured(t, older, true)
  const { endpoints, members } = cluster
  const first = endpoints[0]!
  await using client = createCoordClient(
    {
      endpoints: [first],
      attemptMs: 2_000,
      readMs: 10_000,
      tls: {
        ca: Buffer.from(shown.ca),
        cert: Buffer.from(shown.cert),
        key: Buffer.from(shown.key),
      },
    },
    PARTS,
  )
  const seen: string[] = []
  await using watcher = client.watch(Buffer.from('w/'), { rangeEnd: Buffer.from('w0') })
  const watching = (async () => {
    for await (const batch of watcher)
      if (batch.kind === 'events')
        for (const { kv } of batch.events) seen.push(Buffer.from(kv!.key).toString())
  })()
  // Plain connections that only stand: whoever drops one shows here.
  const standing = await Promise.all(endpoints.map((endpoint) => dial(endpoint, shown)))
  let dropped = 0
  for (const socket of standing) {
    socket.on('error', () => undefined)
    socket.once('close', () => dropped++)
  }
  const before = new X509Certificate(standing[0]!.getPeerX509Certificate()!.raw).fingerprint256
  const start = await leads(endpoints, operator)

  /** Changes files, and waits until every member says that it has read them. */
  const change = async (what: () => Promise<void>): Promise<void> => {
    const counts = members.map((member) => reads(member.output()))
    await what()
    await until('the new files', () =>
      members.every((member, nth) => reads(member.output()) > counts[nth]!),
    )
  }
  const reads = (output: string): number => output.split('certificates read anew').length - 1

  const both = older.certificate + newer.certificate
  await change(() => put(servers, FILES.ca, both))
  await client.put({ key: Buffer.from('w/1'), value: Buffer.from('1') })
  await change(() => putIdentity(servers, createIdentity(newer, 'members')))
  shown.ca = both
  await put(operator, FILES.ca, both)
  const fresh = await dial(first, shown)
  t.not(new X509Certificate(fresh.getPeerX509Certificate()!.raw).fingerprint256, before)
  fresh.destroy()
  const own = createIdentity(newer, 'operator')
  Object.assign(shown, { ca: newer.certificate, cert: own.certificate, key: own.key })
  await putIdentity(operator, own)
  await put(operator, FILES.ca, newer.certificate)
  await change(() => put(servers, FILES.ca, newer.certificate))
  await client.put({ key: Buffer.from('w/2'), value: Buffer.from('2') })

  t.deepEqual(await leads(endpoints, operator), start, 'nobody had to be elected')
  await until('both events', () => seen.length === 2)
  t.deepEqual(seen, ['w/1', 'w/2'])
  t.is(dropped, 0)
  for (const member of members) t.notRegex(member.output(), /lost the connection/)
  for (const socket of standing) socket.destroy()

  // Whoever shows a certificate of the old CA comes too late now.
  const late = await scratch(t)
  await put(late, FILES.ca, both)
  await putIdentity(late, createIdentity(older, 'late'))
  const refused = await ctl(endpoints, 'get', 'w/1', ...clientFlags(late))
  t.is(refused.error?.code, 'COORD_UNREACHABLE')
  await members[1]!.signal('SIGKILL')
  await members[1]!.start()
  await untilReady(endpoints, undefined, () => shown)
  await watcher[Symbol.asyncDispose]()
  await watching
})

test.serial(
  'a member that cannot start ends at once, though it watches its certificates',
  async (t) => {
    const folder = await scratch(t)
    const authority = createAuthority('one')
    await put(folder, FILES.ca, authority.certificate)
    await putIdentity(folder, createIdentity(authority, 'members'))
    const data = join(folder, 'data')
    await writeFile(data, 'no folder')
    const child = spawn(HAKIRI, [
      'coord',
      '--bind',
      '127.0.0.1:0',
      '--data',
      data,
      ...flags(folder),
    ])
    t.teardown(() => void child.kill('SIGKILL'))
    const limit = setTimeout(() => child.kill('SIGKILL'), END_MS)
    const { code, signal, stderr } = await finished(child)
    clearTimeout(limit)
    t.deepEqual([code, signal], [3, null], stderr)
  },
)

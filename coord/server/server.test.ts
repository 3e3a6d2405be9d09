import test from 'ava'
import { connect } from 'node:http2'
import {
  authService,
  clusterService,
  kvService,
  leaseService,
  maintenanceService,
} from '../../proto/gen/rpc.ts'
import { HealthCheckResponseServingStatus, healthService } from '../../proto/gen/health.ts'
import { startEdge, VERSION } from '../../test/support/edge-lab.ts'
import type { EdgeLab, Failure } from '../../test/support/edge-lab.ts'
import { HakiriError } from '../../lib/error.ts'
import { NodeError } from '../node/node.ts'
import type { NodeOutcomeCode } from '../node/node.ts'
import { refusalFrom, refusalOf } from './errors.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const failure = (code: number, text: string): Failure => ({ code, details: `etcdserver: ${text}` })
const putOp = (key: string) => ({ requestPut: { key: bytes(key), value: bytes('v') } })
const put = (lab: EdgeLab, key: string, value = 'v') =>
  lab.call(kvService.put, { key: bytes(key), value: bytes(value) })
const FUTURE_ID = 0x7fff_ffff_ffff_fff0n

const WANTED: Readonly<Record<NodeOutcomeCode, Failure>> = {
  'empty-key': failure(3, 'key is not provided'),
  'key-not-found': failure(3, 'key not found'),
  'value-provided': failure(3, 'value is provided'),
  'lease-provided': failure(3, 'lease is provided'),
  'too-many-operations': failure(3, 'too many operations in txn request'),
  'duplicate-key': failure(3, 'duplicate key given in txn request'),
  'invalid-sort-option': failure(3, 'invalid sort option'),
  'request-too-large': failure(3, 'request is too large'),
  compacted: failure(11, 'mvcc: required revision has been compacted'),
  'future-revision': failure(11, 'mvcc: required revision is a future revision'),
  'lease-not-found': failure(5, 'requested lease not found'),
  'lease-exists': failure(9, 'lease already exists'),
  'lease-ttl-too-large': failure(11, 'too large lease TTL'),
  'no-space': failure(8, 'mvcc: database space exceeded'),
  'no-leader': failure(14, 'no leader'),
  'leader-changed': failure(14, 'leader changed'),
  'timed-out': failure(14, 'request timed out'),
  'too-many-requests': failure(8, 'too many requests'),
  stopped: failure(14, 'server stopped'),
  'not-leader': failure(9, 'not leader'),
  learner: failure(9, 'rpc not supported for learner'),
  unhealthy: failure(14, 'unhealthy cluster'),
  cancelled: failure(1, 'request canceled'),
  'bad-transferee': failure(9, 'bad leader transferee'),
  'member-not-found': failure(5, 'member not found'),
  'member-exists': failure(9, 'member ID already exist'),
  'peer-urls-exist': failure(9, 'Peer URLs already exists'),
  'not-enough-started': failure(9, 're-configuration failed due to not enough started members'),
  'too-many-learners': failure(9, 'too many learner members in cluster'),
  'learner-not-ready': failure(9, 'can only promote a learner member which is in sync with leader'),
  'not-a-learner': failure(9, 'can only promote a learner member'),
  'not-everywhere': failure(9, 'not every member of the cluster is new enough for this'),
}

test('every code of the node and the store has the status and text that clients match on', (t) => {
  for (const code of Object.keys(WANTED) as NodeOutcomeCode[])
    t.deepEqual(refusalOf(code), WANTED[code], code)
})

test('an error of the node reaches the client with its status and text', async (t) => {
  await using lab = await startEdge()
  for (const code of ['leader-changed', 'timed-out', 'too-many-requests', 'stopped'] as const) {
    lab.node.failWith(code)
    t.deepEqual(await lab.refused(kvService.put, { key: bytes('a') }), WANTED[code])
  }
})

test('what nobody foresaw goes out as Unknown with its own text', async (t) => {
  await using lab = await startEdge()
  lab.node.failWith(new Error('the moon is full'))
  t.deepEqual(await lab.refused(kvService.put, { key: bytes('a') }), {
    code: 2,
    details: 'the moon is full',
  })
  t.deepEqual(refusalFrom(new HakiriError('DISK_FULL', 'no room')), {
    code: 14,
    details: 'no room',
  })
  t.deepEqual(refusalFrom(new NodeError('unhealthy')), WANTED.unhealthy)
})

test('refusals of the store reach the client', async (t) => {
  await using lab = await startEdge()
  await put(lab, 'a')
  const range = { key: bytes('a') }
  t.deepEqual(await lab.refused(kvService.range, {}), WANTED['empty-key'])
  t.deepEqual(await lab.refused(kvService.put, {}), WANTED['empty-key'])
  t.deepEqual(
    await lab.refused(kvService.range, { ...range, revision: 9 }),
    WANTED['future-revision'],
  )
  t.deepEqual(
    await lab.refused(kvService.range, { ...range, sortTarget: 9 }),
    WANTED['invalid-sort-option'],
  )
  t.deepEqual(
    await lab.refused(kvService.put, { key: bytes('x'), ignoreValue: true }),
    WANTED['key-not-found'],
  )
  t.deepEqual(
    await lab.refused(kvService.put, { key: bytes('a'), value: bytes('x'), ignoreValue: true }),
    WANTED['value-provided'],
  )
  t.deepEqual(
    await lab.refused(kvService.put, { key: bytes('a'), lease: 7n, ignoreLease: true }),
    WANTED['lease-provided'],
  )
  t.deepEqual(
    await lab.refused(kvService.put, { key: bytes('a'), lease: 7n }),
    WANTED['lease-not-found'],
  )
  await put(lab, 'a')
  await lab.call(kvService.compact, { revision: 3 })
  t.deepEqual(await lab.refused(kvService.compact, { revision: 3 }), WANTED.compacted)
  t.deepEqual(await lab.refused(kvService.compact, { revision: 9 }), WANTED['future-revision'])
  t.deepEqual(await lab.refused(kvService.range, { ...range, revision: 2 }), WANTED.compacted)
})

test('answers carry cluster, member, revision and term', async (t) => {
  await using lab = await startEdge()
  const { clusterId, memberId } = lab.node
  const header = (revision: number) => ({ clusterId, memberId, revision, raftTerm: 2 })
  t.deepEqual((await put(lab, 'a')).header, header(2))
  const old = await lab.call(kvService.range, { key: bytes('a'), revision: 2 })
  t.deepEqual(old.header, header(2))
  await put(lab, 'b')
  const older = await lab.call(kvService.range, { key: bytes('a'), revision: 2 })
  t.is(older.header?.revision, 3)
  const members = await lab.call(clusterService.memberList, {})
  t.deepEqual(members.header, header(0))
})

test('operations inside a transaction carry the revision that they stand at', async (t) => {
  await using lab = await startEdge()
  await put(lab, 'a')
  const { header, responses } = await lab.call(kvService.txn, {
    success: [
      { requestRange: { key: bytes('a') } },
      putOp('b'),
      { requestRange: { key: bytes('b') } },
    ],
  })
  t.is(header?.revision, 3)
  t.deepEqual(
    responses.map(
      ({ responseRange, responsePut }) => (responseRange ?? responsePut)?.header?.revision,
    ),
    [2, 3, 3],
  )
})

test('a linearizable read asks the cluster, a serializable one does not', async (t) => {
  await using lab = await startEdge()
  const key = bytes('a')
  await lab.call(kvService.range, { key, serializable: true })
  await lab.call(kvService.txn, { success: [{ requestRange: { key, serializable: true } }] })
  t.is(lab.node.linearized(), 0)
  await lab.call(kvService.range, { key })
  await lab.call(kvService.txn, { success: [{ requestRange: { key } }] })
  t.is(lab.node.linearized(), 2)
  lab.node.loseLeader()
  t.deepEqual(await lab.refused(kvService.range, { key }), WANTED['no-leader'])
  t.is((await lab.call(kvService.range, { key, serializable: true })).count, 0)
})

test('a request of one and a half mebibytes passes, a larger one is refused', async (t) => {
  await using lab = await startEdge()
  const request = (length: number) => ({ key: bytes('a'), value: Buffer.alloc(length) })
  await lab.call(kvService.put, request(1_572_864 - 7))
  const answer = await lab.refused(kvService.put, request(1_572_864 - 6))
  t.deepEqual(answer, WANTED['request-too-large'])
  const beyond = await lab.refused(kvService.put, request(2_200_000))
  t.is(beyond.code, 8)
})

test('a transaction of 128 operations passes, nested ones count', async (t) => {
  await using lab = await startEdge()
  const operations = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) => putOp(`k${from + index}`))
  await lab.call(kvService.txn, { success: operations(128) })
  t.deepEqual(
    await lab.refused(kvService.txn, { success: operations(129) }),
    WANTED['too-many-operations'],
  )
  const nested = { requestTxn: { success: operations(64, 64) } }
  t.deepEqual(
    await lab.refused(kvService.txn, { success: [...operations(64), nested] }),
    WANTED['too-many-operations'],
  )
  t.deepEqual(
    await lab.refused(kvService.txn, { success: [putOp('a'), putOp('a')] }),
    WANTED['duplicate-key'],
  )
})

test('too many bytes under way are refused, and room comes back', async (t) => {
  await using lab = await startEdge({ edge: { inFlightBytesMax: 1_000 } })
  const release = lab.node.hold()
  const first = put(lab, 'a', 'x'.repeat(900))
  await lab.call(kvService.range, { key: bytes('a'), serializable: true })
  t.deepEqual(
    await lab.refused(kvService.put, { key: bytes('b'), value: Buffer.alloc(200) }),
    WANTED['too-many-requests'],
  )
  release()
  await first
  t.is((await put(lab, 'b', 'x'.repeat(900))).header?.revision, 3)
})

test('hasleader refuses a request on a member without a leader, and only then', async (t) => {
  await using lab = await startEdge()
  const request = { key: bytes('a'), serializable: true }
  await lab.call(kvService.range, request, { hasleader: 'true' })
  lab.node.loseLeader()
  t.deepEqual(
    await lab.refused(kvService.range, request, { hasleader: 'true' }),
    WANTED['no-leader'],
  )
  await lab.call(kvService.range, request, { hasleader: 'false', token: '' })
  await lab.call(kvService.range, request)
})

test('a member that was closed says so', async (t) => {
  await using lab = await startEdge()
  lab.server.close()
  t.deepEqual(await lab.refused(kvService.put, { key: bytes('a') }), WANTED.stopped)
})

test('no space: reads and deletes go on, the rest is refused until space is free', async (t) => {
  await using lab = await startEdge({ limits: { quotaBytes: 20_000 } })
  const full = async (): Promise<Failure> => {
    for (let key = 0; key < 100; key += 1) {
      const request = { key: bytes(`k${key}`), value: Buffer.alloc(1_000) }
      try {
        await lab.call(kvService.put, request)
      } catch {
        return lab.refused(kvService.put, request)
      }
    }
    throw new Error('it never became full')
  }
  t.deepEqual(await full(), WANTED['no-space'])
  t.deepEqual(await lab.refused(kvService.txn, { success: [putOp('z')] }), WANTED['no-space'])
  t.deepEqual(await lab.refused(leaseService.leaseGrant, { ttl: 10 }), WANTED['no-space'])
  t.is((await lab.call(kvService.range, { key: bytes('k0') })).count, 1)
  const { alarms } = await lab.call(maintenanceService.alarm, {})
  t.deepEqual(
    alarms.map(({ alarm }) => alarm),
    [1],
  )
  t.is(await statusOf(lab, '/livez'), 200)
  t.is(await statusOf(lab, '/health'), 503)
  t.is(await statusOf(lab, '/health?exclude=NOSPACE'), 200)
  t.is(await statusOf(lab, '/readyz'), 200)
  t.is(
    (await lab.call(kvService.deleteRange, { key: bytes('k'), rangeEnd: bytes('l') })).deleted > 0,
    true,
  )
})

test('alarms are raised, listed and disarmed', async (t) => {
  await using lab = await startEdge()
  const member = lab.node.memberId
  const raised = { memberId: member, alarm: 2 }
  await lab.call(maintenanceService.alarm, { action: 1, ...raised })
  t.deepEqual((await lab.call(maintenanceService.alarm, { alarm: 2 })).alarms, [raised])
  t.deepEqual((await lab.call(maintenanceService.alarm, { alarm: 1 })).alarms, [])
  t.deepEqual((await lab.call(maintenanceService.alarm, { action: 2 })).alarms, [raised])
  t.deepEqual((await lab.call(maintenanceService.alarm, {})).alarms, [])
})

test('a learner answers its status and serializable reads, nothing else', async (t) => {
  await using lab = await startEdge()
  lab.node.becomeLearner()
  const key = bytes('a')
  t.true((await lab.call(maintenanceService.status, {})).isLearner)
  t.is((await lab.call(kvService.range, { key, serializable: true })).count, 0)
  const refusals = [
    await lab.refused(kvService.range, { key }),
    await lab.refused(kvService.put, { key }),
    await lab.refused(leaseService.leaseGrant, { ttl: 5 }),
    await lab.refused(leaseService.leaseLeases, {}),
    await lab.refused(leaseService.leaseTimeToLive, { id: 1n }),
    await lab.refused(clusterService.memberList, {}),
    await lab.refused(maintenanceService.alarm, {}),
    await lab.refused(maintenanceService.hashKv, {}),
  ]
  t.deepEqual(
    refusals,
    refusals.map(() => WANTED.learner),
  )
})

test('status tells the emulated version and sizes', async (t) => {
  await using lab = await startEdge()
  const status = await lab.call(maintenanceService.status, {})
  t.regex(status.version, /^3\.5\.\d+$/)
  t.is(status.leader, lab.node.memberId)
  t.is(status.raftTerm, 2)
  t.is(status.dbSizeQuota, 64 * 1024 * 1024)
})

test('members are added, updated, promoted and removed by the rules', async (t) => {
  await using lab = await startEdge()
  const peerUrls = ['http://127.0.0.1:7799']
  const bad = failure(3, 'given member URLs are invalid')
  for (const url of ['127.0.0.1:7799', 'ftp://a:1', 'http://a', 'http://a:1/x', 'http://a:70000'])
    t.deepEqual(await lab.refused(clusterService.memberAdd, { peerUrls: [url] }), bad, url)
  t.deepEqual(await lab.refused(clusterService.memberAdd, {}), bad)
  const { member, members } = await lab.call(clusterService.memberAdd, {
    peerUrls,
    isLearner: true,
  })
  const id = member?.id ?? 0n
  t.deepEqual(
    members.map((each) => each.id),
    [id, lab.node.memberId],
  )
  t.deepEqual(await lab.refused(clusterService.memberAdd, { peerUrls }), WANTED['peer-urls-exist'])
  t.deepEqual(await lab.refused(clusterService.memberUpdate, { id, peerUrls: [] }), bad)
  t.deepEqual(await lab.refused(clusterService.memberPromote, { id }), WANTED['learner-not-ready'])
  await lab.call(clusterService.memberRemove, { id })
  t.deepEqual(await lab.refused(clusterService.memberRemove, { id }), WANTED['member-not-found'])
  t.deepEqual(
    await lab.refused(maintenanceService.moveLeader, { targetId: 5n }),
    WANTED['bad-transferee'],
  )
})

test('whoever logs in is told that nobody has to; the rest of Auth is not implemented', async (t) => {
  await using lab = await startEdge()
  t.deepEqual(
    await lab.refused(authService.authenticate, { name: 'root', password: 'x' }),
    failure(9, 'authentication is not enabled'),
  )
  for (const method of [authService.authEnable, authService.userList, authService.roleList])
    t.is((await lab.refused(method, {})).code, 12)
})

test('unknown methods are not implemented', async (t) => {
  await using lab = await startEdge()
  const method = { ...kvService.put, path: '/etcdserverpb.KV/Fly' }
  t.is((await lab.refused(method, {})).code, 12)
})

test('leases: chosen ids are positive, short terms are raised, gone ones answer so', async (t) => {
  await using lab = await startEdge()
  const { id, ttl } = await lab.call(leaseService.leaseGrant, { ttl: 1 })
  t.true(id > 0n && id < 2n ** 63n)
  t.is(ttl, 2)
  await lab.call(leaseService.leaseGrant, { ttl: 100, id: FUTURE_ID })
  t.deepEqual(
    await lab.refused(leaseService.leaseGrant, { ttl: 100, id: FUTURE_ID }),
    WANTED['lease-exists'],
  )
  t.deepEqual(
    await lab.refused(leaseService.leaseGrant, { ttl: 9_000_000_001 }),
    WANTED['lease-ttl-too-large'],
  )
  await lab.call(kvService.put, { key: bytes('a'), lease: FUTURE_ID })
  lab.node.pass(1_500)
  const known = await lab.call(leaseService.leaseTimeToLive, { id: FUTURE_ID, keys: true })
  t.deepEqual(
    { ttl: known.ttl, grantedTtl: known.grantedTtl, keys: known.keys.map(String) },
    { ttl: 98, grantedTtl: 100, keys: ['a'] },
  )
  const { leases } = await lab.call(leaseService.leaseLeases, {})
  t.deepEqual(leases, [{ id }, { id: FUTURE_ID }])
  await lab.call(leaseService.leaseRevoke, { id: FUTURE_ID })
  const gone = await lab.call(leaseService.leaseTimeToLive, { id: FUTURE_ID, keys: true })
  t.is(gone.ttl, -1)
  t.deepEqual(
    await lab.refused(leaseService.leaseRevoke, { id: FUTURE_ID }),
    WANTED['lease-not-found'],
  )
})

test('hashes agree with the store', async (t) => {
  await using lab = await startEdge()
  await put(lab, 'a')
  const wanted = lab.node.store.hash(0)
  const { hash, hashRevision } = await lab.call(maintenanceService.hashKv, {})
  t.true(wanted.ok && wanted.value.hash === hash && wanted.value.hashRevision === hashRevision)
  t.is((await lab.call(maintenanceService.hash, {})).hash, hash)
  t.deepEqual(
    await lab.refused(maintenanceService.hashKv, { revision: 99 }),
    WANTED['future-revision'],
  )
  await lab.call(maintenanceService.defragment, {})
})

test('health: serving with a leader, not without one for long, unknown names are not found', async (t) => {
  const { serving, notServing, serviceUnknown } = HealthCheckResponseServingStatus
  let wake = Promise.withResolvers<void>()
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: async (_ms: number, signal?: AbortSignal) => {
      await wake.promise
      wake = Promise.withResolvers()
      signal?.throwIfAborted()
    },
  }
  await using lab = await startEdge({ clock })
  t.is((await lab.call(healthService.check, {})).status, serving)
  t.is((await lab.call(healthService.check, { service: 'etcdserverpb.KV' })).status, serving)
  t.is((await lab.refused(healthService.check, { service: 'nobody' })).code, 5)
  const watch = lab.listen(healthService.watch, { service: '' })
  t.is((await watch.next()).status, serving)
  lab.node.loseLeader()
  lab.node.pass(1_000)
  t.is((await lab.call(healthService.check, {})).status, serving)
  lab.node.pass(3_000)
  t.is((await lab.call(healthService.check, {})).status, notServing)
  wake.resolve()
  t.is((await watch.next()).status, notServing)
  const unknown = lab.listen(healthService.watch, { service: 'nobody' })
  t.is((await unknown.next()).status, serviceUnknown)
})

test('HTTP: version, probes and metrics', async (t) => {
  await using lab = await startEdge()
  const version = (await (await get(lab, '/version')).json()) as Record<string, string>
  t.regex(version['etcdserver'] ?? '', /^3\.5\.\d+$/)
  t.is(version['hakiri'], VERSION)
  t.deepEqual(await (await get(lab, '/health')).json(), { health: 'true' })
  t.is(await (await get(lab, '/readyz')).text(), 'ok\n')
  t.is(await statusOf(lab, '/nothing'), 404)
  t.is((await fetch(urlOf(lab, '/health'), { method: 'POST' })).status, 405)
  lab.node.loseLeader()
  t.is(await statusOf(lab, '/livez'), 200)
  t.is(await statusOf(lab, '/readyz'), 503)
  t.is(await statusOf(lab, '/health?serializable=true'), 200)
  t.deepEqual(await (await get(lab, '/health')).json(), {
    health: 'false',
    reason: 'RAFT NO LEADER',
  })
})

test('metrics count calls by status, and read the store when asked', async (t) => {
  await using lab = await startEdge()
  await put(lab, 'a')
  await lab.refused(kvService.put, {})
  lab.metrics.node.onWalSync(3, 1, 512)
  const text = await (await get(lab, '/metrics')).text()
  const labels = 'grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Put"'
  t.true(text.includes(`grpc_server_handled_total{${labels},grpc_code="OK"} 1\n`))
  t.true(text.includes(`grpc_server_handled_total{${labels},grpc_code="InvalidArgument"} 1\n`))
  t.true(text.includes('etcd_server_has_leader 1\n'))
  t.true(text.includes('etcd_debugging_mvcc_keys_total 1\n'))
  t.true(text.includes('etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 0\n'))
  t.true(text.includes('etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 1\n'))
  t.true(text.includes('etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 1\n'))
  t.regex(text, /process_resident_memory_bytes \d{7,}\n/)
  t.regex(text, /nodejs_eventloop_lag_p99_seconds [\d.e-]+\n/)
})

test('a connection that is reset in the middle harms nobody', async (t) => {
  await using lab = await startEdge()
  const session = connect(`http://127.0.0.1:${lab.port}`)
  session.on('error', () => {})
  await new Promise((resolve) => {
    session.once('connect', resolve)
  })
  session.destroy()
  t.is((await put(lab, 'a')).header?.revision, 2)
})

function urlOf({ httpPort }: EdgeLab, path: string): string {
  return `http://127.0.0.1:${httpPort}${path}`
}

function get(lab: EdgeLab, path: string): Promise<Response> {
  return fetch(urlOf(lab, path))
}

async function statusOf(lab: EdgeLab, path: string): Promise<number> {
  return (await get(lab, path)).status
}

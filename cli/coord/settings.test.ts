import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { loadCoordSection, type CoordSection } from '../../manifest/coord.ts'
import { HakiriError } from '../../lib/error.ts'
import { endpointOf, formatAddress, parseAddress, type Address } from './address.ts'
import { findSelf, ownAddress, type Machine } from './self.ts'
import { CLIENT_OPTIONS, NODE_OPTIONS, resolveClient, resolveNode } from './settings.ts'

const EMPTY: CoordSection = { values: {}, baseFolder: '/x', file: undefined }
const none = { options: {}, env: {}, section: EMPTY }

function failure(work: () => unknown): HakiriError {
  try {
    work()
  } catch (error) {
    if (error instanceof HakiriError) return error
  }
  throw new Error('nothing was refused')
}

const at = (text: string): Address => parseAddress(text, 'here')
const machine = (hostname: string, ...addresses: string[]): Machine => ({
  hostname,
  addresses: ['127.0.0.1', '::1', ...addresses],
})

test('without anything a single member listens on loopback', (t) => {
  const settings = resolveNode(none)
  t.is(formatAddress(settings.bind), '127.0.0.1:7701')
  t.deepEqual([settings.peers, settings.join, settings.tls], [[], [], undefined])
  t.is(settings.data, '.hakiri/coord')
  t.is(settings.electionMs, 1_000)
})

test('a flag wins over a variable, a variable over a key, a key over the default', (t) => {
  const section = { ...EMPTY, values: { bind: '10.0.0.3:3', quota: '3MiB', name: 'key' } }
  const env = { HAKIRI_COORD_BIND: '10.0.0.2:2', HAKIRI_COORD_NAME: 'variable' }
  const settings = resolveNode({ options: { bind: '10.0.0.1:1' }, env, section })
  t.is(formatAddress(settings.bind), '10.0.0.1:1')
  t.is(settings.name, 'variable')
  t.is(settings.quotaBytes, 3 * 2 ** 20)
})

test('every option can stand in a variable and in hakiri.toml', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-coord-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(
    join(folder, 'hakiri.toml'),
    `[coord]
bind = "0.0.0.0:7"
peers = ["a:1", "b:2"]
advertise = "a:1"
name = "n"
data = "d"
cluster_token = "t"
heartbeat_interval = "50ms"
election_timeout = "500ms"
quota = "1MiB"
keep_revisions = 5
keep_history = "5m"
insecure = true
tls = { cert = "c", key = "k", ca = "r", client_auth = true }
`,
  )
  const loaded = await loadCoordSection({ folder })
  t.true(loaded.ok)
  if (!loaded.ok) return
  const fromFile = resolveNode({ options: {}, env: {}, section: loaded.section })
  const env = {
    HAKIRI_COORD_BIND: '0.0.0.0:7',
    HAKIRI_COORD_PEERS: 'a:1, b:2',
    HAKIRI_COORD_ADVERTISE: 'a:1',
    HAKIRI_COORD_NAME: 'n',
    HAKIRI_COORD_DATA: 'd',
    HAKIRI_COORD_CLUSTER_TOKEN: 't',
    HAKIRI_COORD_HEARTBEAT_INTERVAL: '50ms',
    HAKIRI_COORD_ELECTION_TIMEOUT: '500ms',
    HAKIRI_COORD_QUOTA: '1MiB',
    HAKIRI_COORD_KEEP_REVISIONS: '5',
    HAKIRI_COORD_KEEP_HISTORY: '5m',
    HAKIRI_COORD_INSECURE: 'true',
    HAKIRI_COORD_TLS_CERT: 'c',
    HAKIRI_COORD_TLS_KEY: 'k',
    HAKIRI_COORD_TLS_CA: 'r',
    HAKIRI_COORD_TLS_CLIENT_AUTH: '1',
  }
  t.deepEqual(resolveNode({ options: {}, env, section: EMPTY }), fromFile)
  t.notDeepEqual(fromFile, resolveNode(none))
  // Each row of the table is read: --join excludes --peers and --endpoints is the client's.
  t.is(NODE_OPTIONS.length, Object.keys(env).length + 1)
  t.is(CLIENT_OPTIONS.length, 4)
})

test('a machine without a hakiri.toml has an empty section, a named file must exist', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-coord-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const absent = await loadCoordSection({ folder })
  t.true(absent.ok && absent.section.file === undefined)
  const named = await loadCoordSection({ file: join(folder, 'x.toml') })
  t.false(named.ok)
})

test('only [coord] is looked at, and its problems have a place', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-coord-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(
    join(folder, 'hakiri.toml'),
    '[pipelines.p]\nnonsense = 1\n[coord]\nbnd = "a:1"\n',
  )
  const loaded = await loadCoordSection({ folder })
  t.true(!loaded.ok)
  if (loaded.ok) return
  t.deepEqual(
    loaded.problems.map(({ key, line, suggestion }) => [key, line, suggestion]),
    [['coord.bnd', 4, 'Did you mean "bind"?']],
  )
})

test('bad values name the place they stand in', (t) => {
  const refused = (
    options: Record<string, string | boolean>,
    env: Record<string, string> = {},
    values = {},
  ): string =>
    failure(() =>
      resolveNode({ options, env, section: { ...EMPTY, values, file: '/x/hakiri.toml' } }),
    ).message
  t.regex(refused({ bind: '7701' }), /^--bind: "7701" is not an address/)
  t.regex(refused({ bind: 'a:99999' }), /^--bind/)
  t.regex(refused({}, { HAKIRI_COORD_PEERS: 'a:1,b' }), /^HAKIRI_COORD_PEERS: "b"/)
  t.regex(refused({}, {}, { quota: 'much' }), /^coord\.quota in \/x\/hakiri\.toml: "much"/)
  t.regex(refused({ keepRevisions: '0' }), /^--keep-revisions/)
  t.regex(refused({ electionTimeout: 'soon' }), /^--election-timeout/)
  t.regex(refused({ electionTimeout: '300ms' }), /less than five heartbeats/)
  t.regex(refused({ heartbeatInterval: '1ms' }), /10 ms or more/)
  t.regex(refused({ peers: 'a:1', join: 'b:1' }), /exclude each other/)
  t.regex(refused({ tlsCert: 'c' }), /certificate and its key/)
  t.regex(refused({ tlsCert: 'c', tlsKey: 'k', tlsClientAuth: true }), /CA of the clients/)
  t.regex(refused({}, { HAKIRI_COORD_INSECURE: 'maybe' }), /neither true nor false/)
})

test('a client asks loopback unless it is told', (t) => {
  t.deepEqual(resolveClient(none).endpoints.map(endpointOf), ['127.0.0.1:7701'])
  const env = { HAKIRI_COORD_ENDPOINTS: 'http://a:1,[::1]:2,https://B:3/' }
  t.deepEqual(resolveClient({ ...none, env }).endpoints.map(endpointOf), [
    'http://a:1',
    '[::1]:2',
    'https://b:3',
  ])
})

test('a member finds itself by advertise, by name, by address, by port', (t) => {
  const peers = ['c1:7701', 'c2:7701', 'c3:7701'].map(at)
  const any = at('0.0.0.0:7701')
  t.is(findSelf(peers, any, undefined, machine('c2')).host, 'c2')
  t.is(findSelf(peers, any, undefined, machine('c2.example.org')).host, 'c2')
  t.is(findSelf(peers, any, at('c3:7701'), machine('elsewhere')).host, 'c3')
  const byAddress = ['10.0.0.1:7701', '10.0.0.2:7701'].map(at)
  t.is(findSelf(byAddress, any, undefined, machine('x', '10.0.0.2')).host, '10.0.0.2')
  const local = ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'].map(at)
  t.is(findSelf(local, at('127.0.0.1:2'), undefined, machine('x')).port, 2)
  t.is(findSelf(local, at('0.0.0.0:3'), undefined, machine('x')).port, 3)
  const mixed = ['127.0.0.1:7', '127.0.0.2:7'].map(at)
  t.is(findSelf(mixed, at('127.0.0.2:7'), undefined, machine('x')).host, '127.0.0.2')
})

test('who cannot be told apart is asked for, with the entries', (t) => {
  const peers = ['c1:7701', 'c2:7701'].map(at)
  const lost = failure(() => findSelf(peers, at('0.0.0.0:7701'), undefined, machine('c9')))
  t.regex(lost.message, /none of --peers is this host \(c9\): c1:7701, c2:7701/)
  const twins = failure(() =>
    findSelf([at('c1:1'), at('10.0.0.1:1')], at('0.0.0.0:1'), undefined, machine('c1', '10.0.0.1')),
  )
  t.regex(twins.message, /several of --peers are this host/)
  t.regex(
    failure(() => findSelf(peers, at('0.0.0.0:1'), at('c4:1'), machine('c1'))).message,
    /--advertise c4:1 is not in --peers/,
  )
})

test('a lone member is reached where it listens, or by its name', (t) => {
  t.deepEqual(ownAddress(at('127.0.0.1:5'), undefined, machine('c1')), at('127.0.0.1:5'))
  t.deepEqual(ownAddress(at('0.0.0.0:5'), undefined, machine('C1')), at('c1:5'))
  t.deepEqual(ownAddress(at('0.0.0.0:5'), at('z:9'), machine('c1')), at('z:9'))
})

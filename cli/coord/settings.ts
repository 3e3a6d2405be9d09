/**
 * What `hakiri coord` and `hakiri ctl` are told: each setting by its flag, else by its variable, else by
 * its key in [coord], else by its default. One row a setting; a bad value names the place it stands in.
 */
import { HakiriError } from '../../lib/error.ts'
import { parseBytes, parseDuration } from '../../lib/units.ts'
import type { CoordSection } from '../../manifest/coord.ts'
import type { OptionSpec } from '../command.ts'
import {
  asOption,
  createLook,
  type Look,
  type LookSection,
  type LookSources,
  parseCount,
  rowMaker,
  type SettingRow,
} from '../look.ts'
import { type Address, formatAddress, isLoopback } from './address.ts'

export type Sources = LookSources & { readonly section: CoordSection }

const row = rowMaker('HAKIRI_COORD_')

const TLS_ROWS: readonly SettingRow[] = [
  row('tls-cert', '<file>', 'certificate chain, PEM', 'tls.cert'),
  row('tls-key', '<file>', 'private key, PEM', 'tls.key'),
  row('tls-ca', '<file>', 'trusted CA bundle, PEM', 'tls.ca'),
]

export const NODE_ROWS: readonly SettingRow[] = [
  row('bind', '<address>', 'where to listen; default 127.0.0.1:7701'),
  row('peers', '<addresses>', 'all members of a new cluster, the same list on each'),
  row('join', '<addresses>', 'members of a running cluster to join'),
  row('advertise', '<address>', 'where the others reach this member'),
  row('name', '<name>', 'name of this member, for people'),
  row('data', '<folder>', 'log and state; default .hakiri/coord'),
  row('cluster-token', '<text>', 'keeps clusters with equal addresses apart'),
  row('heartbeat-interval', '<duration>', 'default 100ms'),
  row('election-timeout', '<duration>', 'default 1s, at least five heartbeats'),
  row('quota', '<size>', 'bytes that keys and history may take; default 128MiB'),
  row('keep-revisions', '<n>', 'history kept, in revisions; default 10000'),
  row('keep-history', '<duration>', 'history kept, in time; default 1h'),
  ...TLS_ROWS,
  row('tls-client-auth', undefined, 'ask clients and members for a certificate', 'tls.client_auth'),
  row('insecure', undefined, 'listen beyond loopback without TLS'),
]

const CLIENT_ROWS: readonly SettingRow[] = [
  row('endpoints', '<addresses>', 'members to ask; default 127.0.0.1:7701'),
  ...TLS_ROWS,
]

/** For the command table. */
export const NODE_OPTIONS: readonly OptionSpec[] = NODE_ROWS.map(asOption)
export const CLIENT_OPTIONS: readonly OptionSpec[] = CLIENT_ROWS.map(asOption)

export type TlsFiles = {
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly ca: string | undefined
}

export type CoordSettings = {
  readonly bind: Address
  readonly peers: readonly Address[]
  readonly join: readonly Address[]
  readonly advertise: Address | undefined
  readonly name: string | undefined
  readonly data: string
  readonly clusterToken: string
  readonly heartbeatMs: number
  readonly electionMs: number
  readonly quotaBytes: number
  readonly keepRevisions: number
  readonly keepMs: number
  readonly tls: (TlsFiles & { readonly clientAuth: boolean }) | undefined
  readonly insecure: boolean
}

export type ClientSettings = {
  readonly endpoints: readonly Address[]
  readonly tls: TlsFiles | undefined
}

export function resolveNode(sources: Sources): CoordSettings {
  const look = createLook(NODE_ROWS, sources, sectionOf(sources))
  const files = tlsFiles(look)
  const clientAuth = look.flag('tls-client-auth')
  const settings: CoordSettings = {
    bind: look.address('bind') ?? { host: '127.0.0.1', port: 7701 },
    peers: look.addresses('peers'),
    join: look.addresses('join'),
    advertise: look.address('advertise'),
    name: look.text('name'),
    data: look.text('data') ?? '.hakiri/coord',
    clusterToken: look.text('cluster-token') ?? '',
    heartbeatMs:
      look.parsed('heartbeat-interval', parseDuration, 'a duration such as 100ms') ?? 100,
    electionMs: look.parsed('election-timeout', parseDuration, 'a duration such as 1s') ?? 1_000,
    quotaBytes: look.parsed('quota', parseBytes, 'a size such as 128MiB') ?? 128 * 2 ** 20,
    keepRevisions: look.parsed('keep-revisions', parseCount, 'a whole number') ?? 10_000,
    keepMs: look.parsed('keep-history', parseDuration, 'a duration such as 1h') ?? 3_600_000,
    tls: files && { ...files, clientAuth },
    insecure: look.flag('insecure'),
  }
  checkNode(settings)
  return settings
}

export function resolveClient(sources: Sources): ClientSettings {
  const look = createLook(CLIENT_ROWS, sources, sectionOf(sources))
  const endpoints = look.addresses('endpoints')
  return {
    endpoints: endpoints.length > 0 ? endpoints : [{ host: '127.0.0.1', port: 7701 }],
    tls: tlsFiles(look),
  }
}

function sectionOf({ section }: Sources): LookSection {
  return { name: 'coord', values: section.values, file: section.file }
}

/** Nobody listens to strangers in plain text by mistake. */
export function checkExposure({ bind, tls, insecure }: CoordSettings): void {
  if (isLoopback(bind) || tls || insecure) return
  throw new HakiriError('USAGE', `${formatAddress(bind)} is open to others, and there is no TLS`, {
    suggestion:
      'Give --tls-cert, --tls-key and --tls-ca, or say --insecure if the network is yours alone.',
  })
}

/** Rules across settings. */
function checkNode(settings: CoordSettings): void {
  const { peers, join, heartbeatMs, electionMs, tls } = settings
  if (peers.length > 0 && join.length > 0)
    throw usage(
      '--peers and --join exclude each other',
      'A new cluster has --peers, a newcomer --join.',
    )
  if (electionMs < heartbeatMs * 5)
    throw usage(
      `the election timeout (${electionMs} ms) is less than five heartbeats (${heartbeatMs} ms)`,
      'Raise --election-timeout, or lower --heartbeat-interval.',
    )
  if (heartbeatMs < 10 || electionMs > 50_000)
    throw usage(
      'heartbeats are 10 ms or more apart, election timeouts 50 s or less',
      'See docs/operating.md.',
    )
  if (tls && (tls.cert === undefined || tls.key === undefined))
    throw usage('TLS needs a certificate and its key', 'Give --tls-cert and --tls-key.')
  if (tls?.clientAuth === true && tls.ca === undefined)
    throw usage('--tls-client-auth needs the CA of the clients', 'Give --tls-ca.')
}

function tlsFiles(look: Look): TlsFiles | undefined {
  const files = { cert: look.file('tls-cert'), key: look.file('tls-key'), ca: look.file('tls-ca') }
  return Object.values(files).some((file) => file !== undefined) ? files : undefined
}

function usage(message: string, suggestion: string): HakiriError {
  return new HakiriError('USAGE', message, { suggestion })
}

/** What `hakiri serve` is told: by flags, HAKIRI_… variables, [worker] and [coord] of hakiri.toml, defaults. */
import { availableParallelism, hostname } from 'node:os'
import { HakiriError } from '../../lib/error.ts'
import { parseBytes, parseDuration } from '../../lib/units.ts'
import type { ServeSections } from '../../manifest/serve-sections.ts'
import type { OptionSpec } from '../command.ts'
import type { Address } from '../coord/address.ts'
import type { TlsFiles } from '../coord/settings.ts'
import {
  asOption,
  createLook,
  type LookSources,
  parseCount,
  rowMaker,
  type SettingRow,
} from '../look.ts'

const row = rowMaker('HAKIRI_')

export const WORKER_ROWS: readonly SettingRow[] = [
  row('name', '<name>', 'unique in the cluster; default: the name of this host'),
  row('labels', '<list>', 'what placement is matched against: region=eu,disk=fast', ''),
  row('slots', '<n>', 'shards at a time; default: twice the processors, 4 at least'),
  row('bind', '<host>', 'where the HTTP API listens; default 127.0.0.1'),
  row('port', '<port>', 'default 7700; 0: any that is free'),
  row('memory', '<size>', 'memory for reading and encoding; default 512MB'),
  row('session-ttl', '<duration>', 'a silent worker loses its shards after this; default 10s'),
  row('drain-timeout', '<duration>', 'longest clean stop; default 30s'),
  row('rebalance-grace', '<duration>', 'a worker that vanished keeps its shards; default 0s'),
]

export const WORKER_COORD_ROWS: readonly SettingRow[] = [
  row(
    'coord',
    '<addresses>',
    'the coordinators; none: this process coordinates alone',
    'endpoints',
  ),
  row('coord-tls-cert', '<file>', 'certificate chain for them, PEM', 'tls.cert'),
  row('coord-tls-key', '<file>', 'private key, PEM', 'tls.key'),
  row('coord-tls-ca', '<file>', 'trusted CA bundle, PEM', 'tls.ca'),
  row('coord-prefix', '<text>', 'prefix of the keys in the coordinator; default hakiri', ''),
]

/** For the command table. */
export const SERVE_OPTIONS: readonly OptionSpec[] = [...WORKER_ROWS, ...WORKER_COORD_ROWS].map(
  asOption,
)

export type ServeOptions = {
  readonly name: string
  readonly labels: { readonly [label: string]: string }
  readonly slots: number
  readonly bind: Address
  readonly memoryBytes: number
  readonly ttlMs: number
  readonly drainMs: number
  readonly graceMs: number
  /** Empty: in-process coordination. */
  readonly coord: readonly Address[]
  readonly coordTls: TlsFiles | undefined
  readonly prefix: string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export function resolveServe(sources: LookSources, sections: ServeSections): ServeOptions {
  const { file } = sections
  const look = createLook(WORKER_ROWS, sources, { name: 'worker', values: sections.worker, file })
  const coordLook = createLook(WORKER_COORD_ROWS, sources, {
    name: 'coord',
    values: sections.coord,
    file,
  })
  const coord = coordLook.addresses('coord')
  const tls = {
    cert: coordLook.file('coord-tls-cert'),
    key: coordLook.file('coord-tls-key'),
    ca: coordLook.file('coord-tls-ca'),
  }
  const options: ServeOptions = {
    name: checkName(look.text('name') ?? hostname()),
    labels: labelsOf(look.text('labels'), sections),
    slots: look.parsed('slots', parseCount, 'a whole number') ?? defaultSlots(),
    bind: {
      host: look.text('bind') ?? '127.0.0.1',
      port: look.parsed('port', parsePort, 'a port') ?? 7700,
    },
    memoryBytes: look.parsed('memory', parseBytes, 'a size such as 512MB') ?? 512e6,
    ttlMs: look.parsed('session-ttl', parseDuration, 'a duration such as 10s') ?? 10_000,
    drainMs: look.parsed('drain-timeout', parseDuration, 'a duration such as 30s') ?? 30_000,
    graceMs: look.parsed('rebalance-grace', parseDuration, 'a duration such as 0s') ?? 0,
    coord: coordOf(coord, sections),
    coordTls: Object.values(tls).some((each) => each !== undefined) ? tls : undefined,
    prefix: coordLook.text('coord-prefix') ?? 'hakiri',
  }
  checkServe(options)
  return options
}

/** `coord_backend = "local"` keeps a file's [coord] for `hakiri ctl` alone. */
function coordOf(coord: readonly Address[], { backend, file }: ServeSections): readonly Address[] {
  if ((backend === 'raft' || backend === 'etcd') && coord.length === 0)
    throw new HakiriError(
      'CONFIG_INVALID',
      `coord_backend is "${backend}", but nothing says where`,
      {
        suggestion: 'Give --coord, or endpoints = ["host:7701", …] in [coord].',
        ...(file === undefined ? {} : { place: { file, key: 'coord_backend' } }),
      },
    )
  return coord
}

/** A table in the file, a list in a flag or variable, which is looked at first. */
function labelsOf(text: string | undefined, { worker }: ServeSections): ServeOptions['labels'] {
  if (text === undefined) return worker.labels ?? {}
  const pairs = text.split(',').filter((part) => part.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const match = /^\s*([A-Za-z0-9._/-]+)\s*=\s*([^\s=]+)\s*$/.exec(pair)
      if (!match)
        throw usage(`--labels: "${pair}" is not a label`, 'Write name=value, such as region=eu.')
      return [match[1]!, match[2]!]
    }),
  )
}

function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw usage(
    `"${name}" is no name for a worker`,
    'Use letters, digits, ".", "_" and "-", up to 64.',
  )
}

function checkServe({ ttlMs, drainMs, memoryBytes }: ServeOptions): void {
  if (ttlMs < 2_000 || ttlMs > 600_000)
    throw usage(`a session of ${ttlMs} ms`, 'Give --session-ttl between 2s and 10m.')
  if (drainMs < 1_000) throw usage('less than a second to drain', 'Raise --drain-timeout.')
  if (memoryBytes < 64e6)
    throw usage(`${memoryBytes} bytes of memory`, 'Give --memory of 64MB or more.')
}

function defaultSlots(): number {
  return Math.max(4, availableParallelism() * 2)
}

function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text.trim()) && Number(text) < 65_536 ? Number(text) : undefined
}

function usage(message: string, suggestion: string): HakiriError {
  return new HakiriError('USAGE', message, { suggestion })
}

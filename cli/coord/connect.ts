/** How `hakiri ctl` reaches a cluster: its clients, made from flags, variables and [coord]. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { AdminClient } from '../../coord/client/admin.ts'
import type { ClientConfig, ClientTls, CoordClient } from '../../coord/client/client.ts'
import { HakiriError } from '../../lib/error.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { loadCoordSection, type CoordSection } from '../../manifest/coord.ts'
import type { CommandInput, CommandIo, CommandOutput, CommandRun, Globals } from '../command.ts'
import { manifestAt } from '../manifest-at.ts'
import { endpointOf } from './address.ts'
import { resolveClient, type TlsFiles } from './settings.ts'

const ATTEMPT_MS = 5_000
const READ_MS = 10_000

export type Ctl = {
  readonly endpoints: readonly string[]
  /** Whether the cluster is spoken to over TLS, and so its members with each other. */
  readonly isSecure: boolean
  readonly client: CoordClient
  readonly admin: AdminClient
}

/** A command that talks to a cluster: connected before, closed after, failures in a user's words. */
export function withCluster(
  work: (ctl: Ctl, input: CommandInput, io: CommandIo) => Promise<CommandOutput>,
): CommandRun {
  return async (input, io) => {
    const { createCoordClient } = await import('../../coord/client/create.ts')
    const { createAdminClient } = await import('../../coord/client/admin.ts')
    const config = await clientConfig(input)
    const parts = { clock: systemClock, random: systemRandom, logger: io.logger }
    await using client = createCoordClient(config, parts)
    await using admin = createAdminClient(config, parts)
    try {
      const { endpoints, tls } = config
      return await work({ endpoints, isSecure: tls !== undefined, client, admin }, input, io)
    } catch (error) {
      throw await explain(error, config)
    }
  }
}

/** [coord] of the hakiri.toml at --config, or an empty one. */
export async function coordSection(globals: Globals): Promise<CoordSection> {
  const loaded = await loadCoordSection(manifestAt(globals.config))
  if (loaded.ok) return loaded.section
  const [first] = loaded.problems
  const { message, suggestion } = first ?? { message: 'not valid', suggestion: undefined }
  throw new HakiriError(first?.code ?? 'CONFIG_INVALID', message, {
    ...(first
      ? { place: { file: first.file, line: first.line, column: first.column, key: first.key } }
      : {}),
    ...(suggestion === undefined ? {} : { suggestion }),
  })
}

async function clientConfig(input: CommandInput): Promise<ClientConfig> {
  const section = await coordSection(input.globals)
  const settings = resolveClient({ options: input.options, env: process.env, section })
  const tls = settings.tls && (await readTls(settings.tls, section.baseFolder))
  return {
    endpoints: settings.endpoints.map(endpointOf),
    attemptMs: ATTEMPT_MS,
    readMs: READ_MS,
    ...(tls ? { tls } : {}),
  }
}

async function readTls(files: TlsFiles, baseFolder: string): Promise<ClientTls> {
  const read = async (file: string | undefined): Promise<Buffer | undefined> => {
    if (file === undefined) return undefined
    return readFile(resolve(baseFolder, file)).catch((error: unknown) => {
      throw new HakiriError('CONFIG_NOT_FOUND', `cannot read ${file}`, { cause: error })
    })
  }
  const [ca, cert, key] = [await read(files.ca), await read(files.cert), await read(files.key)]
  return { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) }
}

async function explain(error: unknown, config: ClientConfig): Promise<unknown> {
  const { CoordError } = await import('../../coord/client/client.ts')
  if (!(error instanceof CoordError)) return error
  const text = error.message.replace(/^etcdserver: /, '')
  const where = config.endpoints.join(', ')
  if (error.status === 14 || error.status === 4)
    return new HakiriError('COORD_UNREACHABLE', `${where}: ${text}`, {
      cause: error,
      suggestion:
        error.outcome === 'unknown'
          ? 'The request may have been carried out all the same: look before you repeat it.'
          : 'Check --endpoints, and `hakiri ctl status` of each member.',
    })
  return new HakiriError('COORD_REFUSED', `${text} (${where})`, { cause: error })
}

/** A member id as etcdctl writes it. */
export function hex(id: bigint): string {
  return id.toString(16)
}

export function parseHex(text: string, what: string): bigint {
  if (!/^[0-9a-fA-F]{1,16}$/.test(text))
    throw new HakiriError('USAGE', `"${text}" is not ${what}`, {
      suggestion: 'Ids are hexadecimal, as `hakiri ctl members` and `hakiri ctl leases` show them.',
    })
  return BigInt(`0x${text}`)
}

export function parseWhole(text: string, what: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new HakiriError('USAGE', `"${text}" is not ${what}`)
  return Number(text)
}

/** Who coordinates this worker: coordinators of ours or an etcd behind --coord, or this process alone. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { AdminClient } from '../../coord/client/admin.ts'
import type { ClientConfig, ClientTls } from '../../coord/client/client.ts'
import type { Coordination } from '../../lease/coordination.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { CoordinatorStatus } from '../../worker/http/ports.ts'
import { endpointOf } from '../coord/address.ts'
import { isProcessAlive } from '../../lib/system/process.ts'
import type { ServeOptions } from './settings.ts'

export type Coordinating = AsyncDisposable & {
  readonly coordination: Coordination
  /** Asks each coordinator for itself; none when this process coordinates alone. */
  coordinators(signal: AbortSignal): Promise<readonly CoordinatorStatus[]>
}

const ATTEMPT_MS = 2_000
const READ_MS = 5_000

/** `catalogId` keeps clusters that share a coordinator apart. */
export async function openCoordination(
  options: ServeOptions,
  catalogId: string,
  baseFolder: string,
  logger: Logger,
): Promise<Coordinating> {
  const { createCoordination } = await import('../../lease/create.ts')
  const parts = { clock: systemClock, random: systemRandom, logger }
  const prefix = `${options.prefix}/${catalogId}/`
  if (options.coord.length === 0) {
    const { createLocalCoordClient } = await import('../../coord/local/local-client.ts')
    const client = createLocalCoordClient(parts)
    return alone(createCoordination(client, { ...parts, prefix, isAlive: isProcessAlive }), client)
  }
  const { createCoordClient } = await import('../../coord/client/create.ts')
  const { createAdminClient } = await import('../../coord/client/admin.ts')
  const config = await configOf(options, baseFolder)
  const client = createCoordClient(config, parts)
  const admin = createAdminClient(config, parts)
  const coordination = createCoordination(client, { ...parts, prefix, isAlive: isProcessAlive })
  return {
    coordination,
    coordinators: () => Promise.all(config.endpoints.map((endpoint) => ask(admin, endpoint))),
    async [Symbol.asyncDispose]() {
      await coordination[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
      await admin[Symbol.asyncDispose]()
    },
  }
}

function alone(coordination: Coordination, client: AsyncDisposable): Coordinating {
  return {
    coordination,
    coordinators: () => Promise.resolve([]),
    async [Symbol.asyncDispose]() {
      await coordination[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
    },
  }
}

async function ask(admin: AdminClient, endpoint: string): Promise<CoordinatorStatus> {
  try {
    const status = await admin.status(endpoint)
    const isLeader = status.leader !== 0n && status.leader === status.header?.memberId
    return { endpoint, isReachable: true, isLeader, version: status.version, error: null }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { endpoint, isReachable: false, isLeader: false, version: null, error: reason }
  }
}

async function configOf(options: ServeOptions, baseFolder: string): Promise<ClientConfig> {
  const { coord, coordTls: files } = options
  const read = async (file: string | undefined): Promise<Buffer | undefined> => {
    if (file === undefined) return undefined
    return readFile(resolve(baseFolder, file)).catch((error: unknown) => {
      throw new HakiriError('CONFIG_NOT_FOUND', `cannot read ${file}`, { cause: error })
    })
  }
  const [ca, cert, key] = [await read(files?.ca), await read(files?.cert), await read(files?.key)]
  const tls: ClientTls = {
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
  }
  const endpoints = coord.map(endpointOf)
  return { endpoints, attemptMs: ATTEMPT_MS, readMs: READ_MS, ...(files ? { tls } : {}) }
}

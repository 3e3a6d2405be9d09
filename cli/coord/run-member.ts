/** Puts one member together: disks, node, network, edge, one port; and takes it apart in order. */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createAdminClient } from '../../coord/client/admin.ts'
import { openImage } from '../../coord/image/level-image.ts'
import type { CoordNode } from '../../coord/node/node.ts'
import { openNode } from '../../coord/node/open.ts'
import type { NodeStorage } from '../../coord/node/options.ts'
import { openListener } from '../../coord/server/listen.ts'
import { createCoordMetrics } from '../../coord/server/metrics.ts'
import { createPeerNetwork } from '../../coord/server/peer-network.ts'
import { createCoordServer } from '../../coord/server/server.ts'
import { openTls, type TlsSource } from '../../coord/server/tls.ts'
import { createWal, openWal } from '../../coord/wal/log.ts'
import { HakiriError, operatingError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom, systemScheduler } from '../../lib/system/clock.ts'
import { version } from '../version.ts'
import { formatAddress } from './address.ts'
import { planBoot, type Plan } from './boot.ts'
import { imageFolder, walFolder } from './folder.ts'
import type { CoordSettings } from './settings.ts'

export type RunningMember = {
  readonly memberId: bigint
  /** host:port where it listens. */
  readonly endpoint: string
  readonly folder: string
  /** Rejects when it cannot go on. */
  readonly failed: Promise<never>
  stop(signal: AbortSignal): Promise<void>
}

const JOIN_MS = 10_000

/** `baseFolder` is where relative paths start. */
export async function startMember(
  settings: CoordSettings,
  baseFolder: string,
  logger: Logger,
): Promise<RunningMember> {
  const folder = resolve(baseFolder, settings.data)
  // Whatever is watched or measured would keep a process alive that could not start.
  using opening = new DisposableStack()
  const tls = opening.use(await tlsOf(settings, baseFolder, logger))
  const plan = await planBoot(settings, {
    folder,
    logger,
    connect: async (endpoints) => joinClient(endpoints, tls, logger),
  })
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw operatingError(error, 'DISK_FAILED', folder)
  })
  const metrics = opening.adopt(createCoordMetrics(version()), (each) => each.close())
  const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom, logger }
  const network = createPeerNetwork({ ...parts, ...(tls ? { tls } : {}) })
  const node = await openNode({
    ...parts,
    folder,
    boot: plan.boot,
    attributes: attributesOf(settings, plan),
    storage: storageIn(folder),
    openTransport: network.open,
    observer: metrics.node,
    heartbeatMs: settings.heartbeatMs,
    electionMs: settings.electionMs,
    quotaBytes: settings.quotaBytes,
    tuning: { compaction: { revisions: settings.keepRevisions, ageMs: settings.keepMs } },
  })
  metrics.observeNode(node)
  const server = createCoordServer({ ...parts, node, metrics, version: version() })
  const grpc = server.createGrpc()
  network.addTo(grpc)
  try {
    const listener = await openListener({
      ...settings.bind,
      grpc,
      http: server.http,
      peers: network.accept,
      logger,
      ...(tls ? { tls, clientAuth: settings.tls?.clientAuth === true } : {}),
    })
    const opened = opening.move()
    return {
      memberId: node.memberId,
      endpoint: formatAddress({ host: settings.bind.host, port: listener.port }),
      folder,
      failed: node.failed,
      stop: (signal) =>
        stopAll(node, signal, async () => {
          server.close()
          await listener.close()
          opened.dispose()
        }),
    }
  } catch (error) {
    await node.stop(AbortSignal.timeout(1_000))
    throw listenFailure(error, settings)
  }
}

/** The edge stays until leadership is handed over, so that what is under way still gets its answer. */
async function stopAll(
  node: CoordNode,
  signal: AbortSignal,
  closeEdge: () => Promise<void>,
): Promise<void> {
  try {
    await node.stop(signal)
  } finally {
    await closeEdge()
  }
}

function storageIn(folder: string): NodeStorage {
  const wal = { folder: walFolder(folder), clock: systemClock }
  return {
    openWal: (identity, observer) => openWal({ ...wal, identity, observer }),
    createWal: (identity, start, observer) => createWal({ ...wal, identity, start, observer }),
    openImage: () => openImage({ folder: imageFolder(folder) }),
  }
}

function attributesOf({ name }: CoordSettings, { self, url }: Plan) {
  return { name: name ?? formatAddress(self), clientUrls: [url] }
}

async function tlsOf(
  { tls }: CoordSettings,
  baseFolder: string,
  logger: Logger,
): Promise<TlsSource | undefined> {
  if (tls?.cert === undefined || tls.key === undefined) return undefined
  const files = {
    cert: resolve(baseFolder, tls.cert),
    key: resolve(baseFolder, tls.key),
    ...(tls.ca === undefined ? {} : { ca: resolve(baseFolder, tls.ca) }),
  }
  return openTls({ files, scheduler: systemScheduler, logger })
}

function joinClient(endpoints: readonly string[], tls: TlsSource | undefined, logger: Logger) {
  const material = tls?.current()
  const { ca, cert, key } = material ?? {}
  return createAdminClient(
    {
      endpoints,
      attemptMs: JOIN_MS,
      readMs: JOIN_MS,
      ...(cert && key ? { tls: { cert, key, ...(ca ? { ca } : {}) } } : {}),
    },
    { clock: systemClock, random: systemRandom, logger },
  )
}

function listenFailure(error: unknown, { bind }: CoordSettings): unknown {
  const code = (error as { code?: unknown }).code
  if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') return error
  return new HakiriError('COORD_REFUSED', `cannot listen on ${formatAddress(bind)}: ${code}`, {
    cause: error,
    suggestion: 'End what listens there, or choose another address with --bind.',
  })
}

/**
 * Members that are nothing but their transport: real sockets on loopback, and an inbox that the test
 * looks into.
 */
import { Server } from '@grpc/grpc-js'
import type { ImageRecord, ImageView } from '../../coord/image/image.ts'
import type { PeerInbox, PeerMessage, Transport } from '../../coord/node/transport.ts'
import type { Message } from '../../coord/raft/types.ts'
import { openListener } from '../../coord/server/listen.ts'
import type { Listener } from '../../coord/server/listen.ts'
import type { PeerLimits } from '../../coord/server/peer-limits.ts'
import { createPeerNetwork } from '../../coord/server/peer-network.ts'
import type { TlsSource } from '../../coord/server/tls.ts'
import type { Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom, systemScheduler } from '../../lib/system/clock.ts'

export type SnapshotMessage = Message & { readonly kind: 'snapshot' }
type TakeSnapshot = (
  message: SnapshotMessage,
  records: AsyncIterable<readonly ImageRecord[]>,
) => Promise<boolean>

export type LabOptions = {
  readonly id: bigint
  readonly clusterId?: bigint
  /** 0 or absent: any. */
  readonly port?: number
  readonly tls?: TlsSource
  readonly limits?: Partial<PeerLimits>
  readonly takeSnapshot?: TakeSnapshot
}

export type LabPeer = AsyncDisposable & {
  readonly id: bigint
  readonly port: number
  readonly url: string
  readonly listener: Listener
  readonly transport: Transport
  readonly removed: Set<bigint>
  readonly removedBy: Set<bigint>
  /** Members of whom it heard that nobody listens there any more, one entry each time. */
  readonly gone: readonly bigint[]
  readonly received: readonly Received[]
  /** Log lines, each as "level message {fields}". */
  readonly lines: readonly string[]
  /** Resolves as soon as `condition` holds; looked at whenever something arrives or is logged. */
  until(condition: () => boolean): Promise<void>
  /** Resolves once the other is connected, as this one sees it. */
  connectedTo(other: bigint): Promise<void>
}

export type Received = {
  readonly from: bigint
  readonly message: PeerMessage
}

const CLUSTER = 0xfeed_0000_0000_0001n

export async function startPeer(options: LabOptions): Promise<LabPeer> {
  const received: Received[] = []
  const lines: string[] = []
  const removed = new Set<bigint>()
  const removedBy = new Set<bigint>()
  const gone: bigint[] = []
  const checks = new Set<() => void>()
  const changed = (): void => checks.forEach((check) => check())
  const logger: Logger = {
    log: (level, message, fields = {}) => {
      const pairs = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`)
      lines.push([level, message, ...pairs].join(' '))
      changed()
    },
  }
  const inbox: PeerInbox = {
    receive: (from, message) => {
      received.push({ from, message })
      changed()
    },
    greeted: () => undefined,
    receiveSnapshot: (_from, message, records) =>
      options.takeSnapshot?.(message, records) ?? Promise.resolve(false),
    isRemoved: (member) => removed.has(member),
    removedBy: (member) => {
      removedBy.add(member)
      changed()
    },
    gone: (member) => {
      gone.push(member)
      changed()
    },
  }
  const { tls, limits, id, clusterId = CLUSTER } = options
  const network = createPeerNetwork({
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    logger,
    ...(tls ? { tls } : {}),
    ...(limits ? { limits } : {}),
  })
  const grpc = new Server({ 'grpc.max_receive_message_length': 2_097_152 })
  network.addTo(grpc)
  const listener = await openListener({
    host: '127.0.0.1',
    port: options.port ?? 0,
    grpc,
    http: (_request, response) => response.end('lab'),
    peers: network.accept,
    logger,
    limits: { drainMs: 100 },
    ...(tls ? { tls, clientAuth: true } : {}),
  })
  const transport = network.open(inbox, { clusterId, memberId: id })
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return
        checks.delete(check)
        resolve()
      }
      checks.add(check)
      check()
    })
  return {
    id,
    port: listener.port,
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${listener.port}`,
    listener,
    transport,
    removed,
    removedBy,
    gone,
    received,
    lines,
    until,
    connectedTo: async (other) => {
      const timer = setInterval(changed, 5)
      await until(() => transport.connected().has(other))
      clearInterval(timer)
    },
    [Symbol.asyncDispose]: async () => {
      await transport.close()
      await listener.close()
      grpc.forceShutdown()
    },
  }
}

/** Each knows all the others. */
export function introduce(...peers: readonly LabPeer[]): void {
  const members = peers.map(({ id, url }) => ({ member: id, peerUrls: [url] }))
  for (const { transport } of peers) transport.setMembers(members)
}

/** A view of so many records of one size; counts what was read of it. */
export function viewOf(
  count: number,
  valueBytes: number,
): ImageView & { readonly readBytes: () => number } {
  let bytes = 0
  return {
    mark: {
      index: 77,
      term: 3,
      membership: {
        voters: [1n, 2n],
        outgoing: [],
        learners: [],
        learnersNext: [],
        autoLeave: false,
      },
    },
    sizeBytes: count * valueBytes,
    readBytes: () => bytes,
    async *records() {
      for (let at = 0; at < count; at += 10) {
        const some = Array.from({ length: Math.min(10, count - at) }, (_, index) =>
          recordOf(at + index, valueBytes),
        )
        bytes += some.length * valueBytes
        yield some
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

export function recordOf(index: number, valueBytes: number): ImageRecord {
  return { key: Buffer.from(`key-${index}`), value: Buffer.alloc(valueBytes, index) }
}

/**
 * One stream of frames to one member, kept up for as long as the member is one: connects, greets,
 * sends what is given, and connects anew with growing, jittered waits when it breaks. Nothing waits
 * for a member that is not there: while there is no connection under way, messages are dropped.
 */
import { status } from '@grpc/grpc-js'
import type { Client, ClientWritableStream, Metadata, ServiceError } from '@grpc/grpc-js'
import { backoffMs } from '../../lib/backoff.ts'
import { peerService } from '../../proto/gen/raft.ts'
import type { PeerReceipt } from '../../proto/gen/raft.ts'
import type { PeerIdentity, PeerMessage } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'
import type { Dialer } from './peer-dial.ts'
import { toWire } from './peer-codec.ts'
import type { WirePeerMessage } from './peer-codec.ts'
import { canSpeak, greeting, readGreeting } from './peer-greeting.ts'
import type { PeerLimits, PeerParts } from './peer-limits.ts'

export type LaneKind = 'control' | 'append'

export type LaneParts = PeerParts & {
  readonly kind: LaneKind
  readonly self: PeerIdentity
  readonly member: MemberId
  readonly dial: Dialer
  readonly limits: PeerLimits
  /** The other end says that this member was removed. */
  readonly removed: () => void
}

export type Lane = {
  send(message: PeerMessage): void
  isOpen(): boolean
  /** The client of the connection that stands, for other calls to the same member. */
  client(): Client | undefined
  /** Tries again now: the member has just shown itself. */
  wake(): void
  close(): Promise<void>
}

type Stream = ClientWritableStream<{ readonly messages: readonly WirePeerMessage[] }>

/** Why a connection ended. */
type End = { readonly code: number; readonly text: string; readonly wasOpen: boolean }

type Connection = {
  readonly client: Client
  readonly stream: Stream
  isOpen: boolean
  unsentBytes: number
}

type Waiting = { messages: PeerMessage[]; bytes: number; isScheduled: boolean; dropped: number }

/** The lane runs until it is closed. */
export function openLane(parts: LaneParts): Lane {
  const closing = new AbortController()
  const waiting: Waiting = { messages: [], bytes: 0, isScheduled: false, dropped: 0 }
  const current: { connection: Connection | undefined } = { connection: undefined }
  let nap = new AbortController()

  const flush = (): void => {
    waiting.isScheduled = false
    const { connection } = current
    if (connection?.isOpen) sendFrames(connection, waiting, parts.limits)
    else if (!connection) forget(waiting)
  }
  const run = async (): Promise<void> => {
    let told = ''
    for (let attempt = 1; !closing.signal.aborted; attempt++) {
      const end = await connect(parts, current, flush, closing.signal)
      forget(waiting)
      if (closing.signal.aborted) return
      if (end.wasOpen) attempt = 1
      told = report(parts, end, told)
      nap = new AbortController()
      const signal = AbortSignal.any([nap.signal, closing.signal])
      await parts.clock.sleep(waitMs(parts, end, attempt), signal).catch(() => undefined)
    }
  }
  const running = run()

  return {
    send: (message) => {
      const { connection } = current
      const bytes = sizeOf(message)
      const queued = waiting.bytes + (connection?.unsentBytes ?? 0)
      if (!connection || (queued > 0 && queued + bytes > parts.limits.unsentBytesMax)) {
        if (connection) noteDrop(parts, waiting)
        return
      }
      waiting.dropped = 0
      waiting.messages.push(message)
      waiting.bytes += bytes
      if (waiting.isScheduled || !connection.isOpen) return
      waiting.isScheduled = true
      queueMicrotask(flush)
    },
    isOpen: () => current.connection?.isOpen === true,
    client: () => (current.connection?.isOpen ? current.connection.client : undefined),
    wake: () => nap.abort(),
    close: async () => {
      closing.abort()
      await running
    },
  }
}

/** About what a message takes on the wire; only the large parts matter. */
function sizeOf(message: PeerMessage): number {
  const overhead = 64
  if (message.kind !== 'raft') return overhead
  const raft = message.message
  if (raft.kind === 'append')
    return raft.entries.reduce((sum, { data }) => sum + data.length + 24, overhead)
  if (raft.kind === 'propose')
    return raft.commands.reduce((sum, data) => sum + data.length + 8, overhead)
  return overhead
}

function sendFrames(connection: Connection, waiting: Waiting, limits: PeerLimits): void {
  const { messages } = waiting
  waiting.messages = []
  waiting.bytes = 0
  let frame: WirePeerMessage[] = []
  let bytes = 0
  const send = (): void => {
    const size = bytes
    connection.unsentBytes += size
    connection.stream.write({ messages: frame }, () => (connection.unsentBytes -= size))
    frame = []
    bytes = 0
  }
  for (const message of messages) {
    const size = sizeOf(message)
    if (bytes > 0 && bytes + size > limits.frameBytesMax) send()
    frame.push(toWire(message))
    bytes += size
  }
  if (bytes > 0) send()
}

function forget(waiting: Waiting): void {
  waiting.messages = []
  waiting.bytes = 0
}

/** Said once for each time that the connection is full. */
function noteDrop(parts: LaneParts, waiting: Waiting): void {
  if (waiting.dropped++ > 0) return
  parts.logger.log('warn', 'dropping messages to a member that takes none', {
    member: parts.member.toString(16),
    lane: parts.kind,
  })
}

/** Connects and stays until the connection ends. */
async function connect(
  parts: LaneParts,
  current: { connection: Connection | undefined },
  opened: () => void,
  signal: AbortSignal,
): Promise<End> {
  const client = parts.dial.next(parts.kind)
  const patience = new AbortController()
  try {
    return await new Promise<End>((resolve) => {
      const method = parts.kind === 'control' ? peerService.control : peerService.append
      const call = client.makeClientStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        greeting(parts.self, parts.member),
        (error: ServiceError | null, receipt?: PeerReceipt) => {
          resolve(endOf(error, receipt, connection))
        },
      )
      const connection: Connection = { client, stream: call, isOpen: false, unsentBytes: 0 }
      current.connection = connection
      const giveUp = (): void => call.cancel()
      signal.addEventListener('abort', giveUp, { once: true })
      patience.signal.addEventListener('abort', () => signal.removeEventListener('abort', giveUp))
      call.once('metadata', (metadata: Metadata) => {
        if (!answersRightly(parts, metadata)) return call.cancel()
        connection.isOpen = true
        opened()
      })
      parts.clock.sleep(parts.limits.connectMs, patience.signal).then(
        () => connection.isOpen || call.cancel(),
        () => undefined,
      )
      if (signal.aborted) giveUp()
    })
  } finally {
    patience.abort()
    current.connection = undefined
    client.close()
  }
}

/** The answer has to come from whom the greeting was meant for. */
function answersRightly({ self, member }: LaneParts, metadata: Metadata): boolean {
  const answer = readGreeting(metadata)
  return answer?.clusterId === self.clusterId && answer.from === member && canSpeak(self, answer)
}

function endOf(
  error: ServiceError | null,
  receipt: PeerReceipt | undefined,
  { isOpen }: Connection,
): End {
  if (error) return { code: error.code, text: error.details, wasOpen: isOpen }
  return { code: status.OK, text: `closed after ${receipt?.frames ?? 0} frames`, wasOpen: isOpen }
}

const REFUSALS: readonly number[] = [
  status.FAILED_PRECONDITION,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
]

function waitMs({ limits, random }: LaneParts, end: End, attempt: number): number {
  const mostMs = limits.reconnectMsMax
  const wait = { retriesMax: Infinity, firstMs: mostMs / 16, mostMs }
  return backoffMs(wait, REFUSALS.includes(end.code) ? 16 : attempt, random)
}

/** A line for each new reason, not for each attempt; gives the reason that was told last. */
function report(parts: LaneParts, end: End, told: string): string {
  if (end.code === status.PERMISSION_DENIED) parts.removed()
  const reason = end.wasOpen ? '' : `${end.code} ${end.text}`
  if (told === reason && reason !== '') return told
  const isRefused = REFUSALS.includes(end.code)
  const message = end.wasOpen
    ? 'lost the connection to a member'
    : isRefused
      ? 'a member refuses this one'
      : 'cannot reach a member'
  // Both lanes lead to the same member, mostly with the same luck: one of them tells.
  const level = parts.kind === 'append' ? 'debug' : isRefused ? 'error' : 'warn'
  parts.logger.log(level, message, {
    member: parts.member.toString(16),
    lane: parts.kind,
    address: parts.dial.address(),
    reason: end.text,
  })
  return reason
}

/**
 * One connection with frames to one member, kept up for as long as the member is one: connects, greets,
 * sends what is given, and connects anew with growing, jittered waits when it breaks. Nothing waits
 * for a member that is not there: while there is no connection under way, messages are dropped.
 */
import { status } from '@grpc/grpc-js'
import type { Socket } from 'node:net'
import { backoffMs } from '../../lib/backoff.ts'
import { encodePeerFrame } from '../../proto/gen/raft.ts'
import type { PeerIdentity, PeerMessage } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'
import type { Dialer } from './peer-dial.ts'
import { toWire } from './peer-codec.ts'
import type { WirePeerMessage } from './peer-codec.ts'
import { canSpeak, greetingText, readGreetingText } from './peer-greeting.ts'
import type { PeerLimits, PeerParts } from './peer-limits.ts'
import { PEER_MAGIC, RECORD, createRecordReader, readEnd, writeRecord } from './peer-wire.ts'

export type LaneKind = 'control' | 'append'

export type LaneParts = PeerParts & {
  readonly kind: LaneKind
  readonly self: PeerIdentity
  readonly member: MemberId
  readonly dial: Dialer
  /** How many addresses the member has. */
  readonly addresses: number
  readonly limits: PeerLimits
  /** The other end says that this member was removed. */
  readonly removed: () => void
  /** The connection broke, and at none of its addresses anybody listens. */
  readonly gone: () => void
}

export type Lane = {
  /** What is patient waits a moment for something to go with. */
  send(message: PeerMessage, isPatient?: boolean): void
  isOpen(): boolean
  /** Tries again now: the member has just shown itself. */
  wake(): void
  close(): Promise<void>
}

/** Why a connection ended. */
type End = {
  readonly code: number
  readonly text: string
  readonly wasOpen: boolean
  /** Nobody listens there. */
  readonly isDeserted: boolean
}

type Connection = { readonly socket: Socket; isOpen: boolean }

type Waiting = { messages: PeerMessage[]; bytes: number; isScheduled: boolean; dropped: number }

/** The lane runs until it is closed. */
export function openLane(parts: LaneParts): Lane {
  const closing = new AbortController()
  const waiting: Waiting = { messages: [], bytes: 0, isScheduled: false, dropped: 0 }
  const current: { connection: Connection | undefined } = { connection: undefined }
  let nap = new AbortController()
  let isTimed = false

  const flush = (): void => {
    waiting.isScheduled = false
    const { connection } = current
    if (connection?.isOpen) sendFrames(connection, waiting, parts.limits)
    else if (!connection) forget(waiting)
  }
  /** One timer at a time: what comes while it runs leaves earlier than it has to. */
  const flushSoon = (): void => {
    if (isTimed) return
    isTimed = true
    parts.clock.sleep(parts.limits.patienceMs, closing.signal).then(
      () => {
        isTimed = false
        if (!waiting.isScheduled && waiting.messages.length > 0) flush()
      },
      () => undefined,
    )
  }
  const run = async (): Promise<void> => {
    let told = ''
    const desertion = watchDesertion(parts)
    for (let attempt = 1; !closing.signal.aborted; attempt++) {
      const end = await connect(parts, current, flush, closing.signal)
      forget(waiting)
      if (closing.signal.aborted) return
      if (end.wasOpen) attempt = 1
      desertion(end)
      told = report(parts, end, told)
      nap = new AbortController()
      const signal = AbortSignal.any([nap.signal, closing.signal])
      await parts.clock.sleep(waitMs(parts, end, attempt), signal).catch(() => undefined)
    }
  }
  const running = run()

  return {
    send: (message, isPatient = false) => {
      const { connection } = current
      const bytes = sizeOf(message)
      const queued = waiting.bytes + (connection?.socket.writableLength ?? 0)
      if (!connection || (queued > 0 && queued + bytes > parts.limits.unsentBytesMax)) {
        if (connection) noteDrop(parts, waiting)
        return
      }
      waiting.dropped = 0
      waiting.messages.push(message)
      waiting.bytes += bytes
      if (waiting.isScheduled || !connection.isOpen) return
      if (isPatient) return flushSoon()
      waiting.isScheduled = true
      queueMicrotask(flush)
    },
    isOpen: () => current.connection?.isOpen === true,
    wake: () => nap.abort(),
    close: async () => {
      closing.abort()
      await running
    },
  }
}

/** Tells once for each connection that has broken, unless one of the addresses answers in any other way. */
function watchDesertion({ addresses, gone }: LaneParts): (end: End) => void {
  let left = Infinity
  return ({ wasOpen, isDeserted }) => {
    left = wasOpen ? addresses : isDeserted ? left - 1 : Infinity
    if (left === 0) gone()
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
    writeRecord(connection.socket, RECORD.frame, encodePeerFrame({ messages: frame }))
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
  const socket = parts.dial.next()
  const connection: Connection = { socket, isOpen: false }
  const patience = new AbortController()
  current.connection = connection
  const unavailable = (text: string, isDeserted = false): Omit<End, 'wasOpen'> => ({
    code: status.UNAVAILABLE,
    text,
    isDeserted,
  })
  let end = unavailable('the connection was closed')
  const giveUp = (text: string): void => {
    end = unavailable(text)
    socket.destroy()
  }
  const stop = (): void => giveUp('it is not needed any more')
  const life = watchLife(parts, connection, giveUp)
  const read = createRecordReader(
    { hasMagic: false, payloadBytesMax: parts.limits.answerBytesMax },
    (kind, payload) => {
      life.heard()
      if (kind === RECORD.hello) {
        if (!answersRightly(parts, payload)) return giveUp('another member answers there')
        connection.isOpen = true
        opened()
      } else if (kind === RECORD.end) {
        const { code, details } = readEnd(payload)
        end = { code, text: details, isDeserted: false }
        socket.destroy()
      }
    },
  )
  try {
    return await new Promise<End>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        const fault = read(chunk)
        if (fault !== undefined) giveUp(fault)
      })
      socket.on('error', (error: NodeJS.ErrnoException) => {
        const isDeserted = error.code === 'ECONNREFUSED'
        end = unavailable(error.message || String(error.code), isDeserted)
      })
      socket.once('close', () => resolve({ ...end, wasOpen: connection.isOpen }))
      signal.addEventListener('abort', stop, { once: true })
      parts.clock.sleep(parts.limits.connectMs, patience.signal).then(
        () => connection.isOpen || giveUp('no answer in time'),
        () => undefined,
      )
      socket.write(PEER_MAGIC)
      writeRecord(socket, RECORD.hello, Buffer.from(greetingText(parts.self, parts.member)))
      if (signal.aborted) stop()
    })
  } finally {
    patience.abort()
    life[Symbol.dispose]()
    signal.removeEventListener('abort', stop)
    current.connection = undefined
  }
}

/** Asks a connection for signs of life, and gives it up when the last question was not answered. */
function watchLife(
  { scheduler, limits }: LaneParts,
  connection: Connection,
  giveUp: (text: string) => void,
): Disposable & { heard(): void } {
  let isAsked = false
  const timer = scheduler.every(limits.keepaliveMs, () => {
    if (!connection.isOpen) return
    if (isAsked) return giveUp('no sign of life')
    isAsked = true
    writeRecord(connection.socket, RECORD.ping)
  })
  return {
    heard: () => {
      isAsked = false
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

/** The answer has to come from whom the greeting was meant for. */
function answersRightly({ self, member }: LaneParts, payload: Buffer): boolean {
  const answer = readGreetingText(payload.toString())
  return answer?.clusterId === self.clusterId && answer.from === member && canSpeak(self, answer)
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

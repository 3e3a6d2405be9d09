/**
 * The side of a member on which the others call: makes sure of who calls, hands frames to the node,
 * and takes snapshots one at a time from each.
 */
import { status } from '@grpc/grpc-js'
import type { ServerReadableStream, sendUnaryData } from '@grpc/grpc-js'
import type { Socket } from 'node:net'
import { decodePeerFrame } from '../../proto/gen/raft.ts'
import type { PeerFrame, SnapshotChunk } from '../../proto/gen/raft.ts'
import type { PeerIdentity, PeerInbox, PeerMessage } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'
import { fromWire, messageFromWire } from './peer-codec.ts'
import { greetingFault, greetingText, readGreeting, readGreetingText } from './peer-greeting.ts'
import type { Greeting } from './peer-greeting.ts'
import { unpack, watchOver } from './peer-snapshot.ts'
import type { SnapshotParts } from './peer-snapshot.ts'
import { RECORD, createRecordReader, endPayload, writeRecord } from './peer-wire.ts'

/** What the service needs to know of the node, once there is one. */
export type PeerHost = {
  readonly inbox: PeerInbox
  readonly self: PeerIdentity
  /** A member has just shown itself. */
  readonly seen: (member: MemberId) => void
  /** A member has passed on a write or a read. */
  readonly asked: (member: MemberId) => void
  /** Aborts when the node stops. */
  readonly signal: AbortSignal
}

type Refusal = { readonly code: number; readonly details: string }
type Answer<A> = sendUnaryData<Partial<A>>
type Incoming<Q, A> = ServerReadableStream<Q, Partial<A>>

export type PeerHandlers = {
  /** A connection with frames, from its very first byte. */
  readonly accept: (socket: Socket) => void
  readonly snapshot: (
    call: Incoming<SnapshotChunk, { isInstalled: boolean }>,
    answer: Answer<{ isInstalled: boolean }>,
  ) => void
}

/** Handlers for connections with frames and for snapshots; `host` is asked at each. */
export function createPeerHandlers(
  parts: SnapshotParts,
  host: () => PeerHost | undefined,
): PeerHandlers {
  const admit = createGate(parts, host)
  const arriving = new Set<MemberId>()
  return {
    accept: (socket) => receiveFrames(parts, admit, socket),
    snapshot: (call, answer) => {
      const caller = admit(readGreeting(call.metadata))
      if ('code' in caller) return answer(caller)
      if (arriving.has(caller.from))
        return answer({
          code: status.RESOURCE_EXHAUSTED,
          details: 'a snapshot is under way already',
        })
      arriving.add(caller.from)
      receiveSnapshot(parts, caller, call)
        .then(
          (isInstalled) => answer(null, { isInstalled }),
          (error: unknown) => {
            const details = error instanceof Error ? error.message : String(error)
            parts.logger.log('warn', 'a snapshot was not taken', {
              from: hex(caller.from),
              details,
            })
            answer({ code: status.ABORTED, details })
          },
        )
        .finally(() => arriving.delete(caller.from))
    },
  }
}

type Caller = PeerHost & { readonly from: MemberId }
type Gate = (greeting: Greeting | undefined) => Caller | Refusal

/** Who may come in; a refusal is logged once until somebody else is refused or for something else. */
function createGate({ logger }: SnapshotParts, host: () => PeerHost | undefined): Gate {
  let told = ''
  return (other) => {
    const known = host()
    if (!known || known.signal.aborted)
      return { code: status.UNAVAILABLE, details: 'this member is not ready' }
    if (!other) return { code: status.INVALID_ARGUMENT, details: 'only members may call this' }
    const fault = greetingFault(known.self, other)
    const isRemoved = fault === undefined && known.inbox.isRemoved(other.from)
    if (fault === undefined && !isRemoved) {
      known.seen(other.from)
      known.inbox.greeted(other.from, other.protocols)
      return { ...known, from: other.from }
    }
    const details = fault ?? `member ${hex(other.from)} was removed from the cluster`
    if (told !== details) logger.log('warn', 'refused a member', { from: hex(other.from), details })
    told = details
    return { code: isRemoved ? status.PERMISSION_DENIED : status.FAILED_PRECONDITION, details }
  }
}

function hex(member: MemberId): string {
  return member.toString(16)
}

/** Whoever does not greet within this time, or does not let go after the end, is cut off. */
const LINGER_MS = 10_000

/** One connection: a greeting, then frames, until one of the two ends it. */
function receiveFrames({ limits }: SnapshotParts, admit: Gate, socket: Socket): void {
  let caller: Caller | undefined
  let isOver = false
  const stop = (): void => end({ code: status.UNAVAILABLE, details: 'this member is stopping' })
  const end = ({ code, details }: Refusal): void => {
    if (isOver) return
    isOver = true
    writeRecord(socket, RECORD.end, endPayload(code, details))
    socket.end()
    socket.setTimeout(LINGER_MS)
  }
  const greeted = (payload: Buffer): void => {
    const admitted = admit(readGreetingText(payload.toString()))
    if ('code' in admitted) return end(admitted)
    caller = admitted
    caller.signal.addEventListener('abort', stop, { once: true })
    socket.setTimeout(0)
    writeRecord(socket, RECORD.hello, Buffer.from(greetingText(caller.self, caller.from)))
  }
  const take = (kind: number, payload: Buffer): void => {
    if (isOver) return
    if (kind === RECORD.ping) writeRecord(socket, RECORD.pong)
    else if (kind === RECORD.hello && !caller) greeted(payload)
    else if (kind === RECORD.frame && caller) {
      const refusal = receiveFrame(caller, payload)
      if (refusal) end(refusal)
    }
  }
  const read = createRecordReader(
    { hasMagic: true, payloadBytesMax: limits.frameTakenBytesMax },
    take,
  )
  socket.setTimeout(LINGER_MS)
  socket.on('timeout', () => socket.destroy())
  socket.on('error', () => undefined)
  socket.once('close', () => {
    isOver = true
    caller?.signal.removeEventListener('abort', stop)
  })
  socket.on('data', (chunk: Buffer) => {
    const fault = isOver ? undefined : read(chunk)
    if (fault !== undefined) end({ code: status.INTERNAL, details: fault })
  })
}

/** Hands the messages of a frame to the node; gives why the connection has to end. */
function receiveFrame({ inbox, self, from, asked }: Caller, payload: Buffer): Refusal | undefined {
  if (inbox.isRemoved(from)) {
    const details = `member ${hex(from)} was removed from the cluster`
    return { code: status.PERMISSION_DENIED, details }
  }
  const frame = decodeFrame(payload)
  if (!frame) return { code: status.INTERNAL, details: 'a frame is damaged' }
  for (const content of frame.messages) {
    const message = fromWire(content)
    const isForged =
      message?.kind === 'raft' &&
      (message.message.from !== from || message.message.to !== self.memberId)
    if (!message || isForged) continue
    if (isQuestion(message)) asked(from)
    inbox.receive(from, message)
  }
  return undefined
}

function isQuestion(message: PeerMessage): boolean {
  if (message.kind !== 'raft') return false
  return message.message.kind === 'propose' || message.message.kind === 'read-index'
}

function decodeFrame(payload: Buffer): PeerFrame | undefined {
  try {
    return decodePeerFrame(payload)
  } catch (error) {
    if (error instanceof Error && error.name === 'WireError') return undefined
    throw error
  }
}

async function receiveSnapshot(
  parts: SnapshotParts,
  { inbox, from, signal }: Caller,
  call: Incoming<SnapshotChunk, { isInstalled: boolean }>,
): Promise<boolean> {
  const fail = (why: string) => (): void => void call.destroy(new Error(why))
  const stop = fail('this member is stopping')
  signal.addEventListener('abort', stop, { once: true })
  using watchdog = watchOver(parts, fail('the sender has stalled'))
  try {
    const chunks = touching(call, () => watchdog.touch())
    const first = await chunks.next()
    const message = first.value?.message && messageFromWire(first.value.message)
    if (message?.kind !== 'snapshot' || message.from !== from)
      throw new Error('a snapshot has to begin with its message')
    return await inbox.receiveSnapshot(from, message, unpack(chunks, parts.limits))
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

async function* touching(
  chunks: AsyncIterable<SnapshotChunk>,
  touch: () => void,
): AsyncGenerator<SnapshotChunk, undefined> {
  for await (const chunk of chunks) {
    touch()
    yield chunk
  }
}

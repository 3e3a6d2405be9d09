/**
 * The side of a member on which the others call: makes sure of who calls, hands frames to the node,
 * and takes snapshots one at a time from each.
 */
import { status } from '@grpc/grpc-js'
import type { Metadata, ServerReadableStream, sendUnaryData } from '@grpc/grpc-js'
import type { PeerFrame, SnapshotChunk } from '../../proto/gen/raft.ts'
import type { PeerIdentity, PeerInbox } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'
import { fromWire, messageFromWire } from './peer-codec.ts'
import { greeting, greetingFault, readGreeting } from './peer-greeting.ts'
import { unpack, watchOver } from './peer-snapshot.ts'
import type { SnapshotParts } from './peer-snapshot.ts'

/** What the service needs to know of the node, once there is one. */
export type PeerHost = {
  readonly inbox: PeerInbox
  readonly self: PeerIdentity
  /** A member has just shown itself. */
  readonly seen: (member: MemberId) => void
  /** Aborts when the node stops. */
  readonly signal: AbortSignal
}

type Refusal = { readonly code: number; readonly details: string }
type Answer<A> = sendUnaryData<Partial<A>>
type Incoming<Q, A> = ServerReadableStream<Q, Partial<A>>

export type PeerHandlers = {
  readonly frames: (
    call: Incoming<PeerFrame, { frames: number }>,
    answer: Answer<{ frames: number }>,
  ) => void
  readonly snapshot: (
    call: Incoming<SnapshotChunk, { isInstalled: boolean }>,
    answer: Answer<{ isInstalled: boolean }>,
  ) => void
}

/** Handlers for the streams of frames and of snapshots; `host` is asked at each call. */
export function createPeerHandlers(
  parts: SnapshotParts,
  host: () => PeerHost | undefined,
): PeerHandlers {
  const admit = createGate(parts, host)
  const arriving = new Set<MemberId>()
  return {
    frames: (call, answer) => {
      const caller = admit(call.metadata)
      if ('code' in caller) return answer(caller)
      receiveFrames(caller, call, answer)
    },
    snapshot: (call, answer) => {
      const caller = admit(call.metadata)
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

/** Who may come in; a refusal is logged once until somebody else is refused or for something else. */
function createGate(
  { logger }: SnapshotParts,
  host: () => PeerHost | undefined,
): (metadata: Metadata) => Caller | Refusal {
  let told = ''
  return (metadata) => {
    const known = host()
    if (!known || known.signal.aborted)
      return { code: status.UNAVAILABLE, details: 'this member is not ready' }
    const other = readGreeting(metadata)
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

function receiveFrames(
  { inbox, self, from, signal }: Caller,
  call: Incoming<PeerFrame, { frames: number }>,
  answer: Answer<{ frames: number }>,
): void {
  let frames = 0
  let isOver = false
  const end = (refusal?: Refusal): void => {
    if (isOver) return
    isOver = true
    signal.removeEventListener('abort', stop)
    if (refusal) answer(refusal)
    else answer(null, { frames })
  }
  const stop = (): void => end({ code: status.UNAVAILABLE, details: 'this member is stopping' })
  signal.addEventListener('abort', stop, { once: true })
  call.on('data', (frame: PeerFrame) => {
    if (isOver) return
    frames++
    if (inbox.isRemoved(from)) {
      const details = `member ${hex(from)} was removed from the cluster`
      return end({ code: status.PERMISSION_DENIED, details })
    }
    for (const content of frame.messages) {
      const message = fromWire(content)
      const isForged =
        message?.kind === 'raft' &&
        (message.message.from !== from || message.message.to !== self.memberId)
      if (message && !isForged) inbox.receive(from, message)
    }
  })
  call.once('end', () => end())
  call.once('cancelled', () => end())
  call.once('error', () => end())
  call.sendMetadata(greeting(self, from))
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

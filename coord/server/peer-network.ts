/**
 * The connections between this member and the others: to each of them one for what must never wait
 * (heartbeats, votes, questions) and one for what may be large (appends), and what they reach this one
 * through. A snapshot is a call with a connection of its own.
 */
import type { Socket } from 'node:net'
import type { Client, Server } from '@grpc/grpc-js'
import { peerService } from '../../proto/gen/raft.ts'
import type {
  MemberAddress,
  OpenTransport,
  PeerIdentity,
  PeerInbox,
  PeerMessage,
  Transport,
} from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'
import { createDialer } from './peer-dial.ts'
import type { Dialer } from './peer-dial.ts'
import { greeting } from './peer-greeting.ts'
import { openLane } from './peer-lane.ts'
import type { Lane, LaneKind } from './peer-lane.ts'
import { DEFAULT_PEER_LIMITS } from './peer-limits.ts'
import type { PeerLimits, PeerParts } from './peer-limits.ts'
import { createPeerHandlers } from './peer-service.ts'
import type { PeerHost } from './peer-service.ts'
import { uploadSnapshot } from './peer-snapshot.ts'
import type { SnapshotParts } from './peer-snapshot.ts'

export type PeerNetwork = {
  /** To be given to the node, which opens it once it knows who it is. */
  readonly open: OpenTransport
  /** Adds the service of snapshots; until `open` it answers that this member is not ready. */
  addTo(server: Server): void
  /** Takes a connection of another member; until `open` it is told that this one is not ready. */
  readonly accept: (socket: Socket) => void
}

type Link = {
  readonly urls: string
  readonly control: Lane
  readonly append: Lane
  readonly dial: Dialer
  isSendingSnapshot: boolean
  /** When it last passed on a write or a read, for which it waits to hear what is committed. */
  askedAtMs: number
}

export function createPeerNetwork(
  given: PeerParts & { readonly limits?: Partial<PeerLimits> },
): PeerNetwork {
  const parts: SnapshotParts = { ...given, limits: { ...DEFAULT_PEER_LIMITS, ...given.limits } }
  let host: PeerHost | undefined
  const { accept, snapshot } = createPeerHandlers(parts, () => host)
  return {
    open: (inbox, self) => {
      const opened = openTransport(parts, inbox, self)
      host = opened.host
      return opened.transport
    },
    addTo: (server) => server.addService(peerService, { snapshot }),
    accept,
  }
}

function openTransport(
  parts: SnapshotParts,
  inbox: PeerInbox,
  self: PeerIdentity,
): { readonly transport: Transport; readonly host: PeerHost } {
  const links = new Map<MemberId, Link>()
  const closing = new AbortController()
  const closed: Promise<void>[] = []
  const close = (member: MemberId, link: Link): void => {
    links.delete(member)
    closed.push(link.control.close(), link.append.close())
  }
  const transport: Transport = {
    setMembers: (members) => {
      if (closing.signal.aborted) return
      const wanted = new Map(members.map((address) => [address.member, address]))
      for (const [member, link] of links)
        if (wanted.get(member)?.peerUrls.join() !== link.urls) close(member, link)
      for (const [member, address] of wanted)
        if (member !== self.memberId && address.peerUrls.length > 0 && !links.has(member))
          links.set(member, openLink(parts, inbox, self, address))
    },
    send: (to, message) => {
      const link = links.get(to)
      link?.[laneOf(message)].send(message, isPatient(message) && !isAsking(parts, link))
    },
    sendSnapshot: async (to, message, view, signal) => {
      const link = links.get(to)
      if (!link?.append.isOpen() || link.isSendingSnapshot || message.kind !== 'snapshot')
        return false
      link.isSendingSnapshot = true
      const client = link.dial.client()
      try {
        const target = { client, metadata: greeting(self, to) }
        const until = AbortSignal.any([signal, closing.signal])
        // An image is not read for somebody who cannot be reached.
        if (!(await isReached(client, parts))) return false
        return await send(parts, to, () => uploadSnapshot(parts, target, message, view, until))
      } finally {
        link.isSendingSnapshot = false
        client.close()
      }
    },
    connected: () => {
      const isOpen = ({ control, append }: Link): boolean => control.isOpen() && append.isOpen()
      return new Set([...links].flatMap(([member, link]) => (isOpen(link) ? [member] : [])))
    },
    close: async () => {
      closing.abort()
      for (const [member, link] of links) close(member, link)
      await Promise.all(closed)
    },
  }
  const seen = (member: MemberId): void => {
    links.get(member)?.control.wake()
    links.get(member)?.append.wake()
  }
  const asked = (member: MemberId): void => {
    const link = links.get(member)
    if (link) link.askedAtMs = parts.clock.monotonic()
  }
  return { transport, host: { inbox, self, seen, asked, signal: closing.signal } }
}

function openLink(
  parts: SnapshotParts,
  inbox: PeerInbox,
  self: PeerIdentity,
  { member, peerUrls }: MemberAddress,
): Link {
  const dialer = (): Dialer => createDialer(peerUrls, parts.tls, parts.limits)
  const dial = dialer()
  const lane = (kind: LaneKind): Lane =>
    openLane({
      ...parts,
      kind,
      self,
      member,
      dial: kind === 'append' ? dial : dialer(),
      addresses: peerUrls.length,
      removed: () => inbox.removedBy(member),
      // Both connections lead to the same program.
      gone: () => kind === 'control' && inbox.gone(member),
    })
  return {
    urls: peerUrls.join(),
    control: lane('control'),
    append: lane('append'),
    dial,
    isSendingSnapshot: false,
    askedAtMs: Number.NEGATIVE_INFINITY,
  }
}

/** Large messages have a connection of their own. */
function laneOf(message: PeerMessage): LaneKind {
  const isLarge =
    message.kind === 'raft' &&
    (message.message.kind === 'append' || message.message.kind === 'propose')
  return isLarge ? 'append' : 'control'
}

/** An append without entries only brings news of what is committed, or asks where logs agree. */
function isPatient(message: PeerMessage): boolean {
  return (
    message.kind === 'raft' &&
    message.message.kind === 'append' &&
    message.message.entries.length === 0
  )
}

function isAsking({ clock, limits }: SnapshotParts, { askedAtMs }: Link): boolean {
  return clock.monotonic() - askedAtMs < limits.askedMs
}

function isReached(client: Client, { clock, limits }: SnapshotParts): Promise<boolean> {
  return new Promise((resolve) => {
    client.waitForReady(clock.now() + limits.connectMs, (error) => resolve(error === undefined))
  })
}

async function send(
  { logger, clock }: SnapshotParts,
  to: MemberId,
  upload: () => Promise<{ readonly isInstalled: boolean; readonly reason: string }>,
): Promise<boolean> {
  const member = to.toString(16)
  const startMs = clock.monotonic()
  const { isInstalled, reason } = await upload()
  const ms = Math.round(clock.monotonic() - startMs)
  if (isInstalled) logger.log('info', 'sent a snapshot', { member, ms })
  else logger.log('warn', 'a snapshot did not arrive', { member, ms, reason })
  return isInstalled
}

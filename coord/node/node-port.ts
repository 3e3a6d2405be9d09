/** The port of the edge over a driver: typed questions, one promise each. */
import { NOBODY } from '../raft/types.ts'
import type { Wal } from '../wal/wal.ts'
import type { Driver } from './driver.ts'
import { NodeError } from './node.ts'
import type { Header, Member, NodeStatus } from './node.ts'
import type { NodeOptions, OpenedNode } from './options.ts'
import type { MemberQuestion } from './transport.ts'
import type { Replica, ReplicaConfig, ReplicaCounts, Request, Result } from './types.ts'

export type PortParts = {
  readonly options: NodeOptions
  readonly identity: { readonly clusterId: bigint; readonly memberId: bigint }
  readonly replica: Replica
  readonly driver: Driver
  readonly wal: Wal
  readonly config: ReplicaConfig
}

type Of<K extends Result['kind']> = Extract<Result, { readonly kind: K }>

const LOST_AFTER_ELECTIONS = 3
const MS = 1000

export function createNodePort(parts: PortParts): {
  readonly node: OpenedNode
  /** After each tick: who should hear that there is no leader, and what the metrics should know. */
  tick(): void
} {
  const { identity, replica, driver } = parts
  const listeners = new Set<() => void>()
  const tellLoss = lossTeller(parts, listeners)
  const tellMetrics = metricsTeller(parts)
  const tellMissing = missingTeller(parts)
  const tellLevel = levelTeller(parts)

  const ask = async <K extends Result['kind']>(
    request: Request,
    kind: K,
    signal: AbortSignal,
  ): Promise<Of<K>> => {
    const result = await driver.ask(request, signal)
    if (result.kind !== kind) throw new TypeError(`a ${request.kind} was answered ${result.kind}`)
    return result as Of<K>
  }
  const header = (): Header => ({
    clusterId: identity.clusterId,
    memberId: identity.memberId,
    revision: replica.store.revision,
    raftTerm: replica.term,
  })
  const change = (question: MemberQuestion, signal: AbortSignal): Promise<Of<'member'>> =>
    ask({ kind: 'member', question }, 'member', signal)
  const find = (id: bigint): Member => {
    const member = replica.members().find((one) => one.id === id)
    if (!member) throw new NodeError('member-not-found')
    return member
  }

  const node: OpenedNode = {
    clusterId: identity.clusterId,
    memberId: identity.memberId,
    peers: driver.inbox,
    get store() {
      return replica.store
    },
    header,
    status: () => statusOf(parts, header()),
    hasLeader: () => replica.leader !== NOBODY,
    leaderlessMs: () => replica.leaderlessMs(parts.options.clock.monotonic()),
    onLeaderLost(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async propose(command, signal) {
      return (await ask({ kind: 'propose', command }, 'applied', signal)).applied
    },
    async linearize(signal) {
      await ask({ kind: 'linearize' }, 'linear', signal)
    },
    async renew(lease, signal) {
      const { ttlMs, revision } = await ask({ kind: 'renew', lease }, 'lease', signal)
      return { ttl: Math.round(ttlMs / MS), header: { ...header(), revision } }
    },
    async timeToLive(lease, signal) {
      const { ttlMs } = await ask({ kind: 'remaining', lease }, 'lease', signal)
      if (ttlMs < 0) return { ttl: -1, record: undefined }
      // The leader knows it; this member may not have got there yet.
      if (!replica.store.lease(lease)) await ask({ kind: 'linearize' }, 'linear', signal)
      const record = replica.store.lease(lease)
      return record ? { ttl: Math.floor(ttlMs / MS), record } : { ttl: -1, record }
    },
    leases: () => replica.leases(),
    watch: (wake) => replica.watches.open(wake),
    members: () => replica.members(),
    async memberAdd(peerUrls, isLearner, signal, replaces = NOBODY) {
      return find((await change({ kind: 'add', peerUrls, isLearner, replaces }, signal)).member)
    },
    async memberRemove(member, signal) {
      await change({ kind: 'remove', member }, signal)
    },
    async memberUpdate(member, peerUrls, signal) {
      await change({ kind: 'update', member, peerUrls }, signal)
    },
    async memberPromote(member, signal) {
      await change({ kind: 'promote', member }, signal)
    },
    async moveLeader(target, signal) {
      await ask({ kind: 'move-leader', target }, 'moved', signal)
    },
    snapshot: () => driver.view(),
    stop: (signal) => driver.stop(signal),
    failed: driver.failed,
  }
  return {
    node,
    tick() {
      tellLoss()
      tellMetrics()
      tellMissing()
      tellLevel()
    },
  }
}

function statusOf({ replica, wal }: PortParts, header: Header): NodeStatus {
  const { role, leader, commit } = replica.raftStatus()
  const { sizeBytes, alarms } = replica.store
  const names = ['', 'NOSPACE', 'CORRUPT']
  return {
    header,
    role,
    leader,
    raftIndex: commit,
    raftApplied: replica.applied,
    dbSizeBytes: sizeBytes,
    dbSizeInUseBytes: sizeBytes,
    quotaBytes: replica.store.quotaBytes,
    walBytes: wal.sizeBytes(),
    isLearner: replica.isLearner,
    errors: [
      ...(leader === NOBODY ? ['etcdserver: no leader'] : []),
      ...alarms.map(({ member, alarm }) => `memberID:${member} alarm:${names[alarm] ?? alarm} `),
    ],
  }
}

/** Once for each time that the leader is lost for three election timeouts. */
function lossTeller(
  { replica, config, options }: PortParts,
  listeners: ReadonlySet<() => void>,
): () => void {
  const afterMs = LOST_AFTER_ELECTIONS * config.raft.electionTicks * config.tickMs
  let isTold = false
  return () => {
    const isLost = replica.leaderlessMs(options.clock.monotonic()) >= afterMs
    if (isLost && !isTold) for (const listener of listeners) listener()
    isTold = isLost
  }
}

const TELL_MISSING_MS = 5_000

/** A cluster begins once all its first members have met; until then this says who is missing. */
function missingTeller({ replica, options }: PortParts): () => void {
  let quietUntilMs = options.clock.monotonic() + TELL_MISSING_MS
  return () => {
    if (replica.isFormed() || options.clock.monotonic() < quietUntilMs) return
    quietUntilMs = options.clock.monotonic() + TELL_MISSING_MS
    const missing = replica.missing()
    const urls = replica.members().filter(({ id }) => missing.includes(id))
    options.logger.log('warn', 'waiting for all members before the cluster can begin', {
      missing: urls.flatMap(({ peerUrls }) => peerUrls).join(', '),
    })
  }
}

/** What the cluster has come to, when it comes to it: from then on no older program is let in. */
function levelTeller({ replica, options, identity }: PortParts): () => void {
  let level = replica.protocols().min
  return () => {
    const { min } = replica.protocols()
    if (min === level) return
    level = min
    options.logger.log('info', 'the cluster has come to a newer protocol', {
      member: identity.memberId.toString(16),
      protocol: level,
    })
  }
}

function metricsTeller({ replica, options, identity }: PortParts): () => void {
  const { observer, logger } = options
  let last: ReplicaCounts = replica.counts()
  let commit = replica.applied
  let leader = NOBODY
  return () => {
    const counts = replica.counts()
    const status = replica.raftStatus()
    for (let n = last.leaderChanges; n < counts.leaderChanges; n++) observer?.onLeaderChange?.()
    for (let n = last.proposalsFailed; n < counts.proposalsFailed; n++)
      observer?.onProposalFailed?.()
    if (counts.leasesExpired > last.leasesExpired)
      observer?.onLeasesExpired?.(counts.leasesExpired - last.leasesExpired)
    if (status.commit > commit) observer?.onProposalCommitted?.(status.commit - commit)
    if (status.leader !== leader)
      logger.log('info', status.leader === NOBODY ? 'there is no leader' : 'there is a leader', {
        member: identity.memberId.toString(16),
        leader: status.leader.toString(16),
        term: status.term,
        index: status.commit,
      })
    leader = status.leader
    commit = Math.max(commit, status.commit)
    last = counts
  }
}

/**
 * The replica: Raft, store, leases, waiting requests, put together. Inputs only change state; what
 * follows from all of them is worked out when the effects are taken, so that everything that came in
 * during one turn shares one portion of log, one round of reads, one message to each member.
 */
import { assert } from '../../lib/assert.ts'
import { createLessor } from '../kv/lessor.ts'
import { createWatchHub } from '../kv/watch-hub.ts'
import { createRaft } from '../raft/raft.ts'
import { NOBODY } from '../raft/types.ts'
import type { Raft } from '../raft/types.ts'
import { applySlice, hasToApply, tellMembers } from './apply.ts'
import { fail, isLearner } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { createDuties, tickDuties } from './duties.ts'
import { createFarewell, noteRefused, tickFarewell } from './farewell.ts'
import { createFormation, missingFor, noteFormed, tickFormation } from './formation.ts'
import { createLevel, noteGreeted, protocolsOf } from './level.ts'
import { createImage, maybeWriteImage, noteImageWritten } from './image-writer.ts'
import { cancelLease, createLeases, stopLeases, submitLease, tickLeases } from './lease-desk.ts'
import {
  createMemberDesk,
  expireMembers,
  stopMembers,
  submitMember,
  submitMove,
} from './member-desk.ts'
import { createMemberTable } from './member-table.ts'
import { createOrigins } from './origins.ts'
import {
  cancelProposal,
  createProposals,
  stopProposals,
  submitProposal,
  tickProposals,
} from './proposals.ts'
import {
  cancelRead,
  countReaders,
  createReads,
  distrustRounds,
  expireReads,
  stopReads,
  submitRead,
} from './reads.ts'
import { isRefused, receive } from './receive.ts'
import { noteDurable, settle } from './settle.ts'
import { installState, stepSnapshot } from './snapshot.ts'
import type { Effect, Replica, ReplicaConfig, ReplicaStart, Request } from './types.ts'
import { bestFollower, leaderlessMs } from './leadership.ts'

/** Takes up where the disk left off. `nowMs` of the first input may be anything. */
export function createReplica(config: ReplicaConfig, start: ReplicaStart): Replica {
  const core = createReplicaCore(config, start)
  tellMembers(core)
  if (start.formation.isFormed) maybeStandAlone(core)
  const at = (nowMs: number): void => passTime(core, nowMs)
  return {
    tick(nowMs) {
      at(nowMs)
      tick(core)
    },
    receive(from, message, nowMs) {
      at(nowMs)
      receive(core, from, message)
    },
    greeted(from, protocols, nowMs) {
      at(nowMs)
      noteGreeted(core, from, protocols)
    },
    submit(request, what, nowMs) {
      at(nowMs)
      submit(core, request, what)
    },
    cancel(request) {
      if (!cancelProposal(core, request) && !cancelRead(core, request)) cancelLease(core, request)
    },
    persisted(number, nowMs) {
      at(nowMs)
      core.raft.persisted(number)
      noteDurable(core, number)
    },
    imageWritten(mark, nowMs) {
      at(nowMs)
      noteImageWritten(core, mark)
    },
    snapshotArrived(message, nowMs) {
      at(nowMs)
      return stepSnapshot(core, message)
    },
    snapshotInstalled(state, nowMs) {
      at(nowMs)
      installState(core, state)
    },
    snapshotSent(to, isDelivered, nowMs) {
      at(nowMs)
      core.raft.reportSnapshot(to, isDelivered)
    },
    removedBy(member, nowMs) {
      at(nowMs)
      noteRefused(core, member)
    },
    unreachable: (member) => core.raft.reportUnreachable(member),
    gone(member, nowMs) {
      at(nowMs)
      core.raft.reportGone(member)
    },
    formed(nowMs) {
      at(nowMs)
      noteFormed(core)
      maybeStandAlone(core)
    },
    hasWork: () => hasToApply(core),
    work(nowMs) {
      at(nowMs)
      if (hasToApply(core)) applySlice(core)
    },
    flushImage() {
      core.image.isFlushing = true
    },
    stepAside() {
      const target = bestFollower(core)
      return target !== NOBODY && core.raft.transferLeadership(target) === 'accepted'
    },
    stopRequests() {
      stopProposals(core)
      stopReads(core)
      stopLeases(core)
      stopMembers(core)
    },
    takeEffects: () => takeEffects(core),
    get store() {
      return core.store
    },
    watches: core.watches,
    get applied() {
      return core.applied
    },
    raftStatus: () => core.raft.status(),
    get term() {
      return core.status.term
    },
    get leader() {
      return core.status.leader
    },
    get isLearner() {
      return isLearner(core)
    },
    missing: () => missingFor(core),
    members: () => core.members.list(core.membership),
    isRemoved: (member) => isRefused(core, member),
    protocols: () => protocolsOf(core),
    isFormed: () => core.formation.kept.isFormed,
    leaderlessMs: (nowMs) => leaderlessMs(core, nowMs),
    leases: () => (core.lessor.isPrimary ? core.lessor.byExpiry() : leasesByTtl(core)),
    counts: () => ({
      proposalsWaiting: core.proposals.waiting.size,
      readsWaiting: countReaders(core),
      leasesWaiting: core.leases.open.size,
      proposalsFailed: core.proposals.failed,
      leaderChanges: core.leaderChanges,
      leasesExpired: core.leases.expired,
    }),
  }
}

function createReplicaCore(config: ReplicaConfig, start: ReplicaStart): ReplicaCore {
  const { state } = start
  const raft: Raft = createRaft(config.raft, {
    hardState: start.hardState,
    mark: { ...start.mark, membership: state.mark.membership },
    entries: start.entries,
    applied: state.mark.index,
  })
  return {
    config,
    self: config.raft.self,
    raft,
    effects: [],
    nowMs: Number.NEGATIVE_INFINITY,
    store: state.store,
    watches: createWatchHub(state.store),
    lessor: createLessor(),
    members: createMemberTable(state.members.values(), state.removed),
    origins: createOrigins(state.origins),
    membership: state.mark.membership,
    applied: state.mark.index,
    appliedTerm: state.mark.term,
    toApply: [],
    applyOffset: 0,
    isInstalling: false,
    isStopped: false,
    status: raft.status(),
    leaderlessFromMs: undefined,
    leaderChanges: 0,
    heldHardState: undefined,
    durableCommit: Math.max(start.hardState.commit, state.mark.index),
    commitsToDisk: [],
    proposals: createProposals(),
    reads: createReads(),
    leases: createLeases(),
    memberDesk: createMemberDesk(),
    image: createImage(state.mark.index),
    formation: createFormation(start.formation),
    duties: createDuties(),
    level: createLevel(state.level),
    farewell: { ...createFarewell(), isRemoved: state.removed.has(config.raft.self) },
  }
}

/** A cluster of one need not wait for anybody. */
function maybeStandAlone({ raft, membership, self, formation }: ReplicaCore): void {
  const isAlone = membership.voters.length === 1 && membership.voters[0] === self
  if (formation.kept.isFormed && isAlone && membership.outgoing.length === 0) raft.campaign()
}

/** Who does not lead knows of a lease only that it lasts its TTL at most. */
function leasesByTtl({ store }: ReplicaCore): readonly bigint[] {
  return store
    .leases()
    .toSorted((a, b) => a.ttl - b.ttl || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id)
}

function passTime(core: ReplicaCore, nowMs: number): void {
  if (!(nowMs >= core.nowMs)) assert(false, 'time goes back')
  const { raft, tickMs } = core.config
  if (nowMs - core.nowMs > raft.electionTicks * tickMs) distrustRounds(core)
  core.nowMs = nowMs
}

function tick(core: ReplicaCore): void {
  if (core.isStopped) return
  if (!core.formation.kept.isFormed) tickFormation(core)
  else {
    core.raft.tick()
    tickDuties(core)
    tickFarewell(core)
  }
  if (core.isStopped) return
  tickProposals(core)
  expireReads(core)
  tickLeases(core)
  expireMembers(core)
  core.watches.tick(core.nowMs)
}

function submit(core: ReplicaCore, request: number, what: Request): void {
  if (core.isStopped || core.farewell.isRemoved) return fail(core, request, 'stopped')
  switch (what.kind) {
    case 'propose':
      return submitProposal(core, request, what.command)
    case 'linearize':
      return submitRead(core, request)
    case 'renew':
    case 'remaining':
      return submitLease(core, request, what)
    case 'member':
      return submitMember(core, request, what.question)
    case 'move-leader':
      return submitMove(core, request, what.target)
  }
}

function takeEffects(core: ReplicaCore): readonly Effect[] {
  if (!core.isStopped) {
    settle(core)
    maybeWriteImage(core)
  }
  const { effects } = core
  core.effects = []
  return effects
}

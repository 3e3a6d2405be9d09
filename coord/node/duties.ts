/**
 * What a leader does by itself as time passes: leases that are over are ended, history is compacted,
 * its quota is that of all,
 * learners that keep up become voters. And what every member does: it says its name.
 */
import { addSample, planCompaction } from '../kv/compaction-policy.ts'
import type { CompactionPolicy } from '../kv/compaction-policy.ts'
import { NOBODY } from '../raft/types.ts'
import { addReader, electionMs, isLeader } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { maybeRaiseLevel } from './level.ts'
import { isInSync } from './member-check.ts'
import { promoteLearner } from './member-desk.ts'
import { proposeAside, proposeAttributes } from './proposals.ts'
import type { DutyState } from './parts.ts'

export function createDuties(): DutyState {
  return {
    isExpiryAsked: false,
    samples: [],
    compactFromMs: 0,
    introduceFromMs: 0,
    quotaFromMs: 0,
    inSyncSince: new Map(),
  }
}

/** What is proposed for its own sake is not proposed again before this, for it may be on its way. */
const PROPOSE_EVERY_MS = 2000
const EXPIRE_MAX = 1000

export function tickDuties(core: ReplicaCore): void {
  maybeIntroduce(core)
  if (!isLeader(core)) return
  maybeRaiseLevel(core)
  maybeSetQuota(core)
  maybeAskForExpiry(core)
  maybeCompact(core)
  maybePromote(core)
}

/** A new role: nothing of the old one counts. */
export function resetDuties({ duties }: ReplicaCore): void {
  duties.isExpiryAsked = false
  duties.inSyncSince.clear()
  duties.quotaFromMs = 0
}

/** A leader asks its quorum before it ends a lease; a deposed one gets no answer (etcd 15247). */
function maybeAskForExpiry(core: ReplicaCore): void {
  const dueMs = core.lessor.nextDueMs()
  if (core.duties.isExpiryAsked || dueMs === undefined || dueMs > core.nowMs) return
  core.duties.isExpiryAsked = true
  addReader(core, { kind: 'expiry', seenMs: core.nowMs })
}

/** The quorum is confirmed, in this term: whatever was over at `seenMs` and was not renewed since may go. */
export function proposeDue(core: ReplicaCore, seenMs: number): void {
  core.duties.isExpiryAsked = false
  const leases = core.lessor.due(seenMs, EXPIRE_MAX)
  if (leases.length > 0) proposeAside(core, { kind: 'lease-expire', request: { leases } })
}

/** The quota is the leader's, as a command, so that all members refuse the same writes (K3). */
function maybeSetQuota(core: ReplicaCore): void {
  const { duties, nowMs, store, config } = core
  const bytes = config.quotaBytes ?? store.quotaBytes
  if (bytes === store.quotaBytes || nowMs < duties.quotaFromMs) return
  duties.quotaFromMs = nowMs + PROPOSE_EVERY_MS
  proposeAside(core, { kind: 'quota', request: { bytes } })
}

function maybeCompact(core: ReplicaCore): void {
  const { duties, nowMs, store } = core
  const { revisions, ageMs } = core.config.tuning.compaction
  const policy: CompactionPolicy = {
    revisionsKept: revisions,
    historyMs: ageMs,
    revisionsMin: Math.max(1, Math.floor(revisions / 10)),
  }
  const { revision, compactRevision } = store
  duties.samples = addSample(duties.samples, { atMs: nowMs, revision }, policy)
  if (nowMs < duties.compactFromMs) return
  const { samples } = duties
  const target = planCompaction({ nowMs, revision, compactRevision, samples, policy })
  if (target === undefined) return
  duties.compactFromMs = nowMs + PROPOSE_EVERY_MS
  proposeAside(core, { kind: 'compact', request: { revision: target, physical: false } })
}

function maybePromote(core: ReplicaCore): void {
  const { duties, nowMs, membership } = core
  const { promoteAfterMs } = core.config.tuning
  if (promoteAfterMs === 0 || membership.learners.length === 0) return
  for (const learner of membership.learners) {
    if (!isInSync(core, learner)) duties.inSyncSince.delete(learner)
    else if (!duties.inSyncSince.has(learner)) duties.inSyncSince.set(learner, nowMs)
    const since = duties.inSyncSince.get(learner)
    if (since !== undefined && nowMs - since >= promoteAfterMs) promoteLearner(core, learner)
  }
}

/** The cluster should know this member under the name and addresses it was started with. */
function maybeIntroduce(core: ReplicaCore): void {
  const { duties, nowMs, config, status } = core
  const known = core.members.get(core.self)
  if (!known || status.leader === NOBODY || nowMs < duties.introduceFromMs) return
  const { name, clientUrls } = config.attributes
  const isKnown = known.name === name && known.clientUrls.join('\n') === clientUrls.join('\n')
  if (isKnown) return
  duties.introduceFromMs = nowMs + Math.max(PROPOSE_EVERY_MS, electionMs(config))
  proposeAttributes(core, { id: core.self, name, peerUrls: [], clientUrls })
}

/**
 * The Raft core, put together: one function over one state. It never waits, never looks at a clock
 * and never touches the world; given the same inputs it gives the same outputs.
 */
import { assert } from '../../lib/assert.ts'
import { applyMembership, proposeMembership } from './change.ts'
import { createCore } from './core.ts'
import { campaign, reportGone } from './election.ts'
import { reportSnapshot, reportUnreachable } from './leader.ts'
import { compactLog, termAt } from './log.ts'
import { propose } from './propose.ts'
import { requestRead } from './reads.ts'
import { applied, persisted, takeReady } from './ready.ts'
import { step, tick } from './step.ts'
import { transferLeadership } from './transfer.ts'
import type { Raft, RaftConfig, RaftStart, SnapshotMark } from './types.ts'
import { viewStatus } from './view.ts'

/** A member that takes up where its disk left off, as a follower. */
export function createRaft(config: RaftConfig, start: RaftStart): Raft {
  const core = createCore(config, start)
  return {
    step: (message) => step(core, message),
    tick: () => tick(core),
    campaign: () => campaign(core, false),
    propose: (commands) => propose(core, commands),
    proposeMembership: (data, change) => proposeMembership(core, data, change),
    readIndex: () => requestRead(core),
    transferLeadership: (target) => transferLeadership(core, target),
    takeReady: () => takeReady(core),
    persisted: (number) => persisted(core, number),
    applied: (index) => applied(core, index),
    applyMembership: (change) => applyMembership(core, change),
    reportSnapshot: (member, isDelivered) => reportSnapshot(core, member, isDelivered),
    reportUnreachable: (member) => reportUnreachable(core, member),
    reportGone: (member) => reportGone(core, member),
    compact(mark: SnapshotMark) {
      if (mark.index <= core.log.markIndex) return
      assert(mark.index <= core.applied, 'only what is applied may be forgotten')
      assert(termAt(core.log, mark.index) === mark.term, 'R4: a snapshot of another history')
      compactLog(core.log, mark.index)
    },
    termAt: (index) => termAt(core.log, index),
    status: () => viewStatus(core),
  }
}

/** The Maintenance service but for its stream of a snapshot. */
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import { proposeAndWait, refuseLearner } from './edge.ts'
import type { Edge } from './edge.ts'
import { accepted, EDGE, Refused } from './errors.ts'
import { snapshotRoute } from './snapshot.ts'
import { ETCD_VERSION } from './version.ts'
import { AlarmRequestAlarmAction, AlarmType, maintenanceService } from '../../proto/gen/rpc.ts'
import type {
  AlarmMember,
  AlarmRequest,
  AlarmResponse,
  DefragmentResponse,
  HashKVRequest,
  HashKVResponse,
  HashResponse,
  MoveLeaderRequest,
  MoveLeaderResponse,
  StatusResponse,
} from '../../proto/gen/rpc.ts'
import { assert } from '../../lib/assert.ts'

export function maintenanceRoutes(edge: Edge): readonly Route[] {
  return [
    unary(edge, maintenanceService.status, () => status(edge)),
    unary(edge, maintenanceService.alarm, (request) => alarm(edge, request)),
    unary(edge, maintenanceService.defragment, () => defragment(edge)),
    unary(edge, maintenanceService.hash, () => hash(edge)),
    unary(edge, maintenanceService.hashKv, (request) => hashKv(edge, request)),
    unary(edge, maintenanceService.moveLeader, (request) => moveLeader(edge, request)),
    unary(edge, maintenanceService.downgrade, () => {
      throw new Refused(EDGE.downgradeUnimplemented)
    }),
    snapshotRoute(edge),
  ]
}

/** Answered by every member in every state. */
function status({ node }: Edge): StatusResponse {
  const now = node.status()
  return {
    header: now.header,
    version: ETCD_VERSION,
    dbSize: now.dbSizeBytes,
    dbSizeInUse: now.dbSizeInUseBytes,
    dbSizeQuota: now.quotaBytes,
    leader: now.leader,
    raftIndex: now.raftIndex,
    raftTerm: now.header.raftTerm,
    raftAppliedIndex: now.raftApplied,
    errors: now.errors,
    isLearner: now.isLearner,
    storageVersion: '',
  }
}

async function alarm(edge: Edge, request: AlarmRequest): Promise<AlarmResponse> {
  refuseLearner(edge.node)
  const { node, signal } = edge
  switch (request.action) {
    case AlarmRequestAlarmAction.activate:
      return setAlarms(edge, true, [{ memberId: request.memberId, alarm: request.alarm }])
    case AlarmRequestAlarmAction.deactivate:
      return setAlarms(edge, false, raisedAlarms(edge, request))
    default:
      await node.linearize(signal)
      return { header: node.header(), alarms: raisedAlarms(edge, { ...request, memberId: 0n }) }
  }
}

/** The alarms that a request means: no member stands for all of them, no kind for every kind. */
function raisedAlarms(
  { node }: Edge,
  wanted: { readonly memberId: bigint; readonly alarm: number },
): readonly AlarmMember[] {
  return node.store.alarms
    .filter((each) => wanted.memberId === 0n || each.member === wanted.memberId)
    .filter((each) => wanted.alarm === AlarmType.none || each.alarm === wanted.alarm)
    .map((each) => ({ memberId: each.member, alarm: each.alarm }))
}

async function setAlarms(
  edge: Edge,
  isActive: boolean,
  alarms: readonly AlarmMember[],
): Promise<AlarmResponse> {
  for (const { memberId, alarm: kind } of alarms)
    await proposeAndWait(edge, {
      kind: 'alarm',
      request: { isActive, member: memberId, alarm: kind },
    })
  return { header: edge.node.header(), alarms }
}

/** The store leaves no holes behind, so there is nothing to be done. */
function defragment({ node }: Edge): DefragmentResponse {
  refuseLearner(node)
  return { header: node.header() }
}

function hash({ node }: Edge): HashResponse {
  refuseLearner(node)
  const outcome = node.store.hash(0)
  assert(outcome.ok, 'the newest revision can always be hashed')
  return { header: node.header(), hash: outcome.value.hash }
}

function hashKv({ node }: Edge, { revision }: HashKVRequest): HashKVResponse {
  refuseLearner(node)
  return { header: node.header(), ...accepted(node.store.hash(revision)) }
}

async function moveLeader(
  { node, signal }: Edge,
  { targetId }: MoveLeaderRequest,
): Promise<MoveLeaderResponse> {
  await node.moveLeader(targetId, signal)
  return { header: node.header() }
}

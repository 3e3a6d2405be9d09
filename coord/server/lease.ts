/** The Lease service but for its stream of renewals. */
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import { headerAt, proposeAndWait, refuseLearner } from './edge.ts'
import type { Edge } from './edge.ts'
import { keepAliveRoute } from './keep-alive.ts'
import { leaseService } from '../../proto/gen/rpc.ts'
import type {
  LeaseGrantResponse,
  LeaseLeasesResponse,
  LeaseRevokeResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from '../../proto/gen/rpc.ts'
import type { LeaseGrantRequest, LeaseRevokeRequest } from '../kv/types.ts'
import type { CoordNode } from '../node/node.ts'
import type { Random } from '../../lib/ports.ts'

export function leaseRoutes(edge: Edge): readonly Route[] {
  return [
    unary(edge, leaseService.leaseGrant, (request) => grant(edge, request)),
    unary(edge, leaseService.leaseRevoke, (request) => revoke(edge, request)),
    unary(edge, leaseService.leaseTimeToLive, (request) => timeToLive(edge, request)),
    unary(edge, leaseService.leaseLeases, () => leases(edge)),
    keepAliveRoute(edge),
  ]
}

async function grant(edge: Edge, { ttl, id }: LeaseGrantRequest): Promise<LeaseGrantResponse> {
  // The id is chosen before the command enters the log: every member grants the same.
  const request = { ttl, id: id === 0n ? pickLeaseId(edge.node, edge.random) : id }
  const { header, value } = await proposeAndWait(edge, { kind: 'lease-grant', request })
  return { header, ...value.response, error: '' }
}

/** A positive number of 63 random bits that no lease has. */
function pickLeaseId(node: CoordNode, random: Random): bigint {
  for (;;) {
    const digits = random.uuid().replaceAll('-', '')
    // The version and variant digits in the middle are not random.
    const id = BigInt(`0x${digits.slice(0, 12)}${digits.slice(-4)}`) & 0x7fff_ffff_ffff_ffffn
    if (id !== 0n && !node.store.lease(id)) return id
  }
}

async function revoke(edge: Edge, request: LeaseRevokeRequest): Promise<LeaseRevokeResponse> {
  const { header } = await proposeAndWait(edge, { kind: 'lease-revoke', request })
  return { header }
}

async function timeToLive(
  { node, signal }: Edge,
  { id, keys }: LeaseTimeToLiveRequest,
): Promise<LeaseTimeToLiveResponse> {
  refuseLearner(node)
  // The leader knows the time; the keys are read here, so they must be as new as its answer.
  if (keys) await node.linearize(signal)
  const { ttl, record } = await node.timeToLive(id, signal)
  return {
    header: node.header(),
    id,
    ttl: record ? ttl : -1,
    grantedTtl: record?.ttl ?? 0,
    keys: record && keys ? node.store.leaseKeys(id) : [],
  }
}

function leases({ node }: Edge): LeaseLeasesResponse {
  refuseLearner(node)
  return {
    header: headerAt(node, node.store.revision),
    leases: node.leases().map((id) => ({ id })),
  }
}

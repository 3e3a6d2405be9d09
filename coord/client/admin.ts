/**
 * What an operator asks of a coordinator beyond keys and leases: members, status, alarms, snapshots.
 * Questions about one member go to that member's endpoint and nowhere else.
 */
import {
  type AlarmMember,
  clusterService,
  type HashKVResponse,
  maintenanceService,
  type Member,
  type SnapshotResponse,
  type StatusResponse,
} from '../../proto/gen/rpc.ts'
import { read, write } from './calls.ts'
import type { CallOptions, ClientConfig, CoordError } from './client.ts'
import { cancelled } from './link.ts'
import { createOutbox } from './outbox.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { type ClientParts, createPool, type Pool } from './pool.ts'

export type AdminClient = AsyncDisposable & {
  memberList(
    options?: CallOptions & { readonly linearizable?: boolean },
  ): Promise<{ readonly clusterId: bigint; readonly members: readonly Member[] }>
  memberAdd(
    request: {
      readonly peerUrls: readonly string[]
      readonly isLearner?: boolean
      /** Hakiri only: the voter whose place the learner takes once it has caught up. */
      readonly replaces?: bigint
    },
    options?: CallOptions,
  ): Promise<{ readonly member: Member; readonly members: readonly Member[] }>
  memberRemove(id: bigint, options?: CallOptions): Promise<readonly Member[]>
  memberUpdate(
    id: bigint,
    peerUrls: readonly string[],
    options?: CallOptions,
  ): Promise<readonly Member[]>
  memberPromote(id: bigint, options?: CallOptions): Promise<readonly Member[]>
  /** Of the member behind this endpoint, whether or not it is among the configured ones. */
  status(endpoint: string, options?: CallOptions): Promise<StatusResponse>
  hashKv(endpoint: string, revision: number, options?: CallOptions): Promise<HashKVResponse>
  defragment(endpoint: string, options?: CallOptions): Promise<void>
  /** Asks the leader to hand over to `target`; must be sent to the leader's endpoint. */
  moveLeader(endpoint: string, target: bigint, options?: CallOptions): Promise<void>
  /** The snapshot of one member in pieces as they come; leaving the loop ends the transfer. */
  snapshot(
    endpoint: string,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<SnapshotResponse>
  alarms(options?: CallOptions): Promise<readonly AlarmMember[]>
  /** Clears one alarm, or with no argument all of them; answers what was cleared. */
  disarm(
    which?: { readonly member: bigint; readonly alarm: number },
    options?: CallOptions,
  ): Promise<readonly AlarmMember[]>
}

const ALARM_GET = 0
const ALARM_DEACTIVATE = 2
const NO_ALARM = { memberId: 0n, alarm: 0 }

/** Connects when first used; `status` and the like open a connection of their own where needed. */
export function createAdminClient(config: ClientConfig, parts: ClientParts): AdminClient {
  const pool = createPool(config, parts)
  const single = new Map<string, Pool>()
  const at = (endpoint: string): Pool => {
    const known = single.get(endpoint)
    if (known) return known
    const made = createPool({ ...config, endpoints: [endpoint] }, parts)
    single.set(endpoint, made)
    return made
  }
  return {
    ...clusterCalls(pool),
    ...memberCalls(at),
    async alarms(options) {
      const request = { action: ALARM_GET, ...NO_ALARM }
      return (await read(pool, maintenanceService.alarm, request, options)).alarms
    },
    async disarm(which, options) {
      const named = which ? { memberId: which.member, alarm: which.alarm } : NO_ALARM
      const request = { action: ALARM_DEACTIVATE, ...named }
      return (await write(pool, maintenanceService.alarm, request, options)).alarms
    },
    [Symbol.asyncDispose]() {
      pool.close()
      for (const one of single.values()) one.close()
      return Promise.resolve()
    },
  }
}

type ClusterCalls = Pick<
  AdminClient,
  'memberList' | 'memberAdd' | 'memberRemove' | 'memberUpdate' | 'memberPromote'
>

function clusterCalls(pool: Pool): ClusterCalls {
  return {
    async memberList({ linearizable, ...options } = {}) {
      const request = { linearizable: linearizable ?? true }
      const needsLeader = request.linearizable
      const answer = await read(pool, clusterService.memberList, request, options, needsLeader)
      return { clusterId: answer.header?.clusterId ?? 0n, members: answer.members }
    },
    async memberAdd({ peerUrls, isLearner, replaces }, options) {
      const request = { peerUrls, isLearner: isLearner ?? false, replaces: replaces ?? 0n }
      const { member, members } = await write(pool, clusterService.memberAdd, request, options)
      const none = { id: 0n, name: '', peerUrls, clientUrls: [], isLearner: request.isLearner }
      return { member: member ?? none, members }
    },
    memberRemove: async (id, options) =>
      (await write(pool, clusterService.memberRemove, { id }, options)).members,
    memberUpdate: async (id, peerUrls, options) =>
      (await write(pool, clusterService.memberUpdate, { id, peerUrls }, options)).members,
    memberPromote: async (id, options) =>
      (await write(pool, clusterService.memberPromote, { id }, options)).members,
  }
}

type MemberCalls = Pick<AdminClient, 'status' | 'hashKv' | 'defragment' | 'moveLeader' | 'snapshot'>

/** A member without a leader answers these too, so none of them asks for one. */
function memberCalls(at: (endpoint: string) => Pool): MemberCalls {
  const maintenance = maintenanceService
  return {
    status: async (endpoint, options) => read(at(endpoint), maintenance.status, {}, options, false),
    hashKv: async (endpoint, revision, options) =>
      read(at(endpoint), maintenance.hashKv, { revision }, options, false),
    async defragment(endpoint, options) {
      await write(at(endpoint), maintenance.defragment, {}, options)
    },
    async moveLeader(endpoint, target, options) {
      await write(at(endpoint), maintenance.moveLeader, { targetId: target }, options)
    },
    snapshot: (endpoint, options = {}) => streamSnapshot(at(endpoint), options.signal),
  }
}

async function* streamSnapshot(
  pool: Pool,
  signal: AbortSignal | undefined,
): AsyncGenerator<SnapshotResponse> {
  const outbox = createOutbox<SnapshotResponse>({
    onFull: () => stream.pause(),
    onRoom: () => stream.resume(),
    onLeft: () => stream.cancel(),
  })
  const handlers = {
    onAnswer: (part: SnapshotResponse) => outbox.put(part, part.blob.length),
    onEnd: (error: CoordError) => outbox.end(error.status === STATUS.ok ? undefined : error),
  }
  const onAbort = (): void => {
    stream.cancel()
    outbox.end(signal && cancelled(signal, 'failed'))
  }
  const stream = await pool.download(maintenanceService.snapshot, {}, handlers, signal)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    yield* { [Symbol.asyncIterator]: () => outbox.take() }
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

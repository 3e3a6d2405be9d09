/**
 * A coordinator of one for the tests of the edge: the real store, watch hub and lessor, with every
 * command applied at once and the time in the hands of the test. No log, no peers.
 */
import { createLessor } from '../../coord/kv/lessor.ts'
import { createKvStore } from '../../coord/kv/store.ts'
import type { Applied, ImageChange, KvCommand, KvLimits } from '../../coord/kv/types.ts'
import { createWatchHub } from '../../coord/kv/watch-hub.ts'
import { NodeError } from '../../coord/node/node.ts'
import type { CoordNode, Member, NodeErrorCode } from '../../coord/node/node.ts'
import type { ImageView } from '../../coord/image/image.ts'

export type SingleNode = CoordNode & {
  /** Lets time pass: leases expire, progress is told, a lost leader is noticed. */
  pass(ms: number): void
  loseLeader(): void
  findLeader(): void
  becomeLearner(): void
  /** Every request to the node fails like this from now on; undefined heals it. */
  failWith(code: NodeErrorCode | Error | undefined): void
  /** Requests wait from now on, until the function is called. */
  hold(): () => void
  /** Renewals of one lease wait from now on, until the function is called. */
  holdLease(id: bigint): () => void
  /** How often a renewal was asked for. */
  readonly renewed: () => number
  /** How often linearize was asked. */
  readonly linearized: () => number
  readonly watchers: () => number
  readonly watchStreams: () => number
}

export type SingleNodeOptions = {
  readonly limits?: Partial<KvLimits>
  readonly progressIntervalMs?: number
}

const LIMITS: KvLimits = { txnOpsMax: 128, leaseTtlMin: 2, quotaBytes: 64 * 1024 * 1024 }
const LEADERLESS_MS_MAX = 3_000
const CLUSTER_ID = 0xcdf8_18d1_94e3_a8e4n
const MEMBER_ID = 0x8e9e_05c5_2164_694dn

export function createSingleNode(options: SingleNodeOptions = {}): SingleNode {
  const limits = { ...LIMITS, ...options.limits }
  const store = createKvStore(limits)
  const { progressIntervalMs } = options
  const hub = createWatchHub(store, progressIntervalMs === undefined ? {} : { progressIntervalMs })
  const lessor = createLessor()
  lessor.promote(0, [], 0)
  const image = new Map<string, ImageChange>()
  const listeners = new Set<() => void>()
  const members = createMembers()
  let nowMs = 0
  let index = 4
  let leaderlessSince: number | undefined
  let isLostTold = false
  let isLearner = false
  let failure: NodeErrorCode | Error | undefined
  let gate: Promise<void> | undefined
  let linearizedCount = 0
  let renewedCount = 0
  const heldLeases = new Map<bigint, Promise<void>>()

  const header = () => ({
    clusterId: CLUSTER_ID,
    memberId: MEMBER_ID,
    revision: store.revision,
    raftTerm: 2,
  })
  const enter = async (): Promise<void> => {
    await gate
    if (failure instanceof Error) throw failure
    if (failure) throw new NodeError(failure)
    if (isLearner) throw new NodeError('learner')
    if (leaderlessSince !== undefined) throw new NodeError('no-leader')
  }
  const apply = (command: KvCommand): Applied => {
    hub.advance()
    index += 1
    const applied = store.apply(command, index)
    for (const change of store.takeImageChanges())
      image.set(Buffer.from(change.key).toString('latin1'), change)
    noteLeases(command, applied)
    hub.advance()
    return applied
  }
  const noteLeases = (command: KvCommand, { outcome }: Applied): void => {
    if (!outcome.ok) return
    if (outcome.value.kind === 'lease-grant') {
      const lease = store.lease(outcome.value.response.id)
      if (lease) lessor.granted(lease, nowMs)
    }
    if (command.kind === 'lease-revoke') lessor.revoked(command.request.id)
    if (outcome.value.kind === 'lease-expire')
      for (const id of outcome.value.expired) lessor.revoked(id)
  }
  const mark = () => ({
    index,
    term: 2,
    membership: {
      voters: [MEMBER_ID],
      outgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
  })
  return {
    clusterId: CLUSTER_ID,
    memberId: MEMBER_ID,
    store,
    header,
    status: () => ({
      header: header(),
      role: leaderlessSince === undefined && !isLearner ? 'leader' : 'follower',
      leader: leaderlessSince === undefined ? MEMBER_ID : 0n,
      raftIndex: index,
      raftApplied: index,
      dbSizeBytes: store.sizeBytes,
      dbSizeInUseBytes: store.sizeBytes,
      quotaBytes: limits.quotaBytes,
      walBytes: 0,
      isLearner,
      errors: leaderlessSince === undefined ? [] : ['etcdserver: no leader'],
    }),
    hasLeader: () => leaderlessSince === undefined,
    leaderlessMs: () => (leaderlessSince === undefined ? 0 : nowMs - leaderlessSince),
    onLeaderLost: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    propose: async (command) => {
      await enter()
      return apply(command)
    },
    linearize: async () => {
      linearizedCount += 1
      await enter()
    },
    renew: async (lease) => {
      renewedCount += 1
      await heldLeases.get(lease)
      await enter()
      const before = header()
      return { ttl: lessor.renew(lease, nowMs), header: before }
    },
    timeToLive: async (lease) => {
      await enter()
      const remaining = lessor.remainingMs(lease, nowMs)
      const ttl = remaining === undefined ? -1 : Math.floor(remaining / 1000)
      return { ttl, record: store.lease(lease) }
    },
    leases: () => lessor.byExpiry(),
    watch: (wake) => hub.open(wake),
    ...members.requests(enter),
    moveLeader: async (target) => {
      await enter()
      if (target !== MEMBER_ID) throw new NodeError('bad-transferee')
    },
    snapshot: async () => {
      await enter()
      return viewOf(image, mark())
    },
    stop: () => Promise.resolve(),
    failed: new Promise<never>(() => {}),
    pass: (ms) => {
      nowMs += ms
      const due = lessor.due(nowMs, 1_000)
      if (due.length > 0) apply({ kind: 'lease-expire', request: { leases: due } })
      hub.tick(nowMs)
      if (leaderlessSince === undefined || isLostTold) return
      if (nowMs - leaderlessSince < LEADERLESS_MS_MAX) return
      isLostTold = true
      for (const listener of listeners) listener()
    },
    loseLeader: () => {
      leaderlessSince = nowMs
      isLostTold = false
    },
    findLeader: () => {
      leaderlessSince = undefined
    },
    becomeLearner: () => {
      isLearner = true
    },
    failWith: (code) => {
      failure = code
    },
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return () => {
        gate = undefined
        resolve()
      }
    },
    holdLease: (id) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      heldLeases.set(id, promise)
      return () => {
        heldLeases.delete(id)
        resolve()
      }
    },
    renewed: () => renewedCount,
    linearized: () => linearizedCount,
    watchers: () => hub.watchCount,
    watchStreams: () => hub.streamCount,
  }
}

type MemberRequests = Pick<
  CoordNode,
  'members' | 'memberAdd' | 'memberRemove' | 'memberUpdate' | 'memberPromote'
>

/** A list of members that obeys the rules of a cluster in which only the first has ever started. */
function createMembers(): { requests(enter: () => Promise<void>): MemberRequests } {
  const url = 'http://127.0.0.1:7701'
  const self = { id: MEMBER_ID, name: 'one', peerUrls: [url], clientUrls: [url], isLearner: false }
  const list = new Map<bigint, Member>([[MEMBER_ID, self]])
  const find = (id: bigint): Member => {
    const member = list.get(id)
    if (!member) throw new NodeError('member-not-found')
    return member
  }
  const isTaken = (urls: readonly string[], by?: bigint): boolean =>
    [...list.values()].some(
      ({ id, peerUrls }) => id !== by && peerUrls.some((each) => urls.includes(each)),
    )
  return {
    requests: (enter) => ({
      members: () => [...list.values()],
      memberAdd: async (peerUrls, isLearner) => {
        await enter()
        if (isTaken(peerUrls)) throw new NodeError('peer-urls-exist')
        const id = BigInt(list.size) + 0x1000n
        const member = { id, name: '', peerUrls, clientUrls: [], isLearner }
        list.set(id, member)
        return member
      },
      memberRemove: async (id) => {
        await enter()
        find(id)
        if (id === MEMBER_ID) throw new NodeError('not-enough-started')
        list.delete(id)
      },
      memberUpdate: async (id, peerUrls) => {
        await enter()
        const member = find(id)
        if (isTaken(peerUrls, id)) throw new NodeError('peer-urls-exist')
        list.set(id, { ...member, peerUrls })
      },
      memberPromote: async (id) => {
        await enter()
        if (!find(id).isLearner) throw new NodeError('not-a-learner')
        throw new NodeError('learner-not-ready')
      },
    }),
  }
}

function viewOf(image: ReadonlyMap<string, ImageChange>, mark: ImageView['mark']): ImageView {
  const records = [...image.values()]
    .flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value }]))
    .toSorted((a, b) => Buffer.compare(a.key, b.key))
  return {
    mark,
    sizeBytes: records.reduce((sum, { key, value }) => sum + key.length + value.length, 0),
    records: async function* portions(signal) {
      for (let from = 0; from < records.length; from += 100) {
        signal.throwIfAborted()
        yield await Promise.resolve(records.slice(from, from + 100))
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

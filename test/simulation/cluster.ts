/**
 * The cluster as one world: machines, the network between them, and the checkers that look at every
 * disk, message and status. Whoever disturbs it or asks it something does so through here.
 */
import { readCommand, readMemberEntry } from '../../coord/node/command.ts'
import type { ImageRecord } from '../../coord/image/image.ts'
import { readLevel } from '../../coord/node/level.ts'
import type { Member } from '../../coord/node/node.ts'
import { FIRST_LEVEL, commonProtocol } from '../../coord/node/protocol.ts'
import type { ProtocolRange } from '../../coord/node/protocol.ts'
import type { Effect, ReplicaConfig, Request, Result } from '../../coord/node/types.ts'
import type { Entry, MemberId } from '../../coord/raft/types.ts'
import type { KvOutcome, RangeRequest, RangeResponse } from '../../coord/kv/types.ts'
import { createRaftChecker } from './checks/raft.ts'
import type { RaftChecker } from './checks/raft.ts'
import { createStateChecker } from './checks/state.ts'
import { createTruth } from './checks/truth.ts'
import type { Truth } from './checks/truth.ts'
import { demand } from './checks/violation.ts'
import { prepareDisk } from './boot.ts'
import { createHost } from './host.ts'
import type { Host, HostWorld, SnapshotMessage } from './host.ts'
import type { ImageState } from './image-disk.ts'
import { createMachineClock } from './machine-clock.ts'
import { CLIENT_LANE, createNetwork } from './network.ts'
import type { Network } from './network.ts'
import type { Plan } from './plan.ts'
import { drawProgram, newerThan, programFor } from './programs.ts'
import type { Program } from './programs.ts'
import type { Dice } from './random.ts'
import { createStorage } from './storage.ts'
import type { Timeline } from './timeline.ts'
import type { PeerMessage } from '../../coord/node/transport.ts'
import { pack, throughWire, unpack } from './wire.ts'
import type { Parcel } from './wire.ts'

/** What a client asks of one member. */
export type Ask =
  | { readonly kind: 'request'; readonly request: Request }
  | { readonly kind: 'range'; readonly request: RangeRequest }
/** What it is told. */
export type Told =
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'range'; readonly answer: KvOutcome<RangeResponse>; readonly revision: number }

type Payload =
  | {
      readonly kind: 'peer'
      readonly to: MemberId
      readonly from: MemberId
      readonly parcel: Parcel
      /** How the sender greeted. */
      readonly spoken: ProtocolRange
    }
  | {
      readonly kind: 'snapshot'
      readonly to: MemberId
      readonly from: MemberId
      readonly message: SnapshotMessage
      readonly image: ImageState
      readonly spoken: ProtocolRange
    }
  | {
      readonly kind: 'snapshot-done'
      readonly to: MemberId
      readonly member: MemberId
      readonly isTaken: boolean
      readonly life: number
    }
  | {
      readonly kind: 'ask'
      readonly to: MemberId
      readonly ask: Ask
      readonly answer: (told: Told) => void
    }
  | { readonly kind: 'told'; readonly act: () => unknown }

export type Machine = {
  readonly host: Host
  /** Its place in the network. */
  readonly slot: number
  /** Its disk is lost or refused for good: only a replacement helps. */
  isLost: boolean
  /** It has left the cluster and is not started again. */
  isRetired: boolean
  /** What it runs from its next start on. */
  program: Program
  /** Whether it was given an older program on the way, which may turn out to be too old. */
  isDowngraded: boolean
  /** The newest image, while an older one is in its place. */
  spare: ImageState | undefined
  /** Pretends to be the member that lives on another machine. */
  readonly isImposter: boolean
}

export type Cluster = {
  readonly machines: Machine[]
  readonly network: Network<Payload>
  readonly truth: Truth
  readonly raft: RaftChecker
  machineOf(member: MemberId): Machine | undefined
  /** Machines whose process runs. */
  running(): Machine[]
  leader(): Machine | undefined
  addMachine(
    member: MemberId,
    members: readonly Member[],
    joins: boolean,
    isImposter?: boolean,
    /** What it holds to begin with, beside the list of members. */
    records?: readonly ImageRecord[],
  ): Machine
  /** Starts a machine's process; a refused disk counts as lost. */
  start(machine: Machine): boolean
  /** The same after a while, whatever becomes of it then. */
  startIn(ms: number, machine: Machine): void
  /** All machines go; new ones of a new cluster hold these records. */
  succeed(firstMembers: readonly Member[], records: readonly ImageRecord[]): void
  /** Asks a member over the network; nothing at all comes back if something is lost on the way. */
  ask(client: number, machine: Machine, ask: Ask, answer: (told: Told) => void): void
  members(): readonly Member[]
  /** Those that the cluster began with. */
  readonly firstMembers: readonly Member[]
}

export type ClusterSetup = {
  readonly plan: Plan
  readonly dice: Dice
  readonly timeline: Timeline
  readonly trace: (line: () => string) => void
  readonly firstMembers: readonly Member[]
}

const FIRST_SEED_SLOT = 1
/** Clients have places in the network above those of machines. */
export const CLIENT_SLOTS = 1000
const SNAPSHOT_TIMEOUT_MS = 2000

const laneOf = (message: PeerMessage): string =>
  message.kind === 'raft' && message.message.kind === 'append' ? 'bulk' : 'fast'

export function configOf(
  plan: Plan,
  clusterId: bigint,
  member: MemberId,
  dice: Dice,
): ReplicaConfig {
  return {
    clusterId,
    tickMs: plan.tickMs,
    origin: 1 + dice.int(2 ** 26) * 2 ** 20 + dice.int(2 ** 20),
    random: () => dice.float(),
    limits: { txnOpsMax: 128, leaseTtlMin: 1, quotaBytes: 64 << 20 },
    attributes: { name: `n${member}`, clientUrls: [] },
    raft: {
      self: member,
      electionTicks: plan.electionTicks,
      heartbeatTicks: plan.heartbeatTicks,
      random: () => dice.float(),
      firstContext: 1 + dice.int(2 ** 26) * 1024,
      inflightAppendsMax: plan.inflightMax,
      appendBytesMax: plan.appendBytesMax,
      uncommittedBytesMax: 1 << 20,
    },
    tuning: {
      requestTimeoutMs: 5000,
      waitingMax: 4096,
      waitingBytesMax: 8 << 20,
      applyLagMax: 5000,
      keepEntries: plan.keepEntries,
      keepBytes: 16 << 20,
      imageEntries: plan.imageEntries,
      imageMs: 1000,
      applyEntriesMax: plan.applyEntriesMax,
      applyBytesMax: 1 << 20,
      learnersMax: 2,
      promoteAfterMs: 400,
      compaction: { revisions: 10_000, ageMs: 3_600_000 },
    },
  }
}

export function createCluster({
  plan,
  dice,
  timeline,
  trace,
  firstMembers,
}: ClusterSetup): Cluster {
  let [clusterId, era, first] = [dice.id(), 0, firstMembers]
  const machines: Machine[] = []
  const truth = createTruth()
  const state = createStateChecker()
  const newChecker = (): RaftChecker =>
    createRaftChecker({
      now: () => timeline.now(),
      onCommitted: learn,
      startIndex: FIRST_SEED_SLOT,
    })
  let raft = newChecker()
  const network = createNetwork<Payload>(timeline, dice.fork('network'), (_from, _to, payload) =>
    arrive(payload),
  )

  function learn(entry: Entry): void {
    const { index, term } = entry
    if (entry.kind === 'empty') return
    const isCommand = entry.kind === 'command'
    const { origin, seq, content } = isCommand
      ? readCommand(entry.data)
      : readMemberEntry(entry.data)
    const command = 'kind' in content && content.kind === 'kv' ? content.command : undefined
    trace(
      () => `${timeline.now().toFixed(2)} commit ${index}/${term} ${command?.kind ?? 'members'}`,
    )
    truth.learn({ index, term, origin: BigInt(origin), seq, command })
  }

  const machineOf = (member: MemberId): Machine | undefined =>
    machines.findLast(({ host, isRetired }) => host.member === member && !isRetired)

  function arrive(payload: Payload): void {
    if (payload.kind === 'told') return void payload.act()
    const machine = machineOf(payload.to)
    const host = machine?.host
    if (!machine || !host?.replica()) return
    switch (payload.kind) {
      case 'peer':
        if (host.replica()?.isRemoved(payload.from)) return refused(payload.from, payload.to)
        if (!canSpeak(host, payload.spoken)) return undefined
        host.greeted(payload.from, payload.spoken)
        for (const message of unpack(payload.parcel, host.program()))
          host.receive(payload.from, message)
        return undefined
      case 'snapshot': {
        if (!canSpeak(host, payload.spoken)) return undefined
        const life = machineOf(payload.from)?.host.lives() ?? 0
        const done = (isTaken: boolean): void => {
          const back = {
            kind: 'snapshot-done',
            to: payload.from,
            member: payload.to,
            isTaken,
            life,
          } as const
          post(payload.to, payload.from, 'fast', back)
        }
        return host.receiveSnapshot(payload.message, payload.image, done)
      }
      case 'snapshot-done':
        if (host.lives() === payload.life) host.snapshotSent(payload.member, payload.isTaken)
        return undefined
      case 'ask':
        return serve(machine, payload.ask, payload.answer)
    }
  }

  const canSpeak = (host: Host, spoken: ProtocolRange): boolean =>
    commonProtocol(host.replica()!.protocols(), spoken) !== undefined

  function post(from: MemberId, to: MemberId, lane: string, payload: Payload): void {
    const [source, target] = [machineOf(from), machineOf(to)]
    if (source && target) network.send(source.slot, target.slot, lane, payload)
  }

  function serve({ host }: Machine, ask: Ask, answer: (told: Told) => void): void {
    if (ask.kind === 'request')
      return host.submit(ask.request, (result) => answer({ kind: 'result', result }))
    const { request } = ask
    const read = (): void => {
      const store = host.replica()!.store
      const { revision } = store
      answer({ kind: 'range', answer: store.range(request), revision })
    }
    if (request.serializable) return host.atTurn(read)
    host.submit({ kind: 'linearize' }, (result) => {
      if (result.kind === 'linear') read()
      else answer({ kind: 'result', result })
    })
  }

  /** The transport of a member that was removed is told so, whomever it dials. */
  function refused(member: MemberId, by: MemberId): void {
    const host = machineOf(member)?.host
    host?.atTurn((replica) => replica.removedBy(by, host.clock.at(timeline.now())))
  }

  function sent(member: MemberId, to: MemberId, message: PeerMessage): void {
    const machine = machineOf(member)
    if (message.kind !== 'raft') return
    const { kind } = message.message
    if (machine?.isImposter) {
      const isHarmless = kind !== 'vote-reply' && kind !== 'append-reply' && kind !== 'vote'
      demand(isHarmless, 'refusal', () => `${member} takes part with an empty disk: ${kind}`)
      return
    }
    raft.sent(member, message.message)
    trace(() => `${timeline.now().toFixed(2)} ${member}→${to} ${describe(message)}`)
  }

  const world: HostWorld = {
    timeline,
    send(from, { to, message }) {
      sent(from, to, message)
      const [source, target] = [machineOf(from), machineOf(to)]
      const spoken = source?.host.replica()?.protocols()
      if (!source || !spoken) return
      if (!target?.host.replica()) {
        timeline.after(1, () => machineOf(from)?.host.unreachable(to))
        return
      }
      const parcel = pack(message, source.host.program(), plan.isOnWire)
      post(from, to, laneOf(message), { kind: 'peer', from, to, parcel, spoken })
    },
    sendSnapshot(from, to, message, image) {
      if (!image.mark) return
      trace(() => `${timeline.now().toFixed(2)} ${from}→${to} snapshot ${image.mark?.index}`)
      const host = machineOf(from)?.host
      const life = host?.lives()
      const spoken = host?.replica()?.protocols()
      if (!spoken) return
      const marked = { ...message, mark: image.mark }
      const whole = plan.isOnWire ? throughWire(marked) : marked
      post(from, to, 'snapshot', { kind: 'snapshot', from, to, message: whole, image, spoken })
      timeline.after(SNAPSHOT_TIMEOUT_MS, () => {
        if (host?.lives() === life) host?.snapshotSent(to, false)
      })
    },
    looked(host, effects) {
      const machine = machineOf(host.member)
      if (!machine || machine.isImposter || machine.host !== host) return
      look(host, effects)
    },
    started(host, start) {
      trace(() => `${timeline.now().toFixed(2)} ${host.member} starts`)
      const machine = machineOf(host.member)
      if (machine?.isImposter) return
      const { mark, hardState, entries } = start
      const status = host.replica()?.raftStatus()
      if (status) raft.restarted(host.member, [{ mark, hardState, entries }], status)
    },
    ended(host, why) {
      trace(() => `${timeline.now().toFixed(2)} ${host.member} ends: ${why}`)
      const machine = machines.find((one) => one.host === host)
      if (!machine) return
      if (why === 'removed' || why === 'disk-lost') machine.isRetired = true
      if (why === 'too-old') tooOld(machine)
      const mayLose = machine.isImposter || why !== 'disk-lost'
      demand(mayLose, 'refusal', () => `${host.member} was told that its disk is lost`)
    },
  }

  /** Only who was given an older program, or came with one, may meet what it cannot read. */
  function tooOld(machine: Machine): void {
    const { host } = machine
    const wasThere = first.some(({ id }) => id === host.member)
    demand(
      !wasThere || machine.isDowngraded,
      'refusal',
      () => `${host.member} was led to what its program cannot read`,
    )
    machine.program = newerThan(host.program())
    cluster.startIn(500, machine)
  }

  function look(host: Host, effects: readonly Effect[]): void {
    const replica = host.replica()!
    for (const effect of effects)
      if (effect.kind === 'persist') raft.written(host.member, effect.batch)
    raft.looked(host.member, replica.raftStatus())
    state.looked(host.member, replica)
  }

  const cluster: Cluster = {
    machines,
    network,
    truth,
    get raft() {
      return raft
    },
    get firstMembers() {
      return first
    },
    machineOf,
    running: () => machines.filter(({ host, isImposter }) => host.replica() && !isImposter),
    leader: () =>
      machines
        .filter(
          ({ host, isImposter }) => !isImposter && host.replica()?.raftStatus().role === 'leader',
        )
        .toSorted((a, b) => b.host.replica()!.term - a.host.replica()!.term)[0],
    members: () => {
      const best = machines
        .filter(({ host, isImposter }) => host.replica() && !isImposter)
        .toSorted((a, b) => b.host.replica()!.applied - a.host.replica()!.applied)[0]
      return best?.host.replica()?.members() ?? []
    },
    addMachine(member, members, joins, isImposter = false, records = []) {
      const own = dice.fork(`machine ${machines.length}`)
      const rate = plan.isDrifting ? own.between(1 / plan.driftMax, plan.driftMax) : 1
      const lifeDice = own.fork('life')
      const configs = new Map<number, ReplicaConfig>()
      const formation = { life: own.id(), isFormed: joins, lives: new Map<MemberId, bigint>() }
      const synced = (batch: Parameters<RaftChecker['synced']>[1]): void => {
        if (!isImposter) raft.synced(member, batch)
      }
      const host = createHost(world, {
        member,
        clock: createMachineClock(own.int(1_000_000), rate),
        dice: own.fork('timers'),
        timerSlack: plan.timerSlack,
        config(life) {
          const known = configs.get(life) ?? {
            ...configOf(plan, clusterId, member, lifeDice),
            protocols: machine.program,
          }
          configs.set(life, known)
          return known
        },
        storage: (failed) =>
          createStorage(timeline, own.fork('storage'), formation, { synced, failed }),
      })
      host.storage.setSyncMs(plan.syncMs)
      const log = prepareDisk(host.storage, members, joins, records)
      if (!isImposter) {
        raft.written(member, log)
        raft.synced(member, log)
      }
      const machine: Machine = {
        host,
        slot: machines.length,
        program: drawProgram(plan.isMixed, own.fork('program')),
        isDowngraded: false,
        isLost: false,
        isRetired: false,
        spare: undefined,
        isImposter,
      }
      machines.push(machine)
      return machine
    },
    start(machine) {
      if (machine.host.replica() || machine.isRetired) return true
      const level = levelOf(machine.host.storage.image.state())
      machine.program = programFor(level, machine.program)
      let isAccepted = machine.host.start()
      if (!isAccepted && machine.spare) {
        machine.host.storage.image.putBack(machine.spare)
        isAccepted = machine.host.start()
      }
      machine.spare = undefined
      if (!isAccepted) trace(() => `${timeline.now().toFixed(2)} ${machine.host.member} is refused`)
      return isAccepted
    },
    startIn: (ms, machine) => void timeline.after(ms, () => cluster.start(machine)),
    succeed(next, records) {
      for (const machine of machines) {
        machine.isRetired = true
        machine.host.stop('succeeded', true)
      }
      trace(() => `${timeline.now().toFixed(2)} a backup is restored`)
      era++
      ;[clusterId, first, raft] = [dice.id(), next, newChecker()]
      for (const { id } of next) cluster.addMachine(id, next, false, false, records)
    },
    ask(client, machine, ask, answer) {
      const asked = era
      const slot = CLIENT_SLOTS + client
      const reply = (told: Told): void =>
        network.send(machine.slot, slot, CLIENT_LANE, {
          kind: 'told',
          act: () => asked === era && answer(told),
        })
      network.send(slot, machine.slot, CLIENT_LANE, {
        kind: 'ask',
        to: machine.host.member,
        ask,
        answer: reply,
      })
    },
  }
  return cluster
}

function describe(message: PeerMessage): string {
  if (message.kind !== 'raft') return message.kind
  const { kind, term } = message.message
  return `${kind} ${term}`
}

/** The level that a disk holds. */
function levelOf({ records }: ImageState): number {
  for (const { key, value } of records) {
    const level = key[0] === 1 ? readLevel(key, value) : undefined
    if (level !== undefined) return level
  }
  return FIRST_LEVEL
}

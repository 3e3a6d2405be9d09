/**
 * Replicas on a network and on disks in memory, one step at a time: effects are carried out when the
 * test says so, and a crash may come before any of them. What was not synced is lost with it.
 */
import { assert } from '../../lib/assert.ts'
import { commonProtocol } from '../../coord/node/protocol.ts'
import type { ProtocolRange } from '../../coord/node/protocol.ts'
import { createReplica } from '../../coord/node/replica.ts'
import {
  createStateLoader,
  firstImage,
  firstLog,
  fitLog,
  joiningImage,
} from '../../coord/node/state.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING, DEFAULT_WINDOWS } from '../../coord/node/tuning.ts'
import type {
  Effect,
  Formation,
  LoadedState,
  Outgoing,
  Replica,
  ReplicaTuning,
  Request,
  Result,
} from '../../coord/node/types.ts'
import type { ImageBatch, ImageRecord } from '../../coord/image/image.ts'
import type { Member } from '../../coord/node/node.ts'
import type { Entry, HardState, MemberId, Message, SnapshotMark } from '../../coord/raft/types.ts'
import type { WalBatch } from '../../coord/wal/wal.ts'

type ImageCopy = { mark: SnapshotMark; records: Map<string, ImageRecord> }
type Disk = {
  log: { mark: SnapshotMark; hardState: HardState; entries: Entry[] }
  image: ImageCopy
  synced: ImageCopy
  formation: Formation
}
type Staged = {
  readonly message: Message & { readonly kind: 'snapshot' }
  readonly image: ImageCopy
}

export type LabNode = {
  readonly id: MemberId
  readonly disk: Disk
  replica: Replica | undefined
  /** Taken, and not carried out yet. */
  effects: Effect[]
  unsynced: Extract<Effect, { readonly kind: 'persist' }>[]
  readonly staged: Staged[]
  stopped: Effect | undefined
  readonly results: Map<number, Result>
  lastRequest: number
  /** Every kind of effect that was carried out, in order. */
  readonly done: Effect['kind'][]
  isPaused: boolean
}

export type Lab = {
  readonly nodes: readonly LabNode[]
  nowMs: number
  /** Messages that return false are lost. */
  filter: (from: MemberId, out: Outgoing) => boolean
  node(id: MemberId): LabNode
  leader(): LabNode | undefined
  submit(node: LabNode, request: Request): number
  /** Carries out everything until nothing moves. */
  settle(): void
  /** Lets time pass, tick by tick, settling after each. */
  pass(ms: number): void
  passUntil(condition: () => boolean, ms?: number): boolean
  crash(node: LabNode): void
  start(node: LabNode): void
  add(member: Member): LabNode
  wipe(node: LabNode): void
  /** The next effect of a node is carried out only while this says so; else the node crashes. */
  beforeEffect: (node: LabNode, effect: Effect) => boolean
}

export const TICK_MS = 100

/** A generator that always gives the same numbers for a seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function member(id: MemberId): Member {
  return { id, name: '', peerUrls: [`http://m${id}:1`], clientUrls: [], isLearner: false }
}

function copyOf({ mark, records }: ImageCopy): ImageCopy {
  return { mark, records: new Map(records) }
}

export function writeImage(image: ImageCopy, batch: ImageBatch): void {
  image.mark = batch.mark
  for (const { key, value } of batch.changes) {
    const name = Buffer.from(key).toString('hex')
    if (value) image.records.set(name, { key: Buffer.from(key), value: Buffer.from(value) })
    else image.records.delete(name)
  }
}

function loadImage(image: ImageCopy): LoadedState {
  const loader = createStateLoader(DEFAULT_LIMITS)
  loader.add(
    [...image.records].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record),
  )
  return loader.finish(image.mark)
}

function appendBatch(disk: Disk, batch: WalBatch): void {
  if (batch.mark) disk.log = { ...disk.log, mark: batch.mark, entries: [] }
  if (batch.hardState) disk.log.hardState = batch.hardState
  const first = batch.entries[0]
  if (!first) return
  const keep = first.index - disk.log.mark.index - 1
  assert(keep >= 0 && keep <= disk.log.entries.length, 'the log on the disk has a gap')
  disk.log.entries = [...disk.log.entries.slice(0, keep), ...batch.entries]
}

function newDisk(batch: ImageBatch, formation: Formation): Disk {
  const image: ImageCopy = { mark: batch.mark, records: new Map() }
  writeImage(image, batch)
  const { hardState } = firstLog(batch.mark)
  const log = { mark: batch.mark, hardState, entries: [] }
  return { log, image, synced: copyOf(image), formation }
}

function newNode(id: MemberId, disk: Disk): LabNode {
  return {
    id,
    disk,
    replica: undefined,
    effects: [],
    unsynced: [],
    staged: [],
    stopped: undefined,
    results: new Map(),
    lastRequest: 0,
    done: [],
    isPaused: false,
  }
}

/** What is special about one member. */
type MemberSetup = (id: MemberId) => {
  readonly quotaBytes?: number
  readonly protocols?: ProtocolRange
}

/** `count` members of a new cluster, not yet started; ids count from 1. */
export function createLab(
  count: number,
  tuning: Partial<ReplicaTuning> = {},
  seed = 1,
  setup: MemberSetup = () => ({}),
): Lab {
  const random = seeded(seed)
  const first = Array.from({ length: count }, (_, position) => member(BigInt(position + 1)))
  const life = (): Formation => ({
    life: BigInt(1 + Math.floor(random() * 2 ** 50)),
    isFormed: false,
    lives: new Map(),
  })
  const nodes = first.map(({ id }) => newNode(id, newDisk(firstImage(first), life())))
  let wire: { readonly from: MemberId; readonly out: Outgoing }[] = []
  let origins = 0

  const lab: Lab = {
    nodes,
    nowMs: 0,
    filter: () => true,
    beforeEffect: () => true,
    node: (id) => nodes.find((one) => one.id === id) as LabNode,
    leader: () =>
      nodes.find(({ replica, isPaused }) => !isPaused && replica?.raftStatus().role === 'leader'),
    submit(node, request) {
      const id = ++node.lastRequest
      node.replica?.submit(id, request, lab.nowMs)
      return id
    },
    settle() {
      for (let round = 0; ; round++) {
        assert(round < 10_000, 'the lab does not come to rest')
        if (!turn()) return
      }
    },
    pass(ms) {
      for (let passed = 0; passed < ms; passed += TICK_MS) {
        lab.nowMs += TICK_MS
        for (const node of nodes) if (!node.isPaused) node.replica?.tick(lab.nowMs)
        lab.settle()
      }
    },
    passUntil(condition, ms = 30_000) {
      lab.settle()
      for (let passed = 0; passed < ms && !condition(); passed += TICK_MS) lab.pass(TICK_MS)
      return condition()
    },
    crash(node) {
      node.replica = undefined
      node.effects = []
      node.unsynced = []
      node.staged.length = 0
      node.disk.image = copyOf(node.disk.synced)
    },
    start(node) {
      const { disk, id } = node
      const state = loadImage(disk.image)
      const { repair, ...log } = fitLog(disk.log, state)
      if (repair) appendBatch(disk, repair)
      const origin = ++origins
      node.stopped = undefined
      node.replica = createReplica(
        {
          clusterId: 7n,
          tickMs: TICK_MS,
          origin,
          random,
          limits: DEFAULT_LIMITS,
          ...setup(id),
          attributes: { name: `m${id}`, clientUrls: [`http://m${id}:2`] },
          tuning: { ...DEFAULT_TUNING, ...tuning },
          raft: {
            self: id,
            electionTicks: 10,
            heartbeatTicks: 1,
            random,
            firstContext: 1 + Math.floor(random() * 2 ** 40),
            ...DEFAULT_WINDOWS,
          },
        },
        { ...log, state, formation: disk.formation },
      )
    },
    add(joined) {
      const batch = joiningImage(nodes.map(({ id }) => member(id)))
      const formation = { ...life(), isFormed: true }
      const node = newNode(joined.id, newDisk(batch, formation))
      nodes.push(node)
      lab.start(node)
      return node
    },
    wipe(node) {
      lab.crash(node)
      Object.assign(node.disk, newDisk(firstImage(first), life()))
    },
  }

  const turn = (): boolean => {
    let moved = false
    for (const node of nodes) if (!node.isPaused && node.replica) moved = act(node) || moved
    const sent = wire
    wire = []
    for (const { from, out } of sent) {
      const to = nodes.find(({ id }) => id === out.to)
      if (!to?.replica) continue
      // What is sent to a process that stands still waits in its socket.
      if (to.isPaused) wire.push({ from, out })
      else if (to.replica.isRemoved(from)) lab.node(from).replica?.removedBy(to.id, lab.nowMs)
      else deliver(to.replica, lab.node(from), out)
      moved ||= !to.isPaused
    }
    return moved
  }

  /** Each message as if on a connection of its own, so a greeting goes before it. */
  const deliver = (to: Replica, { id, replica }: LabNode, { message }: Outgoing): void => {
    if (replica) {
      if (commonProtocol(to.protocols(), replica.protocols()) === undefined) return
      to.greeted(id, replica.protocols(), lab.nowMs)
    }
    to.receive(id, message, lab.nowMs)
  }

  const act = (node: LabNode): boolean => {
    const replica = node.replica as Replica
    let moved = false
    if (replica.hasWork()) {
      replica.work(lab.nowMs)
      moved = true
    }
    for (const staged of node.staged.splice(0, 1)) {
      moved = true
      if (replica.snapshotArrived(staged.message, lab.nowMs)) node.staged.unshift(staged)
    }
    node.effects.push(...replica.takeEffects())
    while (node.effects.length > 0 && node.replica) {
      moved = true
      const effect = node.effects.shift() as Effect
      if (!lab.beforeEffect(node, effect)) {
        lab.crash(node)
        return true
      }
      node.done.push(effect.kind)
      carryOut(node, effect)
    }
    return sync(node) || moved
  }

  const carryOut = (node: LabNode, effect: Effect): void => {
    const { disk } = node
    switch (effect.kind) {
      case 'send':
        if (lab.filter(node.id, effect)) wire.push({ from: node.id, out: effect })
        return
      case 'send-snapshot': {
        const target = nodes.find(({ id }) => id === effect.to)
        const out: Outgoing = { to: effect.to, message: { kind: 'raft', message: effect.message } }
        assert(disk.image.mark.index >= effect.image, 'entries lead on from the image')
        const arrives = target?.replica !== undefined && lab.filter(node.id, out)
        const message = { ...effect.message, mark: disk.image.mark }
        if (arrives) target.staged.push({ message, image: copyOf(disk.image) })
        node.replica?.snapshotSent(effect.to, arrives, lab.nowMs)
        return
      }
      case 'persist':
        node.unsynced.push(effect)
        return
      case 'image':
        writeImage(disk.image, effect.batch)
        node.replica?.imageWritten(effect.batch.mark, lab.nowMs)
        return
      case 'install': {
        const staged = node.staged.shift()
        assert(staged && staged.image.mark.index === effect.mark.index, 'no such snapshot')
        disk.image = copyOf(staged.image)
        disk.synced = copyOf(staged.image)
        node.replica?.snapshotInstalled(loadImage(disk.image), lab.nowMs)
        return
      }
      case 'answer':
        assert(!node.results.has(effect.request), 'a request is answered once')
        node.results.set(effect.request, effect.result)
        return
      case 'members':
        return
      case 'release': {
        disk.synced = copyOf(disk.image)
        const { log } = disk
        log.entries = log.entries.filter(({ index }) => index > effect.log.index)
        log.mark = effect.log
        return
      }
      case 'form':
        disk.formation = effect.formation
        node.replica?.formed(lab.nowMs)
        return
      case 'stop':
        node.stopped = effect
    }
  }

  const sync = (node: LabNode): boolean => {
    const { unsynced, replica } = node
    if (unsynced.length === 0 || !replica) return false
    node.unsynced = []
    for (const { batch } of unsynced) appendBatch(node.disk, batch)
    for (const { thenSend } of unsynced)
      for (const out of thenSend) if (lab.filter(node.id, out)) wire.push({ from: node.id, out })
    replica.persisted((unsynced.at(-1) as { readonly number: number }).number, lab.nowMs)
    return true
  }

  return lab
}

/** A lab whose members run and have a leader. */
export function runningLab(
  count: number,
  tuning: Partial<ReplicaTuning> = {},
  seed = 1,
  setup?: MemberSetup,
): Lab {
  const lab = createLab(count, tuning, seed, setup)
  for (const node of lab.nodes) lab.start(node)
  assert(
    lab.passUntil(() => lab.leader() !== undefined),
    'no leader was elected',
  )
  lab.pass(500)
  return lab
}

/**
 * A cluster of Raft cores in memory: messages wait on links until they are delivered, portions wait
 * until the disk is told to sync. Nothing happens by itself, so that a test decides every order.
 */
import { createRaft } from '../../coord/raft/raft.ts'
import type {
  Entry,
  HardState,
  MemberId,
  Membership,
  MembershipChange,
  Message,
  Outcome,
  Raft,
  RaftConfig,
  Ready,
  SnapshotMark,
} from '../../coord/raft/types.ts'

/** The state machine: the commands in the order in which they were applied, and where it stands. */
export type Image = { readonly mark: SnapshotMark; readonly commands: readonly string[] }

export type Disk = {
  hardState: HardState
  mark: SnapshotMark
  entries: Entry[]
  image: Image
}

export type LabMember = {
  readonly id: MemberId
  raft: Raft
  isUp: boolean
  readonly disk: Disk
  /** Taken from the core, not durable yet, oldest first; the image that a snapshot stands for. */
  waiting: { readonly ready: Ready; readonly image: Image | undefined }[]
  image: Image
  /** Snapshots that arrived, by their index, until the core asks for one of them. */
  arrived: Map<number, Image>
  lives: number
}

export type LabOptions = {
  readonly voters: readonly MemberId[]
  readonly learners?: readonly MemberId[]
  /** Members that run but belong to nothing yet. */
  readonly strangers?: readonly MemberId[]
  readonly random?: () => number
  readonly config?: Partial<RaftConfig>
}

/** Everything that a test may want to hear of. */
export type LabObserver = {
  readonly onReady?: (member: LabMember, ready: Ready) => void
  /** Before the entry changes anything. */
  readonly onApply?: (member: LabMember, entry: Entry) => void
  readonly onSend?: (member: LabMember, message: Message) => void
  /** The member has taken something in: a message, an applied entry, word of its disk. */
  readonly onStep?: (member: LabMember) => void
}

export type Lab = {
  readonly members: ReadonlyMap<MemberId, LabMember>
  /** Messages under way, oldest first. */
  readonly net: Message[]
  member(id: MemberId): LabMember
  /** Takes one portion of work: sends, applies, and queues it for the disk. */
  take(id: MemberId): Ready | undefined
  /** The disk finishes its oldest portion. */
  sync(id: MemberId): Ready | undefined
  /** Hands over one message that was taken off the net. */
  deliver(message: Message): void
  /** The message is gone; whoever sends snapshots hears of it. */
  lose(message: Message): void
  crash(id: MemberId): void
  restart(id: MemberId): void
  /** Keeps the state as an image and forgets the log up to `index`. */
  compact(id: MemberId, index: number): void
  /** Until nothing is left to do: takes, syncs and delivers. */
  settle(isLost?: (message: Message) => boolean, onDelivered?: () => void): void
  /** Proposes a change of the membership, as `readChange` reads it. */
  change(id: MemberId, text: string): Outcome
}

const DEFAULTS = {
  electionTicks: 10,
  heartbeatTicks: 1,
  random: () => 0,
  inflightAppendsMax: 4,
  appendBytesMax: 1024,
  uncommittedBytesMax: 1024,
}

export function createLab(options: LabOptions, observer: LabObserver = {}): Lab {
  const { voters, learners = [], strangers = [] } = options
  const net: Message[] = []
  const members = new Map<MemberId, LabMember>()
  const images = new WeakMap<Message, Image>()
  const configOf = (id: MemberId, life: number): RaftConfig => ({
    ...DEFAULTS,
    ...(options.random ? { random: options.random } : {}),
    self: id,
    firstContext: Number(id) * 1_000_000 + life * 10_000 + 1,
    ...options.config,
  })
  for (const id of [...voters, ...learners, ...strangers]) {
    const disk = emptyDisk(strangers.includes(id) ? [] : voters, learners)
    const raft = createRaft(configOf(id, 0), startOf(disk))
    const image = disk.image
    members.set(id, {
      id,
      raft,
      isUp: true,
      disk,
      waiting: [],
      image,
      arrived: new Map(),
      lives: 0,
    })
  }
  const member = (id: MemberId): LabMember => {
    const found = members.get(id)
    if (!found) throw new Error(`no member ${id}`)
    return found
  }
  const post = (from: LabMember, messages: readonly Message[]): void => {
    for (const message of messages) {
      const sent = message.kind === 'snapshot' ? { ...message, mark: from.image.mark } : message
      if (message.kind === 'snapshot') images.set(sent, from.image)
      observer.onSend?.(from, sent)
      net.push(sent)
    }
  }
  const lab: Lab = {
    members,
    net,
    member,
    take(id) {
      const at = member(id)
      const ready = at.isUp ? at.raft.takeReady() : undefined
      if (!ready) return undefined
      observer.onReady?.(at, ready)
      let image: Image | undefined
      if (ready.snapshot) {
        image = at.arrived.get(ready.snapshot.index)
        if (!image) throw new Error('a snapshot is asked for that never arrived')
        at.image = image
        at.arrived.clear()
      }
      at.waiting.push({ ready, image })
      post(at, ready.messages)
      for (const entry of ready.committed) apply(at, entry, observer)
      return ready
    },
    sync(id) {
      const at = member(id)
      const portion = at.waiting.shift()
      if (!portion) return undefined
      write(at.disk, portion.ready, portion.image)
      post(at, portion.ready.messagesAfterSync)
      at.raft.persisted(portion.ready.number)
      observer.onStep?.(at)
      return portion.ready
    },
    deliver(message) {
      const to = members.get(message.to)
      const image = images.get(message)
      if (!to?.isUp) return lab.lose(message)
      if (image) to.arrived.set(image.mark.index, image)
      to.raft.step(message)
      observer.onStep?.(to)
      if (image) members.get(message.from)?.raft.reportSnapshot(message.to, true)
    },
    lose(message) {
      if (message.kind === 'snapshot') member(message.from).raft.reportSnapshot(message.to, false)
    },
    crash(id) {
      const at = member(id)
      at.isUp = false
      at.waiting = []
      at.arrived.clear()
    },
    restart(id) {
      const at = member(id)
      at.lives++
      at.isUp = true
      at.image = at.disk.image
      at.raft = createRaft(configOf(id, at.lives), startOf(at.disk))
    },
    compact(id, index) {
      const at = member(id)
      const term = at.raft.termAt(index)
      if (term === undefined) throw new Error(`the log does not reach ${index}`)
      const mark = { index, term, membership: at.image.mark.membership }
      at.disk.image = at.image
      at.raft.compact(mark)
      if (mark.index <= at.disk.mark.index) return
      at.disk.mark = mark
      at.disk.entries = at.disk.entries.filter((entry) => entry.index > index)
    },
    change(id, text) {
      return member(id).raft.proposeMembership(bytesOf(text), readChange(bytesOf(text)))
    },
    settle(isLost = () => false, onDelivered) {
      for (let rounds = 0; rounds < 10_000; rounds++) {
        let isBusy = false
        for (const { id } of members.values()) {
          while (lab.take(id)) isBusy = true
          while (lab.sync(id)) isBusy = true
        }
        for (const message of net.splice(0)) {
          isBusy = true
          if (isLost(message)) lab.lose(message)
          else lab.deliver(message)
          onDelivered?.()
        }
        if (!isBusy) return
      }
      throw new Error('the cluster does not come to rest')
    },
  }
  return lab
}

function emptyDisk(voters: readonly MemberId[], learners: readonly MemberId[]): Disk {
  const membership: Membership = {
    voters,
    outgoing: [],
    learners: voters.length > 0 ? learners : [],
    learnersNext: [],
    autoLeave: false,
  }
  // Founders begin at 1, so that whoever joins later at 0 is given a snapshot.
  const place = voters.length > 0 ? 1 : 0
  const mark = { index: place, term: place, membership }
  return {
    hardState: { term: place, vote: 0n, commit: place },
    mark,
    entries: [],
    image: { mark, commands: [] },
  }
}

function startOf({ hardState, mark, entries, image }: Disk): Parameters<typeof createRaft>[1] {
  const { membership, index } = image.mark
  return { hardState, mark: { ...mark, membership }, entries, applied: index }
}

function write(disk: Disk, ready: Ready, image: Image | undefined): void {
  if (ready.snapshot && image) {
    disk.image = image
    disk.mark = ready.snapshot
    disk.entries = []
  }
  if (ready.hardState) disk.hardState = ready.hardState
  const first = ready.entries[0]?.index
  if (first === undefined) return
  disk.entries = [...disk.entries.filter(({ index }) => index < first), ...ready.entries]
}

function apply(at: LabMember, entry: Entry, observer: LabObserver): void {
  observer.onApply?.(at, entry)
  const { mark, commands } = at.image
  if (entry.index !== mark.index + 1) throw new Error(`entry ${entry.index} after ${mark.index}`)
  const membership =
    entry.kind === 'membership' ? at.raft.applyMembership(readChange(entry.data)) : mark.membership
  const isCommand = entry.kind === 'command'
  at.image = {
    mark: { index: entry.index, term: entry.term, membership },
    commands: isCommand ? [...commands, textOf(entry.data)] : commands,
  }
  at.raft.applied(entry.index)
  observer.onStep?.(at)
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text)
}

export function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

const SIGNS = { '+': 'add-voter', '~': 'add-learner', '-': 'remove' } as const

/** `+4 ~5 -1`, with `joint` in front for the way through both majorities; nothing leaves. */
function readChange(data: Uint8Array): MembershipChange {
  const words = textOf(data).split(' ').filter(Boolean)
  return {
    joint: words.includes('joint'),
    changes: words
      .filter((word) => word !== 'joint' && word !== 'leave')
      .map((word) => ({
        kind: SIGNS[word[0] as keyof typeof SIGNS],
        member: BigInt(word.slice(1)),
      })),
  }
}

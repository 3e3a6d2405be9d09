/**
 * Scenarios in plain text: commands, `----`, and what the cluster did. Each command prints the
 * messages it delivered, and what became of roles, applied entries and reads.
 */
import type { Entry, MemberId, Message } from '../../coord/raft/types.ts'
import { bytesOf, createLab, textOf } from './lab.ts'
import type { Lab, LabMember } from './lab.ts'

/** Runs all blocks of a transcript and gives it back with the outputs that they have now. */
export function runTranscript(text: string): string {
  const stage: Stage = { lab: undefined, lines: [], states: new Map() }
  const blocks = text.trimEnd().split(/\n\n+/)
  return `${blocks.map((block) => runBlock(stage, block)).join('\n\n')}\n`
}

type Stage = { lab: Lab | undefined; lines: string[]; readonly states: Map<MemberId, string> }

function runBlock(stage: Stage, block: string): string {
  const lines = block.split('\n')
  const end = lines.indexOf('----')
  const head = end < 0 ? lines : lines.slice(0, end)
  if (head.every((line) => line.startsWith('#'))) return block
  stage.lines = []
  for (const line of head) {
    if (line.startsWith('#')) continue
    runCommand(stage, line)
    noteStates(stage)
  }
  const output = stage.lines.length > 0 ? stage.lines : ['nothing']
  return [...head, '----', ...output].join('\n')
}

function runCommand(stage: Stage, line: string): void {
  const [name = '', ...words] = line.split(' ')
  if (name === 'cluster') {
    stage.lab = openLab(stage, words)
    return
  }
  const command = COMMANDS[name]
  if (!command || !stage.lab) throw new Error(`not understood: ${line}`)
  command(stage, stage.lab, words)
}

/** `cluster 1 2 3 learners 4 strangers 5 leader 1 window 2 append 1 bytes 100` */
function openLab(stage: Stage, words: readonly string[]): Lab {
  const lists: Record<string, number[]> = { voters: [] }
  let list = 'voters'
  for (const word of words) {
    if (/^\d+$/.test(word)) (lists[list] ??= []).push(Number(word))
    else list = word
  }
  const idsOf = (key: string): MemberId[] => (lists[key] ?? []).map(BigInt)
  const lab = createLab(
    {
      voters: idsOf('voters'),
      learners: idsOf('learners'),
      strangers: idsOf('strangers'),
      config: {
        electionTicks: 3,
        // Nobody stands for election before five ticks, though leaders are doubted after three.
        random: () => 0.9,
        appendBytesMax: lists['append']?.[0] ?? 1000,
        inflightAppendsMax: lists['window']?.[0] ?? 4,
        uncommittedBytesMax: lists['bytes']?.[0] ?? 1000,
      },
    },
    {
      onApply: ({ id }, entry) => stage.lines.push(`${id} applies ${showEntry(entry)}`),
      onReady({ id }, { snapshot, reads, failedReads }) {
        if (snapshot) stage.lines.push(`${id} installs a snapshot of ${showPlace(snapshot)}`)
        for (const { context, index } of reads)
          stage.lines.push(`${id} may answer read ${showContext(context)} at ${index}`)
        for (const context of failedReads)
          stage.lines.push(`${id} fails read ${showContext(context)}`)
      },
    },
  )
  const [leader] = idsOf('leader')
  if (leader !== undefined) {
    lab.member(leader).raft.campaign()
    lab.settle()
  }
  stage.lines = [`members ${[...lab.members.keys()].join(' ')}`]
  if (leader !== undefined) stage.lines.push(`${leader} is ${stateOf(lab.member(leader))}`)
  stage.states.clear()
  for (const [id, member] of lab.members) stage.states.set(id, stateOf(member))
  return lab
}

function stateOf({ isUp, raft }: LabMember): string {
  if (!isUp) return 'down'
  const { role, term, leader } = raft.status()
  const follows = role === 'follower' && leader !== 0n ? ` of ${leader}` : ''
  return `${role}${follows} in term ${term}`
}

function noteStates(stage: Stage): void {
  for (const [id, member] of stage.lab?.members ?? []) {
    const state = stateOf(member)
    if (stage.states.get(id) !== state) stage.lines.push(`${id} is ${state}`)
    stage.states.set(id, state)
  }
}

type Command = (stage: Stage, lab: Lab, words: readonly string[]) => void

const only = (words: readonly string[]): LabMember['id'] => BigInt(words[0] ?? '0')

const COMMANDS: Readonly<Record<string, Command>> = {
  campaign: (_, lab, words) => lab.member(only(words)).raft.campaign(),
  /** `gone 2 1`: member 2 is told that nobody listens any more where 1 was. */
  gone: (stage, lab, words) => {
    lab.member(only(words)).raft.reportGone(BigInt(words[1] ?? 0))
    noteStates(stage)
  },
  /** `tick 1 5`: five ticks, handing out nothing in between. */
  tick: (stage, lab, words) => {
    for (let count = 0; count < Number(words[1] ?? 1); count++) lab.member(only(words)).raft.tick()
    noteStates(stage)
  },
  propose: (stage, lab, words) => {
    const outcome = lab.member(only(words)).raft.propose(words.slice(1).map(bytesOf))
    stage.lines.push(outcome)
  },
  change: (stage, lab, words) => {
    const text = words.slice(1).join(' ')
    const outcome = lab.change(only(words), text)
    stage.lines.push(outcome)
  },
  read: (stage, lab, words) => {
    const { outcome, context } = lab.member(only(words)).raft.readIndex()
    stage.lines.push(`${outcome}: read ${showContext(context)}`)
  },
  transfer: (stage, lab, words) =>
    stage.lines.push(lab.member(only(words)).raft.transferLeadership(BigInt(words[1] ?? 0))),
  /** `settle`, `settle without 3`, `settle without 1>3 append-reply`: until nothing moves; the rest is lost. */
  settle: (stage, lab, words) => {
    const banned = words.slice(1)
    lab.settle(
      (message) => {
        const isLost = banned.some((word) => isAbout(message, word))
        stage.lines.push(`${showMessage(message)}${isLost ? ' — lost' : ''}`)
        return isLost
      },
      () => noteStates(stage),
    )
  },
  /** One portion is taken from the core: what may leave at once has left. */
  take: (stage, lab, words) => {
    const ready = lab.take(only(words))
    if (!ready) return
    const entries = ready.entries.map(showEntry).join(', ')
    const vote = ready.hardState
      ? `term ${ready.hardState.term} vote ${ready.hardState.vote} commit ${ready.hardState.commit}`
      : ''
    const parts = [vote, entries].filter(Boolean).join('; ') || 'nothing to write'
    stage.lines.push(
      `${words[0]} portion ${ready.number}${ready.mustSync ? ' (sync)' : ''}: ${parts}`,
    )
    for (const message of ready.messages) stage.lines.push(`sent: ${showMessage(message)}`)
    for (const message of ready.messagesAfterSync)
      stage.lines.push(`waits for the disk: ${showMessage(message)}`)
  },
  /** The disk finishes everything that was handed to it. */
  sync: (stage, lab, words) => {
    for (let ready = lab.sync(only(words)); ready; ready = lab.sync(only(words))) {
      stage.lines.push(`${words[0]} portion ${ready.number} is durable`)
      for (const message of ready.messagesAfterSync)
        stage.lines.push(`sent: ${showMessage(message)}`)
    }
  },
  /** `deliver 1>2 append`: those under way that fit all words; `lose` alike. */
  deliver: (stage, lab, words) => {
    for (const message of takeFitting(lab, words)) {
      stage.lines.push(showMessage(message))
      lab.deliver(message)
      noteStates(stage)
    }
  },
  lose: (stage, lab, words) => {
    for (const message of takeFitting(lab, words)) {
      stage.lines.push(`${showMessage(message)} — lost`)
      lab.lose(message)
    }
  },
  crash: (_, lab, words) => lab.crash(only(words)),
  restart: (_, lab, words) => lab.restart(only(words)),
  compact: (_, lab, words) => lab.compact(only(words), Number(words[1])),
  log: (stage, lab, words) => {
    for (const word of words) {
      const { raft, disk } = lab.member(BigInt(word))
      const { firstIndex, lastIndex, commit, applied } = raft.status()
      const places: string[] = []
      for (let index = firstIndex; index <= lastIndex; index++)
        places.push(`${index}@${raft.termAt(index)}`)
      const onDisk = disk.entries.map(showPlace).join(' ')
      stage.lines.push(
        `${word}: ${places.join(' ') || 'empty'}; commit ${commit}, applied ${applied}; disk: ${onDisk || 'empty'}`,
      )
    }
  },
  /** The followers as a leader sees them. */
  followers: (stage, lab, words) => {
    const { followers, membership, transferee } = lab.member(only(words)).raft.status()
    const { voters, outgoing, learners } = membership
    const lists = [`voters ${voters.join(' ')}`]
    if (outgoing.length > 0) lists.push(`outgoing ${outgoing.join(' ')}`)
    if (learners.length > 0) lists.push(`learners ${learners.join(' ')}`)
    if (transferee !== 0n) lists.push(`transfer to ${transferee}`)
    stage.lines.push(lists.join('; '))
    for (const { member, state, match, inflight, isActive } of followers)
      stage.lines.push(
        `${member}: ${state}, match ${match}, inflight ${inflight}${isActive ? '' : ', silent'}`,
      )
  },
}

/** A word is a member (either end), a link `1>2`, a kind of message, or both as `1>2/append`. */
function isAbout(message: Message, word: string): boolean {
  const { from, to, kind } = message
  if (word.includes('/')) return word.split('/').every((part) => isAbout(message, part))
  if (word.includes('>')) return word === `${from}>${to}`
  return /^\d+$/.test(word) ? from === BigInt(word) || to === BigInt(word) : kind === word
}

function takeFitting(lab: Lab, words: readonly string[]): Message[] {
  const isWanted = (message: Message): boolean => words.every((word) => isAbout(message, word))
  const taken = lab.net.filter(isWanted)
  const rest = lab.net.filter((message) => !isWanted(message))
  lab.net.splice(0, lab.net.length, ...rest)
  return taken
}

const showPlace = ({ index, term }: { readonly index: number; readonly term: number }): string =>
  `${index}@${term}`

function showEntry(entry: Entry): string {
  const text = textOf(entry.data)
  if (entry.kind === 'membership') return `${showPlace(entry)} change "${text}"`
  return `${showPlace(entry)} ${entry.kind === 'command' ? text : entry.kind}`
}

/** Contexts begin high and apart for each member; the tail is what tells them apart in a story. */
const showContext = (context: number): string => (context === 0 ? '-' : `#${context % 1_000_000}`)

function showMessage(message: Message): string {
  return `${message.from}>${message.to} t${message.term} ${message.kind}${showBody(message)}`
}

function showBody(message: Message): string {
  switch (message.kind) {
    case 'pre-vote':
    case 'vote':
      return ` last ${message.lastIndex}@${message.lastTerm}${message.isTransfer ? ' transfer' : ''}`
    case 'pre-vote-reply':
    case 'vote-reply':
      return message.isGranted ? ' yes' : ' no'
    case 'append': {
      const { prevIndex, prevTerm, entries, commit } = message
      const list = entries.map(showPlace).join(' ') || 'nothing'
      return ` after ${prevIndex}@${prevTerm}: ${list}; commit ${commit}`
    }
    case 'append-reply':
      return ` ${message.index}`
    case 'append-reject':
      return ` ${message.index}, try ${message.hintIndex}@${message.hintTerm}`
    case 'heartbeat':
      return ` commit ${message.commit} ${showContext(message.context)}`
    case 'heartbeat-reply':
    case 'read-index':
      return ` ${showContext(message.context)}`
    case 'read-index-reply':
      return ` ${showContext(message.context)} at ${message.index}`
    case 'snapshot':
      return ` ${showPlace(message.mark)}`
    case 'propose':
      return ` ${message.commands.map(textOf).join(' ')}`
    case 'transfer':
      return ` to ${message.target}`
    case 'timeout-now':
      return ''
  }
}

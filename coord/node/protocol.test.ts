import test from 'ava'
import { encodeLevel } from './command.ts'
import { commonProtocol } from './protocol.ts'
import type { ProtocolRange } from './protocol.ts'
import type { MemberQuestion } from './transport.ts'
import type { ReplicaTuning, Request, Result } from './types.ts'
import { NOBODY } from '../raft/types.ts'
import { createLab } from '../../test/support/replica-lab.ts'
import type { Lab, LabNode } from '../../test/support/replica-lab.ts'

const WRITE: Request = {
  kind: 'propose',
  command: { kind: 'lease-grant', request: { id: 0n, ttl: 60 } },
}
const OLD: ProtocolRange = { min: 1, max: 1 }
const NEXT: ProtocolRange = { min: 1, max: 3 }

function running(
  count: number,
  spoken: (id: bigint) => ProtocolRange | undefined,
  seed = 1,
  tuning: Partial<ReplicaTuning> = {},
): Lab {
  const lab = createLab(count, { promoteAfterMs: 1000, ...tuning }, seed, (id) => {
    const protocols = spoken(id)
    return protocols ? { protocols } : {}
  })
  for (const node of lab.nodes) lab.start(node)
  lab.passUntil(() => lab.leader() !== undefined)
  lab.pass(5000)
  return lab
}

function ask(lab: Lab, node: LabNode, request: Request): Result | undefined {
  const id = lab.submit(node, request)
  lab.passUntil(() => node.results.has(id), 10_000)
  return node.results.get(id)
}

const levels = (lab: Lab): readonly (number | undefined)[] =>
  lab.nodes.map(({ replica }) => replica?.protocols().min)
const leaderOf = (lab: Lab): LabNode => lab.leader() as LabNode
const followerOf = (lab: Lab): LabNode =>
  lab.nodes.find((node) => node.replica && node !== lab.leader()) as LabNode
const replacing = (replaces: bigint, url = 'http://new:1'): MemberQuestion => ({
  kind: 'add',
  peerUrls: [url],
  isLearner: true,
  replaces,
})
const join = (lab: Lab, id: bigint, url = 'http://new:1'): LabNode =>
  lab.add({ id, name: '', peerUrls: [url], clientUrls: [], isLearner: true })

test('two ranges meet in the newest version that both speak, or not at all', (t) => {
  t.is(commonProtocol({ min: 1, max: 2 }, { min: 1, max: 1 }), 1)
  t.is(commonProtocol({ min: 1, max: 2 }, { min: 2, max: 4 }), 2)
  t.is(commonProtocol({ min: 2, max: 2 }, { min: 1, max: 1 }), undefined)
})

test('the level rises to what every member speaks, and an older member holds it', (t) => {
  t.deepEqual(levels(running(3, () => undefined)), [2, 2, 2])
  t.deepEqual(levels(running(3, (id) => (id === 2n ? OLD : undefined))), [1, 1, 1])
  t.deepEqual(levels(running(3, (id) => (id === 2n ? undefined : NEXT))), [2, 2, 2])
  t.deepEqual(levels(running(1, () => NEXT)), [3])
})

test('a member that is down holds the level until it is heard', (t) => {
  const lab = createLab(3)
  for (const node of lab.nodes) lab.start(node)
  lab.passUntil(() => lab.nodes.every(({ replica }) => replica?.isFormed()))
  const [silent, ...others] = lab.nodes as [LabNode, LabNode, LabNode]
  // What the others had heard of it goes with their lives.
  for (const node of lab.nodes) lab.crash(node)
  for (const node of others) lab.start(node)
  lab.pass(10_000)
  t.deepEqual(levels(lab).slice(1), [1, 1])
  lab.start(silent)
  lab.pass(5000)
  t.deepEqual(levels(lab), [2, 2, 2])
})

test('the level survives restarts and comes with an image, and is never lowered', (t) => {
  const lab = running(3, () => undefined)
  for (const node of lab.nodes) lab.crash(node)
  for (const node of lab.nodes) lab.start(node)
  lab.pass(3000)
  t.deepEqual(levels(lab), [2, 2, 2])
  const lower = encodeLevel(99, 1, 1)
  const message = { kind: 'propose', from: 9n, to: leaderOf(lab).id, term: 99 } as const
  const { term } = leaderOf(lab).replica!.raftStatus()
  leaderOf(lab).replica!.receive(
    followerOf(lab).id,
    {
      kind: 'raft',
      message: { ...message, from: followerOf(lab).id, term, commands: [lower] },
    },
    lab.nowMs,
  )
  lab.pass(2000)
  t.deepEqual(levels(lab), [2, 2, 2])
})

test('a program that is older than the level is not let in, and stops at the level if it applies it', (t) => {
  for (const isInImage of [true, false]) {
    let isOld = false
    const tuning = isInImage ? { imageMs: 1 } : { imageMs: 1e9 }
    const lab = running(3, (id) => (id === 1n && isOld ? OLD : undefined), 1, tuning)
    const [back] = lab.nodes as [LabNode]
    t.deepEqual(levels(lab), [2, 2, 2])
    for (let n = 0; n < 3; n++) ask(lab, leaderOf(lab), WRITE)
    lab.crash(back)
    isOld = true
    lab.start(back)
    lab.pass(3000)
    if (isInImage) t.is(back.replica?.raftStatus().leader, NOBODY)
    else t.like(back.stopped, { kind: 'stop', reason: { kind: 'too-old', level: 2 } })
    t.is(ask(lab, leaderOf(lab), WRITE)?.kind, 'applied')
  }
})

test('nobody is replaced before every member can do it', (t) => {
  const lab = running(3, (id) => (id === 2n ? OLD : undefined))
  for (const node of [leaderOf(lab), followerOf(lab)])
    t.like(ask(lab, node, { kind: 'member', question: replacing(followerOf(lab).id) }), {
      kind: 'failed',
      code: 'not-everywhere',
      isUnknown: false,
    })
})

test('a learner takes the place of a voter in one change, whoever that is', (t) => {
  for (const isLeader of [false, true])
    for (const isDown of [false, true]) {
      const lab = running(3, () => undefined, isDown ? 3 : 4)
      const old = isLeader ? leaderOf(lab) : followerOf(lab)
      if (isDown) lab.crash(old)
      lab.passUntil(() => lab.leader() !== undefined && lab.leader() !== (isDown ? old : undefined))
      const added = ask(lab, leaderOf(lab), { kind: 'member', question: replacing(old.id) })
      t.is(added?.kind, 'member')
      if (added?.kind !== 'member') return
      const seen = new Set<string>()
      const newcomer = join(lab, added.member)
      lab.passUntil(() => {
        const { voters, outgoing } = leaderOf(lab)?.replica?.raftStatus().membership ?? {}
        if (voters) seen.add(`${voters.length}/${outgoing?.length}`)
        const ids = newcomer.replica?.members().map(({ id }) => id) ?? []
        return ids.includes(newcomer.id) && !ids.includes(old.id)
      }, 30_000)
      lab.pass(3000)
      t.false([...seen].some((counts) => counts.startsWith('4') || counts.startsWith('2')))
      const members = newcomer.replica?.members() ?? []
      t.deepEqual(
        members.map(({ isLearner }) => isLearner),
        [false, false, false],
      )
      t.false(members.some(({ id }) => id === old.id))
      if (!isDown) t.like(old.stopped, { kind: 'stop', reason: { kind: 'removed' } })
      t.is(ask(lab, newcomer, { kind: 'linearize' })?.kind, 'linear')
    }
})

test('a newcomer may have the address of the one it replaces, but no other, and one is enough', (t) => {
  const lab = running(3, () => undefined)
  const [first, second] = lab.nodes as [LabNode, LabNode]
  const member = (question: MemberQuestion): Result | undefined =>
    ask(lab, leaderOf(lab), { kind: 'member', question })
  t.like(member(replacing(first.id, `http://m${second.id}:1`)), { code: 'peer-urls-exist' })
  t.like(member(replacing(99n)), { code: 'member-not-found' })
  t.like(member({ ...replacing(first.id), isLearner: false } as MemberQuestion), {
    code: 'not-a-learner',
  })
  t.is(member(replacing(first.id, `http://m${first.id}:1`))?.kind, 'member')
  t.like(member(replacing(first.id)), { code: 'member-exists' })
})

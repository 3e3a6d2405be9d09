/** The replica on a network and on disks in memory: what it promises, and that a crash anywhere keeps it. */
import test from 'ava'
import { createLab, runningLab, TICK_MS } from '../../test/support/replica-lab.ts'
import type { Lab, LabNode } from '../../test/support/replica-lab.ts'
import type { KvCommand, PutRequest } from '../kv/types.ts'
import type { Request, Result } from './types.ts'

function put(key: string, value: string, lease = 0n): Request {
  const request: PutRequest = {
    key: Buffer.from(key),
    value: Buffer.from(value),
    lease,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }
  return { kind: 'propose', command: { kind: 'put', request } }
}

function propose(command: KvCommand): Request {
  return { kind: 'propose', command }
}

function valueAt(node: LabNode, key: string): string | undefined {
  const store = node.replica?.store
  const found = store?.keyAt(Buffer.from(key), store.revision)
  return found && Buffer.from(found.value).toString()
}

/** Submits and waits for the answer. */
function ask(lab: Lab, node: LabNode, request: Request): Result | undefined {
  const id = lab.submit(node, request)
  lab.passUntil(() => node.results.has(id), 10_000)
  return node.results.get(id)
}

function leaderOf(lab: Lab): LabNode {
  const leader = lab.leader()
  if (!leader) throw new Error('no leader')
  return leader
}

function followerOf(lab: Lab): LabNode {
  const found = lab.nodes.find((node) => node !== lab.leader() && node.replica)
  if (!found) throw new Error('no follower')
  return found
}

test('one member answers a write only after its sync', (t) => {
  const lab = runningLab(1)
  const node = leaderOf(lab)
  const id = lab.submit(node, put('a', '1'))
  const effects = node.replica?.takeEffects() ?? []
  t.deepEqual(
    effects.map(({ kind }) => kind),
    ['persist'],
  )
  t.false(node.results.has(id))
  node.effects.push(...effects)
  lab.settle()
  t.is(node.results.get(id)?.kind, 'applied')
  t.is(valueAt(node, 'a'), '1')
})

test('three members apply the same, wherever a write was submitted', (t) => {
  const lab = runningLab(3)
  for (const [position, node] of lab.nodes.entries())
    t.is(ask(lab, node, put(`k${position}`, 'v'))?.kind, 'applied')
  lab.pass(200)
  const hashes = lab.nodes.map(({ replica }) => replica?.store.hash(0))
  t.deepEqual(hashes[1], hashes[0])
  t.deepEqual(hashes[2], hashes[0])
  t.is(valueAt(lab.nodes[2] as LabNode, 'k0'), 'v')
})

test('a read on a follower sees what the leader has acknowledged', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  ask(lab, leaderOf(lab), put('a', '1'))
  t.is(ask(lab, follower, { kind: 'linearize' })?.kind, 'linear')
  t.is(valueAt(follower, 'a'), '1')
})

test('many reads of one turn share one round', (t) => {
  const lab = runningLab(3)
  const leader = leaderOf(lab)
  for (let count = 0; count < 50; count++) lab.submit(leader, { kind: 'linearize' })
  const sends = (leader.replica?.takeEffects() ?? []).filter(({ kind }) => kind === 'send')
  t.is(sends.length, 2)
})

test('a leader cut off from the others answers neither reads nor renewals', (t) => {
  const lab = runningLab(3)
  const old = leaderOf(lab)
  ask(lab, old, propose({ kind: 'lease-grant', request: { id: 5n, ttl: 60 } }))
  lab.filter = (from, { to }) => from !== old.id && to !== old.id
  const read = lab.submit(old, { kind: 'linearize' })
  const renewal = lab.submit(old, { kind: 'renew', lease: 5n })
  lab.settle()
  t.false(old.results.has(read))
  t.false(old.results.has(renewal))
  lab.pass(8000)
  t.like(old.results.get(read), { kind: 'failed', isUnknown: false })
  t.like(old.results.get(renewal), { kind: 'failed' })
})

test('who is told that the leader is gone elects another without waiting for it', (t) => {
  const lab = runningLab(3)
  const old = leaderOf(lab)
  const asker = followerOf(lab)
  const write = lab.submit(asker, put('a', '1'))
  lab.crash(old)
  for (const { replica } of lab.nodes) replica?.gone(old.id, lab.nowMs)
  t.true(lab.passUntil(() => lab.leader() !== undefined, 5 * TICK_MS))
  lab.pass(TICK_MS)
  t.like(asker.results.get(write), { kind: 'applied' })
})

test('a leader that is said to be gone by mistake goes on leading', (t) => {
  const lab = runningLab(3)
  const leader = leaderOf(lab)
  const term = leader.replica?.term
  // Not all at once: those would elect another, as they may.
  for (const node of lab.nodes.filter((one) => one !== leader)) {
    node.replica?.gone(leader.id, lab.nowMs)
    lab.pass(5 * TICK_MS)
  }
  t.is(lab.leader(), leader)
  t.is(leader.replica?.term, term)
  for (const node of lab.nodes) t.is(ask(lab, node, put('a', '1'))?.kind, 'applied')
})

test('a write that a leader loses is carried to the next one and lands once', (t) => {
  const lab = runningLab(3)
  const old = leaderOf(lab)
  const follower = followerOf(lab)
  ask(lab, follower, put('n', '0'))
  const revision = follower.replica?.store.revision ?? 0
  // The leader takes the command into its log and dies before anybody else has it.
  const id = lab.submit(follower, put('n', '1'))
  lab.beforeEffect = (node) => node !== old
  lab.settle()
  t.is(old.replica, undefined)
  lab.beforeEffect = () => true
  lab.passUntil(() => lab.leader() !== undefined)
  lab.pass(300)
  t.like(follower.results.get(id), { kind: 'applied', applied: { revision: revision + 1 } })
  lab.start(old)
  lab.pass(1000)
  for (const node of lab.nodes) t.is(node.replica?.store.revision, revision + 1)
})

test('a command that arrives twice is applied once', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  const before = follower.replica?.store.revision ?? 0
  const copies: (() => void)[] = []
  lab.filter = (from, out) => {
    const { message } = out
    if (message.kind === 'raft' && message.message.kind === 'propose')
      copies.push(() => lab.node(out.to).replica?.receive(from, message, lab.nowMs))
    return true
  }
  ask(lab, follower, put('a', '1'))
  ask(lab, follower, put('a', '2'))
  for (const again of copies) again()
  lab.pass(500)
  t.true(copies.length >= 2)
  for (const node of lab.nodes) t.is(node.replica?.store.revision, before + 2)
  t.is(valueAt(follower, 'a'), '2')
})

test('what was seen of an origin survives in the image', (t) => {
  const lab = runningLab(3, { imageEntries: 1 })
  const follower = followerOf(lab)
  const copies: (() => void)[] = []
  lab.filter = (from, out) => {
    const { message } = out
    if (message.kind === 'raft' && message.message.kind === 'propose')
      copies.push(() =>
        leaderOf(lab).replica?.receive(
          from,
          {
            ...message,
            message: {
              ...message.message,
              to: leaderOf(lab).id,
              term: leaderOf(lab).replica?.raftStatus().term ?? 0,
            },
          },
          lab.nowMs,
        ),
      )
    return true
  }
  ask(lab, follower, put('a', '1'))
  const { revision } = follower.replica?.store ?? { revision: 0 }
  lab.pass(2000)
  for (const node of lab.nodes) {
    node.disk.synced = { ...node.disk.image, records: new Map(node.disk.image.records) }
    lab.crash(node)
  }
  for (const node of lab.nodes) lab.start(node)
  lab.passUntil(() => lab.leader() !== undefined)
  lab.pass(500)
  lab.filter = () => true
  for (const again of copies) again()
  lab.pass(500)
  for (const node of lab.nodes) t.is(node.replica?.store.revision, revision)
})

test('a lost forward is sent again while leader and term stay the same', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  let isLost = false
  lab.filter = (_, { message }) => {
    if (isLost || message.kind !== 'raft' || message.message.kind !== 'propose') return true
    isLost = true
    return false
  }
  t.is(ask(lab, follower, put('a', '1'))?.kind, 'applied')
  t.true(isLost)
})

test('without a leader a write that was never sent fails as such', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  for (const node of lab.nodes) if (node !== follower) lab.crash(node)
  lab.pass(5000)
  const result = ask(lab, follower, put('a', '1'))
  t.deepEqual(result, { kind: 'failed', code: 'no-leader', isUnknown: false })
})

test('a crash before any effect of any member loses no acknowledged write', (t) => {
  for (let boundary = 0; boundary < 120; boundary++) {
    const lab = runningLab(3, { imageEntries: 2, keepEntries: 4 }, boundary + 1)
    const victim = lab.nodes[boundary % 3] as LabNode
    let left = Math.floor(boundary / 3)
    lab.beforeEffect = (node) => node !== victim || left-- > 0
    const writes: { readonly node: LabNode; readonly id: number; readonly key: string }[] = []
    for (let count = 0; count < 6; count++) {
      const node = lab.nodes[count % 3] as LabNode
      const key = `k${count}`
      if (node.replica) writes.push({ node, id: lab.submit(node, put(key, 'v')), key })
      lab.settle()
    }
    lab.beforeEffect = () => true
    lab.pass(500)
    if (!victim.replica) lab.start(victim)
    lab.pass(12_000)
    for (const { node, id, key } of writes) {
      if (node.results.get(id)?.kind !== 'applied') continue
      for (const other of lab.nodes) t.is(valueAt(other, key), 'v', `${boundary} ${key}`)
    }
    const hashes = lab.nodes.map(({ replica }) => replica?.store.hash(0))
    t.deepEqual(hashes[1], hashes[0])
    t.deepEqual(hashes[2], hashes[0])
  }
})

test('all members crash at once and keep what was acknowledged', (t) => {
  const lab = runningLab(3, { imageEntries: 3, keepEntries: 4 })
  for (let count = 0; count < 40; count++)
    t.is(ask(lab, lab.nodes[count % 3] as LabNode, put(`k${count}`, 'v'))?.kind, 'applied')
  for (const node of lab.nodes) lab.crash(node)
  for (const node of lab.nodes) lab.start(node)
  t.true(lab.passUntil(() => lab.leader() !== undefined))
  lab.pass(500)
  for (const node of lab.nodes)
    for (let count = 0; count < 40; count++) t.is(valueAt(node, `k${count}`), 'v')
})

test('a member that was away longer than the log reaches is sent an image', (t) => {
  const lab = runningLab(3, { imageEntries: 5, keepEntries: 10 })
  const away = followerOf(lab)
  lab.crash(away)
  lab.passUntil(() => lab.leader() !== undefined)
  for (let count = 0; count < 60; count++) ask(lab, leaderOf(lab), put(`k${count}`, 'v'))
  lab.pass(2000)
  lab.start(away)
  lab.pass(3000)
  t.true(away.done.includes('install'))
  t.is(valueAt(away, 'k59'), 'v')
  t.deepEqual(away.replica?.store.hash(0), leaderOf(lab).replica?.store.hash(0))
  lab.crash(away)
  lab.start(away)
  lab.pass(2000)
  t.is(valueAt(away, 'k0'), 'v')
})

test('a write that is inside a snapshot lands once, and its outcome is unknown', (t) => {
  const lab = runningLab(3, { imageEntries: 5, keepEntries: 10 })
  const deaf = followerOf(lab)
  const leader = leaderOf(lab)
  lab.filter = (_, { to }) => to !== deaf.id
  const id = lab.submit(deaf, put('a', '1'))
  lab.settle()
  for (let count = 0; count < 60; count++) ask(lab, leader, put(`k${count}`, 'v'))
  lab.pass(1500)
  t.is(valueAt(leader, 'a'), '1')
  t.false(deaf.results.has(id))
  lab.filter = () => true
  lab.passUntil(() => deaf.done.includes('install'))
  t.true(deaf.done.includes('install'))
  // Later writes of the same member pass the number that the first one had.
  t.is(ask(lab, deaf, put('b', '1'))?.kind, 'applied')
  lab.pass(2000)
  t.like(deaf.results.get(id), { kind: 'failed', code: 'timed-out', isUnknown: true })
  for (const { replica } of lab.nodes)
    t.is(replica?.store.keyAt(Buffer.from('a'), replica.store.revision)?.version, 1)
})

test('a lease that nobody renews ends, and takes its keys along', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  ask(lab, follower, propose({ kind: 'lease-grant', request: { id: 9n, ttl: 3 } }))
  ask(lab, follower, put('held', 'x', 9n))
  lab.pass(2000)
  t.is(valueAt(follower, 'held'), 'x')
  lab.pass(2000)
  for (const node of lab.nodes) t.is(valueAt(node, 'held'), undefined)
  t.like(ask(lab, follower, { kind: 'renew', lease: 9n }), { kind: 'lease', ttlMs: 0 })
  t.like(ask(lab, follower, { kind: 'remaining', lease: 9n }), { kind: 'lease', ttlMs: -1 })
})

test('renewals keep a lease, through a follower and across a change of leader', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  ask(lab, follower, propose({ kind: 'lease-grant', request: { id: 9n, ttl: 4 } }))
  for (let count = 0; count < 5; count++) {
    lab.pass(3000)
    t.like(ask(lab, follower, { kind: 'renew', lease: 9n }), { kind: 'lease', ttlMs: 4000 })
  }
  lab.crash(leaderOf(lab))
  lab.pass(3000)
  t.like(ask(lab, follower, { kind: 'renew', lease: 9n }), { kind: 'lease', ttlMs: 4000 })
  lab.pass(6000)
  t.is(follower.replica?.store.lease(9n), undefined)
})

test('a leader that cannot reach its quorum ends no lease', (t) => {
  const lab = runningLab(3)
  const old = leaderOf(lab)
  ask(lab, old, propose({ kind: 'lease-grant', request: { id: 9n, ttl: 2 } }))
  lab.pass(1700)
  lab.filter = (from, { to }) => from !== old.id && to !== old.id
  const written: number[] = []
  lab.beforeEffect = (node, effect) => {
    if (node === old && effect.kind === 'persist') written.push(effect.batch.entries.length)
    return true
  }
  lab.pass(500)
  t.is(old.replica?.raftStatus().role, 'leader')
  t.deepEqual(
    written.filter((count) => count > 0),
    [],
  )
})

test('a leader that stood still answers nothing that was confirmed before', (t) => {
  const lab = runningLab(3)
  const old = leaderOf(lab)
  ask(lab, old, put('a', '1'))
  const replies: (() => void)[] = []
  lab.filter = (from, out) => {
    if (out.to !== old.id) return true
    replies.push(() => old.replica?.receive(from, out.message, lab.nowMs))
    return false
  }
  const id = lab.submit(old, { kind: 'linearize' })
  lab.settle()
  t.true(replies.length >= 2)
  old.isPaused = true
  lab.filter = () => true
  lab.passUntil(() => lab.leader() !== undefined)
  ask(lab, leaderOf(lab), put('a', '2'))
  old.isPaused = false
  // What waited in its sockets is the first that it hears.
  for (const hear of replies) hear()
  const answered = (old.replica?.takeEffects() ?? []).filter(({ kind }) => kind === 'answer')
  t.deepEqual(answered, [])
  lab.passUntil(() => old.results.has(id))
  t.is(old.results.get(id)?.kind, 'linear')
  t.is(valueAt(old, 'a'), '2')
})

test('a write that a later one has passed on the way is proposed afresh, and lands once', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  const before = follower.replica?.store.revision ?? 0
  let late: (() => void) | undefined
  lab.filter = (from, out) => {
    const { message } = out
    if (late || message.kind !== 'raft' || message.message.kind !== 'propose') return true
    late = () => lab.node(out.to).replica?.receive(from, message, lab.nowMs)
    return false
  }
  const first = lab.submit(follower, put('a', 'first'))
  lab.settle()
  const second = lab.submit(follower, put('a', 'second'))
  lab.settle()
  t.is(follower.results.get(second)?.kind, 'applied')
  t.is(follower.results.get(first)?.kind, 'applied')
  late?.()
  lab.pass(500)
  t.is(follower.replica?.store.revision, before + 2)
  t.is(valueAt(follower, 'a'), 'first')
})

test('leadership moves where it is wanted', (t) => {
  const lab = runningLab(3)
  const target = followerOf(lab)
  const leader = leaderOf(lab)
  t.like(ask(lab, target, { kind: 'move-leader', target: target.id }), { code: 'not-leader' })
  t.like(ask(lab, leader, { kind: 'move-leader', target: 99n }), { code: 'bad-transferee' })
  t.is(ask(lab, leader, { kind: 'move-leader', target: target.id })?.kind, 'moved')
  t.is(lab.leader(), target)
})

test('members say their names, and a restart keeps them', (t) => {
  const lab = runningLab(3, { imageEntries: 1 })
  lab.pass(3000)
  const names = (node: LabNode): readonly string[] =>
    (node.replica?.members() ?? []).map(({ name }) => name)
  for (const node of lab.nodes) t.deepEqual(names(node), ['m1', 'm2', 'm3'])
  for (const node of lab.nodes) lab.crash(node)
  for (const node of lab.nodes) lab.start(node)
  lab.pass(3000)
  for (const node of lab.nodes) t.deepEqual(names(node), ['m1', 'm2', 'm3'])
})

test('a new member learns from an image and becomes a voter by itself', (t) => {
  const lab = runningLab(3)
  lab.pass(3000)
  ask(lab, followerOf(lab), put('a', '1'))
  const question = {
    kind: 'add',
    peerUrls: ['http://new:1'],
    isLearner: true,
    replaces: 0n,
  } as const
  const result = ask(lab, followerOf(lab), { kind: 'member', question })
  t.is(result?.kind, 'member')
  if (result?.kind !== 'member') return
  t.like(ask(lab, leaderOf(lab), { kind: 'member', question }), { code: 'peer-urls-exist' })
  const joined = lab.add({
    id: result.member,
    name: '',
    peerUrls: ['http://new:1'],
    clientUrls: [],
    isLearner: true,
  })
  lab.pass(3000)
  t.is(valueAt(joined, 'a'), '1')
  t.like(ask(lab, joined, put('b', '1')), { code: 'learner' })
  t.true(joined.replica?.members().find(({ id }) => id === result.member)?.isLearner)
  lab.pass(12_000)
  t.false(joined.replica?.members().find(({ id }) => id === result.member)?.isLearner)
  t.is(ask(lab, joined, put('b', '1'))?.kind, 'applied')
})

test('a removed member stops, and changes that would lose the majority are refused', (t) => {
  const lab = runningLab(3)
  lab.pass(3000)
  const gone = followerOf(lab)
  const down = lab.nodes.find((node) => node !== gone && node !== lab.leader()) as LabNode
  lab.crash(down)
  lab.pass(2500)
  const remove = { kind: 'member', question: { kind: 'remove', member: gone.id } } as const
  t.like(ask(lab, leaderOf(lab), remove), { code: 'unhealthy' })
  lab.start(down)
  lab.pass(2000)
  t.is(ask(lab, leaderOf(lab), remove)?.kind, 'member')
  lab.pass(500)
  t.like(gone.stopped, { kind: 'stop', reason: { kind: 'removed' } })
  t.is(leaderOf(lab).replica?.members().length, 2)
  t.true(leaderOf(lab).replica?.isRemoved(gone.id))
  t.like(ask(lab, leaderOf(lab), remove), { code: 'member-not-found' })
})

test('of two members one can be removed, wherever the one that stays crashes', (t) => {
  for (const isLeaderLeaving of [false, true])
    for (let boundary = 0; boundary < 40; boundary++) {
      const lab = runningLab(2, {}, boundary + 1)
      lab.pass(3000)
      const [gone, stays] = isLeaderLeaving
        ? [leaderOf(lab), followerOf(lab)]
        : [followerOf(lab), leaderOf(lab)]
      let left = boundary
      lab.beforeEffect = (node) => node !== stays || left-- > 0
      const question = { kind: 'remove', member: gone.id } as const
      const id = lab.submit(boundary % 2 ? gone : stays, { kind: 'member', question })
      lab.settle()
      lab.beforeEffect = () => true
      const isTold = (): boolean =>
        [gone, stays].some(({ results }) => results.get(id)?.kind === 'member')
      if (boundary > 30) lab.passUntil(isTold)
      // Whoever hears that it is done may throw the disk away.
      if (isTold()) lab.crash(gone)
      if (stays.replica) lab.crash(stays)
      lab.pass(boundary * 100)
      lab.start(stays)
      const title = `${isLeaderLeaving} ${boundary}`
      t.true(
        lab.passUntil(() => lab.leader() !== undefined),
        title,
      )
      const isTaken = isTold()
      lab.pass(8000)
      const isOut = stays.replica?.isRemoved(gone.id) === true
      t.true(isOut || !isTaken, title)
      t.is(gone.stopped !== undefined || !gone.replica, isOut, title)
      t.is(ask(lab, stays, put('a', '1'))?.kind, 'applied', title)
    }
})

test('who removes a leader has the answer, and the next leads soon', (t) => {
  for (const count of [2, 3])
    for (const asked of [leaderOf, followerOf]) {
      const lab = runningLab(count)
      lab.pass(3000)
      const gone = leaderOf(lab)
      const question = { kind: 'remove', member: gone.id } as const
      const request: Request = { kind: 'member', question }
      t.deepEqual(ask(lab, asked(lab), request), { kind: 'member', member: gone.id })
      t.true(
        lab.passUntil(() => lab.leader() !== gone && lab.leader() !== undefined, 1000),
        `${count}`,
      )
      t.true(lab.passUntil(() => gone.stopped !== undefined, 1000))
      t.like(gone.stopped, { reason: { kind: 'removed' } })
    }
})

test('nobody votes before all members of a new cluster have met', (t) => {
  const lab = createLab(3)
  lab.start(lab.nodes[0] as LabNode)
  lab.start(lab.nodes[1] as LabNode)
  lab.pass(10_000)
  t.is(lab.leader(), undefined)
  lab.start(lab.nodes[2] as LabNode)
  t.true(lab.passUntil(() => lab.leader() !== undefined))
})

test('a late word for the disk that was lost does not let an empty one form', (t) => {
  const lab = runningLab(3)
  lab.pass(3000)
  const lost = followerOf(lab)
  lab.wipe(lost)
  lab.filter = (_from, { to }) => to !== lost.id
  lab.start(lost)
  for (const { id } of lab.nodes.filter((node) => node !== lost))
    lost.replica?.receive(
      id,
      { kind: 'form-answer', life: 5n, asked: 4n, isFormed: true, isAgreed: true },
      lab.nowMs,
    )
  lab.pass(1000)
  t.false(lost.replica?.isFormed())
  lab.filter = () => true
  lab.pass(1000)
  t.like(lost.stopped, { kind: 'stop', reason: { kind: 'disk-lost' } })
})

test('a member that lost its disk does not come back under its old id', (t) => {
  const lab = runningLab(3)
  ask(lab, leaderOf(lab), put('a', '1'))
  const lost = followerOf(lab)
  lab.wipe(lost)
  lab.start(lost)
  lab.pass(1000)
  t.like(lost.stopped, { kind: 'stop', reason: { kind: 'disk-lost' } })
  t.true(lab.passUntil(() => lab.leader() !== undefined))
})

test('members with different quotas keep equal states: the leader decides for all', (t) => {
  const quotas = [30_000, 60_000, 90_000]
  const lab = runningLab(3, {}, 1, (id) => ({ quotaBytes: quotas[Number(id) - 1] as number }))
  const inForce = (): readonly unknown[] =>
    lab.nodes.map(({ replica }) => replica?.store.quotaBytes)
  const fill = (node: LabNode): Result | undefined => {
    for (let count = 0; count < 100; count++) {
      const result = ask(lab, node, put(`${node.id}-${count}`, 'x'.repeat(1000)))
      if (result?.kind !== 'applied' || !result.applied.outcome.ok) return result
    }
    return undefined
  }
  const same = (): void => {
    lab.pass(500)
    const [first, ...others] = lab.nodes.map(({ replica }) => [
      replica?.store.hash(0),
      replica?.store.alarms,
      replica?.store.revision,
    ])
    for (const other of others) t.deepEqual(other, first)
  }
  for (const target of [1n, 3n, 2n]) {
    const quota = quotas[Number(target) - 1] as number
    ask(lab, leaderOf(lab), { kind: 'move-leader', target })
    lab.passUntil(() => lab.leader()?.id === target)
    t.true(lab.passUntil(() => inForce().every((bytes) => bytes === quota)))
    t.like(fill(followerOf(lab)), { applied: { outcome: { ok: false, error: 'no-space' } } })
    same()
    t.true((leaderOf(lab).replica?.store.sizeBytes ?? 0) <= 90_000)
    t.deepEqual(leaderOf(lab).replica?.store.alarms, [{ member: 0n, alarm: 1 }])
  }
  const [key, rangeEnd] = [Buffer.from('0'), Buffer.from('9')]
  const wipe = { kind: 'delete-range', request: { key, rangeEnd, prevKv: false } } as const
  t.like(ask(lab, followerOf(lab), propose(wipe)), { applied: { outcome: { ok: true } } })
  const { revision } = leaderOf(lab).replica?.store ?? { revision: 0 }
  const compact = { kind: 'compact', request: { revision, physical: false } } as const
  t.like(ask(lab, followerOf(lab), propose(compact)), { applied: { outcome: { ok: true } } })
  same()
  t.deepEqual(leaderOf(lab).replica?.store.alarms, [])
  t.like(ask(lab, followerOf(lab), put('z', '1')), { applied: { outcome: { ok: true } } })
  for (const node of lab.nodes) {
    node.disk.synced = { ...node.disk.image, records: new Map(node.disk.image.records) }
    lab.crash(node)
    lab.start(node)
    t.is(node.replica?.store.quotaBytes, 60_000)
  }
})

test('leases are listed by the time they have left, on a follower by their TTL', (t) => {
  const lab = runningLab(3)
  for (const [id, ttl] of [
    [7n, 60],
    [8n, 20],
    [9n, 40],
  ] as const)
    ask(lab, leaderOf(lab), propose({ kind: 'lease-grant', request: { id, ttl } }))
  lab.pass(200)
  for (const { replica } of lab.nodes) t.deepEqual(replica?.leases(), [8n, 9n, 7n])
})

test('history is compacted by the leader alone, everywhere alike', (t) => {
  const lab = runningLab(3, { compaction: { revisions: 20, ageMs: 3_600_000 } })
  for (let count = 0; count < 60; count++) ask(lab, leaderOf(lab), put('a', `${count}`))
  lab.pass(3000)
  for (const { replica } of lab.nodes) t.true((replica?.store.compactRevision ?? 0) > 30)
  t.deepEqual(lab.nodes[0]?.replica?.store.hash(0), lab.nodes[2]?.replica?.store.hash(0))
})

test('a watch on a follower sees each change once and in order', (t) => {
  const lab = runningLab(3)
  const follower = followerOf(lab)
  const seen: string[] = []
  const stream = follower.replica?.watches.open(() => undefined)
  stream?.create({
    key: Buffer.from('a'),
    rangeEnd: new Uint8Array(0),
    startRevision: 0,
    withPrevKv: false,
    skipPuts: false,
    skipDeletes: false,
    progressNotify: false,
    watchId: 0,
  })
  for (let count = 0; count < 5; count++) ask(lab, leaderOf(lab), put('a', `${count}`))
  lab.pass(200)
  for (let given = stream?.take(1 << 20); given; given = stream?.take(1 << 20))
    for (const { kv } of given.events) seen.push(Buffer.from(kv.value).toString())
  t.deepEqual(seen, ['0', '1', '2', '3', '4'])
})

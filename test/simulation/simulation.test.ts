import test from 'ava'
import type { HardState, MemberId, Membership, RaftStatus } from '../../coord/raft/types.ts'
import type { Entry, Message } from '../../coord/raft/types.ts'
import type { KvCommand, KvEvent } from '../../coord/kv/types.ts'
import { createHistory } from './checks/history.ts'
import { createLeaseChecker } from './checks/leases.ts'
import { bytesOf } from './checks/model-types.ts'
import { createRaftChecker } from './checks/raft.ts'
import type { RaftChecker } from './checks/raft.ts'
import { createStateChecker } from './checks/state.ts'
import { createTruth } from './checks/truth.ts'
import type { Truth } from './checks/truth.ts'
import { createWatchValidator } from './checks/watch.ts'
import type { Rule } from './checks/violation.ts'
import { Violation } from './checks/violation.ts'
import { createKvStore } from '../../coord/kv/store.ts'
import { createDice } from './random.ts'
import { commandOf, deleteOf, putOf, rangeOf } from './requests.ts'
import { runSeed } from './run.ts'
import { createWalDisk } from './wal-disk.ts'

test('clusters keep every promise while everything goes wrong', (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { failure } = runSeed(seed)
    t.is(failure, undefined, `node test/simulation/main.ts --seed=${seed}`)
  }
})

test('a seed replays bit for bit, and another seed is another run', (t) => {
  const [first, again, other] = [runSeed(7), runSeed(7), runSeed(8)]
  t.deepEqual(again, first)
  t.not(other.digest, first.digest)
  t.true(first.commits > 20)
})

// ── Each check against a history that breaks what it guards ───────────────────────────────────────

function breaks(t: { is(a: unknown, b: unknown): void }, rule: Rule, act: () => void): void {
  let seen: string | undefined
  try {
    act()
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    seen = error.rule
  }
  t.is(seen, rule)
}

const MEMBERSHIP: Membership = {
  voters: [1n, 2n, 3n],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
}

const status = (self: MemberId, more: Partial<RaftStatus>): RaftStatus => ({
  self,
  role: 'follower',
  term: 1,
  vote: 0n,
  leader: 0n,
  commit: 0,
  applied: 0,
  firstIndex: 1,
  lastIndex: 0,
  logBytes: 0,
  membership: MEMBERSHIP,
  transferee: 0n,
  followers: [],
  ticksSinceContact: 0,
  uncommittedBytes: 0,
  ...more,
})
const entry = (index: number, term: number, data = 'x'): Entry => ({
  index,
  term,
  kind: 'command',
  data: bytesOf(data),
})
const state = (term: number, vote = 0n, commit = 0): HardState => ({ term, vote, commit })
const raft = (): RaftChecker =>
  createRaftChecker({ now: () => 0, onCommitted: () => undefined, startIndex: 0 })

function writes(check: RaftChecker, member: MemberId, entries: readonly Entry[], term = 1): void {
  check.written(member, { hardState: state(term), entries })
  check.synced(member, { hardState: state(term), entries })
}

test('R1: two leaders of one term are seen', (t) => {
  const check = raft()
  check.looked(1n, status(1n, { role: 'leader', term: 4 }))
  breaks(t, 'R1', () => check.looked(2n, status(2n, { role: 'leader', term: 4 })))
})

test('R2: two entries of one place and term are seen, and gaps', (t) => {
  const check = raft()
  writes(check, 1n, [entry(1, 1, 'a')])
  breaks(t, 'R2', () => writes(check, 2n, [entry(1, 1, 'b')]))
  breaks(t, 'R2', () => writes(check, 3n, [entry(1, 1, 'a'), entry(3, 1)]))
})

test('R3: a leader without what is committed, and a commit of an older term by counting, are seen', (t) => {
  const check = raft()
  writes(check, 1n, [entry(1, 1)])
  writes(check, 2n, [entry(1, 1)])
  check.looked(1n, status(1n, { role: 'leader', commit: 1 }))
  breaks(t, 'R3', () => check.looked(3n, status(3n, { role: 'leader', term: 2 })))
  const other = raft()
  writes(other, 1n, [entry(1, 1)], 2)
  writes(other, 2n, [entry(1, 1)], 2)
  breaks(t, 'R3', () => other.looked(1n, status(1n, { role: 'leader', term: 2, commit: 1 })))
})

test('R4: another entry in a committed place is seen, and a store that goes back', (t) => {
  const check = raft()
  writes(check, 1n, [entry(1, 1)])
  writes(check, 2n, [entry(1, 1)])
  check.looked(1n, status(1n, { role: 'leader', commit: 1 }))
  writes(check, 3n, [entry(1, 2)], 2)
  breaks(t, 'R4', () => check.looked(3n, status(3n, { term: 2, commit: 1 })))
  const states = createStateChecker()
  const store = createKvStore(LIMITS)
  states.looked(1n, { store, applied: 5 })
  breaks(t, 'R4', () => states.looked(1n, { store, applied: 4 }))
})

test('R5: a second vote, a forgotten term and a commit that goes back are seen', (t) => {
  const granted = (from: MemberId, to: MemberId): Message => ({
    kind: 'vote-reply',
    from,
    to,
    term: 3,
    isGranted: true,
  })
  const check = raft()
  check.synced(1n, { hardState: state(3, 2n), entries: [] })
  check.sent(1n, granted(1n, 2n))
  breaks(t, 'R5', () => check.sent(1n, granted(1n, 3n)))
  breaks(t, 'R5', () => check.restarted(1n, [], status(1n, { term: 2 })))
  breaks(t, 'R5', () => check.restarted(1n, [], status(1n, { term: 3, vote: 0n })))
  const other = raft()
  writes(other, 1n, [entry(1, 1)])
  writes(other, 2n, [entry(1, 1)])
  other.looked(1n, status(1n, { role: 'leader', commit: 1 }))
  breaks(t, 'R5', () => other.looked(1n, status(1n, { commit: 0 })))
})

test('R6: votes, acknowledgements and commits that rest on nothing durable are seen', (t) => {
  const check = raft()
  const vote = { kind: 'vote-reply', from: 1n, to: 2n, term: 1, isGranted: true } as const
  breaks(t, 'R6', () => check.sent(1n, vote))
  const reply = { kind: 'append-reply', from: 1n, to: 2n, term: 1, index: 1 } as const
  breaks(t, 'R6', () => check.sent(1n, reply))
  check.written(1n, { entries: [entry(1, 1)] })
  check.written(2n, { entries: [entry(1, 1)] })
  check.synced(1n, { entries: [entry(1, 1)] })
  breaks(t, 'R6', () => check.looked(1n, status(1n, { role: 'leader', commit: 1 })))
})

test('R6: a member that comes back without what is committed is seen', (t) => {
  const check = raft()
  writes(check, 1n, [entry(1, 1)])
  writes(check, 2n, [entry(1, 1)])
  check.looked(1n, status(1n, { role: 'leader', commit: 1 }))
  breaks(t, 'R6', () => check.restarted(2n, [], status(2n, {})))
})

const LIMITS = { txnOpsMax: 128, leaseTtlMin: 1, quotaBytes: 1 << 20 }

function learn(truth: Truth, index: number, command: KvCommand): void {
  truth.learn({ index, term: 1, origin: 1n, seq: index, command })
}
const put = (key: string, value: string, lease = 0n): KvCommand =>
  commandOf(putOf(key, value, lease))
const done = { ok: true, value: { kind: 'put', response: {} } } as const
const kvs = (value: string, mod: number, create = mod, version = 1) => ({
  ok: true as const,
  value: {
    kvs: [
      {
        key: bytesOf('k'),
        value: bytesOf(value),
        createRevision: create,
        modRevision: mod,
        version,
        lease: 0n,
      },
    ],
    more: false,
    count: 1,
  },
})

test('history: lost, stale, wrong and doubled answers are seen', (t) => {
  const truth = createTruth()
  const history = createHistory(truth)
  const early = history.ask()
  breaks(t, 'R6', () => history.wrote(early, put('k', '#1|'), { revision: 2, outcome: done }))
  learn(truth, 1, put('k', '#1|'))
  history.wrote(early, put('k', '#1|'), { revision: 2, outcome: done })
  breaks(t, 'history', () =>
    history.wrote(history.ask(), put('k', '#1|'), { revision: 2, outcome: done }),
  )
  const nothing = { ok: true, value: { kvs: [], more: false, count: 0 } } as const
  breaks(t, 'history', () => history.read(history.ask(), rangeOf('k'), nothing, 1))
  history.read(early, rangeOf('k', { serializable: true }), nothing, 1)
  breaks(t, 'history', () => history.read(early, rangeOf('k'), kvs('#2|', 2), 2))
  history.read(early, rangeOf('k'), kvs('#1|', 2), 2)
  breaks(t, 'history', () => learn(truth, 2, put('k', '#1|')))
  breaks(t, 'history', () =>
    history.wrote(early, commandOf(deleteOf('k')), {
      revision: 2,
      outcome: { ok: true, value: { kind: 'delete-range', response: { deleted: 0, prevKvs: [] } } },
    }),
  )
  history.refused(put('k', '#1|'))
  breaks(t, 'history', () => history.finish())
})

test('K1, K3: revisions that go back and hashes that differ are seen', (t) => {
  const check = createStateChecker()
  const store = (revision: number, hash: number) => ({
    ...createKvStore(LIMITS),
    revision,
    hash: () => ({ ok: true as const, value: { hash, compactRevision: 0, hashRevision: 16 } }),
  })
  check.looked(1n, { store: store(17, 5), applied: 1 })
  breaks(t, 'K3', () => check.looked(2n, { store: store(18, 6), applied: 1 }))
  const one = { ...store(20, 5) }
  check.looked(3n, { store: one, applied: 1 })
  one.revision = 19
  breaks(t, 'K1', () => check.looked(3n, { store: one, applied: 1 }))
})

const event = (value: string, mod: number, version: number): KvEvent => ({
  type: 0,
  kv: kvs(value, mod, 2, version).value.kvs[0]!,
})

test('K2: skipped, repeated, early and wrong events are seen', (t) => {
  const truth = createTruth()
  const range = { key: 'k', rangeEnd: '', withPrevKv: false, skipPuts: false, skipDeletes: false }
  const watch = () => createWatchValidator(truth.model, 'w', range, 1)
  breaks(t, 'K2', () => watch().events([event('#1|', 2, 1)], 2))
  learn(truth, 1, put('k', '#1|'))
  learn(truth, 2, put('k', '#2|'))
  breaks(t, 'K2', () => watch().events([event('#2|', 3, 2)], 3))
  breaks(t, 'K2', () => watch().progress(2))
  breaks(t, 'K2', () => watch().events([event('#9|', 2, 1)], 2))
  breaks(t, 'K2', () => watch().broke(2))
  const seen = watch()
  seen.events([event('#1|', 2, 1), event('#2|', 3, 2)], 3)
  breaks(t, 'K2', () => seen.events([event('#2|', 3, 2)], 3))
  t.is(seen.next(), 4)
})

function leaseWorld() {
  const truth = createTruth()
  const clock = { ms: 0 }
  const check = createLeaseChecker({
    truth,
    now: () => clock.ms,
    elapsed: (_member, fromMs, toMs) => toMs - fromMs,
    birth: () => ({ member: 1n, atMs: clock.ms }),
    areClocksTrue: true,
  })
  learn(truth, 1, { kind: 'lease-grant', request: { id: 7n, ttl: 2 } })
  check.renewed(7n, 2, 0)
  const expire = (): void =>
    learn(truth, 2, { kind: 'lease-expire', request: { leases: [{ id: 7n, grantIndex: 1 }] } })
  return { check, clock, expire }
}

test('L2: early expiry, renewal after the end and leases that never end are seen', (t) => {
  const early = leaseWorld()
  early.clock.ms = 1500
  breaks(t, 'L2', early.expire)
  const late = leaseWorld()
  late.clock.ms = 2100
  late.expire()
  late.check.finish()
  breaks(t, 'L2', () => late.check.renewed(7n, 2, 1000))
  breaks(t, 'L2', () => leaseWorld().check.finish())
})

test('L1: two holders of one claim are seen', (t) => {
  const { check, clock } = leaseWorld()
  check.renewed(8n, 2, 0)
  check.claimed('c', 1, 7n)
  breaks(t, 'L1', () => check.claimed('c', 2, 8n))
  clock.ms = 1900
  check.renewed(8n, 2, 1500)
  clock.ms = 2100
  check.claimed('c', 2, 8n)
  t.is(check.counts.claims, 3)
})

test('the disk loses nothing that was synced, and refuses what was damaged', (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const dice = createDice(seed)
    const disk = createWalDisk(dice)
    const store = (index: number): void =>
      disk.append({ kind: 'batch', batch: { hardState: state(1), entries: [entry(index, 1)] } })
    store(1)
    disk.beginFrame()
    disk.completeFrame()
    store(2)
    disk.beginFrame()
    disk.crash()
    const { length } = disk.recover()?.entries ?? []
    t.true(length === 1 || length === 2)
    disk.flipBit()
    const after = disk.recover()
    t.true(after === undefined || after.entries.length <= 2)
  }
})

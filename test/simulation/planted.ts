/**
 * The proof that the checks can fail: classic bugs, planted one at a time in a copy of the tree, and how
 * many seeds pass before each is caught. Run by hand; `--bug=NAME` tries one, `--most=N` gives up later.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Edit, plantEdits } from '../support/plant.ts'

type Bug = { readonly name: string; readonly what: string; readonly edits: readonly Edit[] }

const BUGS: readonly Bug[] = [
  {
    name: 'vote-not-persisted',
    what: 'a new vote or term alone does not reach the disk before it is told',
    edits: [
      {
        file: 'coord/raft/ready.ts',
        from: 'const mustSync = snapshot !== undefined || entries.length > 0 || isVoteNews',
        to: 'const mustSync = snapshot !== undefined || entries.length > 0 || (isVoteNews && false)',
      },
    ],
  },
  {
    name: 'older-term-by-counting',
    what: 'a leader commits an entry of an older term because a majority holds it',
    edits: [
      {
        file: 'coord/raft/replicate.ts',
        from: 'termAt(core.log, index) === core.term',
        to: 'termAt(core.log, index) !== undefined',
      },
    ],
  },
  {
    name: 'ack-before-fsync',
    what: 'a follower acknowledges entries before they are durable',
    edits: [
      {
        file: 'coord/raft/core.ts',
        from: "body.kind === 'vote' || body.kind === 'vote-reply' || body.kind === 'append-reply'",
        to: "body.kind === 'vote' || body.kind === 'vote-reply'",
      },
    ],
  },
  {
    name: 'own-ack-before-fsync',
    what: 'a leader counts itself for entries that are not durable on its own disk',
    edits: [
      {
        file: 'coord/raft/replicate.ts',
        from: 'core.log.durable',
        to: 'lastIndex(core.log)',
      },
    ],
  },
  {
    name: 'read-context-reused',
    what: 'a read round may be confirmed by answers to an older one',
    edits: [
      {
        file: 'coord/raft/reads.ts',
        from: '(core.followers.get(member)?.confirmedContext ?? 0),',
        to: '((core.followers.get(member)?.confirmedContext ?? 0) > 0 ? Number.POSITIVE_INFINITY : 0),',
      },
    ],
  },
  {
    name: 'read-without-quorum',
    what: 'a leader answers reads without asking its quorum',
    edits: [
      {
        file: 'coord/raft/reads.ts',
        from: '    confirmRounds(core)\n  } else send',
        to: '    endRounds(core, context)\n  } else send',
      },
    ],
  },
  {
    name: 'expiry-without-quorum',
    what: 'a member that led proposes expiries by its own clock, asking nobody',
    edits: [
      {
        file: 'coord/node/duties.ts',
        from: "  addReader(core, { kind: 'expiry', seenMs: core.nowMs })",
        to: '  proposeDue(core, core.nowMs)',
      },
      {
        file: 'coord/node/duties.ts',
        from: '  maybeIntroduce(core)\n',
        to: '  maybeIntroduce(core)\n  if (core.lessor.isPrimary) maybeAskForExpiry(core)\n',
      },
      { file: 'coord/node/leadership.ts', from: 'core.lessor.demote()', to: 'void core' },
    ],
  },
  {
    name: 'lease-clock-not-reset',
    what: 'a new leader gives leases half their time from its election on',
    edits: [
      {
        file: 'coord/node/apply.ts',
        from: 'lessor.promote(core.nowMs, core.store.leases(), electionMs(core.config))',
        to: 'lessor.promote(core.nowMs, core.store.leases().map((l) => ({ ...l, ttl: l.ttl / 2 })), 0)',
      },
    ],
  },
  {
    name: 'index-apart-from-data',
    what: 'the image is marked further than its data reach',
    edits: [
      {
        file: 'coord/node/image-writer.ts',
        from: '    ...core.store.takeImageChanges(),\n',
        to: '    ...core.store.takeImageChanges().slice(0, -1),\n',
      },
    ],
  },
  {
    name: 'snapshot-loses-leases',
    what: 'a state that is loaded from records has no leases',
    edits: [
      {
        file: 'coord/kv/image-records.ts',
        from: 'state.leases.byId.set(id, {',
        to: 'new Map<bigint, unknown>().set(id, {',
      },
    ],
  },
  {
    name: 'watch-skips-slow-consumer',
    what: 'a watch that has fallen behind goes on with what is new',
    edits: [
      {
        file: 'coord/kv/watch-hub.ts',
        from: 'const found = readGroup(watch.group, hub.store, watch.next, bytesMax)',
        to: 'if (hub.store.revision - watch.next > 8) watch.next = hub.store.revision\n    const found = readGroup(watch.group, hub.store, watch.next, bytesMax)',
      },
    ],
  },
  {
    name: 'swallowed-is-proposed-again',
    what: 'a command that a snapshot already holds is taken for lost and proposed again',
    edits: [
      { file: 'coord/node/snapshot.ts', from: '  noteOwnSwallowed(core,', to: '  void (' },
      {
        file: 'coord/node/snapshot.ts',
        from: "import { noteOwnSwallowed } from './proposals.ts'\n",
        to: '',
      },
    ],
  },
  {
    name: 'duplicate-applied',
    what: 'a command that was forwarded twice takes effect twice',
    edits: [
      {
        file: 'coord/node/origins.ts',
        from: 'if (last !== undefined && seq <= last.seq) return false',
        to: 'if (last !== undefined && seq < last.seq) return false',
      },
    ],
  },
  {
    name: 'level-by-majority',
    what: 'the level rises once a majority speaks more, whatever the others speak',
    edits: [
      {
        file: 'coord/node/level.ts',
        from: 'const common = Math.min(...spoken)',
        to: 'const common = spoken.toSorted()[Math.floor((spoken.length - 1) / 2) + 1] ?? spoken[0]!',
      },
    ],
  },
  {
    name: 'old-is-let-in',
    what: 'a member speaks with one that is older than the level',
    edits: [
      {
        file: 'coord/node/level.ts',
        from: 'return { min: Math.max(min, level.now), max }',
        to: 'return { min: level.now > max ? level.now : min, max }',
      },
    ],
  },
  {
    name: 'codec-loses-a-field',
    what: 'the codec between members leaves out the term before the entries',
    edits: [
      {
        file: 'coord/server/peer-codec.ts',
        from: 'return { kind, from, to, term, prevIndex, prevTerm, commit, entries }',
        to: 'return { kind, from, to, term, prevIndex, commit, entries, ...(prevTerm < 0 && { prevTerm }) }',
      },
    ],
  },
  {
    name: 'swap-without-joint',
    what: 'one voter takes the place of another without a joint membership',
    edits: [
      {
        file: 'coord/raft/membership.ts',
        from: 'const goesThroughJoint = joint || changes.length > 1',
        to: 'const goesThroughJoint = joint && changes.length > 2',
      },
    ],
  },
  {
    name: 'restore-without-leap',
    what: 'a restored cluster goes on with the revision of its backup',
    edits: [
      {
        file: 'coord/kv/image-records.ts',
        from: 'readDoubleLE(0) + by',
        to: 'readDoubleLE(0) + Math.min(by, 0)',
      },
    ],
  },
  {
    name: 'restored-keeps-superseded',
    what: 'a restored store keeps what its compaction supersedes',
    edits: [
      {
        file: 'coord/kv/image-records.ts',
        from: 'compactHistory(history, state.compactRevision)',
        to: 'for (const { log, revisions } = history; log.first < log.end && (revisions[log.slots[log.first] ?? 0] ?? 0) < state.compactRevision; ) log.first += 1; void compactHistory',
      },
    ],
  },
  {
    name: 'sums-unchecked',
    what: 'recovery takes a frame whose checksum is wrong',
    edits: [
      {
        file: 'coord/wal/frame.ts',
        from: 'if (isWhole && crc === getU32(file, trailer)) {',
        to: 'if (isWhole) {',
      },
    ],
  },
  {
    name: 'torn-without-a-look-behind',
    what: 'a broken frame counts as torn although more was written behind it',
    edits: [
      {
        file: 'coord/wal/frame.ts',
        from: "if (found?.kind === 'torn' && !isZero(file, end, file.length))",
        to: "if (found?.kind === 'torn' && end < 0)",
      },
    ],
  },
  {
    name: 'mass-expiry-loses-some',
    what: 'of the leases that end at once those beyond a thousand are forgotten',
    edits: [
      {
        file: 'coord/kv/lessor.ts',
        from: 'if (!isUseless && isOver(lease, nowMs) && (found.length >= max || allowance < 1)) break',
        to: 'if (found.length >= max || allowance < 1) { queue.pop(); continue }',
      },
    ],
  },
]

const { values } = parseArgs({
  options: { bug: { type: 'string' }, most: { type: 'string', default: '2000' } },
})
const ROOT = new URL('../../', import.meta.url).pathname
const PARTS = ['coord', 'lib', 'proto', 'test/simulation', 'package.json', 'tsconfig.json']

function plant(folder: string, { name, edits }: Bug): void {
  for (const part of PARTS) cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  plantEdits(folder, name, edits)
}

type Caught = { readonly seeds: number | undefined; readonly by: string }

/** Seeds from 1 on, one process, until the first that fails. */
function hunt(folder: string): Caught {
  const main = join(folder, 'test/simulation/main.ts')
  const args = [main, `--seeds=1..${values.most}`, '--jobs=1']
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1e9 })
  const found = /seed (\d+) failed: (.*)/.exec(stdout)
  if (!found && !/ 0 failed/.test(stdout)) throw new Error(stderr || stdout)
  return { seeds: found ? Number(found[1]) : undefined, by: found?.[2] ?? '' }
}

let missed = 0
for (const bug of BUGS.filter(({ name }) => values.bug === undefined || name === values.bug)) {
  const folder = mkdtempSync(join(tmpdir(), 'planted-'))
  try {
    plant(folder, bug)
    const { seeds, by } = hunt(folder)
    if (seeds === undefined) missed++
    const count = seeds === undefined ? `not in ${values.most}` : String(seeds)
    process.stdout.write(`| ${bug.name} | ${bug.what} | ${count} | ${by.slice(0, 120)} |\n`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
process.stdout.write(`${missed} not caught\n`)
process.exit(missed > 0 ? 1 : 0)

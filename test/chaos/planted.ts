/**
 * The proof that chaos runs can fail: faults planted in the product, one at a time in a copy of the tree,
 * and how many seeds and how long it takes until a run finds each, with the smallest set of faults that
 * shows it. Run by hand: `npm run chaos:planted [-- --bug=NAME --most=5 --minutes=1]`. It is caught only
 * when one of the checks fails that is about it: a machine that is merely slow catches nothing.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from './cast/program.ts'
import type { FaultKind } from './faults/catalogue.ts'
import type { RunRecord } from './lines.ts'
import { type Edit, plantEdits } from '../support/plant.ts'

type Bug = {
  readonly name: string
  readonly what: string
  readonly edits: readonly Edit[]
  readonly faults: readonly FaultKind[]
  /** A problem that is about it, as the record of a run has it. */
  readonly shown: RegExp
}

const HOLDER_SILENCED: readonly FaultKind[] = [
  'pause-worker',
  'worker-without-coordinators',
  'worker-unheard-by-coordinators',
]
/**
 * What a holder has sent and the catalog has not looked at yet is in between for milliseconds on a fast
 * machine. A slow catalog is planted with the bug, so that the next holder is there before it is looked at.
 */
const HELD_BACK = 'await deps.clock.sleep(2_000)'

const BUGS: readonly Bug[] = [
  {
    name: 'epoch-unchecked',
    what: 'a commit does not compare the epoch, and is looked at late',
    edits: [
      {
        file: 'catalog/commit.ts',
        from: "    numberOf(current, 'epoch') === commit.epoch &&\n",
        to: '',
      },
      {
        file: 'catalog/commit.ts',
        from: '    commit: (commit) => {\n',
        to: `    commit: async (commit) => {\n      ${HELD_BACK}\n`,
      },
      {
        file: 'catalog/group-commit.ts',
        from: '    commitShards: async (commits) => {\n',
        to: `    commitShards: async (commits) => {\n      ${HELD_BACK}\n`,
      },
    ],
    faults: HOLDER_SILENCED,
    shown: /newest-epoch|one-writer|log-epochs|lost:|doubled:/,
  },
  {
    name: 'deadline-ignored',
    what: 'a holder believes in its session long after its deadline',
    edits: [
      {
        file: 'coord/client/session-state.ts',
        from: '  const state: SessionState = {\n    ttlMs,\n    certainUntil: sentAt + ttlMs - marginOf(ttlMs),',
        to: '  const state: SessionState = {\n    ttlMs,\n    certainUntil: sentAt + 20 * ttlMs,',
      },
      {
        file: 'coord/client/session-state.ts',
        from: '  const renewed: SessionState = {\n    ttlMs,\n    certainUntil: sentAt + ttlMs - marginOf(ttlMs),',
        to: '  const renewed: SessionState = {\n    ttlMs,\n    certainUntil: sentAt + 20 * ttlMs,',
      },
    ],
    faults: ['isolate-coordinator', 'isolate-leader', 'pause-coordinator', 'pause-leader'],
    shown: /lock-overlap/,
  },
  {
    name: 'publisher-without-epoch',
    what: 'a publisher does not compare its epoch, and is looked at late',
    edits: [
      {
        file: 'catalog/publish.ts',
        from: "  if (numberOf(row, 'publish_epoch') !== request.epoch) return { kind: 'fenced' }\n",
        to: '',
      },
      {
        file: 'catalog/publish.ts',
        from: '    preparePublish: (table, epoch, pendingMax, fold) => {\n',
        to: `    preparePublish: async (table, epoch, pendingMax, fold) => {\n      ${HELD_BACK}\n`,
      },
    ],
    faults: HOLDER_SILENCED,
    shown: /newest-publisher|one-publisher|version-by-one/,
  },
  {
    name: 'acknowledged-before-commit',
    what: 'a source counts as read up to a cursor before the rows up to it are committed',
    edits: [
      {
        file: 'worker/committer.ts',
        from: '    changes = []\n    const outcome = await deps.catalog.commit({',
        to: `    changes = []
    const ahead = { ...key, runId: job.runId, epoch: row.epoch, generation: job.generation, cursor, done: false }
    const moved = await deps.catalog.commit({ ...ahead, expectedSeq: seq, changes: [], state: {}, counters: {} })
    if (moved.kind === 'committed') seq = moved.seq
    const outcome = await deps.catalog.commit({`,
      },
    ],
    faults: ['kill-worker', 'kill-catalog', 'drop-catalog-connections', 'worker-without-catalog'],
    shown: /lost:/,
  },
  {
    name: 'claim-unconditional',
    what: 'a claim is created whether or not there is one',
    edits: [
      {
        file: 'lease/ops.ts',
        from: '  return nested(isCreatedAt(key, 0), put(key, value, lease), read(key))',
        to: '  return nested(isCreatedAt(key, 0), put(key, value, lease), put(key, value, lease))',
      },
    ],
    faults: ['add-worker', 'drain-worker', 'worker-without-coordinators', 'kill-worker'],
    shown: /without being free \(L1\)/,
  },
  {
    name: 'write-sent-twice',
    what: 'a write that may have landed is sent again',
    edits: [
      {
        file: 'coord/client/pool.ts',
        from: "error.outcome === 'unknown' || !mayHelpElsewhere(error)",
        to: '!mayHelpElsewhere(error)',
      },
    ],
    faults: ['kill-leader', 'isolate-leader', 'pause-leader', 'delay-coordinators'],
    shown: /^coordinator: /,
  },
  {
    name: 'cursor-before-upload',
    what: 'the cursor moves before the rows are encoded and uploaded',
    edits: [
      {
        file: 'worker/committer.ts',
        from: '    const looked = seen.catch(() => undefined)\n',
        to: `    const looked = seen.catch(() => undefined)
    if (batch.cursor !== undefined) {
      const ahead = { ...key, runId: job.runId, epoch: row.epoch, generation: job.generation, done: false }
      const moved = await deps.catalog.commit({ ...ahead, cursor: batch.cursor, expectedSeq: seq, changes: [], state: {}, counters: {} })
      if (moved.kind === 'committed') seq = moved.seq
    }
`,
      },
    ],
    faults: ['kill-worker', 'worker-without-bucket', 'bucket-500', 'kill-bucket'],
    shown: /lost:/,
  },
  {
    name: 'name-reused',
    what: 'names of files repeat: nothing in them is drawn by chance',
    edits: [
      {
        file: 'worker/uploads.ts',
        from: 'uuid: deps.random.uuid()',
        to: "uuid: 'again'",
      },
    ],
    faults: ['kill-worker', 'pause-worker', 'worker-without-catalog', 'kill-catalog'],
    shown: /object-rewritten|lost:|changed:|unreadable|delta:/,
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
    faults: ['isolate-leader', 'deaf-leader', 'pause-leader'],
    shown: /^coordinator: /,
  },
]

const { values } = parseArgs({
  options: {
    bug: { type: 'string' },
    most: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '1' },
    patience: { type: 'string', default: '1' },
    results: { type: 'string' },
  },
})

/** A copy of the tracked files that is a repository of its own, for the second version is made from one. */
function plant(folder: string, { name, edits }: Bug): void {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1e9 })
  const paths = git('ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0')
  for (const path of paths.filter((each) => each !== '')) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    cpSync(join(ROOT, path), join(folder, path))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  plantEdits(folder, name, edits)
  execFileSync('git', ['init', '--quiet'], { cwd: folder })
  // The rule for the folder does not hold for a link.
  writeFileSync(join(folder, '.git/info/exclude'), 'node_modules\n')
}

type Caught = {
  readonly bug: string
  readonly seed: number | undefined
  readonly runs: number
  readonly seconds: number
  readonly by: string
}

/** Seeds from 1 on until the first whose run fails for what was planted. */
function hunt(folder: string, bug: Bug): Caught {
  const began = performance.now()
  const results = join(folder, 'results.ndjson')
  const words = [
    '--backend=raft',
    `--minutes=${values.minutes}`,
    `--faults=${bug.faults.join(',')}`,
    `--patience=${values.patience}`,
  ]
  const places = [`--results=${results}`, `--reports=${join(folder, 'reports')}`]
  for (let seed = 1; seed <= Number(values.most); seed++) {
    const args = [join(folder, 'test/chaos/main.ts'), `--seed=${seed}`, ...words, ...places]
    const { stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1e9 })
    if (!existsSync(results))
      throw new Error(`the run of ${bug.name} left nothing behind: ${stderr}`)
    const line = readFileSync(results, 'utf8').trimEnd().split('\n').at(-1) ?? ''
    const { problems } = JSON.parse(line) as RunRecord
    const by = problems.find((problem) => bug.shown.test(problem))
    const seconds = Math.round((performance.now() - began) / 1_000)
    if (by !== undefined) return { bug: bug.name, seed, runs: seed, seconds, by }
    for (const problem of problems.slice(0, 3)) process.stderr.write(`  seed ${seed}: ${problem}\n`)
  }
  const seconds = Math.round((performance.now() - began) / 1_000)
  return { bug: bug.name, seed: undefined, runs: Number(values.most), seconds, by: '' }
}

let missed = 0
for (const bug of BUGS.filter(({ name }) => values.bug === undefined || name === values.bug)) {
  const folder = mkdtempSync(join(tmpdir(), 'hakiri-planted-'))
  try {
    plant(folder, bug)
    const caught = hunt(folder, bug)
    if (caught.seed === undefined) missed += 1
    if (values.results !== undefined)
      writeFileSync(values.results, `${JSON.stringify(caught)}\n`, { flag: 'a' })
    const when =
      caught.seed === undefined ? 'not caught' : `seed ${caught.seed}, ${caught.seconds} s`
    process.stdout.write(
      `| ${bug.what} | ${bug.faults.join(', ')} | ${when} | ${caught.by.split('\n')[0]} |\n`,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
process.stdout.write(`${missed} not caught\n`)
process.exitCode = missed > 0 ? 1 : 0

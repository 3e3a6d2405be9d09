import test from 'ava'
import fc from 'fast-check'
import type { Problem } from './problem.ts'
import type { TrailEvent } from './trail.ts'
import { auditWriters, type Claims } from './writers.ts'

const WORKERS = ['w1', 'w2', 'w3'] as const
const SHARDS = ['a', 'b'] as const

type Step =
  | { readonly kind: 'take' | 'commit'; readonly shard: number; readonly worker: number }
  | { readonly kind: 'publisher' | 'publish'; readonly worker: number }

const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom('take' as const, 'commit' as const, 'commit' as const),
    shard: fc.nat(SHARDS.length - 1),
    worker: fc.nat(WORKERS.length - 1),
  }),
  fc.record({
    kind: fc.constantFrom('publisher' as const, 'publish' as const),
    worker: fc.nat(WORKERS.length - 1),
  }),
)

/** The trail of workers that keep every rule: who does not hold changes nothing. */
function soundTrail(steps: readonly Step[]): readonly TrailEvent[] {
  const trail: TrailEvent[] = []
  const shards = SHARDS.map((shard) => ({ shard, epoch: 0, seq: 0, by: 'nobody' }))
  const table = { epoch: 0, version: -1, by: 'nobody' }
  for (const { kind, worker, ...rest } of steps) {
    const by = WORKERS[worker] ?? 'w1'
    const held = shards['shard' in rest ? rest.shard : 0]!
    const about = { at: trail.length, by, pipeline: 'p', shard: held.shard }
    if (kind === 'take') {
      Object.assign(held, { epoch: held.epoch + 1, by })
      trail.push({ ...about, kind: 'acquired', epoch: held.epoch, holder: by })
    } else if (kind === 'commit' && held.by === by) {
      const seq = (held.seq += 1)
      const { epoch } = held
      trail.push({ ...about, kind: 'moved', epoch, seq })
      trail.push({ ...about, kind: 'committed', table: 'p.t', epoch, seq, files: 1 })
    } else if (kind === 'publisher') {
      Object.assign(table, { epoch: table.epoch + 1, by })
      trail.push({ at: trail.length, by, kind: 'publisher', table: 'p.t', epoch: table.epoch })
    } else if (kind === 'publish' && table.by === by) {
      const { epoch } = table
      const version = (table.version += 1)
      trail.push({ at: trail.length, by, kind: 'version', table: 'p.t', version, epoch })
    }
  }
  return trail
}

test('what workers do that keep the rules is not reported', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      t.deepEqual(auditWriters(soundTrail(steps)), [])
    }),
  )
})

/** Two epochs of one shard with three commits, and two publishers with three versions. */
const STORY = soundTrail([
  { kind: 'take', shard: 0, worker: 0 },
  { kind: 'commit', shard: 0, worker: 0 },
  { kind: 'commit', shard: 0, worker: 0 },
  { kind: 'take', shard: 0, worker: 1 },
  { kind: 'commit', shard: 0, worker: 1 },
  { kind: 'publisher', worker: 0 },
  { kind: 'publish', worker: 0 },
  { kind: 'publish', worker: 0 },
  { kind: 'publisher', worker: 2 },
  { kind: 'publish', worker: 2 },
])

type Kind = TrailEvent['kind']

/** The story with its last event of a kind replaced; by nothing, where `change` gives nothing. */
function broken<K extends Kind>(
  kind: K,
  change: (event: Extract<TrailEvent, { kind: K }>) => Partial<TrailEvent> | undefined,
): readonly TrailEvent[] {
  const at = STORY.findLastIndex((event) => event.kind === kind)
  const changed = change(STORY[at] as Extract<TrailEvent, { kind: K }>)
  const between = changed === undefined ? [] : [{ ...STORY[at], ...changed } as TrailEvent]
  return [...STORY.slice(0, at), ...between, ...STORY.slice(at + 1)]
}

const checksOf = (problems: readonly Problem[]): readonly string[] => [
  ...new Set(problems.map(({ check }) => check)),
]

const PLANTED: readonly {
  readonly what: string
  readonly trail: readonly TrailEvent[]
  readonly check: string
}[] = [
  {
    what: 'a commit of a worker that does not hold the shard',
    trail: broken('moved', () => ({ by: 'w1' })),
    check: 'one-writer',
  },
  {
    what: 'a commit whose epoch is not the newest',
    trail: broken('moved', ({ epoch }) => ({ epoch: epoch - 1 })),
    check: 'newest-epoch',
  },
  {
    what: 'a commit that says another epoch than its shard',
    trail: broken('committed', ({ epoch }) => ({ epoch: epoch - 1 })),
    check: 'newest-epoch',
  },
  {
    what: 'a sequence with a gap',
    trail: broken('moved', ({ seq }) => ({ seq: seq + 1 })),
    check: 'seq-by-one',
  },
  {
    what: 'a sequence number twice',
    trail: broken('moved', ({ seq }) => ({ seq: seq - 1 })),
    check: 'seq-by-one',
  },
  {
    what: 'commits with a gap',
    trail: broken('committed', ({ seq }) => ({ seq: seq + 1 })),
    check: 'seq-by-one',
  },
  {
    what: 'a shard that moves without a commit',
    trail: broken('committed', () => undefined),
    check: 'seq-has-commit',
  },
  {
    what: 'a commit of a shard that does not move',
    trail: broken('moved', () => undefined),
    check: 'seq-has-commit',
  },
  {
    what: 'an epoch twice',
    trail: broken('acquired', ({ epoch }) => ({ epoch: epoch - 1 })),
    check: 'epoch-grows',
  },
  {
    what: 'a shard taken in the name of another',
    trail: broken('acquired', () => ({ holder: 'w3' })),
    check: 'holder-is-writer',
  },
  {
    what: 'a version of somebody who is not the publisher',
    trail: broken('version', () => ({ by: 'w2' })),
    check: 'one-publisher',
  },
  {
    what: 'a version under an older publish epoch',
    trail: broken('version', ({ epoch }) => ({ epoch: epoch - 1 })),
    check: 'newest-publisher',
  },
  {
    what: 'a version left out',
    trail: broken('version', ({ version }) => ({ version: version + 1 })),
    check: 'version-by-one',
  },
  {
    what: 'a publish epoch twice',
    trail: broken('publisher', ({ epoch }) => ({ epoch: epoch - 1 })),
    check: 'publish-epoch-grows',
  },
]

for (const { what, trail, check } of PLANTED)
  test(`${what} is reported`, (t) => {
    const found = checksOf(auditWriters(trail))
    t.true(found.includes(check), `${check} is not among ${found.join(', ')}`)
  })

test('any commit of another worker is reported, wherever it is', (t) => {
  const steps = fc.array(step, { minLength: 10, maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.nat(), (some, chance) => {
      const trail = soundTrail(some)
      const writes = trail.flatMap(({ kind }, at) =>
        kind === 'moved' || kind === 'version' ? [at] : [],
      )
      fc.pre(writes.length > 0)
      const at = writes[chance % writes.length] ?? 0
      const planted = trail.with(at, { ...trail[at]!, by: 'a stranger' })
      t.is(auditWriters(planted).length, 1)
    }),
  )
})

test('whoever takes a shard without having claimed it is reported; upkeep needs no claim', (t) => {
  const claimed: Claims = new Map([['p/a', new Set(['w1', 'w2'])]])
  t.deepEqual(auditWriters(STORY, claimed), [])
  const upkeep = broken('acquired', () => ({ holder: null }))
  const onlyFirst: Claims = new Map([['p/a', new Set(['w1'])]])
  t.deepEqual(auditWriters(upkeep, onlyFirst), [])
  t.deepEqual(checksOf(auditWriters(STORY, onlyFirst)), ['claimed-first'])
})

/**
 * Random histories of workers, loads and publishers against a model small enough to believe: what the
 * catalog answers, and what it holds in the end, must be what the model says.
 */
import fc from 'fast-check'
import type { Catalog, FoldInput } from '../../../catalog/catalog.ts'
import {
  addsOf,
  bodyOf,
  dataFile,
  declare,
  newRun,
  newWorld,
  pathsOf,
  type Suite,
  type World,
} from './kit.ts'

const SHARDS = ['s0', 's1'] as const
const WORKERS = 3

type Step =
  | { readonly kind: 'acquire'; readonly worker: number; readonly shard: number }
  | {
      readonly kind: 'commit'
      readonly worker: number
      readonly files: number
      readonly remove: boolean
      readonly done: boolean
    }
  | { readonly kind: 'acquirePublisher'; readonly worker: number }
  | { readonly kind: 'publish'; readonly worker: number; readonly max: number }
  | { readonly kind: 'begin' | 'seal' | 'abandon' | 'reset' }

const worker = fc.nat(WORKERS - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('acquire'), worker, shard: fc.nat(1) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('commit'),
      worker,
      files: fc.nat(2),
      remove: fc.boolean(),
      done: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('acquirePublisher'), worker }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('publish'),
      worker,
      max: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('begin', 'seal', 'abandon', 'reset') }),
  },
)

export function modelTests({ test, name, newPlace }: Suite): void {
  test(`${name}: any history gives the answers and the table of the model`, async (t) => {
    t.timeout(120_000)
    let steps = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (history) => {
        const world = await newWorld(t, { test, name, newPlace })
        await declare(world.catalog, ...SHARDS)
        const pair = await newPair(world)
        for (const each of history) await take(pair, each)
        await compare(pair)
        steps += history.length
      }),
      { numRuns: 25 },
    )
    t.true(steps > 250)
  })
}

// ── The model ─────────────────────────────────────────────────────────────────────────────────────

type ModelShard = {
  epoch: number
  seq: number
  generation: number
  cursor: unknown
  done: boolean
  kept: { generation: number; cursor: unknown; done: boolean }
}
type ModelFile = { path: string; generation: number; pending: boolean; taken: boolean }
type ModelCommit = {
  shard: string
  seq: number
  generation: number
  adds: readonly string[]
  removes: readonly string[]
}
type Model = {
  generation: number
  staging: number | null
  newest: number
  published: number | null
  publishEpoch: number
  shards: Map<string, ModelShard>
  files: Map<string, ModelFile>
  pending: ModelCommit[]
  txns: Map<string, number>
}

/** What a worker believes it holds; it may be wrong. */
type Held = { shard: string; epoch: number; seq: number; generation: number }
type Pair = {
  readonly catalog: Catalog
  readonly model: Model
  readonly held: (Held | undefined)[]
  readonly publishing: number[]
  readonly runId: number
  count: number
}

async function newPair({ catalog }: World): Promise<Pair> {
  const first = { epoch: 0, seq: 0, generation: 0, cursor: null, done: false }
  const kept = { generation: 0, cursor: null, done: false }
  const model: Model = {
    generation: 1,
    staging: null,
    newest: 1,
    published: null,
    publishEpoch: 0,
    shards: new Map(SHARDS.map((shard) => [shard, { ...first, kept }])),
    files: new Map(),
    pending: [],
    txns: new Map(),
  }
  return { catalog, model, held: [], publishing: [], runId: await newRun(catalog), count: 0 }
}

async function take(pair: Pair, each: Step): Promise<void> {
  const { catalog, model } = pair
  switch (each.kind) {
    case 'acquire':
      return acquire(pair, each.worker, SHARDS[each.shard]!)
    case 'commit':
      return commit(pair, each)
    case 'acquirePublisher':
      pair.publishing[each.worker] = await catalog.acquirePublisher('t')
      return equal(pair.publishing[each.worker], ++model.publishEpoch)
    case 'publish':
      return publish(pair, pair.publishing[each.worker] ?? 0, each.max)
    case 'begin':
      model.staging ??= ++model.newest
      return equal((await catalog.beginGeneration('t')).staging, model.staging)
    case 'seal':
      return equal(await catalog.sealGeneration('t'), seal(model))
    case 'abandon':
      abandon(model)
      return catalog.abandonGeneration('t')
    case 'reset': {
      const shard = model.shards.get('s0')!
      Object.assign(shard, { epoch: shard.epoch + 1, cursor: 'reset', done: false })
      const row = await catalog.setCursor({ pipeline: 'p', shard: 's0' }, 'reset')
      return equal(row?.epoch, shard.epoch)
    }
  }
}

async function acquire(pair: Pair, index: number, name: string): Promise<void> {
  const { catalog, model } = pair
  const shard = model.shards.get(name)!
  const generation = model.staging ?? model.generation
  shard.epoch++
  if (generation > shard.generation) {
    shard.kept = { generation: shard.generation, cursor: shard.cursor, done: shard.done }
    Object.assign(shard, { generation, cursor: null, done: false })
  }
  const row = await catalog.acquireShard({ pipeline: 'p', shard: name }, generation)
  equal(
    [row.epoch, row.seq, row.generation, row.cursor, row.done],
    [shard.epoch, shard.seq, shard.generation, shard.cursor, shard.done],
  )
  pair.held[index] = { shard: name, epoch: row.epoch, seq: row.seq, generation: row.generation }
}

async function commit(pair: Pair, each: Step & { kind: 'commit' }): Promise<void> {
  const { catalog, model } = pair
  const held = pair.held[each.worker]
  if (!held) return
  const adds = Array.from({ length: each.files }, () => `f${pair.count++}`)
  const known = [...model.files.values()].map((file) => file.path)
  const removes = each.remove && known.length > 0 ? [known[pair.count % known.length]!] : []
  const cursor = `c${pair.count++}`
  const expected = modelCommit(model, held, { adds, removes, cursor, done: each.done })
  const outcome = await catalog.commit({
    pipeline: 'p',
    shard: held.shard,
    runId: pair.runId,
    epoch: held.epoch,
    expectedSeq: held.seq,
    generation: held.generation,
    cursor,
    done: each.done,
    changes: [{ table: 't', adds: adds.map(dataFile), removes, dataChange: true }],
    state: {},
    counters: {},
  })
  equal(outcome.kind, expected)
  if (outcome.kind === 'committed') held.seq++
}

type ModelParts = {
  readonly adds: readonly string[]
  readonly removes: readonly string[]
  readonly cursor: string
  readonly done: boolean
}

function modelCommit(model: Model, held: Held, parts: ModelParts): string {
  const shard = model.shards.get(held.shard)!
  const { adds, removes } = parts
  const open = [model.generation, model.staging].includes(held.generation)
  if (shard.epoch !== held.epoch || shard.seq !== held.seq) return 'fenced'
  if (shard.generation !== held.generation || !open) return 'fenced'
  for (const path of removes) {
    const file = model.files.get(path)
    const fits = file?.generation === held.generation && model.published === held.generation
    if (!file || !fits || file.taken) return 'conflict'
  }
  shard.seq++
  Object.assign(shard, { cursor: parts.cursor, done: parts.done })
  for (const path of adds) {
    model.files.set(path, { path, generation: held.generation, pending: true, taken: false })
  }
  for (const path of removes) model.files.get(path)!.taken = true
  const { shard: name, generation } = held
  model.pending.push({ shard: name, seq: shard.seq, generation, adds, removes })
  return 'committed'
}

function seal(model: Model): boolean {
  const { staging } = model
  if (staging === null) return false
  const shards = [...model.shards.values()]
  if (!shards.every((shard) => shard.done && shard.generation === staging)) return false
  Object.assign(model, { generation: staging, staging: null })
  model.pending = model.pending.filter((each) => each.generation === staging)
  for (const file of model.files.values()) {
    if (file.generation !== staging && file.pending) model.files.delete(file.path)
  }
  return true
}

function abandon(model: Model): void {
  const { staging } = model
  if (staging === null) return
  model.staging = null
  model.pending = model.pending.filter((each) => each.generation !== staging)
  for (const file of model.files.values()) {
    if (file.generation === staging) model.files.delete(file.path)
  }
  for (const shard of model.shards.values()) {
    if (shard.generation === staging) Object.assign(shard, shard.kept, { epoch: shard.epoch + 1 })
  }
}

async function publish(pair: Pair, epoch: number, max: number): Promise<void> {
  const { catalog, model } = pair
  let seen: FoldInput | undefined
  const outcome = await catalog.preparePublish('t', epoch, max, (input) => {
    seen = input
    return bodyOf(input)
  })
  if (epoch !== model.publishEpoch) return equal(outcome.kind, 'fenced')
  const folded = modelFold(model, max)
  if (!folded) return equal(outcome.kind, 'nothing')
  equal(outcome.kind, 'prepared')
  equal(seen && addsOf(seen), folded.flatMap((each) => each.adds).toSorted())
  equal(
    seen?.pending.flatMap((each) => each.removes),
    folded.flatMap((each) => each.removes),
  )
}

/** The commits that go into the next version, which has then been written; undefined for none. */
function modelFold(model: Model, max: number): readonly ModelCommit[] | undefined {
  const switching = model.published !== null && model.published !== model.generation
  const waiting = model.pending.filter((each) => each.generation === model.generation)
  const full = waiting.filter((each) => each.adds.length + each.removes.length > 0)
  if (!switching && full.length === 0) return undefined
  const folded: ModelCommit[] = []
  const added = new Set<string>()
  for (const each of waiting) {
    const limited = folded.filter((one) => full.includes(one)).length === max
    if (!switching && (limited || each.removes.some((path) => added.has(path)))) break
    folded.push(each)
    for (const path of each.adds) added.add(path)
  }
  model.pending = model.pending.filter((each) => !folded.includes(each))
  applyFold(model, folded)
  return folded
}

function applyFold(model: Model, folded: readonly ModelCommit[]): void {
  for (const file of model.files.values()) {
    if (file.generation < model.generation) model.files.delete(file.path)
  }
  for (const each of folded) {
    for (const path of each.adds) model.files.get(path)!.pending = false
    for (const path of each.removes) model.files.delete(path)
    model.txns.set(each.shard, each.seq)
  }
  model.published = model.generation
}

async function compare({ catalog, model }: Pair): Promise<void> {
  const live = [...model.files.values()].filter((file) => !file.pending)
  equal(pathsOf(await catalog.liveFiles('t')), pathsOf(live))
  equal(
    (await catalog.shards()).map(({ shard, epoch, seq, generation, cursor, done }) => ({
      shard,
      epoch,
      seq,
      generation,
      cursor,
      done,
    })),
    [...model.shards].map(([shard, { kept: _kept, ...rest }]) => ({ shard, ...rest })),
  )
  const full = model.pending.filter((each) => each.adds.length + each.removes.length > 0)
  const visible = full.filter((each) => each.generation === model.generation)
  const switching = model.published !== null && model.published !== model.generation
  equal(await catalog.hasPending('t'), switching || visible.length > 0)
}

function equal(actual: unknown, expected: unknown): void {
  const [one, two] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (one !== two) throw new Error(`the catalog says ${one}, the model says ${two}`)
}

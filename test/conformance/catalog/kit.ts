/** What every catalog test needs: a catalog of its own, a table with a shard, and a writer. */
import type { ExecutionContext } from 'ava'
import type {
  Catalog,
  CommitOutcome,
  DataFile,
  FoldInput,
  NewTable,
  PublishOutcome,
  RunRow,
  ShardCommit,
  ShardKey,
} from '../../../catalog/catalog.ts'
import type { CatalogDeps } from '../../../catalog/sql.ts'
import { systemRandom } from '../../../lib/system/clock.ts'

/** An empty place for a catalog; each `open` is a connection of its own to the same place. */
export type Place = {
  open(deps: CatalogDeps): Promise<Catalog>
  /** What another program does there, which knows the tables. */
  exec(sql: string): Promise<void>
}

/** `test`, or `test.serial` where connections are scarce. */
export type Declare = (title: string, run: (t: ExecutionContext) => Promise<void>) => void

export type Suite = {
  readonly test: Declare
  readonly name: string
  readonly newPlace: (t: ExecutionContext) => Promise<Place>
}

export type TestClock = { now: number }

export type World = {
  readonly place: Place
  readonly clock: TestClock
  readonly catalog: Catalog
  /** Another connection to the same catalog, closed with the test. */
  readonly another: () => Promise<Catalog>
}

/** Ends with the test. Waits pass at once, so that bounded waits end at once. */
export async function newWorld(t: ExecutionContext, suite: Suite): Promise<World> {
  const place = await suite.newPlace(t)
  const clock: TestClock = { now: 1_000 }
  const deps = depsOf(clock)
  const another = async (): Promise<Catalog> => {
    const catalog = await place.open(deps)
    t.teardown(() => catalog[Symbol.asyncDispose]())
    return catalog
  }
  return { place, clock, catalog: await another(), another }
}

export function depsOf(clock: TestClock): CatalogDeps {
  return {
    clock: {
      now: () => clock.now,
      monotonic: () => clock.now,
      sleep: (_ms, signal) => {
        signal?.throwIfAborted()
        return nextTurn()
      },
    },
    random: systemRandom,
  }
}

/** Lets everything else that is ready go first. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export const TABLE: NewTable = {
  name: 't',
  destination: 'lake',
  mode: 'append',
  key: [],
  partitionBy: [],
}

export const KEY: ShardKey = { pipeline: 'p', shard: 's' }

export function dataFile(path: string): DataFile {
  return {
    path,
    bytes: 100,
    rows: 10,
    stats: '{"numRecords": 10,  "nullCount":{}}',
    partition: {},
    schemaRevision: 0,
  }
}

/** Creates table `t` and the named shards of pipeline `p` that feed it. */
export async function declare(catalog: Catalog, ...shards: readonly string[]): Promise<void> {
  await catalog.ensureTable(TABLE)
  await catalog.ensureShards(
    shards.map((shard) => ({ pipeline: 'p', shard, table: 't', spec: null })),
  )
}

export function newRun(catalog: Catalog, run: Partial<RunRow> = {}): Promise<number> {
  return catalog.createRun({ pipeline: 'p', kind: 'run', worker: 'w', shardsTotal: 1, ...run })
}

/** What a test may say about a commit; the rest follows from what the writer holds. */
export type CommitParts = Partial<Omit<ShardCommit, 'changes'>> & {
  readonly adds?: readonly string[]
  readonly removes?: readonly string[]
  readonly changes?: ShardCommit['changes']
}

export type Writer = {
  readonly epoch: number
  readonly runId: number
  /** Commits as the holder of the shard, and remembers the new seq when it counts. */
  commit(parts?: CommitParts): Promise<CommitOutcome>
}

/** Acquires the shard and commits under that epoch from then on. */
export async function newWriter(
  catalog: Catalog,
  options: { readonly shard?: string; readonly generation?: number } = {},
): Promise<Writer> {
  const { shard = 's', generation = 1 } = options
  const key = { pipeline: 'p', shard }
  const row = await catalog.acquireShard(key, generation)
  const runId = await newRun(catalog)
  let seq = row.seq
  const commit = async (parts: CommitParts = {}): Promise<CommitOutcome> => {
    const { adds = [], removes = [], ...rest } = parts
    const change = { table: row.table, adds: adds.map(dataFile), removes, dataChange: true }
    const outcome = await catalog.commit({
      ...key,
      runId,
      epoch: row.epoch,
      expectedSeq: seq,
      generation,
      cursor: { at: seq + 1 },
      done: false,
      changes: [change],
      state: {},
      counters: {},
      ...rest,
    })
    if (outcome.kind === 'committed') seq = outcome.seq
    return outcome
  }
  return { epoch: row.epoch, runId, commit }
}

/** A publisher of table `t` whose bodies tell what they were folded from. */
export type Publisher = {
  readonly epoch: number
  publish(pendingMax?: number): Promise<PublishOutcome>
  /** The inputs of all folds that were stored, oldest first. */
  readonly folds: FoldInput[]
}

export async function newPublisher(catalog: Catalog, table = 't'): Promise<Publisher> {
  const epoch = await catalog.acquirePublisher(table)
  const folds: FoldInput[] = []
  const publish = async (pendingMax = 100): Promise<PublishOutcome> => {
    let seen: FoldInput | undefined
    const outcome = await catalog.preparePublish(table, epoch, pendingMax, (input) => {
      seen = input
      return bodyOf(input)
    })
    if (outcome.kind === 'prepared' && seen) folds.push(seen)
    return outcome
  }
  return { epoch, publish, folds }
}

/** Text with what a store of bytes could spoil: line ends, spaces, quotes, letters outside ASCII. */
export function bodyOf(input: FoldInput): string {
  const adds = input.pending.flatMap((commit) => commit.adds.map((file) => file.path))
  return `{ "version":${input.version},\t"é\\u0000": "\u{1f99c}'" }\n${adds.join('\n')}\n`
}

export const pathsOf = (files: readonly { readonly path: string }[]): readonly string[] =>
  files.map((file) => file.path).toSorted()

export const addsOf = (input: FoldInput): readonly string[] =>
  pathsOf(input.pending.flatMap((commit) => commit.adds))

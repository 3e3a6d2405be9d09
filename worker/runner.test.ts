/** One run at bad times: sources, encoders, catalogs and other workers that fail between any two steps. */
import test, { type ExecutionContext } from 'ava'
import { readdir, readFile, writeFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Catalog, ShardCommit } from '../catalog/catalog.ts'
import type { SourceEvent } from '../connector/connector.ts'
import { HakiriError } from '../lib/error.ts'
import { logKey } from '../sink/plan/names.ts'
import { assertDelta } from '../test/support/delta-lint.ts'
import { readDelta } from '../test/support/delta-reader.ts'
import { openLab, rows, source, valuesOf, type Lab } from '../test/support/worker-lab.ts'
import { planMemory } from './memory.ts'
import { publishTable } from './publisher.ts'

const TABLE = 'shop.orders'
const away = (): HakiriError => new HakiriError('SOURCE_UNREACHABLE', 'the source is away')

async function lab(t: ExecutionContext): Promise<Lab> {
  const opened = await openLab()
  t.teardown(() => opened[Symbol.asyncDispose]())
  return opened
}

/** Audits the table and compares its ids with what the source gave. */
async function holds(t: ExecutionContext, at: Lab, ids: readonly number[]): Promise<void> {
  await assertDelta(at.table(TABLE))
  const found = await valuesOf(at.table(TABLE), 'id')
  t.deepEqual(
    found.map(Number).toSorted((a, b) => a - b),
    [...ids],
  )
}

const upTo = (last: number): readonly number[] => Array.from({ length: last }, (_, at) => at + 1)
const startOf = (cursor: unknown): number => (typeof cursor === 'number' ? cursor : 0)

/** Row n has id n, is an event of its own and has cursor n. */
async function* counting(cursor: unknown, last: number): AsyncGenerator<SourceEvent> {
  for (let id = startOf(cursor) + 1; id <= last; id++) yield rows([{ id }], id)
}

function overCommit(
  catalog: Catalog,
  commit: (commit: ShardCommit, real: Catalog) => ReturnType<Catalog['commit']>,
): Catalog {
  return { ...catalog, commit: (request) => commit(request, catalog) }
}

const filesOf = async (at: Lab): Promise<readonly string[]> =>
  (await readdir(join(at.folder, 'lake'), { recursive: true }).catch(() => [])).filter((name) =>
    name.endsWith('.parquet'),
  )

const SEAL_EACH = { files: { openMsMax: 0 } }

// ── Retries ─────────────────────────────────────────────────────────────────────────────────────────

test('a source that fails for a while is tried again, and progress resets the count of tries', async (t) => {
  const at = await lab(t)
  let failures = 0
  const flaky = source(async function* ({ cursor }) {
    if (startOf(cursor) < 6) yield rows([{ id: startOf(cursor) + 1 }], startOf(cursor) + 1)
    if (startOf(cursor) < 5) {
      failures++
      throw away()
    }
  })
  const run = await at.run(flaky, {
    pipeline: { retries: { retriesMax: 1, firstMs: 1, mostMs: 1 } },
    destination: SEAL_EACH,
  })
  t.is(run.status, 'succeeded')
  t.is(failures, 5, 'five failures in a row with one retry each')
  t.is(run.counters.retries, 5)
  await holds(t, at, upTo(6))
})

test('a source that stays away fails its shard after the last try and no other shard', async (t) => {
  const at = await lab(t)
  let tries = 0
  const run = await at.run(
    source(
      async function* ({ shard }) {
        if (shard.id === 'bad') {
          tries++
          throw away()
        }
        yield rows([{ id: 1 }], 1)
      },
      ['bad', 'good'],
    ),
  )
  t.is(tries, 4)
  t.is(run.status, 'partial')
  t.deepEqual(
    run.shards.map(({ shard, outcome, error }) => [shard, outcome, error?.code]),
    [
      ['bad', 'failed', 'SOURCE_UNREACHABLE'],
      ['good', 'done', undefined],
    ],
  )
  await holds(t, at, [1])
})

test('a batch whose table cannot be read while it is looked at fails as one, and nothing is left unheard', async (t) => {
  const at = await lab(t)
  const looks: Promise<unknown>[] = []
  const failed = Promise.withResolvers<void>()
  let isAway = false
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1 }], 1)
      isAway = true
    }),
    {
      pipeline: { retries: { retriesMax: 0, firstMs: 1, mostMs: 1 } },
      deps: {
        catalog: {
          ...at.catalog,
          async table(name) {
            if (!isAway) return at.catalog.table(name)
            isAway = false
            failed.resolve()
            throw new HakiriError('CATALOG_UNREACHABLE', 'the catalog is away')
          },
        },
        encoder: {
          ...at.deps.encoder,
          inspect(input, signal) {
            // Late, so that it meets what the failure of the batch leaves behind.
            const look = failed.promise.then(() => at.deps.encoder.inspect(input, signal))
            looks.push(look)
            return look
          },
        },
      },
    },
  )
  t.is(run.shards[0]?.error?.code, 'CATALOG_UNREACHABLE')
  t.deepEqual(
    (await Promise.allSettled(looks)).map(({ status }) => status),
    ['fulfilled'],
    'the batch was there as long as it was looked at',
  )
})

// Alone, for it kills every encoder that this process has started.
test.serial(
  'an encoder process that is killed in the middle of a job is started again and nothing is missing',
  async (t) => {
    const at = await lab(t)
    let encodes = 0
    const run = await at.run(
      source(({ cursor }) => counting(cursor, 4)),
      {
        destination: SEAL_EACH,
        deps: {
          encoder: {
            ...at.deps.encoder,
            async encode(job, signal) {
              const encoders = await children()
              const answer = at.deps.encoder.encode(job, signal)
              if (encodes++ === 1) encoders.forEach((pid) => process.kill(pid, 'SIGKILL'))
              return answer
            },
          },
        },
      },
    )
    t.is(run.status, 'succeeded')
    t.true(run.counters.retries >= 1, 'the kill was felt')
    await holds(t, at, upTo(4))
  },
)

/** This process starts encoders and nothing else. */
async function children(): Promise<readonly number[]> {
  const list = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
  return list.trim().split(' ').map(Number)
}

test('a commit whose answer is lost is neither doubled nor robbed of its files', async (t) => {
  const at = await lab(t)
  let lost = 0
  const catalog = overCommit(at.catalog, async (commit, real) => {
    const outcome = await real.commit(commit)
    if (lost++ === 0) throw new HakiriError('CATALOG_UNREACHABLE', 'the connection broke')
    return outcome
  })
  const run = await at.run(
    source(({ cursor }) => counting(cursor, 3)),
    { deps: { catalog }, destination: SEAL_EACH },
  )
  t.is(run.status, 'succeeded')
  await holds(t, at, upTo(3))
})

// ── Stops and cursors ───────────────────────────────────────────────────────────────────────────────

test('a stop commits up to the last cursor, and the next run carries on behind it', async (t) => {
  const at = await lab(t)
  const stop = new AbortController()
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1 }], 1)
      yield rows([{ id: 2 }], 2)
      yield rows([{ id: 3 }])
      stop.abort()
      yield rows([{ id: 4 }], 4)
    }),
    { stop: stop.signal },
  )
  t.is(run.status, 'cancelled')
  await holds(t, at, upTo(2))
  t.is((await at.catalog.shards('shop'))[0]?.cursor, 2)
  await at.run(source(({ cursor }) => counting(cursor, 5)))
  await holds(t, at, upTo(5))
})

test('a stop while a batch cannot be written moves no cursor past its rows (S2)', async (t) => {
  const at = await lab(t)
  const stop = new AbortController()
  const written = Promise.withResolvers<void>()
  let puts = 0
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1, text: 'x'.repeat(300_000) }], 1)
      yield rows([{ id: 2 }], 2)
      stop.abort()
      written.resolve()
    }),
    {
      stop: stop.signal,
      batchBytesMax: 256e3,
      deps: {
        store: {
          ...at.deps.store,
          // Only the first batch is refused: the second one could be written, and may not be.
          putFile: async (key, path) => {
            if (puts++ > 0) return at.deps.store.putFile(key, path)
            await written.promise
            throw new HakiriError('STORE_UNREACHABLE', 'no bucket')
          },
        },
      },
    },
  )
  t.not(run.status, 'succeeded')
  t.is((await at.catalog.shards('shop'))[0]?.cursor, null)
  await at.run(source(({ cursor }) => counting(cursor, 2)))
  await holds(t, at, upTo(2))
})

test('a source without cursors is committed whole in one transaction, however many batches it fills', async (t) => {
  const at = await lab(t)
  const commits: ShardCommit[] = []
  const catalog = overCommit(at.catalog, (commit, real) => {
    commits.push(commit)
    return real.commit(commit)
  })
  const text = 'x'.repeat(100_000)
  const run = await at.run(
    source(async function* () {
      for (const id of upTo(12)) yield rows([{ id, text }])
      yield { kind: 'reject', raw: '{', reason: 'no JSON' }
      for (const id of upTo(12)) yield rows([{ id: id + 12, text }])
      yield { kind: 'reject', raw: '[', reason: 'no JSON either' }
    }),
    {
      pipeline: {
        mode: 'full',
        write: { mode: 'replace', key: [], cursor: undefined, lag: undefined },
      },
      deps: { catalog },
      batchBytesMax: 256e3,
    },
  )
  t.is(run.status, 'succeeded')
  t.is(commits.length, 1)
  t.true((commits[0]?.changes[0]?.adds.length ?? 0) > 4, 'many batches, many files')
  t.is(run.counters.rowsQuarantined, 2)
  await holds(t, at, upTo(24))
  await assertDelta(at.table('_quarantine.shop.orders'))
})

test('an incremental source that ends without a cursor behind its rows is refused', async (t) => {
  const at = await lab(t)
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1 }], 1)
      yield rows([{ id: 2 }])
    }),
  )
  t.is(run.status, 'failed')
  t.is(run.shards[0]?.error?.code, 'SOURCE_FATAL')
  t.is((await at.catalog.shards('shop'))[0]?.cursor, null)
  t.deepEqual(await filesOf(at), [])
})

test('a folder of a batch that cannot be made is a failure of the disk, not of the source', async (t) => {
  const at = await lab(t)
  const uuid = 'the-same'
  const run = await at.run(
    source(async function* () {
      // What a full disk refuses is refused here because a file has the name.
      await writeFile(join(at.deps.scratchFolder, `encode-1-${uuid}`), '')
      yield rows([{ id: 1 }], 1)
    }),
    {
      deps: { random: { ...at.deps.random, uuid: () => uuid } },
      pipeline: { retries: { retriesMax: 0, firstMs: 1, mostMs: 1 } },
    },
  )
  t.is(run.shards[0]?.error?.code, 'DISK_FULL')
})

// ── Memory and time ─────────────────────────────────────────────────────────────────────────────────

test('an endless source never has more bytes under way than the memory plan gives it', async (t) => {
  const at = await lab(t)
  const memoryBytes = 4e6
  const plan = planMemory(memoryBytes, 2, 48e6)
  const stop = new AbortController()
  const line = { text: 'y'.repeat(60_000) }
  let [given, committed, most, commits] = [0, 0, 0, 0]
  const catalog = overCommit(at.catalog, async (commit, real) => {
    const outcome = await real.commit(commit)
    committed += commit.counters.bytesRead ?? 0
    if (++commits === 12) stop.abort()
    return outcome
  })
  const run = await at.run(
    source(
      async function* ({ cursor }) {
        for (let id = startOf(cursor) + 1; ; id++) {
          const event = rows([{ id, ...line }], id % 3 === 0 ? id : undefined)
          if (event.kind === 'rows') given += event.bytes.length
          most = Math.max(most, given - committed)
          yield event
        }
      },
      ['a', 'b'],
    ),
    { pipeline: { memoryBytes }, deps: { catalog }, stop: stop.signal, batchBytesMax: 48e6 },
  )
  t.is(run.status, 'cancelled')
  t.true(commits >= 12)
  // One chunk a shard is in hand while its batch is full.
  const budget = memoryBytes - plan.encoderBytes + 2 * plan.chunkBytes
  t.true(most <= budget, `${most} bytes were under way, ${budget} are allowed`)
  t.true(most > plan.batchBytes, 'batches did fill while others were written')
})

test('a batch is committed at its age even while the source is silent', async (t) => {
  const at = await lab(t)
  const committed = Promise.withResolvers<void>()
  const catalog = overCommit(at.catalog, async (commit, real) => {
    const outcome = await real.commit(commit)
    committed.resolve()
    return outcome
  })
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1 }], 1)
      await committed.promise
      yield rows([{ id: 2 }], 2)
    }),
    { deps: { catalog }, destination: { files: { openMsMax: 20 } } },
  )
  t.is(run.status, 'succeeded')
  await holds(t, at, upTo(2))
})

test('versions appear while a long run is still at work', async (t) => {
  const at = await lab(t)
  const published = Promise.withResolvers<void>()
  let seen: readonly unknown[] = []
  const run = await at.run(
    source(async function* () {
      yield rows([{ id: 1 }], 1)
      await published.promise
      seen = await valuesOf(at.table(TABLE), 'id')
      yield rows([{ id: 2 }], 2)
    }),
    {
      destination: { publishIntervalMs: 0, ...SEAL_EACH },
      deps: { onProgress: (event) => event.kind === 'published' && published.resolve() },
    },
  )
  t.is(run.status, 'succeeded')
  t.deepEqual(seen.map(Number), [1])
  await holds(t, at, upTo(2))
})

// ── Fencing ─────────────────────────────────────────────────────────────────────────────────────────

test('a worker whose shard was taken between read and commit says so with both epochs and leaves no file (L3)', async (t) => {
  const at = await lab(t)
  const key = { pipeline: 'shop', shard: 'all' }
  let taken = false
  const catalog = overCommit(at.catalog, async (commit, real) => {
    if (!taken) await real.acquireShard(key, 0)
    taken = true
    return real.commit(commit)
  })
  const reader = source(({ cursor }) => counting(cursor, 3))
  const run = await at.run(reader, { deps: { catalog } })
  t.is(run.status, 'failed')
  t.is(run.shards[0]?.outcome, 'fenced')
  t.is(run.shards[0]?.error?.code, 'FENCED')
  t.regex(run.shards[0]?.error?.message ?? '', /epoch 1\b.*epoch 2\b/)
  t.deepEqual(await filesOf(at), [])
  t.is(run.counters.rowsWritten, 0)
  t.is((await at.run(reader)).status, 'succeeded')
  await holds(t, at, upTo(3))
})

test('a publisher with an older epoch changes nothing', async (t) => {
  const at = await lab(t)
  const reader = (last: number) => source(({ cursor }) => counting(cursor, last))
  await at.run(reader(2))
  const zombie: Catalog = {
    ...at.catalog,
    acquirePublisher: async (table) => {
      const epoch = await at.catalog.acquirePublisher(table)
      await at.catalog.acquirePublisher(table)
      return epoch
    },
  }
  t.is((await at.run(reader(4), { deps: { catalog: zombie } })).tables[0]?.version, 0)
  await holds(t, at, upTo(2))
  t.true(await at.catalog.hasPending(TABLE))
  t.is(await publishTable(TABLE, at.deps), 1)
  await holds(t, at, upTo(4))
})

test('a log entry of somebody else is a LOG_CONFLICT, and stays as it is', async (t) => {
  const at = await lab(t)
  const reader = (last: number) => source(({ cursor }) => counting(cursor, last))
  await at.run(reader(1))
  const foreign = join(at.folder, 'lake', logKey(TABLE, 1))
  await mkdir(dirname(foreign), { recursive: true })
  await writeFile(foreign, '{"commitInfo":{}}\n')
  const run = await at.run(reader(2))
  t.is(run.status, 'failed')
  t.regex((await at.catalog.run(run.runId))?.error ?? '', /^LOG_CONFLICT: shop\.orders/)
  t.is(await readFile(foreign, 'utf8'), '{"commitInfo":{}}\n')
})

// ── Many versions ───────────────────────────────────────────────────────────────────────────────────

test('after a hundred versions a checkpoint says the same as the log before it', async (t) => {
  const at = await lab(t)
  const catalog = overCommit(at.catalog, async (commit, real) => {
    const outcome = await real.commit(commit)
    await publishTable(TABLE, at.deps)
    return outcome
  })
  await at.run(
    source(({ cursor }) => counting(cursor, 104)),
    { deps: { catalog }, destination: SEAL_EACH },
  )
  const audit = await assertDelta(at.table(TABLE))
  t.is(audit.checkpoints, 1)
  t.true(audit.version > 100)
  const both = await Promise.all(
    [true, false].map(async (fromZero) => {
      const table = await readDelta(at.table(TABLE), { fromZero })
      return { files: table.files.map((file) => file.path).toSorted(), txns: [...table.txns] }
    }),
  )
  t.deepEqual(both[0], both[1])
  await holds(t, at, upTo(104))
})

/** Groups at bad times, on both catalogs: members that are odd, late, large or taken; answers that are lost. */
import test, { type ExecutionContext } from 'ava'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Catalog, ShardCommit } from '../../catalog/catalog.ts'
import type { SourceEvent } from '../../connector/connector.ts'
import { HakiriError } from '../../lib/error.ts'
import { DEFAULT_SCHEMA_POLICY } from '../../lib/policy.ts'
import type { ObjectStore } from '../../sink/store/store.ts'
import {
  crashGroup,
  FILE_RUN,
  fileSource,
  GROUP_CRASH_POINTS,
} from '../../test/support/crash-group.ts'
import { assertDelta } from '../../test/support/delta-lint.ts'
import { readDelta } from '../../test/support/delta-reader.ts'
import { startGroupRun, type GroupRun } from '../../test/support/group-lab.ts'
import { startPostgres, type Postgres } from '../../test/support/postgres.ts'
import {
  openLab,
  rows,
  source,
  valuesOf,
  type Lab,
  type Reader,
} from '../../test/support/worker-lab.ts'
import type { GroupResult } from './member.ts'

const TABLE = 'shop.orders'
let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

type Body = (t: ExecutionContext, at: Lab) => Promise<void>

/** One test for each catalog. */
function both(claim: string, body: Body): void {
  for (const kind of ['sqlite', 'postgres'] as const)
    test(`${kind}: ${claim}`, async (t) => {
      const catalogUrl = kind === 'postgres' ? await postgres.newDatabase() : undefined
      await using at = await openLab(undefined, { catalogUrl })
      await body(t, at)
    })
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']
const ROWS = 5
const startOf = (cursor: unknown): number => (typeof cursor === 'number' ? cursor : 0)
const idsOf = (shards: readonly string[], upTo = ROWS): readonly string[] =>
  shards.flatMap((shard) => Array.from({ length: upTo }, (_, at) => `${shard}${at + 1}`)).toSorted()

/** Rows `a1` … of shard `a`, from the cursor on. */
async function* counting(shard: string, cursor: unknown, last = ROWS): AsyncGenerator<SourceEvent> {
  for (let nr = startOf(cursor) + 1; nr <= last; nr++) yield rows([{ id: `${shard}${nr}` }], nr)
}

const plain: Reader = ({ shard, cursor }) => counting(shard.id, cursor)

/** Audits the table and compares its ids with what the source gave. */
async function holds(t: ExecutionContext, at: Lab, ids: readonly string[]): Promise<void> {
  await assertDelta(at.table(TABLE))
  t.deepEqual(await valuesOf(at.table(TABLE), 'id'), [...ids].toSorted())
}

const filesOf = async (at: Lab): Promise<readonly string[]> =>
  (await readdir(join(at.folder, 'lake'), { recursive: true }).catch(() => [])).filter((name) =>
    name.endsWith('.parquet'),
  )

const said = (results: readonly GroupResult[]): Record<string, string> =>
  Object.fromEntries(
    results.map((result) => [result.shard, result.kind === 'done' ? 'done' : result.why]),
  )

const all = (word: string, shards: readonly string[] = NAMES): Record<string, string> =>
  Object.fromEntries(shards.map((shard) => [shard, word]))

function overCommit(
  catalog: Catalog,
  commit: (commits: readonly ShardCommit[], real: Catalog) => ReturnType<Catalog['commitShards']>,
): Catalog {
  return { ...catalog, commitShards: (commits) => commit(commits, catalog) }
}

/** What the group left over goes to the single runner, as far as it is pending. */
async function finishSingly(run: GroupRun): Promise<void> {
  for (const shard of await run.pending()) await run.single(shard)
  await run.finish()
}

both(
  'many small shards become one file, one transaction and done parts, each with its own cursor',
  async (t, at) => {
    const commits: (readonly ShardCommit[])[] = []
    const catalog = overCommit(at.catalog, (group, real) => {
      commits.push(group)
      return real.commitShards(group)
    })
    const run = await startGroupRun(at, source(plain, NAMES))
    const results = await run.group({ deps: { catalog } })
    t.deepEqual(said(results), all('done'))
    t.true(
      results.every(
        (result) => result.kind === 'done' && result.isRecorded && result.rows === ROWS,
      ),
    )
    t.is(commits.length, 1)
    t.is(commits[0]?.length, NAMES.length)
    t.deepEqual(
      commits[0]?.map(({ changes }) => changes.length),
      [0, 0, 0, 0, 0, 1],
      'the file comes last',
    )
    t.true(commits[0]?.every(({ workMs, done }) => done && (workMs ?? 0) > 0))
    t.deepEqual(await run.pending(), [])
    await run.finish()
    t.is((await filesOf(at)).length, 1)
    await holds(t, at, idsOf(NAMES))
    const shards = await at.catalog.shards('shop')
    t.true(
      shards.every(
        ({ cursor, seq, epoch, holder }) =>
          cursor === ROWS && seq === 1 && epoch === 1 && holder === 'lab',
      ),
    )
    const counters = (await at.catalog.run(run.runId))?.counters
    t.is(counters?.rowsRead, NAMES.length * ROWS)
    t.is(counters?.rowsWritten, NAMES.length * ROWS)
    t.is(counters?.files, 1)
    t.is((await readDelta(at.table(TABLE))).txns.size, NAMES.length, 'the log names every shard')
  },
)

both(
  'the same rows give the same bytes, whatever the order of jobs and of answers',
  async (t, at) => {
    const hashes: string[] = []
    for (const order of [NAMES, NAMES.toReversed()]) {
      const isFirst = order === NAMES
      const others = Promise.withResolvers<void>()
      let ended = 0
      // Once the first shard is the last one to be read.
      const uneven: Reader = async function* ({ shard }) {
        if (isFirst && shard.id === 'a') await others.promise
        yield* counting(shard.id, null)
        if (++ended === 3) others.resolve()
      }
      const name = isFirst ? 'shop' : 'pohs'
      const run = await startGroupRun(at, source(uneven, order), { pipeline: { name } })
      const store: ObjectStore = {
        ...at.deps.store,
        async putFile(key, path) {
          hashes.push(
            createHash('sha256')
              .update(await readFile(path))
              .digest('hex'),
          )
          await at.deps.store.putFile(key, path)
        },
      }
      t.deepEqual(said(await run.group({ deps: { store } })), all('done'))
    }
    t.is(hashes.length, 2)
    t.is(hashes[0], hashes[1])
  },
)

both(
  'a second run reads on from each cursor, and shards with nothing new have nothing to commit',
  async (t, at) => {
    let last = 2
    const grows = source(
      ({ shard, cursor }) => counting(shard.id, cursor, shard.id < 'd' ? last : 2),
      NAMES,
    )
    await (await startGroupRun(at, grows)).group()
    last = 4
    const again = await startGroupRun(at, grows)
    const results = await again.group()
    t.deepEqual(said(results), all('done'))
    t.deepEqual(
      results.map((result) => result.kind === 'done' && result.isRecorded),
      [true, true, true, false, false, false],
    )
    await at.catalog.settleShards(
      results.map(({ shard, epoch }) => ({
        pipeline: 'shop',
        shard,
        runId: again.runId,
        epoch: epoch ?? 0,
        worker: 'lab',
        end: { kind: 'done' },
      })),
    )
    t.deepEqual(await again.pending(), [])
    await again.finish()
    await holds(t, at, [...idsOf(['a', 'b', 'c'], 4), ...idsOf(['d', 'e', 'f'], 2)])
  },
)

both(
  'a large, a failing, a rejecting, a slow, a cursorless member and one with Parquet are left over, and the rest is committed',
  async (t, at) => {
    const names = ['cut', 'fails', 'large', 'parquet', 'rejects', 'slow', 'x', 'y']
    let released = 0
    const isolated = { odd: true }
    const reader: Reader = async function* ({ shard, cursor }, signal) {
      if (startOf(cursor) < 1) yield rows([{ id: `${shard.id}1` }], 1)
      if (!isolated.odd) return
      if (shard.id === 'fails') throw new HakiriError('SOURCE_UNREACHABLE', 'the source is away')
      if (shard.id === 'large') yield rows([{ id: 'y'.repeat(40_000) }], 2)
      if (shard.id === 'rejects') yield { kind: 'reject', raw: '{', reason: 'no JSON' }
      if (shard.id === 'cut') yield rows([{ id: 'cut2' }])
      if (shard.id === 'parquet')
        yield {
          kind: 'parquet',
          path: '/nowhere',
          from: 0,
          rows: 1,
          bytes: 1,
          cursor: 2,
          release: async () => void released++,
        }
      if (shard.id === 'slow')
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        })
    }
    const run = await startGroupRun(at, source(reader, names))
    const results = await run.group({ options: { memberBytesMax: 20_000, readMsMax: 200 } })
    t.deepEqual(said(results), {
      cut: 'odd',
      fails: 'failed',
      large: 'large',
      parquet: 'odd',
      rejects: 'odd',
      slow: 'slow',
      x: 'done',
      y: 'done',
    })
    const failed = results.find(({ shard }) => shard === 'fails')
    t.is(failed?.kind === 'leftover' ? failed.error?.code : '', 'SOURCE_UNREACHABLE')
    t.true(results.every(({ epoch }) => epoch === 1))
    t.is(released, 1)
    t.deepEqual((await run.pending()).toSorted(), names.slice(0, 6))
    const shards = await at.catalog.shards('shop')
    t.true(
      shards
        .filter(({ shard }) => shard < 'x')
        .every(({ cursor, seq }) => cursor === null && seq === 0),
    )
    isolated.odd = false
    await finishSingly(run)
    t.deepEqual(await run.pending(), [])
    await holds(
      t,
      at,
      names.map((name) => `${name}1`),
    )
  },
)

both(
  'csv members share a file while their columns are equal; one that differs is left over',
  async (t, at) => {
    const csv = new TextEncoder().encode('1,x\n2,y\n')
    const columns = ['id', 'note'].map(
      (name) => ({ name, type: 'string', sourceType: 'text' }) as const,
    )
    const reader: Reader = async function* ({ shard, cursor }) {
      if (cursor !== null) return
      yield {
        kind: 'schema',
        columns: columns.map((column) => ({
          ...column,
          name: shard.id === 'c' ? `${column.name}_c` : column.name,
        })),
      }
      yield { kind: 'rows', format: 'csv', bytes: csv, rows: 2, cursor: 1 }
    }
    const run = await startGroupRun(at, source(reader, ['a', 'b', 'c', 'd']))
    t.deepEqual(said(await run.group()), { a: 'done', b: 'done', c: 'odd', d: 'done' })
    await finishSingly(run)
    await assertDelta(at.table(TABLE))
    t.is((await valuesOf(at.table(TABLE), 'id')).length, 8)
    t.deepEqual(await run.pending(), [])
  },
)

both(
  'a member that was taken over before the commit is left out, and the others are written without it',
  async (t, at) => {
    let taken = false
    const catalog = overCommit(at.catalog, async (commits, real) => {
      if (!taken)
        await real.acquireShards([{ pipeline: 'shop', shard: 'c', generation: 0 }], 'other')
      taken = true
      return real.commitShards(commits)
    })
    const run = await startGroupRun(at, source(plain, NAMES))
    const results = await run.group({ deps: { catalog } })
    t.deepEqual(said(results), { ...all('done'), c: 'fenced' })
    t.deepEqual(await run.pending(), ['c'])
    t.is((await filesOf(at)).length, 1, 'the upload that nobody names is gone')
    await run.finish()
    await holds(t, at, idsOf(NAMES.filter((name) => name !== 'c')))
    await finishSingly(run)
    await holds(t, at, idsOf(NAMES))
  },
)

both(
  'another worker takes half of the group over while it is read, and every row is there once',
  async (t, at) => {
    const half = NAMES.slice(0, 3)
    const reached = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const run = await startGroupRun(
      at,
      source(async function* (request) {
        yield* plain(request, new AbortController().signal)
        if (request.shard.id !== 'f') return
        reached.resolve()
        await goOn.promise
      }, NAMES),
    )
    const first = run.group()
    await reached.promise
    const other = await run.group({ shards: half, deps: { worker: 'other' } })
    goOn.resolve()
    t.deepEqual(said(other), all('done', half))
    t.deepEqual(said(await first), { ...all('done'), ...all('fenced', half) })
    await run.finish()
    await holds(t, at, idsOf(NAMES))
    const shards = await at.catalog.shards('shop')
    t.deepEqual(
      shards.map(({ holder }) => holder),
      ['other', 'other', 'other', 'lab', 'lab', 'lab'],
    )
  },
)

both(
  'a holder without a session goes on only where nobody acquired its shards since',
  async (t, at) => {
    const run = await startGroupRun(at, source(plain, NAMES))
    const epochs = await at.catalog.acquireShards(
      NAMES.map((shard) => ({ pipeline: 'shop', shard, generation: 0 })),
      'lab',
    )
    t.true(epochs.every(({ epoch }) => epoch === 1))
    await at.catalog.acquireShards([{ pipeline: 'shop', shard: 'b', generation: 0 }], 'other')
    const results = await run.group({ job: { hold: { ifEpoch: 1 } } })
    t.deepEqual(said(results), { ...all('done'), b: 'fenced' })
    t.is(results[1]?.epoch, undefined)
    t.is((await at.catalog.shards('shop'))[1]?.epoch, 2, 'the epoch of the other stands')
  },
)

both(
  'a commit whose answer is lost is asked for again, and neither doubled nor robbed of its file',
  async (t, at) => {
    let lost = 0
    const catalog = overCommit(at.catalog, async (commits, real) => {
      const outcome = await real.commitShards(commits)
      if (lost++ < 2) throw new HakiriError('CATALOG_UNREACHABLE', 'the connection broke')
      return outcome
    })
    const run = await startGroupRun(at, source(plain, NAMES))
    t.deepEqual(said(await run.group({ deps: { catalog } })), all('done'))
    await run.finish()
    await holds(t, at, idsOf(NAMES))
  },
)

both(
  'a commit that is never answered is unsure: its file stays, and the parts tell what to read again',
  async (t, at) => {
    const catalog = overCommit(at.catalog, async (commits, real) => {
      await real.commitShards(commits)
      throw new HakiriError('CATALOG_UNREACHABLE', 'the connection broke')
    })
    const run = await startGroupRun(at, source(plain, NAMES))
    t.deepEqual(said(await run.group({ deps: { catalog } })), all('unsure'))
    t.deepEqual(await run.pending(), [])
    await finishSingly(run)
    await holds(t, at, idsOf(NAMES))
  },
)

both('an error that hides a commit does not cost it its file', async (t, at) => {
  const catalog = overCommit(at.catalog, async (commits, real) => {
    await real.commitShards(commits)
    throw new HakiriError('CATALOG_REFUSED', 'no rights, it says')
  })
  const run = await startGroupRun(at, source(plain, NAMES))
  t.deepEqual(said(await run.group({ deps: { catalog } })), all('failed'))
  await run.finish()
  await holds(t, at, idsOf(NAMES))
})

both('a bucket that refuses leaves everything over and nothing behind', async (t, at) => {
  const store = {
    ...at.deps.store,
    putFile: () => Promise.reject(new HakiriError('STORE_UNREACHABLE', 'no bucket')),
  }
  const run = await startGroupRun(at, source(plain, NAMES))
  const results = await run.group({ deps: { store } })
  t.deepEqual(said(results), all('failed'))
  t.true(
    results.every(
      (result) => result.kind === 'leftover' && result.error?.code === 'STORE_UNREACHABLE',
    ),
  )
  t.is((await run.pending()).length, NAMES.length)
  t.deepEqual(await filesOf(at), [])
  t.deepEqual(
    await readdir(at.deps.scratchFolder).then((names) =>
      names.filter((name) => /^(group|encode)-/.test(name)),
    ),
    [],
  )
  await finishSingly(run)
  await holds(t, at, idsOf(NAMES))
})

both('a catalog that is away leaves every shard over with its error', async (t, at) => {
  const run = await startGroupRun(at, source(plain, NAMES))
  const away = () => Promise.reject(new HakiriError('CATALOG_UNREACHABLE', 'away'))
  const results = await run.group({ deps: { catalog: { ...at.catalog, acquireShards: away } } })
  t.deepEqual(said(results), all('failed'))
  t.true(results.every(({ epoch }) => epoch === undefined))
})

both(
  'a row that the table refuses sends only its own shard to the single runner, which quarantines it',
  async (t, at) => {
    const types = { id: 'long' }
    const reader: Reader = async function* ({ shard, cursor }) {
      if (cursor === null) yield rows([{ id: shard.id === 'c' ? 'no number' : 7 }], 1)
    }
    const run = await startGroupRun(at, source(reader, NAMES), {
      pipeline: {
        types,
        schema: { ...DEFAULT_SCHEMA_POLICY, types: 'discard_row' },
      },
    })
    const results = said(await run.group())
    t.deepEqual(results, { ...all('done'), c: 'odd' })
    await finishSingly(run)
    t.is((await at.catalog.run(run.runId))?.counters.rowsQuarantined, 1)
    t.is((await valuesOf(at.table(TABLE), 'id')).length, NAMES.length - 1)
  },
)

both('a stop commits what was read by then and leaves the rest over', async (t, at) => {
  const stop = new AbortController()
  const opened: string[] = []
  const run = await startGroupRun(
    at,
    source(async function* ({ shard, cursor }, signal) {
      opened.push(shard.id)
      if (shard.id === 'd') {
        stop.abort(new HakiriError('CANCELLED', 'drained'))
        signal.throwIfAborted()
      }
      yield* counting(shard.id, cursor)
    }, NAMES),
  )
  const results = said(await run.group({ stop: stop.signal, options: { concurrency: 1 } }))
  t.deepEqual(results, { ...all('done', ['a', 'b', 'c']), ...all('stopped', ['d', 'e', 'f']) })
  t.deepEqual(opened, ['a', 'b', 'c', 'd'])
  await run.finish()
  await holds(t, at, idsOf(['a', 'b', 'c']))
})

both(
  'a group that does not fit into one batch is written in several, each whole',
  async (t, at) => {
    const text = 'z'.repeat(10_000)
    const commits: number[] = []
    const catalog = overCommit(at.catalog, (group, real) => {
      commits.push(group.length)
      return real.commitShards(group)
    })
    const reader: Reader = async function* ({ shard, cursor }) {
      if (cursor === null) yield rows([{ id: shard.id, text }], 1)
    }
    const run = await startGroupRun(at, source(reader, NAMES))
    const results = await run.group({
      job: { batchBytes: 25_000 },
      deps: { catalog },
      options: { concurrency: 1 },
    })
    t.deepEqual(said(results), all('large'), 'a member may have a part of the batch alone')
    const again = await run.group({
      job: { batchBytes: 45_000 },
      deps: { catalog },
      options: { concurrency: 1 },
    })
    t.deepEqual(said(again), all('done'))
    t.deepEqual(commits, [4, 2])
    await run.finish()
    await holds(t, at, NAMES)
  },
)

both(
  'by key the newest run wins, in whichever order groups and single runs come',
  async (t, at) => {
    const pipeline = {
      write: { mode: 'upsert', key: ['id'], cursor: 'nr', lag: undefined },
    } as const
    let value = 0
    const reader: Reader = async function* ({ shard }) {
      yield rows(
        [
          { id: shard.id, nr: value, value },
          { id: 'shared', nr: value, value },
        ],
        value,
      )
    }
    const connector = source(reader, NAMES)
    for (const how of ['group', 'single', 'group', 'group', 'single'] as const) {
      value++
      const run = await startGroupRun(at, connector, { pipeline })
      if (how === 'group') t.deepEqual(said(await run.group()), all('done'))
      await finishSingly(run)
      await assertDelta(at.table(TABLE))
      const newest = await newestByKey(at)
      t.deepEqual(newest, Object.fromEntries([...NAMES, 'shared'].map((id) => [id, value])))
    }
  },
)

/** As readers see an upsert table: per key the row with the greatest sequence. */
async function newestByKey(at: Lab): Promise<Record<string, number>> {
  const newest = new Map<string, { seq: bigint; value: number }>()
  for await (const row of (await readDelta(at.table(TABLE))).rows()) {
    const [id, seq, value] = [
      row['id'] as string,
      BigInt(row['_hakiri_seq'] as bigint),
      Number(row['value']),
    ]
    if (seq >= (newest.get(id)?.seq ?? -1n)) newest.set(id, { seq, value })
  }
  return Object.fromEntries([...newest].map(([id, { value }]) => [id, value]))
}

both('a shard that began alone and ends in a group keeps its newest rows on top', async (t, at) => {
  const pipeline = { write: { mode: 'upsert', key: ['id'], cursor: 'nr', lag: undefined } } as const
  let fails = true
  const reader: Reader = async function* ({ shard, cursor }) {
    for (let nr = startOf(cursor) + 1; nr <= 4; nr++) {
      yield rows([{ id: 'one', nr, value: nr }], nr)
      if (shard.id === 'b' && fails && nr === 3) throw new HakiriError('SOURCE_FATAL', 'broken')
    }
  }
  const run = await startGroupRun(at, source(reader, ['a', 'b']), { pipeline })
  const alone = await run.single('b', { job: { openMsMax: 0 } })
  t.true((await at.catalog.shards('shop'))[1]!.seq >= 2, 'it committed more than once')
  t.is(alone.outcome, 'failed')
  t.is(alone.epoch, 1)
  fails = false
  t.deepEqual(said(await run.group({ shards: ['b'] })), { b: 'done' })
  await run.finish()
  t.deepEqual(await newestByKey(at), { one: 4 })
})

both(
  'a replacing load in groups becomes visible as a whole, and a part done before a takeover is not read twice',
  async (t, at) => {
    const pipeline = {
      mode: 'full',
      write: { mode: 'replace', key: [], cursor: undefined, lag: undefined },
    } as const
    const load = (name: string): Reader =>
      async function* ({ shard }) {
        for (const id of idsOf([shard.id])) yield rows([{ id: `${name}${id}` }])
      }
    const before = await startGroupRun(at, source(load('old'), NAMES), { pipeline })
    await before.group()
    await before.finish()
    await holds(
      t,
      at,
      idsOf(NAMES).map((id) => `old${id}`),
    )
    const next = await startGroupRun(at, source(load('new'), NAMES), { pipeline })
    t.deepEqual(
      said(await next.group({ shards: NAMES.slice(0, 4) })),
      all('done', NAMES.slice(0, 4)),
    )
    await next.finish()
    await holds(
      t,
      at,
      idsOf(NAMES).map((id) => `old${id}`),
    )
    // Another worker takes all of it up: what is loaded is neither read nor committed again.
    const rest = await next.group({ deps: { worker: 'other' } })
    t.deepEqual(said(rest), all('done'))
    t.deepEqual(
      rest.map((result) => result.kind === 'done' && result.isRecorded),
      [false, false, false, false, true, true],
    )
    await next.finish()
    await holds(
      t,
      at,
      idsOf(NAMES).map((id) => `new${id}`),
    )
  },
)

both(
  'a full pass whose last answer was lost is not read again by the single runner',
  async (t, at) => {
    const pipeline = { mode: 'full', retries: { retriesMax: 2, firstMs: 1, mostMs: 1 } } as const
    let lost = 0
    const run = await startGroupRun(
      at,
      source(
        async function* () {
          yield rows([{ id: 'only' }])
        },
        ['a'],
      ),
      { pipeline },
    )
    const catalog: Catalog = {
      ...at.catalog,
      async commit(commit) {
        const outcome = await at.catalog.commit(commit)
        if (commit.done && lost++ === 0) throw new HakiriError('CATALOG_UNREACHABLE', 'broke')
        return outcome
      },
    }
    const result = await run.single('a', { deps: { catalog } })
    t.is(result.outcome, 'done')
    t.is(result.epoch, 2)
    await run.finish()
    await holds(t, at, ['only'])
  },
)

both(
  'a retry of the single runner takes nothing back from a worker that acquired the shard meanwhile',
  async (t, at) => {
    const run = await startGroupRun(
      at,
      source(
        async function* () {
          await at.catalog.acquireShards([{ pipeline: 'shop', shard: 'a', generation: 0 }], 'other')
          yield* []
          throw new HakiriError('SOURCE_UNREACHABLE', 'away')
        },
        ['a'],
      ),
    )
    const result = await run.single('a')
    t.is(result.outcome, 'fenced')
    t.is(result.error?.code, 'FENCED')
    t.is((await at.catalog.shards('shop'))[0]?.epoch, 2)
  },
)

// ── Crashes ─────────────────────────────────────────────────────────────────────────────────────────

const FILES = Array.from({ length: 12 }, (_, index) => `f${10 + index}`)

for (const kind of ['sqlite', 'postgres'] as const)
  for (const point of GROUP_CRASH_POINTS)
    test(`${kind}: kill -9 ${point} of a group loses and doubles nothing`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'hakiri-group-'))
      t.teardown(() => rm(folder, { recursive: true, force: true }))
      const catalogUrl = kind === 'postgres' ? await postgres.newDatabase() : undefined
      await mkdir(join(folder, 'in'))
      for (const name of FILES)
        await writeFile(
          join(folder, 'in', `${name}.ndjson`),
          idsOf([name])
            .map((id) => `{"id":"${id}"}\n`)
            .join(''),
        )
      t.is(await crashGroup({ folder, catalogUrl, point }), 'SIGKILL')
      await using at = await openLab(undefined, { catalogUrl, folder })
      const [open] = await at.catalog.openRuns()
      const run = await startGroupRun(at, fileSource(), { ...FILE_RUN, join: open!.id })
      const pending = await run.pending()
      t.is(pending.length, point === 'after-commit' ? 0 : FILES.length)
      t.is((await filesOf(at)).length, point === 'before-upload' ? 0 : 1)
      await run.group({ shards: pending, deps: { worker: 'other' } })
      t.deepEqual(await run.pending(), [])
      await run.finish()
      await holds(t, at, idsOf(FILES))
      const next = await startGroupRun(at, fileSource(), FILE_RUN)
      t.deepEqual(
        Object.values(said(await next.group())),
        FILES.map(() => 'done'),
      )
      await next.finish()
      await holds(t, at, idsOf(FILES))
    })

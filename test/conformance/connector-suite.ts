/**
 * The executable specification of the connector port, for authors of connectors: a connector passes it
 * or breaks what the runner relies on. A test file says how to make a source with known rows.
 */
import { inspect } from 'node:util'
import type { ExecutionContext, TestFn } from 'ava'
import type {
  Connector,
  ConnectorContext,
  ReadMode,
  SourceEvent,
  SourceShard,
} from '../../connector/connector.ts'
import { HakiriError } from '../../lib/error.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import { readEvents, type Reading, type Row } from '../support/read-events.ts'

export type KnownSource = AsyncDisposable & {
  readonly connector: Connector
  /** A new context each time; `signal` and `chunkBytesMax` are the suite's to choose. */
  readonly context: (choice: Pick<ConnectorContext, 'signal' | 'chunkBytesMax'>) => ConnectorContext
  readonly mode: ReadMode
  /** Per table, every row once: numbers as JSON numbers, csv fields as text or null. */
  readonly rows: { readonly [table: string]: readonly Row[] }
  /** Raw texts of rows that the connector has to reject, per table. */
  readonly rejects?: { readonly [table: string]: readonly string[] }
  /** Tables whose full read has no point to resume from. */
  readonly unresumable?: readonly string[]
  /** Texts that no message may hold. */
  readonly secrets: readonly string[]
  /** Makes every later read fail in a way that puts the secrets within reach of messages. */
  readonly breakIt: () => Promise<void>
  /** Connections, handles or whatever else a read holds open now. */
  readonly openCount: () => Promise<number>
}

/** A limit that no test source reaches, and one that cuts each of them into pieces. */
const LARGE = 1_000_000
const SMALL = 200

type Check = (
  claim: string,
  body: (t: ExecutionContext, source: KnownSource) => Promise<void>,
) => void

/** Declares the tests; `make` is called once for each. Sources need a few hundred bytes of rows. */
export function connectorSuite(test: TestFn, name: string, make: () => Promise<KnownSource>): void {
  const check: Check = (claim, body) =>
    test(`${name}: ${claim}`, async (t) => {
      await using source = await make()
      await body(t, source)
    })
  shardChecks(check)
  rowChecks(check)
  resumeChecks(check)
  stopChecks(check)
  failureChecks(check)
}

function contextOf(source: KnownSource, chunkBytesMax = LARGE): ConnectorContext {
  return source.context({ signal: new AbortController().signal, chunkBytesMax })
}

async function shardsOf(source: KnownSource): Promise<readonly SourceShard[]> {
  return source.connector.shards(contextOf(source), [])
}

type From = { readonly cursor: Json; readonly state: { readonly [key: string]: Json } }
const BEGINNING: From = { cursor: null, state: {} }

function openShard(
  source: KnownSource,
  context: ConnectorContext,
  shard: SourceShard,
  from: From = BEGINNING,
): AsyncIterable<SourceEvent> {
  const { id, table, spec } = shard
  return source.connector.open(context, { shard: { id, table, spec }, mode: source.mode, ...from })
}

async function readShard(
  source: KnownSource,
  shard: SourceShard,
  from: From = BEGINNING,
  chunkBytesMax = LARGE,
): Promise<Reading> {
  return readEvents(openShard(source, contextOf(source, chunkBytesMax), shard, from))
}

const texts = (rows: readonly Row[]): readonly string[] => rows.map((row) => stableStringify(row))

// ── Shards ────────────────────────────────────────────────────────────────────────────────────────

function shardChecks(check: Check): void {
  check('shards have valid ids, each its own, and feed described tables', async (t, source) => {
    const described = await source.connector.describe(contextOf(source))
    const shards = await shardsOf(source)
    t.true(shards.length > 0)
    t.is(new Set(shards.map(({ id }) => id)).size, shards.length)
    for (const { id, table } of shards) {
      t.regex(id, /^[A-Za-z0-9._:=/-]+$/)
      t.true(
        described.some(({ name }) => name === table),
        table,
      )
    }
    t.deepEqual(
      [...new Set(described.map(({ name }) => name))].toSorted(),
      Object.keys(source.rows).toSorted(),
    )
  })

  check(
    'cutting again gives the same shards, knowing the earlier ones or not',
    async (t, source) => {
      const first = await shardsOf(source)
      const copy = JSON.parse(JSON.stringify(first)) as readonly SourceShard[]
      t.deepEqual((await shardsOf(source)).map(place), first.map(place))
      const known = copy.map((shard) => ({ ...shard, rowsEstimate: undefined }))
      t.deepEqual(
        (await source.connector.shards(contextOf(source), known)).map(place),
        first.map(place),
      )
    },
  )
}

const place = ({ id, table, spec }: SourceShard): Json => ({ id, table, spec })

// ── Rows ──────────────────────────────────────────────────────────────────────────────────────────

function rowChecks(check: Check): void {
  for (const [size, chunkBytesMax] of [
    ['large', LARGE],
    ['small', SMALL],
  ] as const) {
    check(`every row comes exactly once, in ${size} chunks`, async (t, source) => {
      const found: { [table: string]: string[] } = {}
      const rejected: { [table: string]: string[] } = {}
      for (const shard of await shardsOf(source)) {
        const reading = await readShard(source, shard, BEGINNING, chunkBytesMax)
        ;(found[shard.table] ??= []).push(...texts(reading.rows))
        ;(rejected[shard.table] ??= []).push(...reading.rejects)
      }
      for (const [table, rows] of Object.entries(source.rows)) {
        t.deepEqual(found[table]?.toSorted(), texts(rows).toSorted(), table)
        t.deepEqual(rejected[table]?.toSorted(), (source.rejects?.[table] ?? []).toSorted(), table)
      }
    })
  }

  check('an event holds whole rows, as many as it says, within the limit', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      const events = await Array.fromAsync(openShard(source, contextOf(source, SMALL), shard))
      for (const event of events) {
        if (event.kind !== 'rows') continue
        t.is(event.bytes.at(-1), 0x0a)
        t.true(event.rows > 0)
        t.true(event.rows === 1 || event.bytes.length <= SMALL, `${event.bytes.length} bytes`)
      }
      t.deepEqual((await readEvents(toAsync(events))).miscounted, [])
    }
  })

  check('two reads of an unchanged source share their order', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      const [one, two] = [await readShard(source, shard), await readShard(source, shard)]
      t.deepEqual(texts(one.rows), texts(two.rows))
    }
  })
}

async function* toAsync<T>(items: Iterable<T>): AsyncIterable<T> {
  yield* items
}

// ── Resuming ──────────────────────────────────────────────────────────────────────────────────────

function resumeChecks(check: Check): void {
  check('reading from any cursor gives exactly the rows behind it', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      if (source.unresumable?.includes(shard.table)) continue
      const whole = await readShard(source, shard, BEGINNING, SMALL)
      t.true(whole.marks.length > 0, `${shard.id} has a cursor`)
      for (const mark of whole.marks) {
        // As the catalog keeps it: cursor and state as JSON.
        const from = JSON.parse(JSON.stringify({ cursor: mark.cursor, state: mark.state })) as From
        const rest = await readShard(source, shard, from, SMALL)
        t.deepEqual(
          texts(rest.rows),
          texts(whole.rows).slice(mark.rows),
          JSON.stringify(mark.cursor),
        )
        t.deepEqual(rest.rejects, whole.rejects.slice(mark.rejects))
      }
    }
  })

  check('a cursor stands behind the last row', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      if (source.unresumable?.includes(shard.table)) continue
      const { rows, rejects, marks } = await readShard(source, shard)
      t.is(marks.at(-1)?.rows, rows.length)
      t.is(marks.at(-1)?.rejects, rejects.length)
    }
  })
}

// ── Stopping ──────────────────────────────────────────────────────────────────────────────────────

function stopChecks(check: Check): void {
  check('a signal that has fired gives no rows and leaves nothing open', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      const context = source.context({ signal: AbortSignal.abort(STOP), chunkBytesMax: SMALL })
      t.is((await readUntilStopped(openShard(source, context, shard))).rows.length, 0)
    }
    t.is(await source.openCount(), 0)
  })

  check('a signal during a read ends it and leaves nothing open', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      const stop = new AbortController()
      const context = source.context({ signal: stop.signal, chunkBytesMax: SMALL })
      const all = source.rows[shard.table]!.length
      const reading = await readUntilStopped(openShard(source, context, shard), () =>
        stop.abort(STOP),
      )
      t.true(reading.rows.length < all || all <= 1, `${reading.rows.length} of ${all} rows came`)
    }
    t.is(await source.openCount(), 0)
  })

  check('a reader that walks away leaves nothing open', async (t, source) => {
    for (const shard of await shardsOf(source)) {
      for await (const event of openShard(source, contextOf(source, SMALL), shard)) {
        if (event.kind === 'parquet') await event.release()
        if (event.kind !== 'schema') break
      }
    }
    t.is(await source.openCount(), 0)
  })

  check('a complete read leaves nothing open', async (t, source) => {
    for (const shard of await shardsOf(source)) await readShard(source, shard)
    t.is(await source.openCount(), 0)
  })
}

const STOP = new HakiriError('CANCELLED', 'the test stops here')

/** Reads on after the stop: the source has to end by itself, with the stop's reason or without. */
async function readUntilStopped(
  events: AsyncIterable<SourceEvent>,
  afterFirst?: () => void,
): Promise<Reading> {
  const seen: SourceEvent[] = []
  try {
    for await (const event of events) {
      seen.push(event)
      if (event.kind === 'rows' || event.kind === 'parquet') afterFirst?.()
    }
  } catch (error) {
    if (error !== STOP && (error as Error).name !== 'AbortError') throw error
  }
  return readEvents(toAsync(seen))
}

// ── Failures ──────────────────────────────────────────────────────────────────────────────────────

function failureChecks(check: Check): void {
  check('check finds no fault with a good source, and shows no secret', async (t, source) => {
    const findings = await source.connector.check(contextOf(source))
    t.true(findings.length > 0)
    t.deepEqual(
      findings.filter(({ severity }) => severity === 'error'),
      [],
    )
    t.false(shows(source, findings))
  })

  check(
    'check reports a broken source without throwing, and shows no secret',
    async (t, source) => {
      await source.breakIt()
      const findings = await source.connector.check(contextOf(source))
      t.true(
        findings.some(({ severity }) => severity === 'error'),
        inspect(findings),
      )
      t.false(shows(source, findings))
    },
  )

  check('reading a broken source fails with a code, and shows no secret', async (t, source) => {
    const shards = await shardsOf(source)
    await source.breakIt()
    for (const shard of shards) {
      const error = await t.throwsAsync(readShard(source, shard), { instanceOf: HakiriError })
      t.false(shows(source, error), inspect(error))
    }
    t.is(await source.openCount(), 0)
  })
}

/** Looks into everything that a log line could print, causes included. */
function shows(source: KnownSource, value: unknown): boolean {
  const text = inspect(value, {
    depth: 20,
    showHidden: true,
    maxArrayLength: null,
    maxStringLength: null,
  })
  return source.secrets.some((secret) => text.includes(secret))
}

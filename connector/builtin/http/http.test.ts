import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { connectorSuite } from '../../../test/conformance/connector-suite.ts'
import { readEvents, type Reading } from '../../../test/support/read-events.ts'
import {
  startHttpSource,
  type Fault,
  type HttpSource,
  type HttpSourceOptions,
  type PagingStyle,
} from '../../../test/support/http-source.ts'
import type { Code, HakiriError } from '../../../lib/error.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import type { Json } from '../../../lib/json.ts'
import type { ConnectorContext, ReadMode, SourceShard } from '../../connector.ts'
import type { HttpConfig, HttpOptions, Paging, Stream } from './config.ts'
import { createHttpConnector } from './http.ts'

const PAGING: Readonly<Record<PagingStyle, Paging>> = {
  none: { kind: 'none' },
  link: { kind: 'link' },
  cursor: { kind: 'cursor', next: '/next', param: 'cursor' },
  'next-url': { kind: 'next-url', next: '/next' },
  offset: { kind: 'offset', param: 'offset', limitParam: 'limit', limit: 10 },
  page: { kind: 'page', param: 'page', first: 1, sizeParam: 'per_page', size: 10 },
}
const STYLES = Object.keys(PAGING) as PagingStyle[]

const enveloped = (style: PagingStyle): boolean => style === 'cursor' || style === 'next-url'

function streamOf(style: PagingStyle, over: Partial<Stream> = {}): Stream {
  return {
    name: 'items',
    path: '/items',
    query: {},
    headers: {},
    records: enveloped(style) ? '/items' : '',
    paging: PAGING[style],
    key: ['id'],
    each: {},
    cursorParam: undefined,
    ...over,
  }
}

function configOf(base: string, stream: Stream, over: Partial<HttpConfig> = {}): HttpConfig {
  return {
    base,
    auth: undefined,
    headers: {},
    streams: [stream],
    timeoutMs: 10_000,
    conditional: true,
    bodyBytesMax: 1_000_000,
    ...over,
  }
}

/** Waits take no time here; the clock only adds them up. */
function patientClock(): ConnectorContext['clock'] & { readonly waits: number[] } {
  const waits: number[] = []
  const now = (): number => 1_700_000_000_000 + waits.reduce((sum, ms) => sum + ms, 0)
  return {
    waits,
    now,
    monotonic: now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      waits.push(ms)
    },
  }
}

type Counted = { requests: number; notModified: number; retries: number }

function contextOf(over: Partial<ConnectorContext> = {}): ConnectorContext & { counted: Counted } {
  const counted: Counted = { requests: 0, notModified: 0, retries: 0 }
  return {
    resolve: async (reference) =>
      reference.startsWith('env:') ? `value-of-${reference.slice(4)}` : reference,
    clock: patientClock(),
    random: { float: () => 0.5, uuid: () => 'uuid' },
    logger: silentLogger,
    signal: new AbortController().signal,
    baseFolder: '/',
    chunkBytesMax: 1_000_000,
    openBucket: () => Promise.reject(new Error('no bucket here')),
    count: (what, by) => {
      counted[what] += by
    },
    counted,
    ...over,
  }
}

type ReadOptions = {
  readonly mode?: ReadMode
  readonly cursor?: Json
  readonly state?: { readonly [key: string]: Json }
  readonly context?: ConnectorContext
  readonly options?: HttpOptions
}

const FULL: ReadMode = { kind: 'full' }
const PATIENT: HttpOptions = { retries: { retriesMax: 20, firstMs: 10, mostMs: 100 } }

async function read(config: HttpConfig, how: ReadOptions = {}): Promise<Reading> {
  const connector = createHttpConnector(config, { ...PATIENT, ...how.options })
  const context = how.context ?? contextOf()
  const [shard] = await connector.shards(context, [])
  return readEvents(connector.open(context, requestOf(shard!, how)))
}

function requestOf(
  { id, table, spec }: SourceShard,
  { mode = FULL, cursor = null, state = {} }: ReadOptions,
): Parameters<ReturnType<typeof createHttpConnector>['open']>[1] {
  return { shard: { id, table, spec }, mode, cursor, state }
}

const items = (count: number): { id: number; name: string }[] =>
  Array.from({ length: count }, (_, id) => ({ id, name: `item ${id}` }))
const ids = (reading: Reading): Json[] => reading.rows.map((row) => row['id'] ?? null)
const range = (count: number, from = 0): number[] =>
  Array.from({ length: count }, (_, index) => from + index)

async function source(
  t: Pick<ExecutionContext, 'teardown'>,
  options: Partial<HttpSourceOptions> & Pick<HttpSourceOptions, 'paging'>,
): Promise<HttpSource> {
  const server = await startHttpSource({ pageSize: 10, rows: () => items(25), ...options })
  t.teardown(() => server[Symbol.asyncDispose]())
  return server
}

// ── The port ──────────────────────────────────────────────────────────────────────────────────────

const REPOS = ['acme/site', 'acme/a b']

for (const style of STYLES) {
  connectorSuite(test, `http, ${style}`, async () => {
    let broken = false
    const rowsOf = (path: string): { id: number; name: string }[] =>
      items(decodeURIComponent(path).includes('site') ? 25 : 10)
    const server = await startHttpSource({
      paging: style,
      pageSize: 10,
      etag: true,
      rows: rowsOf,
      authorization: 'Bearer value-of-TOKEN',
      fault: (_, { headers }) =>
        broken
          ? { kind: 'status', status: 403, body: `never ${headers.authorization} here` }
          : undefined,
    })
    const stream = streamOf(style, { path: 'repos/{repo}/items', each: { repo: REPOS } })
    const config = configOf(server.url, stream, {
      auth: { kind: 'bearer', token: 'env:TOKEN' },
      headers: { 'x-team': 'env:TEAM' },
    })
    const rows = REPOS.flatMap((repo) => rowsOf(repo).map((row) => ({ repo, ...row })))
    return {
      connector: createHttpConnector(config),
      context: (choice) => contextOf(choice),
      mode: FULL,
      rows: { items: rows },
      secrets: ['value-of-TOKEN', 'value-of-TEAM'],
      breakIt: async () => {
        broken = true
      },
      openCount: async () => {
        // A closed connection reaches the server a moment later.
        const deadline = performance.now() + 5_000
        while ((await server.connections()) > 0 && performance.now() < deadline)
          await new Promise((resolve) => setImmediate(resolve))
        return server.connections()
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  })
}

// ── Paging ────────────────────────────────────────────────────────────────────────────────────────

const faults: fc.Arbitrary<Fault | undefined> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Fault>(
      { kind: 'rate', retryAfter: '1' },
      { kind: 'rate' },
      { kind: 'status', status: 502 },
      { kind: 'status', status: 503, headers: { 'retry-after': '2' } },
      { kind: 'cut' },
      { kind: 'cut-silently' },
      { kind: 'reset' },
      { kind: 'slow', ms: 2 },
    ),
  },
)

test('any listing comes complete, once and in order, whatever its size and faults', async (t) => {
  const scenario = fc.record({
    style: fc.constantFrom(...STYLES.filter((style) => style !== 'none')),
    count: fc.nat(40),
    pageSize: fc.integer({ min: 1, max: 15 }),
    sizeCap: fc.option(fc.integer({ min: 1, max: 15 }), { nil: undefined }),
    declares: fc.boolean(),
    concurrency: fc.integer({ min: 1, max: 5 }),
    pattern: fc.array(faults, { minLength: 1, maxLength: 8 }),
    chunkBytesMax: fc.integer({ min: 1, max: 300 }),
    indent: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(scenario, async (s) => {
      const rows = items(s.count).map((row) => JSON.stringify(row, null, s.indent ? 1 : 0))
      await using server = await startHttpSource({
        paging: s.style,
        pageSize: s.sizeCap === undefined ? s.pageSize : Math.min(s.pageSize, s.sizeCap),
        ...(s.sizeCap === undefined ? {} : { sizeCap: s.sizeCap }),
        rows: () => rows,
        // Never so many in a row that a bounded number of retries cannot get past them.
        fault: (index) => (index % 20 < 15 ? s.pattern[index % s.pattern.length] : undefined),
      })
      const paging: Paging =
        s.style === 'offset'
          ? { kind: 'offset', param: 'offset', limitParam: 'limit', limit: s.pageSize }
          : s.style === 'page'
            ? {
                kind: 'page',
                param: 'page',
                first: 1,
                sizeParam: s.declares ? 'per_page' : undefined,
                size: s.declares ? s.pageSize : undefined,
              }
            : PAGING[s.style]
      const reading = await read(configOf(server.url, streamOf(s.style, { paging })), {
        context: contextOf({ chunkBytesMax: s.chunkBytesMax }),
        options: {
          concurrency: s.concurrency,
          retries: { retriesMax: 100, firstMs: 1, mostMs: 2 },
        },
      })
      t.deepEqual(ids(reading), range(s.count))
      t.deepEqual(reading.miscounted, [])
      t.deepEqual(reading.marks.at(-1)?.cursor, { end: true })
    }),
    { numRuns: 150 },
  )
})

test('pages with computable places are asked for ahead, up to the limit and not far past the end', async (t) => {
  for (const style of ['offset', 'page'] as const) {
    const eight = Promise.withResolvers<void>()
    const server = await source(t, {
      paging: style,
      rows: () => items(400),
      // In the middle of the listing nothing is answered until as many are in flight as may be.
      hold: (index, inFlight) => {
        if (inFlight >= 8) eight.resolve()
        return index < 12 ? undefined : eight.promise
      },
    })
    const options = { concurrency: 8 }
    const reading = await read(configOf(server.url, streamOf(style)), { options })
    t.deepEqual(ids(reading), range(400))
    t.is(server.inFlightMost, 8)
    t.true(server.requests.length <= 41 + 8, String(server.requests.length))
  }
})

test('a listing whose pages all are the same page is refused instead of read for ever', async (t) => {
  const server = await source(t, { paging: 'none' })
  for (const style of ['offset', 'page'] as const) {
    const paging: Paging =
      style === 'page'
        ? ({ ...PAGING.page, kind: 'page', size: undefined } as Paging)
        : PAGING.offset
    const error = await t.throwsAsync(read(configOf(server.url, streamOf(style, { paging }))))
    t.is((error as HakiriError).code, 'SOURCE_DATA')
  }
})

test('links that lead back to an earlier page are refused', async (t) => {
  const server = await source(t, {
    paging: 'none',
    rows: () => ['{"items":[{"id":1}],"next":"/items?again=1"}'],
  })
  const stream = streamOf('next-url', {
    records: '/0/items',
    paging: { kind: 'next-url', next: '/0/next' },
  })
  const error = await t.throwsAsync(read(configOf(server.url, stream)))
  t.regex(error?.message ?? '', /circle/)
})

test('values of placeholders become columns, and a clash with a field is refused', async (t) => {
  const server = await source(t, {
    paging: 'none',
    rows: () => ['{ "id": 1 }', '{}', '{"a":"\\"{"}'],
  })
  const stream = streamOf('none', { path: '/x/{who}', each: { who: ['a "b"'] } })
  t.deepEqual((await read(configOf(server.url, stream))).rows, [
    { who: 'a "b"', id: 1 },
    { who: 'a "b"' },
    { who: 'a "b"', a: '"{' },
  ])
  const clashing = streamOf('none', { path: '/x/{id}', each: { id: ['1'] } })
  const error = await t.throwsAsync(read(configOf(server.url, clashing)))
  t.is((error as HakiriError).code, 'SOURCE_DATA')
  t.regex(error?.message ?? '', /"id"/)
})

test('numbers keep every digit, and records that are no objects are rejected', async (t) => {
  const big = '{"n":12345678901234567890.12345678901234567890}'
  const server = await source(t, {
    paging: 'none',
    rows: () => [big, '5', '{"s":"\\ud800"}', '{"s":"ok"}'],
  })
  const connector = createHttpConnector(configOf(server.url, streamOf('none')))
  const [shard] = await connector.shards(contextOf(), [])
  const events = await Array.fromAsync(connector.open(contextOf(), requestOf(shard!, {})))
  const text = events.map((event) =>
    event.kind === 'rows'
      ? Buffer.from(event.bytes).toString()
      : event.kind === 'reject'
        ? `rejected ${event.raw}\n`
        : '',
  )
  t.deepEqual(text, ['rejected 5\n', 'rejected {"s":"\\ud800"}\n', `${big}\n{"s":"ok"}\n`])
})

// ── Conditional requests ──────────────────────────────────────────────────────────────────────────

for (const style of STYLES) {
  test(`${style}: a second pass over an unchanged listing gets 304 for its pages and no rows`, async (t) => {
    const server = await source(t, { paging: style, etag: true })
    const config = configOf(server.url, streamOf(style))
    const first = await read(config)
    t.deepEqual(ids(first), range(25))
    const context = contextOf()
    const second = await read(config, { state: first.marks.at(-1)!.state, context })
    t.deepEqual(second.rows, [])
    t.true(context.counted.requests > 0)
    t.is(context.counted.notModified, context.counted.requests)
    t.deepEqual(second.marks.at(-1)?.state, {}, 'nothing to change in the state')
  })

  test(`${style}: a changed page comes again whole, the pages around it do not`, async (t) => {
    let rows = items(25)
    const server = await source(t, { paging: style, etag: true, rows: () => rows })
    const config = configOf(server.url, streamOf(style))
    const first = await read(config)
    rows = rows.map((row) => (row.id === 13 ? { ...row, name: 'changed' } : row))
    const second = await read(config, { state: first.marks.at(-1)!.state })
    t.deepEqual(ids(second), style === 'none' ? range(25) : range(10, 10))
    const third = await read(config, {
      state: { ...first.marks.at(-1)!.state, ...second.marks.at(-1)!.state },
    })
    t.deepEqual(third.rows, [])
  })
}

test('a new page behind a last page that did not change is found', async (t) => {
  for (const style of STYLES) {
    let rows = items(20)
    const server = await source(t, { paging: style, etag: true, rows: () => rows })
    const config = configOf(server.url, streamOf(style))
    const first = await read(config)
    rows = items(21)
    const second = await read(config, { state: first.marks.at(-1)!.state })
    t.true(ids(second).includes(20), style)
  }
})

test('the state forgets pages that are gone, and keeps nothing when told not to', async (t) => {
  let rows = items(25)
  const server = await source(t, { paging: 'offset', etag: true, rows: () => rows })
  const config = configOf(server.url, streamOf('offset'))
  const first = await read(config)
  t.is(Object.keys(first.marks.at(-1)!.state).length, 3)
  rows = items(5)
  const connector = createHttpConnector(config)
  const [shard] = await connector.shards(contextOf(), [])
  const { state } = first.marks.at(-1)!
  const events = await Array.fromAsync(connector.open(contextOf(), requestOf(shard!, { state })))
  const changes = Object.assign(
    {},
    ...events.map((event) => ('state' in event ? event.state : {})),
  ) as { [key: string]: Json }
  t.deepEqual(Object.values(changes).filter((value) => value === null).length, 2)
  const plain = await read({ ...config, conditional: false }, { state })
  t.deepEqual(ids(plain), range(5))
  t.deepEqual(plain.marks.at(-1)?.state, {})
})

test('a time stamp alone is trusted only when it is older than its answer', async (t) => {
  for (const [age, expected] of [
    [3600, 0],
    [0, 25],
  ] as const) {
    let modified: number | undefined
    const lastModified = (): number => (modified ??= Math.floor(Date.now() / 1000) - age)
    const server = await source(t, { paging: 'none', lastModified })
    const config = configOf(server.url, streamOf('none'))
    const { state } = (await read(config)).marks.at(-1)!
    t.is((await read(config, { state })).rows.length, expected)
  }
})

// ── Incremental ───────────────────────────────────────────────────────────────────────────────────

const day = (n: number): string => `2024-01-${String(n).padStart(2, '0')}T00:00:00Z`
const incremental = (amount?: string, kind: 'hold-back' | 're-read' = 're-read'): ReadMode => ({
  kind: 'incremental',
  column: 'at',
  lag: amount === undefined ? undefined : { kind, amount },
})
type Dated = { readonly id: number; readonly at: string | null }

async function growing(
  t: Parameters<typeof source>[0],
  rows: () => readonly Dated[],
): Promise<{ readonly config: HttpConfig; readonly server: HttpSource }> {
  const server = await source(t, {
    paging: 'offset',
    rows: (_, query) => rows().filter(({ at }) => at === null || at >= (query.get('since') ?? '')),
  })
  return { server, config: configOf(server.url, streamOf('offset', { cursorParam: 'since' })) }
}

test('a later pass asks from the greatest value on and gives only what is new', async (t) => {
  let rows: Dated[] = range(25).map((id) => ({ id, at: day(25 - id) }))
  const { config, server } = await growing(t, () => rows)
  const first = await read(config, { mode: incremental() })
  t.is(first.rows.length, 25)
  t.deepEqual((first.marks[0]!.cursor as { next: number }).next, 10, 'in the middle: the next page')
  // One more with the greatest value itself, and one beyond it.
  rows = [...rows, { id: 100, at: day(25) }, { id: 101, at: day(26) }]
  const second = await read(config, { mode: incremental(), cursor: first.marks.at(-1)!.cursor })
  t.deepEqual(ids(second), [100, 101])
  t.true(server.requests.some(({ query }) => query.get('since') === day(25)))
  const third = await read(config, { mode: incremental(), cursor: second.marks.at(-1)!.cursor })
  t.deepEqual(third.rows, [])
})

test('an incremental pass cut anywhere and resumed gives every row once', async (t) => {
  const rows: Dated[] = range(33).map((id) => ({ id, at: day(1 + ((id * 7) % 28)) }))
  const { config } = await growing(t, () => rows)
  const whole = await read(config, { mode: incremental() })
  for (const mark of whole.marks) {
    const rest = await read(config, { mode: incremental(), cursor: mark.cursor, state: mark.state })
    t.deepEqual(ids(rest), ids(whole).slice(mark.rows))
    t.deepEqual(rest.marks.at(-1)?.cursor ?? mark.cursor, whole.marks.at(-1)?.cursor)
  }
})

test('a re-read window starts before the cursor, a hold-back window leaves young rows for later', async (t) => {
  const rows: Dated[] = range(10).map((id) => ({ id, at: day(id + 1) }))
  const { config } = await growing(t, () => rows)
  const first = await read(config, { mode: incremental('2d') })
  const again = await read(config, { mode: incremental('2d'), cursor: first.marks.at(-1)!.cursor })
  t.deepEqual(ids(again), [7, 8, 9])

  const at = (ms: number): ConnectorContext =>
    contextOf({ clock: { ...patientClock(), now: () => ms } })
  const early = await read(config, {
    mode: incremental('1d', 'hold-back'),
    context: at(Date.parse(day(8))),
  })
  t.deepEqual(ids(early), range(7))
  const later = await read(config, {
    mode: incremental('1d', 'hold-back'),
    context: at(Date.parse(day(30))),
    cursor: early.marks.at(-1)!.cursor,
  })
  t.deepEqual(ids(later), [7, 8, 9])
})

test('a page with rows that are held back is not skipped as unchanged later', async (t) => {
  const rows: Dated[] = range(4).map((id) => ({ id, at: day(id + 1) }))
  const server = await source(t, { paging: 'none', etag: true, rows: () => rows })
  const config = configOf(server.url, streamOf('none'))
  const mode = incremental('1d', 'hold-back')
  const at = (ms: number): ConnectorContext =>
    contextOf({ clock: { ...patientClock(), now: () => ms } })
  const early = await read(config, { mode, context: at(Date.parse(day(3))) })
  t.deepEqual(ids(early), [0, 1])
  const { cursor, state } = early.marks.at(-1)!
  t.deepEqual(
    ids(await read(config, { mode, cursor, state, context: at(Date.parse(day(20))) })),
    [2, 3],
  )
})

test('a range gives the rows in it and remembers nothing', async (t) => {
  const rows: Dated[] = [...range(20).map((id) => ({ id, at: day(id + 1) })), { id: 99, at: null }]
  const { config } = await growing(t, () => rows)
  const reading = await read(config, {
    mode: { kind: 'range', column: 'at', from: day(5), to: day(8) },
  })
  t.deepEqual(ids(reading), [4, 5, 6])
  t.deepEqual(reading.marks.at(-1)?.state, {})
})

test('a cursor column that no record has is refused', async (t) => {
  const server = await source(t, { paging: 'none' })
  const error = await t.throwsAsync(
    read(configOf(server.url, streamOf('none')), { mode: incremental() }),
  )
  t.is((error as HakiriError).code, 'CONFIG_INVALID')
})

test('a cursor of another kind is refused', async (t) => {
  const server = await source(t, { paging: 'none' })
  for (const cursor of [5, 'x', { next: [] }, { end: true, greatest: { value: 5 } }] as Json[]) {
    const error = await t.throwsAsync(read(configOf(server.url, streamOf('none')), { cursor }))
    t.is((error as HakiriError).code, 'STATE_INVALID')
  }
})

// ── Failures and limits ───────────────────────────────────────────────────────────────────────────

const REFUSALS: readonly (readonly [string, Fault, Code])[] = [
  ['401', { kind: 'status', status: 401 }, 'SOURCE_AUTH'],
  ['403', { kind: 'status', status: 403 }, 'SOURCE_AUTH'],
  [
    '403 with nothing left',
    { kind: 'status', status: 403, headers: { 'x-ratelimit-remaining': '0' } },
    'SOURCE_RATE',
  ],
  ['429', { kind: 'rate' }, 'SOURCE_RATE'],
  ['404', { kind: 'status', status: 404 }, 'SOURCE_FATAL'],
  ['503', { kind: 'status', status: 503 }, 'SOURCE_UNREACHABLE'],
  ['a cut body', { kind: 'cut' }, 'SOURCE_UNREACHABLE'],
  ['broken JSON', { kind: 'broken-json' }, 'SOURCE_DATA'],
  ['304 that was not asked for', { kind: 'status', status: 304 }, 'SOURCE_FATAL'],
  ['a body that never comes', { kind: 'hang' }, 'SOURCE_UNREACHABLE'],
  ['redirects without end', { kind: 'redirect', to: '/items' }, 'SOURCE_FATAL'],
]

for (const [what, fault, code] of REFUSALS) {
  test(`${what} is ${code}`, async (t) => {
    const server = await source(t, { paging: 'none', fault: () => fault })
    const config = configOf(server.url, streamOf('none'), {
      timeoutMs: fault.kind === 'hang' ? 200 : 10_000,
    })
    const options = { retries: { retriesMax: 1, firstMs: 1, mostMs: 1 } }
    const error = await t.throwsAsync(read(config, { options }))
    t.is((error as HakiriError).code, code, error?.message)
  })
}

test('records at a pointer to nothing, and bodies over the limit, are SOURCE_DATA', async (t) => {
  const server = await source(t, { paging: 'none' })
  for (const config of [
    configOf(server.url, streamOf('none', { records: '/data' })),
    configOf(server.url, streamOf('none'), { bodyBytesMax: 100 }),
  ]) {
    const error = await t.throwsAsync(read(config))
    t.is((error as HakiriError).code, 'SOURCE_DATA')
  }
})

test('a server that nobody runs is SOURCE_UNREACHABLE after bounded retries', async (t) => {
  const server = await source(t, { paging: 'none' })
  await server[Symbol.asyncDispose]()
  const context = contextOf()
  const error = await t.throwsAsync(read(configOf(server.url, streamOf('none')), { context }))
  t.is((error as HakiriError).code, 'SOURCE_UNREACHABLE')
  t.is(context.counted.retries, 20)
})

test('Retry-After is waited for, as seconds and as a date, and reported when it is too long', async (t) => {
  const clock = patientClock()
  const inFive = new Date(clock.now() + 5_000).toUTCString()
  for (const retryAfter of ['5', inFive]) {
    const server = await source(t, {
      paging: 'none',
      fault: (index) => (index === 0 ? { kind: 'rate', retryAfter } : undefined),
    })
    const context = contextOf()
    t.is((await read(configOf(server.url, streamOf('none')), { context })).rows.length, 25)
    const { waits } = context.clock as ReturnType<typeof patientClock>
    t.true(waits[0]! >= 5_000 && waits[0]! < 6_000, String(waits))
  }
  const server = await source(t, {
    paging: 'none',
    fault: () => ({ kind: 'rate', retryAfter: '3600' }),
  })
  const error = await t.throwsAsync(read(configOf(server.url, streamOf('none'))))
  t.is((error as HakiriError).retryAfterMs, 3_600_000)
  t.is(server.requests.length, 1)
})

test('a rate limit spaces the requests of all shards, after a burst', async (t) => {
  const server = await source(t, { paging: 'offset', rows: () => items(95) })
  const context = contextOf()
  await read(configOf(server.url, streamOf('offset')), {
    context,
    options: { requestsPerSecond: 2 },
  })
  const { waits } = context.clock as ReturnType<typeof patientClock>
  const waitedMs = waits.reduce((sum, ms) => sum + ms, 0)
  t.true(waitedMs >= ((server.requests.length - 2) * 1000) / 2, `${waitedMs} ms`)
})

test('every request, tries again included, is admitted by whoever shares the limit, who hears of each 429', async (t) => {
  const server = await source(t, {
    paging: 'link',
    rows: () => items(35),
    fault: (index) => (index === 1 ? { kind: 'rate', retryAfter: '7' } : undefined),
  })
  let admitted = 0
  const slowedDown: number[] = []
  const context = contextOf({
    admit: async (signal) => {
      t.false(signal.aborted)
      // What was sent was admitted before.
      t.true(server.requests.length <= admitted)
      admitted++
    },
    slowDown: (waitMs) => void slowedDown.push(waitMs),
  })
  await read(configOf(server.url, streamOf('link')), { context })
  t.is(admitted, server.requests.length)
  t.is(admitted, 5)
  t.is(slowedDown.length, 1)
  t.true(slowedDown[0]! >= 7_000)
})

test('a request that is not admitted is not sent', async (t) => {
  const server = await source(t, { paging: 'none' })
  const context = contextOf({ admit: () => Promise.reject(new Error('not now')) })
  await t.throwsAsync(read(configOf(server.url, streamOf('none')), { context }), {
    message: 'not now',
  })
  t.is(server.requests.length, 0)
})

const AUTHS: readonly (readonly [
  HttpConfig['auth'],
  (request: HttpSource['requests'][number]) => unknown,
  string,
])[] = [
  [{ kind: 'bearer', token: 'env:T' }, ({ headers }) => headers.authorization, 'Bearer value-of-T'],
  [
    { kind: 'basic', username: 'me', password: 'env:T' },
    ({ headers }) => headers.authorization,
    `Basic ${btoa('me:value-of-T')}`,
  ],
  [
    { kind: 'header', name: 'X-Key', value: 'env:T' },
    ({ headers }) => headers['x-key'],
    'value-of-T',
  ],
  [{ kind: 'query', name: 'key', value: 'env:T' }, ({ query }) => query.get('key'), 'value-of-T'],
]

for (const [auth, sent, expected] of AUTHS) {
  test(`${auth!.kind} credentials go to the own origin only, and are kept nowhere`, async (t) => {
    const other = await source(t, { paging: 'link', etag: true })
    let hops = 0
    const own = await source(t, {
      paging: 'none',
      rows: () => [`{"items":[{"id":-1}],"next":"${other.url}/items?key=echoed"}`],
      fault: (index) =>
        index === 1 && hops++ === 0 ? { kind: 'redirect', to: `${other.url}/items` } : undefined,
    })
    const stream = streamOf('next-url', {
      records: '/0/items',
      paging: { kind: 'next-url', next: '/0/next' },
    })
    const config = configOf(own.url, stream, { auth, headers: { 'x-team': 'env:TEAM' } })
    // The answers of the other origin have no /0/items: the pass fails there, after asking.
    const error = await t.throwsAsync(read(config))
    t.is((error as HakiriError).code, 'SOURCE_DATA')
    t.is(sent(own.requests[0]!), expected)
    t.is(own.requests[0]!.headers['x-team'], 'value-of-TEAM')
    t.true(other.requests.length > 0)
    for (const request of other.requests) {
      t.false(JSON.stringify([request.headers, ...request.query]).includes('value-of-'))
    }
    await read(configOf(own.url, streamOf('none'), { auth }))
    const redirected = other.requests.at(-1)!
    t.is(redirected.headers.authorization, undefined)
  })
}

test('a link that repeats the credential is kept without it', async (t) => {
  const server = await source(t, {
    paging: 'none',
    etag: true,
    rows: (_, query) =>
      query.has('p')
        ? ['{"items":[]}']
        : ['{"items":[{"id":1}],"next":"/items?p=2&key=value-of-T"}'],
  })
  const stream = streamOf('next-url', {
    records: '/0/items',
    paging: { kind: 'next-url', next: '/0/next' },
  })
  const reading = await read(
    configOf(server.url, stream, { auth: { kind: 'query', name: 'key', value: 'env:T' } }),
  )
  t.is(reading.marks.length, 2)
  t.false(JSON.stringify(reading.marks).includes('value-of-T'))
  t.is(server.requests[1]?.query.get('key'), 'value-of-T')
})

test('a base with credentials or of another scheme is refused without showing it', async (t) => {
  for (const base of ['http://me:pass-word@127.0.0.1/', 'ftp://127.0.0.1', 'nonsense']) {
    const error = await t.throwsAsync(read(configOf(base, streamOf('none'))))
    t.is((error as HakiriError).code, 'CONFIG_INVALID')
    t.false(error?.message.includes('pass-word'))
  }
})

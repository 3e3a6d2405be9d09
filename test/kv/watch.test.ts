/** Watches: the promises of a stream, as validators over random histories; and the rules one by one. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import { createKvLoader, createKvStore } from '../../coord/kv/store.ts'
import type { DeleteRangeRequest, KvCommand, KvStore } from '../../coord/kv/types.ts'
import type { PutRequest, RequestOp } from '../../coord/kv/types.ts'
import { createWatchHub } from '../../coord/kv/watch-hub.ts'
import type { WatchAnswer, WatchHub, WatchRequest } from '../../coord/kv/watch-types.ts'
import type { WatchStream } from '../../coord/kv/watch-types.ts'
import { LIMITS, bytes, kvCommand, plainEvent, scriptOf, watchedRange } from './commands.ts'
import { Model, text } from './model.ts'
import type { ModelEvent } from './model.ts'

const BYTES_MAX = 1_000_000
const WATCH: WatchRequest = {
  key: bytes('a'),
  rangeEnd: bytes(''),
  startRevision: 0,
  watchId: 0,
  withPrevKv: false,
  skipPuts: false,
  skipDeletes: false,
  progressNotify: false,
}
function put(key: string, value = '1'): KvCommand {
  const flags = { lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false }
  return { kind: 'put', request: { key: bytes(key), value: bytes(value), ...flags } }
}
const remove = (key: string): KvCommand => ({
  kind: 'delete-range',
  request: { key: bytes(key), rangeEnd: bytes(''), prevKv: false },
})
const compact = (revision: number): KvCommand => ({
  kind: 'compact',
  request: { revision, physical: false },
})

type Lab = {
  store: KvStore
  readonly hub: WatchHub
  readonly stream: WatchStream
  readonly wakes: () => number
  readonly apply: (...commands: KvCommand[]) => void
  readonly all: (bytesMax?: number) => WatchAnswer[]
}

function lab(): Lab {
  const store = createKvStore(LIMITS)
  const hub = createWatchHub(store)
  let wakes = 0
  const stream = hub.open(() => (wakes += 1))
  return {
    store,
    hub,
    stream,
    wakes: () => wakes,
    apply(...commands) {
      for (const command of commands) {
        store.apply(command, 1)
        hub.advance()
      }
    },
    all: (bytesMax = BYTES_MAX) => drain(stream, bytesMax),
  }
}

function drain(stream: WatchStream, bytesMax: number): WatchAnswer[] {
  const answers: WatchAnswer[] = []
  for (let next = stream.take(bytesMax); next; next = stream.take(bytesMax)) answers.push(next)
  return answers
}

/** An answer in one line. */
function line(answer: WatchAnswer): string {
  const events = answer.events.map(
    ({ type, kv }) => `${type === 0 ? '+' : '-'}${text(kv.key)}@${kv.modRevision}`,
  )
  const flags = [
    answer.created ? 'created' : '',
    answer.canceled ? 'canceled' : '',
    answer.compactRevision ? `compacted ${answer.compactRevision}` : '',
    answer.cancelReason,
  ]
  return [`${answer.watchId} r${answer.revision}`, ...flags, ...events].filter(Boolean).join(' ')
}

/** What one watch was told, beside what it asked for. */
type Heard = {
  readonly request: WatchRequest
  readonly start: number
  readonly events: ModelEvent[]
  /** The highest revision that the client may take for seen. */
  seen: number
  isOver: boolean
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('apply'), command: kvCommand }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('create'),
      range: watchedRange,
      back: fc.integer({ min: -4, max: 8 }),
      flags: fc.nat(7),
      isNew: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take'), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel'), id: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('progress') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('install'),
      missed: fc.array(kvCommand, { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reconnect') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tick') }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** A client that believes what it is told, and a judge who knows what happened. */
class Client {
  readonly heard = new Map<number, Heard>()
  readonly model = new Model()
  readonly #t: ExecutionContext
  readonly #bytesMax: number
  readonly #image = new Map<string, Uint8Array>()
  readonly #asked: { request: WatchRequest; start: number }[] = []
  #store = createKvStore(LIMITS)
  #hub = createWatchHub(this.#store)
  #wakes = 0
  #stream = this.#open()
  #index = 0
  #nowMs = 0

  constructor(t: ExecutionContext, bytesMax: number) {
    this.#t = t
    this.#bytesMax = bytesMax
  }

  do(step: Step): void {
    if ('command' in step) return this.#apply(step.command)
    if ('range' in step) return this.#create(step)
    if ('count' in step) return this.#take(step.count)
    if ('id' in step) return this.#cancel(step.id)
    if (step.kind === 'progress') return this.#stream.requestProgress()
    if (step.kind === 'advance') return this.#hub.advance()
    if ('missed' in step) return this.#install(step.missed)
    if (step.kind === 'reconnect') return this.#reconnect()
    this.#nowMs += 700_000
    this.#hub.tick(this.#nowMs)
  }

  /** When all is taken, every watch has heard all there was for it. */
  finish(): void {
    this.#hub.advance()
    this.#take(10_000)
    for (const heard of this.heard.values()) {
      if (!heard.isOver) heard.seen = Math.max(heard.seen, this.model.revision)
      this.#judge(heard)
    }
  }

  #open(): WatchStream {
    this.#wakes = 0
    return this.#hub.open(() => (this.#wakes += 1))
  }

  #apply(command: KvCommand): void {
    this.#index += 1
    const isWellFormed = this.#store.check(command) === undefined
    if (command.kind === 'compact') this.#hub.advance()
    this.#store.apply(command, this.#index)
    if (isWellFormed) this.model.apply(command, this.#index)
  }

  #create(wish: {
    range: { key: Uint8Array; rangeEnd: Uint8Array }
    back: number
    flags: number
    isNew: boolean
  }): void {
    const { revision } = this.#store
    const start = wish.isNew ? 0 : Math.max(1, revision - wish.back)
    const { key, rangeEnd } = wish.range
    const request: WatchRequest = {
      key,
      rangeEnd,
      startRevision: start,
      watchId: 0,
      progressNotify: true,
      withPrevKv: (wish.flags & 1) !== 0,
      skipPuts: (wish.flags & 2) !== 0,
      skipDeletes: (wish.flags & 4) !== 0,
    }
    this.#stream.create(request)
    const end = text(rangeEnd)
    if (end !== '' && end !== '\0' && text(key) >= end) return
    this.#asked.push({ request, start: start === 0 ? revision + 1 : start })
  }

  #cancel(id: number): void {
    this.#stream.cancel(id)
    const heard = this.heard.get(id)
    if (heard) heard.isOver = true
  }

  #take(count: number): void {
    for (let i = 0; i < count; i += 1) {
      const answer = this.#stream.take(this.#bytesMax)
      if (!answer) return
      this.#wakes = 0
      this.#hear(answer)
    }
  }

  #hear(answer: WatchAnswer): void {
    if (answer.watchId === -1) {
      if (answer.created) return
      // Bookmarkable: nothing up to here may come later, for any watch of the stream.
      for (const heard of this.heard.values()) if (!heard.isOver) this.#bookmark(heard, answer)
      this.#t.is(this.#asked.length, 0)
      return
    }
    if (answer.created) {
      const asked = this.#asked.shift()
      this.#t.truthy(asked)
      if (!asked) return
      this.heard.set(answer.watchId, { ...asked, events: [], seen: asked.start - 1, isOver: false })
      return
    }
    const heard = this.heard.get(answer.watchId)
    this.#t.truthy(heard, 'created comes first')
    if (!heard) return
    if (answer.canceled) {
      if (answer.compactRevision > 0) this.#t.true(heard.seen + 1 < answer.compactRevision)
      heard.isOver = true
      return
    }
    this.#t.false(heard.isOver)
    if (answer.events.length === 0) return this.#bookmark(heard, answer)
    heard.events.push(...answer.events.map((event) => plainEvent(event) as ModelEvent))
    const last = heard.events.at(-1)
    this.#t.true((last?.revision ?? 0) <= answer.revision)
    heard.seen = answer.revision
    this.#judge(heard)
  }

  #bookmark(heard: Heard, { revision }: WatchAnswer): void {
    this.#t.true(revision >= heard.start - 1, 'no progress below the start (etcd 20221)')
    this.#t.true(revision >= heard.seen)
    heard.seen = revision
    this.#judge(heard)
  }

  /** Ordered, unique, atomic, reliable, filtered, with the value before: exactly what the model has. */
  #judge({ request, start, events, seen }: Heard): void {
    const range = { key: text(request.key), end: text(request.rangeEnd) }
    const expected = this.model
      .eventsOf(range, start, seen)
      .filter(({ type }) => !(type === 'put' ? request.skipPuts : request.skipDeletes))
    const plain = expected.map((event) => ({ ...event, before: undefined }))
    this.#t.deepEqual(
      events.map((event) => ({ ...event, before: undefined })),
      plain,
    )
    for (const [i, { before }] of events.entries()) {
      const isThere = before !== undefined || !request.withPrevKv
      if (before) this.#t.deepEqual(before, expected[i]?.before)
      // The value before may be gone only by a compaction.
      else if (!isThere && expected[i]?.before)
        this.#t.true((expected[i]?.revision ?? 0) <= this.model.compact)
    }
  }

  /** A snapshot brings what this member has not applied itself. */
  #install(missed: readonly KvCommand[]): void {
    for (const { key, value } of this.#store.takeImageChanges())
      if (value) this.#image.set(text(key), value)
      else this.#image.delete(text(key))
    const loader = createKvLoader(LIMITS)
    const names = [...this.#image.keys()].toSorted((a, b) => (a < b ? -1 : 1))
    loader.add(names.map((name) => ({ key: bytes(name), value: this.#image.get(name)! })))
    const old = this.#store
    this.#store = loader.finish()
    for (const command of missed) {
      this.#index += 1
      const isWellFormed = this.#store.check(command) === undefined
      this.#store.apply(command, this.#index)
      if (isWellFormed) this.model.apply(command, this.#index)
    }
    this.#t.true(this.#store.revision >= old.revision)
    this.#hub.replaceStore(this.#store)
  }

  /** Resumable: after a reconnect each watch goes on behind what it has heard, and misses nothing. */
  #reconnect(): void {
    this.#stream[Symbol.dispose]()
    this.#stream = this.#open()
    const alive = [...this.heard.values()].filter(({ isOver }) => !isOver)
    this.heard.clear()
    this.#asked.length = 0
    for (const [id, old] of alive.entries()) {
      const startRevision = old.seen + 1
      this.#stream.create({ ...old.request, startRevision })
      const answer = this.#stream.take(this.#bytesMax)
      this.#t.like(answer, { created: true, watchId: id })
      this.heard.set(id, old)
    }
  }
}

test('K2: a watch hears all that happened in its range, once, in order, whole revisions', (t) => {
  const property = fc.property(
    scriptOf(step, 80),
    fc.constantFrom(1, 100, BYTES_MAX),
    (steps, bytesMax) => {
      const client = new Client(t, bytesMax)
      for (const each of steps) client.do(each)
      client.finish()
    },
  )
  fc.assert(property, { numRuns: 600 })
})

test('all events of a revision come in one answer, however small the answers are', (t) => {
  const { stream, apply, all } = lab()
  stream.create({ ...WATCH, rangeEnd: bytes('z') })
  const ops = ['a', 'b', 'c'].map((key) => put(key).request)
  const success = ops.map((requestPut) => ({ requestPut: requestPut as never }))
  apply({ kind: 'txn', request: { compare: [], success, failure: [] } }, put('d'))
  t.deepEqual(all(1).map(line), ['0 r1 created', '0 r2 +a@2 +b@2 +c@2', '0 r3 +d@3'])
})

test('a start in the future hears neither older events nor progress below it (etcd 20221)', (t) => {
  const { stream, apply, all } = lab()
  stream.create({ ...WATCH, startRevision: 4 })
  apply(put('a'))
  stream.requestProgress()
  t.deepEqual(
    all().map(line),
    ['0 r2 created'].map((text) => text.replace('r2', 'r1')),
  )
  apply(put('a'))
  t.deepEqual(all().map(line), ['-1 r3'])
  apply(put('a'))
  t.deepEqual(all().map(line), ['0 r4 +a@4'])
})

test('progress never overtakes an event (etcd 15220)', (t) => {
  const { stream, apply, all } = lab()
  stream.create(WATCH)
  apply(put('a'), put('x'))
  stream.requestProgress()
  t.deepEqual(all().map(line), ['0 r1 created', '0 r3 +a@2', '-1 r3'])
})

test('a start below the compaction is created and then told where history begins', (t) => {
  const { stream, apply, all } = lab()
  apply(put('a'), put('a'), put('a'), compact(3))
  stream.create({ ...WATCH, startRevision: 2 })
  stream.create({ ...WATCH, startRevision: 3 })
  const expected = ['0 r4 created', '1 r4 created', '0 r4 canceled compacted 3', '1 r4 +a@3 +a@4']
  t.deepEqual(all().map(line), expected)
})

test('a deletion at the revision of the compaction is heard (etcd 18089, 19179)', (t) => {
  const { stream, apply, all } = lab()
  apply(put('a'), remove('a'), compact(3))
  stream.create({ ...WATCH, startRevision: 3 })
  t.deepEqual(all().map(line), ['0 r3 created', '0 r3 -a@3'])
})

test('a slow consumer is late or told so, never skipped (etcd 17529)', (t) => {
  const { stream, apply, all } = lab()
  stream.create(WATCH)
  stream.create({ ...WATCH, key: bytes('b') })
  apply(put('a'), put('b'), put('a'), put('b'), compact(4))
  const heard = ['0 r1 created', '1 r1 created', '0 r5 canceled compacted 4']
  t.deepEqual(all().map(line), [...heard, '1 r5 canceled compacted 4'])
})

test('what cannot be watched is refused in one answer that names no watch', (t) => {
  const { stream, all } = lab()
  stream.create({ ...WATCH, startRevision: -1 })
  stream.create({ ...WATCH, key: bytes('b'), rangeEnd: bytes('a') })
  stream.create({ ...WATCH, watchId: 7 })
  stream.create({ ...WATCH, watchId: 7 })
  t.deepEqual(all().map(line), [
    '-1 r1 created canceled etcdserver: mvcc: required revision has been compacted',
    '-1 r1 created canceled mvcc: watcher range is empty',
    '7 r1 created',
    '-1 r1 created canceled mvcc: duplicate watch ID provided on the WatchStream',
  ])
})

test('a cancelled watch is silent after its answer, and an unknown one has none', (t) => {
  const { stream, hub, apply, all } = lab()
  stream.create(WATCH)
  apply(put('a'))
  stream.cancel(0)
  stream.cancel(5)
  apply(put('a'))
  t.deepEqual(all().map(line), ['0 r1 created', '0 r2 canceled'])
  t.is(hub.watchCount, 0)
})

test('no key means the smallest, and the end "\\0" everything from the key on', (t) => {
  const { stream, apply, all } = lab()
  stream.create({ ...WATCH, key: bytes('') })
  stream.create({ ...WATCH, key: bytes(''), rangeEnd: bytes('\0') })
  apply(put('\0'), put('\xff'))
  t.deepEqual(all().slice(2).map(line), ['0 r3 +\0@2', '1 r3 +\0@2 +\xff@3'])
})

test('a consumer is woken once until it takes, and a stream that ends is woken no more', (t) => {
  const { stream, hub, apply, all, wakes } = lab()
  stream.create(WATCH)
  all()
  const before = wakes()
  apply(put('a'), put('a'), put('x'))
  t.is(wakes(), before + 1)
  all()
  apply(put('x'))
  t.is(wakes(), before + 1)
  stream[Symbol.dispose]()
  apply(put('a'))
  t.is(wakes(), before + 1)
  t.is(stream.take(BYTES_MAX), undefined)
  t.deepEqual([hub.streamCount, hub.watchCount], [0, 0])
})

test('a quiet watch that asked for it hears of the revision after about ten minutes', (t) => {
  const { stream, hub, apply, all } = lab()
  stream.create({ ...WATCH, progressNotify: true })
  stream.create({ ...WATCH, key: bytes('b'), progressNotify: true })
  stream.create({ ...WATCH, key: bytes('c') })
  all()
  hub.tick(0)
  apply(put('a'), put('x'))
  hub.tick(500_000)
  t.deepEqual(all().map(line), ['0 r3 +a@2'])
  hub.tick(661_000)
  t.deepEqual(all().map(line), ['1 r3'])
  hub.tick(661_000 * 2)
  apply(put('b'))
  t.deepEqual(all().map(line), ['1 r4 +b@4', '0 r4'])
})

test('watches on the same range are given the same events, read once', (t) => {
  const { stream, apply, all } = lab()
  for (let i = 0; i < 3; i += 1) stream.create(WATCH)
  stream.create({ ...WATCH, withPrevKv: true })
  apply(put('a', 'old'))
  t.is(all().length, 8)
  apply(put('a'))
  const [first, second, third, other] = all()
  t.is(first?.events.length, 1)
  t.is(first?.events[0]?.prevKv, undefined)
  t.is(text(other?.events[0]?.prevKv?.value ?? bytes('')), 'old')
  t.is(first?.events, second?.events)
  t.is(first?.events, third?.events)
})

test('the value before is the one before the revision, not within it', (t) => {
  const { stream, apply, all } = lab()
  apply(put('a', 'old'))
  stream.create({ ...WATCH, withPrevKv: true })
  const nested = (op: RequestOp): RequestOp => ({
    requestTxn: { compare: [], success: [op], failure: [] },
  })
  const requestPut = put('a', 'new').request as PutRequest
  const requestDeleteRange = remove('a').request as DeleteRangeRequest
  const success = [nested({ requestPut }), nested({ requestDeleteRange })]
  apply({ kind: 'txn', request: { compare: [], success, failure: [] } })
  const events = all()[1]?.events ?? []
  const values = events.map(({ type, prevKv }) => [type, text(prevKv?.value ?? bytes(''))])
  t.deepEqual(values, [
    [0, 'old'],
    [1, 'old'],
  ])
})

/** The store against its model, its image, and the sentences of the API that clients depend on. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import { leapRecord } from '../../coord/kv/image-records.ts'
import { createKvLoader, createKvStore } from '../../coord/kv/store.ts'
import type { ImageChange, KvCommand, KvLimits, KvStore } from '../../coord/kv/types.ts'
import type { PutRequest, RangeRequest, RequestOp, TxnRequest } from '../../coord/kv/types.ts'
import { LIMITS, bytes, kvCommand, plainEvent, plainOutcome, plainRange } from './commands.ts'
import { plainTxn, rangeRequest, scriptOf, toEntry, txnRequest } from './commands.ts'
import { Model, text } from './model.ts'
import { RANGE_DEFAULTS } from '../../coord/client/range-defaults.ts'

const ALL = { key: bytes('\0'), rangeEnd: bytes('\0') }
const RANGE: RangeRequest = { ...RANGE_DEFAULTS, key: bytes('a') }
const PUT: PutRequest = {
  key: bytes('a'),
  value: bytes('1'),
  lease: 0n,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
}

function put(key: string, value = '1', fields: Partial<PutRequest> = {}): KvCommand {
  return { kind: 'put', request: { ...PUT, key: bytes(key), value: bytes(value), ...fields } }
}
function remove(key: string, rangeEnd = ''): KvCommand {
  const request = { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false }
  return { kind: 'delete-range', request }
}
const compact = (revision: number): KvCommand => ({
  kind: 'compact',
  request: { revision, physical: false },
})
const grant = (id: bigint, ttl = 10): KvCommand => ({ kind: 'lease-grant', request: { id, ttl } })
const revoke = (id: bigint): KvCommand => ({ kind: 'lease-revoke', request: { id } })
const txn = (fields: Partial<TxnRequest>): KvCommand => ({
  kind: 'txn',
  request: { compare: [], success: [], failure: [], ...fields },
})
const putOp = (key: string, fields: Partial<PutRequest> = {}): RequestOp => ({
  requestPut: { ...PUT, key: bytes(key), ...fields },
})
const deleteOp = (key: string, rangeEnd = ''): RequestOp => ({
  requestDeleteRange: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false },
})
const nested = (...success: RequestOp[]): RequestOp => ({
  requestTxn: { compare: [], success, failure: [] },
})

function storeWith(...commands: KvCommand[]): KvStore {
  const store = createKvStore(LIMITS)
  commands.forEach((command, index) => store.apply(command, index))
  return store
}

/** What a command was refused for, or "ok". */
function verdict(store: KvStore, command: KvCommand): string {
  const { outcome } = store.apply(command, 99)
  return outcome.ok ? 'ok' : outcome.error
}

/** The image as a disk would have it: each batch on top of those before. */
function save(image: Map<string, Uint8Array>, changes: readonly ImageChange[]): void {
  const seen = new Set<string>()
  for (const { key, value } of changes) {
    const name = text(key)
    if (seen.has(name)) throw new Error('a batch names a record twice')
    seen.add(name)
    if (!value) image.delete(name)
    else image.set(name, Uint8Array.from(value))
  }
}

function load(image: ReadonlyMap<string, Uint8Array>, limits: KvLimits = LIMITS): KvStore {
  const names = [...image.keys()].toSorted((a, b) => (a < b ? -1 : 1))
  const loader = createKvLoader(limits)
  for (let i = 0; i < names.length; i += 3)
    loader.add(names.slice(i, i + 3).map((name) => ({ key: bytes(name), value: image.get(name)! })))
  return loader.finish()
}

function inOrder(image: ReadonlyMap<string, Uint8Array>): readonly [string, Uint8Array][] {
  return [...image].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Everything that can be seen of a store from outside. */
function visible(store: KvStore): unknown {
  const revisions = []
  for (let at = Math.max(1, store.compactRevision); at <= store.revision; at += 1) {
    const state = store.range({ ...RANGE, ...ALL, revision: at })
    revisions.push([state.ok && plainRange(state.value), store.hash(at)])
  }
  const events = store.eventsSince(Math.max(1, store.compactRevision), ALL, 2 ** 30, true)
  const leases = store.leases().map((lease) => [lease, store.leaseKeys(lease.id).map(text)])
  const { revision, compactRevision, keyCount, sizeBytes, alarms } = store
  const shape = { revision, compactRevision, keyCount, sizeBytes, alarms }
  return { ...shape, leases, revisions, events: events.ok && events.value.events.map(plainEvent) }
}

test('every answer is the model’s, and so is every revision that can be read', (t) => {
  const script = scriptOf(fc.tuple(kvCommand, rangeRequest))
  const property = fc.property(script, (steps) => {
    const store = createKvStore(LIMITS)
    const model = new Model()
    for (const [index, [command, read]] of steps.entries()) {
      const malformed = store.check(command)
      const { outcome, revision } = store.apply(command, index)
      if (malformed) t.false(outcome.ok)
      else t.deepEqual(plainOutcome(outcome), model.apply(command, index))
      t.is(revision, model.revision)
      const found = store.range(read)
      const expected = model.range(read)
      t.deepEqual(found.ok ? { value: plainRange(found.value) } : { error: found.error }, expected)
    }
    agree(t, store, model)
  })
  fc.assert(property, { numRuns: 400 })
})

function agree(t: ExecutionContext, store: KvStore, model: Model): void {
  t.is(store.compactRevision, model.compact)
  t.is(store.keyCount, model.at(model.revision).size)
  t.is(store.sizeBytes, model.sizeBytes())
  for (let at = Math.max(1, model.compact); at <= model.revision; at += 1) {
    const read = { ...RANGE, ...ALL, revision: at }
    const found = store.range(read)
    t.deepEqual(found.ok && { value: plainRange(found.value) }, model.range(read) as object)
    for (const [key, entry] of model.at(at)) {
      const kv = store.keyAt(bytes(key), at)
      t.deepEqual(kv && toEntry(kv), entry)
    }
  }
  for (const { id, ttl, grantIndex } of store.leases()) {
    t.deepEqual(model.leases.get(id), { ttl, grantIndex })
    t.deepEqual(store.leaseKeys(id).map(text), model.leaseKeys(id))
  }
  t.is(store.leases().length, model.leases.size)
}

test('a store rebuilt from its image is the same store, and stays so', (t) => {
  const commands = scriptOf(kvCommand)
  const property = fc.property(
    commands,
    commands,
    fc.constantFrom(0, 1, 4, 99),
    (before, after, pace) => {
      const store = createKvStore(LIMITS)
      const image = new Map<string, Uint8Array>()
      for (const [index, command] of before.entries()) {
        store.apply(command, index)
        if (index % (pace + 1) === 0) save(image, store.takeImageChanges())
      }
      save(image, store.takeImageChanges())
      t.deepEqual(store.takeImageChanges(), [])
      const again = load(image)
      t.deepEqual(again.takeImageChanges(), [])
      t.deepEqual(visible(again), visible(store))
      const other = new Map(image)
      for (const [index, command] of after.entries())
        t.deepEqual(again.apply(command, 1000 + index), store.apply(command, 1000 + index))
      save(image, store.takeImageChanges())
      save(other, again.takeImageChanges())
      t.deepEqual(visible(again), visible(store))
      t.deepEqual(inOrder(other), inOrder(image))
    },
  )
  fc.assert(property, { numRuns: 200 })
})

test('a transaction that reads answers like one that goes through the log', (t) => {
  const property = fc.property(scriptOf(kvCommand, 30), txnRequest, (script, asked) => {
    const reading = ({ success, failure, ...rest }: TxnRequest): TxnRequest => ({
      ...rest,
      success: success.filter(({ requestRange }) => requestRange),
      failure: failure.filter(({ requestRange }) => requestRange),
    })
    const store = storeWith(...script)
    const { revision } = store
    const read = store.readTxn(reading(asked))
    const applied = store.apply({ kind: 'txn', request: reading(asked) }, 77)
    t.is(applied.revision, revision)
    const expected = read.ok ? { value: plainTxn(read.value) } : { error: read.error }
    t.deepEqual(plainOutcome(applied.outcome), expected)
  })
  fc.assert(property, { numRuns: 200 })
})

test('K1: the first write is revision 2, and what changes nothing takes no revision', (t) => {
  const store = createKvStore(LIMITS)
  t.is(store.revision, 1)
  for (const idle of [remove('x'), grant(5n), txn({ failure: [putOp('a')] }), revoke(5n)])
    t.is(store.apply(idle, 1).revision, 1)
  t.is(store.apply(put('a'), 2).revision, 2)
  t.is(store.apply(txn({ success: [putOp('b'), putOp('c'), deleteOp('a')] }), 3).revision, 3)
  t.is(store.apply(compact(3), 4).revision, 3)
})

test('version and create revision begin anew after a deletion', (t) => {
  const store = storeWith(put('a'), put('a'), remove('a'), put('a'))
  const kv = store.keyAt(bytes('a'), 5)
  t.like(kv, { version: 1, createRevision: 5, modRevision: 5 })
})

test('malformed requests are refused with the code clients know, whatever the store holds', (t) => {
  const many = Array.from({ length: 129 }, (_, i) => putOp(`k${i}`))
  const cases: readonly [KvCommand, string][] = [
    [put(''), 'empty-key'],
    [put('a', 'v', { ignoreValue: true }), 'value-provided'],
    [put('a', 'v', { ignoreLease: true, lease: 3n }), 'lease-provided'],
    [remove(''), 'empty-key'],
    [txn({ success: many }), 'too-many-operations'],
    [txn({ success: many.slice(1) }), 'ok'],
    [txn({ failure: [nested(...many.slice(2)), putOp('z')] }), 'too-many-operations'],
    [txn({ success: [{}] }), 'key-not-found'],
    [txn({ success: [putOp('a'), putOp('a')] }), 'duplicate-key'],
    [txn({ success: [putOp('a')], failure: [putOp('a')] }), 'ok'],
    [txn({ success: [putOp('b'), deleteOp('a', 'c')] }), 'duplicate-key'],
    [txn({ success: [putOp('b'), deleteOp('a', '\0')] }), 'duplicate-key'],
    [txn({ success: [putOp('b'), deleteOp('c', 'a')] }), 'ok'],
    [txn({ success: [putOp('b'), nested(deleteOp('b'))] }), 'duplicate-key'],
    [txn({ success: [nested(deleteOp('b')), nested(putOp('b'))] }), 'duplicate-key'],
    [txn({ success: [nested(putOp('b')), nested(deleteOp('b'))] }), 'ok'],
    [txn({ success: [{ requestRange: { ...RANGE, sortOrder: 3 } }] }), 'invalid-sort-option'],
    [txn({ success: [{ requestRange: { ...RANGE, sortTarget: 5 } }] }), 'invalid-sort-option'],
    [
      txn({ compare: [{ result: 0, target: 0, key: bytes(''), rangeEnd: bytes('') }] }),
      'empty-key',
    ],
    [grant(1n, 9_000_000_001), 'lease-ttl-too-large'],
    [grant(2n, 9_000_000_000), 'ok'],
  ]
  for (const [command, expected] of cases) {
    t.is(storeWith().check(command) ?? 'ok', expected)
    t.is(verdict(storeWith(), command), expected)
  }
})

test('only the branch that is taken is checked, before anything is written (etcd 18667)', (t) => {
  const store = storeWith(put('a'), put('b'), compact(3))
  const old: RequestOp = { requestRange: { ...RANGE, revision: 2 } }
  const future: RequestOp = { requestRange: { ...RANGE, revision: 5 } }
  const before = visible(store)
  t.is(verdict(store, txn({ success: [putOp('c'), old] })), 'compacted')
  t.is(verdict(store, txn({ success: [putOp('c'), future] })), 'future-revision')
  t.is(verdict(store, txn({ success: [putOp('c'), putOp('d', { lease: 9n })] })), 'lease-not-found')
  t.deepEqual(visible(store), before)
  t.is(
    verdict(store, txn({ success: [putOp('c')], failure: [old, putOp('d', { lease: 9n })] })),
    'ok',
  )
})

test('a deletion at the revision of a compaction is still an event (etcd 18089, 19179)', (t) => {
  const store = storeWith(put('a'), put('b'), remove('a'), compact(4))
  const found = store.eventsSince(4, ALL, 1000)
  t.deepEqual(
    found.ok && found.value.events.map(({ type, kv }) => [type, text(kv.key), kv.modRevision]),
    [[1, 'a', 4]],
  )
  t.deepEqual(store.eventsSince(3, ALL, 1000), { ok: false, error: 'compacted' })
  store.apply(put('b'), 9)
  store.apply(compact(5), 9)
  t.is(store.keyAt(bytes('a'), 5), undefined)
})

test('a lease takes all its keys along in one revision, in order (L7)', (t) => {
  const leased = { lease: 4n }
  const store = storeWith(
    grant(4n),
    put('c', '', leased),
    put('a', '', leased),
    put('b', '', leased),
  )
  store.apply(put('b'), 9)
  t.deepEqual(store.leaseKeys(4n).map(text), ['a', 'c'])
  const { revision } = store.apply(revoke(4n), 9)
  const found = store.eventsSince(revision, ALL, 1000)
  t.deepEqual(found.ok && found.value.events.map(({ kv }) => text(kv.key)), ['a', 'c'])
  t.is(verdict(store, revoke(4n)), 'lease-not-found')
})

test('a lease that was granted anew is not expired in place of the old one', (t) => {
  const store = storeWith(grant(4n), revoke(4n), grant(4n))
  const expire: KvCommand = {
    kind: 'lease-expire',
    request: {
      leases: [
        { id: 4n, grantIndex: 0 },
        { id: 9n, grantIndex: 0 },
      ],
    },
  }
  t.deepEqual(store.apply(expire, 5).outcome, {
    ok: true,
    value: { kind: 'lease-expire', expired: [] },
  })
  t.like(store.lease(4n), { ttl: 10, grantIndex: 2 })
})

const SMALL = { ...LIMITS, quotaBytes: 10_000 }

test('a full store refuses what adds, and says so by an alarm that goes when space is free', (t) => {
  const store = createKvStore(SMALL)
  let stored = 0
  while (verdict(store, put('a', 'x'.repeat(500))) === 'ok') stored += 1
  t.true(stored > 10 && store.sizeBytes <= SMALL.quotaBytes)
  t.deepEqual(store.alarms, [{ member: 0n, alarm: 1 }])
  const image = new Map<string, Uint8Array>()
  save(image, store.takeImageChanges())
  t.deepEqual(visible(load(image, SMALL)), visible(store))
  for (const write of [put('b'), txn({ failure: [nested(putOp('b'))] }), grant(3n)])
    t.is(verdict(store, write), 'no-space')
  for (const write of [txn({ success: [deleteOp('b')] }), remove('b'), compact(store.revision)])
    t.is(verdict(store, write), 'ok')
  t.deepEqual(store.alarms, [])
  t.is(verdict(store, put('b')), 'ok')
  save(image, store.takeImageChanges())
  t.deepEqual(visible(load(image, SMALL)), visible(store))
})

test('an alarm that a member raised stays until somebody ends it', (t) => {
  const alarm = (isActive: boolean, member: bigint, kind: number): KvCommand => ({
    kind: 'alarm',
    request: { isActive, member, alarm: kind },
  })
  const store = storeWith(alarm(true, 8n, 1), alarm(true, 7n, 2))
  t.is(verdict(store, put('a')), 'no-space')
  t.deepEqual(store.alarms, [
    { member: 7n, alarm: 2 },
    { member: 8n, alarm: 1 },
  ])
  store.apply(alarm(false, 8n, 1), 3)
  t.is(verdict(store, put('a')), 'ok')
  store.apply(alarm(false, 0n, 0), 3)
  t.deepEqual(store.alarms, [])
})

test('a restored store keeps what its compaction keeps, and the same after a restart', (t) => {
  // Guards against a store whose values of before the backup stay for ever, and differ once it is loaded.
  const saved = createKvStore(LIMITS)
  const changes = new Map<string, ImageChange>()
  const save = (store: KvStore): void => {
    for (const change of store.takeImageChanges()) {
      const name = Buffer.from(change.key).toString('latin1')
      if (change.value) changes.set(name, change)
      else changes.delete(name)
    }
  }
  const load = (): KvStore => {
    const loader = createKvLoader(LIMITS)
    const sorted = [...changes].toSorted(([a], [b]) => (a < b ? -1 : 1))
    loader.add(sorted.flatMap(([, { key, value }]) => (value ? [{ key, value }] : [])))
    return loader.finish()
  }
  save(saved)
  t.is(changes.size, 1, 'an empty store has a head that can leap')
  for (const value of ['1', '2', '3', '4']) saved.apply(put('a', value), 1)
  saved.apply(put('b'), 2)
  saved.apply(remove('b'), 3)
  save(saved)
  for (const [name, { key, value }] of changes)
    if (value) changes.set(name, leapRecord({ key, value }, 1000))
  const restored = load()
  t.is(restored.revision, 1007)
  save(restored)
  t.is(changes.size, 2, 'the head and the last value of a')
  restored.apply(put('a', '5'), 4)
  restored.apply(compact(1008), 5)
  save(restored)
  t.deepEqual(load().hash(0), restored.hash(0))
})

test('a compaction gives the memory of old values back, and those who hold one keep it', (t) => {
  const store = createKvStore(LIMITS)
  for (let i = 0; i < 2000; i += 1) store.apply(put(`k${i % 20}`, `${i}`.padEnd(1024, '.')), i)
  const held = store.heldBytes
  const old = store.keyAt(bytes('k7'), 9)
  t.true(held > 2_000_000)
  store.apply(compact(store.revision), 1)
  t.true(store.heldBytes < held / 5)
  for (let i = 0; i < 500; i += 1) store.apply(put('other', 'y'.repeat(1024)), i)
  t.is(text(old?.value ?? bytes('')).slice(0, 3), '7..')
})

test('values that nobody touched survive when the slabs around them go', (t) => {
  const store = createKvStore(LIMITS)
  const cold = (i: number): string => `cold${i}`.padEnd(200, '.')
  for (let i = 0; i < 4000; i += 1) {
    if (i % 100 === 0) store.apply(put(`cold${i}`, cold(i)), i)
    store.apply(put('hot', `${i}`.padEnd(1024, '.')), i)
  }
  const before = store.hash(0)
  const held = store.heldBytes
  store.apply(compact(store.revision - 1), 1)
  t.true(store.heldBytes < held / 10)
  for (let i = 0; i < 4000; i += 100)
    t.is(text(store.keyAt(bytes(`cold${i}`), store.revision)?.value ?? bytes('')), cold(i))
  t.notDeepEqual(store.hash(0), before)
})

test('thousands of keys come and go, and are found in order', (t) => {
  const key = fc.tuple(fc.nat(1500), fc.boolean())
  const property = fc.property(fc.array(key, { maxLength: 3000, size: 'max' }), (steps) => {
    const store = createKvStore(LIMITS)
    const expected = new Set<string>()
    for (const [index, [number, isPut]] of steps.entries()) {
      const name = `k${number.toString(36)}`
      store.apply(isPut || number % 3 > 0 ? put(name) : remove(name), index)
      if (isPut || number % 3 > 0) expected.add(name)
      else expected.delete(name)
      if (index % 500 === 499) store.apply(compact(store.revision), index)
    }
    const found = store.range({ ...RANGE, ...ALL })
    const names = [...expected].toSorted((a, b) => (a < b ? -1 : 1))
    t.deepEqual(found.ok && found.value.kvs.map((kv) => text(kv.key)), names)
  })
  fc.assert(property, { numRuns: 20 })
})

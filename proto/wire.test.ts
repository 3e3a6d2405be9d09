import test from 'ava'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { camelName } from './names.ts'
import { parseAll, renderCodecs } from './generate.ts'
import * as auth from './gen/auth.ts'
import * as health from './gen/health.ts'
import * as kv from './gen/kv.ts'
import * as raft from './gen/raft.ts'
import * as rpc from './gen/rpc.ts'
import { DEPTH_MAX, WireError, encode, putBigint, putNumber, putVarint, written } from './wire.ts'

type Codec = {
  readonly encode: (value: object) => Buffer
  readonly decode: (bytes: Uint8Array) => object
}

const root = parseAll()
const MODULES: Readonly<Record<string, object>> = {
  mvccpb: kv,
  authpb: auth,
  etcdserverpb: rpc,
  'grpc.health.v1': health,
  'hakiri.coord': raft,
}

function typesOf(space: protobuf.NamespaceBase): protobuf.Type[] {
  return space.nestedArray.flatMap((item) =>
    item instanceof protobuf.Type
      ? [item]
      : item instanceof protobuf.Namespace
        ? typesOf(item)
        : [],
  )
}
const TYPES = typesOf(root)

function codecOf(type: protobuf.Type): Codec {
  const module = new Map<string, unknown>(
    Object.entries(MODULES[type.parent?.fullName.slice(1) ?? ''] ?? {}),
  )
  return {
    encode: module.get(`encode${type.name}`) as Codec['encode'],
    decode: module.get(`decode${type.name}`) as Codec['decode'],
  }
}

// ── Values of a type, from its description alone ─────────────────────────────────────────────────

const safeInt = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1)),
)
const safeNat = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 32, 2 ** 35, 2 ** 42, 2 ** 53 - 1),
)
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, -1n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)),
)
const uint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
)

function scalarArbitrary(field: protobuf.Field): fc.Arbitrary<unknown> {
  if (field.resolvedType instanceof protobuf.Enum)
    return fc.constantFrom(...Object.values(field.resolvedType.values))
  const isNumber = field.options?.['jstype'] === 'JS_NUMBER'
  switch (field.type) {
    case 'bool':
      return fc.boolean()
    case 'bytes':
      return fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
    case 'string':
      return fc.string({ unit: 'grapheme', maxLength: 100 })
    case 'uint32':
      return fc.nat(2 ** 32 - 1)
    case 'int64':
      return isNumber ? safeInt : int64
    case 'uint64':
      return isNumber ? safeNat : uint64
    default:
      throw new Error(`no values for ${field.type}`)
  }
}

/** Whole messages, as decoding gives them: every scalar and list is there. */
function messageArbitrary(type: protobuf.Type, depth: number): fc.Arbitrary<object> {
  const entries = type.fieldsArray.flatMap((field): [string, fc.Arbitrary<unknown>][] => {
    const nested = field.resolvedType instanceof protobuf.Type ? field.resolvedType : undefined
    if (nested && depth === 0)
      return field.repeated ? [[camelName(field.name), fc.constant([])]] : []
    const one = nested ? messageArbitrary(nested, depth - 1) : scalarArbitrary(field)
    const value = field.repeated ? fc.array(one, { maxLength: 4 }) : one
    return [[camelName(field.name), value]]
  })
  const always = new Map(entries)
  const choices = type.oneofsArray.map(({ fieldsArray }) =>
    fieldsArray.map(({ name }) => camelName(name)).filter((name) => always.has(name)),
  )
  const optional = type.fieldsArray
    .filter((field) => field.resolvedType instanceof protobuf.Type && !field.repeated)
    .map(({ name }) => camelName(name))
    .filter((name) => !choices.flat().includes(name) && always.has(name))
  const chosen = fc.tuple(
    ...choices.map((names) => fc.constantFrom<string | undefined>(undefined, ...names)),
  )
  return chosen.chain((picks) => {
    const left = entries.filter(([name]) => {
      const choice = choices.findIndex((names) => names.includes(name))
      return choice < 0 || picks[choice] === name
    })
    const requiredKeys = left.map(([name]) => name).filter((name) => !optional.includes(name))
    return fc.record(Object.fromEntries(left), { requiredKeys })
  })
}

/** The same message in the shape of the library: its own names, 64-bit numbers as text. */
function toLibrary(type: protobuf.Type, value: object): Record<string, unknown> {
  const fields = new Map<string, unknown>(Object.entries(value))
  const one = (field: protobuf.Field, item: unknown): unknown =>
    field.resolvedType instanceof protobuf.Type
      ? toLibrary(field.resolvedType, item as object)
      : typeof item === 'bigint' || field.type.endsWith('int64')
        ? String(item)
        : item
  return Object.fromEntries(
    type.fieldsArray.flatMap((field): [string, unknown][] => {
      const item = fields.get(camelName(field.name))
      if (item === undefined) return []
      return [
        [field.name, Array.isArray(item) ? item.map((part) => one(field, part)) : one(field, item)],
      ]
    }),
  )
}

/** What the library decodes, with the parts that it leaves out of a message by its own habits put right. */
function fromLibrary(type: protobuf.Type, bytes: Uint8Array): unknown {
  return type.toObject(type.decode(bytes), { longs: String, enums: Number, bytes: Buffer })
}

function withoutDefaults(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(withoutDefaults)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
      const plain = withoutDefaults(item)
      const isDefault =
        plain === 0 ||
        plain === '' ||
        plain === '0' ||
        plain === false ||
        (Array.isArray(plain) && plain.length === 0)
      return isDefault ? [] : [[key, plain]]
    }),
  )
}

for (const type of TYPES) {
  const codec = codecOf(type)
  const values = messageArbitrary(type, 3)
  const numRuns = type.fieldsArray.length > 4 ? 60 : 20

  test(`${type.name} comes back as it went, and another codec reads and writes the same`, (t) => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = codec.encode(value)
        t.deepEqual(codec.decode(bytes), value)
        const theirs = toLibrary(type, value)
        t.deepEqual(withoutDefaults(fromLibrary(type, bytes)), withoutDefaults(theirs))
        const written = type.encode(type.fromObject(theirs)).finish()
        t.deepEqual(codec.decode(written), value)
      }),
      { numRuns },
    )
  })
}

test('there is a codec for every message', (t) => {
  t.true(TYPES.length > 100)
  for (const type of TYPES) t.is(typeof codecOf(type).encode, 'function', type.name)
})

test('what was generated is what the .proto files say', async (t) => {
  const { readFile } = await import('node:fs/promises')
  for (const { path, text } of renderCodecs())
    t.is(await readFile(new URL(`../${path}`, import.meta.url), 'utf8'), text, path)
})

test('absent and default fields take no bytes, and come back as defaults', (t) => {
  t.is(rpc.encodePutRequest({}).length, 0)
  t.is(rpc.encodePutRequest({ key: Buffer.alloc(0), lease: 0n, prevKv: false }).length, 0)
  const empty = rpc.decodePutRequest(Buffer.alloc(0))
  t.is(empty.lease, 0n)
  t.is(empty.key.length, 0)
  t.false('prevKv' in rpc.decodePutResponse(Buffer.alloc(0)))
})

test('a member of a oneof is sent even when it is zero, and the last one wins', (t) => {
  const zero = rpc.encodeCompare({ modRevision: 0 })
  t.is(zero.toString('hex'), '3000')
  t.is(rpc.decodeCompare(zero).modRevision, 0)
  const two = rpc.decodeCompare(Buffer.from('30052008', 'hex'))
  t.is(two.version, 8)
  t.false('modRevision' in two)
})

test('int64 beyond the safe integers stops at the last of them', (t) => {
  const cases: readonly (readonly [bigint, number])[] = [
    [2n ** 53n - 1n, Number.MAX_SAFE_INTEGER],
    [2n ** 53n, Number.MAX_SAFE_INTEGER],
    [2n ** 63n - 1n, Number.MAX_SAFE_INTEGER],
    [-1n, -1],
    [-(2n ** 32n), -(2 ** 32)],
    [1n - 2n ** 53n, Number.MIN_SAFE_INTEGER],
    [-(2n ** 53n), Number.MIN_SAFE_INTEGER],
    [-(2n ** 63n), Number.MIN_SAFE_INTEGER],
  ]
  for (const [sent, expected] of cases) {
    // Both are int64 in field 1 and 2; only how they are read differs.
    const bytes = rpc.encodeLeaseRevokeRequest({ id: sent })
    t.is(rpc.decodeHashKVRequest(bytes).revision, expected, String(sent))
  }
  const most = raft.decodeCommand(Buffer.from('08ffffffffffffffffff01', 'hex'))
  t.is(most.origin, Number.MAX_SAFE_INTEGER)
})

test('a number that is no whole safe one, or needs more than 64 bits, is a bug of the caller', (t) => {
  for (const value of [2 ** 53, 0.5, NaN, Infinity])
    t.throws(() => encode(putNumber, value), { message: /cannot be sent/ }, String(value))
  for (const value of [2n ** 64n, -(2n ** 63n) - 1n])
    t.throws(() => encode(putBigint, value), { message: /64 bits/ })
  // The writer is fit for use after that.
  t.is(rpc.encodeHashKVRequest({ revision: 300 }).toString('hex'), '08ac02')
})

test('packed and unpacked lists read alike', (t) => {
  const packed = rpc.encodeWatchCreateRequest({ filters: [0, 1] })
  t.is(packed.toString('hex'), '2a020001')
  t.deepEqual(rpc.decodeWatchCreateRequest(packed).filters, [0, 1])
  t.deepEqual(rpc.decodeWatchCreateRequest(Buffer.from('28002801', 'hex')).filters, [0, 1])
})

test('unknown fields of every wire type are skipped', (t) => {
  const extra = ['f80107', 'f901' + '00'.repeat(8), 'fa0103616263', 'fd01' + '00'.repeat(4)]
  const group = 'fb01' + '0807' + '0b08010c' + 'fc01'
  const message = Buffer.concat([
    Buffer.from([...extra, group].join(''), 'hex'),
    rpc.encodePutRequest({ key: Buffer.from('k') }),
  ])
  t.is(Buffer.from(rpc.decodePutRequest(message).key).toString(), 'k')
})

test('large messages grow the buffer and leave a small one behind', (t) => {
  const value = Buffer.alloc(3_000_000, 7)
  const bytes = rpc.encodePutRequest({ key: Buffer.from('k'), value })
  t.true(value.equals(rpc.decodePutRequest(bytes).value))
  encode((writer, count: number) => {
    t.true(writer.bytes.length <= 256 * 1024)
    for (let at = 0; at < count; at++) putVarint(writer, 2 ** 31)
    t.is(written(writer), 5 * count)
  }, 200_000)
})

test('encoded messages do not change when others are encoded', (t) => {
  const first = rpc.encodePutRequest({ key: Buffer.from('first') })
  const before = first.toString('hex')
  for (let at = 0; at < 100; at++) rpc.encodePutRequest({ key: Buffer.from(`other ${at}`) })
  t.is(first.toString('hex'), before)
})

// ── What is no message ───────────────────────────────────────────────────────────────────────────

test('a message that is cut short is refused wherever the cut is', (t) => {
  const compare = [{ key: Buffer.from('key'), value: Buffer.from('value'), target: 3 }]
  const success = [{ requestPut: { key: Buffer.from('key'), lease: -1n } }]
  const bytes = rpc.encodeTxnRequest({ compare, success, failure: success })
  const ends = new Set([0, rpc.encodeTxnRequest({ compare }).length])
  ends.add(rpc.encodeTxnRequest({ compare, success }).length)
  for (let end = 0; end < bytes.length; end++) {
    const part = bytes.subarray(0, end)
    if (ends.has(end)) t.notThrows(() => rpc.decodeTxnRequest(part))
    else t.throws(() => rpc.decodeTxnRequest(part), { instanceOf: WireError }, `cut at ${end}`)
  }
})

test('malformed bytes are refused by name', (t) => {
  const cases: readonly (readonly [hex: string, expected: RegExp])[] = [
    ['0a05616263', /longer than its message/],
    ['0affffffff0f', /longer than its message/],
    ['0affffffffffffffffff01', /too large/],
    ['30' + 'ff'.repeat(10) + '01', /longer than ten bytes/],
    ['30ff', /ends within a number/],
    ['00', /number 0/],
    ['0e', /wire type 6/],
    ['0f', /wire type 7/],
    ['0c', /wire type 4/],
    ['f90100', /longer than its message/],
    ['fb01', /ends within a number/],
  ]
  for (const [hex, message] of cases)
    t.throws(() => rpc.decodePutRequest(Buffer.from(hex, 'hex')), {
      instanceOf: WireError,
      message,
    })
})

test('a nested message cannot read past its own end', (t) => {
  // The inner key claims 5 bytes of a message of 3; the bytes are there, but not its own.
  const bytes = Buffer.from('0a030a0561' + '6263646566', 'hex')
  t.throws(() => kv.decodeEvent(Buffer.concat([Buffer.from([0x12]), bytes.subarray(1)])), {
    instanceOf: WireError,
  })
})

test('nesting has an end: 128 transactions in each other are read, a thousand are not', (t) => {
  const nested = (levels: number): Buffer => {
    let bytes: Buffer = Buffer.alloc(0)
    for (let level = 0; level < levels; level++)
      bytes = level % 2 === 0 ? wrap(0x22, bytes) : wrap(0x12, bytes)
    return bytes
  }
  t.notThrows(() => rpc.decodeTxnRequest(nested(256)))
  t.throws(() => rpc.decodeTxnRequest(nested(2000)), { instanceOf: WireError, message: /deeply/ })
  const groups = Buffer.alloc(DEPTH_MAX * 4, 0x0b)
  t.throws(() => rpc.decodeTxnRequest(groups), { instanceOf: WireError, message: /deeply/ })
})

function wrap(tag: number, body: Buffer): Buffer {
  const length = encode(putVarint, body.length)
  return Buffer.concat([Buffer.from([tag]), length, body])
}

test('random and damaged bytes give a message or a WireError, for every type', (t) => {
  const codecs = TYPES.map(codecOf)
  const tryAll = (bytes: Uint8Array, one?: Codec): void => {
    for (const codec of one ? [one] : codecs) {
      try {
        codec.decode(bytes)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
      }
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => tryAll(bytes)),
    { numRuns: 300 },
  )
  for (const type of TYPES.filter(({ fieldsArray }) => fieldsArray.length > 2)) {
    const codec = codecOf(type)
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(messageArbitrary(type, 2), damage, (value, hits) => {
        const bytes = Buffer.from(codec.encode(value))
        for (const [at, byte] of hits) if (bytes.length > 0) bytes[at % bytes.length] = byte
        tryAll(bytes, codec)
      }),
      { numRuns: 30 },
    )
  }
  t.pass()
})

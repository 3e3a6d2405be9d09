/**
 * Protocol Buffers on the wire: what the generated codecs are made of. A message is written back to
 * front into one reused buffer, so that the length of a nested message is known when it is due and
 * nothing is measured or copied twice. Reading checks every bound: bytes that are no message give a
 * WireError, never a read past the end, a loop, or a stack that overflows.
 */
import { assert } from '../lib/assert.ts'

/** What a codec may be given to encode: whatever is absent has the wire's default. */
export type Init<T> = T extends Uint8Array | string | number | bigint | boolean
  ? T
  : T extends readonly (infer E)[]
    ? readonly Init<E>[]
    : { readonly [K in keyof T]?: Init<T[K]> | undefined }

/** A message under construction. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] }

/** Bytes that are no message of the expected type. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

/** Deep enough for a transaction of 128 nested ones, each of which takes two levels. */
export const DEPTH_MAX = 300

export const EMPTY: Uint8Array = Buffer.alloc(0)

const KEEP_BYTES = 256 * 1024
const FIRST_BYTES = 16 * 1024
const TWO_32 = 4_294_967_296
const SAFE_HIGH = 0x20_0000
const INT64_MIN = -(2n ** 63n)
const UINT64_MAX = 2n ** 64n - 1n
/** Which half of a number of 64 bits memory holds first. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1

// ── Writing ──────────────────────────────────────────────────────────────────────────────────────

/** Filled from the end; what is written stands at `at` and after. */
export type Writer = { bytes: Buffer; at: number }

const shared: Writer = { bytes: Buffer.allocUnsafeSlow(FIRST_BYTES), at: FIRST_BYTES }

/** Encodes one message. The bytes are the caller's: the buffer behind them is not written again. */
export function encode<T>(write: (writer: Writer, value: T) => void, value: T): Buffer {
  shared.at = shared.bytes.length
  write(shared, value)
  const { bytes, at } = shared
  const length = bytes.length - at
  const message = Buffer.allocUnsafe(length)
  bytes.copy(message, 0, at)
  if (bytes.length > KEEP_BYTES) shared.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  return message
}

function grow(writer: Writer, room: number): void {
  const { bytes, at } = writer
  const used = bytes.length - at
  const larger = Buffer.allocUnsafeSlow(Math.max(bytes.length * 2, used + room))
  bytes.copy(larger, larger.length - used, at)
  writer.bytes = larger
  writer.at = larger.length - used
}

/** An unsigned number below 2^32. */
export function putVarint(writer: Writer, value: number): void {
  if (writer.at < 5) grow(writer, 5)
  const { bytes } = writer
  if (value < 0x80) {
    bytes[--writer.at] = value
    return
  }
  let at = (writer.at -= value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5)
  for (; value >= 0x80; value >>>= 7) bytes[at++] = (value & 0x7f) | 0x80
  bytes[at] = value
}

/** A number of 64 bits in its two halves. */
function putHalves(writer: Writer, low: number, high: number): void {
  if (high === 0) return putVarint(writer, low)
  if (writer.at < 10) grow(writer, 10)
  const { bytes } = writer
  // 4 full groups of 7 bits from the low half; the fifth takes its last 4 bits and 3 of the high half.
  let rest = high >>> 3
  let size = 5
  for (let left = rest; left > 0; left >>>= 7) size++
  let at = (writer.at -= size)
  for (let group = 0; group < 4; group++, low >>>= 7) bytes[at++] = (low & 0x7f) | 0x80
  bytes[at++] = low | ((high & 7) << 4) | (rest > 0 ? 0x80 : 0)
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80
  if (rest > 0) bytes[at] = rest
}

/** A whole number that is safe in JavaScript; a negative one takes ten bytes, as int64 wants it. */
export function putNumber(writer: Writer, value: number): void {
  if ((value & 0x7f) === value) {
    if (writer.at < 1) grow(writer, 1)
    writer.bytes[--writer.at] = value
    return
  }
  assert(Number.isSafeInteger(value), `${value} cannot be sent as a whole number`)
  putHalves(writer, value >>> 0, Math.floor(value / TWO_32) >>> 0)
}

const wide = new BigUint64Array(1)
const halves = new Uint32Array(wide.buffer)

/** A number of up to 64 bits, signed or not. */
export function putBigint(writer: Writer, value: bigint): void {
  assert(value >= INT64_MIN && value <= UINT64_MAX, `${value} needs more than 64 bits`)
  wide[0] = value
  putHalves(writer, halves[LOW] as number, halves[1 - LOW] as number)
}

export function putBytes(writer: Writer, value: Uint8Array): void {
  const { length } = value
  if (writer.at < length) grow(writer, length)
  writer.at -= length
  writer.bytes.set(value, writer.at)
  putVarint(writer, length)
}

export function putString(writer: Writer, value: string): void {
  const length = Buffer.byteLength(value)
  if (writer.at < length) grow(writer, length)
  writer.at -= length
  writer.bytes.write(value, writer.at)
  putVarint(writer, length)
}

/** Bytes written so far; counted from the end, so that it survives a larger buffer. */
export function written(writer: Writer): number {
  return writer.bytes.length - writer.at
}

/** What was written since there were `before` bytes becomes a nested message: its length goes in front. */
export function putLength(writer: Writer, before: number): void {
  putVarint(writer, written(writer) - before)
}

// ── Reading ──────────────────────────────────────────────────────────────────────────────────────

/** `end` is that of the innermost message. */
export type Reader = { readonly bytes: Buffer; at: number; end: number; depth: number }

/** Decodes one message. Byte fields are views of `bytes`. */
export function decode<T>(read: (reader: Reader) => T, bytes: Uint8Array): T {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return read({ bytes: buffer, at: 0, end: buffer.length, depth: 0 })
}

/** An unsigned number below 2^32: a tag or a length. */
export function takeVarint(reader: Reader): number {
  const { bytes, at } = reader
  if (at < reader.end) {
    const first = bytes[at] as number
    if (first < 0x80) {
      reader.at = at + 1
      return first
    }
  }
  takeHalves(reader)
  if (highHalf !== 0) throw new WireError('a tag or length is too large')
  return lowHalf
}

// Where takeHalves leaves its result; a pair would be an object for each number.
let lowHalf = 0
let highHalf = 0

function takeHalves(reader: Reader): void {
  let low = 0
  let high = 0
  for (let shift = 0; shift < 70; shift += 7) {
    if (reader.at >= reader.end) throw new WireError('a message ends within a number')
    const byte = reader.bytes[reader.at++] as number
    const group = byte & 0x7f
    if (shift < 28) low |= group << shift
    else if (shift === 28) {
      low |= group << 28
      high = group >>> 4
    } else high |= group << (shift - 32)
    if (byte < 0x80) {
      lowHalf = low >>> 0
      highHalf = high >>> 0
      return
    }
  }
  throw new WireError('a number is longer than ten bytes')
}

/** int64 as a number; beyond the safe integers it stops at the last of them. */
export function takeInt64(reader: Reader): number {
  if (isSmall(reader)) return reader.bytes[reader.at++] as number
  takeHalves(reader)
  const high = highHalf | 0
  if (high >= SAFE_HIGH) return Number.MAX_SAFE_INTEGER
  if (high < -SAFE_HIGH || (high === -SAFE_HIGH && lowHalf === 0)) return Number.MIN_SAFE_INTEGER
  return high * TWO_32 + lowHalf
}

/** uint64 as a number; beyond the safe integers it stops at the last of them. */
export function takeUint64(reader: Reader): number {
  if (isSmall(reader)) return reader.bytes[reader.at++] as number
  takeHalves(reader)
  return highHalf >= SAFE_HIGH ? Number.MAX_SAFE_INTEGER : highHalf * TWO_32 + lowHalf
}

export function takeBigInt64(reader: Reader): bigint {
  return BigInt.asIntN(64, takeBigUint64(reader))
}

export function takeBigUint64(reader: Reader): bigint {
  takeHalves(reader)
  if (highHalf === 0) return BigInt(lowHalf)
  halves[LOW] = lowHalf
  halves[1 - LOW] = highHalf
  return wide[0] as bigint
}

/** An enumeration: its low 32 bits, signed. */
export function takeInt32(reader: Reader): number {
  if (isSmall(reader)) return reader.bytes[reader.at++] as number
  takeHalves(reader)
  return lowHalf | 0
}

export function takeUint32(reader: Reader): number {
  if (isSmall(reader)) return reader.bytes[reader.at++] as number
  takeHalves(reader)
  return lowHalf
}

export function takeBool(reader: Reader): boolean {
  takeHalves(reader)
  return lowHalf !== 0 || highHalf !== 0
}

function isSmall({ bytes, at, end }: Reader): boolean {
  return at < end && (bytes[at] as number) < 0x80
}

/** Moves past a field with a length; returns where it begins. */
function takeSpan(reader: Reader): number {
  const length = takeVarint(reader)
  const start = reader.at
  if (length > reader.end - start) throw new WireError('a field is longer than its message')
  reader.at = start + length
  return start
}

export function takeBytes(reader: Reader): Uint8Array {
  const start = takeSpan(reader)
  return start === reader.at ? EMPTY : reader.bytes.subarray(start, reader.at)
}

export function takeString(reader: Reader): string {
  const start = takeSpan(reader)
  return start === reader.at ? '' : reader.bytes.toString('utf8', start, reader.at)
}

/** Reads a nested message, or a packed list. */
export function takeNested<T>(reader: Reader, read: (reader: Reader) => T): T {
  const start = takeSpan(reader)
  const { end } = reader
  if (++reader.depth > DEPTH_MAX) throw new WireError('messages are nested too deeply')
  reader.end = reader.at
  reader.at = start
  const value = read(reader)
  reader.depth--
  reader.end = end
  return value
}

/** Adds what a packed list holds to `list`. */
export function takePacked<T>(reader: Reader, list: T[], take: (reader: Reader) => T): void {
  takeNested(reader, (inner) => {
    while (inner.at < inner.end) list.push(take(inner))
  })
}

/** Moves past a field that this version does not know. */
export function skip(reader: Reader, tag: number): void {
  if (tag >>> 3 === 0) throw new WireError('a field has the number 0')
  const wireType = tag & 7
  if (wireType === 0) takeHalves(reader)
  else if (wireType === 1) skipFixed(reader, 8)
  else if (wireType === 2) takeSpan(reader)
  else if (wireType === 3) skipGroup(reader, tag)
  else if (wireType === 5) skipFixed(reader, 4)
  else throw new WireError(`a field has the wire type ${wireType}`)
}

function skipFixed(reader: Reader, size: number): void {
  if (size > reader.end - reader.at) throw new WireError('a field is longer than its message')
  reader.at += size
}

function skipGroup(reader: Reader, start: number): void {
  if (++reader.depth > DEPTH_MAX) throw new WireError('messages are nested too deeply')
  for (;;) {
    const tag = takeVarint(reader)
    if (tag === start + 1) break
    skip(reader, tag)
  }
  reader.depth--
}

/**
 * Reads from a Parquet footer how many rows each row group has, and how large it is: just enough of
 * the Thrift compact protocol for that.
 */

export type RowGroup = { readonly rows: number; readonly bytes: number }
export type ParquetFooter = { readonly rows: number; readonly groups: readonly RowGroup[] }

/** Bytes behind the footer: its length and the magic word. */
export const TRAILER_BYTES = 8

/** Length of the footer, from the last bytes of a file; undefined when it is not Parquet. */
export function footerLength(trailer: Buffer): number | undefined {
  if (trailer.length < TRAILER_BYTES || trailer.toString('latin1', trailer.length - 4) !== 'PAR1')
    return undefined
  return trailer.readUInt32LE(trailer.length - TRAILER_BYTES)
}

/** Undefined when the bytes are no footer. */
export function readFooter(footer: Buffer): ParquetFooter | undefined {
  try {
    const file = readStruct({ bytes: footer, at: 0 })
    const groups = file.get(4) ?? []
    if (!Array.isArray(groups)) return undefined
    return { rows: countOf(file, 3), groups: groups.map(readGroup) }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function readGroup(value: Value): RowGroup {
  if (!(value instanceof Map)) throw new RangeError('a row group that is no structure')
  return { rows: countOf(value, 3), bytes: countOf(value, 2) }
}

function countOf(struct: Struct, id: number): number {
  const value = struct.get(id)
  if (typeof value !== 'bigint' || value < 0n) throw new RangeError('a count that is no number')
  return Number(value)
}

type Value = bigint | boolean | undefined | readonly Value[] | Struct
type Struct = ReadonlyMap<number, Value>
type Input = { readonly bytes: Buffer; at: number }

/** Ids of the compact protocol's types. */
const TYPE = { yes: 1, no: 2, byte: 3, double: 7, binary: 8, list: 9, set: 10, map: 11, struct: 12 }

function readStruct(input: Input): Struct {
  const fields = new Map<number, Value>()
  for (let id = 0; ;) {
    const head = input.bytes.readUInt8(input.at++)
    if (head === 0) return fields
    const step = head >> 4
    id = step === 0 ? Number(readZigzag(input)) : id + step
    fields.set(id, readValue(input, head & 15))
  }
}

function readValue(input: Input, type: number): Value {
  switch (type) {
    case TYPE.yes:
    case TYPE.no:
      return type === TYPE.yes
    case TYPE.byte:
      return BigInt(input.bytes.readInt8(input.at++))
    case TYPE.double:
      return skipBytes(input, 8)
    case TYPE.binary:
      return skipBytes(input, Number(readVarint(input)))
    case TYPE.list:
    case TYPE.set:
      return readList(input)
    case TYPE.map:
      return skipMap(input)
    case TYPE.struct:
      return readStruct(input)
    default:
      return readZigzag(input)
  }
}

function readList(input: Input): readonly Value[] {
  const head = input.bytes.readUInt8(input.at++)
  const size = head >> 4 === 15 ? Number(readVarint(input)) : head >> 4
  if (size > input.bytes.length) throw new RangeError('a list longer than its text')
  return Array.from({ length: size }, () => readItem(input, head & 15))
}

/** Booleans of a list take a byte each. */
function readItem(input: Input, type: number): Value {
  if (type !== TYPE.yes && type !== TYPE.no) return readValue(input, type)
  return input.bytes.readUInt8(input.at++) === TYPE.yes
}

function skipMap(input: Input): undefined {
  const size = Number(readVarint(input))
  if (size === 0) return
  const types = input.bytes.readUInt8(input.at++)
  for (let i = 0; i < size; i++) {
    readItem(input, types >> 4)
    readItem(input, types & 15)
  }
}

function skipBytes(input: Input, bytes: number): undefined {
  input.at += bytes
  if (input.at > input.bytes.length) throw new RangeError('a text longer than the footer')
}

function readVarint(input: Input): bigint {
  let value = 0n
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = input.bytes.readUInt8(input.at++)
    value |= BigInt(byte & 127) << shift
    if (byte < 128) return value
  }
  throw new RangeError('a number too long')
}

function readZigzag(input: Input): bigint {
  const value = readVarint(input)
  return (value >> 1n) ^ -(value & 1n)
}

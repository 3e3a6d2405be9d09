/**
 * Just enough of ELF (64 bit, little endian) to make one program of the runtime and what it is to run:
 * cuts off what is not loaded (symbols, debugging information, section headers), and adds a note that is
 * mapped read-only. Invariant: nothing that the loader reads changes, but for the two entries of the
 * program header table that name the added segment; those take the places of PT_PHDR, which only a
 * position-independent program needs, and of the notes that the linker left.
 */
import { assert } from '../../lib/assert.ts'

export const PT = { load: 1, interp: 3, note: 4, phdr: 6, stack: 0x6474e551 } as const
const ET_EXEC = 2
const PHDR_BYTES = 56
/** Pages of arm64 kernels are up to 64 KiB. */
const ALIGN = 0x10000

export type Segment = {
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly address: number
  readonly fileBytes: number
  readonly memoryBytes: number
  readonly align: number
}

export function readSegments(elf: Buffer): readonly Segment[] {
  assert(elf.readUInt32BE(0) === 0x7f454c46 && elf[4] === 2 && elf[5] === 1, 'a 64 bit ELF file')
  const at = safe(elf.readBigUInt64LE(32))
  assert(elf.readUInt16LE(54) === PHDR_BYTES, 'program headers of 56 bytes')
  return Array.from({ length: elf.readUInt16LE(56) }, (_, n) =>
    readSegment(elf, at + n * PHDR_BYTES),
  )
}

/** Without symbols, debugging information and section headers: what the kernel and ld.so do not read. */
export function stripElf(elf: Buffer): Buffer {
  const end = Math.max(...readSegments(elf).map(({ offset, fileBytes }) => offset + fileBytes))
  const stripped = Buffer.from(elf.subarray(0, end))
  stripped.writeBigUInt64LE(0n, 40)
  stripped.writeUInt16LE(0, 60)
  stripped.writeUInt16LE(0, 62)
  return stripped
}

/** Adds `content` as a note of this name, which a running program finds by its program headers. */
export function addNote(stripped: Buffer, name: string, content: Buffer): Buffer {
  assert(stripped.readUInt16LE(16) === ET_EXEC, 'a program with fixed addresses')
  const segments = readSegments(stripped)
  const note = encodeNote(name, content)
  const top = Math.max(...segments.map(({ address, memoryBytes }) => address + memoryBytes))
  const offset = roundUp(stripped.length, ALIGN)
  const place = {
    offset,
    address: roundUp(top, ALIGN),
    fileBytes: note.length,
    memoryBytes: note.length,
  }
  const added = [
    { ...place, type: PT.load, flags: 4, align: ALIGN },
    { ...place, type: PT.note, flags: 4, align: 4 },
  ]
  const kept = segments.filter(({ type }) => type !== PT.phdr && type !== PT.note)
  assert(kept.length + added.length <= segments.length, 'room for two more program headers')
  const file = Buffer.concat([stripped, Buffer.alloc(offset - stripped.length), note])
  writeSegments(file, sorted([...kept, ...added]))
  return file
}

/** PT_INTERP comes before every PT_LOAD, and those in the order of their addresses. */
function sorted(segments: readonly Segment[]): readonly Segment[] {
  const rank = ({ type }: Segment): number => (type === PT.interp ? 0 : type === PT.load ? 1 : 2)
  return segments.toSorted(
    (a, b) => rank(a) - rank(b) || (rank(a) === 1 ? a.address - b.address : 0),
  )
}

function encodeNote(name: string, content: Buffer): Buffer {
  const nameBytes = Buffer.from(`${name}\0`)
  const head = Buffer.alloc(12)
  head.writeUInt32LE(nameBytes.length, 0)
  head.writeUInt32LE(content.length, 4)
  const padding = (length: number): Buffer => Buffer.alloc(roundUp(length, 4) - length)
  return Buffer.concat([
    head,
    nameBytes,
    padding(nameBytes.length),
    content,
    padding(content.length),
  ])
}

function readSegment(elf: Buffer, at: number): Segment {
  const wide = (offset: number): number => safe(elf.readBigUInt64LE(at + offset))
  return {
    type: elf.readUInt32LE(at),
    flags: elf.readUInt32LE(at + 4),
    offset: wide(8),
    address: wide(16),
    fileBytes: wide(32),
    memoryBytes: wide(40),
    align: wide(48),
  }
}

function writeSegments(elf: Buffer, segments: readonly Segment[]): void {
  let at = safe(elf.readBigUInt64LE(32))
  elf.writeUInt16LE(segments.length, 56)
  for (const { type, flags, offset, address, fileBytes, memoryBytes, align } of segments) {
    elf.writeUInt32LE(type, at)
    elf.writeUInt32LE(flags, at + 4)
    for (const [n, value] of [offset, address, address, fileBytes, memoryBytes, align].entries())
      elf.writeBigUInt64LE(BigInt(value), at + 8 + n * 8)
    at += PHDR_BYTES
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}

function safe(value: bigint): number {
  assert(value <= BigInt(Number.MAX_SAFE_INTEGER), 'an offset below 2^53')
  return Number(value)
}

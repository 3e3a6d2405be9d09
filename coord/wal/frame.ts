/**
 * A frame is what one write leaves on the disk, and the next is not written before it is synced: so at
 * most the last frame of a log can be torn. Its header says how long it is, its number in the log, the
 * checksum of the frame before it, and how many of its sectors are empty by intent; its last byte is
 * never zero. Where only zeros lay before, a torn frame therefore shows: sectors are missing, or its
 * end is. A frame that is all there and yet wrong was damaged, not torn, and so was a broken one behind
 * which anything lies.
 *
 * `magic u32 | body length u32 | number u64 | checksum before u32 | empty sectors u32 | version u32 |
 * header checksum u32 | body | zeros to a multiple of 8 | checksum u32 | end u32`
 */
import { getU32, getU53, putU32, putU53 } from './bytes.ts'
import { crc32c } from './crc32c.ts'

export const FRAME_HEADER_BYTES = 32
const TRAILER_BYTES = 8
const MAGIC_BYTES = Buffer.from('HkWf')
const MAGIC = MAGIC_BYTES.readUInt32LE(0)
const END = 0x5ad1f00d
export const WAL_VERSION = 1
const SECTOR_BYTES = 512

/** Where a chain of frames stands: the last one's number and checksum. */
export type Chain = { readonly number: number; readonly crc: number }

export type Frame = {
  readonly chain: Chain
  readonly bodyFrom: number
  readonly bodyTo: number
  readonly end: number
}

type Header = {
  readonly bodyBytes: number
  readonly number: number
  readonly crcBefore: number
  readonly emptySectors: number
  readonly version: number
}

export const frameBytes = (bodyBytes: number): number =>
  ((FRAME_HEADER_BYTES + bodyBytes + 7) & ~7) + TRAILER_BYTES

/** Makes a frame of `bytes`, whose body is in place; `offset` is where it will lie in its file. */
export function sealFrame(
  bytes: Uint8Array,
  bodyBytes: number,
  before: Chain,
  offset: number,
): Chain {
  const trailer = bytes.length - TRAILER_BYTES
  bytes.fill(0, FRAME_HEADER_BYTES + bodyBytes, trailer)
  const crc = crc32c(bytes, before.crc, FRAME_HEADER_BYTES, trailer)
  putU32(bytes, trailer, crc)
  putU32(bytes, trailer + 4, END)
  putU32(bytes, 0, MAGIC)
  putU32(bytes, 4, bodyBytes)
  putU53(bytes, 8, before.number + 1)
  putU32(bytes, 16, before.crc)
  putU32(bytes, 24, WAL_VERSION)
  putU32(bytes, 20, emptySectors(bytes, FRAME_HEADER_BYTES, bytes.length, offset))
  putU32(bytes, 28, crc32c(bytes, 0, 0, 28))
  return { number: before.number + 1, crc }
}

/** Sectors of the file of which `bytes[from, to)` has a part, and that part is zeros. */
function emptySectors(bytes: Uint8Array, from: number, to: number, offset: number): number {
  let count = 0
  while (from < to) {
    const next = Math.min(to, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES))
    if (isZero(bytes, from, next)) count++
    from = next
  }
  return count
}

function readHeader(file: Uint8Array, at: number): Header | undefined {
  if (at + FRAME_HEADER_BYTES > file.length || getU32(file, at) !== MAGIC) return undefined
  if (getU32(file, at + 28) !== crc32c(file, 0, at, at + 28)) return undefined
  const number = getU53(file, at + 8)
  if (number === undefined) return undefined
  return {
    bodyBytes: getU32(file, at + 4),
    number,
    crcBefore: getU32(file, at + 16),
    emptySectors: getU32(file, at + 20),
    version: getU32(file, at + 24),
  }
}

/** What lies at a place of a segment. */
export type Found =
  | { readonly kind: 'frame'; readonly frame: Frame }
  /** Zeros up to the end of the file. */
  | { readonly kind: 'end' }
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'newer'; readonly version: number }

/** Looks for the frame that follows `before` (any frame, if undefined) at `at` of a whole segment. */
export function findFrame(file: Uint8Array, at: number, before: Chain | undefined): Found {
  if (isZero(file, at, file.length)) return { kind: 'end' }
  const header = readHeader(file, at)
  if (!header)
    return isTornHeader(file, at)
      ? tornUnlessFollowed(file, at, before)
      : { kind: 'damaged', reason: 'a frame begins with bytes that no write left there' }
  if (header.version !== WAL_VERSION) return { kind: 'newer', version: header.version }
  if (before && (header.number !== before.number + 1 || header.crcBefore !== before.crc))
    return { kind: 'damaged', reason: 'a frame does not follow the one before it' }
  return findBody(file, at, header)
}

function findBody(file: Uint8Array, at: number, header: Header): Found {
  const end = at + frameBytes(header.bodyBytes)
  const trailer = end - TRAILER_BYTES
  const bodyFrom = at + FRAME_HEADER_BYTES
  const isWhole = end <= file.length && getU32(file, trailer + 4) === END
  const crc = isWhole ? crc32c(file, header.crcBefore, bodyFrom, trailer) : 0
  if (isWhole && crc === getU32(file, trailer)) {
    const chain = { number: header.number, crc }
    return { kind: 'frame', frame: { chain, bodyFrom, bodyTo: bodyFrom + header.bodyBytes, end } }
  }
  const isTorn =
    end > file.length ||
    file[end - 1] === 0 ||
    emptySectors(file, bodyFrom, end, 0) > header.emptySectors
  const before = { number: header.number - 1, crc: header.crcBefore }
  const found = isTorn ? tornUnlessFollowed(file, at, before) : undefined
  if (found?.kind === 'torn' && !isZero(file, end, file.length))
    return { kind: 'damaged', reason: 'a frame is broken, yet more was written behind it' }
  return found ? found : { kind: 'damaged', reason: 'the checksum of a frame does not match' }
}

/** A header that is cut off, or of which one sector is missing. */
function isTornHeader(file: Uint8Array, at: number): boolean {
  const end = at + FRAME_HEADER_BYTES
  const sectorEnd = at + SECTOR_BYTES - (at % SECTOR_BYTES)
  return (
    isZero(file, end, file.length) ||
    isZero(file, at, Math.min(end, sectorEnd)) ||
    (sectorEnd < end && isZero(file, sectorEnd, end))
  )
}

/** Nothing is written after a frame before that frame is synced: what is followed was not torn. */
function tornUnlessFollowed(file: Uint8Array, at: number, before: Chain | undefined): Found {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  for (let next = at + 1; ; next++) {
    next = bytes.indexOf(MAGIC_BYTES, next)
    if (next < 0) return { kind: 'torn' }
    const header = readHeader(file, next)
    if (header && header.number > (before?.number ?? 0) + 1)
      return { kind: 'damaged', reason: `a frame is broken, yet a whole one follows at ${next}` }
  }
}

const ZEROS = Buffer.alloc(65536)

export function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  if (from >= to) return true
  if (bytes[from] !== 0) return false
  for (let at = from; at < to; at += ZEROS.length) {
    const next = Math.min(to, at + ZEROS.length)
    const part = ZEROS.subarray(0, next - at)
    if (part.compare(bytes, at, next) !== 0) return false
  }
  return true
}

/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes at a step. The checksum of a chain is the
 * checksum of everything so far: each one takes the one before it as its seed.
 */

const POLYNOMIAL = 0x82f63b78
const SLICES = 8
const TABLE = buildTable()

function buildTable(): Int32Array {
  const table = new Int32Array(SLICES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    table[byte] = crc
  }
  for (let at = 256; at < table.length; at++) {
    const before = table[at - 256]!
    table[at] = (before >>> 8) ^ table[before & 0xff]!
  }
  return table
}

/** Checksum of `bytes[from, to)`, an unsigned 32-bit number; `seed` is the checksum of what came before. */
export function crc32c(bytes: Uint8Array, seed = 0, from = 0, to = bytes.length): number {
  let crc = ~seed
  let at = from
  for (const stop = to - SLICES; at <= stop; at += SLICES) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      TABLE[1792 + (crc & 0xff)]! ^
      TABLE[1536 + ((crc >>> 8) & 0xff)]! ^
      TABLE[1280 + ((crc >>> 16) & 0xff)]! ^
      TABLE[1024 + (crc >>> 24)]! ^
      TABLE[768 + bytes[at + 4]!]! ^
      TABLE[512 + bytes[at + 5]!]! ^
      TABLE[256 + bytes[at + 6]!]! ^
      TABLE[bytes[at + 7]!]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}

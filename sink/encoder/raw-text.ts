/** Rejected rows as text that people can read and a file can hold. */
import { isUtf8 } from 'node:buffer'

/** Bytes kept of a rejected row. */
export const RAW_BYTES_MAX = 64 * 1024

/** The row as text, cut; bytes that are not UTF-8 become \xNN. */
export function rawText(bytes: Uint8Array): string {
  const part = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, RAW_BYTES_MAX))
  const whole = part.subarray(0, part.length - brokenTail(part, bytes.length))
  const text = isUtf8(whole) ? whole.toString('utf8') : escapeBytes(whole)
  return part.length < bytes.length ? `${text}… (${bytes.length} bytes)` : text
}

/** Bytes of a character that the cut left incomplete. */
function brokenTail(part: Buffer, total: number): number {
  if (part.length === total) return 0
  for (let back = 1; back <= 3; back++) {
    const byte = part[part.length - back]
    if (byte === undefined || byte < 0x80) return 0
    if (byte >= 0xc0) return back
  }
  return 0
}

function escapeBytes(bytes: Buffer): string {
  const parts: string[] = []
  let at = 0
  while (at < bytes.length) {
    const length = characterLength(bytes, at)
    parts.push(
      length > 0
        ? bytes.toString('utf8', at, at + length)
        : `\\x${bytes[at]!.toString(16).padStart(2, '0')}`,
    )
    at += Math.max(1, length)
  }
  return parts.join('')
}

/** Bytes of the character at `at`; 0 when there is none. */
function characterLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  return isUtf8(bytes.subarray(at, at + length)) && at + length <= bytes.length ? length : 0
}

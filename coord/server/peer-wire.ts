/**
 * What passes over one connection between two members: four bytes that no HTTP connection begins with,
 * then records, `length of the payload u32 | kind u8 | payload`. Everything that one turn says is one
 * record in one write. An unknown kind is skipped, so that a newer member can speak to an older one.
 */
import type { Socket } from 'node:net'

export const PEER_MAGIC: Buffer = Buffer.from('HAKP')
/** What a connection over TLS says by ALPN. */
export const PEER_ALPN = 'hakiri-peer'

export const RECORD = {
  /** Who speaks to whom: first from the one who calls, then from the one who is called. */
  hello: 1,
  /** Messages, as a PeerFrame. */
  frame: 2,
  /** The last one: a status as in gRPC, one byte, and why. */
  end: 3,
  /** Asked by the one who calls while it has nothing else to say, and answered. */
  ping: 4,
  pong: 5,
} as const

const HEAD_BYTES = 5
/** A payload up to here is copied behind its head; beyond, two buffers are cheaper than one copy. */
const COPY_BYTES_MAX = 16 * 1024
const NOTHING = Buffer.alloc(0)

export function writeRecord(
  socket: Pick<Socket, 'write' | 'cork' | 'uncork'>,
  kind: number,
  payload: Uint8Array = NOTHING,
): void {
  const { length } = payload
  const isCopied = length <= COPY_BYTES_MAX
  const head = Buffer.allocUnsafe(isCopied ? HEAD_BYTES + length : HEAD_BYTES)
  head.writeUInt32BE(length, 0)
  head[4] = kind
  if (isCopied) {
    head.set(payload, HEAD_BYTES)
    socket.write(head)
    return
  }
  socket.cork()
  socket.write(head)
  socket.write(payload)
  socket.uncork()
}

/** Gives what is wrong with the bytes, or undefined; after a fault nothing more is read. */
export type RecordReader = (chunk: Buffer) => string | undefined

/** `onRecord` gets each whole record; its payload is only valid until it returns. */
export function createRecordReader(
  { hasMagic, payloadBytesMax }: { readonly hasMagic: boolean; readonly payloadBytesMax: number },
  onRecord: (kind: number, payload: Buffer) => void,
): RecordReader {
  let parts: Buffer[] = []
  let heldBytes = 0
  let neededBytes = hasMagic ? PEER_MAGIC.length : HEAD_BYTES
  let isMagicDue = hasMagic
  return (chunk) => {
    parts.push(chunk)
    heldBytes += chunk.length
    if (heldBytes < neededBytes) return undefined
    const bytes = parts.length === 1 ? chunk : Buffer.concat(parts, heldBytes)
    let at = 0
    if (isMagicDue) {
      if (!bytes.subarray(0, PEER_MAGIC.length).equals(PEER_MAGIC)) return 'it is no member'
      at = PEER_MAGIC.length
      isMagicDue = false
    }
    for (neededBytes = HEAD_BYTES; bytes.length - at >= HEAD_BYTES;) {
      const length = bytes.readUInt32BE(at)
      if (length > payloadBytesMax) return `a record of ${length} bytes is too large`
      const end = at + HEAD_BYTES + length
      if (end > bytes.length) {
        neededBytes = HEAD_BYTES + length
        break
      }
      onRecord(bytes.readUInt8(at + 4), bytes.subarray(at + HEAD_BYTES, end))
      at = end
    }
    heldBytes = bytes.length - at
    parts = heldBytes > 0 ? [bytes.subarray(at)] : []
    return undefined
  }
}

/** The payload of an `end`. */
export function endPayload(code: number, details: string): Buffer {
  return Buffer.concat([Buffer.of(code), Buffer.from(details)])
}

export function readEnd(payload: Buffer): { readonly code: number; readonly details: string } {
  return { code: payload[0] ?? 2, details: payload.toString('utf8', 1) }
}

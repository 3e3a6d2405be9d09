/**
 * The hot path: takes COPY … TO STDOUT apart as it comes off the socket and packs rows into chunks.
 * The server sends each row as one CopyData message, so a message's end is a row's end, and no byte
 * of a row is looked at. Pure apart from its own state.
 *
 * Invariant: a chunk holds whole rows; it holds more than `chunkBytesMax` only when one row does.
 */
import { ServerError, STATE_PROTOCOL, STATE_TOO_LARGE } from './errors.ts'

export type CopyChunk = {
  readonly bytes: Uint8Array
  readonly rows: number
  readonly lastRowStart: number
  /** End of each row, when asked for. */
  readonly rowEnds: readonly number[]
}

export type CopyLimits = {
  readonly chunkBytesMax: number
  readonly rowBytesMax: number
  /** Note where each row ends. */
  readonly trackRows: boolean
}

/** What the parser tells besides chunks; `ready` means that the server awaits the next statement. */
type CopySink = {
  readonly chunk: (chunk: CopyChunk) => void
  readonly failure: (error: Error) => void
  readonly ready: () => void
}

type CopyParser = {
  /** Takes what the socket gave; returns before a chunk that it finished is consumed. */
  readonly feed: (bytes: Uint8Array) => void
}

const COPY_DATA = 0x64
const COPY_DONE = 0x63
const COPY_OUT = 0x48
const ERROR = 0x45
const READY = 0x5a
const NEWLINE = 0x0a
const HEADER_BYTES = 5
/** Messages other than rows: errors, notices, settings. */
const MESSAGE_BYTES_MAX = 2 ** 20

export function createCopyParser(limits: CopyLimits, sink: CopySink): CopyParser {
  const packer = createPacker(limits, sink.chunk)
  /** The start of a message whose rest has not arrived yet. */
  let partial: Buffer | undefined

  const control = (type: number, body: Buffer): void => {
    if (type === COPY_DONE) packer.flush()
    else if (type === ERROR) sink.failure(parseError(body))
    else if (type === READY) sink.ready()
    else if (type === COPY_OUT && body[0] !== 0) throw notARow()
  }

  /** Reads messages from `bytes`; returns where it stopped for want of more. */
  const readMessages = (bytes: Buffer): number => {
    const end = bytes.length
    let at = packer.resume(bytes)
    while (end - at >= HEADER_BYTES) {
      const type = bytes[at]!
      const length = bodyLength(bytes, at + 1)
      const start = at + HEADER_BYTES
      if (type === COPY_DATA) {
        at = packer.startRow(bytes, start, length)
      } else {
        if (length < 0 || length > MESSAGE_BYTES_MAX) throw notARow()
        if (end - start < length) return at
        control(type, bytes.subarray(start, start + length))
        at = start + length
      }
    }
    return at
  }

  return {
    feed(input) {
      const fresh = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
      const bytes = partial ? Buffer.concat([partial, fresh]) : fresh
      partial = undefined
      const stopped = readMessages(bytes)
      if (stopped < bytes.length) partial = Buffer.from(bytes.subarray(stopped))
    },
  }
}

/** Puts rows side by side; both functions return how far they read in `bytes`. */
type Packer = {
  readonly startRow: (bytes: Buffer, start: number, length: number) => number
  /** Goes on with a row whose start came with earlier bytes. */
  readonly resume: (bytes: Buffer) => number
  /** Hands out the last chunk. */
  readonly flush: () => void
}

function createPacker(limits: CopyLimits, emit: (chunk: CopyChunk) => void): Packer {
  let chunk = Buffer.alloc(0)
  let used = 0
  let rows = 0
  let lastRowStart = 0
  let rowEnds: number[] = []
  /** Bytes of the current row that have not arrived yet. */
  let missing = 0

  /** Hands out what is packed and makes room for `next` bytes. */
  const seal = (next: number): void => {
    if (rows > 0) emit({ bytes: chunk.subarray(0, used), rows, lastRowStart, rowEnds })
    if (rows > 0 || chunk.length < next) chunk = Buffer.allocUnsafeSlow(next)
    used = 0
    rows = 0
    rowEnds = []
  }
  const take = (bytes: Buffer, start: number): number => {
    const available = Math.min(missing, bytes.length - start)
    used += bytes.copy(chunk, used, start, start + available)
    missing -= available
    if (missing === 0) {
      if (chunk[used - 1] !== NEWLINE) throw notARow()
      rows++
      if (limits.trackRows) rowEnds.push(used)
    }
    return start + available
  }
  return {
    startRow(bytes, start, length) {
      if (length < 1) throw notARow()
      if (length > limits.rowBytesMax) throw rowTooLarge(length, limits.rowBytesMax)
      const total = used + length
      if (total > chunk.length || (rows > 0 && total > limits.chunkBytesMax)) {
        seal(Math.max(limits.chunkBytesMax, length))
      }
      lastRowStart = used
      missing = length
      return take(bytes, start)
    },
    resume: (bytes) => (missing > 0 ? take(bytes, 0) : 0),
    flush: () => seal(0),
  }
}

/** Length of a message without its own four bytes. */
function bodyLength(bytes: Buffer, at: number): number {
  const high = (bytes[at]! << 24) | (bytes[at + 1]! << 16)
  return (high | (bytes[at + 2]! << 8) | bytes[at + 3]!) - 4
}

function rowTooLarge(bytes: number, most: number): ServerError {
  return new ServerError(
    STATE_TOO_LARGE,
    `a row of ${bytes} bytes is larger than ${most} bytes`,
    undefined,
  )
}

function notARow(): ServerError {
  const message = 'the server does not send one COPY row per message'
  return new ServerError(STATE_PROTOCOL, message, undefined)
}

/** An ErrorResponse: fields of one letter and a text, closed by a zero. */
function parseError(body: Buffer): ServerError {
  const fields = new Map<string, string>()
  for (const field of body.toString('utf8').split('\0')) {
    if (field) fields.set(field.slice(0, 1), field.slice(1))
  }
  return new ServerError(fields.get('C') ?? '', fields.get('M') ?? 'unknown', fields.get('D'))
}

/**
 * An image on its way to another member: records one after the other, each with its lengths in front,
 * cut into parts of equal size and closed with a digest over all of them. Neither end holds more than
 * a few parts: the sender waits for the network, the network for the receiver.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Client, ClientWritableStream, Metadata } from '@grpc/grpc-js'
import { HakiriError } from '../../lib/error.ts'
import { peerService } from '../../proto/gen/raft.ts'
import type { SnapshotChunk } from '../../proto/gen/raft.ts'
import type { ImageRecord, ImageView } from '../image/image.ts'
import type { Message } from '../raft/types.ts'
import { messageToWire } from './peer-codec.ts'
import type { PeerLimits, PeerParts } from './peer-limits.ts'

export type SnapshotMessage = Message & { readonly kind: 'snapshot' }
export type SnapshotParts = PeerParts & { readonly limits: PeerLimits }

type Upload = ClientWritableStream<Parameters<typeof peerService.snapshot.requestSerialize>[0]>
export type UploadResult = { readonly isInstalled: boolean; readonly reason: string }

/** Length of a key and length of a value. */
const HEAD_BYTES = 8

// ── Sending ──────────────────────────────────────────────────────────────────────────────────────

/** Sends an image; resolves to whether the other end has installed it, and never rejects. */
export async function uploadSnapshot(
  parts: SnapshotParts,
  to: { readonly client: Client; readonly metadata: Metadata },
  message: SnapshotMessage,
  view: ImageView,
  signal: AbortSignal,
): Promise<UploadResult> {
  const result = Promise.withResolvers<UploadResult>()
  const ended = new AbortController()
  const { path, requestSerialize, responseDeserialize } = peerService.snapshot
  const call: Upload = to.client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    to.metadata,
    (error, receipt) => {
      const isInstalled = receipt?.isInstalled === true
      const refusal = isInstalled ? '' : 'it was not installed'
      result.resolve({ isInstalled, reason: error ? error.details : refusal })
      ended.abort()
    },
  )
  // The callback above tells every failure; without a listener the stream would throw it as well.
  call.on('error', () => undefined)
  const cancel = (): void => call.cancel()
  using watchdog = watchOver(parts, cancel)
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  try {
    await sendChunks(
      call,
      { ...message, mark: view.mark },
      view,
      parts.limits,
      ended.signal,
      watchdog,
    )
  } catch (error) {
    // What cannot be read ends the call; a call that has ended is told by its result.
    if (!ended.signal.aborted) {
      parts.logger.log('error', 'an image could not be read to be sent', { reason: String(error) })
      cancel()
    }
  }
  const outcome = await result.promise
  signal.removeEventListener('abort', cancel)
  return outcome
}

async function sendChunks(
  call: Upload,
  message: SnapshotMessage,
  view: ImageView,
  limits: PeerLimits,
  ended: AbortSignal,
  watchdog: Watchdog,
): Promise<void> {
  const hash = createHash('sha256')
  let totalBytes = 0
  const write = async (chunk: Parameters<Upload['write']>[0]): Promise<void> => {
    ended.throwIfAborted()
    if (!call.write(chunk)) await once(call, 'drain', { signal: ended })
    watchdog.touch()
  }
  await write({ message: messageToWire(message) })
  for await (const data of pack(view.records(ended), limits.chunkBytes)) {
    hash.update(data)
    totalBytes += data.length
    await write({ data })
  }
  await write({ digest: hash.digest(), totalBytes })
  call.end()
}

/** Records as bytes, in parts of `size`; only the last one is smaller. */
export async function* pack(
  portions: AsyncIterable<readonly ImageRecord[]>,
  size: number,
): AsyncGenerator<Buffer> {
  let part = Buffer.allocUnsafeSlow(size)
  let used = 0
  const full: Buffer[] = []
  const put = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length;) {
      const taken = Math.min(bytes.length - at, size - used)
      part.set(bytes.subarray(at, at + taken), used)
      used += taken
      at += taken
      if (used < size) continue
      full.push(part)
      part = Buffer.allocUnsafeSlow(size)
      used = 0
    }
  }
  for await (const records of portions) {
    for (const { key, value } of records) {
      const head = Buffer.allocUnsafe(HEAD_BYTES)
      head.writeUInt32BE(key.length, 0)
      head.writeUInt32BE(value.length, 4)
      put(head)
      put(key)
      put(value)
      yield* full.splice(0)
    }
  }
  if (used > 0) yield part.subarray(0, used)
}

// ── Receiving ────────────────────────────────────────────────────────────────────────────────────

/**
 * The records of the chunks that follow the first one. Ends only after the digest has fitted; throws
 * SNAPSHOT_DAMAGED on anything else.
 */
export async function* unpack(
  chunks: AsyncIterable<SnapshotChunk>,
  limits: PeerLimits,
): AsyncGenerator<readonly ImageRecord[]> {
  const hash = createHash('sha256')
  let totalBytes = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const { data, digest, totalBytes: expectedBytes } of chunks) {
    if (digest.length > 0) {
      const isWhole = totalBytes === expectedBytes && hash.digest().equals(digest)
      if (!isWhole || rest.length > 0) throw damaged('its digest does not fit')
      return
    }
    hash.update(data)
    totalBytes += data.length
    const cut = cutRecords(rest.length > 0 ? Buffer.concat([rest, data]) : asBuffer(data), limits)
    rest = cut.rest
    if (cut.records.length > 0) yield cut.records
  }
  throw damaged('it ends before its digest')
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function cutRecords(
  bytes: Buffer,
  { recordBytesMax }: PeerLimits,
): { readonly records: readonly ImageRecord[]; readonly rest: Buffer } {
  const records: ImageRecord[] = []
  let at = 0
  while (bytes.length - at >= HEAD_BYTES) {
    const keyEnd = at + HEAD_BYTES + bytes.readUInt32BE(at)
    const end = keyEnd + bytes.readUInt32BE(at + 4)
    if (end - at > recordBytesMax) throw damaged('it holds a record that is too large')
    if (end > bytes.length) break
    records.push({
      key: bytes.subarray(at + HEAD_BYTES, keyEnd),
      value: bytes.subarray(keyEnd, end),
    })
    at = end
  }
  return { records, rest: bytes.subarray(at) }
}

function damaged(what: string): HakiriError {
  return new HakiriError('SNAPSHOT_DAMAGED', `a snapshot from another member is damaged: ${what}`)
}

// ── Both ─────────────────────────────────────────────────────────────────────────────────────────

export type Watchdog = Disposable & { touch(): void }

/** Calls `stalled` once nothing was touched for as long as a snapshot may stall. */
export function watchOver(
  { scheduler, clock, limits }: SnapshotParts,
  stalled: () => void,
): Watchdog {
  let lastMs = clock.monotonic()
  const timer = scheduler.every(limits.snapshotStallMs / 4, () => {
    if (clock.monotonic() - lastMs >= limits.snapshotStallMs) stalled()
  })
  return {
    touch: () => {
      lastMs = clock.monotonic()
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

/**
 * A snapshot as a file: what `snapshot save` writes and `snapshot restore` reads. A body in a format of
 * our own, filled up with zeros to a multiple of 512 bytes, and 32 bytes of SHA-256 over all of it: the
 * outer shape that etcdctl looks for before it keeps what it was sent. etcd itself cannot read it.
 *
 *   body   = magic, format u32, header length u32, header (JSON), portion…, 0 u32, zeros
 *   portion = length u32, record…       record = key length u32, value length u32, key, value
 */
import { createHash } from 'node:crypto'
import { HakiriError } from '../../lib/error.ts'
import type { ImageRecord } from '../image/image.ts'
import type { Membership, SnapshotMark } from '../raft/types.ts'

export type SnapshotHeader = {
  readonly clusterId: bigint
  /** The member that it was taken from. */
  readonly memberId: bigint
  readonly revision: number
  readonly mark: SnapshotMark
  /** The version of Hakiri that wrote it. */
  readonly version: string
}

const MAGIC = Buffer.from('HAKIRI-SNAPSHOT\n')
const FORMAT = 1
const BLOCK_BYTES = 512
const DIGEST_BYTES = 32
/** Beyond any header or portion that is written; a larger length is damage. */
const PART_BYTES_MAX = 256 * 1024 * 1024

/** The whole file, in pieces of any size; the last piece is the digest. */
export async function* encodeSnapshot(
  header: SnapshotHeader,
  portions: AsyncIterable<readonly ImageRecord[]>,
): AsyncGenerator<Buffer> {
  const digest = createHash('sha256')
  let length = 0
  const counted = (piece: Buffer): Buffer => {
    digest.update(piece)
    length += piece.length
    return piece
  }
  yield counted(encodeHeader(header))
  for await (const records of portions)
    if (records.length > 0) yield counted(encodePortion(records))
  yield counted(u32(0))
  const missing = -length & (BLOCK_BYTES - 1)
  if (missing > 0) yield counted(Buffer.alloc(missing))
  yield digest.digest()
}

/** Whether a file that begins so, or is cut off this early, is a snapshot's. */
export function isSnapshotStart(start: Uint8Array): boolean {
  const length = Math.min(start.length, MAGIC.length)
  return MAGIC.subarray(0, length).equals(start.subarray(0, length))
}

/** About how long the file will be. */
export function estimateSnapshotBytes(recordBytes: number): number {
  return Math.ceil(recordBytes / BLOCK_BYTES) * BLOCK_BYTES + 2 * BLOCK_BYTES + DIGEST_BYTES
}

/** What stands in a file: the header at once, then the records, in order. */
export type DecodedSnapshot = {
  readonly header: SnapshotHeader
  /**
   * To be read to its end: only there the digest is checked, and a damaged file fails at the latest. What
   * was read before must not be put to use until then.
   */
  readonly portions: AsyncIterable<readonly ImageRecord[]>
}

/** Reads a file from its pieces. Fails with SNAPSHOT_INVALID on anything but an undamaged snapshot. */
export async function decodeSnapshot(pieces: AsyncIterable<Uint8Array>): Promise<DecodedSnapshot> {
  const source = createSource(pieces)
  const header = await readHeader(source)
  return { header, portions: readPortions(source) }
}

function encodeHeader(header: SnapshotHeader): Buffer {
  const json = Buffer.from(
    JSON.stringify(header, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    ),
  )
  return Buffer.concat([MAGIC, u32(FORMAT), u32(json.length), json])
}

function encodePortion(records: readonly ImageRecord[]): Buffer {
  const parts = records.flatMap(({ key, value }) => [
    u32(key.length),
    u32(value.length),
    key,
    value,
  ])
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([u32(length), ...parts], length + 4)
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

type Source = {
  /** Exactly so many bytes of the body; fails where there are fewer. */
  take(length: number): Promise<Buffer>
  /** Reads to the end and holds the digest against what was read. */
  finish(): Promise<void>
}

/** Holds back as many bytes as the digest has: until the end of the pieces they may be just that. */
function createSource(pieces: AsyncIterable<Uint8Array>): Source {
  const iterator = pieces[Symbol.asyncIterator]()
  const digest = createHash('sha256')
  let held = Buffer.alloc(0)
  let bodyBytes = 0
  const pull = async (): Promise<boolean> => {
    const next = await iterator.next()
    if (next.done === true) return false
    held = Buffer.concat([held, next.value])
    return true
  }
  const drop = (length: number): Buffer => {
    const taken = held.subarray(0, length)
    held = held.subarray(length)
    digest.update(taken)
    bodyBytes += length
    return taken
  }
  return {
    take: async (length) => {
      while (held.length < length + DIGEST_BYTES)
        if (!(await pull())) throw invalid('it is cut short')
      return drop(length)
    },
    finish: async () => {
      while (await pull()) if (held.length > DIGEST_BYTES) drop(held.length - DIGEST_BYTES)
      if (held.length > DIGEST_BYTES) drop(held.length - DIGEST_BYTES)
      if (bodyBytes % BLOCK_BYTES !== 0) throw invalid('it is cut short')
      if (!digest.digest().equals(held)) throw invalid('its checksum does not match')
    },
  }
}

async function readHeader(source: Source): Promise<SnapshotHeader> {
  const magic = await source.take(MAGIC.length)
  if (!magic.equals(MAGIC)) throw invalid('it was not written by Hakiri')
  const format = await takeU32(source)
  if (format !== FORMAT) throw invalid(`it has format ${format}, this version reads ${FORMAT}`)
  const json = await source.take(await takeLength(source))
  try {
    return parseHeader(JSON.parse(json.toString()) as StoredHeader)
  } catch (error) {
    throw invalid('its header cannot be read', error)
  }
}

/** The header as JSON keeps it: ids in decimal. */
type StoredHeader = Omit<SnapshotHeader, 'clusterId' | 'memberId' | 'mark'> & {
  readonly clusterId: string
  readonly memberId: string
  readonly mark: Omit<SnapshotMark, 'membership'> & {
    readonly membership: Omit<Membership, IdLists> & Record<IdLists, readonly string[]>
  }
}
type IdLists = 'voters' | 'outgoing' | 'learners' | 'learnersNext'

function parseHeader({ clusterId, memberId, mark, ...rest }: StoredHeader): SnapshotHeader {
  const { membership } = mark
  const ids = (list: readonly string[]): bigint[] => list.map(BigInt)
  return {
    ...rest,
    clusterId: BigInt(clusterId),
    memberId: BigInt(memberId),
    mark: {
      ...mark,
      membership: {
        ...membership,
        voters: ids(membership.voters),
        outgoing: ids(membership.outgoing),
        learners: ids(membership.learners),
        learnersNext: ids(membership.learnersNext),
      },
    },
  }
}

async function* readPortions(source: Source): AsyncGenerator<readonly ImageRecord[]> {
  for (;;) {
    const length = await takeLength(source)
    if (length === 0) break
    yield decodePortion(await source.take(length))
  }
  await source.finish()
}

function decodePortion(bytes: Buffer): readonly ImageRecord[] {
  const records: ImageRecord[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 8 > bytes.length) throw invalid('a record is cut short')
    const keyEnd = at + 8 + bytes.readUInt32BE(at)
    const end = keyEnd + bytes.readUInt32BE(at + 4)
    if (end > bytes.length) throw invalid('a record is cut short')
    records.push({ key: bytes.subarray(at + 8, keyEnd), value: bytes.subarray(keyEnd, end) })
    at = end
  }
  return records
}

async function takeU32(source: Source): Promise<number> {
  return (await source.take(4)).readUInt32BE()
}

async function takeLength(source: Source): Promise<number> {
  const length = await takeU32(source)
  if (length > PART_BYTES_MAX) throw invalid('a length in it makes no sense')
  return length
}

function invalid(what: string, cause?: unknown): HakiriError {
  return new HakiriError('SNAPSHOT_INVALID', `this snapshot cannot be used: ${what}`, {
    cause,
    suggestion: 'Take another snapshot, or use another copy of this one.',
  })
}

/** Single-request operations on one object: write, read, look at, fetch to a local file. */
import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { HakiriError } from '../../lib/error.ts'
import type { Random } from '../../lib/ports.ts'
import { explained } from './folder-errors.ts'
import type { S3Answer, S3Client } from './s3-client.ts'
import type { ObjectInfo } from './store.ts'

export async function putObject(client: S3Client, key: string, body: Uint8Array): Promise<void> {
  await client.send({ method: 'PUT', verb: 'write', key, body })
}

/** Undefined when there is no such object. */
export async function getObject(client: S3Client, key: string): Promise<Uint8Array | undefined> {
  const answer = await client.send({
    method: 'GET',
    verb: 'read',
    key,
    // The 404 of something that is not S3 (a proxy, a web server) must not pass for "no such object".
    accept: (status, code) => status === 404 && code === 'NoSuchKey',
    answerBytesMax: client.limits.getBytesMax,
  })
  return answer.status === 404 ? undefined : answer.body
}

/** Undefined when there is no such object. */
export async function headObject(client: S3Client, key: string): Promise<ObjectInfo | undefined> {
  const answer = await client.send({
    method: 'HEAD',
    verb: 'look at',
    key,
    accept: (status) => status === 404,
  })
  if (answer.status === 404) {
    if (!client.isBucketSeen()) await checkBucket(client)
    return undefined
  }
  return {
    key,
    bytes: Number(answer.headers['content-length']),
    modifiedAt: Date.parse(answer.headers['last-modified'] ?? ''),
    etag: etagOf(answer),
  }
}

/** An answer to HEAD has no body, so it cannot say that the bucket is missing; a listing can. */
async function checkBucket(client: S3Client): Promise<void> {
  await client.send({ method: 'GET', verb: 'list', query: { 'list-type': '2', 'max-keys': '1' } })
}

const etagOf = (answer: S3Answer): string => (answer.headers.etag ?? '').replaceAll('"', '')
const nameOf = (client: S3Client, key: string): string =>
  `s3://${client.location.bucket}/${client.location.prefix}${key}`

/** Bytes [start, end); fewer when the object is shorter. STORE_NOT_FOUND when there is none. */
export async function readObject(
  client: S3Client,
  key: string,
  start: number,
  end: number,
): Promise<Uint8Array> {
  return (await readRange(client, key, start, end)).bytes
}

type Range = { readonly bytes: Uint8Array; readonly etag: string }

async function readRange(
  client: S3Client,
  key: string,
  start: number,
  end: number,
  into?: Uint8Array,
): Promise<Range> {
  const answer = await client.send({
    method: 'GET',
    verb: 'read',
    key,
    headers: { range: `bytes=${start}-${end - 1}` },
    // The range lies behind the end.
    accept: (status) => status === 416,
    answerBytesMax: client.limits.getBytesMax,
    ...(into && { into }),
  })
  if (answer.status === 416) return { bytes: new Uint8Array(), etag: etagOf(answer) }
  // A store that ignores ranges sends everything.
  const bytes = answer.status === 200 ? answer.body.subarray(start, end) : answer.body
  return { bytes, etag: etagOf(answer) }
}

function missing(client: S3Client, key: string): HakiriError {
  return new HakiriError('STORE_NOT_FOUND', `There is no object ${nameOf(client, key)}`, {
    suggestion: 'Run `hakiri doctor`; if someone removed files from the bucket, restore them.',
  })
}

/**
 * Fetches the object into `cacheFolder` under a name made of url, key and etag, and returns the path.
 * A file of that name and size is the object: it got its name only when it was whole and on disk.
 */
export async function materialiseObject(
  client: S3Client,
  random: Random,
  key: string,
  cacheFolder: string,
): Promise<string> {
  const info = await headObject(client, key)
  if (!info) throw missing(client, key)
  const { bucketUrl } = client.location
  const hash = createHash('sha256').update(`${bucketUrl}\n${nameOf(client, key)}\n${info.etag}`)
  const path = join(cacheFolder, hash.digest('hex'))
  const present = await stat(path).catch(() => undefined)
  if (present?.size === info.bytes) return path
  const temporary = `${path}.${random.uuid()}.tmp`
  try {
    const handle = await explained('write', temporary, async () => {
      await mkdir(cacheFolder, { recursive: true })
      return open(temporary, 'wx')
    })
    try {
      await download(client, info, handle, temporary)
    } finally {
      await handle.close()
    }
    await explained('write', path, () => rename(temporary, path))
    return path
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Piece by piece, so that memory is bounded and a broken connection costs one piece. */
async function download(
  client: S3Client,
  info: ObjectInfo,
  handle: FileHandle,
  path: string,
): Promise<void> {
  const { partBytes } = client.limits
  await client.buffers.use(async () => {
    const buffer = new Uint8Array(Math.min(partBytes, info.bytes))
    for (let start = 0; start < info.bytes; start += partBytes) {
      const end = Math.min(start + partBytes, info.bytes)
      const piece = await readRange(client, info.key, start, end, buffer)
      if (piece.etag !== info.etag || piece.bytes.byteLength !== end - start)
        throw changed(client, info.key)
      await explained('write', path, () => writeFully(handle, piece.bytes, start))
    }
  })
  await explained('write', path, () => handle.datasync())
}

const changed = (client: S3Client, key: string): HakiriError =>
  new HakiriError('STORE_UNREACHABLE', `${nameOf(client, key)} changed while it was read`, {
    suggestion: 'Try again; if it happens again, someone else writes to this bucket.',
  })

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await handle.write(bytes, done, undefined, position + done)
    done += bytesWritten
  }
}

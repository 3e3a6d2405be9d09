/**
 * Uploads a local file: small ones in one request, large ones in parts, in bounded memory.
 * Invariant: the object appears whole or not at all; a failed upload is aborted, so that its parts
 * do not stay behind and cost money.
 */
import { open, rm, type FileHandle } from 'node:fs/promises'
import { HakiriError } from '../../lib/error.ts'
import { explained } from './folder-errors.ts'
import type { S3Client } from './s3-client.ts'
import { problemError } from './s3-errors.ts'
import { headObject, putObject } from './s3-objects.ts'
import { completeDocument, parseProblem, parseUploadId } from './s3-xml.ts'

/** Parts of one upload under way together. */
const PARTS_AT_ONCE = 2
/** S3 allows no more parts than this. */
const PARTS_MAX = 10_000

/** Uploads the file and removes it. */
export async function uploadFile(client: S3Client, key: string, localPath: string): Promise<void> {
  const handle = await explained('read', localPath, () => open(localPath, 'r'))
  try {
    const { size } = await handle.stat()
    const source = { handle, localPath, bytes: size }
    if (size <= client.limits.partBytes)
      await client.buffers.use(async () => {
        const body = new Uint8Array(size)
        await putObject(client, key, await fill(source, body, 0))
      })
    else await uploadParts(client, key, source)
  } finally {
    await handle.close()
  }
  await explained('remove', localPath, () => rm(localPath, { force: true }))
}

type Source = {
  readonly handle: FileHandle
  readonly localPath: string
  readonly bytes: number
}

async function uploadParts(client: S3Client, key: string, source: Source): Promise<void> {
  const uploadId = await begin(client, key)
  try {
    const etags = await sendParts(client, key, uploadId, source)
    await complete(client, key, uploadId, etags, source.bytes)
  } catch (error) {
    await abort(client, key, uploadId)
    throw error
  }
}

async function begin(client: S3Client, key: string): Promise<string> {
  const answer = await client.send({
    method: 'POST',
    verb: 'begin the upload of',
    key,
    query: { uploads: '' },
    check: ({ body }, { what }) =>
      parseUploadId(body) === undefined ? notS3(`${what}: the answer has no upload id`) : undefined,
  })
  return parseUploadId(answer.body) ?? ''
}

const notS3 = (message: string): HakiriError =>
  new HakiriError('STORE_REFUSED', message, {
    suggestion: 'Check that the endpoint is an S3 endpoint.',
  })

/** Workers take part after part; each holds one buffer, which it fills again and again. */
async function sendParts(
  client: S3Client,
  key: string,
  uploadId: string,
  source: Source,
): Promise<readonly string[]> {
  const partBytes = partSize(client.limits.partBytes, source.bytes)
  const count = Math.ceil(source.bytes / partBytes)
  const etags = Array.from({ length: count }, () => '')
  let next = 0
  let isFailed = false
  const worker = async (): Promise<void> => {
    if (next >= count) return
    const buffer = new Uint8Array(partBytes)
    while (next < count && !isFailed) {
      const index = next++
      const body = await fill(source, buffer, index * partBytes)
      etags[index] = await sendPart(client, key, uploadId, index, body)
    }
  }
  const guarded = (): Promise<void> =>
    client.buffers.use(worker).catch((error: unknown) => {
      isFailed = true
      throw error
    })
  const results = await Promise.allSettled(Array.from({ length: PARTS_AT_ONCE }, guarded))
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return etags
}

/** The usual size, or as much larger as PARTS_MAX demands. */
function partSize(usual: number, bytes: number): number {
  const mebibyte = 2 ** 20
  return Math.max(usual, Math.ceil(bytes / PARTS_MAX / mebibyte) * mebibyte)
}

async function sendPart(
  client: S3Client,
  key: string,
  uploadId: string,
  index: number,
  body: Uint8Array,
): Promise<string> {
  const answer = await client.send({
    method: 'PUT',
    verb: `upload part ${index + 1} of`,
    key,
    query: { partNumber: String(index + 1), uploadId },
    body,
    check: ({ headers }, { what }) =>
      headers.etag === undefined ? notS3(`${what}: the answer has no ETag`) : undefined,
  })
  return answer.headers.etag ?? ''
}

/** Reads from `position` until the buffer is full or the file ends. */
async function fill(source: Source, buffer: Uint8Array, position: number): Promise<Uint8Array> {
  const wanted = Math.min(buffer.byteLength, source.bytes - position)
  let filled = 0
  while (filled < wanted) {
    const { bytesRead } = await explained('read', source.localPath, () =>
      source.handle.read(buffer, filled, wanted - filled, position + filled),
    )
    if (bytesRead === 0)
      throw new HakiriError('STORE_REFUSED', `${source.localPath} shrank while it was uploaded`, {
        suggestion: 'Upload only finished files.',
      })
    filled += bytesRead
  }
  return buffer.subarray(0, wanted)
}

/** A success status may still carry an error, and a lost answer may have been a success. */
async function complete(
  client: S3Client,
  key: string,
  uploadId: string,
  etags: readonly string[],
  bytes: number,
): Promise<void> {
  const answer = await client.send({
    method: 'POST',
    verb: 'complete the upload of',
    key,
    query: { uploadId },
    body: new TextEncoder().encode(completeDocument(etags)),
    accept: (_status, code) => code === 'NoSuchUpload',
    check: (done, attempted) => {
      const problem = parseProblem(done.body)
      return problem && problemError(attempted, problem, done)
    },
  })
  if (answer.code !== 'NoSuchUpload') return
  const present = answer.isAmbiguous ? await headObject(client, key) : undefined
  if (present?.bytes === bytes && present.etag.endsWith(`-${etags.length}`)) return
  throw new HakiriError(
    'STORE_UNREACHABLE',
    `The upload of ${key} was lost before it was complete`,
    {
      suggestion: 'It is uploaded again; check that no lifecycle rule removes young uploads.',
    },
  )
}

/** Best effort: what cannot be aborted now is left to the lifecycle rule of the bucket. */
async function abort(client: S3Client, key: string, uploadId: string): Promise<void> {
  await client
    .send({
      method: 'DELETE',
      verb: 'abort the upload of',
      key,
      query: { uploadId },
      accept: (status) => status === 404,
      isCleanup: true,
    })
    .catch(() => undefined)
}

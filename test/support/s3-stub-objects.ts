/**
 * What the S3 stub does with a request: buckets, objects and uploads, in memory unless a keeper puts
 * objects elsewhere. Each operation is one synchronous step, which is the lock per key: no two conditional writes can both find a key free.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { StubOperation } from './s3-stub-faults.ts'

export type StubObject = {
  /** May be read from elsewhere at each look. */
  readonly body: Buffer
  readonly bytes: number
  readonly etag: string
  readonly modifiedAt: number
}
export type StubUpload = { readonly key: string; readonly parts: Map<number, StubObject> }
export type StubBucket = {
  readonly objects: Map<string, StubObject>
  readonly uploads: Map<string, StubUpload>
  /** Keys in order; undefined when a change has made it stale. */
  sorted: readonly string[] | undefined
  /** Keeps objects beyond the life of the process; returns what is to be served. */
  readonly keeper?: StubKeeper
}
export type StubKeeper = {
  keep(key: string, object: StubObject): StubObject
  drop(key: string): void
}
export const emptyBucket = (): StubBucket => ({
  objects: new Map(),
  uploads: new Map(),
  sorted: undefined,
})

export type StubBehaviour = {
  readonly conditional: 'honoured' | 'ignored' | 'refused'
  readonly batchDelete: 'honoured' | 'refused'
  /** Whether a listing that goes on says where: off, the client has to carry on by key. */
  readonly listTokens: boolean
  readonly partBytesMin: number
}
export type StubCall = {
  readonly operation: StubOperation
  readonly bucket: StubBucket
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly body: Buffer
  readonly behaviour: StubBehaviour
  /** Of a batch deletion: leave every second key. */
  readonly isHalf: boolean
}
export type StubAnswer = {
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  readonly body?: Buffer | string
}

const LIST_KEYS_MAX = 1000

export function refusal(status: number, code: string, message = 'This was refused.'): StubAnswer {
  return {
    status,
    body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  }
}

export function perform(call: StubCall): StubAnswer {
  return OPERATIONS[call.operation](call)
}

const OPERATIONS: Readonly<Record<StubOperation, (call: StubCall) => StubAnswer>> = {
  put: putObject,
  get: getObject,
  head: getObject,
  delete: ({ bucket, key }) => {
    remove(bucket, key)
    return { status: 204 }
  },
  list,
  'delete-batch': deleteBatch,
  'begin-upload': ({ bucket, key }) => {
    const id = randomUUID()
    bucket.uploads.set(id, { key, parts: new Map() })
    return document(
      'InitiateMultipartUploadResult',
      `<Key>${escape(key)}</Key><UploadId>${id}</UploadId>`,
    )
  },
  'upload-part': uploadPart,
  'complete-upload': completeUpload,
  'abort-upload': ({ bucket, query }) =>
    bucket.uploads.delete(query.get('uploadId') ?? '')
      ? { status: 204 }
      : refusal(404, 'NoSuchUpload'),
}

const document = (root: string, content: string): StubAnswer => ({
  status: 200,
  body: `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${root}>`,
})
const md5 = (body: Buffer): string => createHash('md5').update(body).digest('hex')
const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
const unescape = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&quot;', '"').replaceAll('&amp;', '&')
/** The text of every element of that name, in document order. */
const elements = (xml: string, name: string): readonly string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) =>
    unescape(text ?? ''),
  )
const quoted = (etag: string): string => `"${etag}"`

function store(bucket: StubBucket, key: string, body: Buffer, etag: string): void {
  if (!bucket.objects.has(key)) bucket.sorted = undefined
  // S3 counts modification times in whole seconds.
  const modifiedAt = Math.floor(Date.now() / 1000) * 1000
  const object = { body, bytes: body.length, etag, modifiedAt }
  bucket.objects.set(key, bucket.keeper?.keep(key, object) ?? object)
}

function remove(bucket: StubBucket, key: string): void {
  if (!bucket.objects.delete(key)) return
  bucket.keeper?.drop(key)
  bucket.sorted = undefined
}

function putObject({ bucket, key, body, headers, behaviour }: StubCall): StubAnswer {
  if (headers['if-none-match'] === '*') {
    if (behaviour.conditional === 'refused') return refusal(501, 'NotImplemented')
    if (behaviour.conditional === 'honoured' && bucket.objects.has(key))
      return refusal(412, 'PreconditionFailed')
  }
  const etag = md5(body)
  store(bucket, key, body, etag)
  return { status: 200, headers: { etag: quoted(etag) } }
}

function getObject({ bucket, key, headers }: StubCall): StubAnswer {
  const found = bucket.objects.get(key)
  if (!found) return refusal(404, 'NoSuchKey')
  const common = {
    etag: quoted(found.etag),
    'last-modified': new Date(found.modifiedAt).toUTCString(),
    'accept-ranges': 'bytes',
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(String(headers.range ?? ''))
  if (!range) return { status: 200, headers: common, body: found.body }
  const start = Number(range[1])
  const end = Math.min(Number(range[2]) + 1, found.body.length)
  if (start >= found.body.length) return refusal(416, 'InvalidRange')
  return {
    status: 206,
    headers: { ...common, 'content-range': `bytes ${start}-${end - 1}/${found.body.length}` },
    body: found.body.subarray(start, end),
  }
}

function list({ bucket, query, behaviour }: StubCall): StubAnswer {
  bucket.sorted ??= [...bucket.objects.keys()].toSorted()
  const token = query.get('continuation-token')
  const after = token === null ? query.get('start-after') : Buffer.from(token, 'base64').toString()
  const prefix = query.get('prefix') ?? ''
  const keysMax = Math.min(LIST_KEYS_MAX, Number(query.get('max-keys') ?? LIST_KEYS_MAX))
  const from = bucket.sorted.findIndex((key) => key > (after ?? '') && key.startsWith(prefix))
  const rest = from < 0 ? [] : bucket.sorted.slice(from, from + keysMax + 1)
  const matching = rest.filter((key) => key.startsWith(prefix))
  const keys = matching.slice(0, keysMax)
  const last = keys.at(-1)
  const isTruncated = matching.length > keys.length && last !== undefined
  const next =
    isTruncated && behaviour.listTokens ? Buffer.from(last).toString('base64') : undefined
  const isEncoded = query.get('encoding-type') === 'url'
  return document(
    'ListBucketResult',
    [
      `<Prefix>${escape(prefix)}</Prefix><KeyCount>${keys.length}</KeyCount><MaxKeys>${keysMax}</MaxKeys>`,
      isEncoded ? '<EncodingType>url</EncodingType>' : '',
      `<IsTruncated>${isTruncated}</IsTruncated>`,
      next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`,
      ...keys.map((key) => listed(bucket, key, isEncoded)),
    ].join(''),
  )
}

function listed(bucket: StubBucket, key: string, isEncoded: boolean): string {
  const found = bucket.objects.get(key)!
  const shown = isEncoded ? encodeURIComponent(key).replaceAll('%20', '+') : escape(key)
  const time = new Date(found.modifiedAt).toISOString()
  return `<Contents><Key>${shown}</Key><LastModified>${time}</LastModified><ETag>&quot;${found.etag}&quot;</ETag><Size>${found.bytes}</Size></Contents>`
}

function deleteBatch({ bucket, body, headers, behaviour, isHalf }: StubCall): StubAnswer {
  if (behaviour.batchDelete === 'refused') return refusal(501, 'NotImplemented')
  if (headers['content-md5'] !== createHash('md5').update(body).digest('base64'))
    return refusal(400, 'BadDigest')
  const keys = elements(body.toString(), 'Key')
  if (keys.length > LIST_KEYS_MAX) return refusal(400, 'MalformedXML')
  const kept = keys.filter((_, index) => isHalf && index % 2 === 1)
  for (const key of keys) if (!kept.includes(key)) remove(bucket, key)
  const errors = kept.map(
    (key) =>
      `<Error><Key>${escape(key)}</Key><Code>InternalError</Code><Message>Not now.</Message></Error>`,
  )
  return document('DeleteResult', errors.join(''))
}

function uploadPart({ bucket, query, body }: StubCall): StubAnswer {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '')
  if (!upload) return refusal(404, 'NoSuchUpload')
  const etag = md5(body)
  const part = { body, bytes: body.length, etag, modifiedAt: Date.now() }
  upload.parts.set(Number(query.get('partNumber')), part)
  return { status: 200, headers: { etag: quoted(etag) } }
}

function completeUpload({ bucket, key, query, body, behaviour }: StubCall): StubAnswer {
  const id = query.get('uploadId') ?? ''
  const upload = bucket.uploads.get(id)
  if (!upload) return refusal(404, 'NoSuchUpload')
  const numbers = elements(body.toString(), 'PartNumber').map(Number)
  const etags = elements(body.toString(), 'ETag').map((etag) => etag.replaceAll('"', ''))
  const parts = numbers.map((number) => upload.parts.get(number))
  const isSound =
    parts.length > 0 &&
    parts.every((part, index) => part?.etag === etags[index] && numbers[index] === index + 1)
  if (!isSound) return refusal(400, 'InvalidPart')
  const sound = parts.filter((part) => part !== undefined)
  if (sound.slice(0, -1).some((part) => part.body.length < behaviour.partBytesMin))
    return refusal(400, 'EntityTooSmall')
  const digests = Buffer.concat(sound.map((part) => Buffer.from(part.etag, 'hex')))
  const etag = `${md5(digests)}-${sound.length}`
  store(bucket, key, Buffer.concat(sound.map((part) => part.body)), etag)
  bucket.uploads.delete(id)
  return document('CompleteMultipartUploadResult', `<ETag>&quot;${etag}&quot;</ETag>`)
}

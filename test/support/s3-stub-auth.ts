/**
 * Checks AWS Signature Version 4 on the server's side, written from the public description of the
 * algorithm and on its own, so that a signing mistake of the client cannot cancel itself out.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

export type StubCredentials = { readonly accessKeyId: string; readonly secretAccessKey: string }
export type AuthProblem = {
  readonly status: 400 | 403
  readonly code: string
  readonly message: string
}

const SKEW_MS_MAX = 15 * 60_000

/** Undefined when the request is signed by the holder of the secret and the body is what was signed. */
export function checkSignature(
  request: IncomingMessage,
  body: Uint8Array,
  credentials: StubCredentials,
  region: string,
): AuthProblem | undefined {
  const parsed = parseAuthorization(request.headers.authorization)
  if (!parsed) return forbidden('AccessDenied', 'The request is not signed.')
  if (parsed.accessKeyId !== credentials.accessKeyId)
    return forbidden('InvalidAccessKeyId', 'The access key is not known here.')
  if (parsed.region !== region)
    return bad('AuthorizationHeaderMalformed', `The region '${parsed.region}' is wrong.`)
  const time = header(request, 'x-amz-date')
  if (Math.abs(Date.now() - parseTime(time)) > SKEW_MS_MAX)
    return forbidden('RequestTimeTooSkewed', 'The time of the request is too far from ours.')
  const digest = createHash('sha256').update(body).digest('hex')
  if (header(request, 'x-amz-content-sha256') !== digest)
    return bad('XAmzContentSHA256Mismatch', 'The body is not the one that was signed.')
  const expected = signature(request, parsed, time, digest, credentials.secretAccessKey)
  return isEqual(expected, parsed.signature)
    ? undefined
    : forbidden('SignatureDoesNotMatch', 'The signature does not match the request.')
}

const forbidden = (code: string, message: string): AuthProblem => ({ status: 403, code, message })
const bad = (code: string, message: string): AuthProblem => ({ status: 400, code, message })
const header = (request: IncomingMessage, name: string): string =>
  String(request.headers[name] ?? '')
const isEqual = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

type Parsed = {
  readonly accessKeyId: string
  readonly day: string
  readonly region: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

function parseAuthorization(text: string | undefined): Parsed | undefined {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      text ?? '',
    )
  if (!match) return undefined
  const [, accessKeyId = '', day = '', region = '', headers = '', found = ''] = match
  return { accessKeyId, day, region, signedHeaders: headers.split(';'), signature: found }
}

/** 20260131T235959Z → milliseconds. */
function parseTime(text: string): number {
  const iso = text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
  return Date.parse(iso)
}

function signature(
  request: IncomingMessage,
  parsed: Parsed,
  time: string,
  digest: string,
  secret: string,
): string {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const canonical = [
    request.method,
    path
      .split('/')
      .map((part) => strictEncode(decodeURIComponent(part)))
      .join('/'),
    canonicalQuery(query),
    ...parsed.signedHeaders.map((name) => `${name}:${header(request, name).trim()}`),
    '',
    parsed.signedHeaders.join(';'),
    digest,
  ].join('\n')
  const scope = `${parsed.day}/${parsed.region}/s3/aws4_request`
  const hashed = createHash('sha256').update(canonical).digest('hex')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, hashed].join('\n')
  const key = [parsed.day, parsed.region, 's3', 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${secret}`,
  )
  return hmac(key, toSign).toString('hex')
}

const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest()

const strictEncode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${strictEncode(name)}=${strictEncode(value)}`)
    .toSorted()
    .join('&')
}

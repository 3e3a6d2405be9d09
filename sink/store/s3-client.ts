/**
 * Signed requests to one bucket, retried by class. Everything above speaks in keys and answers.
 * The only file that knows the signing package.
 */
import { createHash } from 'node:crypto'
import { AwsV4Signer } from 'aws4fetch'
import { withRetry, type Backoff } from '../../lib/backoff.ts'
import { HakiriError } from '../../lib/error.ts'
import {
  DEFAULT_S3_LIMITS,
  locate,
  objectUrl,
  type S3Config,
  type S3Limits,
  type S3Location,
} from './s3-config.ts'
import { networkError, problemError, problemOf, type Attempted } from './s3-errors.ts'
import { createHttp, type Http, type HttpAnswer } from './s3-http.ts'
import { createSlots, type Slots } from './slots.ts'
import type { StoreDeps } from './store-deps.ts'

export type S3Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** For messages: "write", "list". */
  readonly verb: string
  /** Without the store's prefix; undefined addresses the bucket. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** True for a refusal that is an answer to the caller: 412, 404 with NoSuchKey. */
  readonly accept?: (status: number, code: string) => boolean
  readonly answerBytesMax?: number
  /** A buffer for the bytes of a range; the answer's body is then a view of it. */
  readonly into?: Uint8Array
  /** Looks into a successful answer; the error it returns is retried like any other. */
  readonly check?: (answer: HttpAnswer, attempted: Attempted) => HakiriError | undefined
  /** Clean-up that is still sent, with few retries, when the store is being stopped. */
  readonly isCleanup?: boolean
}

export type S3Answer = HttpAnswer & {
  /** An earlier attempt ended without a clear answer, so it may have taken effect. */
  readonly isAmbiguous: boolean
  /** S3's code of an accepted refusal. */
  readonly code: string
}

export type S3Client = {
  readonly location: S3Location
  readonly limits: S3Limits
  /** Places for buffers of `limits.partBytes`. */
  readonly buffers: Slots
  send(request: S3Request): Promise<S3Answer>
  /** True once the bucket has answered anything but a refusal. */
  isBucketSeen(): boolean
  close(): void
}

/** XML answers are small; one that is not is no answer of S3. */
const DOCUMENT_BYTES_MAX = 16 * 2 ** 20
const CLEANUP_RETRIES: Backoff = { retriesMax: 2, firstMs: 50, mostMs: 500 }

export function createS3Client(config: S3Config, deps: StoreDeps): S3Client {
  const location = locate(config)
  const limits: S3Limits = { ...DEFAULT_S3_LIMITS, ...config.limits }
  const http = createHttp(limits, deps.clock)
  const closed = new AbortController()
  const outer = deps.signal ? AbortSignal.any([deps.signal, closed.signal]) : closed.signal
  const signer = createSigner(config, location)
  const seen = { bucket: false }
  const parts: Parts = { location, limits, http, deps, signer, seen }
  return {
    location,
    limits,
    buffers: createSlots(limits.buffersMax),
    send: (request) => sendWithRetry(parts, request, request.isCleanup ? closed.signal : outer),
    isBucketSeen: () => seen.bucket,
    close() {
      closed.abort(new Error('the store was closed'))
      http.close()
    },
  }
}

type Parts = {
  readonly location: S3Location
  readonly limits: S3Limits
  readonly http: Http
  readonly deps: StoreDeps
  readonly signer: Signer
  readonly seen: { bucket: boolean }
}

async function sendWithRetry(
  parts: Parts,
  request: S3Request,
  signal: AbortSignal,
): Promise<S3Answer> {
  const { deps, limits } = parts
  const what = describe(parts.location, request)
  const state = { isAmbiguous: false }
  try {
    const retries = request.isCleanup ? CLEANUP_RETRIES : limits.retries
    const hooks = { clock: deps.clock, random: deps.random, signal, onRetry: logRetry(deps, what) }
    return await withRetry(retries, hooks, () => attempt(parts, request, what, signal, state))
  } catch (error) {
    if (!signal.aborted) throw error
    throw new HakiriError('CANCELLED', `Stopped before it was done: ${what}`, { cause: error })
  }
}

function describe(location: S3Location, request: S3Request): string {
  const at = request.key === undefined ? location.url : `s3://${location.bucket}/${location.prefix}`
  return `${request.verb} ${at}${request.key ?? ''}`
}

const logRetry =
  (deps: StoreDeps, what: string) =>
  (error: HakiriError, attemptNumber: number, waitMs: number): void =>
    deps.logger.log('warn', 'the bucket did not do what was asked; trying again', {
      what,
      error: error.message,
      attempt: attemptNumber,
      waitMs,
    })

async function attempt(
  parts: Parts,
  request: S3Request,
  what: string,
  signal: AbortSignal,
  state: { isAmbiguous: boolean },
): Promise<S3Answer> {
  const { deps, location } = parts
  const answer = await exchange(parts, request, signal).catch((error: unknown) => {
    state.isAmbiguous = true
    throw networkError({ what, location, now: deps.clock.now() }, error)
  })
  const attempted = { what, location, now: deps.clock.now() }
  if (answer.status >= 200 && answer.status < 300) {
    const problem = request.check?.(answer, attempted)
    if (problem) {
      state.isAmbiguous = true
      throw problem
    }
    parts.seen.bucket = true
    return { ...answer, isAmbiguous: state.isAmbiguous, code: '' }
  }
  const problem = problemOf(answer)
  if (request.accept?.(answer.status, problem.code))
    return { ...answer, isAmbiguous: state.isAmbiguous, code: problem.code }
  if (answer.status >= 500) state.isAmbiguous = true
  throw problemError(attempted, problem, answer)
}

async function exchange(
  parts: Parts,
  request: S3Request,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const url = objectUrl(parts.location, request.key, request.query ?? {})
  const headers = await parts.signer(request, url, parts.deps.clock.now())
  return parts.http.send(
    {
      method: request.method,
      url,
      headers,
      body: request.body,
      answerBytesMax: request.answerBytesMax ?? DOCUMENT_BYTES_MAX,
      ...(request.into && { into: request.into }),
    },
    signal,
  )
}

/** Headers of one attempt: each is signed anew, with the time it is sent. */
type Signer = (request: S3Request, url: URL, now: number) => Promise<Record<string, string>>

function createSigner(config: S3Config, location: S3Location): Signer {
  const cache = new Map<string, ArrayBuffer>()
  const { credentials } = config
  return async (request, url, now) => {
    const body = request.body ?? new Uint8Array()
    const headers: Record<string, string> = {
      ...request.headers,
      // The store checks the body against this, so a flipped bit on the way is an error, not data.
      'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
    }
    if (request.method === 'PUT' || request.method === 'POST')
      headers['content-length'] = String(body.byteLength)
    if (!credentials) return headers
    // The derived key changes daily; without this the cache would grow by one a day.
    if (cache.size > 2) cache.clear()
    const signed = await new AwsV4Signer({
      method: request.method,
      url: url.href,
      headers,
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      ...(credentials.sessionToken && { sessionToken: credentials.sessionToken }),
      service: 's3',
      region: location.region,
      cache,
      datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    }).sign()
    return Object.fromEntries(signed.headers)
  }
}

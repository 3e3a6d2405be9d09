/**
 * What an S3 answer or a broken connection means for a caller: one table from S3's codes to ours.
 * A refusal by the store (403) is never retried and never dropped: the caller pauses on STORE_AUTH.
 */
import { HakiriError, type Code, type ErrorDetails } from '../../lib/error.ts'
import type { S3Location } from './s3-config.ts'
import { AnswerTooLarge, DeadlinePassed, type HttpAnswer } from './s3-http.ts'
import { parseProblem, type S3Problem } from './s3-xml.ts'

/** Longest pause that a Retry-After header may ask for. */
const RETRY_AFTER_MS_MAX = 60_000
const MESSAGE_LENGTH_MAX = 300

type Kind = 'auth' | 'clock' | 'bucket' | 'object' | 'region' | 'transient' | 'refused'

const KINDS: Readonly<Record<string, Kind>> = {
  AccessDenied: 'auth',
  AccountProblem: 'auth',
  AllAccessDisabled: 'auth',
  ExpiredToken: 'auth',
  InvalidAccessKeyId: 'auth',
  InvalidToken: 'auth',
  SignatureDoesNotMatch: 'auth',
  TokenRefreshRequired: 'auth',
  RequestTimeTooSkewed: 'clock',
  RequestExpired: 'clock',
  NoSuchBucket: 'bucket',
  NoSuchKey: 'object',
  AuthorizationHeaderMalformed: 'region',
  PermanentRedirect: 'region',
  TemporaryRedirect: 'region',
  IllegalLocationConstraintException: 'region',
  // The bytes that arrived are not those that were sent, or did not arrive in time.
  BadDigest: 'transient',
  IncompleteBody: 'transient',
  XAmzContentSHA256Mismatch: 'transient',
  RequestTimeout: 'transient',
  SlowDown: 'transient',
  InternalError: 'transient',
  ServiceUnavailable: 'transient',
  Busy: 'transient',
  OperationAborted: 'transient',
  ConditionalRequestConflict: 'transient',
  TooManyRequests: 'transient',
  QuotaExceeded: 'refused',
}

function kindOf(status: number, code: string): Kind {
  const known = KINDS[code]
  if (known) return known
  if (status === 401 || status === 403) return 'auth'
  if (status === 301 || status === 307) return 'region'
  if ([408, 409, 425, 429].includes(status)) return 'transient'
  if (status === 501 || status === 505) return 'refused'
  return status >= 500 || status < 300 ? 'transient' : 'refused'
}

/** `what` is a verb phrase with its object: "write s3://lake/raw/a". */
export type Attempted = {
  readonly what: string
  readonly location: S3Location
  /** Wall clock of this machine when the answer came. */
  readonly now: number
}

/** What the XML of a refusal says; empty for an answer to HEAD and for one that is not S3's. */
export function problemOf(answer: HttpAnswer): S3Problem {
  return parseProblem(answer.body) ?? { code: '', message: '' }
}

/** The error for a refusal, or for a problem found inside an answer (one key of a batch). */
export function problemError(
  attempted: Attempted,
  problem: S3Problem,
  answer: HttpAnswer,
): HakiriError {
  const kind = kindOf(answer.status, problem.code)
  const said = [answer.status, problem.code, problem.message].filter(Boolean).join(' ')
  const message = `Cannot ${attempted.what}: ${said.slice(0, MESSAGE_LENGTH_MAX)}`
  const { code, ...details } = describe(kind, attempted, answer)
  return new HakiriError(code, message + (details.suffix ?? ''), details)
}

type Description = ErrorDetails & { readonly code: Code; readonly suffix?: string }

function describe(kind: Kind, attempted: Attempted, answer: HttpAnswer): Description {
  const { location } = attempted
  switch (kind) {
    case 'auth':
      return {
        code: 'STORE_AUTH',
        suggestion: `Check the keys and their rights on bucket ${location.bucket} (read, write, list, delete).`,
      }
    case 'clock':
      return {
        code: 'STORE_AUTH',
        suffix: skewText(attempted.now, answer.headers.date),
        suggestion: 'Set the clock of this machine (chrony or systemd-timesyncd), then try again.',
      }
    case 'bucket':
      return {
        code: 'STORE_NOT_FOUND',
        suggestion: `Create bucket ${location.bucket} at ${location.endpoint}, or correct the url.`,
      }
    case 'object':
      return {
        code: 'STORE_NOT_FOUND',
        suggestion: 'If someone removed files from the bucket, restore them.',
      }
    case 'region':
      return {
        code: 'STORE_REFUSED',
        suggestion: regionText(location, answer.headers['x-amz-bucket-region']),
      }
    case 'transient': {
      const seconds = Number(answer.headers['retry-after'] ?? 0)
      const waitMs = Math.min(RETRY_AFTER_MS_MAX, (seconds || 0) * 1000)
      return {
        code: 'STORE_UNREACHABLE',
        suggestion: 'The store is busy or failing; the work carries on when it has recovered.',
        ...(waitMs > 0 && { retryAfterMs: waitMs }),
      }
    }
    case 'refused':
      return {
        code: 'STORE_REFUSED',
        suggestion: `Check that ${location.endpoint} is an S3 endpoint and that the bucket allows this request.`,
      }
  }
}

function skewText(now: number, date: string | undefined): string {
  const theirs = Date.parse(date ?? '')
  if (Number.isNaN(theirs)) return ' (the clock of this machine differs from that of the store)'
  const minutes = Math.round((now - theirs) / 60_000)
  const direction = minutes > 0 ? 'ahead of' : 'behind'
  return ` (the clock of this machine is ${Math.abs(minutes)} min ${direction} that of the store)`
}

function regionText(location: S3Location, region: string | string[] | undefined): string {
  return typeof region === 'string'
    ? `Set region = "${region}"; the bucket is not in ${location.region}.`
    : `Check region ("${location.region}") and endpoint (${location.endpoint}).`
}

/** A failure below HTTP: no route, reset, timeout, a certificate that is not trusted. */
export function networkError(attempted: Attempted, cause: unknown): HakiriError {
  const { endpoint } = attempted.location
  const text = cause instanceof Error ? cause.message || cause.name : String(cause)
  const message = `Cannot ${attempted.what}: ${text || errorCode(cause)}`
  if (cause instanceof AnswerTooLarge)
    return new HakiriError('STORE_REFUSED', message, {
      suggestion: 'Read this object in parts.',
      cause,
    })
  if (isTlsTrouble(cause))
    return new HakiriError('STORE_REFUSED', message, {
      suggestion: `Check that ${endpoint} speaks TLS with a trusted certificate (NODE_EXTRA_CA_CERTS adds a CA).`,
      cause,
    })
  const slow = cause instanceof DeadlinePassed ? ' in time' : ''
  return new HakiriError('STORE_UNREACHABLE', message, {
    suggestion: `Check that ${endpoint} can be reached from this machine and answers${slow}.`,
    cause,
  })
}

function errorCode(cause: unknown): string {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : ''
}

const isTlsTrouble = (cause: unknown): boolean =>
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|EPROTO$|ERR_SSL_)/.test(errorCode(cause))

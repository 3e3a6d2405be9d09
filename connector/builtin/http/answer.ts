/** What the status and headers of an answer mean: pure, a table of cases. */
import type { IncomingHttpHeaders } from 'node:http'
import { HakiriError, type Code } from '../../../lib/error.ts'

export type Verdict =
  | { readonly kind: 'ok' | 'not-modified' | 'redirect' }
  | { readonly kind: 'failed'; readonly code: Code; readonly retryAfterMs: number | undefined }

const REDIRECTS = new Set([301, 302, 303, 307, 308])
const TRANSIENT = new Set([408, 425, 500, 502, 503, 504, 520, 522, 524])

export function judge(status: number, headers: IncomingHttpHeaders, nowMs: number): Verdict {
  if (status >= 200 && status < 300) return { kind: 'ok' }
  if (status === 304) return { kind: 'not-modified' }
  if (REDIRECTS.has(status) && headers.location !== undefined) return { kind: 'redirect' }
  const retryAfterMs = retryAfter(headers, nowMs)
  const failed = (code: Code): Verdict => ({ kind: 'failed', code, retryAfterMs })
  if (status === 429) return failed('SOURCE_RATE')
  if (status === 403 && isUsedUp(headers)) return failed('SOURCE_RATE')
  if (status === 401 || status === 403 || status === 407) return failed('SOURCE_AUTH')
  return failed(TRANSIENT.has(status) ? 'SOURCE_UNREACHABLE' : 'SOURCE_FATAL')
}

/** Some APIs answer 403, not 429, when the allowance is used up. */
function isUsedUp(headers: IncomingHttpHeaders): boolean {
  return headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined
}

/** How long the other side asks to wait: Retry-After (seconds or date), else when the allowance returns. */
export function retryAfter(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const after = headers['retry-after']?.trim()
  if (after !== undefined) {
    if (/^\d+(\.\d+)?$/.test(after)) return Number(after) * 1000
    const at = Date.parse(after)
    return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
  }
  const reset = headers['x-ratelimit-reset']
  if (headers['x-ratelimit-remaining'] !== '0' || typeof reset !== 'string') return undefined
  const seconds = Number(reset)
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000 - nowMs) : undefined
}

const MEANING: Partial<Record<Code, string>> = {
  SOURCE_RATE: 'asks to slow down',
  SOURCE_AUTH: 'refuses the credentials',
  SOURCE_UNREACHABLE: 'cannot answer now',
  SOURCE_FATAL: 'refuses the request',
}

const SUGGESTION: Partial<Record<Code, string>> = {
  SOURCE_RATE: 'Set limits.requests_per_hour or limits.requests_per_second of the pipeline.',
  SOURCE_AUTH: "Check the source's auth section and the value that its reference names.",
}

/** The error of a failed answer; `excerpt` is what the server said, already without secrets. */
export function answerError(
  verdict: Extract<Verdict, { kind: 'failed' }>,
  status: number,
  place: string,
  excerpt: string,
): HakiriError {
  const said = excerpt === '' ? '' : `: ${excerpt}`
  const { code, retryAfterMs } = verdict
  const suggestion = SUGGESTION[code]
  return new HakiriError(code, `${place} ${MEANING[code]} (status ${status})${said}`, {
    ...(suggestion === undefined ? {} : { suggestion }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

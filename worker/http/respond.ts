/** Puts answers on the wire: ETags and 304, HEAD, the headers that every answer has. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { PROBLEM_TYPE, problemOf } from './problem.ts'

/** `private`: what is answered depends on who asks. */
const HEADERS: OutgoingHttpHeaders = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'private, no-cache',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  vary: 'authorization, accept',
}

export type Reply = {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly headers?: OutgoingHttpHeaders
  /** Whether it may be answered with 304. */
  readonly isConditional: boolean
}

/** Returns the status that was sent. */
export function send(request: IncomingMessage, response: ServerResponse, reply: Reply): number {
  const bytes = Buffer.from(reply.text)
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`
  const isKnown = reply.isConditional && matches(request.headers['if-none-match'], etag)
  const status = isKnown ? 304 : reply.status
  response.writeHead(status, {
    ...HEADERS,
    ...reply.headers,
    ...(reply.isConditional ? { etag } : {}),
    ...(isKnown ? {} : { 'content-type': reply.type, 'content-length': bytes.length }),
  })
  response.end(isKnown || request.method === 'HEAD' ? undefined : bytes)
  return status
}

/** RFC 9110 §13.1.2: a list of tags, weak ones too, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((part) => {
    const tag = part.trim().replace(/^W\//, '')
    return tag === '*' || tag === etag
  })
}

/** Answers with a problem, if nothing was answered yet; else ends the connection. */
export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): number {
  const { status, headers, body } = problemOf(error)
  if (response.headersSent) {
    response.destroy()
    return status
  }
  return send(request, response, {
    status,
    type: PROBLEM_TYPE,
    text: `${JSON.stringify(body)}\n`,
    // A body that was not read to its end would be taken for the next request.
    headers: request.complete ? headers : { ...headers, connection: 'close' },
    isConditional: false,
  })
}

/** Headers of a stream; nothing on the way may hold it back. */
export function startStream(response: ServerResponse): void {
  response.writeHead(200, {
    ...HEADERS,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
}

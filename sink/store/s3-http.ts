/**
 * One HTTP request, one buffered answer, one deadline. No retries and no meaning here.
 * `node:http` rather than fetch: the body goes to the socket uncopied, and the pool is ours to bound.
 */
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Clock } from '../../lib/ports.ts'
import type { S3Limits } from './s3-config.ts'
import { createSlots } from './slots.ts'

export type HttpRequest = {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  readonly answerBytesMax: number
  /** Where the bytes of a partial answer (206) go, so that many pieces can share one buffer. */
  readonly into?: Uint8Array
}

export type HttpAnswer = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

/** The other side did not answer in time. */
export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed'
}

/** The answer is larger than the caller is ready to hold. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge'
}

export type Http = {
  /** Rejects with a Node network error, DeadlinePassed, AnswerTooLarge or the signal's reason. */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>
  close(): void
}

export function createHttp(limits: S3Limits, clock: Clock): Http {
  const options = { keepAlive: true, maxSockets: limits.requestsMax, scheduling: 'lifo' } as const
  const plain = new HttpAgent(options)
  const secure = new HttpsAgent(options)
  const slots = createSlots(limits.requestsMax)
  const open = (url: URL, rest: RequestOptions): ClientRequest =>
    url.protocol === 'https:'
      ? httpsRequest(url, { ...rest, agent: secure })
      : httpRequest(url, { ...rest, agent: plain })
  return {
    send: (request, signal) => slots.use(() => exchange(request, signal, limits, clock, open)),
    close() {
      plain.destroy()
      secure.destroy()
    },
  }
}

async function exchange(
  request: HttpRequest,
  outer: AbortSignal,
  limits: S3Limits,
  clock: Clock,
  open: (url: URL, rest: RequestOptions) => ClientRequest,
): Promise<HttpAnswer> {
  outer.throwIfAborted()
  const deadline = createDeadline(limits, clock)
  const signal = AbortSignal.any([outer, deadline.signal])
  try {
    deadline.restart(request.body?.byteLength ?? 0)
    const { method, headers } = request
    const sent = open(request.url, { method, headers, signal })
    const answer = await firstByte(sent, request.body)
    const announced = Number(answer.headers['content-length'] ?? request.answerBytesMax)
    deadline.restart(Math.min(announced, request.answerBytesMax))
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      body:
        request.into && answer.statusCode === 206
          ? await readInto(answer, request.into)
          : await readBody(answer, request.answerBytesMax),
    }
  } catch (error) {
    // Node reports every abort as AbortError; the reason says which one it was.
    throw signal.aborted ? signal.reason : error
  } finally {
    deadline.cancel()
  }
}

function firstByte(sent: ClientRequest, body: Uint8Array | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.on('response', resolve)
    // Also swallows errors that come after the answer (a server that stops reading a refused body).
    sent.on('error', reject)
    sent.end(body)
  })
}

async function readBody(answer: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new AnswerTooLarge(`the answer is larger than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)
}

async function readInto(answer: IncomingMessage, into: Uint8Array): Promise<Uint8Array> {
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    if (bytes + chunk.byteLength > into.byteLength)
      throw new AnswerTooLarge(`the answer is larger than the ${into.byteLength} bytes asked for`)
    into.set(chunk, bytes)
    bytes += chunk.byteLength
  }
  return into.subarray(0, bytes)
}

type Deadline = {
  readonly signal: AbortSignal
  /** From now: the base time and what `bytes` need at the slowest pace that is put up with. */
  restart(bytes: number): void
  cancel(): void
}

function createDeadline(limits: S3Limits, clock: Clock): Deadline {
  const passed = new AbortController()
  let timer = new AbortController()
  return {
    signal: passed.signal,
    restart(bytes) {
      timer.abort()
      timer = new AbortController()
      const ms = limits.requestMsMax + Math.ceil(bytes / limits.bytesPerMsMin)
      clock.sleep(ms, timer.signal).then(
        () => passed.abort(new DeadlinePassed(`no answer within ${ms} ms`)),
        () => undefined,
      )
    },
    cancel: () => timer.abort(),
  }
}

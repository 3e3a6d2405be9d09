/** One side of a comparison: says what it is told to say, and keeps what comes back as it came. */
import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js'
import { systemClock } from '../../lib/system/clock.ts'
import { leaseService, watchService, type WatchResponse } from '../../proto/gen/rpc.ts'

type Unary<Q, A> = {
  readonly path: string
  readonly requestSerialize: (request: Q) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => A
}

export type Answer<A> =
  | { readonly ok: true; readonly answer: A }
  | { readonly ok: false; readonly status: number; readonly message: string }

type WatchRequest = Parameters<typeof watchService.watch.requestSerialize>[0]
type Stream = ClientDuplexStream<WatchRequest, WatchResponse>

/** The answers on one watch stream, in the order in which they came. */
export type WatchLog = {
  send(request: WatchRequest): void
  /** The first answer from `from` on that fits; undefined when none comes in time. */
  next(from: number, fits: (answer: WatchResponse) => boolean): Promise<WatchResponse | undefined>
  readonly answers: readonly WatchResponse[]
  /** Why the stream ended, if it did. */
  ended(): string | undefined
  close(): void
}

export type Side = {
  call<Q, A>(method: Unary<Q, A>, request: Q): Promise<Answer<A>>
  keepAlive(id: bigint): Promise<Answer<{ readonly ttl: number; readonly id: bigint }>>
  watches(): WatchLog
  close(): void
}

const CALL_MS = 10_000
const WATCH_MS = 4_000

/** Connects to `endpoint` (host:port). */
export function openSide(endpoint: string): Side {
  const client = new Client(endpoint, credentials.createInsecure(), {
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': -1,
  })
  return {
    call: (method, request) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          { deadline: systemClock.now() + CALL_MS },
          (error, answer) => {
            if (error) resolve(failed(error))
            else if (answer === undefined) throw new Error(`${method.path} answered nothing`)
            else resolve({ ok: true, answer })
          },
        )
      }),
    keepAlive: (id) =>
      new Promise((resolve) => {
        const { path, requestSerialize, responseDeserialize } = leaseService.leaseKeepAlive
        const options = { deadline: systemClock.now() + CALL_MS }
        const call = client.makeBidiStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          options,
        )
        call.on('data', (answer: { readonly ttl: number; readonly id: bigint }) => {
          resolve({ ok: true, answer })
          call.cancel()
        })
        call.on('error', (error: ServiceError) => resolve(failed(error)))
        call.write({ id })
        call.end()
      }),
    watches() {
      const { path, requestSerialize, responseDeserialize } = watchService.watch
      return logOf(client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize))
    },
    close: () => client.close(),
  }
}

function failed(error: ServiceError): Answer<never> {
  return { ok: false, status: error.code, message: error.details }
}

function logOf(stream: Stream): WatchLog {
  const answers: WatchResponse[] = []
  const waiting = new Set<() => void>()
  let ended: string | undefined
  const changed = (): void => {
    for (const wake of waiting) wake()
  }
  stream.on('data', (answer: WatchResponse) => {
    answers.push(answer)
    changed()
  })
  stream.on('error', (error: ServiceError) => {
    ended = `${error.code} ${error.details}`
    changed()
  })
  return {
    answers,
    ended: () => ended,
    send: (request) => void stream.write(request),
    next: (from, fits) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => settle(undefined), WATCH_MS)
        const settle = (answer: WatchResponse | undefined): void => {
          clearTimeout(timer)
          waiting.delete(look)
          resolve(answer)
        }
        const look = (): void => {
          const found = answers.slice(from).find(fits)
          if (found || ended !== undefined) settle(found)
        }
        waiting.add(look)
        look()
      }),
    close: () => stream.cancel(),
  }
}

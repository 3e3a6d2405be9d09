/**
 * One endpoint over gRPC. Invariant: a request is handed to the channel only while that is connected,
 * so "cannot connect" always means that nothing was sent.
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { Clock } from '../../lib/ports.ts'
import { type ClientTls, CoordError } from './client.ts'
import type { Endpoint } from './endpoints.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { errorOf } from './outcome.ts'

/** An RPC of the generated service tables. */
export type Method<Q, A> = {
  readonly path: string
  readonly requestSerialize: (request: Q) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => A
}

export type StreamHandlers<A> = {
  readonly onAnswer: (answer: A) => void
  /** The stream is over; status 0 when the server closed it in good order. Not called after `cancel`. */
  readonly onEnd: (error: CoordError) => void
}

export type OpenStream<Q> = {
  send(request: Q): void
  /** Says that nothing more is sent. */
  finish(): void
  /** Stops taking answers off the wire; the server feels it. */
  pause(): void
  resume(): void
  cancel(): void
}

export type UnaryOptions = {
  readonly limitMs: number
  readonly needsLeader: boolean
  readonly signal?: AbortSignal | undefined
}

export type Link = {
  /** Nothing to wait for: undefined. Rejects with a `failed` CoordError that says why. */
  ready(limitMs: number, signal?: AbortSignal): Promise<void> | undefined
  unary<Q, A>(method: Method<Q, A>, request: Q, options: UnaryOptions): Promise<A>
  /** One request and its answer on a method that streams both ways. */
  exchange<Q, A>(method: Method<Q, A>, request: Q, options: UnaryOptions): Promise<A>
  duplex<Q, A>(method: Method<Q, A>, needsLeader: boolean, to: StreamHandlers<A>): OpenStream<Q>
  download<Q, A>(method: Method<Q, A>, request: Q, to: StreamHandlers<A>): OpenStream<never>
  /** New requests get a new connection; streams that stand finish on the old one. */
  renew(): void
  close(): void
}

export type LinkParts = {
  readonly endpoint: Endpoint
  readonly tls: ClientTls | undefined
  readonly clock: Clock
}

/** etcd refuses pings that come faster than every 5 s; a dead host is noticed after the sum of both. */
const PING_EVERY_MS = 6_000
const PING_ANSWER_MS = 2_500
const RECONNECT_MOST_MS = 500
/** Long enough for one more attempt of a channel that has failed before. */
const RETRY_WAIT_MS = 1_000
const EXPLAIN_MS = 100

const CHANNEL: ChannelOptions = {
  'grpc.keepalive_time_ms': PING_EVERY_MS,
  'grpc.keepalive_timeout_ms': PING_ANSWER_MS,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MOST_MS,
  'grpc.dns_min_time_between_resolutions_ms': 5_000,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // Only we know what may be sent twice.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
}

const plainMetadata = new Metadata()
const leaderMetadata = new Metadata()
leaderMetadata.set('hasleader', 'true')

/** Opens nothing yet: the connection is made when it is first needed. */
export function createLink(parts: LinkParts): Link {
  const channelCredentials = credentialsOf(parts)
  const connect = (): Client => new Client(parts.endpoint.address, channelCredentials, CHANNEL)
  let client = connect()
  let isClosed = false
  return {
    ready(limitMs, signal) {
      if (client.getChannel().getConnectivityState(true) === connectivityState.READY)
        return undefined
      return whenReady(client, parts, limitMs, signal)
    },
    unary: (method, request, options) => sendUnary(client, parts.clock, method, request, options),
    exchange: (method, request, options) => exchange(client, parts.clock, method, request, options),
    duplex(method, needsLeader, to) {
      const call = client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        needsLeader ? leaderMetadata : plainMetadata,
      )
      return duplexOf(call, to)
    },
    download(method, request, to) {
      const call = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
      )
      const cannotSend = (): void => undefined
      return { ...readerOf(call, to), send: cannotSend, finish: cannotSend }
    },
    renew() {
      if (isClosed) return
      client.close()
      client = connect()
    },
    close() {
      isClosed = true
      client.close()
    },
  }
}

function credentialsOf({ endpoint, tls }: LinkParts): ChannelCredentials {
  const isSecure = endpoint.secure ?? tls !== undefined
  if (!isSecure) return credentials.createInsecure()
  const [ca, key, cert] = [tls?.ca, tls?.key, tls?.cert].map((bytes) =>
    bytes === undefined ? null : Buffer.from(bytes),
  )
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null)
}

async function whenReady(
  client: Client,
  { endpoint, clock }: LinkParts,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const channel = client.getChannel()
  const failedBefore = channel.getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE
  const limit = failedBefore ? Math.min(limitMs, RETRY_WAIT_MS) : limitMs
  const deadline = clock.now() + limit
  for (;;) {
    const state = channel.getConnectivityState(true)
    if (signal?.aborted) throw cancelled(signal, 'failed')
    if (state === connectivityState.READY) return
    const hasFailed = state === connectivityState.TRANSIENT_FAILURE && !failedBefore
    if (hasFailed || state === connectivityState.SHUTDOWN || clock.now() >= deadline) {
      const why = state === connectivityState.SHUTDOWN ? 'closed' : await whyNot(client, clock)
      throw unreachable(endpoint, why)
    }
    await stateChange(client, state, deadline, signal)
  }
}

/** Resolves when the channel leaves `state`, at the deadline, or on the signal. */
function stateChange(
  client: Client,
  state: connectivityState,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done, { once: true })
    client.getChannel().watchConnectivityState(state, deadline, done)
  })
}

/** The channel tells why it has no connection only to a call: one that cannot change anything asks. */
function whyNot(client: Client, clock: Clock): Promise<string> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/etcdserverpb.Maintenance/Status',
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
      Buffer.alloc(0),
      plainMetadata,
      { deadline: clock.now() + EXPLAIN_MS },
      (error) => {
        const isKnown = error?.code === STATUS.unavailable
        resolve(isKnown ? error.details.replace(/^.*Last error: /, '') : 'no answer in time')
      },
    )
  })
}

function unreachable({ address }: Endpoint, why: string): CoordError {
  return new CoordError(STATUS.unavailable, `cannot connect to ${address}: ${why}`, 'failed')
}

/** The error of a call that its own signal ended. */
export function cancelled(signal: AbortSignal, outcome: 'failed' | 'unknown'): CoordError {
  return new CoordError(STATUS.cancelled, 'the call was cancelled', outcome, {
    cause: signal.reason,
  })
}

function sendUnary<Q, A>(
  client: Client,
  clock: Clock,
  method: Method<Q, A>,
  request: Q,
  { limitMs, needsLeader, signal }: UnaryOptions,
): Promise<A> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => call.cancel()
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      needsLeader ? leaderMetadata : plainMetadata,
      { deadline: clock.now() + limitMs },
      (error, answer) => {
        signal?.removeEventListener('abort', onAbort)
        if (!error) resolve(answer as A)
        else if (signal?.aborted) reject(cancelled(signal, 'unknown'))
        else reject(errorOf(error.code, error.details, error))
      },
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function exchange<Q, A>(
  client: Client,
  clock: Clock,
  method: Method<Q, A>,
  request: Q,
  { limitMs, needsLeader, signal }: UnaryOptions,
): Promise<A> {
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      needsLeader ? leaderMetadata : plainMetadata,
      { deadline: clock.now() + limitMs },
    )
    const onAbort = (): void => call.cancel()
    const stream = duplexOf(call, {
      onAnswer(answer) {
        signal?.removeEventListener('abort', onAbort)
        resolve(answer)
        stream.cancel()
      },
      onEnd(error) {
        signal?.removeEventListener('abort', onAbort)
        reject(signal?.aborted ? cancelled(signal, 'unknown') : error)
      },
    })
    signal?.addEventListener('abort', onAbort, { once: true })
    stream.send(request)
    stream.finish()
  })
}

function duplexOf<Q, A>(call: ClientDuplexStream<Q, A>, to: StreamHandlers<A>): OpenStream<Q> {
  return {
    ...readerOf(call, to),
    send: (request) => void call.write(request),
    finish: () => void call.end(),
  }
}

function readerOf<A>(
  call: ClientReadableStream<A>,
  to: StreamHandlers<A>,
): Pick<OpenStream<never>, 'pause' | 'resume' | 'cancel'> {
  let isOver = false
  const end = (error: CoordError): void => {
    if (isOver) return
    isOver = true
    to.onEnd(error)
  }
  call.on('data', (answer: A) => {
    if (!isOver) to.onAnswer(answer)
  })
  call.on('error', (error: ServiceError) => end(errorOf(error.code, error.details, error)))
  call.on('end', () => end(errorOf(STATUS.ok, 'the server closed the stream')))
  return {
    pause: () => void call.pause(),
    resume: () => void call.resume(),
    cancel() {
      isOver = true
      call.cancel()
    },
  }
}

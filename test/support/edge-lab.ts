/**
 * A real gRPC server with the edge of a coordinator on loopback, and clients that speak to it with the
 * generated codecs.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Server } from '@grpc/grpc-js'
import {
  Client,
  credentials,
  Metadata,
  ServerCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  type MetadataValue,
  type ServiceError,
} from '@grpc/grpc-js'
import type { EdgeLimits } from '../../coord/server/limits.ts'
import { createCoordMetrics } from '../../coord/server/metrics.ts'
import type { CoordMetrics } from '../../coord/server/metrics.ts'
import { createCoordServer } from '../../coord/server/server.ts'
import type { CoordServer } from '../../coord/server/server.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { Clock } from '../../lib/ports.ts'
import { createSingleNode } from './single-node.ts'
import type { SingleNode, SingleNodeOptions } from './single-node.ts'

export type EdgeOptions = SingleNodeOptions & {
  readonly edge?: Partial<EdgeLimits>
  readonly clock?: Clock
}

/** A row of a generated service table, from the side of a client. */
export type ClientMethod<Q, A> = {
  readonly path: string
  readonly requestSerialize: (message: Q) => Buffer
  readonly responseDeserialize: (bytes: Uint8Array) => A
}

/** What came back instead of an answer. */
export type Failure = { readonly code: number; readonly details: string }

export type EdgeLab = AsyncDisposable & {
  readonly node: SingleNode
  readonly server: CoordServer
  readonly metrics: CoordMetrics
  readonly port: number
  readonly httpPort: number
  call<Q, A>(
    method: ClientMethod<Q, A>,
    request: Q,
    metadata?: Readonly<Record<string, MetadataValue>>,
  ): Promise<A>
  /** The failure of a call that must fail. */
  refused<Q, A>(
    method: ClientMethod<Q, A>,
    request: Q,
    metadata?: Readonly<Record<string, MetadataValue>>,
  ): Promise<Failure>
  stream<Q, A>(
    method: ClientMethod<Q, A>,
    metadata?: Readonly<Record<string, MetadataValue>>,
  ): Talk<Q, A>
  /** The answers to one request that is answered by a stream. */
  listen<Q, A>(method: ClientMethod<Q, A>, request: Q): Talk<Q, A>
}

/** One stream from the side of its client: answers are kept until they are asked for. */
export type Talk<Q, A> = {
  send(message: Q): void
  /** The next answer; fails when the stream ends before. */
  next(): Promise<A>
  /** Answers that came and were not asked for. */
  waiting(): number
  /** How the stream ended; undefined code 0 for well. */
  readonly ended: Promise<Failure>
  pause(): void
  resume(): void
  /** Says that nothing more will be sent. */
  finish(): void
  cancel(): void
}

export const VERSION = '0.0.0-test'

export async function startEdge(options: EdgeOptions = {}): Promise<EdgeLab> {
  const node = createSingleNode(options)
  const metrics = createCoordMetrics(VERSION)
  metrics.observeNode(node, { watchers: node.watchers, watchStreams: node.watchStreams })
  const server = createCoordServer({
    node,
    metrics,
    clock: options.clock ?? systemClock,
    random: systemRandom,
    logger: { log: () => {} },
    version: VERSION,
    ...(options.edge ? { limits: options.edge } : {}),
  })
  const grpc = server.createGrpc()
  const port = await bind(grpc)
  const http = createServer(server.http)
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve)
  })
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  })
  const call: EdgeLab['call'] = (method, request, metadata = {}) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        (bytes) => method.responseDeserialize(bytes),
        request,
        metadataOf(metadata),
        (error, answer) => {
          if (answer === undefined) reject(error ?? new Error('neither answer nor error'))
          else resolve(answer)
        },
      )
    })
  return {
    node,
    server,
    metrics,
    port,
    httpPort: (http.address() as AddressInfo).port,
    call,
    refused: (method, request, metadata) =>
      call(method, request, metadata).then(
        (answer) => {
          throw new Error(`${method.path} was answered: ${String(answer)}`)
        },
        ({ code, details }: ServiceError) => ({ code, details }),
      ),
    stream: ({ path, requestSerialize, responseDeserialize }, metadata = {}) =>
      talkOver(
        client.makeBidiStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          metadataOf(metadata),
        ),
      ),
    listen: ({ path, requestSerialize, responseDeserialize }, request) =>
      talkOver(
        client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request),
      ),
    [Symbol.asyncDispose]: async () => {
      client.close()
      server.close()
      metrics.close()
      grpc.forceShutdown()
      http.closeAllConnections()
      await new Promise((resolve) => {
        http.close(resolve)
      })
    },
  }
}

function bind(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error)
      else resolve(port)
    })
  })
}

function metadataOf(fields: Readonly<Record<string, MetadataValue>>): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value)
  return metadata
}

function talkOver<Q, A>(call: ClientDuplexStream<Q, A> | ClientReadableStream<A>): Talk<Q, A> {
  const answers: A[] = []
  const readers: PromiseWithResolvers<A>[] = []
  const ended = Promise.withResolvers<Failure>()
  let end: Failure | undefined
  call.on('data', (answer: A) => {
    const reader = readers.shift()
    if (reader) reader.resolve(answer)
    else answers.push(answer)
  })
  // The status follows, and says the same.
  call.on('error', () => {})
  call.on('status', ({ code, details }: Failure) => {
    end = { code, details }
    ended.resolve(end)
    for (const reader of readers.splice(0)) reader.reject(new Error(`ended: ${code} ${details}`))
  })
  return {
    send: (message) => {
      if ('write' in call) call.write(message)
    },
    next: () => {
      const answer = answers.shift()
      if (answer !== undefined) return Promise.resolve(answer)
      if (end) return Promise.reject(new Error(`ended: ${end.code} ${end.details}`))
      const reader = Promise.withResolvers<A>()
      readers.push(reader)
      return reader.promise
    },
    waiting: () => answers.length,
    ended: ended.promise,
    pause: () => void call.pause(),
    resume: () => void call.resume(),
    finish: () => {
      if ('end' in call) call.end()
    },
    cancel: () => {
      call.cancel()
    },
  }
}

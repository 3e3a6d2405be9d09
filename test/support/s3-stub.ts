/**
 * An S3 server for tests, benches and chaos runs: on loopback and in memory unless told otherwise, with
 * faults that can be switched while it runs. It verifies signatures and keeps the rules that clients rely
 * on (whole objects only, ordered listings, parts of a minimal size), so that it is as strict as the real
 * thing.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { checkSignature, type StubCredentials } from './s3-stub-auth.ts'
import {
  createFaultBook,
  REFUSALS,
  type Fault,
  type FaultBook,
  type FaultKind,
  type StubOperation,
} from './s3-stub-faults.ts'
import {
  emptyBucket,
  perform,
  refusal,
  type StubAnswer,
  type StubBehaviour,
  type StubBucket,
  type StubObject,
} from './s3-stub-objects.ts'

export type { Fault, FaultKind, StubOperation } from './s3-stub-faults.ts'
export type { StubObject } from './s3-stub-objects.ts'

export type StubLogEntry = {
  readonly operation: StubOperation
  readonly bucket: string
  readonly key: string
  /** 0: no answer was sent. */
  readonly status: number
  readonly fault: FaultKind | undefined
  readonly bytesIn: number
}

export type StubSettings = StubBehaviour & {
  /** Added before each request is worked on. */
  readonly latencyMs: number
}

export type StubOptions = {
  /** Made at the start; "lake" by default. */
  readonly buckets?: readonly string[]
  /** Decides for faults with a share; Math.random by default. */
  readonly random?: () => number
  readonly settings?: Partial<StubSettings>
  readonly host?: string
  readonly port?: number
  /** Where a bucket's objects are; in memory by default. */
  readonly open?: (bucket: string) => StubBucket
  /** Older entries of the log are dropped beyond this. */
  readonly logMax?: number
}

export type S3Stub = AsyncDisposable & {
  readonly endpoint: string
  readonly region: string
  readonly credentials: StubCredentials
  fault(fault: Fault): void
  clearFaults(): void
  set(settings: Partial<StubSettings>): void
  createBucket(name: string): void
  objects(bucket: string): ReadonlyMap<string, StubObject>
  /** Multipart uploads begun and neither completed nor aborted. */
  openUploads(bucket: string): number
  /** Most recent last. */
  readonly log: readonly StubLogEntry[]
  /** The most requests of one operation that were open at once since the start. */
  openMax(operation: StubOperation): number
}

const REGION = 'us-east-1'
const CREDENTIALS: StubCredentials = {
  accessKeyId: 'stub-access-key',
  secretAccessKey: 'stub-secret-key',
}
const DEFAULTS: StubSettings = {
  conditional: 'honoured',
  batchDelete: 'honoured',
  listTokens: true,
  partBytesMin: 5 * 2 ** 20,
  latencyMs: 0,
}

type State = {
  readonly buckets: Map<string, StubBucket>
  readonly faults: FaultBook
  readonly log: StubLogEntry[]
  readonly logMax: number
  readonly open: Map<StubOperation, { now: number; most: number }>
  settings: StubSettings
}

/** Starts the server on a free loopback port. */
export async function startS3Stub(options: StubOptions = {}): Promise<S3Stub> {
  const open = options.open ?? emptyBucket
  const host = options.host ?? '127.0.0.1'
  const state: State = {
    buckets: new Map((options.buckets ?? ['lake']).map((name) => [name, open(name)])),
    faults: createFaultBook(options.random ?? Math.random),
    log: [],
    logMax: options.logMax ?? 100_000,
    open: new Map(),
    settings: { ...DEFAULTS, ...options.settings },
  }
  const server = createServer((request, response) => {
    // Node forgets the socket of a request that was broken off; closing needs it.
    const { socket } = request
    const close = (): void => void socket.destroy()
    // The client went away in the middle: there is nobody left to answer.
    handle(state, request, response, close).catch(close)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://${host}:${port}`,
    region: REGION,
    credentials: CREDENTIALS,
    fault: (fault) => state.faults.add(fault),
    clearFaults: () => state.faults.clear(),
    set: (settings) => void (state.settings = { ...state.settings, ...settings }),
    createBucket: (name) => void state.buckets.set(name, open(name)),
    objects: (name) => state.buckets.get(name)?.objects ?? new Map<string, StubObject>(),
    openUploads: (name) => state.buckets.get(name)?.uploads.size ?? 0,
    log: state.log,
    openMax: (operation) => state.open.get(operation)?.most ?? 0,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

type Target = { readonly bucket: string; readonly key: string; readonly query: URLSearchParams }

function targetOf(request: IncomingMessage): Target {
  const url = new URL(request.url ?? '/', 'http://stub')
  const [, bucket = '', ...rest] = url.pathname.split('/')
  return { bucket, key: rest.map(decodeURIComponent).join('/'), query: url.searchParams }
}

function operationOf(method: string, { key, query }: Target): StubOperation | undefined {
  const isUpload = query.has('uploadId')
  switch (method) {
    case 'GET':
      return key === '' ? 'list' : 'get'
    case 'HEAD':
      return 'head'
    case 'PUT':
      return isUpload ? 'upload-part' : 'put'
    case 'DELETE':
      return isUpload ? 'abort-upload' : 'delete'
    case 'POST':
      if (query.has('delete')) return 'delete-batch'
      return query.has('uploads') ? 'begin-upload' : isUpload ? 'complete-upload' : undefined
    default:
      return undefined
  }
}

async function handle(
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
  close: () => void,
): Promise<void> {
  const target = targetOf(request)
  const operation = operationOf(request.method ?? '', target)
  if (!operation) return send(response, request, refusal(405, 'MethodNotAllowed'))
  countOpen(state, operation, response)
  const fault = state.faults.draw(operation, target.key)
  const entry = { operation, bucket: target.bucket, key: target.key, fault }
  if (fault === 'cut-upload') {
    record(state, { ...entry, status: 0, bytesIn: await receiveHalf(request) })
    return close()
  }
  const body = await receive(request)
  if (state.settings.latencyMs > 0)
    await new Promise((resolve) => setTimeout(resolve, state.settings.latencyMs))
  if (fault === 'hang') return record(state, { ...entry, status: 0, bytesIn: body.length })
  const answer = work(state, request, target, operation, fault, body)
  const status = fault === 'lost-answer' ? 0 : answer.status
  record(state, { ...entry, status, bytesIn: body.length })
  if (fault === 'lost-answer') return close()
  send(response, request, answer, fault, close)
}

function countOpen(state: State, operation: StubOperation, response: ServerResponse): void {
  const open = state.open.get(operation) ?? { now: 0, most: 0 }
  state.open.set(operation, open)
  open.now++
  open.most = Math.max(open.most, open.now)
  response.once('close', () => open.now--)
}

function work(
  state: State,
  request: IncomingMessage,
  { bucket: name, key, query }: Target,
  operation: StubOperation,
  fault: FaultKind | undefined,
  body: Buffer,
): StubAnswer {
  const problem = checkSignature(request, body, CREDENTIALS, REGION)
  if (problem) return refusal(problem.status, problem.code, problem.message)
  const refused = fault && REFUSALS[fault]
  if (refused) return refusal(...refused)
  const bucket = state.buckets.get(name)
  if (!bucket) return refusal(404, 'NoSuchBucket')
  if (fault === 'late-error' && operation === 'complete-upload')
    return { ...refusal(500, 'InternalError'), status: 200 }
  const isHalf = fault === 'half-deleted'
  const { headers } = request
  const answer = perform({
    operation,
    bucket,
    key,
    query,
    headers,
    body,
    behaviour: state.settings,
    isHalf,
  })
  return fault === 'done-but-500' ? refusal(500, 'InternalError') : answer
}

function record(state: State, entry: StubLogEntry): void {
  state.log.push(entry)
  if (state.log.length > state.logMax) state.log.shift()
}

async function receive(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function receiveHalf(request: IncomingMessage): Promise<number> {
  const enough = Number(request.headers['content-length'] ?? 0) / 2
  let bytes = 0
  if (enough === 0) return 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes >= enough) break
  }
  return bytes
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  answer: StubAnswer,
  fault?: FaultKind,
  close?: () => void,
): void {
  const whole = Buffer.from(answer.body ?? '')
  // Objects stay whole: half of one under a true length would be a store that loses bytes.
  const isDocument = whole.subarray(0, 5).toString() === '<?xml'
  const isHalf = fault === 'half-document' && isDocument
  const body = isHalf ? whole.subarray(0, whole.length / 2) : whole
  response.writeHead(answer.status, { ...answer.headers, 'content-length': body.length })
  if (fault === 'cut-download') response.write(body.subarray(0, body.length / 2), close)
  else response.end(request.method === 'HEAD' ? '' : body)
}

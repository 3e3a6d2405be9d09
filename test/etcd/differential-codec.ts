/**
 * A second codec that knows nothing of ours: the .proto files read by @grpc/proto-loader. Requests go
 * out as it writes them, answers are read by both, and what they read must be the same.
 */
import { fileURLToPath } from 'node:url'
import { Client, credentials, type MethodDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { systemClock } from '../../lib/system/clock.ts'

/** A row of the generated service tables. */
export type OwnMethod<Q> = {
  readonly path: string
  readonly requestSerialize: (request: Q) => Buffer
  readonly requestDeserialize: (bytes: Buffer) => unknown
  readonly responseDeserialize: (bytes: Buffer) => unknown
}

/** The same thing as read by ours and by the other codec. */
export type Readings = { readonly ours: unknown; readonly theirs: unknown }

export type CodecCheck = Disposable & {
  /** Sends a request as the other codec writes it; request and answer as both read them. */
  call<Q>(method: OwnMethod<Q>, request: Q): Promise<readonly Readings[]>
  /** The first answers of a stream, after one request. */
  stream<Q>(method: OwnMethod<Q>, request: Q, count: number): Promise<readonly Readings[]>
}

type Foreign = MethodDefinition<object, object>

const PROTO_FOLDER = fileURLToPath(new URL('../../proto/', import.meta.url))
const OPTIONS = { longs: String, enums: Number, defaults: true, arrays: true, bytes: Buffer }
const CALL_MS = 5_000

export function openCodecCheck(endpoint: string): CodecCheck {
  const client = new Client(endpoint, credentials.createInsecure())
  const methods = foreignMethods()
  const raw = (bytes: Buffer): Buffer => bytes
  const translate = <Q>(method: OwnMethod<Q>, request: Q) => {
    const foreign = methods.get(method.path)
    if (!foreign) throw new Error(`the .proto files have no ${method.path}`)
    const ours = method.requestSerialize(request)
    const theirs = foreign.requestSerialize(foreign.requestDeserialize(ours))
    const read = {
      ours: plain(method.requestDeserialize(theirs)),
      theirs: plain(foreign.requestDeserialize(ours)),
    }
    const readAnswer = (bytes: Buffer): Readings => ({
      ours: plain(method.responseDeserialize(bytes)),
      theirs: plain(foreign.responseDeserialize(bytes)),
    })
    return { bytes: theirs, read, readAnswer }
  }
  return {
    async call(method, request) {
      const { bytes, read, readAnswer } = translate(method, request)
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const options = { deadline: systemClock.now() + CALL_MS }
        client.makeUnaryRequest(method.path, raw, raw, bytes, options, (error, value) => {
          if (value === undefined) reject(error ?? new Error('no answer'))
          else resolve(value)
        })
      })
      return [read, readAnswer(answer)]
    },
    async stream(method, request, count) {
      const { bytes, read, readAnswer } = translate(method, request)
      const options = { deadline: systemClock.now() + CALL_MS }
      const call = client.makeBidiStreamRequest(method.path, raw, raw, options)
      const readings = [read]
      call.on('data', (answer: Buffer) => {
        readings.push(readAnswer(answer))
        if (readings.length > count) call.cancel()
      })
      call.write(bytes)
      // The stream ends with an error: that of our cancellation, or of the deadline.
      await new Promise<void>((resolve) => {
        call.on('error', () => resolve())
      })
      return readings
    },
    [Symbol.dispose]: () => client.close(),
  }
}

function foreignMethods(): ReadonlyMap<string, Foreign> {
  const definition = loadSync('etcd/rpc.proto', { ...OPTIONS, includeDirs: [PROTO_FOLDER] })
  const services = Object.values(definition).filter((item) => !('format' in item))
  const rows = services.flatMap((service) => Object.values(service) as Foreign[])
  return new Map(rows.map((row) => [row.path, row]))
}

/** Names in small letters, numbers and bytes as text, and nothing of what is not set. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== null && item !== undefined)
        .map(([name, item]) => [name.toLowerCase(), plain(item)] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    )
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
}

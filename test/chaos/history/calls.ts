/** Sends what a history knows as requests through the port of the client, and tells answers its way. */
import { RANGE_DEFAULTS } from '../../../coord/client/range-defaults.ts'
import type { CallOptions, CoordClient } from '../../../coord/client/client.ts'
import type { KeyValue } from '../../../proto/gen/kv.ts'
import type { Compare as WireCompare, RequestOp, ResponseOp } from '../../../proto/gen/rpc.ts'
import type { Compare, Kv, KvRequest, KvResponse, Request, Response } from './types.ts'
import type { Step, StepResult } from './types.ts'

const NONE = new Uint8Array(0)
const bytes = (text: string): Uint8Array => Buffer.from(text)

/** Numbers of the wire, from etcd's rpc.proto. */
const RESULTS = { '=': 0, '>': 1, '<': 2, '!=': 3 } as const
const TARGETS = { version: 0, create: 1, mod: 2, value: 3 } as const

/** Sends one request once; reads may be tried on other endpoints of the client. */
export async function send(
  client: CoordClient,
  request: Request,
  options: CallOptions,
): Promise<Response> {
  switch (request.kind) {
    case 'kv':
      return sendKv(client, request, options)
    case 'grant': {
      const { id, ttl } = await client.leaseGrant(request.ttlSeconds, options)
      return { kind: 'lease', lease: leaseText(id), ttlSeconds: ttl }
    }
    case 'renew': {
      const { ttl } = await client.leaseKeepAliveOnce(leaseId(request.lease), options)
      return { kind: 'lease', lease: request.lease, ttlSeconds: ttl }
    }
    case 'remaining': {
      const { ttl } = await client.leaseTimeToLive(leaseId(request.lease), options)
      // The last second of a lease is told as 0; -1 says that there is none.
      return { kind: 'lease', lease: request.lease, ttlSeconds: ttl < 0 ? 0 : Math.max(1, ttl) }
    }
    case 'revoke':
      await client.leaseRevoke(leaseId(request.lease), options)
      return { kind: 'done' }
    case 'compact':
      await client.compact(request.revision, options)
      return { kind: 'done' }
  }
}

export const leaseText = (id: bigint): string => id.toString(16)
const leaseId = (text: string): bigint => BigInt(`0x${text}`)

/** One step without a condition is a plain call; everything else is a transaction. */
async function sendKv(
  client: CoordClient,
  request: KvRequest,
  options: CallOptions,
): Promise<KvResponse> {
  const [step, ...more] = request.success
  const isPlain = more.length + request.failure.length + request.compare.length === 0
  if (step && isPlain) return sendStep(client, request, step, options)
  const { revision, succeeded, responses } = await client.txn(
    {
      compare: request.compare.map(toCompare),
      success: request.success.map(toStep),
      failure: request.failure.map(toStep),
    },
    options,
  )
  const steps = succeeded ? request.success : request.failure
  const results = responses.map((response, at) => toResult(response, steps[at]))
  return { kind: 'kv', revision, succeeded, results }
}

async function sendStep(
  client: CoordClient,
  request: KvRequest,
  step: Step,
  options: CallOptions,
): Promise<KvResponse> {
  const plain = (revision: number, result: StepResult): KvResponse => {
    return { kind: 'kv', revision, succeeded: true, results: [result] }
  }
  const op = toStep(step)
  if (op.requestPut) {
    const { revision, prevKv } = await client.put(op.requestPut, options)
    return plain(revision, toResult({ responsePut: prevKv ? { prevKv } : {} }, step))
  }
  if (op.requestDeleteRange) {
    const { revision, ...answer } = await client.deleteRange(op.requestDeleteRange, options)
    return plain(revision, toResult({ responseDeleteRange: answer }, step))
  }
  const { isSerializable: serializable = false, atRevision = 0 } = request
  const asked = { key: bytes(step.key), rangeEnd: endOf(step), serializable, revision: atRevision }
  const { revision, kvs } = await client.range(asked, options)
  return plain(revision, { kind: 'got', kvs: kvs.map(toKv) })
}

function endOf(step: Step): Uint8Array {
  return step.kind === 'put' || step.end === undefined ? NONE : bytes(step.end)
}

function toCompare({ key, is, ...compare }: Compare): WireCompare {
  const base = { key: bytes(key), rangeEnd: NONE, result: RESULTS[is] }
  const target = TARGETS[compare.target]
  switch (compare.target) {
    case 'create':
      return { ...base, target, createRevision: compare.than }
    case 'mod':
      return { ...base, target, modRevision: compare.than }
    case 'version':
      return { ...base, target, version: compare.than }
    case 'value':
      return { ...base, target, value: bytes(compare.than) }
  }
}

function toStep(step: Step): RequestOp {
  const key = bytes(step.key)
  switch (step.kind) {
    case 'get':
      return { requestRange: { ...RANGE_DEFAULTS, key, rangeEnd: endOf(step) } }
    case 'put': {
      const lease = step.lease === undefined ? 0n : leaseId(step.lease)
      const rest = { prevKv: !step.isBlind, ignoreValue: false, ignoreLease: false }
      return { requestPut: { key, value: bytes(step.value), lease, ...rest } }
    }
    case 'delete':
      return { requestDeleteRange: { key, rangeEnd: endOf(step), prevKv: !step.isBlind } }
  }
}

function toResult(op: ResponseOp, step: Step | undefined): StepResult {
  const isBlind = step?.kind !== 'get' && step?.isBlind === true
  if (op.responseRange) return { kind: 'got', kvs: op.responseRange.kvs.map(toKv) }
  if (op.responsePut) {
    const { prevKv } = op.responsePut
    return isBlind ? { kind: 'put' } : { kind: 'put', prev: prevKv ? toKv(prevKv) : null }
  }
  const { deleted = 0, prevKvs = [] } = op.responseDeleteRange ?? {}
  const answer = { kind: 'deleted', count: deleted } as const
  return isBlind ? answer : { ...answer, prevs: prevKvs.map(toKv) }
}

/** A key as the wire has it, in the words of a history. */
export function toKv(kv: KeyValue): Kv {
  return {
    key: Buffer.from(kv.key).toString(),
    value: Buffer.from(kv.value).toString(),
    create: kv.createRevision,
    mod: kv.modRevision,
    version: kv.version,
    ...(kv.lease !== 0n && { lease: leaseText(kv.lease) }),
  }
}

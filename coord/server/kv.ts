/** The KV service: reads from the local store once they are due, writes by way of the log. */
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import { proposeAndWait } from './edge.ts'
import type { Edge } from './edge.ts'
import { accepted, Refused, refusalOf } from './errors.ts'
import { nestedHeaders } from './txn-headers.ts'
import { kvService } from '../../proto/gen/rpc.ts'
import type {
  CompactionResponse,
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  TxnResponse,
} from '../../proto/gen/rpc.ts'
import type {
  CompactionRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../kv/types.ts'

export function kvRoutes(edge: Edge): readonly Route[] {
  return [
    unary(edge, kvService.range, (request) => range(edge, request)),
    unary(edge, kvService.put, (request) => put(edge, request)),
    unary(edge, kvService.deleteRange, (request) => deleteRange(edge, request)),
    unary(edge, kvService.txn, (request) => txn(edge, request)),
    unary(edge, kvService.compact, (request) => compact(edge, request)),
  ]
}

function range(edge: Edge, request: RangeRequest): RangeResponse | Promise<RangeResponse> {
  if (request.serializable) return rangeHere(edge, request)
  return edge.node.linearize(edge.signal).then(() => rangeHere(edge, request))
}

function rangeHere({ node }: Edge, request: RangeRequest): RangeResponse {
  const { kvs, more, count } = accepted(node.store.range(request))
  return { header: node.header(), kvs, more, count }
}

async function put(edge: Edge, request: PutRequest): Promise<PutResponse> {
  const { header, value } = await proposeAndWait(edge, { kind: 'put', request })
  const { prevKv } = value.response
  return prevKv ? { header, prevKv } : { header }
}

async function deleteRange(edge: Edge, request: DeleteRangeRequest): Promise<DeleteRangeResponse> {
  const { header, value } = await proposeAndWait(edge, { kind: 'delete-range', request })
  return { header, ...value.response }
}

function txn(edge: Edge, request: TxnRequest): TxnResponse | Promise<TxnResponse> {
  const branches = [...request.success, ...request.failure]
  if (!branches.every(isRead)) return writeTxn(edge, request)
  if (branches.length > 0 && branches.every(isLocalRead)) return readTxn(edge, request)
  return edge.node.linearize(edge.signal).then(() => readTxn(edge, request))
}

async function writeTxn(edge: Edge, request: TxnRequest): Promise<TxnResponse> {
  const { header, value } = await proposeAndWait(edge, { kind: 'txn', request })
  return { header, ...nestedHeaders(value.response, header.revision) }
}

function readTxn({ node }: Edge, request: TxnRequest): TxnResponse {
  const refused = node.store.check({ kind: 'txn', request })
  if (refused) throw new Refused(refusalOf(refused))
  const answer = accepted(node.store.readTxn(request))
  const header = node.header()
  return { header, ...nestedHeaders(answer, header.revision) }
}

/** Whether an operation changes nothing, whatever the store holds. */
function isRead({ requestRange, requestTxn }: RequestOp): boolean {
  if (requestTxn) return [...requestTxn.success, ...requestTxn.failure].every(isRead)
  return requestRange !== undefined
}

/** Whether it asks for nothing newer than what this member has. */
function isLocalRead({ requestRange, requestTxn }: RequestOp): boolean {
  if (requestTxn) return [...requestTxn.success, ...requestTxn.failure].every(isLocalRead)
  return requestRange?.serializable === true
}

async function compact(edge: Edge, request: CompactionRequest): Promise<CompactionResponse> {
  const { header } = await proposeAndWait(edge, { kind: 'compact', request })
  return { header }
}

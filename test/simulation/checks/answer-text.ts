/** Answers of the store as text, to be held against what the reference store says in the same form. */
import type {
  DeleteRangeResponse,
  KvResponse,
  PutResponse,
  RangeResponse,
  ResponseOp,
  TxnResponse,
} from '../../../coord/kv/types.ts'
import { answeredKvText } from './model-types.ts'

export const rangeText = (kvs: readonly string[], count: number, more: boolean): string =>
  `range[${kvs.join(' ')}]#${count}${more ? '+' : ''}`
export const putText = (prev: string | undefined): string => `put(${prev ?? ''})`
export const deleteText = (deleted: number, prevs: readonly string[]): string =>
  `delete(${deleted})[${prevs.join(' ')}]`
export const txnText = (succeeded: boolean, parts: readonly string[]): string =>
  `txn(${succeeded}){${parts.join('; ')}}`

export const answeredRange = ({ kvs, count, more }: RangeResponse): string =>
  rangeText(kvs.map(answeredKvText), count, more)
const answeredPut = ({ prevKv }: PutResponse): string =>
  putText(prevKv ? answeredKvText(prevKv) : undefined)
const answeredDelete = ({ deleted, prevKvs }: DeleteRangeResponse): string =>
  deleteText(deleted, prevKvs.map(answeredKvText))
export const answeredTxn = ({ succeeded, responses }: TxnResponse): string =>
  txnText(succeeded, responses.map(answeredOp))

function answeredOp(op: ResponseOp): string {
  if (op.responseRange) return answeredRange(op.responseRange)
  if (op.responsePut) return answeredPut(op.responsePut)
  if (op.responseDeleteRange) return answeredDelete(op.responseDeleteRange)
  return op.responseTxn ? answeredTxn(op.responseTxn) : 'nothing'
}

export function answerText(answer: KvResponse): string {
  switch (answer.kind) {
    case 'put':
      return answeredPut(answer.response)
    case 'delete-range':
      return answeredDelete(answer.response)
    case 'txn':
      return answeredTxn(answer.response)
    case 'lease-grant':
      return `granted ${answer.response.id} ${answer.response.ttl}`
    case 'lease-expire':
      return `expired ${answer.expired.toSorted((a, b) => (a < b ? -1 : 1)).join(' ')}`
    case 'compact':
    case 'lease-revoke':
    case 'alarm':
    case 'quota':
      return answer.kind
  }
}

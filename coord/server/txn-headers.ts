/**
 * Gives the answers inside a transaction the revision that each of them stands at: the one before the
 * transaction until its first write, the new one from there on. Clients read it from there.
 */
import type { ResponseHeader, ResponseOp, TxnResponse } from '../../proto/gen/rpc.ts'
import type * as kv from '../kv/types.ts'

/** `revision` is the store's after the transaction. */
export function nestedHeaders(
  { succeeded, responses }: kv.TxnResponse,
  revision: number,
): TxnResponse {
  const before = changesSomething(responses) ? revision - 1 : revision
  let isWritten = false
  const at = (): ResponseHeader => ({
    clusterId: 0n,
    memberId: 0n,
    revision: isWritten ? revision : before,
    raftTerm: 0,
  })
  const withHeader = (op: kv.ResponseOp): ResponseOp => {
    const { responseRange, responsePut, responseDeleteRange, responseTxn } = op
    if (responseRange) return { responseRange: { header: at(), ...responseRange } }
    isWritten ||= changes(op)
    if (responsePut) return { responsePut: { header: at(), ...responsePut } }
    if (responseDeleteRange)
      return { responseDeleteRange: { header: at(), ...responseDeleteRange } }
    if (!responseTxn) return {}
    return {
      responseTxn: {
        // etcd leaves this one empty, but there.
        header: { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 },
        succeeded: responseTxn.succeeded,
        responses: responseTxn.responses.map(withHeader),
      },
    }
  }
  return { succeeded, responses: responses.map(withHeader) }
}

function changesSomething(responses: readonly kv.ResponseOp[]): boolean {
  return responses.some(
    (op) => changes(op) || (op.responseTxn && changesSomething(op.responseTxn.responses)),
  )
}

function changes({ responsePut, responseDeleteRange }: kv.ResponseOp): boolean {
  return responsePut !== undefined || (responseDeleteRange?.deleted ?? 0) > 0
}

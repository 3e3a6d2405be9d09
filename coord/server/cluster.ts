/** The Cluster service. Its headers carry no revision: membership is not part of the store's history. */
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import { headerAt, refuseLearner } from './edge.ts'
import type { Edge } from './edge.ts'
import { EDGE, Refused } from './errors.ts'
import { clusterService } from '../../proto/gen/rpc.ts'
import type {
  Member,
  MemberAddRequest,
  MemberAddResponse,
  MemberListRequest,
  ResponseHeader,
} from '../../proto/gen/rpc.ts'
import type { MemberId } from '../raft/types.ts'

type Members = { readonly header: ResponseHeader; readonly members: readonly Member[] }

export function clusterRoutes(edge: Edge): readonly Route[] {
  const { node, signal } = edge
  const change = async (action: Promise<void>): Promise<Members> => {
    await action
    return listMembers(edge)
  }
  return [
    unary(edge, clusterService.memberList, (request) => list(edge, request)),
    unary(edge, clusterService.memberAdd, (request) => add(edge, request)),
    unary(edge, clusterService.memberRemove, ({ id }) => change(node.memberRemove(id, signal))),
    unary(edge, clusterService.memberUpdate, ({ id, peerUrls }) => {
      checkUrls(peerUrls)
      return change(node.memberUpdate(id, peerUrls, signal))
    }),
    unary(edge, clusterService.memberPromote, ({ id }) => change(node.memberPromote(id, signal))),
  ]
}

function list(edge: Edge, { linearizable }: MemberListRequest): Members | Promise<Members> {
  refuseLearner(edge.node)
  if (!linearizable) return listMembers(edge)
  return edge.node.linearize(edge.signal).then(() => listMembers(edge))
}

async function add(
  edge: Edge,
  { peerUrls, isLearner, replaces }: MemberAddRequest,
): Promise<MemberAddResponse> {
  checkUrls(peerUrls)
  const member = await edge.node.memberAdd(peerUrls, isLearner, edge.signal, replaces)
  return { ...listMembers(edge), member }
}

function listMembers({ node }: Edge): Members {
  return { header: headerAt(node, 0), members: node.members().toSorted(byId) }
}

function byId({ id: a }: { readonly id: MemberId }, { id: b }: { readonly id: MemberId }): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

function checkUrls(urls: readonly string[]): void {
  if (urls.length === 0 || !urls.every(isMemberUrl)) throw new Refused(EDGE.badMemberUrls)
}

/** http(s)://host:port and nothing after it. */
function isMemberUrl(text: string): boolean {
  const found = /^https?:\/\/(?<host>\[[\da-fA-F:.]+\]|[^\s/:[\]@?#]+):(?<port>\d{1,5})$/.exec(text)
  return found !== null && Number(found.groups?.['port']) <= 65_535
}

/**
 * What all handlers share: the node, the limits, what is under way, and how the stream ends when the
 * leader is lost or the server stops.
 */
import type { Metadata } from '@grpc/grpc-js'
import { accepted, refusalOf, Refused } from './errors.ts'
import type { Refusal } from './errors.ts'
import type { EdgeLimits } from './limits.ts'
import type { CoordMetrics } from './metrics.ts'
import type { ResponseHeader } from '../../proto/gen/rpc.ts'
import { assert } from '../../lib/assert.ts'
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import type { KvCommand, KvResponse } from '../kv/types.ts'
import type { CoordNode } from '../node/node.ts'

export type EdgeParts = {
  readonly node: CoordNode
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: CoordMetrics
  readonly limits: EdgeLimits
  /** Hakiri's own version. */
  readonly version: string
}

/** A stream that is open: how to end it from outside. */
export type OpenStream = { readonly needsLeader: boolean; end(refusal: Refusal): void }

export type Edge = EdgeParts & {
  /** Fires when the server closes. One for all requests: nobody may listen to it for each of them. */
  readonly signal: AbortSignal
  readonly streams: Set<OpenStream>
  /** Bytes of requests that wait for their answer. */
  inFlightBytes: number
  close(): void
}

export function createEdge(parts: EdgeParts): Edge {
  const controller = new AbortController()
  const streams = new Set<OpenStream>()
  const endAll = (refusal: Refusal, which: (stream: OpenStream) => boolean): void => {
    for (const stream of [...streams].filter(which)) stream.end(refusal)
  }
  const lost = parts.node.onLeaderLost(() => {
    endAll(refusalOf('no-leader'), ({ needsLeader }) => needsLeader)
  })
  return {
    ...parts,
    signal: controller.signal,
    streams,
    inFlightBytes: 0,
    close: () => {
      if (controller.signal.aborted) return
      controller.abort()
      lost[Symbol.dispose]()
      endAll(refusalOf('stopped'), () => true)
    },
  }
}

/** Whether the client asked not to be served by a member that has no leader. */
export function needsLeader(metadata: Metadata): boolean {
  return metadata.get('hasleader')[0] === 'true'
}

/** Says where and when an answer was made. */
export function headerAt(node: CoordNode, revision: number): ResponseHeader {
  return { ...node.header(), revision }
}

/** Refuses what a learner may not answer. */
export function refuseLearner(node: CoordNode): void {
  if (node.status().isLearner) throw new Refused(refusalOf('learner'))
}

/** Checks a command, has it applied, and gives what came of it with its header. */
export async function proposeAndWait<K extends KvCommand['kind']>(
  { node, signal }: Edge,
  command: Extract<KvCommand, { readonly kind: K }>,
): Promise<{
  readonly header: ResponseHeader
  readonly value: Extract<KvResponse, { readonly kind: K }>
}> {
  const refused = node.store.check(command)
  if (refused) throw new Refused(refusalOf(refused))
  const { revision, outcome } = await node.propose(command, signal)
  const value = accepted(outcome)
  assert(isOfKind(value, command.kind), `a ${command.kind} was answered as ${value.kind}`)
  return { header: headerAt(node, revision), value }
}

function isOfKind<K extends KvCommand['kind']>(
  value: KvResponse,
  kind: K,
): value is Extract<KvResponse, { readonly kind: K }> {
  return value.kind === kind
}

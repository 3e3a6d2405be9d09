/**
 * What a client is told when something is refused: the gRPC status and the exact text that etcd's
 * clients match on. One table for everything the node and the store can answer, one for the refusals
 * of the edge itself.
 */
import { AssertionFailure } from '../../lib/assert.ts'
import { CODES, HakiriError } from '../../lib/error.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { KV_REFUSALS, type Refusal } from '../kv/refusals.ts'
import type { KvErrorCode } from '../kv/types.ts'
import { NodeError } from '../node/node.ts'
import type { NodeOutcomeCode } from '../node/node.ts'

export type { Refusal }

const refusal = (code: number, text: string): Refusal => ({ code, details: `etcdserver: ${text}` })
const invalid = (text: string): Refusal => refusal(STATUS.invalidArgument, text)
const precondition = (text: string): Refusal => refusal(STATUS.failedPrecondition, text)
const unavailable = (text: string): Refusal => refusal(STATUS.unavailable, text)

const BY_CODE: Readonly<Record<NodeOutcomeCode, Refusal>> = {
  ...KV_REFUSALS,
  'request-too-large': invalid('request is too large'),
  // The state of the cluster.
  'no-leader': unavailable('no leader'),
  'leader-changed': unavailable('leader changed'),
  'timed-out': unavailable('request timed out'),
  'too-many-requests': refusal(STATUS.resourceExhausted, 'too many requests'),
  stopped: unavailable('server stopped'),
  'not-leader': precondition('not leader'),
  learner: precondition('rpc not supported for learner'),
  unhealthy: unavailable('unhealthy cluster'),
  cancelled: refusal(STATUS.cancelled, 'request canceled'),
  // Its membership.
  'bad-transferee': precondition('bad leader transferee'),
  'member-not-found': refusal(STATUS.notFound, 'member not found'),
  'member-exists': precondition('member ID already exist'),
  'peer-urls-exist': precondition('Peer URLs already exists'),
  'not-enough-started': precondition('re-configuration failed due to not enough started members'),
  'too-many-learners': precondition('too many learner members in cluster'),
  'learner-not-ready': precondition(
    'can only promote a learner member which is in sync with leader',
  ),
  'not-a-learner': precondition('can only promote a learner member'),
  'not-everywhere': precondition('not every member of the cluster is new enough for this'),
}

/** Refusals that the edge decides on its own. */
export const EDGE = {
  badMemberUrls: invalid('given member URLs are invalid'),
  authNotEnabled: precondition('authentication is not enabled'),
  authUnimplemented: refusal(STATUS.unimplemented, 'authentication is not implemented'),
  downgradeUnimplemented: refusal(STATUS.unimplemented, 'downgrade is not supported'),
  tooManyStreams: refusal(STATUS.resourceExhausted, 'too many requests'),
  unknownService: { code: STATUS.notFound, details: 'unknown service' },
} as const satisfies Readonly<Record<string, Refusal>>

/** Why a watch was not created: sent as its cancel reason, on a stream that goes on. */
export const TOO_MANY_WATCHES = 'etcdserver: too many watches on one stream'

/** Status and text for a code of the node or the store. */
export function refusalOf(code: NodeOutcomeCode): Refusal {
  return BY_CODE[code]
}

/** Carries a refusal of the store through a promise. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(refusal.details)
    this.refusal = refusal
  }
}

/** The value of a store's answer; throws its refusal. */
export function accepted<T>(
  outcome:
    { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: KvErrorCode },
): T {
  if (!outcome.ok) throw new Refused(refusalOf(outcome.error))
  return outcome.value
}

/**
 * What to answer after a failure. A bug is not answered: it ends the process, like any failed
 * assertion. What nobody foresaw goes out as Unknown with its own text.
 */
export function refusalFrom(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal
  if (error instanceof NodeError) return refusalOf(error.code)
  if (error instanceof HakiriError) return { code: CODES[error.code].grpc, details: error.message }
  if (error instanceof AssertionFailure)
    queueMicrotask(() => {
      throw error
    })
  return { code: STATUS.unknown, details: error instanceof Error ? error.message : String(error) }
}

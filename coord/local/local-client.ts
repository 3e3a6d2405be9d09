/**
 * The port of the client over a store in this process: no wire, no disk, nobody else to agree with. For
 * `hakiri serve` on one machine, and for tests. Sessions and watches are those of the real client.
 */
import { RANGE_DEFAULTS } from '../client/range-defaults.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import { type CallOptions, CoordError, type CoordClient } from '../client/client.ts'
import { errorOf } from '../client/outcome.ts'
import { keepSession } from '../client/session.ts'
import { openWatch } from '../client/watch.ts'
import { KV_REFUSALS } from '../kv/refusals.ts'
import type { KvCommand, KvOutcome, KvResponse } from '../kv/types.ts'
import { createEngine, type Engine, type EngineOptions } from './engine.ts'
import { closedError, renewalStreams, watchStreams } from './streams.ts'

export type LocalParts = { readonly clock: Clock; readonly random: Random; readonly logger: Logger }

/** A coordinator inside this process, for any number of clients; disposing of it ends them all. */
export type LocalCoord = Disposable & {
  connect(): CoordClient
}

/** An empty one. */
export function createLocalCoord(parts: LocalParts, options: EngineOptions = {}): LocalCoord {
  const engine = createEngine(parts.clock, options)
  return {
    connect: () => connect(engine, parts),
    [Symbol.dispose]: () => engine[Symbol.dispose](),
  }
}

/** The only client of a coordinator of its own, which ends with it. */
export function createLocalCoordClient(
  parts: LocalParts,
  options: EngineOptions = {},
): CoordClient {
  const engine = createEngine(parts.clock, options)
  const client = connect(engine, parts)
  return {
    ...client,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      engine[Symbol.dispose]()
    },
  }
}

const NONE = new Uint8Array(0)
const PUT = { value: NONE, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false }

function connect(engine: Engine, parts: LocalParts): CoordClient {
  const { clock, random } = parts
  const { store, lessor } = engine
  const ended = new AbortController()
  const openRenewals = renewalStreams(engine)
  const openStream = watchStreams(engine)

  /** Also the place where a call that must not be made any more is refused. */
  const enter = async (options: CallOptions = {}): Promise<void> => {
    if (options.signal?.aborted) throw cancelledBy(options.signal)
    await engine.turn()
    if (options.signal?.aborted) throw cancelledBy(options.signal)
    if (engine.ended.aborted || ended.signal.aborted) throw closedError()
  }
  const run = async <K extends KvResponse['kind']>(
    command: KvCommand & { readonly kind: K },
    options?: CallOptions,
  ): Promise<{ readonly value: KvResponse & { readonly kind: K }; readonly revision: number }> => {
    await enter(options)
    const { revision, outcome } = engine.apply(command)
    const value = accepted(outcome)
    if (!isOfKind(value, command.kind)) throw new TypeError(`${command.kind} has another's answer`)
    return { value, revision }
  }
  const client: CoordClient = {
    async range(request, options) {
      await enter(options)
      const found = accepted(store.range({ ...RANGE_DEFAULTS, ...request }))
      return { ...found, revision: store.revision }
    },
    async put(request, options) {
      const command = { kind: 'put', request: { ...PUT, ...request } } as const
      const { value, revision } = await run(command, options)
      return { ...value.response, revision }
    },
    async deleteRange({ key, rangeEnd = NONE, prevKv = false }, options) {
      const command = { kind: 'delete-range', request: { key, rangeEnd, prevKv } } as const
      const { value, revision } = await run(command, options)
      return { ...value.response, revision }
    },
    async txn(request, options) {
      const { value, revision } = await run({ kind: 'txn', request }, options)
      return { ...value.response, revision }
    },
    async compact(revision, options) {
      return await run({ kind: 'compact', request: { revision, physical: false } }, options)
    },
    async leaseGrant(ttl, { id, ...options } = {}) {
      const request = { ttl, id: id ?? pickLeaseId(engine, random) }
      const { value } = await run({ kind: 'lease-grant', request }, options)
      return value.response
    },
    async leaseRevoke(id, options) {
      await run({ kind: 'lease-revoke', request: { id } }, options)
    },
    async leaseKeepAliveOnce(id, options) {
      await enter(options)
      return { ttl: engine.renew(id) }
    },
    async leaseTimeToLive(id, { keys = false, ...options } = {}) {
      await enter(options)
      const record = store.lease(id)
      const leftMs = lessor.remainingMs(id, clock.monotonic()) ?? 0
      return {
        ttl: record ? Math.floor(leftMs / 1000) : -1,
        grantedTtl: record?.ttl ?? 0,
        keys: record && keys ? store.leaseKeys(id) : [],
      }
    },
    async leases(options) {
      await enter(options)
      return lessor.byExpiry()
    },
    async session(ttlSeconds, options) {
      const sentAt = clock.monotonic()
      const { id, ttl } = await client.leaseGrant(ttlSeconds, options)
      const revoke = async (lease: bigint): Promise<void> => {
        if (store.lease(lease) && !engine.ended.aborted)
          engine.apply({ kind: 'lease-revoke', request: { id: lease } })
      }
      return keepSession({ id, ttlMs: ttl * 1000, sentAt }, { ...parts, openRenewals, revoke })
    },
    watch: (key, options = {}) =>
      openWatch({ ...parts, openStream, ended: ended.signal }, key, options),
    async [Symbol.asyncDispose]() {
      ended.abort()
    },
  }
  return client
}

function isOfKind<K extends KvResponse['kind']>(
  value: KvResponse,
  kind: K,
): value is KvResponse & { readonly kind: K } {
  return value.kind === kind
}

function accepted<T>(outcome: KvOutcome<T>): T {
  if (outcome.ok) return outcome.value
  const { code, details } = KV_REFUSALS[outcome.error]
  throw errorOf(code, details)
}

function cancelledBy({ reason }: AbortSignal): CoordError {
  return new CoordError(STATUS.cancelled, 'the call was cancelled', 'failed', { cause: reason })
}

/** A positive number of 63 bits that no lease has. */
function pickLeaseId({ store }: Engine, random: Random): bigint {
  for (;;) {
    const id = BigInt(`0x${random.uuid().replaceAll('-', '').slice(-16)}`) & 0x7fff_ffff_ffff_ffffn
    if (id !== 0n && !store.lease(id)) return id
  }
}

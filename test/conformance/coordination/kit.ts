/** What every test of coordination needs: a cluster of its own on a coordinator that others share. */
import type { ExecutionContext } from 'ava'
import type { CoordClient } from '../../../coord/client/client.ts'
import type {
  ClusterView,
  Coordination,
  Membership,
  WorkerIdentity,
} from '../../../lease/coordination.ts'
import { createCoordination, type CoordinationParts } from '../../../lease/create.ts'
import { createKeys, type Keys } from '../../../lease/keys.ts'
import { PROTOCOL } from '../../../lease/protocol.ts'
import { isProcessAlive } from '../../../lib/system/process.ts'
import { HakiriError, type Code } from '../../../lib/error.ts'
import { type ClientSuite, type CoordPlace, newPrefix, PARTS } from '../coord-client/kit.ts'

export type CoordinationSuite = ClientSuite & {
  /** A coordinator in processes of its own, to be killed and paused. */
  readonly newPlace?: () => Promise<CoordPlace>
}

export const NEVER = new AbortController().signal
/** Long enough that nothing expires in a test that is not about that. */
export const LONG_MS = 60_000
const WAIT_MS = 30_000

/** A cluster under a prefix of its own. */
export type Cluster = {
  readonly t: ExecutionContext
  readonly prefix: string
  readonly keys: Keys
  /** Of the coordinator, past all that is tested. */
  readonly raw: CoordClient
  /** The coordination of one more worker, over a client of its own, ended with the test. */
  coordination(more?: Partial<CoordinationParts>): Promise<Coordination>
}

export async function newCluster(
  t: ExecutionContext,
  client: () => Promise<CoordClient>,
): Promise<Cluster> {
  const prefix = newPrefix()
  return {
    t,
    prefix,
    keys: createKeys(prefix),
    raw: await client(),
    coordination: async (more = {}) => {
      const parts = { ...PARTS, prefix, isAlive: isProcessAlive, ...more }
      const coordination = createCoordination(await client(), parts)
      t.teardown(() => coordination[Symbol.asyncDispose]())
      return coordination
    },
  }
}

export function identity(name: string, more: Partial<WorkerIdentity> = {}): WorkerIdentity {
  return {
    name,
    incarnation: PARTS.random.uuid(),
    machine: 'this one',
    pid: process.pid,
    address: '127.0.0.1:7700',
    slots: 4,
    unitsMax: 10_000,
    labels: { zone: 'a' },
    version: '1.2.3',
    protocol: PROTOCOL,
    startedAt: 1_700_000_000_000,
    ...more,
  }
}

/** A worker that joined; it leaves with the test at the latest. */
export async function joined(
  cluster: Cluster,
  who: string | WorkerIdentity,
  options: { readonly ttlMs?: number; readonly coordination?: Coordination } = {},
): Promise<Membership> {
  const { ttlMs = LONG_MS, coordination = await cluster.coordination() } = options
  const self = typeof who === 'string' ? identity(who) : who
  const membership = await coordination.join(self, ttlMs, NEVER)
  cluster.t.teardown(() => membership[Symbol.asyncDispose]())
  return membership
}

/** The view as it is once `isThere` holds of it. */
export async function untilView(
  coordination: Coordination,
  isThere: (view: ClusterView) => boolean,
  waitMs = WAIT_MS,
): Promise<ClusterView> {
  const { promise, resolve } = Promise.withResolvers<ClusterView>()
  await using live = coordination.watch((view) => {
    if (isThere(view)) resolve(view)
  })
  const late = AbortSignal.timeout(waitMs)
  const onLate = new Promise<never>((_, reject) =>
    late.addEventListener('abort', () => {
      reject(new Error(`not seen in ${waitMs} ms; there is ${textOf(live.current)}`))
    }),
  )
  return await Promise.race([promise, onLate])
}

function textOf(view: ClusterView | undefined): string {
  if (!view) return 'nothing'
  const { revision, members, claims, assignments } = view
  const sizes = `${claims.size} claims, ${assignments.size} assignments`
  return `revision ${revision}: members ${[...members.keys()].join(', ')}; ${sizes}`
}

/** Entries of a map in order of key, to be compared with. */
export function sorted<V>(map: ReadonlyMap<string, V>): readonly (readonly [string, V])[] {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

export function unitNames(count: number, pipeline = 'shop'): string[] {
  return Array.from({ length: count }, (_, at) => `${pipeline}/${String(at).padStart(5, '0')}`)
}

/** The error of something that must fail with `code`. */
export async function refusalOf(
  t: ExecutionContext,
  promise: Promise<unknown>,
  code: Code,
): Promise<HakiriError> {
  const error = await t.throwsAsync(promise)
  if (!(error instanceof HakiriError)) throw new TypeError('no HakiriError', { cause: error })
  t.is(error.code, code, error.message)
  t.truthy(error.suggestion)
  return error
}

/**
 * What lies under the cluster's prefix, as a view: read once, then kept up to date event by event. Each
 * value is parsed once; a new view shares with the one before it all that did not change.
 */
import type { CoordClient } from '../coord/client/client.ts'
import { CoordError } from '../coord/client/client.ts'
import { STATUS } from '../lib/grpc-status.ts'
import type { Logger } from '../lib/ports.ts'
import type { Event, KeyValue } from '../proto/gen/kv.ts'
import { createMapEdit } from './chunked-map.ts'
import type { ClusterView, MemberRecord } from './coordination.ts'
import { type Keys, successor } from './keys.ts'
import { decodeMember } from './records.ts'

const PAGE = 4_000
const RESTARTS_MAX = 5

export type ViewParts = {
  readonly client: CoordClient
  readonly keys: Keys
  readonly logger: Logger
  readonly holderOf: (value: Uint8Array) => string
}

export type ViewState = {
  apply(events: readonly Event[]): void
  at(revision: number): ClusterView
}

/** A consistent look at everything, and what later events do to it. */
export async function readView(
  parts: ViewParts,
  signal: AbortSignal,
): Promise<{ readonly state: ViewState; readonly revision: number }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { kvs, revision } = await readAll(parts, signal)
      return { state: createViewState(parts, kvs), revision }
    } catch (error) {
      // The revision of the first page was compacted before the last page was read.
      const isCompacted = error instanceof CoordError && error.status === STATUS.outOfRange
      if (!isCompacted || attempt === RESTARTS_MAX) throw error
    }
  }
}

async function readAll(
  { client, keys }: ViewParts,
  signal: AbortSignal,
): Promise<{ readonly kvs: readonly KeyValue[]; readonly revision: number }> {
  const first = await client.range({ ...keys.all, limit: PAGE }, { signal })
  const { revision } = first
  const kvs = [...first.kvs]
  for (let page = first; page.more; kvs.push(...page.kvs)) {
    const last = kvs.at(-1)
    if (!last) break
    const from = { ...keys.all, key: successor(last.key) }
    page = await client.range({ ...from, limit: PAGE, revision }, { signal })
  }
  return { kvs, revision }
}

function createViewState(
  { keys, logger, holderOf }: ViewParts,
  kvs: readonly KeyValue[],
): ViewState {
  const members = createMapEdit<MemberRecord>()
  const claims = createMapEdit<string>()
  const assignments = createMapEdit<string>()
  let planner: string | undefined
  const onPut = (kv: KeyValue): void => {
    const meaning = keys.read(kv.key)
    switch (meaning.kind) {
      case 'member': {
        const member = decodeMember(meaning.name, kv)
        if (member) return members.set(meaning.name, member)
        logger.log('warn', 'the record of a member cannot be read', { worker: meaning.name })
        return members.delete(meaning.name)
      }
      case 'claim':
        return claims.set(meaning.unit, holderOf(kv.value))
      case 'assignment':
        return assignments.set(meaning.unit, holderOf(kv.value))
      case 'planner':
        planner = holderOf(kv.value)
        return
      case 'other':
        return
    }
  }
  const onDelete = (key: Uint8Array): void => {
    const meaning = keys.read(key)
    switch (meaning.kind) {
      case 'member':
        return members.delete(meaning.name)
      case 'claim':
        return claims.delete(meaning.unit)
      case 'assignment':
        return assignments.delete(meaning.unit)
      case 'planner':
        planner = undefined
        return
      case 'other':
        return
    }
  }
  kvs.forEach(onPut)
  return {
    apply(events) {
      for (const { type, kv } of events) {
        if (!kv) continue
        if (type === 0) onPut(kv)
        else onDelete(kv.key)
      }
    },
    at: (revision) => ({
      revision,
      members: members.done(),
      claims: claims.done(),
      assignments: assignments.done(),
      planner,
    }),
  }
}

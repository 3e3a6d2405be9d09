/** Puts answers of a watch on the wire, in parts where the client takes them so. */
import { watchService } from '../../proto/gen/rpc.ts'
import type { KvEvent } from '../kv/types.ts'
import type { WatchAnswer } from '../kv/watch-types.ts'
import type { CoordNode } from '../node/node.ts'
import { headerAt } from './edge.ts'

/** More than the tags, lengths and numbers of one event take. */
const EVENT_OVERHEAD_BYTES = 128

/**
 * One message, or several if the answer is larger than `bytesMax` and has more than one event; all but
 * the last of them say that more is to come.
 */
export function encodeWatch(
  node: CoordNode,
  answer: WatchAnswer,
  bytesMax: number,
): readonly Buffer[] {
  const { revision, watchId, created, canceled, compactRevision, cancelReason } = answer
  const header = headerAt(node, revision)
  const rest = { header, watchId, created, canceled, compactRevision, cancelReason }
  const parts = splitEvents(answer.events, bytesMax)
  return parts.map((events, part) =>
    watchService.watch.responseSerialize({ ...rest, events, fragment: part < parts.length - 1 }),
  )
}

function splitEvents(
  events: readonly KvEvent[],
  bytesMax: number,
): readonly (readonly KvEvent[])[] {
  if (bytesMax === Infinity || sum(events) <= bytesMax) return [events]
  const parts: KvEvent[][] = [[]]
  let bytes = 0
  for (const event of events) {
    const size = eventBytes(event)
    if (bytes > 0 && bytes + size > bytesMax) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(event)
    bytes += size
  }
  return parts
}

function sum(events: readonly KvEvent[]): number {
  return events.reduce((total, event) => total + eventBytes(event), 0)
}

function eventBytes({ kv, prevKv }: KvEvent): number {
  const before = prevKv ? prevKv.key.length + prevKv.value.length : 0
  return kv.key.length + kv.value.length + before + EVENT_OVERHEAD_BYTES
}

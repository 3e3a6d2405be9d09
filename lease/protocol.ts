/** The versions of what is written under the cluster's prefix, and which of them a set of members shares. */
import { HakiriError } from '../lib/error.ts'
import type { WorkerIdentity } from './coordination.ts'

export type ProtocolRange = WorkerIdentity['protocol']

/** What this program reads and writes. A change that an older one cannot follow counts `newest` up. */
export const PROTOCOL: ProtocolRange = { oldest: 1, newest: 1 }

type Speaker = Pick<WorkerIdentity, 'name' | 'version' | 'protocol'>

/** The newest version that all of them speak; undefined when there is none. */
export function commonProtocol(ranges: readonly ProtocolRange[]): number | undefined {
  const newest = Math.min(...ranges.map((range) => range.newest))
  const oldest = Math.max(...ranges.map((range) => range.oldest))
  return ranges.length > 0 && oldest <= newest ? newest : undefined
}

/** Throws when a worker shares no version with one of those that are there. */
export function requireCommonProtocol(self: Speaker, others: readonly Speaker[]): void {
  const other = others.find(({ protocol }) => !commonProtocol([self.protocol, protocol]))
  if (!other) return
  const isOlder = self.protocol.newest < other.protocol.oldest
  throw new HakiriError('COORD_REFUSED', `${speaks(self)}, but ${speaks(other)}`, {
    suggestion: isOlder
      ? `Update ${self.name} to the version of ${other.name}, or to one between them.`
      : `Update ${other.name} first, step by step: neighbouring versions work together.`,
  })
}

function speaks({ name, version, protocol: { oldest, newest } }: Speaker): string {
  const range = oldest === newest ? `version ${oldest}` : `versions ${oldest} to ${newest}`
  return `worker ${name} (Hakiri ${version}) speaks ${range} of the cluster's protocol`
}

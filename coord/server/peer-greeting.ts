/**
 * How two members make sure of each other before the first message: each connection names the cluster,
 * its two ends and the version of what they speak. Ids are hexadecimal.
 */
import { Metadata } from '@grpc/grpc-js'
import type { PeerIdentity } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'

/** Grows when members of the old version could not make sense of the new one even by skipping. */
const PROTOCOL = 1

const CLUSTER = 'hakiri-cluster'
const FROM = 'hakiri-from'
const TO = 'hakiri-to'
const PROTOCOL_KEY = 'hakiri-protocol'

export type Greeting = {
  readonly clusterId: bigint
  readonly from: MemberId
  readonly to: MemberId
  readonly protocol: number
}

export function greeting(self: PeerIdentity, to: MemberId): Metadata {
  const metadata = new Metadata()
  metadata.set(CLUSTER, self.clusterId.toString(16))
  metadata.set(FROM, self.memberId.toString(16))
  metadata.set(TO, to.toString(16))
  metadata.set(PROTOCOL_KEY, String(PROTOCOL))
  return metadata
}

/** Undefined when it is no greeting at all. */
export function readGreeting(metadata: Metadata): Greeting | undefined {
  const clusterId = hex(metadata, CLUSTER)
  const from = hex(metadata, FROM)
  const to = hex(metadata, TO)
  const protocol = Number(text(metadata, PROTOCOL_KEY) ?? NaN)
  if (clusterId === undefined || from === undefined || to === undefined) return undefined
  return Number.isSafeInteger(protocol) ? { clusterId, from, to, protocol } : undefined
}

/** What is wrong with a greeting, as a sentence for the log of the one who sent it. */
export function greetingFault(self: PeerIdentity, other: Greeting): string | undefined {
  if (other.clusterId !== self.clusterId)
    return `this member is of cluster ${self.clusterId.toString(16)}, not of ${other.clusterId.toString(16)}`
  if (other.to !== self.memberId)
    return `this is member ${self.memberId.toString(16)}, not ${other.to.toString(16)}`
  if (other.from === self.memberId) return 'a member does not speak to itself'
  if (other.protocol < PROTOCOL)
    return `protocol ${other.protocol} is no longer spoken here, only ${PROTOCOL} and newer`
  return undefined
}

function text(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key)
  return typeof value === 'string' ? value : undefined
}

function hex(metadata: Metadata, key: string): bigint | undefined {
  const value = text(metadata, key)
  return value !== undefined && /^[\da-f]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined
}

/**
 * How two members make sure of each other before the first message: each connection names the cluster,
 * its two ends and the versions of what they speak. Ids are hexadecimal.
 */
import { Metadata } from '@grpc/grpc-js'
import { PROTOCOLS, commonProtocol } from '../node/protocol.ts'
import type { ProtocolRange } from '../node/protocol.ts'
import type { PeerIdentity } from '../node/transport.ts'
import type { MemberId } from '../raft/types.ts'

const CLUSTER = 'hakiri-cluster'
const FROM = 'hakiri-from'
const TO = 'hakiri-to'
/** The newest that is spoken, and the oldest: without it the one is the other. */
const PROTOCOL_KEY = 'hakiri-protocol'
const OLDEST_KEY = 'hakiri-protocol-min'

export type Greeting = {
  readonly clusterId: bigint
  readonly from: MemberId
  readonly to: MemberId
  readonly protocols: ProtocolRange
}

/** As the headers of a call. */
export function greeting(self: PeerIdentity, to: MemberId): Metadata {
  const metadata = new Metadata()
  for (const [key, value] of fields(self, to)) metadata.set(key, value)
  return metadata
}

/** As the first record of a connection: a line for each field. */
export function greetingText(self: PeerIdentity, to: MemberId): string {
  return fields(self, to)
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n')
}

function fields(self: PeerIdentity, to: MemberId): readonly (readonly [string, string])[] {
  const { min, max } = spokenBy(self)
  return [
    [CLUSTER, self.clusterId.toString(16)],
    [FROM, self.memberId.toString(16)],
    [TO, to.toString(16)],
    [PROTOCOL_KEY, String(max)],
    [OLDEST_KEY, String(min)],
  ]
}

/** Undefined when it is no greeting at all. */
export function readGreeting(metadata: Metadata): Greeting | undefined {
  return greetingOf((key) => {
    const [value] = metadata.get(key)
    return typeof value === 'string' ? value : undefined
  })
}

/** Undefined when it is no greeting at all; lines that this version does not know are skipped. */
export function readGreetingText(text: string): Greeting | undefined {
  const lines = new Map(
    text.split('\n').map((line): [string, string] => {
      const [key = '', value = ''] = line.split(': ', 2)
      return [key, value]
    }),
  )
  return greetingOf((key) => lines.get(key))
}

function greetingOf(field: (key: string) => string | undefined): Greeting | undefined {
  const clusterId = hex(field(CLUSTER))
  const from = hex(field(FROM))
  const to = hex(field(TO))
  const max = Number(field(PROTOCOL_KEY) ?? NaN)
  const min = Number(field(OLDEST_KEY) ?? max)
  if (clusterId === undefined || from === undefined || to === undefined) return undefined
  const isRange = Number.isSafeInteger(min) && Number.isSafeInteger(max) && min <= max
  return isRange ? { clusterId, from, to, protocols: { min, max } } : undefined
}

/** What is wrong with a greeting, as a sentence for the log of the one who sent it. */
export function greetingFault(self: PeerIdentity, other: Greeting): string | undefined {
  if (other.clusterId !== self.clusterId)
    return `this member is of cluster ${self.clusterId.toString(16)}, not of ${other.clusterId.toString(16)}`
  if (other.to !== self.memberId)
    return `this is member ${self.memberId.toString(16)}, not ${other.to.toString(16)}`
  if (other.from === self.memberId) return 'a member does not speak to itself'
  if (!canSpeak(self, other))
    return `the member speaks protocol ${range(other.protocols)}, this one ${range(spokenBy(self))}: start the same Hakiri on both`
  return undefined
}

/** Whether there is a protocol that both know and that is not below what the cluster has come to. */
export function canSpeak(self: PeerIdentity, other: Greeting): boolean {
  return commonProtocol(spokenBy(self), other.protocols) !== undefined
}

function spokenBy({ protocols }: PeerIdentity): ProtocolRange {
  return protocols?.() ?? PROTOCOLS
}

function range({ min, max }: ProtocolRange): string {
  return min === max ? String(max) : `${min} to ${max}`
}

function hex(value: string | undefined): bigint | undefined {
  return value !== undefined && /^[\da-f]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined
}

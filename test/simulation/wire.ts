/**
 * Messages between members as the real codec writes and reads them. A program of the future adds fields
 * and whole messages that nobody knows; one of the past does not see what came after it.
 */
import {
  decodeMessage,
  decodePeerFrame,
  encodeMessage,
  encodePeerFrame,
  encodePeerMessage,
} from '../../proto/gen/raft.ts'
import type { PeerMessage } from '../../coord/node/transport.ts'
import { fromWire, messageFromWire, messageToWire, toWire } from '../../coord/server/peer-codec.ts'
import type { SnapshotMessage } from './host.ts'
import { isOfTheFuture, isOfThePast } from './programs.ts'
import type { Program } from './programs.ts'

/** A frame of bytes, or the message itself in runs that do without. */
export type Parcel =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'message'; readonly message: PeerMessage }

const field = (number: number, wireType: number): Buffer => varint(number * 8 + wireType)

function varint(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80)
  return Buffer.from([...bytes, left])
}

const nested = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([field(number, 2), varint(bytes.length), bytes])

/** A number, some bytes, eight bytes, four: one unknown field of each form there is. */
const UNKNOWN = Buffer.concat([
  field(1001, 0),
  varint(123_456_789),
  nested(1002, Buffer.from('what is this')),
  Buffer.concat([field(1003, 1), Buffer.alloc(8, 7)]),
  Buffer.concat([field(1004, 5), Buffer.alloc(4, 7)]),
])
const RAFT = 1
const MESSAGES = 1
/** A message of a kind that is not there yet. */
const STRANGE = nested(MESSAGES, nested(77, Buffer.from('a question of the future')))

function futureFrame(message: PeerMessage): Uint8Array {
  const content =
    message.kind === 'raft'
      ? nested(RAFT, Buffer.concat([encodeMessage(messageToWire(message.message)), UNKNOWN]))
      : encodePeerMessage(toWire(message))
  const known = nested(MESSAGES, Buffer.concat([content, UNKNOWN]))
  return Buffer.concat([STRANGE, known, UNKNOWN])
}

export function pack(message: PeerMessage, program: Program, isOnWire: boolean): Parcel {
  if (!isOnWire) return { kind: 'message', message }
  const bytes = isOfTheFuture(program)
    ? futureFrame(message)
    : encodePeerFrame({ messages: [toWire(message)] })
  return { kind: 'bytes', bytes }
}

/** What the receiver makes of it; mostly one message. */
export function unpack(parcel: Parcel, program: Program): readonly PeerMessage[] {
  const messages =
    parcel.kind === 'message'
      ? [parcel.message]
      : decodePeerFrame(parcel.bytes).messages.flatMap((one) => fromWire(one) ?? [])
  return isOfThePast(program) ? messages.map(asOfThePast) : messages
}

function asOfThePast(message: PeerMessage): PeerMessage {
  if (message.kind !== 'member-question' || message.question.kind !== 'add') return message
  return { ...message, question: { ...message.question, replaces: 0n } }
}

/** The message in front of a snapshot, there and back. */
export function throughWire(message: SnapshotMessage): SnapshotMessage {
  const back = messageFromWire(decodeMessage(encodeMessage(messageToWire(message))))
  if (back?.kind !== 'snapshot') throw new Error('a snapshot came back as something else')
  return back
}

/**
 * Commands and membership changes as they stand in the log. What cannot be read there is a bug or
 * damage that the checksums did not see: every member stops at it alike.
 */
import { assert } from '../../lib/assert.ts'
import {
  decodeCommand,
  decodeMembershipContext,
  encodeCommand,
  encodeMembershipContext,
} from '../../proto/gen/raft.ts'
import type { Command, MemberAttributes } from '../../proto/gen/raft.ts'
import type { KvCommand } from '../kv/types.ts'
import type { MemberChange, MembershipChange } from '../raft/types.ts'
import type { Member } from './node.ts'

export type LogCommand =
  | { readonly kind: 'kv'; readonly command: KvCommand }
  | { readonly kind: 'member'; readonly command: MemberAttributes }
  /** Everyone speaks this version of the protocol from now on. */
  | { readonly kind: 'level'; readonly level: number }

/** A command, and who sent it as its how manieth. */
export type Numbered<T> = { readonly origin: number; readonly seq: number; readonly content: T }

export function encodeKvCommand(origin: number, seq: number, command: KvCommand): Uint8Array {
  switch (command.kind) {
    case 'put':
      return encodeCommand({ origin, seq, put: command.request })
    case 'delete-range':
      return encodeCommand({ origin, seq, deleteRange: command.request })
    case 'txn':
      return encodeCommand({ origin, seq, txn: command.request })
    case 'compact':
      return encodeCommand({ origin, seq, compact: command.request })
    case 'lease-grant':
      return encodeCommand({ origin, seq, leaseGrant: command.request })
    case 'lease-revoke':
      return encodeCommand({ origin, seq, leaseRevoke: command.request })
    case 'lease-expire':
      return encodeCommand({ origin, seq, leaseExpire: command.request })
    case 'alarm':
      return encodeCommand({ origin, seq, alarm: command.request })
    case 'quota':
      return encodeCommand({ origin, seq, quota: command.request })
  }
}

/** An empty name leaves name and client urls as they are, no peer urls those. */
export function encodeAttributes(
  origin: number,
  seq: number,
  attributes: MemberAttributes,
): Uint8Array {
  return encodeCommand({ origin, seq, memberAttributes: attributes })
}

export function encodeLevel(origin: number, seq: number, level: number): Uint8Array {
  return encodeCommand({ origin, seq, level: { level } })
}

export function readCommand(data: Uint8Array): Numbered<LogCommand> {
  const command = decodeCommand(data)
  return { origin: command.origin, seq: command.seq, content: contentOf(command) }
}

function contentOf(command: Command): LogCommand {
  if (command.memberAttributes) return { kind: 'member', command: command.memberAttributes }
  if (command.level) return { kind: 'level', level: command.level.level }
  return { kind: 'kv', command: kvCommandOf(command) }
}

function kvCommandOf(command: Command): KvCommand {
  if (command.put) return { kind: 'put', request: command.put }
  if (command.txn) return { kind: 'txn', request: command.txn }
  if (command.deleteRange) return { kind: 'delete-range', request: command.deleteRange }
  if (command.leaseGrant) return { kind: 'lease-grant', request: command.leaseGrant }
  if (command.leaseRevoke) return { kind: 'lease-revoke', request: command.leaseRevoke }
  if (command.leaseExpire) return { kind: 'lease-expire', request: command.leaseExpire }
  if (command.compact) return { kind: 'compact', request: command.compact }
  if (command.quota) return { kind: 'quota', request: command.quota }
  assert(command.alarm, 'R4: the log holds a command that this version does not know')
  return { kind: 'alarm', request: command.alarm }
}

/** What a membership entry says: the change for Raft, and who it is that joins. */
export type MemberEntry = MembershipChange & { readonly member?: Member }

const CHANGE_KINDS = ['add-voter', 'add-learner', 'remove'] as const

export function encodeMemberEntry(origin: number, seq: number, entry: MemberEntry): Uint8Array {
  const changes = entry.changes.map(({ kind, member }) => ({
    kind: CHANGE_KINDS.indexOf(kind),
    member,
  }))
  return encodeMembershipContext({ ...entry, origin, seq, changes })
}

/** An entry without data leaves a joint change; it has no sender. */
export function readMemberEntry(data: Uint8Array): Numbered<MemberEntry> {
  if (data.length === 0) return { origin: 0, seq: 0, content: { changes: [], joint: false } }
  const { origin, seq, changes, joint, member } = decodeMembershipContext(data)
  const read = changes.map((change): MemberChange => {
    const kind = CHANGE_KINDS[change.kind]
    assert(kind, 'R4: the log holds a change that this version does not know')
    return { kind, member: change.member }
  })
  return { origin, seq, content: { changes: read, joint, ...(member && { member }) } }
}

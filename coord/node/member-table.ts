/**
 * Everyone who is or was a member: names and addresses beside Raft's bare ids. Changed only by
 * entries of the log, so it is the same everywhere at the same index; kept in the image.
 */
import { decodeMemberRecord, encodeMemberRecord } from '../../proto/gen/raft.ts'
import type { ImageChange } from '../kv/types.ts'
import type { MemberId, Membership } from '../raft/types.ts'
import type { MemberAttributes } from '../../proto/gen/raft.ts'
import type { MemberEntry } from './command.ts'
import type { Member } from './node.ts'
import type { MemberAddress } from './transport.ts'

export type MemberTable = {
  /** In the order of their ids. */
  list(membership: Membership): readonly Member[]
  get(member: MemberId): Member | undefined
  addresses(): readonly MemberAddress[]
  isRemoved(member: MemberId): boolean
  /** A membership entry that Raft has applied, and what it led to. */
  applyEntry(entry: MemberEntry, membership: Membership): void
  /** False when there is no such member. */
  applyAttributes(attributes: MemberAttributes): boolean
  takeImageChanges(): readonly ImageChange[]
}

export function createMemberTable(known: Iterable<Member>, gone: Iterable<MemberId>): MemberTable {
  const members = new Map<MemberId, Member>()
  for (const member of known) members.set(member.id, member)
  const removed = new Set(gone)
  const changed = new Set<MemberId>()
  const put = (member: Member): void => {
    members.set(member.id, member)
    changed.add(member.id)
  }
  return {
    list: ({ voters, outgoing }) =>
      [...members.values()]
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .map((member) => ({
          ...member,
          isLearner: !voters.includes(member.id) && !outgoing.includes(member.id),
        })),
    get: (member) => members.get(member),
    addresses: () => [...members.values()].map(({ id, peerUrls }) => ({ member: id, peerUrls })),
    isRemoved: (member) => removed.has(member),
    applyEntry(entry, membership) {
      const { member } = entry
      if (member && isIn(membership, member.id) && !members.has(member.id)) put(member)
      for (const id of members.keys()) {
        if (isIn(membership, id)) continue
        members.delete(id)
        removed.add(id)
        changed.add(id)
      }
    },
    applyAttributes({ id, name, peerUrls, clientUrls }) {
      const member = members.get(id)
      if (!member) return false
      put({
        ...member,
        ...(name !== '' && { name, clientUrls }),
        ...(peerUrls.length > 0 && { peerUrls }),
      })
      return true
    },
    takeImageChanges() {
      const changes = [...changed].flatMap((id) => imageChanges(id, members.get(id)))
      changed.clear()
      return changes
    },
  }
}

/** Whether somebody counts in any way. */
export function isIn(
  { voters, outgoing, learners, learnersNext }: Membership,
  id: MemberId,
): boolean {
  return [voters, outgoing, learners, learnersNext].some((ids) => ids.includes(id))
}

const MEMBER = 0x6d
const REMOVED = 0x72

/** 0x01, 'm' for a member or 'r' for a former one, and the id. */
function memberKey(kind: number, id: MemberId): Uint8Array {
  const key = Buffer.alloc(10)
  key[0] = 1
  key[1] = kind
  key.writeBigUInt64BE(id, 2)
  return key
}

function imageChanges(id: MemberId, member: Member | undefined): readonly ImageChange[] {
  if (member) return [memberRecord(member)]
  return [
    { key: memberKey(MEMBER, id), value: undefined },
    { key: memberKey(REMOVED, id), value: new Uint8Array(0) },
  ]
}

export function memberRecord(member: Member): { key: Uint8Array; value: Uint8Array } {
  return { key: memberKey(MEMBER, member.id), value: encodeMemberRecord(member) }
}

/** One record of the image; undefined when it is of another kind. */
export function readMemberRecord(
  key: Uint8Array,
  value: Uint8Array,
): { readonly member: Member } | { readonly removed: MemberId } | undefined {
  if (key[1] === MEMBER) return { member: decodeMemberRecord(value) }
  if (key[1] !== REMOVED) return undefined
  return { removed: new DataView(key.buffer, key.byteOffset).getBigUint64(2) }
}

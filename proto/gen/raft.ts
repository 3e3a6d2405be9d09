/** Codecs of raft.proto. Generated: change that file and run `npm run generate`. */
import {
  EMPTY,
  decode,
  encode,
  putBigint,
  putBytes,
  putLength,
  putNumber,
  putString,
  putVarint,
  skip,
  takeBigInt64,
  takeBigUint64,
  takeBool,
  takeBytes,
  takeInt32,
  takeInt64,
  takeNested,
  takePacked,
  takeString,
  takeUint32,
  takeUint64,
  takeVarint,
  written,
} from '../wire.ts'
import type {
  Draft,
  Init,
  Reader,
  Writer,
} from '../wire.ts'
import {
  readCompactionRequest,
  readDeleteRangeRequest,
  readLeaseGrantRequest,
  readLeaseRevokeRequest,
  readPutRequest,
  readTxnRequest,
  type CompactionRequest,
  type DeleteRangeRequest,
  type LeaseGrantRequest,
  type LeaseRevokeRequest,
  type PutRequest,
  type TxnRequest,
  writeCompactionRequest,
  writeDeleteRangeRequest,
  writeLeaseGrantRequest,
  writeLeaseRevokeRequest,
  writePutRequest,
  writeTxnRequest,
} from './rpc.ts'

/** The data of a log entry of the kind COMMAND. */
export type Command = {
  /** Drawn by lot for each life of a process; with seq it tells a repeated command from a new one. */
  readonly origin: number
  readonly seq: number
  readonly put?: PutRequest
  readonly deleteRange?: DeleteRangeRequest
  readonly txn?: TxnRequest
  readonly compact?: CompactionRequest
  readonly leaseGrant?: LeaseGrantRequest
  readonly leaseRevoke?: LeaseRevokeRequest
  readonly leaseExpire?: LeaseExpireRequest
  readonly alarm?: AlarmChange
  readonly memberAttributes?: MemberAttributes
  readonly quota?: QuotaChange
  readonly level?: LevelChange
}

export function writeCommand(w: Writer, m: Init<Command>): void {
  if (m.level !== undefined) {
    const before = written(w)
    writeLevelChange(w, m.level)
    putLength(w, before)
    putVarint(w, 106)
  }
  if (m.quota !== undefined) {
    const before = written(w)
    writeQuotaChange(w, m.quota)
    putLength(w, before)
    putVarint(w, 98)
  }
  if (m.memberAttributes !== undefined) {
    const before = written(w)
    writeMemberAttributes(w, m.memberAttributes)
    putLength(w, before)
    putVarint(w, 90)
  }
  if (m.alarm !== undefined) {
    const before = written(w)
    writeAlarmChange(w, m.alarm)
    putLength(w, before)
    putVarint(w, 82)
  }
  if (m.leaseExpire !== undefined) {
    const before = written(w)
    writeLeaseExpireRequest(w, m.leaseExpire)
    putLength(w, before)
    putVarint(w, 74)
  }
  if (m.leaseRevoke !== undefined) {
    const before = written(w)
    writeLeaseRevokeRequest(w, m.leaseRevoke)
    putLength(w, before)
    putVarint(w, 66)
  }
  if (m.leaseGrant !== undefined) {
    const before = written(w)
    writeLeaseGrantRequest(w, m.leaseGrant)
    putLength(w, before)
    putVarint(w, 58)
  }
  if (m.compact !== undefined) {
    const before = written(w)
    writeCompactionRequest(w, m.compact)
    putLength(w, before)
    putVarint(w, 50)
  }
  if (m.txn !== undefined) {
    const before = written(w)
    writeTxnRequest(w, m.txn)
    putLength(w, before)
    putVarint(w, 42)
  }
  if (m.deleteRange !== undefined) {
    const before = written(w)
    writeDeleteRangeRequest(w, m.deleteRange)
    putLength(w, before)
    putVarint(w, 34)
  }
  if (m.put !== undefined) {
    const before = written(w)
    writePutRequest(w, m.put)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.seq) {
    putNumber(w, m.seq)
    putVarint(w, 16)
  }
  if (m.origin) {
    putNumber(w, m.origin)
    putVarint(w, 8)
  }
}

export function readCommand(r: Reader): Command {
  const m: Draft<Command> = { origin: 0, seq: 0 }
  let chosen: 'put' | 'deleteRange' | 'txn' | 'compact' | 'leaseGrant' | 'leaseRevoke' | 'leaseExpire' | 'alarm' | 'memberAttributes' | 'quota' | 'level' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.origin = takeUint64(r)
        break
      case 16:
        m.seq = takeUint64(r)
        break
      case 26:
        if (chosen !== undefined && chosen !== 'put') delete m[chosen]
        chosen = 'put'
        m.put = takeNested(r, readPutRequest)
        break
      case 34:
        if (chosen !== undefined && chosen !== 'deleteRange') delete m[chosen]
        chosen = 'deleteRange'
        m.deleteRange = takeNested(r, readDeleteRangeRequest)
        break
      case 42:
        if (chosen !== undefined && chosen !== 'txn') delete m[chosen]
        chosen = 'txn'
        m.txn = takeNested(r, readTxnRequest)
        break
      case 50:
        if (chosen !== undefined && chosen !== 'compact') delete m[chosen]
        chosen = 'compact'
        m.compact = takeNested(r, readCompactionRequest)
        break
      case 58:
        if (chosen !== undefined && chosen !== 'leaseGrant') delete m[chosen]
        chosen = 'leaseGrant'
        m.leaseGrant = takeNested(r, readLeaseGrantRequest)
        break
      case 66:
        if (chosen !== undefined && chosen !== 'leaseRevoke') delete m[chosen]
        chosen = 'leaseRevoke'
        m.leaseRevoke = takeNested(r, readLeaseRevokeRequest)
        break
      case 74:
        if (chosen !== undefined && chosen !== 'leaseExpire') delete m[chosen]
        chosen = 'leaseExpire'
        m.leaseExpire = takeNested(r, readLeaseExpireRequest)
        break
      case 82:
        if (chosen !== undefined && chosen !== 'alarm') delete m[chosen]
        chosen = 'alarm'
        m.alarm = takeNested(r, readAlarmChange)
        break
      case 90:
        if (chosen !== undefined && chosen !== 'memberAttributes') delete m[chosen]
        chosen = 'memberAttributes'
        m.memberAttributes = takeNested(r, readMemberAttributes)
        break
      case 98:
        if (chosen !== undefined && chosen !== 'quota') delete m[chosen]
        chosen = 'quota'
        m.quota = takeNested(r, readQuotaChange)
        break
      case 106:
        if (chosen !== undefined && chosen !== 'level') delete m[chosen]
        chosen = 'level'
        m.level = takeNested(r, readLevelChange)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeCommand(value: Init<Command>): Buffer {
  return encode(writeCommand, value)
}

export function decodeCommand(bytes: Uint8Array): Command {
  return decode(readCommand, bytes)
}

/** A lease and the index of its grant, so that one granted anew under the same id stays. */
export type ExpiredLease = {
  readonly id: bigint
  readonly grantIndex: number
}

export function writeExpiredLease(w: Writer, m: Init<ExpiredLease>): void {
  if (m.grantIndex) {
    putNumber(w, m.grantIndex)
    putVarint(w, 16)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readExpiredLease(r: Reader): ExpiredLease {
  const m: Draft<ExpiredLease> = { id: 0n, grantIndex: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigInt64(r)
        break
      case 16:
        m.grantIndex = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeExpiredLease(value: Init<ExpiredLease>): Buffer {
  return encode(writeExpiredLease, value)
}

export function decodeExpiredLease(bytes: Uint8Array): ExpiredLease {
  return decode(readExpiredLease, bytes)
}

export type LeaseExpireRequest = {
  readonly leases: readonly ExpiredLease[]
}

export function writeLeaseExpireRequest(w: Writer, m: Init<LeaseExpireRequest>): void {
  if (m.leases !== undefined) {
    for (let i = m.leases.length - 1; i >= 0; i--) {
      const before = written(w)
      writeExpiredLease(w, m.leases[i] as Init<ExpiredLease>)
      putLength(w, before)
      putVarint(w, 10)
    }
  }
}

export function readLeaseExpireRequest(r: Reader): LeaseExpireRequest {
  const leases: ExpiredLease[] = []
  const m: Draft<LeaseExpireRequest> = { leases }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        leases.push(takeNested(r, readExpiredLease))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseExpireRequest(value: Init<LeaseExpireRequest>): Buffer {
  return encode(writeLeaseExpireRequest, value)
}

export function decodeLeaseExpireRequest(bytes: Uint8Array): LeaseExpireRequest {
  return decode(readLeaseExpireRequest, bytes)
}

export type AlarmChange = {
  readonly isActive: boolean
  readonly member: bigint
  readonly alarm: number
}

export function writeAlarmChange(w: Writer, m: Init<AlarmChange>): void {
  if (m.alarm) {
    putNumber(w, m.alarm)
    putVarint(w, 24)
  }
  if (m.member) {
    putBigint(w, m.member)
    putVarint(w, 16)
  }
  if (m.isActive) {
    putVarint(w, m.isActive ? 1 : 0)
    putVarint(w, 8)
  }
}

export function readAlarmChange(r: Reader): AlarmChange {
  const m: Draft<AlarmChange> = { isActive: false, member: 0n, alarm: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.isActive = takeBool(r)
        break
      case 16:
        m.member = takeBigUint64(r)
        break
      case 24:
        m.alarm = takeInt32(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAlarmChange(value: Init<AlarmChange>): Buffer {
  return encode(writeAlarmChange, value)
}

export function decodeAlarmChange(bytes: Uint8Array): AlarmChange {
  return decode(readAlarmChange, bytes)
}

/** What keys and history may take from now on, on all members alike. */
export type QuotaChange = {
  readonly bytes: number
}

export function writeQuotaChange(w: Writer, m: Init<QuotaChange>): void {
  if (m.bytes) {
    putNumber(w, m.bytes)
    putVarint(w, 8)
  }
}

export function readQuotaChange(r: Reader): QuotaChange {
  const m: Draft<QuotaChange> = { bytes: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.bytes = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeQuotaChange(value: Init<QuotaChange>): Buffer {
  return encode(writeQuotaChange, value)
}

export function decodeQuotaChange(bytes: Uint8Array): QuotaChange {
  return decode(readQuotaChange, bytes)
}

/** Every member speaks this version of the protocol, and from now on nobody may speak less: what it brought may stand in the log. */
export type LevelChange = {
  readonly level: number
}

export function writeLevelChange(w: Writer, m: Init<LevelChange>): void {
  if (m.level) {
    putNumber(w, m.level)
    putVarint(w, 8)
  }
}

export function readLevelChange(r: Reader): LevelChange {
  const m: Draft<LevelChange> = { level: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.level = takeUint32(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLevelChange(value: Init<LevelChange>): Buffer {
  return encode(writeLevelChange, value)
}

export function decodeLevelChange(bytes: Uint8Array): LevelChange {
  return decode(readLevelChange, bytes)
}

/** What is to be known of a member from now on: its name, and where it is reached. */
export type MemberAttributes = {
  readonly id: bigint
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
}

export function writeMemberAttributes(w: Writer, m: Init<MemberAttributes>): void {
  if (m.clientUrls !== undefined) {
    for (let i = m.clientUrls.length - 1; i >= 0; i--) {
      putString(w, m.clientUrls[i] as string)
      putVarint(w, 34)
    }
  }
  if (m.peerUrls !== undefined) {
    for (let i = m.peerUrls.length - 1; i >= 0; i--) {
      putString(w, m.peerUrls[i] as string)
      putVarint(w, 26)
    }
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 18)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberAttributes(r: Reader): MemberAttributes {
  const peerUrls: string[] = []
  const clientUrls: string[] = []
  const m: Draft<MemberAttributes> = { id: 0n, name: '', peerUrls, clientUrls }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigUint64(r)
        break
      case 18:
        m.name = takeString(r)
        break
      case 26:
        peerUrls.push(takeString(r))
        break
      case 34:
        clientUrls.push(takeString(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberAttributes(value: Init<MemberAttributes>): Buffer {
  return encode(writeMemberAttributes, value)
}

export function decodeMemberAttributes(bytes: Uint8Array): MemberAttributes {
  return decode(readMemberAttributes, bytes)
}

export const EntryKind = {
  empty: 0,
  command: 1,
  membership: 2,
} as const

export type Entry = {
  readonly term: number
  readonly index: number
  readonly kind: number
  readonly data: Uint8Array
}

export function writeEntry(w: Writer, m: Init<Entry>): void {
  if (m.data !== undefined && m.data.length > 0) {
    putBytes(w, m.data)
    putVarint(w, 34)
  }
  if (m.kind) {
    putNumber(w, m.kind)
    putVarint(w, 24)
  }
  if (m.index) {
    putNumber(w, m.index)
    putVarint(w, 16)
  }
  if (m.term) {
    putNumber(w, m.term)
    putVarint(w, 8)
  }
}

export function readEntry(r: Reader): Entry {
  const m: Draft<Entry> = { term: 0, index: 0, kind: 0, data: EMPTY }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.term = takeUint64(r)
        break
      case 16:
        m.index = takeUint64(r)
        break
      case 24:
        m.kind = takeInt32(r)
        break
      case 34:
        m.data = takeBytes(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeEntry(value: Init<Entry>): Buffer {
  return encode(writeEntry, value)
}

export function decodeEntry(bytes: Uint8Array): Entry {
  return decode(readEntry, bytes)
}

/** Who counts; a joint change is on its way while there are outgoing voters. */
export type Membership = {
  readonly voters: readonly bigint[]
  readonly outgoing: readonly bigint[]
  readonly learners: readonly bigint[]
  readonly learnersNext: readonly bigint[]
  readonly autoLeave: boolean
}

export function writeMembership(w: Writer, m: Init<Membership>): void {
  if (m.autoLeave) {
    putVarint(w, m.autoLeave ? 1 : 0)
    putVarint(w, 40)
  }
  if (m.learnersNext !== undefined && m.learnersNext.length > 0) {
    const before = written(w)
    for (let i = m.learnersNext.length - 1; i >= 0; i--) {
      putBigint(w, m.learnersNext[i] as bigint)
    }
    putLength(w, before)
    putVarint(w, 34)
  }
  if (m.learners !== undefined && m.learners.length > 0) {
    const before = written(w)
    for (let i = m.learners.length - 1; i >= 0; i--) {
      putBigint(w, m.learners[i] as bigint)
    }
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.outgoing !== undefined && m.outgoing.length > 0) {
    const before = written(w)
    for (let i = m.outgoing.length - 1; i >= 0; i--) {
      putBigint(w, m.outgoing[i] as bigint)
    }
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.voters !== undefined && m.voters.length > 0) {
    const before = written(w)
    for (let i = m.voters.length - 1; i >= 0; i--) {
      putBigint(w, m.voters[i] as bigint)
    }
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMembership(r: Reader): Membership {
  const voters: bigint[] = []
  const outgoing: bigint[] = []
  const learners: bigint[] = []
  const learnersNext: bigint[] = []
  const m: Draft<Membership> = { voters, outgoing, learners, learnersNext, autoLeave: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        voters.push(takeBigUint64(r))
        break
      case 10:
        takePacked(r, voters, takeBigUint64)
        break
      case 16:
        outgoing.push(takeBigUint64(r))
        break
      case 18:
        takePacked(r, outgoing, takeBigUint64)
        break
      case 24:
        learners.push(takeBigUint64(r))
        break
      case 26:
        takePacked(r, learners, takeBigUint64)
        break
      case 32:
        learnersNext.push(takeBigUint64(r))
        break
      case 34:
        takePacked(r, learnersNext, takeBigUint64)
        break
      case 40:
        m.autoLeave = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMembership(value: Init<Membership>): Buffer {
  return encode(writeMembership, value)
}

export function decodeMembership(bytes: Uint8Array): Membership {
  return decode(readMembership, bytes)
}

export const MemberChangeKind = {
  addVoter: 0,
  addLearner: 1,
  remove: 2,
} as const

/** A member as the state keeps it. */
export type MemberRecord = {
  readonly id: bigint
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
  /** The voter whose place this learner takes once it has caught up. Since protocol 2. */
  readonly replaces: bigint
}

export function writeMemberRecord(w: Writer, m: Init<MemberRecord>): void {
  if (m.replaces) {
    putBigint(w, m.replaces)
    putVarint(w, 48)
  }
  if (m.isLearner) {
    putVarint(w, m.isLearner ? 1 : 0)
    putVarint(w, 40)
  }
  if (m.clientUrls !== undefined) {
    for (let i = m.clientUrls.length - 1; i >= 0; i--) {
      putString(w, m.clientUrls[i] as string)
      putVarint(w, 34)
    }
  }
  if (m.peerUrls !== undefined) {
    for (let i = m.peerUrls.length - 1; i >= 0; i--) {
      putString(w, m.peerUrls[i] as string)
      putVarint(w, 26)
    }
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 18)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberRecord(r: Reader): MemberRecord {
  const peerUrls: string[] = []
  const clientUrls: string[] = []
  const m: Draft<MemberRecord> = { id: 0n, name: '', peerUrls, clientUrls, isLearner: false, replaces: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigUint64(r)
        break
      case 18:
        m.name = takeString(r)
        break
      case 26:
        peerUrls.push(takeString(r))
        break
      case 34:
        clientUrls.push(takeString(r))
        break
      case 40:
        m.isLearner = takeBool(r)
        break
      case 48:
        m.replaces = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberRecord(value: Init<MemberRecord>): Buffer {
  return encode(writeMemberRecord, value)
}

export function decodeMemberRecord(bytes: Uint8Array): MemberRecord {
  return decode(readMemberRecord, bytes)
}

export type MemberChange = {
  readonly kind: number
  readonly member: bigint
}

export function writeMemberChange(w: Writer, m: Init<MemberChange>): void {
  if (m.member) {
    putBigint(w, m.member)
    putVarint(w, 16)
  }
  if (m.kind) {
    putNumber(w, m.kind)
    putVarint(w, 8)
  }
}

export function readMemberChange(r: Reader): MemberChange {
  const m: Draft<MemberChange> = { kind: 0, member: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.kind = takeInt32(r)
        break
      case 16:
        m.member = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberChange(value: Init<MemberChange>): Buffer {
  return encode(writeMemberChange, value)
}

export function decodeMemberChange(bytes: Uint8Array): MemberChange {
  return decode(readMemberChange, bytes)
}

/** The data of a log entry of the kind MEMBERSHIP; without changes it leaves a joint change. */
export type MembershipContext = {
  readonly origin: number
  readonly seq: number
  readonly changes: readonly MemberChange[]
  readonly joint: boolean
  /** The one that joins. */
  readonly member?: MemberRecord
}

export function writeMembershipContext(w: Writer, m: Init<MembershipContext>): void {
  if (m.member !== undefined) {
    const before = written(w)
    writeMemberRecord(w, m.member)
    putLength(w, before)
    putVarint(w, 42)
  }
  if (m.joint) {
    putVarint(w, m.joint ? 1 : 0)
    putVarint(w, 32)
  }
  if (m.changes !== undefined) {
    for (let i = m.changes.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMemberChange(w, m.changes[i] as Init<MemberChange>)
      putLength(w, before)
      putVarint(w, 26)
    }
  }
  if (m.seq) {
    putNumber(w, m.seq)
    putVarint(w, 16)
  }
  if (m.origin) {
    putNumber(w, m.origin)
    putVarint(w, 8)
  }
}

export function readMembershipContext(r: Reader): MembershipContext {
  const changes: MemberChange[] = []
  const m: Draft<MembershipContext> = { origin: 0, seq: 0, changes, joint: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.origin = takeUint64(r)
        break
      case 16:
        m.seq = takeUint64(r)
        break
      case 26:
        changes.push(takeNested(r, readMemberChange))
        break
      case 32:
        m.joint = takeBool(r)
        break
      case 42:
        m.member = takeNested(r, readMemberRecord)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMembershipContext(value: Init<MembershipContext>): Buffer {
  return encode(writeMembershipContext, value)
}

export function decodeMembershipContext(bytes: Uint8Array): MembershipContext {
  return decode(readMembershipContext, bytes)
}

/** Up to where a snapshot reaches. */
export type SnapshotMark = {
  readonly index: number
  readonly term: number
  readonly membership?: Membership
}

export function writeSnapshotMark(w: Writer, m: Init<SnapshotMark>): void {
  if (m.membership !== undefined) {
    const before = written(w)
    writeMembership(w, m.membership)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.term) {
    putNumber(w, m.term)
    putVarint(w, 16)
  }
  if (m.index) {
    putNumber(w, m.index)
    putVarint(w, 8)
  }
}

export function readSnapshotMark(r: Reader): SnapshotMark {
  const m: Draft<SnapshotMark> = { index: 0, term: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.index = takeUint64(r)
        break
      case 16:
        m.term = takeUint64(r)
        break
      case 26:
        m.membership = takeNested(r, readMembership)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeSnapshotMark(value: Init<SnapshotMark>): Buffer {
  return encode(writeSnapshotMark, value)
}

export function decodeSnapshotMark(bytes: Uint8Array): SnapshotMark {
  return decode(readSnapshotMark, bytes)
}

export const MessageKind = {
  unknown: 0,
  preVote: 1,
  preVoteReply: 2,
  vote: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  appendReject: 7,
  heartbeat: 8,
  heartbeatReply: 9,
  snapshot: 10,
  propose: 11,
  readIndex: 12,
  readIndexReply: 13,
  transfer: 14,
  timeoutNow: 15,
} as const

/** One message of the consensus. Which fields mean something depends on the kind. */
export type Message = {
  readonly kind: number
  readonly from: bigint
  readonly to: bigint
  readonly term: number
  readonly commit: number
  readonly context: number
  readonly index: number
  readonly prevIndex: number
  readonly prevTerm: number
  readonly entries: readonly Entry[]
  readonly lastIndex: number
  readonly lastTerm: number
  readonly isTransfer: boolean
  readonly isGranted: boolean
  readonly hintIndex: number
  readonly hintTerm: number
  readonly mark?: SnapshotMark
  readonly commands: readonly Uint8Array[]
  readonly target: bigint
}

export function writeMessage(w: Writer, m: Init<Message>): void {
  if (m.target) {
    putBigint(w, m.target)
    putVarint(w, 152)
  }
  if (m.commands !== undefined) {
    for (let i = m.commands.length - 1; i >= 0; i--) {
      putBytes(w, m.commands[i] as Uint8Array)
      putVarint(w, 146)
    }
  }
  if (m.mark !== undefined) {
    const before = written(w)
    writeSnapshotMark(w, m.mark)
    putLength(w, before)
    putVarint(w, 138)
  }
  if (m.hintTerm) {
    putNumber(w, m.hintTerm)
    putVarint(w, 128)
  }
  if (m.hintIndex) {
    putNumber(w, m.hintIndex)
    putVarint(w, 120)
  }
  if (m.isGranted) {
    putVarint(w, m.isGranted ? 1 : 0)
    putVarint(w, 112)
  }
  if (m.isTransfer) {
    putVarint(w, m.isTransfer ? 1 : 0)
    putVarint(w, 104)
  }
  if (m.lastTerm) {
    putNumber(w, m.lastTerm)
    putVarint(w, 96)
  }
  if (m.lastIndex) {
    putNumber(w, m.lastIndex)
    putVarint(w, 88)
  }
  if (m.entries !== undefined) {
    for (let i = m.entries.length - 1; i >= 0; i--) {
      const before = written(w)
      writeEntry(w, m.entries[i] as Init<Entry>)
      putLength(w, before)
      putVarint(w, 82)
    }
  }
  if (m.prevTerm) {
    putNumber(w, m.prevTerm)
    putVarint(w, 72)
  }
  if (m.prevIndex) {
    putNumber(w, m.prevIndex)
    putVarint(w, 64)
  }
  if (m.index) {
    putNumber(w, m.index)
    putVarint(w, 56)
  }
  if (m.context) {
    putNumber(w, m.context)
    putVarint(w, 48)
  }
  if (m.commit) {
    putNumber(w, m.commit)
    putVarint(w, 40)
  }
  if (m.term) {
    putNumber(w, m.term)
    putVarint(w, 32)
  }
  if (m.to) {
    putBigint(w, m.to)
    putVarint(w, 24)
  }
  if (m.from) {
    putBigint(w, m.from)
    putVarint(w, 16)
  }
  if (m.kind) {
    putNumber(w, m.kind)
    putVarint(w, 8)
  }
}

export function readMessage(r: Reader): Message {
  const entries: Entry[] = []
  const commands: Uint8Array[] = []
  const m: Draft<Message> = { kind: 0, from: 0n, to: 0n, term: 0, commit: 0, context: 0, index: 0, prevIndex: 0, prevTerm: 0, entries, lastIndex: 0, lastTerm: 0, isTransfer: false, isGranted: false, hintIndex: 0, hintTerm: 0, commands, target: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.kind = takeInt32(r)
        break
      case 16:
        m.from = takeBigUint64(r)
        break
      case 24:
        m.to = takeBigUint64(r)
        break
      case 32:
        m.term = takeUint64(r)
        break
      case 40:
        m.commit = takeUint64(r)
        break
      case 48:
        m.context = takeUint64(r)
        break
      case 56:
        m.index = takeUint64(r)
        break
      case 64:
        m.prevIndex = takeUint64(r)
        break
      case 72:
        m.prevTerm = takeUint64(r)
        break
      case 82:
        entries.push(takeNested(r, readEntry))
        break
      case 88:
        m.lastIndex = takeUint64(r)
        break
      case 96:
        m.lastTerm = takeUint64(r)
        break
      case 104:
        m.isTransfer = takeBool(r)
        break
      case 112:
        m.isGranted = takeBool(r)
        break
      case 120:
        m.hintIndex = takeUint64(r)
        break
      case 128:
        m.hintTerm = takeUint64(r)
        break
      case 138:
        m.mark = takeNested(r, readSnapshotMark)
        break
      case 146:
        commands.push(takeBytes(r))
        break
      case 152:
        m.target = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMessage(value: Init<Message>): Buffer {
  return encode(writeMessage, value)
}

export function decodeMessage(bytes: Uint8Array): Message {
  return decode(readMessage, bytes)
}

export const LeaseQuestionKind = {
  noQuestion: 0,
  renew: 1,
  remaining: 2,
} as const

/** A question that only the leader can answer. */
export type LeaseQuestion = {
  readonly id: number
  readonly kind: number
  readonly lease: bigint
}

export function writeLeaseQuestion(w: Writer, m: Init<LeaseQuestion>): void {
  if (m.lease) {
    putBigint(w, m.lease)
    putVarint(w, 24)
  }
  if (m.kind) {
    putNumber(w, m.kind)
    putVarint(w, 16)
  }
  if (m.id) {
    putNumber(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseQuestion(r: Reader): LeaseQuestion {
  const m: Draft<LeaseQuestion> = { id: 0, kind: 0, lease: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeUint64(r)
        break
      case 16:
        m.kind = takeInt32(r)
        break
      case 24:
        m.lease = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseQuestion(value: Init<LeaseQuestion>): Buffer {
  return encode(writeLeaseQuestion, value)
}

export function decodeLeaseQuestion(bytes: Uint8Array): LeaseQuestion {
  return decode(readLeaseQuestion, bytes)
}

export const LeaseOutcome = {
  noOutcome: 0,
  ok: 1,
  notLeader: 2,
} as const

export type LeaseAnswer = {
  readonly id: number
  readonly outcome: number
  /** -1: there is no such lease. */
  readonly ttlMs: number
  readonly revision: number
}

export function writeLeaseAnswer(w: Writer, m: Init<LeaseAnswer>): void {
  if (m.revision) {
    putNumber(w, m.revision)
    putVarint(w, 32)
  }
  if (m.ttlMs) {
    putNumber(w, m.ttlMs)
    putVarint(w, 24)
  }
  if (m.outcome) {
    putNumber(w, m.outcome)
    putVarint(w, 16)
  }
  if (m.id) {
    putNumber(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseAnswer(r: Reader): LeaseAnswer {
  const m: Draft<LeaseAnswer> = { id: 0, outcome: 0, ttlMs: 0, revision: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeUint64(r)
        break
      case 16:
        m.outcome = takeInt32(r)
        break
      case 24:
        m.ttlMs = takeInt64(r)
        break
      case 32:
        m.revision = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseAnswer(value: Init<LeaseAnswer>): Buffer {
  return encode(writeLeaseAnswer, value)
}

export function decodeLeaseAnswer(bytes: Uint8Array): LeaseAnswer {
  return decode(readLeaseAnswer, bytes)
}

export const MemberQuestionKind = {
  noMemberQuestion: 0,
  add: 1,
  removeMember: 2,
  update: 3,
  promote: 4,
} as const

/** A change of the membership, passed on by a follower to its leader. */
export type MemberQuestion = {
  readonly id: number
  readonly kind: number
  readonly member: bigint
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
  /** Since protocol 2. */
  readonly replaces: bigint
}

export function writeMemberQuestion(w: Writer, m: Init<MemberQuestion>): void {
  if (m.replaces) {
    putBigint(w, m.replaces)
    putVarint(w, 48)
  }
  if (m.isLearner) {
    putVarint(w, m.isLearner ? 1 : 0)
    putVarint(w, 40)
  }
  if (m.peerUrls !== undefined) {
    for (let i = m.peerUrls.length - 1; i >= 0; i--) {
      putString(w, m.peerUrls[i] as string)
      putVarint(w, 34)
    }
  }
  if (m.member) {
    putBigint(w, m.member)
    putVarint(w, 24)
  }
  if (m.kind) {
    putNumber(w, m.kind)
    putVarint(w, 16)
  }
  if (m.id) {
    putNumber(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberQuestion(r: Reader): MemberQuestion {
  const peerUrls: string[] = []
  const m: Draft<MemberQuestion> = { id: 0, kind: 0, member: 0n, peerUrls, isLearner: false, replaces: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeUint64(r)
        break
      case 16:
        m.kind = takeInt32(r)
        break
      case 24:
        m.member = takeBigUint64(r)
        break
      case 34:
        peerUrls.push(takeString(r))
        break
      case 40:
        m.isLearner = takeBool(r)
        break
      case 48:
        m.replaces = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberQuestion(value: Init<MemberQuestion>): Buffer {
  return encode(writeMemberQuestion, value)
}

export function decodeMemberQuestion(bytes: Uint8Array): MemberQuestion {
  return decode(readMemberQuestion, bytes)
}

export type MemberAnswer = {
  readonly id: number
  /** "ok", or the name of what speaks against it. */
  readonly outcome: string
  readonly member: bigint
  readonly index: number
}

export function writeMemberAnswer(w: Writer, m: Init<MemberAnswer>): void {
  if (m.index) {
    putNumber(w, m.index)
    putVarint(w, 32)
  }
  if (m.member) {
    putBigint(w, m.member)
    putVarint(w, 24)
  }
  if (m.outcome) {
    putString(w, m.outcome)
    putVarint(w, 18)
  }
  if (m.id) {
    putNumber(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberAnswer(r: Reader): MemberAnswer {
  const m: Draft<MemberAnswer> = { id: 0, outcome: '', member: 0n, index: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeUint64(r)
        break
      case 18:
        m.outcome = takeString(r)
        break
      case 24:
        m.member = takeBigUint64(r)
        break
      case 32:
        m.index = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberAnswer(value: Init<MemberAnswer>): Buffer {
  return encode(writeMemberAnswer, value)
}

export function decodeMemberAnswer(bytes: Uint8Array): MemberAnswer {
  return decode(readMemberAnswer, bytes)
}

/** Before a cluster stands: may it be formed with the disk that has this life? */
export type FormQuestion = {
  readonly life: bigint
}

export function writeFormQuestion(w: Writer, m: Init<FormQuestion>): void {
  if (m.life) {
    putBigint(w, m.life)
    putVarint(w, 8)
  }
}

export function readFormQuestion(r: Reader): FormQuestion {
  const m: Draft<FormQuestion> = { life: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.life = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeFormQuestion(value: Init<FormQuestion>): Buffer {
  return encode(writeFormQuestion, value)
}

export function decodeFormQuestion(bytes: Uint8Array): FormQuestion {
  return decode(readFormQuestion, bytes)
}

export type FormAnswer = {
  readonly life: bigint
  readonly isFormed: boolean
  readonly isAgreed: boolean
  /** The life that was asked about: 0 from members that do not say. */
  readonly asked: bigint
}

export function writeFormAnswer(w: Writer, m: Init<FormAnswer>): void {
  if (m.asked) {
    putBigint(w, m.asked)
    putVarint(w, 32)
  }
  if (m.isAgreed) {
    putVarint(w, m.isAgreed ? 1 : 0)
    putVarint(w, 24)
  }
  if (m.isFormed) {
    putVarint(w, m.isFormed ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.life) {
    putBigint(w, m.life)
    putVarint(w, 8)
  }
}

export function readFormAnswer(r: Reader): FormAnswer {
  const m: Draft<FormAnswer> = { life: 0n, isFormed: false, isAgreed: false, asked: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.life = takeBigUint64(r)
        break
      case 16:
        m.isFormed = takeBool(r)
        break
      case 24:
        m.isAgreed = takeBool(r)
        break
      case 32:
        m.asked = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeFormAnswer(value: Init<FormAnswer>): Buffer {
  return encode(writeFormAnswer, value)
}

export function decodeFormAnswer(bytes: Uint8Array): FormAnswer {
  return decode(readFormAnswer, bytes)
}

export type PeerMessage = {
  readonly raft?: Message
  readonly leaseQuestion?: LeaseQuestion
  readonly leaseAnswer?: LeaseAnswer
  readonly memberQuestion?: MemberQuestion
  readonly memberAnswer?: MemberAnswer
  readonly formQuestion?: FormQuestion
  readonly formAnswer?: FormAnswer
}

export function writePeerMessage(w: Writer, m: Init<PeerMessage>): void {
  if (m.formAnswer !== undefined) {
    const before = written(w)
    writeFormAnswer(w, m.formAnswer)
    putLength(w, before)
    putVarint(w, 58)
  }
  if (m.formQuestion !== undefined) {
    const before = written(w)
    writeFormQuestion(w, m.formQuestion)
    putLength(w, before)
    putVarint(w, 50)
  }
  if (m.memberAnswer !== undefined) {
    const before = written(w)
    writeMemberAnswer(w, m.memberAnswer)
    putLength(w, before)
    putVarint(w, 42)
  }
  if (m.memberQuestion !== undefined) {
    const before = written(w)
    writeMemberQuestion(w, m.memberQuestion)
    putLength(w, before)
    putVarint(w, 34)
  }
  if (m.leaseAnswer !== undefined) {
    const before = written(w)
    writeLeaseAnswer(w, m.leaseAnswer)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.leaseQuestion !== undefined) {
    const before = written(w)
    writeLeaseQuestion(w, m.leaseQuestion)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.raft !== undefined) {
    const before = written(w)
    writeMessage(w, m.raft)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readPeerMessage(r: Reader): PeerMessage {
  const m: Draft<PeerMessage> = {  }
  let chosen: 'raft' | 'leaseQuestion' | 'leaseAnswer' | 'memberQuestion' | 'memberAnswer' | 'formQuestion' | 'formAnswer' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        if (chosen !== undefined && chosen !== 'raft') delete m[chosen]
        chosen = 'raft'
        m.raft = takeNested(r, readMessage)
        break
      case 18:
        if (chosen !== undefined && chosen !== 'leaseQuestion') delete m[chosen]
        chosen = 'leaseQuestion'
        m.leaseQuestion = takeNested(r, readLeaseQuestion)
        break
      case 26:
        if (chosen !== undefined && chosen !== 'leaseAnswer') delete m[chosen]
        chosen = 'leaseAnswer'
        m.leaseAnswer = takeNested(r, readLeaseAnswer)
        break
      case 34:
        if (chosen !== undefined && chosen !== 'memberQuestion') delete m[chosen]
        chosen = 'memberQuestion'
        m.memberQuestion = takeNested(r, readMemberQuestion)
        break
      case 42:
        if (chosen !== undefined && chosen !== 'memberAnswer') delete m[chosen]
        chosen = 'memberAnswer'
        m.memberAnswer = takeNested(r, readMemberAnswer)
        break
      case 50:
        if (chosen !== undefined && chosen !== 'formQuestion') delete m[chosen]
        chosen = 'formQuestion'
        m.formQuestion = takeNested(r, readFormQuestion)
        break
      case 58:
        if (chosen !== undefined && chosen !== 'formAnswer') delete m[chosen]
        chosen = 'formAnswer'
        m.formAnswer = takeNested(r, readFormAnswer)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodePeerMessage(value: Init<PeerMessage>): Buffer {
  return encode(writePeerMessage, value)
}

export function decodePeerMessage(bytes: Uint8Array): PeerMessage {
  return decode(readPeerMessage, bytes)
}

/** What was sent to one member in one turn. Frames do not travel as calls, but as records on connections of their own: one for what is small and must never wait, one for appends. */
export type PeerFrame = {
  readonly messages: readonly PeerMessage[]
}

export function writePeerFrame(w: Writer, m: Init<PeerFrame>): void {
  if (m.messages !== undefined) {
    for (let i = m.messages.length - 1; i >= 0; i--) {
      const before = written(w)
      writePeerMessage(w, m.messages[i] as Init<PeerMessage>)
      putLength(w, before)
      putVarint(w, 10)
    }
  }
}

export function readPeerFrame(r: Reader): PeerFrame {
  const messages: PeerMessage[] = []
  const m: Draft<PeerFrame> = { messages }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        messages.push(takeNested(r, readPeerMessage))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodePeerFrame(value: Init<PeerFrame>): Buffer {
  return encode(writePeerFrame, value)
}

export function decodePeerFrame(bytes: Uint8Array): PeerFrame {
  return decode(readPeerFrame, bytes)
}

/** One part of an image on its way. The first carries the message, the last the digest of all data. */
export type SnapshotChunk = {
  readonly message?: Message
  /** Part of the records, one after the other: length and bytes of the key, then of the value. */
  readonly data: Uint8Array
  /** SHA-256 over the data of all chunks. */
  readonly digest: Uint8Array
  readonly totalBytes: number
}

export function writeSnapshotChunk(w: Writer, m: Init<SnapshotChunk>): void {
  if (m.totalBytes) {
    putNumber(w, m.totalBytes)
    putVarint(w, 32)
  }
  if (m.digest !== undefined && m.digest.length > 0) {
    putBytes(w, m.digest)
    putVarint(w, 26)
  }
  if (m.data !== undefined && m.data.length > 0) {
    putBytes(w, m.data)
    putVarint(w, 18)
  }
  if (m.message !== undefined) {
    const before = written(w)
    writeMessage(w, m.message)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readSnapshotChunk(r: Reader): SnapshotChunk {
  const m: Draft<SnapshotChunk> = { data: EMPTY, digest: EMPTY, totalBytes: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.message = takeNested(r, readMessage)
        break
      case 18:
        m.data = takeBytes(r)
        break
      case 26:
        m.digest = takeBytes(r)
        break
      case 32:
        m.totalBytes = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeSnapshotChunk(value: Init<SnapshotChunk>): Buffer {
  return encode(writeSnapshotChunk, value)
}

export function decodeSnapshotChunk(bytes: Uint8Array): SnapshotChunk {
  return decode(readSnapshotChunk, bytes)
}

export type SnapshotReceipt = {
  readonly isInstalled: boolean
}

export function writeSnapshotReceipt(w: Writer, m: Init<SnapshotReceipt>): void {
  if (m.isInstalled) {
    putVarint(w, m.isInstalled ? 1 : 0)
    putVarint(w, 8)
  }
}

export function readSnapshotReceipt(r: Reader): SnapshotReceipt {
  const m: Draft<SnapshotReceipt> = { isInstalled: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.isInstalled = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeSnapshotReceipt(value: Init<SnapshotReceipt>): Buffer {
  return encode(writeSnapshotReceipt, value)
}

export function decodeSnapshotReceipt(bytes: Uint8Array): SnapshotReceipt {
  return decode(readSnapshotReceipt, bytes)
}

/** The methods of Peer. */
export const peerService = {
  snapshot: {
    path: '/hakiri.coord.Peer/Snapshot',
    requestStream: true,
    responseStream: false,
    requestSerialize: encodeSnapshotChunk,
    requestDeserialize: decodeSnapshotChunk,
    responseSerialize: encodeSnapshotReceipt,
    responseDeserialize: decodeSnapshotReceipt,
  },
} as const

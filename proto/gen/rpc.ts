/** Codecs of etcd/rpc.proto. Generated: change that file and run `npm run generate`. */
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
  readEvent,
  readKeyValue,
  type Event,
  type KeyValue,
  writeEvent,
  writeKeyValue,
} from './kv.ts'
import {
  readPermission,
  readUserAddOptions,
  type Permission,
  type UserAddOptions,
  writePermission,
  writeUserAddOptions,
} from './auth.ts'

/** The methods of KV. */
export const kvService = {
  range: {
    path: '/etcdserverpb.KV/Range',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeRangeRequest,
    requestDeserialize: decodeRangeRequest,
    responseSerialize: encodeRangeResponse,
    responseDeserialize: decodeRangeResponse,
  },
  put: {
    path: '/etcdserverpb.KV/Put',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodePutRequest,
    requestDeserialize: decodePutRequest,
    responseSerialize: encodePutResponse,
    responseDeserialize: decodePutResponse,
  },
  deleteRange: {
    path: '/etcdserverpb.KV/DeleteRange',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeDeleteRangeRequest,
    requestDeserialize: decodeDeleteRangeRequest,
    responseSerialize: encodeDeleteRangeResponse,
    responseDeserialize: decodeDeleteRangeResponse,
  },
  txn: {
    path: '/etcdserverpb.KV/Txn',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeTxnRequest,
    requestDeserialize: decodeTxnRequest,
    responseSerialize: encodeTxnResponse,
    responseDeserialize: decodeTxnResponse,
  },
  compact: {
    path: '/etcdserverpb.KV/Compact',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeCompactionRequest,
    requestDeserialize: decodeCompactionRequest,
    responseSerialize: encodeCompactionResponse,
    responseDeserialize: decodeCompactionResponse,
  },
} as const

/** The methods of Watch. */
export const watchService = {
  watch: {
    path: '/etcdserverpb.Watch/Watch',
    requestStream: true,
    responseStream: true,
    requestSerialize: encodeWatchRequest,
    requestDeserialize: decodeWatchRequest,
    responseSerialize: encodeWatchResponse,
    responseDeserialize: decodeWatchResponse,
  },
} as const

/** The methods of Lease. */
export const leaseService = {
  leaseGrant: {
    path: '/etcdserverpb.Lease/LeaseGrant',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeLeaseGrantRequest,
    requestDeserialize: decodeLeaseGrantRequest,
    responseSerialize: encodeLeaseGrantResponse,
    responseDeserialize: decodeLeaseGrantResponse,
  },
  leaseRevoke: {
    path: '/etcdserverpb.Lease/LeaseRevoke',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeLeaseRevokeRequest,
    requestDeserialize: decodeLeaseRevokeRequest,
    responseSerialize: encodeLeaseRevokeResponse,
    responseDeserialize: decodeLeaseRevokeResponse,
  },
  leaseKeepAlive: {
    path: '/etcdserverpb.Lease/LeaseKeepAlive',
    requestStream: true,
    responseStream: true,
    requestSerialize: encodeLeaseKeepAliveRequest,
    requestDeserialize: decodeLeaseKeepAliveRequest,
    responseSerialize: encodeLeaseKeepAliveResponse,
    responseDeserialize: decodeLeaseKeepAliveResponse,
  },
  leaseTimeToLive: {
    path: '/etcdserverpb.Lease/LeaseTimeToLive',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeLeaseTimeToLiveRequest,
    requestDeserialize: decodeLeaseTimeToLiveRequest,
    responseSerialize: encodeLeaseTimeToLiveResponse,
    responseDeserialize: decodeLeaseTimeToLiveResponse,
  },
  leaseLeases: {
    path: '/etcdserverpb.Lease/LeaseLeases',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeLeaseLeasesRequest,
    requestDeserialize: decodeLeaseLeasesRequest,
    responseSerialize: encodeLeaseLeasesResponse,
    responseDeserialize: decodeLeaseLeasesResponse,
  },
} as const

/** The methods of Cluster. */
export const clusterService = {
  memberAdd: {
    path: '/etcdserverpb.Cluster/MemberAdd',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMemberAddRequest,
    requestDeserialize: decodeMemberAddRequest,
    responseSerialize: encodeMemberAddResponse,
    responseDeserialize: decodeMemberAddResponse,
  },
  memberRemove: {
    path: '/etcdserverpb.Cluster/MemberRemove',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMemberRemoveRequest,
    requestDeserialize: decodeMemberRemoveRequest,
    responseSerialize: encodeMemberRemoveResponse,
    responseDeserialize: decodeMemberRemoveResponse,
  },
  memberUpdate: {
    path: '/etcdserverpb.Cluster/MemberUpdate',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMemberUpdateRequest,
    requestDeserialize: decodeMemberUpdateRequest,
    responseSerialize: encodeMemberUpdateResponse,
    responseDeserialize: decodeMemberUpdateResponse,
  },
  memberList: {
    path: '/etcdserverpb.Cluster/MemberList',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMemberListRequest,
    requestDeserialize: decodeMemberListRequest,
    responseSerialize: encodeMemberListResponse,
    responseDeserialize: decodeMemberListResponse,
  },
  memberPromote: {
    path: '/etcdserverpb.Cluster/MemberPromote',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMemberPromoteRequest,
    requestDeserialize: decodeMemberPromoteRequest,
    responseSerialize: encodeMemberPromoteResponse,
    responseDeserialize: decodeMemberPromoteResponse,
  },
} as const

/** The methods of Maintenance. */
export const maintenanceService = {
  alarm: {
    path: '/etcdserverpb.Maintenance/Alarm',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAlarmRequest,
    requestDeserialize: decodeAlarmRequest,
    responseSerialize: encodeAlarmResponse,
    responseDeserialize: decodeAlarmResponse,
  },
  status: {
    path: '/etcdserverpb.Maintenance/Status',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeStatusRequest,
    requestDeserialize: decodeStatusRequest,
    responseSerialize: encodeStatusResponse,
    responseDeserialize: decodeStatusResponse,
  },
  defragment: {
    path: '/etcdserverpb.Maintenance/Defragment',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeDefragmentRequest,
    requestDeserialize: decodeDefragmentRequest,
    responseSerialize: encodeDefragmentResponse,
    responseDeserialize: decodeDefragmentResponse,
  },
  hash: {
    path: '/etcdserverpb.Maintenance/Hash',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeHashRequest,
    requestDeserialize: decodeHashRequest,
    responseSerialize: encodeHashResponse,
    responseDeserialize: decodeHashResponse,
  },
  hashKv: {
    path: '/etcdserverpb.Maintenance/HashKV',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeHashKVRequest,
    requestDeserialize: decodeHashKVRequest,
    responseSerialize: encodeHashKVResponse,
    responseDeserialize: decodeHashKVResponse,
  },
  snapshot: {
    path: '/etcdserverpb.Maintenance/Snapshot',
    requestStream: false,
    responseStream: true,
    requestSerialize: encodeSnapshotRequest,
    requestDeserialize: decodeSnapshotRequest,
    responseSerialize: encodeSnapshotResponse,
    responseDeserialize: decodeSnapshotResponse,
  },
  moveLeader: {
    path: '/etcdserverpb.Maintenance/MoveLeader',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeMoveLeaderRequest,
    requestDeserialize: decodeMoveLeaderRequest,
    responseSerialize: encodeMoveLeaderResponse,
    responseDeserialize: decodeMoveLeaderResponse,
  },
  downgrade: {
    path: '/etcdserverpb.Maintenance/Downgrade',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeDowngradeRequest,
    requestDeserialize: decodeDowngradeRequest,
    responseSerialize: encodeDowngradeResponse,
    responseDeserialize: decodeDowngradeResponse,
  },
} as const

/** The methods of Auth. */
export const authService = {
  authEnable: {
    path: '/etcdserverpb.Auth/AuthEnable',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthEnableRequest,
    requestDeserialize: decodeAuthEnableRequest,
    responseSerialize: encodeAuthEnableResponse,
    responseDeserialize: decodeAuthEnableResponse,
  },
  authDisable: {
    path: '/etcdserverpb.Auth/AuthDisable',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthDisableRequest,
    requestDeserialize: decodeAuthDisableRequest,
    responseSerialize: encodeAuthDisableResponse,
    responseDeserialize: decodeAuthDisableResponse,
  },
  authStatus: {
    path: '/etcdserverpb.Auth/AuthStatus',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthStatusRequest,
    requestDeserialize: decodeAuthStatusRequest,
    responseSerialize: encodeAuthStatusResponse,
    responseDeserialize: decodeAuthStatusResponse,
  },
  authenticate: {
    path: '/etcdserverpb.Auth/Authenticate',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthenticateRequest,
    requestDeserialize: decodeAuthenticateRequest,
    responseSerialize: encodeAuthenticateResponse,
    responseDeserialize: decodeAuthenticateResponse,
  },
  userAdd: {
    path: '/etcdserverpb.Auth/UserAdd',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserAddRequest,
    requestDeserialize: decodeAuthUserAddRequest,
    responseSerialize: encodeAuthUserAddResponse,
    responseDeserialize: decodeAuthUserAddResponse,
  },
  userGet: {
    path: '/etcdserverpb.Auth/UserGet',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserGetRequest,
    requestDeserialize: decodeAuthUserGetRequest,
    responseSerialize: encodeAuthUserGetResponse,
    responseDeserialize: decodeAuthUserGetResponse,
  },
  userList: {
    path: '/etcdserverpb.Auth/UserList',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserListRequest,
    requestDeserialize: decodeAuthUserListRequest,
    responseSerialize: encodeAuthUserListResponse,
    responseDeserialize: decodeAuthUserListResponse,
  },
  userDelete: {
    path: '/etcdserverpb.Auth/UserDelete',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserDeleteRequest,
    requestDeserialize: decodeAuthUserDeleteRequest,
    responseSerialize: encodeAuthUserDeleteResponse,
    responseDeserialize: decodeAuthUserDeleteResponse,
  },
  userChangePassword: {
    path: '/etcdserverpb.Auth/UserChangePassword',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserChangePasswordRequest,
    requestDeserialize: decodeAuthUserChangePasswordRequest,
    responseSerialize: encodeAuthUserChangePasswordResponse,
    responseDeserialize: decodeAuthUserChangePasswordResponse,
  },
  userGrantRole: {
    path: '/etcdserverpb.Auth/UserGrantRole',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserGrantRoleRequest,
    requestDeserialize: decodeAuthUserGrantRoleRequest,
    responseSerialize: encodeAuthUserGrantRoleResponse,
    responseDeserialize: decodeAuthUserGrantRoleResponse,
  },
  userRevokeRole: {
    path: '/etcdserverpb.Auth/UserRevokeRole',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthUserRevokeRoleRequest,
    requestDeserialize: decodeAuthUserRevokeRoleRequest,
    responseSerialize: encodeAuthUserRevokeRoleResponse,
    responseDeserialize: decodeAuthUserRevokeRoleResponse,
  },
  roleAdd: {
    path: '/etcdserverpb.Auth/RoleAdd',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleAddRequest,
    requestDeserialize: decodeAuthRoleAddRequest,
    responseSerialize: encodeAuthRoleAddResponse,
    responseDeserialize: decodeAuthRoleAddResponse,
  },
  roleGet: {
    path: '/etcdserverpb.Auth/RoleGet',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleGetRequest,
    requestDeserialize: decodeAuthRoleGetRequest,
    responseSerialize: encodeAuthRoleGetResponse,
    responseDeserialize: decodeAuthRoleGetResponse,
  },
  roleList: {
    path: '/etcdserverpb.Auth/RoleList',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleListRequest,
    requestDeserialize: decodeAuthRoleListRequest,
    responseSerialize: encodeAuthRoleListResponse,
    responseDeserialize: decodeAuthRoleListResponse,
  },
  roleDelete: {
    path: '/etcdserverpb.Auth/RoleDelete',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleDeleteRequest,
    requestDeserialize: decodeAuthRoleDeleteRequest,
    responseSerialize: encodeAuthRoleDeleteResponse,
    responseDeserialize: decodeAuthRoleDeleteResponse,
  },
  roleGrantPermission: {
    path: '/etcdserverpb.Auth/RoleGrantPermission',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleGrantPermissionRequest,
    requestDeserialize: decodeAuthRoleGrantPermissionRequest,
    responseSerialize: encodeAuthRoleGrantPermissionResponse,
    responseDeserialize: decodeAuthRoleGrantPermissionResponse,
  },
  roleRevokePermission: {
    path: '/etcdserverpb.Auth/RoleRevokePermission',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeAuthRoleRevokePermissionRequest,
    requestDeserialize: decodeAuthRoleRevokePermissionRequest,
    responseSerialize: encodeAuthRoleRevokePermissionResponse,
    responseDeserialize: decodeAuthRoleRevokePermissionResponse,
  },
} as const

/** Where an answer comes from, and when. */
export type ResponseHeader = {
  readonly clusterId: bigint
  readonly memberId: bigint
  /** The revision of the store when the answer was made. */
  readonly revision: number
  readonly raftTerm: number
}

export function writeResponseHeader(w: Writer, m: Init<ResponseHeader>): void {
  if (m.raftTerm) {
    putNumber(w, m.raftTerm)
    putVarint(w, 32)
  }
  if (m.revision) {
    putNumber(w, m.revision)
    putVarint(w, 24)
  }
  if (m.memberId) {
    putBigint(w, m.memberId)
    putVarint(w, 16)
  }
  if (m.clusterId) {
    putBigint(w, m.clusterId)
    putVarint(w, 8)
  }
}

export function readResponseHeader(r: Reader): ResponseHeader {
  const m: Draft<ResponseHeader> = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.clusterId = takeBigUint64(r)
        break
      case 16:
        m.memberId = takeBigUint64(r)
        break
      case 24:
        m.revision = takeInt64(r)
        break
      case 32:
        m.raftTerm = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeResponseHeader(value: Init<ResponseHeader>): Buffer {
  return encode(writeResponseHeader, value)
}

export function decodeResponseHeader(bytes: Uint8Array): ResponseHeader {
  return decode(readResponseHeader, bytes)
}

export const RangeRequestSortOrder = {
  none: 0,
  ascend: 1,
  descend: 2,
} as const

export const RangeRequestSortTarget = {
  key: 0,
  version: 1,
  create: 2,
  mod: 3,
  value: 4,
} as const

/** Reads keys. An empty range_end means one key; a single zero byte means everything from key on. */
export type RangeRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  /** How many keys at most, after sorting and filtering; 0 for all. */
  readonly limit: number
  /** Which state of the store to read; 0 for the newest. */
  readonly revision: number
  readonly sortOrder: number
  readonly sortTarget: number
  /** Whatever this member has is good enough. */
  readonly serializable: boolean
  readonly keysOnly: boolean
  readonly countOnly: boolean
  readonly minModRevision: number
  readonly maxModRevision: number
  readonly minCreateRevision: number
  readonly maxCreateRevision: number
}

export function writeRangeRequest(w: Writer, m: Init<RangeRequest>): void {
  if (m.maxCreateRevision) {
    putNumber(w, m.maxCreateRevision)
    putVarint(w, 104)
  }
  if (m.minCreateRevision) {
    putNumber(w, m.minCreateRevision)
    putVarint(w, 96)
  }
  if (m.maxModRevision) {
    putNumber(w, m.maxModRevision)
    putVarint(w, 88)
  }
  if (m.minModRevision) {
    putNumber(w, m.minModRevision)
    putVarint(w, 80)
  }
  if (m.countOnly) {
    putVarint(w, m.countOnly ? 1 : 0)
    putVarint(w, 72)
  }
  if (m.keysOnly) {
    putVarint(w, m.keysOnly ? 1 : 0)
    putVarint(w, 64)
  }
  if (m.serializable) {
    putVarint(w, m.serializable ? 1 : 0)
    putVarint(w, 56)
  }
  if (m.sortTarget) {
    putNumber(w, m.sortTarget)
    putVarint(w, 48)
  }
  if (m.sortOrder) {
    putNumber(w, m.sortOrder)
    putVarint(w, 40)
  }
  if (m.revision) {
    putNumber(w, m.revision)
    putVarint(w, 32)
  }
  if (m.limit) {
    putNumber(w, m.limit)
    putVarint(w, 24)
  }
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 18)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 10)
  }
}

export function readRangeRequest(r: Reader): RangeRequest {
  const m: Draft<RangeRequest> = { key: EMPTY, rangeEnd: EMPTY, limit: 0, revision: 0, sortOrder: 0, sortTarget: 0, serializable: false, keysOnly: false, countOnly: false, minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.key = takeBytes(r)
        break
      case 18:
        m.rangeEnd = takeBytes(r)
        break
      case 24:
        m.limit = takeInt64(r)
        break
      case 32:
        m.revision = takeInt64(r)
        break
      case 40:
        m.sortOrder = takeInt32(r)
        break
      case 48:
        m.sortTarget = takeInt32(r)
        break
      case 56:
        m.serializable = takeBool(r)
        break
      case 64:
        m.keysOnly = takeBool(r)
        break
      case 72:
        m.countOnly = takeBool(r)
        break
      case 80:
        m.minModRevision = takeInt64(r)
        break
      case 88:
        m.maxModRevision = takeInt64(r)
        break
      case 96:
        m.minCreateRevision = takeInt64(r)
        break
      case 104:
        m.maxCreateRevision = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeRangeRequest(value: Init<RangeRequest>): Buffer {
  return encode(writeRangeRequest, value)
}

export function decodeRangeRequest(bytes: Uint8Array): RangeRequest {
  return decode(readRangeRequest, bytes)
}

export type RangeResponse = {
  readonly header?: ResponseHeader
  readonly kvs: readonly KeyValue[]
  /** The limit cut something off. */
  readonly more: boolean
  /** Keys within the range, whatever the limit. */
  readonly count: number
}

export function writeRangeResponse(w: Writer, m: Init<RangeResponse>): void {
  if (m.count) {
    putNumber(w, m.count)
    putVarint(w, 32)
  }
  if (m.more) {
    putVarint(w, m.more ? 1 : 0)
    putVarint(w, 24)
  }
  if (m.kvs !== undefined) {
    for (let i = m.kvs.length - 1; i >= 0; i--) {
      const before = written(w)
      writeKeyValue(w, m.kvs[i] as Init<KeyValue>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readRangeResponse(r: Reader): RangeResponse {
  const kvs: KeyValue[] = []
  const m: Draft<RangeResponse> = { kvs, more: false, count: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        kvs.push(takeNested(r, readKeyValue))
        break
      case 24:
        m.more = takeBool(r)
        break
      case 32:
        m.count = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeRangeResponse(value: Init<RangeResponse>): Buffer {
  return encode(writeRangeResponse, value)
}

export function decodeRangeResponse(bytes: Uint8Array): RangeResponse {
  return decode(readRangeResponse, bytes)
}

export type PutRequest = {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: bigint
  /** Answer with what was there before. */
  readonly prevKv: boolean
  /** Keep the value that the key has. */
  readonly ignoreValue: boolean
  /** Keep the lease that the key has. */
  readonly ignoreLease: boolean
}

export function writePutRequest(w: Writer, m: Init<PutRequest>): void {
  if (m.ignoreLease) {
    putVarint(w, m.ignoreLease ? 1 : 0)
    putVarint(w, 48)
  }
  if (m.ignoreValue) {
    putVarint(w, m.ignoreValue ? 1 : 0)
    putVarint(w, 40)
  }
  if (m.prevKv) {
    putVarint(w, m.prevKv ? 1 : 0)
    putVarint(w, 32)
  }
  if (m.lease) {
    putBigint(w, m.lease)
    putVarint(w, 24)
  }
  if (m.value !== undefined && m.value.length > 0) {
    putBytes(w, m.value)
    putVarint(w, 18)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 10)
  }
}

export function readPutRequest(r: Reader): PutRequest {
  const m: Draft<PutRequest> = { key: EMPTY, value: EMPTY, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.key = takeBytes(r)
        break
      case 18:
        m.value = takeBytes(r)
        break
      case 24:
        m.lease = takeBigInt64(r)
        break
      case 32:
        m.prevKv = takeBool(r)
        break
      case 40:
        m.ignoreValue = takeBool(r)
        break
      case 48:
        m.ignoreLease = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodePutRequest(value: Init<PutRequest>): Buffer {
  return encode(writePutRequest, value)
}

export function decodePutRequest(bytes: Uint8Array): PutRequest {
  return decode(readPutRequest, bytes)
}

export type PutResponse = {
  readonly header?: ResponseHeader
  readonly prevKv?: KeyValue
}

export function writePutResponse(w: Writer, m: Init<PutResponse>): void {
  if (m.prevKv !== undefined) {
    const before = written(w)
    writeKeyValue(w, m.prevKv)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readPutResponse(r: Reader): PutResponse {
  const m: Draft<PutResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        m.prevKv = takeNested(r, readKeyValue)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodePutResponse(value: Init<PutResponse>): Buffer {
  return encode(writePutResponse, value)
}

export function decodePutResponse(bytes: Uint8Array): PutResponse {
  return decode(readPutResponse, bytes)
}

export type DeleteRangeRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly prevKv: boolean
}

export function writeDeleteRangeRequest(w: Writer, m: Init<DeleteRangeRequest>): void {
  if (m.prevKv) {
    putVarint(w, m.prevKv ? 1 : 0)
    putVarint(w, 24)
  }
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 18)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 10)
  }
}

export function readDeleteRangeRequest(r: Reader): DeleteRangeRequest {
  const m: Draft<DeleteRangeRequest> = { key: EMPTY, rangeEnd: EMPTY, prevKv: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.key = takeBytes(r)
        break
      case 18:
        m.rangeEnd = takeBytes(r)
        break
      case 24:
        m.prevKv = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDeleteRangeRequest(value: Init<DeleteRangeRequest>): Buffer {
  return encode(writeDeleteRangeRequest, value)
}

export function decodeDeleteRangeRequest(bytes: Uint8Array): DeleteRangeRequest {
  return decode(readDeleteRangeRequest, bytes)
}

export type DeleteRangeResponse = {
  readonly header?: ResponseHeader
  readonly deleted: number
  readonly prevKvs: readonly KeyValue[]
}

export function writeDeleteRangeResponse(w: Writer, m: Init<DeleteRangeResponse>): void {
  if (m.prevKvs !== undefined) {
    for (let i = m.prevKvs.length - 1; i >= 0; i--) {
      const before = written(w)
      writeKeyValue(w, m.prevKvs[i] as Init<KeyValue>)
      putLength(w, before)
      putVarint(w, 26)
    }
  }
  if (m.deleted) {
    putNumber(w, m.deleted)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readDeleteRangeResponse(r: Reader): DeleteRangeResponse {
  const prevKvs: KeyValue[] = []
  const m: Draft<DeleteRangeResponse> = { deleted: 0, prevKvs }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.deleted = takeInt64(r)
        break
      case 26:
        prevKvs.push(takeNested(r, readKeyValue))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDeleteRangeResponse(value: Init<DeleteRangeResponse>): Buffer {
  return encode(writeDeleteRangeResponse, value)
}

export function decodeDeleteRangeResponse(bytes: Uint8Array): DeleteRangeResponse {
  return decode(readDeleteRangeResponse, bytes)
}

/** One step of a transaction. */
export type RequestOp = {
  readonly requestRange?: RangeRequest
  readonly requestPut?: PutRequest
  readonly requestDeleteRange?: DeleteRangeRequest
  readonly requestTxn?: TxnRequest
}

export function writeRequestOp(w: Writer, m: Init<RequestOp>): void {
  if (m.requestTxn !== undefined) {
    const before = written(w)
    writeTxnRequest(w, m.requestTxn)
    putLength(w, before)
    putVarint(w, 34)
  }
  if (m.requestDeleteRange !== undefined) {
    const before = written(w)
    writeDeleteRangeRequest(w, m.requestDeleteRange)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.requestPut !== undefined) {
    const before = written(w)
    writePutRequest(w, m.requestPut)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.requestRange !== undefined) {
    const before = written(w)
    writeRangeRequest(w, m.requestRange)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readRequestOp(r: Reader): RequestOp {
  const m: Draft<RequestOp> = {  }
  let chosen: 'requestRange' | 'requestPut' | 'requestDeleteRange' | 'requestTxn' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        if (chosen !== undefined && chosen !== 'requestRange') delete m[chosen]
        chosen = 'requestRange'
        m.requestRange = takeNested(r, readRangeRequest)
        break
      case 18:
        if (chosen !== undefined && chosen !== 'requestPut') delete m[chosen]
        chosen = 'requestPut'
        m.requestPut = takeNested(r, readPutRequest)
        break
      case 26:
        if (chosen !== undefined && chosen !== 'requestDeleteRange') delete m[chosen]
        chosen = 'requestDeleteRange'
        m.requestDeleteRange = takeNested(r, readDeleteRangeRequest)
        break
      case 34:
        if (chosen !== undefined && chosen !== 'requestTxn') delete m[chosen]
        chosen = 'requestTxn'
        m.requestTxn = takeNested(r, readTxnRequest)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeRequestOp(value: Init<RequestOp>): Buffer {
  return encode(writeRequestOp, value)
}

export function decodeRequestOp(bytes: Uint8Array): RequestOp {
  return decode(readRequestOp, bytes)
}

export type ResponseOp = {
  readonly responseRange?: RangeResponse
  readonly responsePut?: PutResponse
  readonly responseDeleteRange?: DeleteRangeResponse
  readonly responseTxn?: TxnResponse
}

export function writeResponseOp(w: Writer, m: Init<ResponseOp>): void {
  if (m.responseTxn !== undefined) {
    const before = written(w)
    writeTxnResponse(w, m.responseTxn)
    putLength(w, before)
    putVarint(w, 34)
  }
  if (m.responseDeleteRange !== undefined) {
    const before = written(w)
    writeDeleteRangeResponse(w, m.responseDeleteRange)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.responsePut !== undefined) {
    const before = written(w)
    writePutResponse(w, m.responsePut)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.responseRange !== undefined) {
    const before = written(w)
    writeRangeResponse(w, m.responseRange)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readResponseOp(r: Reader): ResponseOp {
  const m: Draft<ResponseOp> = {  }
  let chosen: 'responseRange' | 'responsePut' | 'responseDeleteRange' | 'responseTxn' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        if (chosen !== undefined && chosen !== 'responseRange') delete m[chosen]
        chosen = 'responseRange'
        m.responseRange = takeNested(r, readRangeResponse)
        break
      case 18:
        if (chosen !== undefined && chosen !== 'responsePut') delete m[chosen]
        chosen = 'responsePut'
        m.responsePut = takeNested(r, readPutResponse)
        break
      case 26:
        if (chosen !== undefined && chosen !== 'responseDeleteRange') delete m[chosen]
        chosen = 'responseDeleteRange'
        m.responseDeleteRange = takeNested(r, readDeleteRangeResponse)
        break
      case 34:
        if (chosen !== undefined && chosen !== 'responseTxn') delete m[chosen]
        chosen = 'responseTxn'
        m.responseTxn = takeNested(r, readTxnResponse)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeResponseOp(value: Init<ResponseOp>): Buffer {
  return encode(writeResponseOp, value)
}

export function decodeResponseOp(bytes: Uint8Array): ResponseOp {
  return decode(readResponseOp, bytes)
}

export const CompareResult = {
  equal: 0,
  greater: 1,
  less: 2,
  notEqual: 3,
} as const

export const CompareTarget = {
  version: 0,
  create: 1,
  mod: 2,
  value: 3,
  lease: 4,
} as const

/** A condition on one key or on every key of a range. */
export type Compare = {
  readonly result: number
  readonly target: number
  readonly key: Uint8Array
  readonly version?: number
  readonly createRevision?: number
  readonly modRevision?: number
  readonly value?: Uint8Array
  readonly lease?: bigint
  readonly rangeEnd: Uint8Array
}

export function writeCompare(w: Writer, m: Init<Compare>): void {
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 514)
  }
  if (m.lease !== undefined) {
    putBigint(w, m.lease)
    putVarint(w, 64)
  }
  if (m.value !== undefined) {
    putBytes(w, m.value)
    putVarint(w, 58)
  }
  if (m.modRevision !== undefined) {
    putNumber(w, m.modRevision)
    putVarint(w, 48)
  }
  if (m.createRevision !== undefined) {
    putNumber(w, m.createRevision)
    putVarint(w, 40)
  }
  if (m.version !== undefined) {
    putNumber(w, m.version)
    putVarint(w, 32)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 26)
  }
  if (m.target) {
    putNumber(w, m.target)
    putVarint(w, 16)
  }
  if (m.result) {
    putNumber(w, m.result)
    putVarint(w, 8)
  }
}

export function readCompare(r: Reader): Compare {
  const m: Draft<Compare> = { result: 0, target: 0, key: EMPTY, rangeEnd: EMPTY }
  let chosen: 'version' | 'createRevision' | 'modRevision' | 'value' | 'lease' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.result = takeInt32(r)
        break
      case 16:
        m.target = takeInt32(r)
        break
      case 26:
        m.key = takeBytes(r)
        break
      case 32:
        if (chosen !== undefined && chosen !== 'version') delete m[chosen]
        chosen = 'version'
        m.version = takeInt64(r)
        break
      case 40:
        if (chosen !== undefined && chosen !== 'createRevision') delete m[chosen]
        chosen = 'createRevision'
        m.createRevision = takeInt64(r)
        break
      case 48:
        if (chosen !== undefined && chosen !== 'modRevision') delete m[chosen]
        chosen = 'modRevision'
        m.modRevision = takeInt64(r)
        break
      case 58:
        if (chosen !== undefined && chosen !== 'value') delete m[chosen]
        chosen = 'value'
        m.value = takeBytes(r)
        break
      case 64:
        if (chosen !== undefined && chosen !== 'lease') delete m[chosen]
        chosen = 'lease'
        m.lease = takeBigInt64(r)
        break
      case 514:
        m.rangeEnd = takeBytes(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeCompare(value: Init<Compare>): Buffer {
  return encode(writeCompare, value)
}

export function decodeCompare(bytes: Uint8Array): Compare {
  return decode(readCompare, bytes)
}

/** If every condition holds, the steps of success are taken, else those of failure; all or nothing. */
export type TxnRequest = {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}

export function writeTxnRequest(w: Writer, m: Init<TxnRequest>): void {
  if (m.failure !== undefined) {
    for (let i = m.failure.length - 1; i >= 0; i--) {
      const before = written(w)
      writeRequestOp(w, m.failure[i] as Init<RequestOp>)
      putLength(w, before)
      putVarint(w, 26)
    }
  }
  if (m.success !== undefined) {
    for (let i = m.success.length - 1; i >= 0; i--) {
      const before = written(w)
      writeRequestOp(w, m.success[i] as Init<RequestOp>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.compare !== undefined) {
    for (let i = m.compare.length - 1; i >= 0; i--) {
      const before = written(w)
      writeCompare(w, m.compare[i] as Init<Compare>)
      putLength(w, before)
      putVarint(w, 10)
    }
  }
}

export function readTxnRequest(r: Reader): TxnRequest {
  const compare: Compare[] = []
  const success: RequestOp[] = []
  const failure: RequestOp[] = []
  const m: Draft<TxnRequest> = { compare, success, failure }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        compare.push(takeNested(r, readCompare))
        break
      case 18:
        success.push(takeNested(r, readRequestOp))
        break
      case 26:
        failure.push(takeNested(r, readRequestOp))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeTxnRequest(value: Init<TxnRequest>): Buffer {
  return encode(writeTxnRequest, value)
}

export function decodeTxnRequest(bytes: Uint8Array): TxnRequest {
  return decode(readTxnRequest, bytes)
}

export type TxnResponse = {
  readonly header?: ResponseHeader
  readonly succeeded: boolean
  readonly responses: readonly ResponseOp[]
}

export function writeTxnResponse(w: Writer, m: Init<TxnResponse>): void {
  if (m.responses !== undefined) {
    for (let i = m.responses.length - 1; i >= 0; i--) {
      const before = written(w)
      writeResponseOp(w, m.responses[i] as Init<ResponseOp>)
      putLength(w, before)
      putVarint(w, 26)
    }
  }
  if (m.succeeded) {
    putVarint(w, m.succeeded ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readTxnResponse(r: Reader): TxnResponse {
  const responses: ResponseOp[] = []
  const m: Draft<TxnResponse> = { succeeded: false, responses }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.succeeded = takeBool(r)
        break
      case 26:
        responses.push(takeNested(r, readResponseOp))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeTxnResponse(value: Init<TxnResponse>): Buffer {
  return encode(writeTxnResponse, value)
}

export function decodeTxnResponse(bytes: Uint8Array): TxnResponse {
  return decode(readTxnResponse, bytes)
}

/** Forgets history before a revision. */
export type CompactionRequest = {
  readonly revision: number
  /** Answer only when the space is free. */
  readonly physical: boolean
}

export function writeCompactionRequest(w: Writer, m: Init<CompactionRequest>): void {
  if (m.physical) {
    putVarint(w, m.physical ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.revision) {
    putNumber(w, m.revision)
    putVarint(w, 8)
  }
}

export function readCompactionRequest(r: Reader): CompactionRequest {
  const m: Draft<CompactionRequest> = { revision: 0, physical: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.revision = takeInt64(r)
        break
      case 16:
        m.physical = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeCompactionRequest(value: Init<CompactionRequest>): Buffer {
  return encode(writeCompactionRequest, value)
}

export function decodeCompactionRequest(bytes: Uint8Array): CompactionRequest {
  return decode(readCompactionRequest, bytes)
}

export type CompactionResponse = {
  readonly header?: ResponseHeader
}

export function writeCompactionResponse(w: Writer, m: Init<CompactionResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readCompactionResponse(r: Reader): CompactionResponse {
  const m: Draft<CompactionResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeCompactionResponse(value: Init<CompactionResponse>): Buffer {
  return encode(writeCompactionResponse, value)
}

export function decodeCompactionResponse(bytes: Uint8Array): CompactionResponse {
  return decode(readCompactionResponse, bytes)
}

export type WatchRequest = {
  readonly createRequest?: WatchCreateRequest
  readonly cancelRequest?: WatchCancelRequest
  readonly progressRequest?: WatchProgressRequest
}

export function writeWatchRequest(w: Writer, m: Init<WatchRequest>): void {
  if (m.progressRequest !== undefined) {
    const before = written(w)
    writeWatchProgressRequest(w, m.progressRequest)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.cancelRequest !== undefined) {
    const before = written(w)
    writeWatchCancelRequest(w, m.cancelRequest)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.createRequest !== undefined) {
    const before = written(w)
    writeWatchCreateRequest(w, m.createRequest)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readWatchRequest(r: Reader): WatchRequest {
  const m: Draft<WatchRequest> = {  }
  let chosen: 'createRequest' | 'cancelRequest' | 'progressRequest' | undefined
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        if (chosen !== undefined && chosen !== 'createRequest') delete m[chosen]
        chosen = 'createRequest'
        m.createRequest = takeNested(r, readWatchCreateRequest)
        break
      case 18:
        if (chosen !== undefined && chosen !== 'cancelRequest') delete m[chosen]
        chosen = 'cancelRequest'
        m.cancelRequest = takeNested(r, readWatchCancelRequest)
        break
      case 26:
        if (chosen !== undefined && chosen !== 'progressRequest') delete m[chosen]
        chosen = 'progressRequest'
        m.progressRequest = takeNested(r, readWatchProgressRequest)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeWatchRequest(value: Init<WatchRequest>): Buffer {
  return encode(writeWatchRequest, value)
}

export function decodeWatchRequest(bytes: Uint8Array): WatchRequest {
  return decode(readWatchRequest, bytes)
}

export const WatchCreateRequestFilterType = {
  noput: 0,
  nodelete: 1,
} as const

export type WatchCreateRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  /** The first revision to be seen; 0 for whatever comes next. */
  readonly startRevision: number
  /** Say now and then how far the watch is, even when nothing happens. */
  readonly progressNotify: boolean
  readonly filters: readonly number[]
  readonly prevKv: boolean
  /** 0 lets the server choose. */
  readonly watchId: number
  /** Large answers may come in parts. */
  readonly fragment: boolean
}

export function writeWatchCreateRequest(w: Writer, m: Init<WatchCreateRequest>): void {
  if (m.fragment) {
    putVarint(w, m.fragment ? 1 : 0)
    putVarint(w, 64)
  }
  if (m.watchId) {
    putNumber(w, m.watchId)
    putVarint(w, 56)
  }
  if (m.prevKv) {
    putVarint(w, m.prevKv ? 1 : 0)
    putVarint(w, 48)
  }
  if (m.filters !== undefined && m.filters.length > 0) {
    const before = written(w)
    for (let i = m.filters.length - 1; i >= 0; i--) {
      putNumber(w, m.filters[i] as number)
    }
    putLength(w, before)
    putVarint(w, 42)
  }
  if (m.progressNotify) {
    putVarint(w, m.progressNotify ? 1 : 0)
    putVarint(w, 32)
  }
  if (m.startRevision) {
    putNumber(w, m.startRevision)
    putVarint(w, 24)
  }
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 18)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 10)
  }
}

export function readWatchCreateRequest(r: Reader): WatchCreateRequest {
  const filters: number[] = []
  const m: Draft<WatchCreateRequest> = { key: EMPTY, rangeEnd: EMPTY, startRevision: 0, progressNotify: false, filters, prevKv: false, watchId: 0, fragment: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.key = takeBytes(r)
        break
      case 18:
        m.rangeEnd = takeBytes(r)
        break
      case 24:
        m.startRevision = takeInt64(r)
        break
      case 32:
        m.progressNotify = takeBool(r)
        break
      case 40:
        filters.push(takeInt32(r))
        break
      case 42:
        takePacked(r, filters, takeInt32)
        break
      case 48:
        m.prevKv = takeBool(r)
        break
      case 56:
        m.watchId = takeInt64(r)
        break
      case 64:
        m.fragment = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeWatchCreateRequest(value: Init<WatchCreateRequest>): Buffer {
  return encode(writeWatchCreateRequest, value)
}

export function decodeWatchCreateRequest(bytes: Uint8Array): WatchCreateRequest {
  return decode(readWatchCreateRequest, bytes)
}

export type WatchCancelRequest = {
  readonly watchId: number
}

export function writeWatchCancelRequest(w: Writer, m: Init<WatchCancelRequest>): void {
  if (m.watchId) {
    putNumber(w, m.watchId)
    putVarint(w, 8)
  }
}

export function readWatchCancelRequest(r: Reader): WatchCancelRequest {
  const m: Draft<WatchCancelRequest> = { watchId: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.watchId = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeWatchCancelRequest(value: Init<WatchCancelRequest>): Buffer {
  return encode(writeWatchCancelRequest, value)
}

export function decodeWatchCancelRequest(bytes: Uint8Array): WatchCancelRequest {
  return decode(readWatchCancelRequest, bytes)
}

export type WatchProgressRequest = Readonly<Record<string, never>>

export function writeWatchProgressRequest(_w: Writer, _m: Init<WatchProgressRequest>): void {}

export function readWatchProgressRequest(r: Reader): WatchProgressRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeWatchProgressRequest(value: Init<WatchProgressRequest>): Buffer {
  return encode(writeWatchProgressRequest, value)
}

export function decodeWatchProgressRequest(bytes: Uint8Array): WatchProgressRequest {
  return decode(readWatchProgressRequest, bytes)
}

export type WatchResponse = {
  readonly header?: ResponseHeader
  /** -1 speaks for the whole stream. */
  readonly watchId: number
  readonly created: boolean
  readonly canceled: boolean
  /** Set when a watch ends because its revisions are gone: the oldest that is left. */
  readonly compactRevision: number
  readonly cancelReason: string
  /** More parts of this answer follow. */
  readonly fragment: boolean
  readonly events: readonly Event[]
}

export function writeWatchResponse(w: Writer, m: Init<WatchResponse>): void {
  if (m.events !== undefined) {
    for (let i = m.events.length - 1; i >= 0; i--) {
      const before = written(w)
      writeEvent(w, m.events[i] as Init<Event>)
      putLength(w, before)
      putVarint(w, 90)
    }
  }
  if (m.fragment) {
    putVarint(w, m.fragment ? 1 : 0)
    putVarint(w, 56)
  }
  if (m.cancelReason) {
    putString(w, m.cancelReason)
    putVarint(w, 50)
  }
  if (m.compactRevision) {
    putNumber(w, m.compactRevision)
    putVarint(w, 40)
  }
  if (m.canceled) {
    putVarint(w, m.canceled ? 1 : 0)
    putVarint(w, 32)
  }
  if (m.created) {
    putVarint(w, m.created ? 1 : 0)
    putVarint(w, 24)
  }
  if (m.watchId) {
    putNumber(w, m.watchId)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readWatchResponse(r: Reader): WatchResponse {
  const events: Event[] = []
  const m: Draft<WatchResponse> = { watchId: 0, created: false, canceled: false, compactRevision: 0, cancelReason: '', fragment: false, events }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.watchId = takeInt64(r)
        break
      case 24:
        m.created = takeBool(r)
        break
      case 32:
        m.canceled = takeBool(r)
        break
      case 40:
        m.compactRevision = takeInt64(r)
        break
      case 50:
        m.cancelReason = takeString(r)
        break
      case 56:
        m.fragment = takeBool(r)
        break
      case 90:
        events.push(takeNested(r, readEvent))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeWatchResponse(value: Init<WatchResponse>): Buffer {
  return encode(writeWatchResponse, value)
}

export function decodeWatchResponse(bytes: Uint8Array): WatchResponse {
  return decode(readWatchResponse, bytes)
}

export type LeaseGrantRequest = {
  /** Seconds. */
  readonly ttl: number
  /** 0 lets the server choose. */
  readonly id: bigint
}

export function writeLeaseGrantRequest(w: Writer, m: Init<LeaseGrantRequest>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 16)
  }
  if (m.ttl) {
    putNumber(w, m.ttl)
    putVarint(w, 8)
  }
}

export function readLeaseGrantRequest(r: Reader): LeaseGrantRequest {
  const m: Draft<LeaseGrantRequest> = { ttl: 0, id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.ttl = takeInt64(r)
        break
      case 16:
        m.id = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseGrantRequest(value: Init<LeaseGrantRequest>): Buffer {
  return encode(writeLeaseGrantRequest, value)
}

export function decodeLeaseGrantRequest(bytes: Uint8Array): LeaseGrantRequest {
  return decode(readLeaseGrantRequest, bytes)
}

export type LeaseGrantResponse = {
  readonly header?: ResponseHeader
  readonly id: bigint
  readonly ttl: number
  readonly error: string
}

export function writeLeaseGrantResponse(w: Writer, m: Init<LeaseGrantResponse>): void {
  if (m.error) {
    putString(w, m.error)
    putVarint(w, 34)
  }
  if (m.ttl) {
    putNumber(w, m.ttl)
    putVarint(w, 24)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readLeaseGrantResponse(r: Reader): LeaseGrantResponse {
  const m: Draft<LeaseGrantResponse> = { id: 0n, ttl: 0, error: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.id = takeBigInt64(r)
        break
      case 24:
        m.ttl = takeInt64(r)
        break
      case 34:
        m.error = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseGrantResponse(value: Init<LeaseGrantResponse>): Buffer {
  return encode(writeLeaseGrantResponse, value)
}

export function decodeLeaseGrantResponse(bytes: Uint8Array): LeaseGrantResponse {
  return decode(readLeaseGrantResponse, bytes)
}

export type LeaseRevokeRequest = {
  readonly id: bigint
}

export function writeLeaseRevokeRequest(w: Writer, m: Init<LeaseRevokeRequest>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseRevokeRequest(r: Reader): LeaseRevokeRequest {
  const m: Draft<LeaseRevokeRequest> = { id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseRevokeRequest(value: Init<LeaseRevokeRequest>): Buffer {
  return encode(writeLeaseRevokeRequest, value)
}

export function decodeLeaseRevokeRequest(bytes: Uint8Array): LeaseRevokeRequest {
  return decode(readLeaseRevokeRequest, bytes)
}

export type LeaseRevokeResponse = {
  readonly header?: ResponseHeader
}

export function writeLeaseRevokeResponse(w: Writer, m: Init<LeaseRevokeResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readLeaseRevokeResponse(r: Reader): LeaseRevokeResponse {
  const m: Draft<LeaseRevokeResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseRevokeResponse(value: Init<LeaseRevokeResponse>): Buffer {
  return encode(writeLeaseRevokeResponse, value)
}

export function decodeLeaseRevokeResponse(bytes: Uint8Array): LeaseRevokeResponse {
  return decode(readLeaseRevokeResponse, bytes)
}

export type LeaseKeepAliveRequest = {
  readonly id: bigint
}

export function writeLeaseKeepAliveRequest(w: Writer, m: Init<LeaseKeepAliveRequest>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseKeepAliveRequest(r: Reader): LeaseKeepAliveRequest {
  const m: Draft<LeaseKeepAliveRequest> = { id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseKeepAliveRequest(value: Init<LeaseKeepAliveRequest>): Buffer {
  return encode(writeLeaseKeepAliveRequest, value)
}

export function decodeLeaseKeepAliveRequest(bytes: Uint8Array): LeaseKeepAliveRequest {
  return decode(readLeaseKeepAliveRequest, bytes)
}

export type LeaseKeepAliveResponse = {
  readonly header?: ResponseHeader
  readonly id: bigint
  /** 0: there is no such lease any more. */
  readonly ttl: number
}

export function writeLeaseKeepAliveResponse(w: Writer, m: Init<LeaseKeepAliveResponse>): void {
  if (m.ttl) {
    putNumber(w, m.ttl)
    putVarint(w, 24)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readLeaseKeepAliveResponse(r: Reader): LeaseKeepAliveResponse {
  const m: Draft<LeaseKeepAliveResponse> = { id: 0n, ttl: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.id = takeBigInt64(r)
        break
      case 24:
        m.ttl = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseKeepAliveResponse(value: Init<LeaseKeepAliveResponse>): Buffer {
  return encode(writeLeaseKeepAliveResponse, value)
}

export function decodeLeaseKeepAliveResponse(bytes: Uint8Array): LeaseKeepAliveResponse {
  return decode(readLeaseKeepAliveResponse, bytes)
}

export type LeaseTimeToLiveRequest = {
  readonly id: bigint
  /** Name the keys that live by it. */
  readonly keys: boolean
}

export function writeLeaseTimeToLiveRequest(w: Writer, m: Init<LeaseTimeToLiveRequest>): void {
  if (m.keys) {
    putVarint(w, m.keys ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseTimeToLiveRequest(r: Reader): LeaseTimeToLiveRequest {
  const m: Draft<LeaseTimeToLiveRequest> = { id: 0n, keys: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigInt64(r)
        break
      case 16:
        m.keys = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseTimeToLiveRequest(value: Init<LeaseTimeToLiveRequest>): Buffer {
  return encode(writeLeaseTimeToLiveRequest, value)
}

export function decodeLeaseTimeToLiveRequest(bytes: Uint8Array): LeaseTimeToLiveRequest {
  return decode(readLeaseTimeToLiveRequest, bytes)
}

export type LeaseTimeToLiveResponse = {
  readonly header?: ResponseHeader
  readonly id: bigint
  /** Whole seconds that remain; -1: there is no such lease. */
  readonly ttl: number
  readonly grantedTtl: number
  readonly keys: readonly Uint8Array[]
}

export function writeLeaseTimeToLiveResponse(w: Writer, m: Init<LeaseTimeToLiveResponse>): void {
  if (m.keys !== undefined) {
    for (let i = m.keys.length - 1; i >= 0; i--) {
      putBytes(w, m.keys[i] as Uint8Array)
      putVarint(w, 42)
    }
  }
  if (m.grantedTtl) {
    putNumber(w, m.grantedTtl)
    putVarint(w, 32)
  }
  if (m.ttl) {
    putNumber(w, m.ttl)
    putVarint(w, 24)
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readLeaseTimeToLiveResponse(r: Reader): LeaseTimeToLiveResponse {
  const keys: Uint8Array[] = []
  const m: Draft<LeaseTimeToLiveResponse> = { id: 0n, ttl: 0, grantedTtl: 0, keys }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.id = takeBigInt64(r)
        break
      case 24:
        m.ttl = takeInt64(r)
        break
      case 32:
        m.grantedTtl = takeInt64(r)
        break
      case 42:
        keys.push(takeBytes(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseTimeToLiveResponse(value: Init<LeaseTimeToLiveResponse>): Buffer {
  return encode(writeLeaseTimeToLiveResponse, value)
}

export function decodeLeaseTimeToLiveResponse(bytes: Uint8Array): LeaseTimeToLiveResponse {
  return decode(readLeaseTimeToLiveResponse, bytes)
}

export type LeaseLeasesRequest = Readonly<Record<string, never>>

export function writeLeaseLeasesRequest(_w: Writer, _m: Init<LeaseLeasesRequest>): void {}

export function readLeaseLeasesRequest(r: Reader): LeaseLeasesRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeLeaseLeasesRequest(value: Init<LeaseLeasesRequest>): Buffer {
  return encode(writeLeaseLeasesRequest, value)
}

export function decodeLeaseLeasesRequest(bytes: Uint8Array): LeaseLeasesRequest {
  return decode(readLeaseLeasesRequest, bytes)
}

export type LeaseStatus = {
  readonly id: bigint
}

export function writeLeaseStatus(w: Writer, m: Init<LeaseStatus>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readLeaseStatus(r: Reader): LeaseStatus {
  const m: Draft<LeaseStatus> = { id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseStatus(value: Init<LeaseStatus>): Buffer {
  return encode(writeLeaseStatus, value)
}

export function decodeLeaseStatus(bytes: Uint8Array): LeaseStatus {
  return decode(readLeaseStatus, bytes)
}

export type LeaseLeasesResponse = {
  readonly header?: ResponseHeader
  readonly leases: readonly LeaseStatus[]
}

export function writeLeaseLeasesResponse(w: Writer, m: Init<LeaseLeasesResponse>): void {
  if (m.leases !== undefined) {
    for (let i = m.leases.length - 1; i >= 0; i--) {
      const before = written(w)
      writeLeaseStatus(w, m.leases[i] as Init<LeaseStatus>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readLeaseLeasesResponse(r: Reader): LeaseLeasesResponse {
  const leases: LeaseStatus[] = []
  const m: Draft<LeaseLeasesResponse> = { leases }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        leases.push(takeNested(r, readLeaseStatus))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeLeaseLeasesResponse(value: Init<LeaseLeasesResponse>): Buffer {
  return encode(writeLeaseLeasesResponse, value)
}

export function decodeLeaseLeasesResponse(bytes: Uint8Array): LeaseLeasesResponse {
  return decode(readLeaseLeasesResponse, bytes)
}

export type Member = {
  readonly id: bigint
  /** Empty until the member has started for the first time. */
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

export function writeMember(w: Writer, m: Init<Member>): void {
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

export function readMember(r: Reader): Member {
  const peerUrls: string[] = []
  const clientUrls: string[] = []
  const m: Draft<Member> = { id: 0n, name: '', peerUrls, clientUrls, isLearner: false }
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
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMember(value: Init<Member>): Buffer {
  return encode(writeMember, value)
}

export function decodeMember(bytes: Uint8Array): Member {
  return decode(readMember, bytes)
}

export type MemberAddRequest = {
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
  /** Not in etcd: the voter whose place the learner takes, in one change, once it has caught up. */
  readonly replaces: bigint
}

export function writeMemberAddRequest(w: Writer, m: Init<MemberAddRequest>): void {
  if (m.replaces) {
    putBigint(w, m.replaces)
    putVarint(w, 61608)
  }
  if (m.isLearner) {
    putVarint(w, m.isLearner ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.peerUrls !== undefined) {
    for (let i = m.peerUrls.length - 1; i >= 0; i--) {
      putString(w, m.peerUrls[i] as string)
      putVarint(w, 10)
    }
  }
}

export function readMemberAddRequest(r: Reader): MemberAddRequest {
  const peerUrls: string[] = []
  const m: Draft<MemberAddRequest> = { peerUrls, isLearner: false, replaces: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        peerUrls.push(takeString(r))
        break
      case 16:
        m.isLearner = takeBool(r)
        break
      case 61608:
        m.replaces = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberAddRequest(value: Init<MemberAddRequest>): Buffer {
  return encode(writeMemberAddRequest, value)
}

export function decodeMemberAddRequest(bytes: Uint8Array): MemberAddRequest {
  return decode(readMemberAddRequest, bytes)
}

export type MemberAddResponse = {
  readonly header?: ResponseHeader
  readonly member?: Member
  readonly members: readonly Member[]
}

export function writeMemberAddResponse(w: Writer, m: Init<MemberAddResponse>): void {
  if (m.members !== undefined) {
    for (let i = m.members.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMember(w, m.members[i] as Init<Member>)
      putLength(w, before)
      putVarint(w, 26)
    }
  }
  if (m.member !== undefined) {
    const before = written(w)
    writeMember(w, m.member)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMemberAddResponse(r: Reader): MemberAddResponse {
  const members: Member[] = []
  const m: Draft<MemberAddResponse> = { members }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        m.member = takeNested(r, readMember)
        break
      case 26:
        members.push(takeNested(r, readMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberAddResponse(value: Init<MemberAddResponse>): Buffer {
  return encode(writeMemberAddResponse, value)
}

export function decodeMemberAddResponse(bytes: Uint8Array): MemberAddResponse {
  return decode(readMemberAddResponse, bytes)
}

export type MemberRemoveRequest = {
  readonly id: bigint
}

export function writeMemberRemoveRequest(w: Writer, m: Init<MemberRemoveRequest>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberRemoveRequest(r: Reader): MemberRemoveRequest {
  const m: Draft<MemberRemoveRequest> = { id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberRemoveRequest(value: Init<MemberRemoveRequest>): Buffer {
  return encode(writeMemberRemoveRequest, value)
}

export function decodeMemberRemoveRequest(bytes: Uint8Array): MemberRemoveRequest {
  return decode(readMemberRemoveRequest, bytes)
}

export type MemberRemoveResponse = {
  readonly header?: ResponseHeader
  readonly members: readonly Member[]
}

export function writeMemberRemoveResponse(w: Writer, m: Init<MemberRemoveResponse>): void {
  if (m.members !== undefined) {
    for (let i = m.members.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMember(w, m.members[i] as Init<Member>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMemberRemoveResponse(r: Reader): MemberRemoveResponse {
  const members: Member[] = []
  const m: Draft<MemberRemoveResponse> = { members }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        members.push(takeNested(r, readMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberRemoveResponse(value: Init<MemberRemoveResponse>): Buffer {
  return encode(writeMemberRemoveResponse, value)
}

export function decodeMemberRemoveResponse(bytes: Uint8Array): MemberRemoveResponse {
  return decode(readMemberRemoveResponse, bytes)
}

export type MemberUpdateRequest = {
  readonly id: bigint
  readonly peerUrls: readonly string[]
}

export function writeMemberUpdateRequest(w: Writer, m: Init<MemberUpdateRequest>): void {
  if (m.peerUrls !== undefined) {
    for (let i = m.peerUrls.length - 1; i >= 0; i--) {
      putString(w, m.peerUrls[i] as string)
      putVarint(w, 18)
    }
  }
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberUpdateRequest(r: Reader): MemberUpdateRequest {
  const peerUrls: string[] = []
  const m: Draft<MemberUpdateRequest> = { id: 0n, peerUrls }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigUint64(r)
        break
      case 18:
        peerUrls.push(takeString(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberUpdateRequest(value: Init<MemberUpdateRequest>): Buffer {
  return encode(writeMemberUpdateRequest, value)
}

export function decodeMemberUpdateRequest(bytes: Uint8Array): MemberUpdateRequest {
  return decode(readMemberUpdateRequest, bytes)
}

export type MemberUpdateResponse = {
  readonly header?: ResponseHeader
  readonly members: readonly Member[]
}

export function writeMemberUpdateResponse(w: Writer, m: Init<MemberUpdateResponse>): void {
  if (m.members !== undefined) {
    for (let i = m.members.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMember(w, m.members[i] as Init<Member>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMemberUpdateResponse(r: Reader): MemberUpdateResponse {
  const members: Member[] = []
  const m: Draft<MemberUpdateResponse> = { members }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        members.push(takeNested(r, readMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberUpdateResponse(value: Init<MemberUpdateResponse>): Buffer {
  return encode(writeMemberUpdateResponse, value)
}

export function decodeMemberUpdateResponse(bytes: Uint8Array): MemberUpdateResponse {
  return decode(readMemberUpdateResponse, bytes)
}

export type MemberListRequest = {
  readonly linearizable: boolean
}

export function writeMemberListRequest(w: Writer, m: Init<MemberListRequest>): void {
  if (m.linearizable) {
    putVarint(w, m.linearizable ? 1 : 0)
    putVarint(w, 8)
  }
}

export function readMemberListRequest(r: Reader): MemberListRequest {
  const m: Draft<MemberListRequest> = { linearizable: false }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.linearizable = takeBool(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberListRequest(value: Init<MemberListRequest>): Buffer {
  return encode(writeMemberListRequest, value)
}

export function decodeMemberListRequest(bytes: Uint8Array): MemberListRequest {
  return decode(readMemberListRequest, bytes)
}

export type MemberListResponse = {
  readonly header?: ResponseHeader
  readonly members: readonly Member[]
}

export function writeMemberListResponse(w: Writer, m: Init<MemberListResponse>): void {
  if (m.members !== undefined) {
    for (let i = m.members.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMember(w, m.members[i] as Init<Member>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMemberListResponse(r: Reader): MemberListResponse {
  const members: Member[] = []
  const m: Draft<MemberListResponse> = { members }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        members.push(takeNested(r, readMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberListResponse(value: Init<MemberListResponse>): Buffer {
  return encode(writeMemberListResponse, value)
}

export function decodeMemberListResponse(bytes: Uint8Array): MemberListResponse {
  return decode(readMemberListResponse, bytes)
}

export type MemberPromoteRequest = {
  readonly id: bigint
}

export function writeMemberPromoteRequest(w: Writer, m: Init<MemberPromoteRequest>): void {
  if (m.id) {
    putBigint(w, m.id)
    putVarint(w, 8)
  }
}

export function readMemberPromoteRequest(r: Reader): MemberPromoteRequest {
  const m: Draft<MemberPromoteRequest> = { id: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.id = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberPromoteRequest(value: Init<MemberPromoteRequest>): Buffer {
  return encode(writeMemberPromoteRequest, value)
}

export function decodeMemberPromoteRequest(bytes: Uint8Array): MemberPromoteRequest {
  return decode(readMemberPromoteRequest, bytes)
}

export type MemberPromoteResponse = {
  readonly header?: ResponseHeader
  readonly members: readonly Member[]
}

export function writeMemberPromoteResponse(w: Writer, m: Init<MemberPromoteResponse>): void {
  if (m.members !== undefined) {
    for (let i = m.members.length - 1; i >= 0; i--) {
      const before = written(w)
      writeMember(w, m.members[i] as Init<Member>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMemberPromoteResponse(r: Reader): MemberPromoteResponse {
  const members: Member[] = []
  const m: Draft<MemberPromoteResponse> = { members }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        members.push(takeNested(r, readMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMemberPromoteResponse(value: Init<MemberPromoteResponse>): Buffer {
  return encode(writeMemberPromoteResponse, value)
}

export function decodeMemberPromoteResponse(bytes: Uint8Array): MemberPromoteResponse {
  return decode(readMemberPromoteResponse, bytes)
}

export const AlarmType = {
  none: 0,
  nospace: 1,
  corrupt: 2,
} as const

export const AlarmRequestAlarmAction = {
  get: 0,
  activate: 1,
  deactivate: 2,
} as const

export type AlarmRequest = {
  readonly action: number
  /** 0 for every member. */
  readonly memberId: bigint
  readonly alarm: number
}

export function writeAlarmRequest(w: Writer, m: Init<AlarmRequest>): void {
  if (m.alarm) {
    putNumber(w, m.alarm)
    putVarint(w, 24)
  }
  if (m.memberId) {
    putBigint(w, m.memberId)
    putVarint(w, 16)
  }
  if (m.action) {
    putNumber(w, m.action)
    putVarint(w, 8)
  }
}

export function readAlarmRequest(r: Reader): AlarmRequest {
  const m: Draft<AlarmRequest> = { action: 0, memberId: 0n, alarm: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.action = takeInt32(r)
        break
      case 16:
        m.memberId = takeBigUint64(r)
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

export function encodeAlarmRequest(value: Init<AlarmRequest>): Buffer {
  return encode(writeAlarmRequest, value)
}

export function decodeAlarmRequest(bytes: Uint8Array): AlarmRequest {
  return decode(readAlarmRequest, bytes)
}

export type AlarmMember = {
  readonly memberId: bigint
  readonly alarm: number
}

export function writeAlarmMember(w: Writer, m: Init<AlarmMember>): void {
  if (m.alarm) {
    putNumber(w, m.alarm)
    putVarint(w, 16)
  }
  if (m.memberId) {
    putBigint(w, m.memberId)
    putVarint(w, 8)
  }
}

export function readAlarmMember(r: Reader): AlarmMember {
  const m: Draft<AlarmMember> = { memberId: 0n, alarm: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.memberId = takeBigUint64(r)
        break
      case 16:
        m.alarm = takeInt32(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAlarmMember(value: Init<AlarmMember>): Buffer {
  return encode(writeAlarmMember, value)
}

export function decodeAlarmMember(bytes: Uint8Array): AlarmMember {
  return decode(readAlarmMember, bytes)
}

export type AlarmResponse = {
  readonly header?: ResponseHeader
  readonly alarms: readonly AlarmMember[]
}

export function writeAlarmResponse(w: Writer, m: Init<AlarmResponse>): void {
  if (m.alarms !== undefined) {
    for (let i = m.alarms.length - 1; i >= 0; i--) {
      const before = written(w)
      writeAlarmMember(w, m.alarms[i] as Init<AlarmMember>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAlarmResponse(r: Reader): AlarmResponse {
  const alarms: AlarmMember[] = []
  const m: Draft<AlarmResponse> = { alarms }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        alarms.push(takeNested(r, readAlarmMember))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAlarmResponse(value: Init<AlarmResponse>): Buffer {
  return encode(writeAlarmResponse, value)
}

export function decodeAlarmResponse(bytes: Uint8Array): AlarmResponse {
  return decode(readAlarmResponse, bytes)
}

export type StatusRequest = Readonly<Record<string, never>>

export function writeStatusRequest(_w: Writer, _m: Init<StatusRequest>): void {}

export function readStatusRequest(r: Reader): StatusRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeStatusRequest(value: Init<StatusRequest>): Buffer {
  return encode(writeStatusRequest, value)
}

export function decodeStatusRequest(bytes: Uint8Array): StatusRequest {
  return decode(readStatusRequest, bytes)
}

export type DowngradeInfo = {
  readonly enabled: boolean
  readonly targetVersion: string
}

export function writeDowngradeInfo(w: Writer, m: Init<DowngradeInfo>): void {
  if (m.targetVersion) {
    putString(w, m.targetVersion)
    putVarint(w, 18)
  }
  if (m.enabled) {
    putVarint(w, m.enabled ? 1 : 0)
    putVarint(w, 8)
  }
}

export function readDowngradeInfo(r: Reader): DowngradeInfo {
  const m: Draft<DowngradeInfo> = { enabled: false, targetVersion: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.enabled = takeBool(r)
        break
      case 18:
        m.targetVersion = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDowngradeInfo(value: Init<DowngradeInfo>): Buffer {
  return encode(writeDowngradeInfo, value)
}

export function decodeDowngradeInfo(bytes: Uint8Array): DowngradeInfo {
  return decode(readDowngradeInfo, bytes)
}

export type StatusResponse = {
  readonly header?: ResponseHeader
  readonly version: string
  /** Bytes. */
  readonly dbSize: number
  readonly leader: bigint
  readonly raftIndex: number
  readonly raftTerm: number
  readonly raftAppliedIndex: number
  readonly errors: readonly string[]
  /** Bytes that are not free for reuse. */
  readonly dbSizeInUse: number
  readonly isLearner: boolean
  readonly storageVersion: string
  readonly dbSizeQuota: number
  readonly downgradeInfo?: DowngradeInfo
}

export function writeStatusResponse(w: Writer, m: Init<StatusResponse>): void {
  if (m.downgradeInfo !== undefined) {
    const before = written(w)
    writeDowngradeInfo(w, m.downgradeInfo)
    putLength(w, before)
    putVarint(w, 106)
  }
  if (m.dbSizeQuota) {
    putNumber(w, m.dbSizeQuota)
    putVarint(w, 96)
  }
  if (m.storageVersion) {
    putString(w, m.storageVersion)
    putVarint(w, 90)
  }
  if (m.isLearner) {
    putVarint(w, m.isLearner ? 1 : 0)
    putVarint(w, 80)
  }
  if (m.dbSizeInUse) {
    putNumber(w, m.dbSizeInUse)
    putVarint(w, 72)
  }
  if (m.errors !== undefined) {
    for (let i = m.errors.length - 1; i >= 0; i--) {
      putString(w, m.errors[i] as string)
      putVarint(w, 66)
    }
  }
  if (m.raftAppliedIndex) {
    putNumber(w, m.raftAppliedIndex)
    putVarint(w, 56)
  }
  if (m.raftTerm) {
    putNumber(w, m.raftTerm)
    putVarint(w, 48)
  }
  if (m.raftIndex) {
    putNumber(w, m.raftIndex)
    putVarint(w, 40)
  }
  if (m.leader) {
    putBigint(w, m.leader)
    putVarint(w, 32)
  }
  if (m.dbSize) {
    putNumber(w, m.dbSize)
    putVarint(w, 24)
  }
  if (m.version) {
    putString(w, m.version)
    putVarint(w, 18)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readStatusResponse(r: Reader): StatusResponse {
  const errors: string[] = []
  const m: Draft<StatusResponse> = { version: '', dbSize: 0, leader: 0n, raftIndex: 0, raftTerm: 0, raftAppliedIndex: 0, errors, dbSizeInUse: 0, isLearner: false, storageVersion: '', dbSizeQuota: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        m.version = takeString(r)
        break
      case 24:
        m.dbSize = takeInt64(r)
        break
      case 32:
        m.leader = takeBigUint64(r)
        break
      case 40:
        m.raftIndex = takeUint64(r)
        break
      case 48:
        m.raftTerm = takeUint64(r)
        break
      case 56:
        m.raftAppliedIndex = takeUint64(r)
        break
      case 66:
        errors.push(takeString(r))
        break
      case 72:
        m.dbSizeInUse = takeInt64(r)
        break
      case 80:
        m.isLearner = takeBool(r)
        break
      case 90:
        m.storageVersion = takeString(r)
        break
      case 96:
        m.dbSizeQuota = takeInt64(r)
        break
      case 106:
        m.downgradeInfo = takeNested(r, readDowngradeInfo)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeStatusResponse(value: Init<StatusResponse>): Buffer {
  return encode(writeStatusResponse, value)
}

export function decodeStatusResponse(bytes: Uint8Array): StatusResponse {
  return decode(readStatusResponse, bytes)
}

export type DefragmentRequest = Readonly<Record<string, never>>

export function writeDefragmentRequest(_w: Writer, _m: Init<DefragmentRequest>): void {}

export function readDefragmentRequest(r: Reader): DefragmentRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeDefragmentRequest(value: Init<DefragmentRequest>): Buffer {
  return encode(writeDefragmentRequest, value)
}

export function decodeDefragmentRequest(bytes: Uint8Array): DefragmentRequest {
  return decode(readDefragmentRequest, bytes)
}

export type DefragmentResponse = {
  readonly header?: ResponseHeader
}

export function writeDefragmentResponse(w: Writer, m: Init<DefragmentResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readDefragmentResponse(r: Reader): DefragmentResponse {
  const m: Draft<DefragmentResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDefragmentResponse(value: Init<DefragmentResponse>): Buffer {
  return encode(writeDefragmentResponse, value)
}

export function decodeDefragmentResponse(bytes: Uint8Array): DefragmentResponse {
  return decode(readDefragmentResponse, bytes)
}

export type HashRequest = Readonly<Record<string, never>>

export function writeHashRequest(_w: Writer, _m: Init<HashRequest>): void {}

export function readHashRequest(r: Reader): HashRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeHashRequest(value: Init<HashRequest>): Buffer {
  return encode(writeHashRequest, value)
}

export function decodeHashRequest(bytes: Uint8Array): HashRequest {
  return decode(readHashRequest, bytes)
}

export type HashResponse = {
  readonly header?: ResponseHeader
  readonly hash: number
}

export function writeHashResponse(w: Writer, m: Init<HashResponse>): void {
  if (m.hash) {
    putNumber(w, m.hash)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readHashResponse(r: Reader): HashResponse {
  const m: Draft<HashResponse> = { hash: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.hash = takeUint32(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeHashResponse(value: Init<HashResponse>): Buffer {
  return encode(writeHashResponse, value)
}

export function decodeHashResponse(bytes: Uint8Array): HashResponse {
  return decode(readHashResponse, bytes)
}

export type HashKVRequest = {
  /** 0 for now. */
  readonly revision: number
}

export function writeHashKVRequest(w: Writer, m: Init<HashKVRequest>): void {
  if (m.revision) {
    putNumber(w, m.revision)
    putVarint(w, 8)
  }
}

export function readHashKVRequest(r: Reader): HashKVRequest {
  const m: Draft<HashKVRequest> = { revision: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.revision = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeHashKVRequest(value: Init<HashKVRequest>): Buffer {
  return encode(writeHashKVRequest, value)
}

export function decodeHashKVRequest(bytes: Uint8Array): HashKVRequest {
  return decode(readHashKVRequest, bytes)
}

export type HashKVResponse = {
  readonly header?: ResponseHeader
  readonly hash: number
  readonly compactRevision: number
  readonly hashRevision: number
}

export function writeHashKVResponse(w: Writer, m: Init<HashKVResponse>): void {
  if (m.hashRevision) {
    putNumber(w, m.hashRevision)
    putVarint(w, 32)
  }
  if (m.compactRevision) {
    putNumber(w, m.compactRevision)
    putVarint(w, 24)
  }
  if (m.hash) {
    putNumber(w, m.hash)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readHashKVResponse(r: Reader): HashKVResponse {
  const m: Draft<HashKVResponse> = { hash: 0, compactRevision: 0, hashRevision: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.hash = takeUint32(r)
        break
      case 24:
        m.compactRevision = takeInt64(r)
        break
      case 32:
        m.hashRevision = takeInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeHashKVResponse(value: Init<HashKVResponse>): Buffer {
  return encode(writeHashKVResponse, value)
}

export function decodeHashKVResponse(bytes: Uint8Array): HashKVResponse {
  return decode(readHashKVResponse, bytes)
}

export type SnapshotRequest = Readonly<Record<string, never>>

export function writeSnapshotRequest(_w: Writer, _m: Init<SnapshotRequest>): void {}

export function readSnapshotRequest(r: Reader): SnapshotRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeSnapshotRequest(value: Init<SnapshotRequest>): Buffer {
  return encode(writeSnapshotRequest, value)
}

export function decodeSnapshotRequest(bytes: Uint8Array): SnapshotRequest {
  return decode(readSnapshotRequest, bytes)
}

export type SnapshotResponse = {
  readonly header?: ResponseHeader
  /** What is still to come after this part. */
  readonly remainingBytes: number
  readonly blob: Uint8Array
  readonly version: string
}

export function writeSnapshotResponse(w: Writer, m: Init<SnapshotResponse>): void {
  if (m.version) {
    putString(w, m.version)
    putVarint(w, 34)
  }
  if (m.blob !== undefined && m.blob.length > 0) {
    putBytes(w, m.blob)
    putVarint(w, 26)
  }
  if (m.remainingBytes) {
    putNumber(w, m.remainingBytes)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readSnapshotResponse(r: Reader): SnapshotResponse {
  const m: Draft<SnapshotResponse> = { remainingBytes: 0, blob: EMPTY, version: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.remainingBytes = takeUint64(r)
        break
      case 26:
        m.blob = takeBytes(r)
        break
      case 34:
        m.version = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeSnapshotResponse(value: Init<SnapshotResponse>): Buffer {
  return encode(writeSnapshotResponse, value)
}

export function decodeSnapshotResponse(bytes: Uint8Array): SnapshotResponse {
  return decode(readSnapshotResponse, bytes)
}

export type MoveLeaderRequest = {
  readonly targetId: bigint
}

export function writeMoveLeaderRequest(w: Writer, m: Init<MoveLeaderRequest>): void {
  if (m.targetId) {
    putBigint(w, m.targetId)
    putVarint(w, 8)
  }
}

export function readMoveLeaderRequest(r: Reader): MoveLeaderRequest {
  const m: Draft<MoveLeaderRequest> = { targetId: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.targetId = takeBigUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMoveLeaderRequest(value: Init<MoveLeaderRequest>): Buffer {
  return encode(writeMoveLeaderRequest, value)
}

export function decodeMoveLeaderRequest(bytes: Uint8Array): MoveLeaderRequest {
  return decode(readMoveLeaderRequest, bytes)
}

export type MoveLeaderResponse = {
  readonly header?: ResponseHeader
}

export function writeMoveLeaderResponse(w: Writer, m: Init<MoveLeaderResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readMoveLeaderResponse(r: Reader): MoveLeaderResponse {
  const m: Draft<MoveLeaderResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeMoveLeaderResponse(value: Init<MoveLeaderResponse>): Buffer {
  return encode(writeMoveLeaderResponse, value)
}

export function decodeMoveLeaderResponse(bytes: Uint8Array): MoveLeaderResponse {
  return decode(readMoveLeaderResponse, bytes)
}

export const DowngradeRequestDowngradeAction = {
  validate: 0,
  enable: 1,
  cancel: 2,
} as const

export type DowngradeRequest = {
  readonly action: number
  readonly version: string
}

export function writeDowngradeRequest(w: Writer, m: Init<DowngradeRequest>): void {
  if (m.version) {
    putString(w, m.version)
    putVarint(w, 18)
  }
  if (m.action) {
    putNumber(w, m.action)
    putVarint(w, 8)
  }
}

export function readDowngradeRequest(r: Reader): DowngradeRequest {
  const m: Draft<DowngradeRequest> = { action: 0, version: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.action = takeInt32(r)
        break
      case 18:
        m.version = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDowngradeRequest(value: Init<DowngradeRequest>): Buffer {
  return encode(writeDowngradeRequest, value)
}

export function decodeDowngradeRequest(bytes: Uint8Array): DowngradeRequest {
  return decode(readDowngradeRequest, bytes)
}

export type DowngradeResponse = {
  readonly header?: ResponseHeader
  readonly version: string
}

export function writeDowngradeResponse(w: Writer, m: Init<DowngradeResponse>): void {
  if (m.version) {
    putString(w, m.version)
    putVarint(w, 18)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readDowngradeResponse(r: Reader): DowngradeResponse {
  const m: Draft<DowngradeResponse> = { version: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        m.version = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeDowngradeResponse(value: Init<DowngradeResponse>): Buffer {
  return encode(writeDowngradeResponse, value)
}

export function decodeDowngradeResponse(bytes: Uint8Array): DowngradeResponse {
  return decode(readDowngradeResponse, bytes)
}

export type AuthEnableRequest = Readonly<Record<string, never>>

export function writeAuthEnableRequest(_w: Writer, _m: Init<AuthEnableRequest>): void {}

export function readAuthEnableRequest(r: Reader): AuthEnableRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeAuthEnableRequest(value: Init<AuthEnableRequest>): Buffer {
  return encode(writeAuthEnableRequest, value)
}

export function decodeAuthEnableRequest(bytes: Uint8Array): AuthEnableRequest {
  return decode(readAuthEnableRequest, bytes)
}

export type AuthEnableResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthEnableResponse(w: Writer, m: Init<AuthEnableResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthEnableResponse(r: Reader): AuthEnableResponse {
  const m: Draft<AuthEnableResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthEnableResponse(value: Init<AuthEnableResponse>): Buffer {
  return encode(writeAuthEnableResponse, value)
}

export function decodeAuthEnableResponse(bytes: Uint8Array): AuthEnableResponse {
  return decode(readAuthEnableResponse, bytes)
}

export type AuthDisableRequest = Readonly<Record<string, never>>

export function writeAuthDisableRequest(_w: Writer, _m: Init<AuthDisableRequest>): void {}

export function readAuthDisableRequest(r: Reader): AuthDisableRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeAuthDisableRequest(value: Init<AuthDisableRequest>): Buffer {
  return encode(writeAuthDisableRequest, value)
}

export function decodeAuthDisableRequest(bytes: Uint8Array): AuthDisableRequest {
  return decode(readAuthDisableRequest, bytes)
}

export type AuthDisableResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthDisableResponse(w: Writer, m: Init<AuthDisableResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthDisableResponse(r: Reader): AuthDisableResponse {
  const m: Draft<AuthDisableResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthDisableResponse(value: Init<AuthDisableResponse>): Buffer {
  return encode(writeAuthDisableResponse, value)
}

export function decodeAuthDisableResponse(bytes: Uint8Array): AuthDisableResponse {
  return decode(readAuthDisableResponse, bytes)
}

export type AuthStatusRequest = Readonly<Record<string, never>>

export function writeAuthStatusRequest(_w: Writer, _m: Init<AuthStatusRequest>): void {}

export function readAuthStatusRequest(r: Reader): AuthStatusRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeAuthStatusRequest(value: Init<AuthStatusRequest>): Buffer {
  return encode(writeAuthStatusRequest, value)
}

export function decodeAuthStatusRequest(bytes: Uint8Array): AuthStatusRequest {
  return decode(readAuthStatusRequest, bytes)
}

export type AuthStatusResponse = {
  readonly header?: ResponseHeader
  readonly enabled: boolean
  readonly authRevision: number
}

export function writeAuthStatusResponse(w: Writer, m: Init<AuthStatusResponse>): void {
  if (m.authRevision) {
    putNumber(w, m.authRevision)
    putVarint(w, 24)
  }
  if (m.enabled) {
    putVarint(w, m.enabled ? 1 : 0)
    putVarint(w, 16)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthStatusResponse(r: Reader): AuthStatusResponse {
  const m: Draft<AuthStatusResponse> = { enabled: false, authRevision: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 16:
        m.enabled = takeBool(r)
        break
      case 24:
        m.authRevision = takeUint64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthStatusResponse(value: Init<AuthStatusResponse>): Buffer {
  return encode(writeAuthStatusResponse, value)
}

export function decodeAuthStatusResponse(bytes: Uint8Array): AuthStatusResponse {
  return decode(readAuthStatusResponse, bytes)
}

export type AuthenticateRequest = {
  readonly name: string
  readonly password: string
}

export function writeAuthenticateRequest(w: Writer, m: Init<AuthenticateRequest>): void {
  if (m.password) {
    putString(w, m.password)
    putVarint(w, 18)
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthenticateRequest(r: Reader): AuthenticateRequest {
  const m: Draft<AuthenticateRequest> = { name: '', password: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      case 18:
        m.password = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthenticateRequest(value: Init<AuthenticateRequest>): Buffer {
  return encode(writeAuthenticateRequest, value)
}

export function decodeAuthenticateRequest(bytes: Uint8Array): AuthenticateRequest {
  return decode(readAuthenticateRequest, bytes)
}

export type AuthenticateResponse = {
  readonly header?: ResponseHeader
  readonly token: string
}

export function writeAuthenticateResponse(w: Writer, m: Init<AuthenticateResponse>): void {
  if (m.token) {
    putString(w, m.token)
    putVarint(w, 18)
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthenticateResponse(r: Reader): AuthenticateResponse {
  const m: Draft<AuthenticateResponse> = { token: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        m.token = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthenticateResponse(value: Init<AuthenticateResponse>): Buffer {
  return encode(writeAuthenticateResponse, value)
}

export function decodeAuthenticateResponse(bytes: Uint8Array): AuthenticateResponse {
  return decode(readAuthenticateResponse, bytes)
}

export type AuthUserAddRequest = {
  readonly name: string
  readonly password: string
  readonly options?: UserAddOptions
  readonly hashedPassword: string
}

export function writeAuthUserAddRequest(w: Writer, m: Init<AuthUserAddRequest>): void {
  if (m.hashedPassword) {
    putString(w, m.hashedPassword)
    putVarint(w, 34)
  }
  if (m.options !== undefined) {
    const before = written(w)
    writeUserAddOptions(w, m.options)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.password) {
    putString(w, m.password)
    putVarint(w, 18)
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthUserAddRequest(r: Reader): AuthUserAddRequest {
  const m: Draft<AuthUserAddRequest> = { name: '', password: '', hashedPassword: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      case 18:
        m.password = takeString(r)
        break
      case 26:
        m.options = takeNested(r, readUserAddOptions)
        break
      case 34:
        m.hashedPassword = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserAddRequest(value: Init<AuthUserAddRequest>): Buffer {
  return encode(writeAuthUserAddRequest, value)
}

export function decodeAuthUserAddRequest(bytes: Uint8Array): AuthUserAddRequest {
  return decode(readAuthUserAddRequest, bytes)
}

export type AuthUserAddResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthUserAddResponse(w: Writer, m: Init<AuthUserAddResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserAddResponse(r: Reader): AuthUserAddResponse {
  const m: Draft<AuthUserAddResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserAddResponse(value: Init<AuthUserAddResponse>): Buffer {
  return encode(writeAuthUserAddResponse, value)
}

export function decodeAuthUserAddResponse(bytes: Uint8Array): AuthUserAddResponse {
  return decode(readAuthUserAddResponse, bytes)
}

export type AuthUserGetRequest = {
  readonly name: string
}

export function writeAuthUserGetRequest(w: Writer, m: Init<AuthUserGetRequest>): void {
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthUserGetRequest(r: Reader): AuthUserGetRequest {
  const m: Draft<AuthUserGetRequest> = { name: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserGetRequest(value: Init<AuthUserGetRequest>): Buffer {
  return encode(writeAuthUserGetRequest, value)
}

export function decodeAuthUserGetRequest(bytes: Uint8Array): AuthUserGetRequest {
  return decode(readAuthUserGetRequest, bytes)
}

export type AuthUserGetResponse = {
  readonly header?: ResponseHeader
  readonly roles: readonly string[]
}

export function writeAuthUserGetResponse(w: Writer, m: Init<AuthUserGetResponse>): void {
  if (m.roles !== undefined) {
    for (let i = m.roles.length - 1; i >= 0; i--) {
      putString(w, m.roles[i] as string)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserGetResponse(r: Reader): AuthUserGetResponse {
  const roles: string[] = []
  const m: Draft<AuthUserGetResponse> = { roles }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        roles.push(takeString(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserGetResponse(value: Init<AuthUserGetResponse>): Buffer {
  return encode(writeAuthUserGetResponse, value)
}

export function decodeAuthUserGetResponse(bytes: Uint8Array): AuthUserGetResponse {
  return decode(readAuthUserGetResponse, bytes)
}

export type AuthUserListRequest = Readonly<Record<string, never>>

export function writeAuthUserListRequest(_w: Writer, _m: Init<AuthUserListRequest>): void {}

export function readAuthUserListRequest(r: Reader): AuthUserListRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeAuthUserListRequest(value: Init<AuthUserListRequest>): Buffer {
  return encode(writeAuthUserListRequest, value)
}

export function decodeAuthUserListRequest(bytes: Uint8Array): AuthUserListRequest {
  return decode(readAuthUserListRequest, bytes)
}

export type AuthUserListResponse = {
  readonly header?: ResponseHeader
  readonly users: readonly string[]
}

export function writeAuthUserListResponse(w: Writer, m: Init<AuthUserListResponse>): void {
  if (m.users !== undefined) {
    for (let i = m.users.length - 1; i >= 0; i--) {
      putString(w, m.users[i] as string)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserListResponse(r: Reader): AuthUserListResponse {
  const users: string[] = []
  const m: Draft<AuthUserListResponse> = { users }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        users.push(takeString(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserListResponse(value: Init<AuthUserListResponse>): Buffer {
  return encode(writeAuthUserListResponse, value)
}

export function decodeAuthUserListResponse(bytes: Uint8Array): AuthUserListResponse {
  return decode(readAuthUserListResponse, bytes)
}

export type AuthUserDeleteRequest = {
  readonly name: string
}

export function writeAuthUserDeleteRequest(w: Writer, m: Init<AuthUserDeleteRequest>): void {
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthUserDeleteRequest(r: Reader): AuthUserDeleteRequest {
  const m: Draft<AuthUserDeleteRequest> = { name: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserDeleteRequest(value: Init<AuthUserDeleteRequest>): Buffer {
  return encode(writeAuthUserDeleteRequest, value)
}

export function decodeAuthUserDeleteRequest(bytes: Uint8Array): AuthUserDeleteRequest {
  return decode(readAuthUserDeleteRequest, bytes)
}

export type AuthUserDeleteResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthUserDeleteResponse(w: Writer, m: Init<AuthUserDeleteResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserDeleteResponse(r: Reader): AuthUserDeleteResponse {
  const m: Draft<AuthUserDeleteResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserDeleteResponse(value: Init<AuthUserDeleteResponse>): Buffer {
  return encode(writeAuthUserDeleteResponse, value)
}

export function decodeAuthUserDeleteResponse(bytes: Uint8Array): AuthUserDeleteResponse {
  return decode(readAuthUserDeleteResponse, bytes)
}

export type AuthUserChangePasswordRequest = {
  readonly name: string
  readonly password: string
  readonly hashedPassword: string
}

export function writeAuthUserChangePasswordRequest(w: Writer, m: Init<AuthUserChangePasswordRequest>): void {
  if (m.hashedPassword) {
    putString(w, m.hashedPassword)
    putVarint(w, 26)
  }
  if (m.password) {
    putString(w, m.password)
    putVarint(w, 18)
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthUserChangePasswordRequest(r: Reader): AuthUserChangePasswordRequest {
  const m: Draft<AuthUserChangePasswordRequest> = { name: '', password: '', hashedPassword: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      case 18:
        m.password = takeString(r)
        break
      case 26:
        m.hashedPassword = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserChangePasswordRequest(value: Init<AuthUserChangePasswordRequest>): Buffer {
  return encode(writeAuthUserChangePasswordRequest, value)
}

export function decodeAuthUserChangePasswordRequest(bytes: Uint8Array): AuthUserChangePasswordRequest {
  return decode(readAuthUserChangePasswordRequest, bytes)
}

export type AuthUserChangePasswordResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthUserChangePasswordResponse(w: Writer, m: Init<AuthUserChangePasswordResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserChangePasswordResponse(r: Reader): AuthUserChangePasswordResponse {
  const m: Draft<AuthUserChangePasswordResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserChangePasswordResponse(value: Init<AuthUserChangePasswordResponse>): Buffer {
  return encode(writeAuthUserChangePasswordResponse, value)
}

export function decodeAuthUserChangePasswordResponse(bytes: Uint8Array): AuthUserChangePasswordResponse {
  return decode(readAuthUserChangePasswordResponse, bytes)
}

export type AuthUserGrantRoleRequest = {
  readonly user: string
  readonly role: string
}

export function writeAuthUserGrantRoleRequest(w: Writer, m: Init<AuthUserGrantRoleRequest>): void {
  if (m.role) {
    putString(w, m.role)
    putVarint(w, 18)
  }
  if (m.user) {
    putString(w, m.user)
    putVarint(w, 10)
  }
}

export function readAuthUserGrantRoleRequest(r: Reader): AuthUserGrantRoleRequest {
  const m: Draft<AuthUserGrantRoleRequest> = { user: '', role: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.user = takeString(r)
        break
      case 18:
        m.role = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserGrantRoleRequest(value: Init<AuthUserGrantRoleRequest>): Buffer {
  return encode(writeAuthUserGrantRoleRequest, value)
}

export function decodeAuthUserGrantRoleRequest(bytes: Uint8Array): AuthUserGrantRoleRequest {
  return decode(readAuthUserGrantRoleRequest, bytes)
}

export type AuthUserGrantRoleResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthUserGrantRoleResponse(w: Writer, m: Init<AuthUserGrantRoleResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserGrantRoleResponse(r: Reader): AuthUserGrantRoleResponse {
  const m: Draft<AuthUserGrantRoleResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserGrantRoleResponse(value: Init<AuthUserGrantRoleResponse>): Buffer {
  return encode(writeAuthUserGrantRoleResponse, value)
}

export function decodeAuthUserGrantRoleResponse(bytes: Uint8Array): AuthUserGrantRoleResponse {
  return decode(readAuthUserGrantRoleResponse, bytes)
}

export type AuthUserRevokeRoleRequest = {
  readonly name: string
  readonly role: string
}

export function writeAuthUserRevokeRoleRequest(w: Writer, m: Init<AuthUserRevokeRoleRequest>): void {
  if (m.role) {
    putString(w, m.role)
    putVarint(w, 18)
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthUserRevokeRoleRequest(r: Reader): AuthUserRevokeRoleRequest {
  const m: Draft<AuthUserRevokeRoleRequest> = { name: '', role: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      case 18:
        m.role = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserRevokeRoleRequest(value: Init<AuthUserRevokeRoleRequest>): Buffer {
  return encode(writeAuthUserRevokeRoleRequest, value)
}

export function decodeAuthUserRevokeRoleRequest(bytes: Uint8Array): AuthUserRevokeRoleRequest {
  return decode(readAuthUserRevokeRoleRequest, bytes)
}

export type AuthUserRevokeRoleResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthUserRevokeRoleResponse(w: Writer, m: Init<AuthUserRevokeRoleResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthUserRevokeRoleResponse(r: Reader): AuthUserRevokeRoleResponse {
  const m: Draft<AuthUserRevokeRoleResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthUserRevokeRoleResponse(value: Init<AuthUserRevokeRoleResponse>): Buffer {
  return encode(writeAuthUserRevokeRoleResponse, value)
}

export function decodeAuthUserRevokeRoleResponse(bytes: Uint8Array): AuthUserRevokeRoleResponse {
  return decode(readAuthUserRevokeRoleResponse, bytes)
}

export type AuthRoleAddRequest = {
  readonly name: string
}

export function writeAuthRoleAddRequest(w: Writer, m: Init<AuthRoleAddRequest>): void {
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthRoleAddRequest(r: Reader): AuthRoleAddRequest {
  const m: Draft<AuthRoleAddRequest> = { name: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleAddRequest(value: Init<AuthRoleAddRequest>): Buffer {
  return encode(writeAuthRoleAddRequest, value)
}

export function decodeAuthRoleAddRequest(bytes: Uint8Array): AuthRoleAddRequest {
  return decode(readAuthRoleAddRequest, bytes)
}

export type AuthRoleAddResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthRoleAddResponse(w: Writer, m: Init<AuthRoleAddResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleAddResponse(r: Reader): AuthRoleAddResponse {
  const m: Draft<AuthRoleAddResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleAddResponse(value: Init<AuthRoleAddResponse>): Buffer {
  return encode(writeAuthRoleAddResponse, value)
}

export function decodeAuthRoleAddResponse(bytes: Uint8Array): AuthRoleAddResponse {
  return decode(readAuthRoleAddResponse, bytes)
}

export type AuthRoleGetRequest = {
  readonly role: string
}

export function writeAuthRoleGetRequest(w: Writer, m: Init<AuthRoleGetRequest>): void {
  if (m.role) {
    putString(w, m.role)
    putVarint(w, 10)
  }
}

export function readAuthRoleGetRequest(r: Reader): AuthRoleGetRequest {
  const m: Draft<AuthRoleGetRequest> = { role: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.role = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleGetRequest(value: Init<AuthRoleGetRequest>): Buffer {
  return encode(writeAuthRoleGetRequest, value)
}

export function decodeAuthRoleGetRequest(bytes: Uint8Array): AuthRoleGetRequest {
  return decode(readAuthRoleGetRequest, bytes)
}

export type AuthRoleGetResponse = {
  readonly header?: ResponseHeader
  readonly perm: readonly Permission[]
}

export function writeAuthRoleGetResponse(w: Writer, m: Init<AuthRoleGetResponse>): void {
  if (m.perm !== undefined) {
    for (let i = m.perm.length - 1; i >= 0; i--) {
      const before = written(w)
      writePermission(w, m.perm[i] as Init<Permission>)
      putLength(w, before)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleGetResponse(r: Reader): AuthRoleGetResponse {
  const perm: Permission[] = []
  const m: Draft<AuthRoleGetResponse> = { perm }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        perm.push(takeNested(r, readPermission))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleGetResponse(value: Init<AuthRoleGetResponse>): Buffer {
  return encode(writeAuthRoleGetResponse, value)
}

export function decodeAuthRoleGetResponse(bytes: Uint8Array): AuthRoleGetResponse {
  return decode(readAuthRoleGetResponse, bytes)
}

export type AuthRoleListRequest = Readonly<Record<string, never>>

export function writeAuthRoleListRequest(_w: Writer, _m: Init<AuthRoleListRequest>): void {}

export function readAuthRoleListRequest(r: Reader): AuthRoleListRequest {
  while (r.at < r.end) skip(r, takeVarint(r))
  return {}
}

export function encodeAuthRoleListRequest(value: Init<AuthRoleListRequest>): Buffer {
  return encode(writeAuthRoleListRequest, value)
}

export function decodeAuthRoleListRequest(bytes: Uint8Array): AuthRoleListRequest {
  return decode(readAuthRoleListRequest, bytes)
}

export type AuthRoleListResponse = {
  readonly header?: ResponseHeader
  readonly roles: readonly string[]
}

export function writeAuthRoleListResponse(w: Writer, m: Init<AuthRoleListResponse>): void {
  if (m.roles !== undefined) {
    for (let i = m.roles.length - 1; i >= 0; i--) {
      putString(w, m.roles[i] as string)
      putVarint(w, 18)
    }
  }
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleListResponse(r: Reader): AuthRoleListResponse {
  const roles: string[] = []
  const m: Draft<AuthRoleListResponse> = { roles }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      case 18:
        roles.push(takeString(r))
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleListResponse(value: Init<AuthRoleListResponse>): Buffer {
  return encode(writeAuthRoleListResponse, value)
}

export function decodeAuthRoleListResponse(bytes: Uint8Array): AuthRoleListResponse {
  return decode(readAuthRoleListResponse, bytes)
}

export type AuthRoleDeleteRequest = {
  readonly role: string
}

export function writeAuthRoleDeleteRequest(w: Writer, m: Init<AuthRoleDeleteRequest>): void {
  if (m.role) {
    putString(w, m.role)
    putVarint(w, 10)
  }
}

export function readAuthRoleDeleteRequest(r: Reader): AuthRoleDeleteRequest {
  const m: Draft<AuthRoleDeleteRequest> = { role: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.role = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleDeleteRequest(value: Init<AuthRoleDeleteRequest>): Buffer {
  return encode(writeAuthRoleDeleteRequest, value)
}

export function decodeAuthRoleDeleteRequest(bytes: Uint8Array): AuthRoleDeleteRequest {
  return decode(readAuthRoleDeleteRequest, bytes)
}

export type AuthRoleDeleteResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthRoleDeleteResponse(w: Writer, m: Init<AuthRoleDeleteResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleDeleteResponse(r: Reader): AuthRoleDeleteResponse {
  const m: Draft<AuthRoleDeleteResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleDeleteResponse(value: Init<AuthRoleDeleteResponse>): Buffer {
  return encode(writeAuthRoleDeleteResponse, value)
}

export function decodeAuthRoleDeleteResponse(bytes: Uint8Array): AuthRoleDeleteResponse {
  return decode(readAuthRoleDeleteResponse, bytes)
}

export type AuthRoleGrantPermissionRequest = {
  readonly name: string
  readonly perm?: Permission
}

export function writeAuthRoleGrantPermissionRequest(w: Writer, m: Init<AuthRoleGrantPermissionRequest>): void {
  if (m.perm !== undefined) {
    const before = written(w)
    writePermission(w, m.perm)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.name) {
    putString(w, m.name)
    putVarint(w, 10)
  }
}

export function readAuthRoleGrantPermissionRequest(r: Reader): AuthRoleGrantPermissionRequest {
  const m: Draft<AuthRoleGrantPermissionRequest> = { name: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.name = takeString(r)
        break
      case 18:
        m.perm = takeNested(r, readPermission)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleGrantPermissionRequest(value: Init<AuthRoleGrantPermissionRequest>): Buffer {
  return encode(writeAuthRoleGrantPermissionRequest, value)
}

export function decodeAuthRoleGrantPermissionRequest(bytes: Uint8Array): AuthRoleGrantPermissionRequest {
  return decode(readAuthRoleGrantPermissionRequest, bytes)
}

export type AuthRoleGrantPermissionResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthRoleGrantPermissionResponse(w: Writer, m: Init<AuthRoleGrantPermissionResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleGrantPermissionResponse(r: Reader): AuthRoleGrantPermissionResponse {
  const m: Draft<AuthRoleGrantPermissionResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleGrantPermissionResponse(value: Init<AuthRoleGrantPermissionResponse>): Buffer {
  return encode(writeAuthRoleGrantPermissionResponse, value)
}

export function decodeAuthRoleGrantPermissionResponse(bytes: Uint8Array): AuthRoleGrantPermissionResponse {
  return decode(readAuthRoleGrantPermissionResponse, bytes)
}

export type AuthRoleRevokePermissionRequest = {
  readonly role: string
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
}

export function writeAuthRoleRevokePermissionRequest(w: Writer, m: Init<AuthRoleRevokePermissionRequest>): void {
  if (m.rangeEnd !== undefined && m.rangeEnd.length > 0) {
    putBytes(w, m.rangeEnd)
    putVarint(w, 26)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 18)
  }
  if (m.role) {
    putString(w, m.role)
    putVarint(w, 10)
  }
}

export function readAuthRoleRevokePermissionRequest(r: Reader): AuthRoleRevokePermissionRequest {
  const m: Draft<AuthRoleRevokePermissionRequest> = { role: '', key: EMPTY, rangeEnd: EMPTY }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.role = takeString(r)
        break
      case 18:
        m.key = takeBytes(r)
        break
      case 26:
        m.rangeEnd = takeBytes(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleRevokePermissionRequest(value: Init<AuthRoleRevokePermissionRequest>): Buffer {
  return encode(writeAuthRoleRevokePermissionRequest, value)
}

export function decodeAuthRoleRevokePermissionRequest(bytes: Uint8Array): AuthRoleRevokePermissionRequest {
  return decode(readAuthRoleRevokePermissionRequest, bytes)
}

export type AuthRoleRevokePermissionResponse = {
  readonly header?: ResponseHeader
}

export function writeAuthRoleRevokePermissionResponse(w: Writer, m: Init<AuthRoleRevokePermissionResponse>): void {
  if (m.header !== undefined) {
    const before = written(w)
    writeResponseHeader(w, m.header)
    putLength(w, before)
    putVarint(w, 10)
  }
}

export function readAuthRoleRevokePermissionResponse(r: Reader): AuthRoleRevokePermissionResponse {
  const m: Draft<AuthRoleRevokePermissionResponse> = {  }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.header = takeNested(r, readResponseHeader)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeAuthRoleRevokePermissionResponse(value: Init<AuthRoleRevokePermissionResponse>): Buffer {
  return encode(writeAuthRoleRevokePermissionResponse, value)
}

export function decodeAuthRoleRevokePermissionResponse(bytes: Uint8Array): AuthRoleRevokePermissionResponse {
  return decode(readAuthRoleRevokePermissionResponse, bytes)
}

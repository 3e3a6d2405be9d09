/**
 * The store: what the commands of the log do, in memory. Deterministic: it knows no time, no chance and
 * no member, so equal commands in equal order give equal stores (R4), equal hashes (K3) and equal
 * images. The revision grows by one with each change that happened, and with nothing else (K1).
 */
import { assert } from '../../lib/assert.ts'
import { toKey } from './bytes.ts'
import { checkCommand, checkTxn } from './check.ts'
import { readEvents, visitChanges } from './events.ts'
import { NONE, compactHistory, readSlot, slotAt } from './history.ts'
import { hashState } from './hash.ts'
import { finishLoading, loadRecord, takeChanges } from './image-records.ts'
import { findKey } from './key-index.ts'
import { LEASE_COST_BYTES, addLease, listLeases, removeLease } from './leases.ts'
import { clearSpaceAlarm, hasRoom, setAlarm, setQuota } from './quota.ts'
import { checkReadable, rangeOutcome } from './range.ts'
import { heldBytes } from './slabs.ts'
import { commitChanges, createState, deleteKeys, deleteSlot, findLive, keyBytes } from './state.ts'
import { keysOfLease, putKey, sizeOf } from './state.ts'
import type { KvState } from './state.ts'
import {
  checkLease,
  checkPath,
  checkPutNow,
  decideTxn,
  isReadOnly,
  putCost,
  runTxn,
  txnCost,
} from './txn.ts'
import type { KeyValue, KvCommand, KvErrorCode, KvLimits, KvOutcome, KvResponse } from './types.ts'
import type { KvStore, LeaseExpireRequest, LeaseGrantRequest, PutRequest } from './types.ts'
import type { TxnRequest, TxnResponse } from './types.ts'

/** Records of an image, in key order. */
export type KvLoader = {
  add(portion: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): void
  finish(): KvStore
}

/** An empty store. The limits decide in `apply`: they must be the same on all members. */
export function createKvStore(limits: KvLimits): KvStore {
  return storeOver(createState(limits))
}

/** Rebuilds a store from the records of its image, portion by portion; records of others are skipped. */
export function createKvLoader(limits: KvLimits): KvLoader {
  const state = createState(limits)
  return {
    add(portion) {
      for (const { key, value } of portion) loadRecord(state, key, value)
    },
    finish() {
      finishLoading(state)
      return storeOver(state)
    },
  }
}

function storeOver(state: KvState): KvStore {
  return {
    get revision() {
      return state.revision
    },
    get compactRevision() {
      return state.compactRevision
    },
    get sizeBytes() {
      return sizeOf(state)
    },
    get quotaBytes() {
      return state.quotaBytes
    },
    get heldBytes() {
      return heldBytes(state.history.slabs)
    },
    get keyCount() {
      return state.history.liveKeys
    },
    get alarms() {
      return state.alarms
    },
    apply(command, index) {
      const error = checkCommand(command, state.limits.txnOpsMax)
      const outcome = error ? refuse(error) : run(state, command, index)
      commitChanges(state)
      clearSpaceAlarm(state)
      return { revision: state.revision, outcome }
    },
    check: (command) => checkCommand(command, state.limits.txnOpsMax),
    range: (request) => rangeOutcome(state, request),
    readTxn: (request) => readTxn(state, request),
    lease: (id) => {
      const lease = state.leases.byId.get(id)
      return lease && { id, ttl: lease.ttl, grantIndex: lease.grantIndex }
    },
    leases: () => listLeases(state.leases),
    leaseKeys: (id) => keyBytes(keysOfLease(state, id)),
    eventsSince: (from, range, bytesMax, withPrevKv = false) =>
      readEvents(state, from, range, bytesMax, withPrevKv),
    visitChanges: (from, visit) => visitChanges(state.history, from, visit),
    keyAt: (key, revision) => keyAt(state, key, revision),
    hash: (revision) => hashAt(state, revision),
    takeImageChanges: () => takeChanges(state),
  }
}

function done(value: KvResponse): KvOutcome<KvResponse> {
  return { ok: true, value }
}

function refuse(error: KvErrorCode): { readonly ok: false; readonly error: KvErrorCode } {
  return { ok: false, error }
}

function run(state: KvState, command: KvCommand, index: number): KvOutcome<KvResponse> {
  switch (command.kind) {
    case 'put':
      return runPut(state, command.request)
    case 'delete-range':
      return done({ kind: 'delete-range', response: deleteKeys(state, command.request) })
    case 'txn':
      return runWriteTxn(state, command.request)
    case 'compact':
      return compact(state, command.request.revision)
    case 'lease-grant':
      return grant(state, command.request, index)
    case 'lease-revoke':
      return state.leases.byId.has(command.request.id)
        ? done((revoke(state, command.request.id), { kind: 'lease-revoke' }))
        : refuse('lease-not-found')
    case 'lease-expire':
      return done({ kind: 'lease-expire', expired: expire(state, command.request) })
    case 'alarm':
      setAlarm(state, command.request)
      return done({ kind: 'alarm' })
    case 'quota':
      setQuota(state, command.request)
      return done({ kind: 'quota' })
  }
}

function runPut(state: KvState, request: PutRequest): KvOutcome<KvResponse> {
  if (!hasRoom(state, putCost(request))) return refuse('no-space')
  // Alone, a put is refused for its lease first; within a transaction for its key first, as in etcd.
  const error = checkLease(state, request) ?? checkPutNow(state, request)
  return error ? refuse(error) : done({ kind: 'put', response: putKey(state, request) })
}

function runWriteTxn(state: KvState, request: TxnRequest): KvOutcome<KvResponse> {
  if (!hasRoom(state, txnCost(request))) return refuse('no-space')
  const path = decideTxn(state, request)
  const error = checkPath(state, path)
  return error ? refuse(error) : done({ kind: 'txn', response: runTxn(state, path) })
}

function readTxn(state: KvState, request: TxnRequest): KvOutcome<TxnResponse> {
  const malformed = checkTxn(request, state.limits.txnOpsMax)
  if (malformed) return refuse(malformed)
  assert(isReadOnly(request), 'a transaction that writes goes through the log')
  const path = decideTxn(state, request)
  const error = checkPath(state, path)
  return error ? refuse(error) : { ok: true, value: runTxn(state, path) }
}

function compact(state: KvState, revision: number): KvOutcome<KvResponse> {
  if (revision <= state.compactRevision) return refuse('compacted')
  if (revision > state.revision) return refuse('future-revision')
  compactHistory(state.history, revision)
  state.compactRevision = revision
  state.isHeadSaved = false
  return done({ kind: 'compact' })
}

/** The proposer chose the id; a TTL below the minimum is raised to it. */
function grant(
  state: KvState,
  request: LeaseGrantRequest,
  grantIndex: number,
): KvOutcome<KvResponse> {
  const { id } = request
  if (!hasRoom(state, LEASE_COST_BYTES)) return refuse('no-space')
  if (id === 0n) return refuse('lease-not-found')
  if (state.leases.byId.has(id)) return refuse('lease-exists')
  const ttl = Math.max(request.ttl, state.limits.leaseTtlMin)
  addLease(state.leases, { id, ttl, grantIndex })
  return done({ kind: 'lease-grant', response: { id, ttl } })
}

/** All keys of the lease go in one revision (L7). */
function revoke(state: KvState, id: bigint): void {
  for (const key of keyBytes(keysOfLease(state, id))) deleteSlot(state, findLive(state, key))
  removeLease(state.leases, id)
  commitChanges(state)
}

/** A lease that was granted anew under the same id since is another lease. */
function expire(state: KvState, { leases }: LeaseExpireRequest): readonly bigint[] {
  const expired: bigint[] = []
  for (const { id, grantIndex } of leases) {
    if (state.leases.byId.get(id)?.grantIndex !== grantIndex) continue
    revoke(state, id)
    expired.push(id)
  }
  return expired
}

function keyAt(state: KvState, key: Uint8Array, revision: number): KeyValue | undefined {
  if (revision < state.compactRevision || revision > state.revision) return undefined
  const id = findKey(state.history.index, toKey(key))
  const slot = id === NONE ? NONE : slotAt(state.history, id, revision)
  return slot === NONE ? undefined : readSlot(state.history, slot)
}

function hashAt(state: KvState, asked: number): ReturnType<KvStore['hash']> {
  const error = checkReadable(state, asked)
  if (error) return refuse(error)
  const hashRevision = asked > 0 ? asked : state.revision
  const hash = hashState(state, hashRevision)
  return { ok: true, value: { hash, compactRevision: state.compactRevision, hashRevision } }
}

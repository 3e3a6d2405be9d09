/**
 * The quota: writes that add something are refused while an alarm for space is up or when they would
 * exceed it. It decides in `apply`, so it is state that a command sets, and never a member's own setting:
 * members with different ones would part (K3). The store raises and clears an alarm of its own, which belongs to no member; clearing
 * waits until a good part is free, so that the state does not flicker.
 */
import { sizeOf } from './state.ts'
import type { KvState } from './state.ts'
import { ALARM } from './types.ts'
import type { AlarmRequest, QuotaRequest } from './types.ts'

/** The store's own alarm is cleared at this part of the quota. */
const CLEAR_RATIO = 0.85

/** Stands for the store itself, in place of a member. */
const STORE_MEMBER = 0n

/** Whether a write that adds up to `cost` bytes is let through; 0 for one that adds nothing. */
export function hasRoom(state: KvState, cost: number): boolean {
  if (cost === 0) return true
  if (state.alarms.some(({ alarm }) => alarm === ALARM.noSpace)) return false
  if (sizeOf(state) + cost <= state.quotaBytes) return true
  if (!hasSpaceToClear(state))
    setAlarm(state, { isActive: true, member: STORE_MEMBER, alarm: ALARM.noSpace })
  return false
}

/** Called after each command. */
export function clearSpaceAlarm(state: KvState): void {
  if (state.alarms.length === 0 || !hasSpaceToClear(state)) return
  const kept = state.alarms.filter(
    ({ member, alarm }) => member !== STORE_MEMBER || alarm !== ALARM.noSpace,
  )
  if (kept.length < state.alarms.length) state.alarms = kept
}

/** An alarm that it ends goes at once, one that it is cause for comes with the next write. */
export function setQuota(state: KvState, { bytes }: QuotaRequest): void {
  if (bytes === state.quotaBytes) return
  state.quotaBytes = bytes
  state.isQuotaSaved = false
}

/** Deactivating member 0 and alarm 0 deactivates all. */
export function setAlarm(state: KvState, { isActive, member, alarm }: AlarmRequest): void {
  const isSame = (other: { readonly member: bigint; readonly alarm: number }): boolean =>
    other.member === member && other.alarm === alarm
  if (!isActive) {
    const isAll = member === STORE_MEMBER && alarm === ALARM.none
    state.alarms = state.alarms.filter((other) => !isAll && !isSame(other))
  } else if (alarm !== ALARM.none && !state.alarms.some(isSame)) {
    state.alarms = [...state.alarms, { member, alarm }].toSorted(
      (a, b) => (a.member === b.member ? 0 : a.member < b.member ? -1 : 1) || a.alarm - b.alarm,
    )
  }
}

function hasSpaceToClear(state: KvState): boolean {
  return sizeOf(state) <= state.quotaBytes * CLEAR_RATIO
}

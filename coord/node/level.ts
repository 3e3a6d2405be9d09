/**
 * The level of the protocol that the cluster has come to, as part of the state, and the leader's duty to
 * raise it. Members that were not heard yet, learners included, hold it where it is.
 */
import type { ImageChange } from '../kv/types.ts'
import type { MemberId } from '../raft/types.ts'
import { membersOf } from '../raft/membership.ts'
import type { ReplicaCore } from './core.ts'
import type { LevelState } from './parts.ts'
import { proposeLevel } from './proposals.ts'
import { FIRST_LEVEL, PROTOCOLS } from './protocol.ts'
import type { ProtocolRange } from './protocol.ts'

export function createLevel(level: number): LevelState {
  return { now: level, isChanged: false, spoken: new Map(), proposeFromMs: 0 }
}

/** What this member speaks from now on: nothing below the level. */
export function protocolsOf({ config, level }: ReplicaCore): ProtocolRange {
  const { min, max } = config.protocols ?? PROTOCOLS
  return { min: Math.max(min, level.now), max }
}

/** A member has shown what it speaks, at the beginning of a connection. */
export function noteGreeted(
  { level }: ReplicaCore,
  member: MemberId,
  { max }: ProtocolRange,
): void {
  level.spoken.set(member, max)
}

/** What is proposed is not proposed again before this, for it may be on its way. */
const PROPOSE_EVERY_MS = 2000

export function maybeRaiseLevel(core: ReplicaCore): void {
  const { level, membership, self, nowMs } = core
  if (nowMs < level.proposeFromMs) return
  const spoken = [...membersOf(membership), ...membership.learnersNext].map((id) =>
    id === self ? protocolsOf(core).max : (level.spoken.get(id) ?? FIRST_LEVEL),
  )
  const common = Math.min(...spoken)
  if (common <= level.now) return
  level.proposeFromMs = nowMs + PROPOSE_EVERY_MS
  proposeLevel(core, common)
}

/** A program that does not speak what everyone has come to cannot go on from here. */
export function applyLevel(core: ReplicaCore, level: number): void {
  if (level > protocolsOf(core).max) {
    core.isStopped = true
    core.effects.push({ kind: 'stop', reason: { kind: 'too-old', level } })
  } else if (level > core.level.now) {
    core.level.now = level
    core.level.isChanged = true
  }
}

const LEVEL_KEY = Uint8Array.of(1, 0x70)

/** 0x01 'p' and one byte; no record for the first level. */
export function takeLevelChange({ level }: ReplicaCore): readonly ImageChange[] {
  if (!level.isChanged) return []
  level.isChanged = false
  return [{ key: LEVEL_KEY, value: Uint8Array.of(level.now) }]
}

/** One record of the image; undefined when it is of another kind. */
export function readLevel(key: Uint8Array, value: Uint8Array): number | undefined {
  return key.length === LEVEL_KEY.length && key[1] === LEVEL_KEY[1] ? value[0] : undefined
}

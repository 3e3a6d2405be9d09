/** What a replica is given unless somebody has a reason: a test, the simulator, an operator. */
import type { RaftConfig } from '../raft/types.ts'
import type { KvLimits } from '../kv/types.ts'
import type { ReplicaTuning } from './types.ts'

const MiB = 1024 * 1024

export const DEFAULT_TUNING: ReplicaTuning = {
  // Two elections after the five seconds that a client may expect.
  requestTimeoutMs: 7_000,
  waitingMax: 20_000,
  waitingBytesMax: 64 * MiB,
  applyLagMax: 5_000,
  keepEntries: 5_000,
  keepBytes: 16 * MiB,
  imageEntries: 2_000,
  imageMs: 1_000,
  applyEntriesMax: 64,
  applyBytesMax: 128 * 1024,
  learnersMax: 3,
  promoteAfterMs: 10_000,
  compaction: { revisions: 10_000, ageMs: 3_600_000 },
}

export const DEFAULT_LIMITS: KvLimits = {
  txnOpsMax: 128,
  leaseTtlMin: 2,
  quotaBytes: 128 * MiB,
}

export const DEFAULT_WINDOWS: Pick<
  RaftConfig,
  'inflightAppendsMax' | 'appendBytesMax' | 'uncommittedBytesMax'
> = { inflightAppendsMax: 128, appendBytesMax: MiB, uncommittedBytesMax: 16 * MiB }

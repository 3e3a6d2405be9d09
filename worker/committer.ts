/**
 * From a sealed batch to a committed one: look, plan, evolve the schema, encode, upload, commit. Holds
 * one shard's place (epoch, seq) between commits.
 *
 * Invariants: files are in the bucket before the transaction that names them (S1); the cursor moves in
 * the same transaction as its rows (S2); a commit that finds another epoch or seq changes nothing (L3).
 */
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import type {
  CommitOutcome,
  Counters,
  DataFile,
  ShardKey,
  ShardRow,
  TableChange,
} from '../catalog/catalog.ts'
import { HakiriError } from '../lib/error.ts'
import type { EncodedFile, RejectedRow } from '../sink/encoder/encoder.ts'
import type { ObservedColumn } from '../sink/plan/batch-plan.ts'
import { quarantineTable } from '../sink/plan/names.ts'
import { keyOf } from './acquire.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'
import { encodeBatch, type EncodedBatch } from './encode-batch.ts'
import { admitRejects } from './quarantine.ts'
import type { SealedBatch, StateChange } from './spool.ts'
import { removeUploads, uploadFile } from './uploads.ts'
import { makeScratchFolder } from './scratch.ts'

export type Committer = {
  /** What is in the batch; may run while the batch before it is written. */
  look(batch: SealedBatch, signal: AbortSignal): Promise<readonly ObservedColumn[]>
  /** Writes the batch; commits it, and what waited before it, when it ends at a cursor. */
  write(
    batch: SealedBatch,
    signal: AbortSignal,
    seen?: Promise<readonly ObservedColumn[]>,
  ): Promise<void>
  /** Commits what is left, with the mark that the source had no more rows when `done`. */
  finish(done: boolean): Promise<void>
  /** Deletes uploads that no commit will name. */
  drop(): Promise<void>
  count(what: keyof Counters, by: number): void
  readonly rowsCommitted: number
  /** The last commit says that the source had no more rows. */
  readonly isRecorded: boolean
}

export function createCommitter(
  job: ShardJob,
  row: ShardRow,
  deps: WorkerDeps,
  onCommit: () => void,
): Committer {
  const key: ShardKey = keyOf(job)
  const startedAt = deps.clock.monotonic()
  let seq = row.seq
  let cursor = row.cursor
  let changes: readonly TableChange[] = []
  let state: StateChange = {}
  let counters: Partial<Record<keyof Counters, number>> = {}
  let uploads = 0
  /** Batches written since the last commit. */
  let batches = 0
  let rowsCommitted = 0
  let isRecorded = false

  const count = (what: keyof Counters, by: number): void => {
    counters = { ...counters, [what]: (counters[what] ?? 0) + by }
  }

  async function look(batch: SealedBatch, signal: AbortSignal): Promise<readonly ObservedColumn[]> {
    return batch.input ? deps.encoder.inspect(batch.input, signal) : []
  }

  async function write(
    batch: SealedBatch,
    signal: AbortSignal,
    seen = look(batch, signal),
  ): Promise<void> {
    // Its failure is met below, unless something else fails before; then it is still waited for, since
    // it reads what is removed then.
    const looked = seen.catch(() => undefined)
    const outFolder = join(deps.scratchFolder, `encode-${job.runId}-${deps.random.uuid()}`)
    await makeScratchFolder(outFolder)
    try {
      const place = { seq, batch: batches }
      const { input } = batch
      const encoded = await encodeBatch(job, { input, seen, place, outFolder }, deps, signal)
      await admitRejects(job, deps, [...batch.rejects, ...encoded.rejected], batch.rows)
      await addTableFiles(job.table, encoded)
      await addRejects([...batch.rejects, ...encoded.rejected], outFolder)
      count('rowsRead', batch.rows + batch.rejects.length)
      count('bytesRead', batch.bytes)
    } finally {
      await looked
      await batch.release()
      await rm(outFolder, { recursive: true, force: true })
    }
    batches += 1
    state = { ...state, ...batch.state }
    if (batch.cursor !== undefined) {
      cursor = batch.cursor
      await commit(false)
    }
  }

  async function addTableFiles(table: string, encoded: EncodedBatch): Promise<void> {
    if (encoded.files.length === 0) return
    const adds: DataFile[] = []
    for (const file of encoded.files) adds.push(await upload(table, file, encoded.revision))
    addFiles(table, adds)
    count('rowsWritten', encoded.rows)
  }

  /** Batches that wait for a cursor commit together: one change a table. */
  function addFiles(table: string, adds: readonly DataFile[]): void {
    const before = changes.find((change) => change.table === table)?.adds ?? []
    const others = changes.filter((change) => change.table !== table)
    changes = [...others, { table, adds: [...before, ...adds], removes: [], dataChange: true }]
  }

  async function addRejects(rejected: readonly RejectedRow[], outFolder: string): Promise<void> {
    if (rejected.length === 0) return
    const rejectedAt = deps.clock.now()
    const records = rejected.map((reject) => ({ ...reject, ...key, runId: job.runId, rejectedAt }))
    const file = await deps.encoder.encodeRejects(records, outFolder)
    const table = quarantineTable(job.table)
    const revision = (await deps.catalog.table(table))?.schemaRevision ?? 0
    addFiles(table, [await upload(table, file, revision)])
    count('rowsQuarantined', rejected.length)
  }

  async function upload(
    table: string,
    file: EncodedFile,
    schemaRevision: number,
  ): Promise<DataFile> {
    const { runId, shard } = job
    const place = { table, runId, shard: shard.id, seq: seq + 1, index: uploads++, schemaRevision }
    const uploaded = await uploadFile(file, place, deps)
    count('bytesWritten', file.bytes)
    count('files', 1)
    return uploaded
  }

  async function commit(done: boolean): Promise<void> {
    const uploaded = changes
    // Until the catalog has answered, nobody knows whether it counts these files: they may not be
    // deleted. When it never answers, vacuum finds those that no commit names.
    changes = []
    const outcome = await deps.catalog.commit({
      ...key,
      runId: job.runId,
      epoch: row.epoch,
      expectedSeq: seq,
      generation: job.generation,
      cursor,
      done,
      changes: uploaded,
      state,
      counters,
      ...(done ? { workMs: Math.max(1, Math.ceil(deps.clock.monotonic() - startedAt)) } : {}),
    })
    if (outcome.kind !== 'committed') throw await refused(outcome, uploaded)
    seq = outcome.seq
    isRecorded = done
    rowsCommitted += counters.rowsRead ?? 0
    deps.onProgress({
      kind: 'committed',
      shard: job.shard.id,
      rows: counters.rowsRead ?? 0,
      bytes: counters.bytesWritten ?? 0,
      quarantined: counters.rowsQuarantined ?? 0,
    })
    state = {}
    counters = {}
    batches = 0
    onCommit()
  }

  async function refused(
    outcome: Exclude<CommitOutcome, { kind: 'committed' }>,
    uploaded: readonly TableChange[],
  ): Promise<HakiriError> {
    await removeUploads(uploaded, deps)
    if (outcome.kind === 'conflict') {
      return new HakiriError(
        'FENCED',
        `${key.pipeline}/${key.shard}: ${outcome.path} is not live any more`,
      )
    }
    deps.logger.log('warn', 'shard was taken over; this worker stops', {
      ...key,
      epoch: row.epoch,
      currentEpoch: outcome.epoch,
      run: job.runId,
    })
    return new HakiriError(
      'FENCED',
      `${key.pipeline}/${key.shard}: held with epoch ${row.epoch}, but the catalog is at epoch ${outcome.epoch}`,
      {
        suggestion:
          'Another run or a reset took the shard over; nothing was lost or written twice.',
      },
    )
  }

  /** Work that is dropped was not done: of the counters only what the source saw remains. */
  async function drop(): Promise<void> {
    const { requests = 0, notModified = 0, retries = 0 } = counters
    counters = { requests, notModified, retries }
    const dropped = changes
    changes = []
    await removeUploads(dropped, deps)
  }

  return {
    look,
    write,
    drop,
    count,
    async finish(done) {
      if (!done) await drop()
      else if (changes.length > 0 || Object.keys(state).length > 0 || !row.done || seq !== row.seq)
        await commit(true)
      if (Object.keys(counters).length > 0) await deps.catalog.addCounters(job.runId, counters)
      counters = {}
    },
    get rowsCommitted() {
      return rowsCommitted
    },
    get isRecorded() {
      return isRecorded
    },
  }
}

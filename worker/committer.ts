/**
 * From a sealed batch to a committed one: look, plan, evolve the schema, encode, upload, commit. Holds
 * one shard's place (epoch, seq) between commits.
 *
 * Invariants: files are in the bucket before the transaction that names them (S1); the cursor moves in
 * the same transaction as its rows (S2); a commit that finds another epoch or seq changes nothing (L3).
 */
import { join } from 'node:path'
import { mkdir, rm } from 'node:fs/promises'
import type {
  CommitOutcome,
  Counters,
  DataFile,
  ShardKey,
  ShardRow,
  TableChange,
  TableRow,
} from '../catalog/catalog.ts'
import { assert } from '../lib/assert.ts'
import { HakiriError } from '../lib/error.ts'
import type { EncodeResult, EncodedFile, RejectedRow } from '../sink/encoder/encoder.ts'
import type { ObservedColumn } from '../sink/plan/batch-plan.ts'
import { dataFilePath, quarantineTable, tableFolder } from '../sink/plan/names.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'
import { planForTable } from './plan-for-table.ts'
import { admitRejects } from './quarantine.ts'
import type { SealedBatch, StateChange } from './spool.ts'

/** Times a batch may be planned anew because another worker changed the schema, or values did not fit. */
const REPLANS_MAX = 8

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
}

export function createCommitter(
  job: ShardJob,
  row: ShardRow,
  deps: WorkerDeps,
  onCommit: () => void,
): Committer {
  const key: ShardKey = { pipeline: job.pipeline.name, shard: job.shard.id }
  let seq = row.seq
  let cursor = row.cursor
  let changes: readonly TableChange[] = []
  let state: StateChange = {}
  let counters: Partial<Record<keyof Counters, number>> = {}
  let uploads = 0
  /** Batches written since the last commit. */
  let batches = 0
  let rowsCommitted = 0

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
    const outFolder = join(deps.scratchFolder, `encode-${job.runId}-${deps.random.uuid()}`)
    await mkdir(outFolder, { recursive: true })
    try {
      const encoded = await encodeBatch(batch, seen, outFolder, signal)
      await admitRejects(job, deps, [...batch.rejects, ...encoded.rejected], batch.rows)
      await addTableFiles(job.table, tableFolder(job.table), encoded)
      await addRejects([...batch.rejects, ...encoded.rejected], outFolder)
      count('rowsRead', batch.rows + batch.rejects.length)
      count('bytesRead', batch.bytes)
    } finally {
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

  /** Plans against the newest schema, and again when it moved or values turned out not to fit. */
  async function encodeBatch(
    batch: SealedBatch,
    seen: Promise<readonly ObservedColumn[]>,
    outFolder: string,
    signal: AbortSignal,
  ): Promise<Planned> {
    let table = await tableRow()
    if (!batch.input) return { revision: table.schemaRevision, files: [], rows: 0, rejected: [] }
    let observed = await seen
    for (let round = 0; round < REPLANS_MAX; round++) {
      const planned = await planForTable(job, table, observed, { seq, batch: batches }, deps)
      if (planned.kind === 'moved') {
        table = planned.table
        continue
      }
      table = planned.table
      const result = await deps.encoder.encode(
        { input: batch.input, plan: planned.plan, outFolder },
        signal,
      )
      if (result.kind === 'encoded') return { ...result, revision: table.schemaRevision }
      observed = asText(observed, result.columns)
    }
    throw new HakiriError(
      'ENCODE_FAILED',
      `${job.table}: the schema kept changing while a batch was planned`,
    )
  }

  async function tableRow(): Promise<TableRow> {
    const table = await deps.catalog.table(job.table)
    assert(table, `table ${job.table} was registered before its shards run`)
    return table
  }

  async function addTableFiles(table: string, folder: string, encoded: Planned): Promise<void> {
    if (encoded.files.length === 0) return
    const adds: DataFile[] = []
    for (const file of encoded.files) adds.push(await upload(folder, file, encoded.revision))
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
    addFiles(table, [await upload(tableFolder(table), file, revision)])
    count('rowsQuarantined', rejected.length)
  }

  async function upload(
    folder: string,
    file: EncodedFile,
    schemaRevision: number,
  ): Promise<DataFile> {
    const path = dataFilePath({
      partition: file.partition,
      runId: job.runId,
      shard: job.shard.id,
      seq: seq + 1,
      index: uploads++,
      uuid: deps.random.uuid(),
    })
    await deps.store.putFile(`${folder}/${path}`, file.localPath)
    count('bytesWritten', file.bytes)
    count('files', 1)
    const { bytes, rows, stats, partition } = file
    return { path, bytes, rows, stats, partition, schemaRevision }
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
    })
    if (outcome.kind !== 'committed') throw await refused(outcome, uploaded)
    seq = outcome.seq
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
    await remove(uploaded)
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
    await remove(dropped)
  }

  /** Deletes uploads, but none that the catalog names: an answer that was lost may have been a yes. */
  async function remove(uploaded: readonly TableChange[]): Promise<void> {
    try {
      for (const { table, adds } of uploaded) {
        const paths = adds.map((file) => file.path)
        const known = await deps.catalog.knownPaths(table, paths)
        const unnamed = paths.filter((path) => !known.has(path))
        await deps.store.delete(unnamed.map((path) => `${tableFolder(table)}/${path}`))
      }
    } catch (error) {
      deps.logger.log('debug', `uploads are left to vacuum: ${String(error)}`, { ...key })
    }
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
  }
}

type Planned = EncodeResult & { readonly revision: number }

/** Columns whose values did not fit are planned again as text, which sends the misfits where the policy says. */
function asText(
  observed: readonly ObservedColumn[],
  misfits: readonly string[],
): readonly ObservedColumn[] {
  const names = new Set(misfits)
  return observed.map((column) =>
    names.has(column.name) ? { ...column, type: 'string', semantic: 'text', misfit: true } : column,
  )
}

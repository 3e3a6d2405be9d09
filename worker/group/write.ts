/**
 * From a gathered batch to a committed one: look, plan, encode, upload, one transaction. On any failure
 * nothing is committed, and uploads are dropped unless the catalog may name them.
 */
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import type { DataFile, ShardCommit } from '../../catalog/catalog.ts'
import type { GroupOutcome } from '../../catalog/cluster.ts'
import { unreachable } from '../../lib/assert.ts'
import { withRetry, type Backoff } from '../../lib/backoff.ts'
import { HakiriError, isRetryable, operatingError, toHakiriError } from '../../lib/error.ts'
import type { EncodedFile } from '../../sink/encoder/encoder.ts'
import type { ShardJob, WorkerDeps } from '../deps.ts'
import { encodeBatch, type EncodedBatch } from '../encode-batch.ts'
import { removeUploads, uploadFile } from '../uploads.ts'
import { carrierOf, commitsOf, resultsOf, sequencePlace, type Written } from './commits.ts'
import type { Gathered } from './gather.ts'
import type { GroupResult, LeftOver, Part } from './member.ts'
import { makeScratchFolder } from '../scratch.ts'

export type WriteOutcome =
  | { readonly kind: 'committed'; readonly results: readonly GroupResult[] }
  /** Rows do not fit the table; which shard's they are is not known. */
  | { readonly kind: 'rejects' }
  | { readonly kind: 'fenced'; readonly shards: ReadonlySet<string> }
  | { readonly kind: 'failed'; readonly left: LeftOver }

/** A commit whose answer is lost is sent again: the catalog knows it by its content. */
const COMMIT_RETRIES: Backoff = { retriesMax: 3, firstMs: 100, mostMs: 1_000 }

/** Never throws for an operating condition. */
export async function writeBatch(gathered: Gathered, deps: WorkerDeps): Promise<WriteOutcome> {
  const startedAt = deps.clock.monotonic()
  const carrier = carrierOf(gathered.parts)
  const { job } = carrier.member
  const adds: DataFile[] = []
  const remove = () =>
    removeUploads([{ table: job.table, adds, removes: [], dataChange: true }], deps)
  try {
    const encoded = await encodeGathered(gathered, job, deps, async ({ files, revision }) => {
      for (const file of files) adds.push(await upload(file, carrier, adds.length, revision, deps))
    })
    if (encoded.rejected.length > 0) return { kind: 'rejects' }
    const workMs = gathered.gatherMs + deps.clock.monotonic() - startedAt
    const { parts } = gathered
    const outcome = await commit(parts, { parts, adds, rowsWritten: encoded.rows, workMs }, deps)
    if (outcome.kind === 'fenced') await remove()
    return outcome
  } catch (error) {
    await remove()
    return {
      kind: 'failed',
      left: { why: 'failed', error: operatingError(error, 'ENCODE_FAILED', job.table) },
    }
  }
}

/** Nothing is uploaded of a batch with rejected rows. */
async function encodeGathered(
  { batch, parts }: Gathered,
  job: ShardJob,
  deps: WorkerDeps,
  uploadAll: (encoded: EncodedBatch) => Promise<void>,
): Promise<EncodedBatch> {
  const outFolder = join(deps.scratchFolder, `encode-${job.runId}-${deps.random.uuid()}`)
  await makeScratchFolder(outFolder)
  // What was read is written even when a stop was asked for meanwhile: it is one batch.
  const { signal } = new AbortController()
  const { input } = batch
  const seen = input ? deps.encoder.inspect(input, signal) : Promise.resolve([])
  // Its failure is met by whoever awaits it.
  seen.catch(() => undefined)
  try {
    const toEncode = { input, seen, place: sequencePlace(parts), outFolder }
    const encoded = await encodeBatch(job, toEncode, deps, signal)
    if (encoded.rejected.length === 0) await uploadAll(encoded)
    return encoded
  } finally {
    await rm(outFolder, { recursive: true, force: true })
  }
}

function upload(
  file: EncodedFile,
  { member: { job, row } }: Part,
  index: number,
  schemaRevision: number,
  deps: WorkerDeps,
): Promise<DataFile> {
  const { table, runId, shard } = job
  const place = { table, runId, shard: shard.id, seq: row.seq + 1, index, schemaRevision }
  return uploadFile(file, place, deps)
}

async function commit(
  parts: readonly Part[],
  written: Written,
  deps: WorkerDeps,
): Promise<WriteOutcome> {
  const commits = commitsOf(written)
  const outcome = await send(commits, deps)
  switch (outcome.kind) {
    case 'committed':
      report(commits, deps)
      return { kind: 'committed', results: resultsOf(parts, commits) }
    case 'fenced':
      deps.logger.log('warn', 'shards of a group were taken over; it is written without them', {
        shards: outcome.shards.length,
        first: outcome.shards[0]?.shard,
      })
      return { kind: 'fenced', shards: new Set(outcome.shards.map(({ shard }) => shard)) }
    case 'conflict':
      throw new HakiriError('FENCED', `${outcome.path} is not live any more`)
    case 'unanswered':
      // The catalog may count the files: they may not be deleted.
      return { kind: 'failed', left: { why: 'unsure', error: outcome.error } }
    default:
      return unreachable(outcome)
  }
}

type Sent = GroupOutcome | { readonly kind: 'unanswered'; readonly error: HakiriError }

async function send(commits: readonly ShardCommit[], deps: WorkerDeps): Promise<Sent> {
  if (commits.length === 0) return { kind: 'committed' }
  try {
    return await withRetry(COMMIT_RETRIES, deps, () => deps.catalog.commitShards(commits))
  } catch (error) {
    if (!isRetryable(error)) throw error
    return { kind: 'unanswered', error: toHakiriError(error, 'CATALOG_UNREACHABLE') }
  }
}

function report(commits: readonly ShardCommit[], deps: WorkerDeps): void {
  for (const { shard, counters } of commits) {
    const { rowsRead: rows = 0, bytesWritten: bytes = 0 } = counters
    deps.onProgress({ kind: 'committed', shard, rows, bytes, quarantined: 0 })
  }
}

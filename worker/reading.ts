/**
 * Reads one shard into batches and writes each batch while the next one fills. One batch deep, so
 * memory stays bounded and the source feels backpressure.
 */
import { join } from 'node:path'
import type { OpenRequest, SourceEvent } from '../connector/connector.ts'
import type { SourceColumn } from '../lib/column.ts'
import { HakiriError, operatingError } from '../lib/error.ts'
import type { Committer } from './committer.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'
import { createSpool, type Spool } from './spool.ts'

/** A batch without a safe point is sealed at this many times its usual size. */
const UNMARKED_BATCH_FACTOR = 2

type From = Pick<OpenRequest, 'cursor' | 'state'>

export type Reading = {
  /** Reads until the source ends or a stop is asked for. */
  run(): Promise<'ended' | 'stop'>
  /** Writes what is spooled: all of it, or up to the last safe point. */
  flush(complete: boolean): Promise<void>
  discard(): Promise<void>
}

export function createReading(
  job: ShardJob,
  deps: WorkerDeps,
  committer: Committer,
  from: From,
  stop: AbortSignal,
): Reading {
  const source = new AbortController()
  const writes = new AbortController()
  const newSpool = (): Spool =>
    createSpool(join(deps.scratchFolder, `spool-${job.runId}-${deps.random.uuid()}`))
  let spool = newSpool()
  let columns: readonly SourceColumn[] | undefined
  let writing: Promise<void> = Promise.resolve()
  let writeFailure: HakiriError | undefined

  /** Hands the batch to the committer once the one before it is through. */
  async function seal(): Promise<void> {
    await writing
    if (writeFailure !== undefined) throw writeFailure
    const batch = await spool.seal()
    spool = newSpool()
    writing = committer.write(batch, writes.signal).catch((error: unknown) => {
      writeFailure = operatingError(error, 'ENCODE_FAILED', job.table)
      source.abort(error)
    })
  }

  const isFull = (): boolean =>
    spool.bytes >= job.batchBytes * (spool.endsAtCursor ? 1 : UNMARKED_BATCH_FACTOR) ||
    (spool.endsAtCursor && deps.clock.monotonic() - openedAt >= job.openMsMax)
  let openedAt = deps.clock.monotonic()

  async function take(event: SourceEvent): Promise<void> {
    if (event.kind === 'schema') columns = event.columns
    if (spool.refuses(event, columns)) await seal()
    await spool.add(event, columns)
    if (event.kind === 'rows' || event.kind === 'parquet') {
      deps.onProgress({
        kind: 'read',
        shard: job.shard.id,
        rows: event.rows,
        bytes: event.bytes instanceof Uint8Array ? event.bytes.length : event.bytes,
      })
    }
    if (event.kind === 'parquet' || isFull()) {
      await seal()
      openedAt = deps.clock.monotonic()
    }
  }

  async function pull(): Promise<void> {
    const context = job.connectorContext(
      source.signal,
      (what, by) => committer.count(what, by),
      job.chunkBytes,
    )
    const { id, sourceTable: table, spec } = job.shard
    for await (const event of job.connector.open(context, {
      shard: { id, table, spec },
      mode: job.mode,
      ...from,
    })) {
      if (stop.aborted) return
      await take(event)
    }
  }

  return {
    async run() {
      const onStop = (): void => source.abort(stop.reason)
      stop.addEventListener('abort', onStop, { once: true })
      try {
        await pull()
        return stop.aborted ? 'stop' : 'ended'
      } catch (error) {
        if (writeFailure !== undefined) throw writeFailure
        if (stop.aborted) return 'stop'
        throw error
      } finally {
        stop.removeEventListener('abort', onStop)
      }
    },
    async flush(complete) {
      await writing
      if (writeFailure !== undefined && !(stop.aborted && !complete)) throw writeFailure
      if (complete && !spool.endsAtCursor && !spool.isEmpty && job.mode.kind !== 'full') {
        throw new HakiriError(
          'SOURCE_FATAL',
          `${job.connector.type}: the source ended without a cursor behind its last rows`,
        )
      }
      const batch = complete ? await spool.seal() : await spool.sealAtMark()
      if (batch && (batch.rows > 0 || batch.rejects.length > 0 || batch.cursor !== undefined))
        await committer.write(batch, writes.signal)
      else await spool.discard()
    },
    async discard() {
      const reason = new HakiriError('CANCELLED', 'the shard stopped')
      source.abort(reason)
      writes.abort(reason)
      await writing
      await spool.discard()
    },
  }
}

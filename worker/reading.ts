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
import { createSpool, type SealedBatch, type Spool } from './spool.ts'

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

  /** Hands the batch to the committer once the one before it is through; it is looked at meanwhile. */
  async function seal(): Promise<void> {
    const batch = await spool.seal()
    spool = newSpool()
    openedAt = undefined
    const seen = committer.look(batch, writes.signal)
    // Its failure is met by the write that awaits it.
    seen.catch(() => undefined)
    await writing
    if (writeFailure !== undefined) {
      await seen.catch(() => undefined)
      await batch.release()
      throw writeFailure
    }
    writing = committer.write(batch, writes.signal, seen).catch((error: unknown) => {
      writeFailure = operatingError(error, 'ENCODE_FAILED', job.table)
      source.abort(error)
    })
  }

  /** When the first event came into the open batch. */
  let openedAt: number | undefined
  const msLeft = (): number =>
    openedAt === undefined ? Infinity : openedAt + job.openMsMax - deps.clock.monotonic()
  const isFull = (): boolean =>
    spool.bytes >= job.batchBytes ||
    (spool.endsAtCursor && (spool.bytes + spool.strideBytes > job.batchBytes || msLeft() <= 0))
  /** A batch holds no more than its share of the memory, unless a single event does. */
  const overflows = (event: SourceEvent): boolean =>
    event.kind === 'rows' && spool.rows > 0 && spool.bytes + event.bytes.length > job.batchBytes

  async function take(event: SourceEvent): Promise<void> {
    if (event.kind === 'schema') columns = event.columns
    if (spool.refuses(event, columns) || overflows(event)) await seal()
    openedAt ??= deps.clock.monotonic()
    await spool.add(event, columns)
    if (event.kind === 'rows' || event.kind === 'parquet') {
      deps.onProgress({
        kind: 'read',
        shard: job.shard.id,
        rows: event.rows,
        bytes: event.bytes instanceof Uint8Array ? event.bytes.length : event.bytes,
      })
    }
    if (event.kind === 'parquet' || isFull()) await seal()
  }

  async function pull(): Promise<void> {
    const context = job.connectorContext(
      source.signal,
      (what, by) => committer.count(what, by),
      job.chunkBytes,
    )
    const { id, sourceTable: table, spec } = job.shard
    const request = { shard: { id, table, spec }, mode: job.mode, ...from }
    const events = job.connector.open(context, request)[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await sealWhileWaiting(events.next())
        if (next.done || stop.aborted) return
        await take(next.value)
      }
    } finally {
      await events.return?.()
    }
  }

  /** A source that pauses does not keep what it gave before from being committed in time. */
  async function sealWhileWaiting<T>(next: Promise<T>): Promise<T> {
    if (!spool.endsAtCursor || openedAt === undefined) return next
    const waiting = new AbortController()
    const old = deps.clock.sleep(Math.max(0, msLeft()), waiting.signal).then(
      () => true,
      () => false,
    )
    const isOld = await Promise.race([old, next.then(() => false)]).finally(() => waiting.abort())
    if (isOld) await seal()
    return next
  }

  async function flush(complete: boolean): Promise<void> {
    await writing
    // Even on a stop: a later cursor may not pass the rows that could not be written (S2).
    if (writeFailure !== undefined) throw writeFailure
    if (complete && !spool.endsAtCursor && !spool.isEmpty && job.mode.kind !== 'full') {
      throw new HakiriError(
        'SOURCE_FATAL',
        `${job.connector.type}: the source ended without a cursor behind its last rows`,
      )
    }
    const batch = complete ? await spool.seal() : await spool.sealAtMark()
    if (batch && holdsSomething(batch)) await committer.write(batch, writes.signal)
    else await spool.discard()
  }

  return {
    async run() {
      if (stop.aborted) return 'stop'
      const onStop = (): void => source.abort(stop.reason)
      stop.addEventListener('abort', onStop, { once: true })
      try {
        await pull()
        return stop.aborted ? 'stop' : 'ended'
      } catch (error) {
        if (writeFailure !== undefined) throw writeFailure
        if (stop.aborted) return 'stop'
        // What came up to the last safe point is good, whatever became of the source; without this, a
        // source that fails more often than it fills a batch would never get on.
        await flush(false)
        throw error
      } finally {
        stop.removeEventListener('abort', onStop)
      }
    },
    flush,
    async discard() {
      const reason = new HakiriError('CANCELLED', 'the shard stopped')
      source.abort(reason)
      writes.abort(reason)
      await writing
      await spool.discard()
    },
  }
}

function holdsSomething({ rows, rejects, cursor, state }: SealedBatch): boolean {
  return rows > 0 || rejects.length > 0 || cursor !== undefined || Object.keys(state).length > 0
}

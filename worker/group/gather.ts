/**
 * Reads members, a few at a time, and appends each to one spool in order of their shards, so that the
 * same rows give the same bytes. What is read ahead of its turn waits in memory, within a bound.
 */
import { join } from 'node:path'
import { assert } from '../../lib/assert.ts'
import type { WorkerDeps } from '../deps.ts'
import { createSpool, type SealedBatch, type Spool } from '../spool.ts'
import { createDeadlines } from './deadlines.ts'
import type { LeftOver, Member, Part } from './member.ts'
import { readMember, type MemberRead } from './read-member.ts'

export type GatherLimits = {
  readonly memberBytesMax: number
  readonly readMsMax: number
  readonly concurrency: number
  /** Members that are being read or wait for their turn. */
  readonly waitingMax: number
  /** The spool is closed before it grows beyond this. */
  readonly batchBytes: number
}

export type Gathered = AsyncDisposable & {
  /** In order of shard; their rows are in `batch`, in that order. */
  readonly parts: readonly Part[]
  readonly batch: SealedBatch
  readonly leftOver: readonly {
    readonly member: Member
    readonly left: LeftOver
    readonly counted: Part['counted']
  }[]
  /** Did not fit any more, in order. */
  readonly rest: readonly Member[]
  readonly gatherMs: number
}

/** Small members are written together, in pieces of about this size. */
const WRITE_BYTES = 256 << 10

/** Reads until every member is dealt with, the spool is full, or a stop is asked for. */
export async function gatherBatch(
  members: readonly Member[],
  limits: GatherLimits,
  deps: WorkerDeps,
  stop: AbortSignal,
): Promise<Gathered> {
  const startedAt = deps.clock.monotonic()
  const full = new AbortController()
  const signal = AbortSignal.any([stop, full.signal])
  const deadlines = createDeadlines(limits.readMsMax, deps.clock)
  const reads = startReads(members, limits, (member) =>
    readMember(member, limits.memberBytesMax, deadlines, deps, signal),
  )
  const path = join(deps.scratchFolder, `group-${deps.random.uuid()}`)
  const spooling = createSpooling(createSpool(path), limits.batchBytes)
  const leftOver: Gathered['leftOver'][number][] = []
  let next = 0
  try {
    for (; next < members.length; next++) {
      const read = await reads.take(next)
      if (read.kind === 'leftover') leftOver.push(read)
      else if (spooling.isFull(read.part)) break
      else if (!(await spooling.add(read.part)))
        leftOver.push({ ...read.part, left: { why: 'odd' } })
    }
    const batch = await spooling.seal()
    return {
      parts: spooling.parts,
      batch,
      leftOver,
      rest: members.slice(next),
      gatherMs: deps.clock.monotonic() - startedAt,
      [Symbol.asyncDispose]: () => batch.release(),
    }
  } catch (error) {
    await spooling.discard()
    throw error
  } finally {
    // Reads behind the end of the batch are begun again with the next one.
    full.abort()
    await reads.settled()
    deadlines.end()
  }
}

type Reads = {
  /** In order of the members. */
  take(index: number): Promise<MemberRead>
  settled(): Promise<void>
}

/** Begins the next read when one has ended and not too many wait. */
function startReads(
  members: readonly Member[],
  limits: GatherLimits,
  read: (member: Member) => Promise<MemberRead>,
): Reads {
  const reads = new Map<number, Promise<MemberRead>>()
  let [started, running, taken] = [0, 0, 0]
  let isOver = false
  function fill(): void {
    while (
      !isOver &&
      started < members.length &&
      running < limits.concurrency &&
      started - taken < limits.waitingMax
    ) {
      const member = members[started]
      assert(member, 'the index is within the members')
      running++
      const begun = read(member).finally(() => {
        running--
        fill()
      })
      // It is awaited when its turn comes, or when the batch ends.
      begun.catch(() => undefined)
      reads.set(started++, begun)
    }
  }
  fill()
  return {
    async take(index) {
      const begun = reads.get(index)
      assert(begun, 'members are taken in their order')
      const result = await begun
      reads.delete(index)
      taken++
      fill()
      return result
    },
    async settled() {
      isOver = true
      await Promise.allSettled(reads.values())
    },
  }
}

type Spooling = {
  readonly parts: readonly Part[]
  isFull(part: Part): boolean
  /** False: its format or columns are not those of the batch. */
  add(part: Part): Promise<boolean>
  seal(): Promise<SealedBatch>
  discard(): Promise<void>
}

function createSpooling(spool: Spool, batchBytes: number): Spooling {
  const parts: Part[] = []
  /** The first one with rows: the others have to be like it. */
  let model: Part | undefined
  let waiting: Uint8Array[] = []
  let [waitingRows, waitingBytes, bytes] = [0, 0, 0]

  async function write(): Promise<void> {
    if (!model || waitingRows === 0) return
    const event = {
      kind: 'rows',
      format: model.format ?? 'ndjson',
      bytes: Buffer.concat(waiting),
    } as const
    await spool.add({ ...event, rows: waitingRows, cursor: undefined }, model.columns)
    waiting = []
    waitingRows = waitingBytes = 0
  }

  return {
    parts,
    isFull: (part) => bytes > 0 && bytes + part.bytes > batchBytes,
    async add(part) {
      if (part.rows > 0) {
        if (model && !isLike(part, model)) return false
        model ??= part
        waiting.push(...part.chunks)
        waitingRows += part.rows
        waitingBytes += part.bytes
        bytes += part.bytes
        if (waitingBytes >= WRITE_BYTES) await write()
      }
      // Its rows are on their way to the file; the memory is wanted for others.
      parts.push({ ...part, chunks: [] })
      return true
    },
    async seal() {
      await write()
      return spool.seal()
    },
    discard: () => spool.discard(),
  }
}

function isLike(part: Part, model: Part): boolean {
  if (part.format !== model.format) return false
  return (
    part.columns === model.columns || JSON.stringify(part.columns) === JSON.stringify(model.columns)
  )
}

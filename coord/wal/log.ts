/**
 * The log over a disk: one durable write under way at a time, and what arrives meanwhile shares
 * the next. After the first failure nothing more is written or acknowledged, ever (R6): a sync that
 * failed may have dropped what it was to save, so only a new start can tell what the disk holds.
 */
import { HakiriError } from '../../lib/error.ts'
import type { Clock } from '../../lib/ports.ts'
import type { WalDisk, WalFile } from './disk.ts'
import { openFolderDisk } from './folder-disk.ts'
import type { WalItem } from './record.ts'
import {
  compareSegments,
  createRecoverer,
  isSameIdentity,
  type WalDamage,
  type WalOutcome,
  type WalTail,
} from './recover.ts'
import { parseSegmentName } from './segment.ts'
import type { Wal, WalIdentity, WalObserver, WalRecovery } from './wal.ts'
import {
  SEGMENT_BYTES,
  createWalWriter,
  firstSegment,
  type WalStart,
  type WalWrite,
} from './writer.ts'

export type WalOptions = {
  /** The folder of the log, or a disk that takes its place. */
  readonly folder: string
  readonly disk?: WalDisk
  readonly clock: Pick<Clock, 'monotonic'>
  readonly observer?: WalObserver
  readonly segmentBytes?: number
}

export type OpenedWal = { readonly wal: Wal; readonly recovery: WalRecovery }

/**
 * Opens the log that is there, `undefined` if there is none. Throws DATA_LOCKED, DATA_FOREIGN when it
 * is not `identity`'s, WAL_DAMAGED when anything but a torn end is wrong with it.
 */
export async function openWal(
  options: WalOptions & { readonly identity?: WalIdentity },
): Promise<OpenedWal | undefined> {
  const disk = await takeDisk(options)
  try {
    const opened = await recoverDisk(disk, options)
    if (opened) return opened
  } catch (error) {
    await disk.close()
    throw diskError(error, options.folder)
  }
  await disk.close()
  return undefined
}

/** Makes a new log. `start` is where it begins: behind a restored snapshot, or at the very start. */
export async function createWal(
  options: WalOptions & { readonly identity: WalIdentity; readonly start: WalStart },
): Promise<Wal> {
  const disk = await takeDisk(options)
  try {
    if ((await segmentNames(disk)).length > 0)
      throw new HakiriError('DATA_FOREIGN', `${options.folder} already holds a log`, {
        suggestion: 'Start with an empty data folder.',
      })
    const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
    const { write, tail } = firstSegment(options.identity, options.start, segmentBytes)
    return createLog(disk, await createSegment(disk, write), tail, options)
  } catch (error) {
    await disk.close()
    throw diskError(error, options.folder)
  }
}

async function takeDisk({ disk, folder }: WalOptions): Promise<WalDisk> {
  if (disk) return disk
  return openFolderDisk(folder).catch((error: unknown) => {
    throw diskError(error, folder)
  })
}

async function segmentNames(disk: WalDisk): Promise<readonly string[]> {
  const names = await disk.list()
  return names.filter((name) => parseSegmentName(name)).toSorted(compareSegments)
}

const SPARE = 'spare.tmp'
const GROWING = 'segment.tmp'

async function recoverDisk(
  disk: WalDisk,
  options: WalOptions & { readonly identity?: WalIdentity },
): Promise<OpenedWal | undefined> {
  const names = await segmentNames(disk)
  if (names.length === 0) return undefined
  const recoverer = createRecoverer()
  for (const [nth, name] of names.entries())
    recoverer.add(name, await disk.read(name), nth === names.length - 1)
  const { recovery, tail } = orRefuse(recoverer.finish(), options)
  const current = tail.segments.at(-1)!
  const sizeBytes = Math.max(options.segmentBytes ?? SEGMENT_BYTES, current.sizeBytes)
  const file = await disk.open(current.name)
  // Behind the last frame there have to be zeros, up to where the segment ends.
  if (recovery.cutBytes > 0 || current.sizeBytes < sizeBytes) await file.cut(tail.offset, sizeBytes)
  const segments = tail.segments.with(-1, { ...current, sizeBytes })
  for (const name of [SPARE, GROWING]) await disk.remove(name)
  return { wal: createLog(disk, file, { ...tail, segments }, options), recovery }
}

function orRefuse(
  outcome: WalOutcome,
  { folder, identity }: WalOptions & { readonly identity?: WalIdentity },
): WalOutcome & { readonly ok: true } {
  if (!outcome.ok) throw damageError(folder, outcome.damage)
  const found = outcome.recovery.identity
  if (!identity || isSameIdentity(found, identity)) return outcome
  const text = `it is the log of member ${hex(found.memberId)} of cluster ${hex(found.clusterId)}`
  throw new HakiriError(
    'DATA_FOREIGN',
    `${folder}: ${text}, not of ${hex(identity.memberId)} of ${hex(identity.clusterId)}`,
    { suggestion: 'Start with the data folder of this member, or with an empty one.' },
  )
}

const hex = (id: bigint): string => id.toString(16)

function damageError(folder: string, { kind, file, offset, reason }: WalDamage): HakiriError {
  const message = `${folder}/${file}: at byte ${offset}: ${reason}`
  if (kind === 'newer')
    return new HakiriError('DATA_FOREIGN', message, {
      suggestion: 'Start the newer Hakiri that wrote it.',
    })
  return new HakiriError('WAL_DAMAGED', message, {
    suggestion:
      'Replace this member: run `hakiri ctl member replace` against the others, then start it with an empty data folder.',
  })
}

/** Whatever a disk can do to us, with a code; anything else passes through. */
function diskError(thrown: unknown, folder: string): Error {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof HakiriError || typeof code !== 'string') return error
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  return new HakiriError(isFull ? 'DISK_FULL' : 'DISK_FAILED', `${folder}: ${message}`, {
    cause: error,
    suggestion: isFull
      ? 'Free space on the disk of the data folder, then start again.'
      : 'Check the disk, then start again; nothing that was acknowledged depends on what failed.',
  })
}

/** A segment gets its name once its first frame is durable: a named one is never empty. */
async function createSegment(disk: WalDisk, write: WalWrite, spare?: WalFile): Promise<WalFile> {
  const file = spare ?? (await disk.create(GROWING, write.sizeBytes))
  await file.append(write.bytes, 0)
  await disk.rename(spare ? SPARE : GROWING, write.name)
  await disk.syncFolder()
  return file
}

type Waiting = {
  readonly item: WalItem
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

function createLog(disk: WalDisk, first: WalFile, tail: WalTail, options: WalOptions): Wal {
  const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
  const writer = createWalWriter(tail, segmentBytes)
  let file = first
  let queue: Waiting[] = []
  let pumping: Promise<void> | undefined
  let failure: Error | undefined
  let isClosed = false
  let spare: Promise<WalFile | undefined> | undefined
  let cleaning = Promise.resolve()

  const enqueue = (item: WalItem): Promise<void> =>
    new Promise((resolve, reject) => {
      if (failure !== undefined) reject(failure)
      else {
        queue.push({ item, resolve, reject })
        pumping ??= pump()
      }
    })

  const pump = async (): Promise<void> => {
    // What the same turn still appends shares the first write.
    await Promise.resolve()
    while (queue.length > 0 && failure === undefined) await writeGroup()
    pumping = undefined
  }

  const writeGroup = async (): Promise<void> => {
    const waiting = queue
    try {
      const write = writer.place(waiting.map(({ item }) => item))
      queue = waiting.slice(write.taken)
      const startedMs = options.clock.monotonic()
      if (write.kind === 'segment') await beginSegment(write)
      else await file.append(write.bytes, write.offset)
      const durationMs = options.clock.monotonic() - startedMs
      options.observer?.onSync?.(durationMs, write.taken, write.bytes.length)
      for (let nth = 0; nth < write.taken; nth++) waiting[nth]!.resolve()
      if (writer.fill() > 0.5 && !isClosed) spare ??= prepare()
    } catch (error) {
      failure = diskError(error, options.folder)
      for (const { reject } of waiting) reject(failure)
      for (const { reject } of queue) reject(failure)
      queue = []
    }
  }

  const prepare = (): Promise<WalFile | undefined> =>
    // A failure here is no failure yet: the segment is made when it is needed, or that fails.
    disk.create(SPARE, segmentBytes).catch(() => undefined)

  const beginSegment = async (write: WalWrite): Promise<void> => {
    const isStandard = write.sizeBytes === segmentBytes
    const ready = isStandard ? await spare : undefined
    if (isStandard) spare = undefined
    const before = file
    file = await createSegment(disk, write, ready)
    await before.close()
  }

  const removeReleased = async (): Promise<void> => {
    const names = writer.takeDroppable()
    for (const name of names) await disk.remove(name)
    if (names.length > 0) await disk.syncFolder()
  }

  return {
    append: (batch) => enqueue({ kind: 'batch', batch }),
    async release(mark) {
      await enqueue({ kind: 'release', mark })
      cleaning = cleaning.then(removeReleased)
      try {
        await cleaning
      } catch (error) {
        failure ??= diskError(error, options.folder)
        throw failure
      }
    },
    sizeBytes: () => writer.sizeBytes(),
    async close() {
      if (isClosed) return
      isClosed = true
      await enqueue({ kind: 'close' }).catch(() => undefined)
      failure ??= new HakiriError('CANCELLED', 'the log is closed')
      await pumping
      await cleaning.catch(() => undefined)
      const unused = await spare
      await unused?.close()
      if (unused) await disk.remove(SPARE)
      await file.close()
      await disk.close()
    },
  }
}

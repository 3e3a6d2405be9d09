/**
 * The image on LevelDB. Each batch goes in at once, with the mark and the tally that are true after it;
 * batches follow one another. Data and mark therefore never part, and what LevelDB should lose of a log
 * (it leaves out what it cannot read) is noticed at the next load.
 */
import { assert } from '../../lib/assert.ts'
import { HakiriError } from '../../lib/error.ts'
import type { ImageChange } from '../kv/types.ts'
import type { SnapshotMark } from '../raft/types.ts'
import {
  WRITE_BUFFER_BYTES,
  createGeneration,
  levelError,
  newestLog,
  openGeneration,
  pointTo,
  syncGeneration,
  type Generation,
} from './generation.ts'
import type { Image, ImageBatch, ImageRecord, ImageView } from './image.ts'
import { decodeMark, encodeMark, MARK_KEY, type MarkRecord } from './mark.ts'
import { readVerified, retire, type Shared } from './read.ts'
import { createCounter, EMPTY_TALLY, type Tally } from './tally.ts'

type State = {
  readonly folder: string
  current: Shared
  mark: SnapshotMark | undefined
  tally: Tally
  /** No less than LevelDB holds in memory since its newest log began. */
  buffered: number
  log: string | undefined
  failure: Error | undefined
}

/**
 * Opens the image in `folder`, or begins one. Throws DATA_LOCKED, IMAGE_DAMAGED, DATA_FOREIGN,
 * DISK_FULL, DISK_FAILED; so do all calls, and after a write that failed all later ones do.
 */
export async function openImage(options: { readonly folder: string }): Promise<Image> {
  const { folder } = options
  const generation = await openGeneration(folder).catch((error: unknown) => {
    throw levelError(error, folder)
  })
  const record = await readMark(generation)
  const state: State = {
    folder,
    current: { generation, views: 0, isRetired: false },
    mark: record?.mark,
    tally: record?.tally ?? EMPTY_TALLY,
    buffered: 0,
    log: await newestLog(generation.folder),
    failure: undefined,
  }
  return imageOf(state)
}

function imageOf(state: State): Image {
  let last: Promise<unknown> = Promise.resolve()
  const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(() => {
      if (state.failure) throw state.failure
      return work()
    })
    last = result.catch(() => undefined)
    return result
  }
  return {
    get mark() {
      return state.mark
    },
    async *load(signal) {
      await using view = await openView(state)
      yield* view.records(signal)
    },
    write: (batch) => inOrder(() => write(state, batch)),
    async sync() {
      const [{ generation }, mark] = await inOrder(() =>
        Promise.resolve([state.current, state.mark]),
      )
      try {
        await syncGeneration(generation)
      } catch (error) {
        // One that was replaced meanwhile is gone, and what replaced it is durable.
        if (state.current.generation === generation) throw fail(state, error)
      }
      return mark
    },
    view: () => openView(state),
    install: (mark, records) => inOrder(() => install(state, mark, records)),
    async close() {
      await last
      await state.current.generation.database.close()
    },
  }
}

/** A write or sync that failed is not tried again: LevelDB may hold half of what it stood for. */
function fail(state: State, error: unknown): Error {
  state.failure ??= levelError(error, state.folder)
  return state.failure
}

async function readMark(generation: Generation): Promise<MarkRecord | undefined> {
  const bytes = await generation.database.get(MARK_KEY)
  return bytes && decodeMark(bytes, generation.folder)
}

async function write(state: State, { mark, changes }: ImageBatch): Promise<void> {
  const { generation } = state.current
  const { database } = generation
  const folded = fold(changes)
  const before = await database.getMany(folded.map(({ key }) => key))
  const counter = createCounter(state.tally)
  const batch = database.batch()
  let bytes = 0
  folded.forEach(({ key, value }, nth) => {
    const old = before[nth]
    if (old) counter.remove(key, old)
    if (value) counter.add(key, value)
    if (value) batch.put(key, value)
    else batch.del(key)
    bytes += bufferedBytes(key.length + (value?.length ?? 0))
  })
  const tally = counter.tally()
  const markBytes = encodeMark({ mark, tally })
  batch.put(MARK_KEY, markBytes)
  bytes += bufferedBytes(markBytes.length)
  const mayBeginLog = state.buffered + bytes > WRITE_BUFFER_BYTES
  try {
    if (mayBeginLog) await syncGeneration(generation)
    await batch.write()
    await followLog(state, generation, bytes, mayBeginLog)
  } catch (error) {
    throw fail(state, error)
  }
  state.mark = mark
  state.tally = tally
}

/**
 * LevelDB may begin a new log with any batch once enough is buffered. A power cut could then keep the
 * new log and lose the end of the old one, so the old one is synced before each batch that might do so.
 */
async function followLog(
  state: State,
  generation: Generation,
  bytes: number,
  mayBeginLog: boolean,
): Promise<void> {
  state.buffered += bytes
  if (!mayBeginLog) return
  const log = await newestLog(generation.folder)
  if (log !== state.log) state.buffered = bytes
  state.log = log
}

/** An upper bound of what a record takes in LevelDB's memory: its node, and the waste at block ends. */
const bufferedBytes = (bytes: number): number => Math.ceil((bytes + 64) * 1.34)

/** The last change of each key. */
function fold(changes: readonly ImageChange[]): readonly ImageChange[] {
  const last = new Map<string, ImageChange>()
  for (const change of changes) {
    const { key } = change
    assert(key.length > 0, 'the empty key is the mark')
    last.set(Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'), change)
  }
  return last.size === changes.length ? changes : [...last.values()]
}

async function openView(state: State): Promise<ImageView> {
  if (state.failure !== undefined) throw state.failure
  const shared = state.current
  const { generation } = shared
  const snapshot = generation.database.snapshot()
  shared.views++
  const dispose = async (): Promise<void> => {
    await snapshot.close()
    shared.views--
    await retire(shared)
  }
  try {
    const bytes = await generation.database.get(MARK_KEY, { snapshot })
    const record = bytes && decodeMark(bytes, generation.folder)
    let isDisposed = false
    return {
      mark: record?.mark ?? NO_MARK,
      sizeBytes: record?.tally.bytes ?? 0,
      records: (signal) => readVerified(generation, snapshot, record?.tally ?? EMPTY_TALLY, signal),
      async [Symbol.asyncDispose]() {
        if (isDisposed) return
        isDisposed = true
        await dispose()
      },
    }
  } catch (error) {
    await dispose()
    throw levelError(error, generation.folder)
  }
}

const NO_MARK: SnapshotMark = {
  index: 0,
  term: 0,
  membership: { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false },
}

async function install(
  state: State,
  mark: SnapshotMark,
  records: AsyncIterable<readonly ImageRecord[]>,
): Promise<void> {
  const before = state.current
  const number = before.generation.number + 1
  const generation = await createGeneration(state.folder, number).catch((error: unknown) => {
    throw levelError(error, state.folder)
  })
  const next: Shared = { generation, views: 0, isRetired: false }
  let tally: Tally
  try {
    tally = await fill(generation, mark, records)
    await syncGeneration(generation).catch((error: unknown) => {
      throw levelError(error, state.folder)
    })
  } catch (error) {
    next.isRetired = true
    await retire(next)
    throw error
  }
  try {
    await pointTo(state.folder, number)
  } catch (error) {
    // Which of the two the pointer names is not known any more: both stay.
    throw fail(state, error)
  }
  state.current = next
  state.mark = mark
  state.tally = tally
  state.buffered = WRITE_BUFFER_BYTES
  state.log = await newestLog(generation.folder)
  before.isRetired = true
  await retire(before)
}

async function fill(
  { database, folder }: Generation,
  mark: SnapshotMark,
  records: AsyncIterable<readonly ImageRecord[]>,
): Promise<Tally> {
  const counter = createCounter(EMPTY_TALLY)
  // An error of ours gets our code; one of `records` passes through as it is.
  const settle = (written: Promise<void>): Promise<void> =>
    written.catch((error: unknown) => {
      throw levelError(error, folder)
    })
  let last: Uint8Array = MARK_KEY
  for await (const portion of records) {
    const batch = database.batch()
    for (const { key, value } of portion) {
      if (Buffer.compare(last, key) >= 0)
        throw new HakiriError('IMAGE_DAMAGED', `${folder}: the records that came are not in order`)
      counter.add(key, value)
      batch.put(key, value)
      last = key
    }
    await settle(batch.write())
  }
  const tally = counter.tally()
  await settle(database.put(MARK_KEY, encodeMark({ mark, tally })))
  return tally
}

/** The image of the state in memory: the plainest thing that keeps the promises of the port. */
import type { ImageChange } from '../../coord/kv/types.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Image, ImageRecord, ImageView } from '../../coord/image/image.ts'

type Content = {
  readonly mark: SnapshotMark | undefined
  readonly records: ReadonlyMap<string, ImageRecord>
}

export type MemoryImage = {
  /** Opens what there is. */
  open(): Promise<Image>
  /** Forgets what was written since the last sync. */
  crash(): void
}

const EMPTY: Content = { mark: undefined, records: new Map() }
const PORTION_RECORDS = 100

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** A place in memory for one image. */
export function createMemoryImage(): MemoryImage {
  let durable = EMPTY
  let written = EMPTY
  const view = (): ImageView => {
    const { mark, records } = written
    const sorted = [...records].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each)
    return {
      mark: mark ?? { index: 0, term: 0, membership: NONE },
      sizeBytes: sorted.reduce((sum, { key, value }) => sum + key.length + value.length, 0),
      async *records(signal) {
        for (let at = 0; at < sorted.length; at += PORTION_RECORDS) {
          signal.throwIfAborted()
          yield await Promise.resolve(sorted.slice(at, at + PORTION_RECORDS))
        }
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }
  const image: Image = {
    get mark() {
      return written.mark
    },
    load: (signal) => view().records(signal),
    write({ mark, changes }) {
      written = { mark, records: changed(written.records, changes) }
      return Promise.resolve()
    },
    sync() {
      durable = written
      return Promise.resolve(written.mark)
    },
    view: () => Promise.resolve(view()),
    async install(mark, records) {
      const changes: ImageChange[] = []
      for await (const portion of records) changes.push(...portion)
      if (
        changes.some(({ key }, nth) => nth > 0 && Buffer.compare(changes[nth - 1]!.key, key) >= 0)
      )
        throw new HakiriError('IMAGE_DAMAGED', 'the records that came are not in order')
      written = { mark, records: changed(new Map(), changes) }
      durable = written
    },
    close: () => Promise.resolve(),
  }
  return {
    open: () => Promise.resolve(image),
    crash() {
      written = durable
    },
  }
}

const NONE = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false }

function changed(
  records: ReadonlyMap<string, ImageRecord>,
  changes: readonly ImageChange[],
): ReadonlyMap<string, ImageRecord> {
  const next = new Map(records)
  for (const { key, value } of changes) {
    if (value) next.set(latin1(key), { key: Uint8Array.from(key), value: Uint8Array.from(value) })
    else next.delete(latin1(key))
  }
  return next
}

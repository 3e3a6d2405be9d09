/**
 * All that one stopped member knows: its image, and on top everything in its log, committed or not, since
 * without a majority nobody can tell the two apart and what was acknowledged has to be inside. The image
 * is read in a copy of memory; the folder stays as it is.
 */
import { openImage } from '../../coord/image/level-image.ts'
import type { ImageRecord } from '../../coord/image/image.ts'
import { readCommand } from '../../coord/node/command.ts'
import { createStateLoader } from '../../coord/node/state.ts'
import { DEFAULT_LIMITS } from '../../coord/node/tuning.ts'
import { HakiriError } from '../../lib/error.ts'
import { imageFolder, readLog } from './folder.ts'

export type WholeState = {
  readonly clusterId: bigint
  /** Of the last entry that is inside. */
  readonly index: number
  records(): AsyncGenerator<readonly ImageRecord[]>
}

const PORTION = 1_000

export async function readSurvivor(data: string): Promise<WholeState> {
  const log = await readLog(data)
  if (!log)
    throw new HakiriError('NOT_FOUND', `${data} holds no log of a coordinator`, {
      suggestion: 'Name the folder with --data, or restore a snapshot instead.',
    })
  const image = await openImage({ folder: imageFolder(data) })
  try {
    const { mark } = image
    if (!mark) throw new HakiriError('MEMBER_LOST_DISK', `${data} has lost its image`)
    const records = new Map<string, ImageRecord>()
    const loader = createStateLoader(DEFAULT_LIMITS)
    for await (const portion of image.load(new AbortController().signal)) {
      loader.add(portion)
      for (const record of portion) records.set(Buffer.from(record.key).toString('latin1'), record)
    }
    const { store, origins } = loader.finish(mark)
    const seen = new Map([...origins].map(([origin, { seq }]) => [origin, seq]))
    for (const entry of log.entries) {
      if (entry.index <= mark.index || entry.kind !== 'command') continue
      const { origin, seq, content } = readCommand(entry.data)
      // A command that was passed on twice counts once, as in the life before.
      if (seq <= (seen.get(origin) ?? 0)) continue
      seen.set(origin, seq)
      if (content.kind === 'kv') store.apply(content.command, entry.index)
    }
    for (const { key, value } of store.takeImageChanges()) {
      const name = Buffer.from(key).toString('latin1')
      if (value) records.set(name, { key, value })
      else records.delete(name)
    }
    const index = Math.max(mark.index, log.entries.at(-1)?.index ?? 0)
    return { clusterId: log.clusterId, index, records: () => inPortions(records) }
  } finally {
    await image.close()
  }
}

async function* inPortions(
  records: ReadonlyMap<string, ImageRecord>,
): AsyncGenerator<readonly ImageRecord[]> {
  // Latin-1 text orders as its bytes do.
  const sorted = [...records].toSorted(([a], [b]) => (a < b ? -1 : 1))
  for (let from = 0; from < sorted.length; from += PORTION)
    yield sorted.slice(from, from + PORTION).map(([, record]) => record)
}

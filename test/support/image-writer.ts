/**
 * Batches that follow from their index alone; and, as a process, one that writes them to the image in
 * its argument until it is killed, telling each index once it is written.
 */
import { writeSync } from 'node:fs'
import type { ImageBatch } from '../../coord/image/image.ts'
import { openImage } from '../../coord/image/level-image.ts'

const MEMBERSHIP = { voters: [1n], outgoing: [], learners: [], learnersNext: [], autoLeave: false }
const CHANGES = 8
const KEYS = 997

type Change = { readonly key: string; readonly value: string | undefined }

/** Puts over a bounded set of keys, and a removal now and then. */
function changesOf(index: number): readonly Change[] {
  return Array.from({ length: CHANGES }, (_, nth) => {
    const number = (index * 31 + nth * 127) % KEYS
    const isGone = (index + nth) % 5 === 0
    const key = `k${String(number).padStart(4, '0')}`
    return { key, value: isGone ? undefined : `${index}.${nth}.${'x'.repeat(number % 90)}` }
  })
}

export function imageBatch(index: number): ImageBatch {
  const changes = changesOf(index).map(({ key, value }) => ({
    key: Buffer.from(key),
    value: value === undefined ? undefined : Buffer.from(value),
  }))
  return { mark: { index, term: 1, membership: MEMBERSHIP }, changes }
}

/** What is there after batches 1 to `index`, as `key=value` in order. */
export function imageAfter(index: number): readonly string[] {
  const records = new Map<string, string>()
  for (let at = 1; at <= index; at++)
    for (const { key, value } of changesOf(at)) {
      if (value === undefined) records.delete(key)
      else records.set(key, value)
    }
  return [...records].map(([key, value]) => `${key}=${value}`).toSorted()
}

if (import.meta.main) {
  const image = await openImage({ folder: process.argv[2] ?? '' })
  for (let index = (image.mark?.index ?? 0) + 1; ; index++) {
    await image.write(imageBatch(index))
    if (index % 50 === 0) await image.sync()
    writeSync(1, `${index}\n`)
  }
}

/** Tries out what a bucket can do, on a throw-away key, and says it in sentences for `hakiri doctor`. */
import type { Conditional } from './s3-conditional.ts'
import type { ObjectStore, StoreProbe } from './store.ts'

/** Cleans up after itself, also when a step fails. */
export async function probeStore(
  store: ObjectStore,
  conditional: Conditional,
  key: string,
): Promise<StoreProbe> {
  try {
    const conditionalPut = await conditional.test(key)
    if (conditionalPut === 'refused') await store.put(key, new Uint8Array([1]))
    return {
      conditionalPut,
      notes: [
        CONDITIONAL_NOTES[conditionalPut],
        await listingNote(store, key),
        await rangeNote(store, key),
      ],
    }
  } finally {
    await store.delete([key])
  }
}

const CONDITIONAL_NOTES: Readonly<Record<StoreProbe['conditionalPut'], string>> = {
  honoured: 'Conditional writes are honoured: a foreign writer to a table log is noticed.',
  ignored:
    'Conditional writes are ignored: tables are correct, but a foreign writer may go unnoticed.',
  refused:
    'Conditional writes are refused: tables are correct, but a foreign writer may go unnoticed.',
}

async function listingNote(store: ObjectStore, key: string): Promise<string> {
  for await (const found of store.list(key))
    if (found.key === key) return 'A listing shows an object right after it was written.'
  return 'A listing does not show a fresh object at once: clean-up may run late.'
}

async function rangeNote(store: ObjectStore, key: string): Promise<string> {
  const part = await store.read(key, 0, 1)
  const behind = await store.read(key, 10, 20)
  return part.byteLength === 1 && behind.byteLength === 0
    ? 'Range reads work.'
    : 'Range reads do not work: queries fetch whole files.'
}

/**
 * The S3 store under random mixtures of faults: after success the object is the new one, after a
 * failure the old or the new one, and never anything else.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { HakiriError } from '../../lib/error.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { startS3Stub, type Fault, type S3Stub } from '../../test/support/s3-stub.ts'
import type { S3Config } from './s3-config.ts'
import { openS3Store } from './s3.ts'
import type { StoreDeps } from './store-deps.ts'
import type { ObjectStore } from './store.ts'

const deps: StoreDeps = { clock: systemClock, random: systemRandom, logger: silentLogger }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (body: Uint8Array | undefined): string | undefined =>
  body && new TextDecoder().decode(body)

const folder = await mkdtemp(join(tmpdir(), 'hakiri-store-'))
test.after.always(() => rm(folder, { recursive: true, force: true }))

/** Few retries and small parts, so that calls do fail and uploads do have parts. */
function configOf({ endpoint, region, credentials }: S3Stub, url: string): S3Config {
  const retries = { retriesMax: 2, firstMs: 0, mostMs: 1 }
  return { url, endpoint, region, credentials, limits: { retries, partBytes: 1_000 } }
}

const anyFault = fc.record({
  kind: fc.constantFrom<Fault['kind']>(
    ...(['slow-down', 'internal-error', 'forbidden', 'cut-upload', 'cut-download'] as const),
    ...([
      'lost-answer',
      'done-but-500',
      'half-document',
      'late-error',
      'conflict',
      'half-deleted',
    ] as const),
  ),
  share: fc.double({ min: 0.1, max: 0.6, noNaN: true }),
})
const anyWrite = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  how: fc.constantFrom('put', 'if-absent', 'file', 'large-file', 'delete'),
})

test('s3: under any mixture of faults an object is the old one or the new one, never torn', async (t) => {
  const stub = await startS3Stub({ settings: { partBytesMin: 100 } })
  t.teardown(() => stub[Symbol.asyncDispose]())
  let round = 0
  const outcomes = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyFault, { maxLength: 4 }),
      fc.array(anyWrite, { minLength: 1, maxLength: 12 }),
      async (faults, writes) => {
        const url = `s3://lake/round-${round++}`
        const store = openS3Store(configOf(stub, url), deps)
        const calm = openS3Store(configOf(stub, url), deps)
        const known = new Map<string, string | undefined>()
        for (const [index, write] of writes.entries()) {
          for (const fault of faults) stub.fault(fault)
          const outcome = await step(store, calm, known, write, `${index}`, () =>
            stub.clearFaults(),
          )
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        }
        await store[Symbol.asyncDispose]()
        await calm[Symbol.asyncDispose]()
      },
    ),
    { numRuns: 60 },
  )
  for (const outcome of ['created', 'exists', 'failed'])
    t.true((outcomes.get(outcome) ?? 0) > 0, `${outcome} was never seen`)
})

/** One write under faults, then a look without them. Throws when the object is neither old nor new. */
async function step(
  store: ObjectStore,
  calm: ObjectStore,
  known: Map<string, string | undefined>,
  { key, how }: { readonly key: string; readonly how: string },
  mark: string,
  clearFaults: () => void,
): Promise<string> {
  const old = known.get(key)
  const body = how === 'large-file' ? mark.padEnd(3_500, '.') : `body ${mark}`
  const wanted = how === 'delete' ? undefined : body
  const outcome = await perform(store, key, how, body).catch((error: unknown) => {
    if (!(error instanceof HakiriError)) throw error
    return 'failed' as const
  })
  clearFaults()
  const found = text(await calm.get(key))
  const allowed = { created: [wanted], exists: [old], failed: [old, wanted] }[outcome]
  if (!allowed.includes(found))
    throw new Error(
      `${how} ${key} ${outcome}: found ${found?.slice(0, 20)}, old ${old?.slice(0, 20)}`,
    )
  if (outcome === 'exists' && old === undefined) throw new Error('exists, but nothing was there')
  known.set(key, found)
  return outcome
}

async function perform(
  store: ObjectStore,
  key: string,
  how: string,
  body: string,
): Promise<'created' | 'exists'> {
  if (how === 'delete') await store.delete([key])
  else if (how === 'put') await store.put(key, bytes(body))
  else if (how === 'if-absent') return store.put(key, bytes(body), { ifAbsent: true })
  else {
    const path = join(folder, systemRandom.uuid())
    await writeFile(path, body)
    await store.putFile(key, path)
  }
  return 'created'
}

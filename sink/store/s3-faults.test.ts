/**
 * The S3 store under faults: what each class of failure becomes, and that nothing is lost, doubled or
 * torn. Runs against the stub, whose faults can be switched.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { HakiriError } from '../../lib/error.ts'
import type { Clock, LogFields, Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import {
  startS3Stub,
  type Fault,
  type S3Stub,
  type StubObject,
} from '../../test/support/s3-stub.ts'
import type { S3Config } from './s3-config.ts'
import { openS3Store } from './s3.ts'
import type { StoreDeps } from './store-deps.ts'
import type { ObjectStore } from './store.ts'

const deps: StoreDeps = { clock: systemClock, random: systemRandom, logger: silentLogger }
/** Real waits of a few milliseconds: the schedule is real, only quick. */
const quick = { retries: { retriesMax: 5, firstMs: 1, mostMs: 4 }, requestMsMax: 20_000 }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (body: Uint8Array | undefined): string | undefined =>
  body && new TextDecoder().decode(body)

const folders: string[] = []
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-store-'))
  folders.push(folder)
  return folder
}
test.after.always(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

function configOf(stub: S3Stub, url: string, limits: S3Config['limits'] = quick): S3Config {
  const { endpoint, region, credentials } = stub
  return { url, endpoint, region, credentials, limits: { ...quick, ...limits } }
}

type Bed = { readonly stub: S3Stub; readonly store: ObjectStore }

/** A stub and a store of its own, so that faults hit nobody else. */
async function bed(
  t: ExecutionContext,
  limits: S3Config['limits'] = {},
  change: Partial<S3Config> & Partial<StoreDeps> = {},
): Promise<Bed> {
  const stub = await startS3Stub()
  const { clock = deps.clock, logger = deps.logger, signal, ...config } = change
  const store = openS3Store(
    { ...configOf(stub, 's3://lake/raw', limits), ...config },
    { ...deps, clock, logger, ...(signal && { signal }) },
  )
  t.teardown(async () => {
    await store[Symbol.asyncDispose]()
    await stub[Symbol.asyncDispose]()
  })
  return { stub, store }
}

async function failure(t: ExecutionContext, call: () => Promise<unknown>): Promise<HakiriError> {
  return t.throwsAsync(call, { instanceOf: HakiriError })
}

const PASSING: readonly Fault['kind'][] = [
  'slow-down',
  'internal-error',
  'too-many',
  'conflict',
  'cut-upload',
  'lost-answer',
  'done-but-500',
]

for (const kind of PASSING)
  test(`s3: ${kind} for three requests is overcome by every operation`, async (t) => {
    const { stub, store } = await bed(t)
    const cache = await temporaryFolder()
    await writeFile(join(cache, 'up'), 'file')
    const once = async (work: () => Promise<unknown>): Promise<void> => {
      stub.fault({ kind, times: 3 })
      await work()
      stub.clearFaults()
    }
    await once(() => store.put('a', bytes('1')))
    await once(() => store.putFile('b', join(cache, 'up')))
    await once(async () => t.is(text(await store.get('a')), '1'))
    await once(async () => t.is(text(await store.read('b', 1, 3)), 'il'))
    await once(async () => t.is((await store.head('a'))?.bytes, 1))
    await once(async () => t.is((await Array.fromAsync(store.list(''))).length, 2))
    await once(async () => t.truthy(await store.materialise('a', cache)))
    await once(() => store.delete(['a', 'b']))
    t.is(stub.objects('lake').size, 0)
  })

test('s3: a failure that stays is STORE_UNREACHABLE after a bounded number of tries', async (t) => {
  const waits: LogFields[] = []
  const logger: Logger = { log: (_level, _message, fields) => void waits.push(fields ?? {}) }
  const { stub, store } = await bed(t, {}, { logger })
  stub.fault({ kind: 'internal-error' })
  const error = await failure(t, () => store.put('a', bytes('1')))
  t.is(error.code, 'STORE_UNREACHABLE')
  t.regex(error.message, /write s3:\/\/lake\/raw\/a: 500 InternalError/)
  t.is(stub.log.length, 1 + quick.retries.retriesMax)
  t.deepEqual(
    waits.map(({ attempt }) => attempt),
    [1, 2, 3, 4, 5],
  )
  t.true(waits.every(({ waitMs }) => Number(waitMs) <= quick.retries.mostMs))
})

test('s3: 403 is STORE_AUTH at once, for every operation', async (t) => {
  const { stub, store } = await bed(t)
  const cache = await temporaryFolder()
  await writeFile(join(cache, 'up'), randomBytes(9_000_000))
  stub.fault({ kind: 'forbidden' })
  const calls: readonly (() => Promise<unknown>)[] = [
    () => store.put('a', bytes('1')),
    () => store.put('a', bytes('1'), { ifAbsent: true }),
    () => store.putFile('a', join(cache, 'up')),
    () => store.get('a'),
    () => store.read('a', 0, 1),
    () => store.head('a'),
    () => store.materialise('a', cache),
    () => Array.fromAsync(store.list('')),
    () => store.delete(['a']),
    () => store.probe(),
  ]
  for (const call of calls) {
    const before = stub.log.length
    const error = await failure(t, call)
    t.is(error.code, 'STORE_AUTH')
    t.is(error.retry, 'auth')
    t.regex(error.suggestion ?? '', /bucket lake/)
    t.true(stub.log.length - before <= 2, 'not tried again')
  }
  t.true((await readFile(join(cache, 'up'))).length === 9_000_000, 'the local file is kept')
})

test('s3: a wrong secret is refused by the signature check, and says so', async (t) => {
  const { store } = await bed(
    t,
    {},
    { credentials: { accessKeyId: 'stub-access-key', secretAccessKey: 'wrong' } },
  )
  const error = await failure(t, () => store.put('a', bytes('1')))
  t.is(error.code, 'STORE_AUTH')
  t.regex(error.message, /SignatureDoesNotMatch/)
  t.notRegex(error.message, /wrong/)
  const unsigned = await bed(t, {}, { credentials: undefined })
  t.is((await failure(t, () => unsigned.store.get('a'))).code, 'STORE_AUTH')
})

test('s3: a clock that is wrong is explained with the difference', async (t) => {
  const clock = { ...systemClock, now: () => Date.now() + 42 * 60_000 }
  const { store } = await bed(t, {}, { clock })
  const error = await failure(t, () => store.put('a', bytes('1')))
  t.is(error.code, 'STORE_AUTH')
  t.regex(error.message, /42 min ahead/)
  t.regex(error.suggestion ?? '', /clock/)
})

test('s3: a missing bucket is STORE_NOT_FOUND, also where the answer has no body', async (t) => {
  const { store } = await bed(t, {}, { url: 's3://nowhere/x' })
  const calls: readonly (() => Promise<unknown>)[] = [
    () => store.put('a', bytes('1')),
    () => store.get('a'),
    () => store.head('a'),
    () => store.delete(['a']),
    () => Array.fromAsync(store.list('')),
  ]
  for (const call of calls) {
    const error = await failure(t, call)
    t.is(error.code, 'STORE_NOT_FOUND')
    t.regex(error.suggestion ?? '', /nowhere/)
  }
})

test('s3: a wrong region, a wrong port and a wrong scheme are told apart', async (t) => {
  const region = await bed(t, {}, { region: 'eu-west-9' })
  const refused = await failure(t, () => region.store.put('a', bytes('1')))
  t.is(refused.code, 'STORE_REFUSED')
  t.regex(refused.suggestion ?? '', /region/)
  const port = await bed(t, {}, { endpoint: 'http://127.0.0.1:9' })
  const unreachable = await failure(t, () => port.store.put('a', bytes('1')))
  t.is(unreachable.code, 'STORE_UNREACHABLE')
  t.regex(unreachable.suggestion ?? '', /127\.0\.0\.1:9/)
  const plain = region.stub.endpoint.replace('http:', 'https:')
  const tls = await bed(t, {}, { endpoint: plain })
  const untrusted = await failure(t, () => tls.store.put('a', bytes('1')))
  t.is(untrusted.code, 'STORE_REFUSED')
  t.regex(untrusted.suggestion ?? '', /TLS/)
})

test('s3: a server that is no S3 is not taken for an empty bucket', async (t) => {
  const { createServer } = await import('node:http')
  const server = createServer((_request, response) => {
    response.writeHead(_request.url?.includes('list-type') ? 200 : 404, {
      'content-type': 'text/html',
    })
    response.end('<html><body>hello</body></html>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const { store } = await bed(t, {}, { endpoint: `http://127.0.0.1:${port}` })
  t.is((await failure(t, () => store.get('a'))).code, 'STORE_REFUSED')
  t.is((await failure(t, () => Array.fromAsync(store.list('')))).code, 'STORE_REFUSED')
  await store[Symbol.asyncDispose]()
})

test('s3: a request that hangs is given up at its deadline and tried again', async (t) => {
  const deadlines = new Set<() => void>()
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) =>
      ms < quick.requestMsMax
        ? systemClock.sleep(ms, signal)
        : new Promise((resolve, reject) => {
            deadlines.add(resolve)
            signal?.addEventListener('abort', () => {
              deadlines.delete(resolve)
              reject(signal.reason as Error)
            })
          }),
  }
  const { stub, store } = await bed(t, { retries: { ...quick.retries, retriesMax: 1 } }, { clock })
  const passDeadlineOf = async (request: number): Promise<void> => {
    while (stub.log.length < request) await new Promise((resolve) => setImmediate(resolve))
    for (const pass of deadlines) pass()
  }
  stub.fault({ kind: 'hang', times: 1 })
  const put = store.put('a', bytes('1'))
  await passDeadlineOf(1)
  t.is(await put, 'created')
  stub.fault({ kind: 'hang' })
  const get = failure(t, () => store.get('a'))
  await passDeadlineOf(3)
  await passDeadlineOf(4)
  const error = await get
  t.is(error.code, 'STORE_UNREACHABLE')
  t.regex(error.message, /no answer within/)
  t.deepEqual(
    stub.log.map(({ status }) => status),
    [0, 200, 0, 0],
  )
  t.is(deadlines.size, 0, 'no timer is left')
})

test('s3: a download cut half way is never taken for the object', async (t) => {
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20 })
  const cache = await temporaryFolder()
  const body = randomBytes(12_000_000)
  await store.put('big', body)
  stub.fault({ kind: 'cut-download', times: 2, on: ['get'] })
  t.is(Buffer.compare((await store.get('big')) ?? new Uint8Array(), body), 0)
  stub.fault({ kind: 'cut-download', times: 2, on: ['get'] })
  t.is(Buffer.compare(await readFile(await store.materialise('big', cache)), body), 0)
  stub.fault({ kind: 'cut-download', on: ['get'] })
  const other = await temporaryFolder()
  t.is((await failure(t, () => store.materialise('big', other))).code, 'STORE_UNREACHABLE')
  t.deepEqual(await readdir(other), [], 'no half file stays in the cache')
})

test('s3: an object replaced while it is fetched never becomes a mixture', async (t) => {
  let reads = 0
  // The stub asks for chance at each read; the second read finds another object there.
  const random = (): number => {
    const objects = stub.objects('lake') as Map<string, StubObject>
    const old = objects.get('m')!
    if (++reads === 2) objects.set('m', { ...old, body: Buffer.alloc(2_500, 'b'), etag: 'b' })
    return 1
  }
  const stub = await startS3Stub({ random })
  t.teardown(() => stub[Symbol.asyncDispose]())
  const store = openS3Store(configOf(stub, 's3://lake', { partBytes: 1_000 }), deps)
  const cache = await temporaryFolder()
  await store.put('m', bytes('a'.repeat(2_500)))
  stub.fault({ kind: 'slow-down', on: ['get'], share: 0.5 })
  const error = await failure(t, () => store.materialise('m', cache))
  t.is(error.code, 'STORE_UNREACHABLE')
  t.regex(error.message, /changed while it was read/)
  t.deepEqual(await readdir(cache), [])
  const path = await store.materialise('m', cache)
  t.is((await readFile(path)).toString(), 'b'.repeat(2_500))
})

test('s3: an object too large for memory is refused, and can be read in parts', async (t) => {
  const { stub, store } = await bed(t, { getBytesMax: 1_000 })
  await store.put('large', new Uint8Array(1_001))
  const error = await failure(t, () => store.get('large'))
  t.is(error.code, 'STORE_REFUSED')
  t.is(stub.log.length, 2, 'not tried again')
  t.is((await store.read('large', 500, 1_500)).byteLength, 501)
  await store.put('large', new Uint8Array(1_000))
  t.is((await store.get('large'))?.byteLength, 1_000)
})

test('s3: a listing that ends early is an error or tried again, never a shorter listing', async (t) => {
  const { stub, store } = await bed(t)
  for (const key of ['a', 'b', 'c']) await store.put(key, bytes('x'))
  for (const kind of ['half-document', 'cut-download'] as const) {
    stub.fault({ kind, times: 2, on: ['list'] })
    t.is((await Array.fromAsync(store.list(''))).length, 3)
    stub.fault({ kind, on: ['list'] })
    t.is((await failure(t, () => Array.fromAsync(store.list('')))).code, 'STORE_UNREACHABLE')
    stub.clearFaults()
  }
})

test('s3: keys of a batch deletion that failed are deleted by the next try', async (t) => {
  const { stub, store } = await bed(t)
  const keys = Array.from({ length: 9 }, (_, index) => `k${index}`)
  for (const key of keys) await store.put(key, bytes('x'))
  stub.fault({ kind: 'half-deleted', times: 2 })
  await store.delete(keys)
  t.is(stub.objects('lake').size, 0)
  stub.fault({ kind: 'half-deleted' })
  await store.put('x', bytes('1'))
  const error = await failure(t, () => store.delete(['w', 'x']))
  t.is(error.code, 'STORE_UNREACHABLE')
  t.regex(error.message, /delete raw\/x/)
})

// Conditional writes

test('s3: when the answer to a conditional write is lost, our own bytes mean created', async (t) => {
  const { stub, store } = await bed(t)
  await store.probe()
  for (const kind of ['lost-answer', 'done-but-500', 'cut-upload', 'conflict'] as const) {
    stub.fault({ kind, times: 1, on: ['put'] })
    t.is(await store.put(`log/${kind}`, bytes('mine'), { ifAbsent: true }), 'created', kind)
    t.is(text(await store.get(`log/${kind}`)), 'mine')
  }
})

test('s3: when the answer is lost and the key holds other bytes, it exists', async (t) => {
  const { stub, store } = await bed(t)
  await store.probe()
  await store.put('log/1', bytes('theirs'))
  stub.fault({ kind: 'lost-answer', times: 1, on: ['put'] })
  t.is(await store.put('log/1', bytes('mine'), { ifAbsent: true }), 'exists')
  t.is(text(await store.get('log/1')), 'theirs')
})

test('s3: where conditional writes are refused, a taken key is still left alone', async (t) => {
  const { stub, store } = await bed(t)
  stub.set({ conditional: 'refused' })
  t.is(await store.put('log/1', bytes('a'), { ifAbsent: true }), 'created')
  t.is(await store.put('log/1', bytes('b'), { ifAbsent: true }), 'exists')
  t.is(text(await store.get('log/1')), 'a')
  const probe = await store.probe()
  t.is(probe.conditionalPut, 'refused')
  t.is(stub.objects('lake').size, 1, 'the probe cleaned up')
})

test('s3: probe cleans up when it fails half way', async (t) => {
  const { stub, store } = await bed(t)
  stub.fault({ kind: 'forbidden', on: ['list'] })
  t.is((await failure(t, () => store.probe())).code, 'STORE_AUTH')
  t.is(stub.objects('lake').size, 0)
})

// Uploads in parts

async function localFile(body: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'part.parquet')
  await writeFile(path, body)
  return path
}

test('s3: an upload in parts survives faults in each of its steps', async (t) => {
  const body = randomBytes(13_000_000)
  const steps = ['begin-upload', 'upload-part', 'complete-upload'] as const
  const kinds = ['slow-down', 'cut-upload', 'lost-answer', 'done-but-500', 'cut-download'] as const
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20 })
  for (const step of steps)
    for (const kind of kinds) {
      stub.fault({ kind, times: 2, on: [step] })
      await store.putFile('big', await localFile(body))
      stub.clearFaults()
      const stored = stub.objects('lake').get('raw/big')
      t.is(Buffer.compare(stored?.body ?? Buffer.alloc(0), body), 0, `${kind} at ${step}`)
    }
})

test('s3: completing that says 200 and means failure is not taken for success', async (t) => {
  const body = randomBytes(11_000_000)
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20 })
  stub.fault({ kind: 'late-error', times: 2, on: ['complete-upload'] })
  await store.putFile('big', await localFile(body))
  t.is(stub.objects('lake').get('raw/big')?.body.length, body.length)
  stub.fault({ kind: 'late-error', on: ['complete-upload'] })
  const path = await localFile(body)
  t.is((await failure(t, () => store.putFile('other', path))).code, 'STORE_UNREACHABLE')
  t.is(stub.objects('lake').get('raw/other'), undefined)
  t.is((await readFile(path)).length, body.length, 'the local file is kept')
})

test('s3: a failed upload is aborted, and leaves neither object nor parts', async (t) => {
  const body = randomBytes(16_000_000)
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20 })
  stub.fault({ kind: 'forbidden', times: 1, on: ['upload-part'] })
  t.is(
    (await failure(t, async () => store.putFile('big', await localFile(body)))).code,
    'STORE_AUTH',
  )
  t.is(stub.openUploads('lake'), 0)
  t.is(stub.objects('lake').size, 0)
})

test('s3: stopping ends requests and waits at once, aborts the upload, and says CANCELLED', async (t) => {
  const stop = new AbortController()
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20 }, { signal: stop.signal })
  const path = await localFile(randomBytes(16_000_000))
  stub.fault({ kind: 'hang', on: ['upload-part', 'get'] })
  const upload = failure(t, () => store.putFile('big', path))
  const read = failure(t, () => store.get('a'))
  while (!stub.log.some(({ operation }) => operation === 'upload-part'))
    await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
  t.is((await upload).code, 'CANCELLED')
  t.is((await read).code, 'CANCELLED')
  t.is(stub.openUploads('lake'), 0)
})

test('s3: uploads share a fixed number of buffers', async (t) => {
  const { stub, store } = await bed(t, { partBytes: 5 * 2 ** 20, buffersMax: 2 })
  const paths = await Promise.all(
    Array.from({ length: 5 }, () => localFile(new Uint8Array(11_000_000).fill(7))),
  )
  await Promise.all(paths.map((path, index) => store.putFile(`f${index}`, path)))
  t.is(stub.objects('lake').size, 5)
  t.true([...stub.objects('lake').values()].every(({ body }) => body.length === 11_000_000))
  t.is(stub.openMax('upload-part'), 2)
})

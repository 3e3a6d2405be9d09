/** The store suite on a folder and on the S3 stub, and what is special to each of the two. */
import { randomBytes } from 'node:crypto'
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { HakiriError, type Code } from '../../lib/error.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { storeSuite } from '../../test/conformance/store-suite.ts'
import { startS3Stub, type S3Stub } from '../../test/support/s3-stub.ts'
import { folderError } from './folder-errors.ts'
import { openFolderStore } from './folder.ts'
import { openStore } from './open.ts'
import { createS3Client } from './s3-client.ts'
import { locate, objectUrl, type S3Config } from './s3-config.ts'
import { problemError } from './s3-errors.ts'
import { openS3Store } from './s3.ts'
import { parseDeleteProblems, parseListPage } from './s3-xml.ts'
import { createSlots } from './slots.ts'
import type { StoreDeps } from './store-deps.ts'
import type { ObjectStore } from './store.ts'

const deps: StoreDeps = { clock: systemClock, random: systemRandom, logger: silentLogger }
const run = promisify(execFile)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (body: Uint8Array | undefined): string | undefined =>
  body && new TextDecoder().decode(body)

const folders: string[] = []
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-store-'))
  folders.push(folder)
  return folder
}

const shared = await startS3Stub()
let prefixes = 0
test.after.always(async () => {
  await shared[Symbol.asyncDispose]()
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

function configOf({ endpoint, region, credentials }: S3Stub, url: string): S3Config {
  return { url, endpoint, region, credentials }
}

storeSuite(test, 'folder', async () => {
  const root = join(await temporaryFolder(), 'lake')
  const open = (): Promise<ObjectStore> => openFolderStore(root, deps)
  return { store: await open(), again: open, conditionalPut: 'honoured' }
})

storeSuite(test, 's3 stub', () => {
  const url = `s3://lake/suite-${prefixes++}`
  const open = async (): Promise<ObjectStore> => openS3Store(configOf(shared, url), deps)
  return open().then((store) => ({ store, again: open, conditionalPut: 'honoured' as const }))
})

storeSuite(test, 's3 stub without conditional writes, batches and list tokens', async () => {
  const stub = await startS3Stub({
    settings: { conditional: 'ignored', batchDelete: 'refused', listTokens: false },
  })
  const open = async (): Promise<ObjectStore> => openS3Store(configOf(stub, 's3://lake'), deps)
  const store = await open()
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    await stub[Symbol.asyncDispose]()
  }
  return {
    store: { ...store, [Symbol.asyncDispose]: close },
    again: open,
    conditionalPut: 'ignored',
  }
})

// Folder

test('folder: a crash between writing and naming leaves nothing to see, and is cleared later', async (t) => {
  const root = await temporaryFolder()
  await mkdir(join(root, '_tmp'))
  await writeFile(join(root, '_tmp', 'old'), 'half')
  await writeFile(join(root, '_tmp', 'young'), 'half')
  const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000)
  await utimes(join(root, '_tmp', 'old'), twoDaysAgo, twoDaysAgo)
  const store = await openFolderStore(root, deps)
  t.deepEqual(await readdir(join(root, '_tmp')), ['young'])
  t.deepEqual(await Array.fromAsync(store.list('')), [])
})

test('folder: no temporary file is left by a put, taken or not, nor by a failed one', async (t) => {
  const root = await temporaryFolder()
  const store = await openFolderStore(root, deps)
  await store.put('a', bytes('1'))
  await store.put('a', bytes('2'), { ifAbsent: true })
  await store.put('file', bytes('x'))
  await t.throwsAsync(() => store.put('file/below', bytes('x')), { instanceOf: HakiriError })
  await t.throwsAsync(() => store.put('file/below', bytes('x'), { ifAbsent: true }))
  t.deepEqual(await readdir(join(root, '_tmp')), [])
})

test('folder: opening and listing a folder that is missing makes nothing', async (t) => {
  const root = join(await temporaryFolder(), 'absent')
  const store = await openFolderStore(root, deps)
  t.deepEqual(await Array.fromAsync(store.list('')), [])
  await t.throwsAsync(() => readdir(root), { code: 'ENOENT' })
  await store.put('x/y', bytes('1'))
  await rm(root, { recursive: true })
  t.is(await store.put('x/y', bytes('2')), 'created')
  t.is(text(await store.get('x/y')), '2')
})

test('folder: a file on another device is copied, synced and removed', async (t) => {
  const other = await mkdtemp('/dev/shm/hakiri-store-').catch(() => undefined)
  if (other === undefined) return t.pass('this machine has no second file system to try it on')
  folders.push(other)
  const root = await temporaryFolder()
  const store = await openFolderStore(root, deps)
  const body = randomBytes(3_000_000)
  await writeFile(join(other, 'f'), body)
  await store.putFile('copied', join(other, 'f'))
  t.is(Buffer.compare((await store.get('copied')) ?? new Uint8Array(), body), 0)
  t.deepEqual(await readdir(other), [])
  t.deepEqual(await readdir(join(root, '_tmp')), [])
})

test('folder: a full disk is DISK_FULL, leaves the old objects, and heals', async (t) => {
  const root = await temporaryFolder()
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'hakiri-test', root]).then(
    () => true,
    () => false,
  )
  if (!mounted) return t.pass('only root can mount a small disk; the table below has the code')
  t.teardown(() => run('umount', [root]))
  const store = await openFolderStore(root, deps)
  await store.put('old', bytes('here'))
  for (const ifAbsent of [true, false]) {
    const error = await t.throwsAsync(
      () => store.put('new', new Uint8Array(2_000_000), { ifAbsent }),
      { instanceOf: HakiriError },
    )
    t.is(error.code, 'DISK_FULL')
    t.true(error.message.includes(join(root, 'new')))
  }
  const local = join(await temporaryFolder(), 'f')
  await writeFile(local, new Uint8Array(2_000_000))
  const error = await t.throwsAsync(() => store.putFile('new', local), { instanceOf: HakiriError })
  t.is(error.code, 'DISK_FULL')
  t.is((await readFile(local)).length, 2_000_000, 'the local file is kept')
  t.deepEqual(await readdir(join(root, '_tmp')), [], 'nothing goes on filling the disk')
  t.is(text(await store.get('old')), 'here')
  t.is(await store.put('new', bytes('fits')), 'created')
})

const TROUBLES: readonly (readonly [string, Code])[] = [
  ['EACCES', 'STORE_AUTH'],
  ['EROFS', 'STORE_AUTH'],
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['ENOENT', 'STORE_NOT_FOUND'],
  ['ENOTDIR', 'STORE_REFUSED'],
  ['EXDEV', 'STORE_REFUSED'],
  ['EIO', 'STORE_UNREACHABLE'],
  ['EMFILE', 'STORE_UNREACHABLE'],
  ['ESTALE', 'STORE_UNREACHABLE'],
]
test('folder: every kind of file system trouble has a code and a next step', (t) => {
  for (const [name, code] of TROUBLES) {
    const error = folderError(Object.assign(new Error(name), { code: name }), 'read', '/x')
    t.is(error.code, code, name)
    t.truthy(error.suggestion)
  }
})

test('folder: a folder that may not be written is STORE_AUTH', async (t) => {
  const root = await temporaryFolder()
  await chmod(root, 0o500)
  const store = await openFolderStore(root, deps)
  if (process.getuid?.() === 0) return t.pass('root may write anywhere')
  const error = await t.throwsAsync(() => store.put('a', bytes('1')), { instanceOf: HakiriError })
  t.is(error.code, 'STORE_AUTH')
})

test('folder: two processes that create the same key see one winner', async (t) => {
  const root = await temporaryFolder()
  const stores = await Promise.all(Array.from({ length: 8 }, () => openFolderStore(root, deps)))
  const outcomes = await Promise.all(
    stores.map((store, index) => store.put('a/b/c', bytes(String(index)), { ifAbsent: true })),
  )
  t.is(outcomes.filter((outcome) => outcome === 'created').length, 1)
})

test('openStore picks the adapter by type and resolves relative folders', async (t) => {
  const base = await temporaryFolder()
  const folder = await openStore({ type: 'file', url: 'lake', baseFolder: base }, deps)
  t.is(folder.url, join(base, 'lake'))
  const file = await openStore({ type: 'file', url: `file://${base}/x` }, deps)
  t.is(file.url, join(base, 'x'))
  const { endpoint, region, credentials } = shared
  const s3 = await openStore(
    { type: 's3', url: 's3://lake/opened', endpoint, region, credentials },
    deps,
  )
  await s3.put('k', bytes('v'))
  t.is(text(Buffer.from(shared.objects('lake').get('opened/k')?.body ?? '')), 'v')
  await s3[Symbol.asyncDispose]()
})

// Parts of the S3 store that need no server

const PLACES: readonly (readonly [Partial<S3Config>, string])[] = [
  [{ url: 's3://lake' }, 'https://lake.s3.eu-west-1.amazonaws.com/k%20%26'],
  [{ url: 's3://lake/a/b/' }, 'https://lake.s3.eu-west-1.amazonaws.com/a/b/k%20%26'],
  [{ url: 's3://my.lake/a' }, 'https://s3.eu-west-1.amazonaws.com/my.lake/a/k%20%26'],
  [{ endpoint: 'http://10.0.0.1:9000' }, 'http://10.0.0.1:9000/lake/k%20%26'],
  [{ endpoint: 'https://host/s3/' }, 'https://host/s3/lake/k%20%26'],
  [{ endpoint: 'https://host', pathStyle: false }, 'https://lake.host/k%20%26'],
]
test('s3: bucket, prefix and endpoint give the url of an object', (t) => {
  for (const [part, url] of PLACES) {
    const config = { url: 's3://lake', region: 'eu-west-1', credentials: undefined, ...part }
    t.is(objectUrl(locate(config), 'k &', {}).href, url)
  }
  for (const url of ['lake', 's3://', 's3://UPPER', 's3://lake//x', 's3://lake/../x', 's3://l/a b'])
    t.throws(() => locate({ url, region: 'r', credentials: undefined }), { code: 'CONFIG_INVALID' })
  for (const endpoint of ['host:9000', 'ftp://host', 'https://user:pass@host'])
    t.throws(() => locate({ url: 's3://lake', endpoint, region: 'r', credentials: undefined }), {
      code: 'CONFIG_INVALID',
    })
})

const ANSWERS: readonly (readonly [number, string, Code])[] = [
  [403, 'AccessDenied', 'STORE_AUTH'],
  [403, '', 'STORE_AUTH'],
  [401, '', 'STORE_AUTH'],
  [400, 'ExpiredToken', 'STORE_AUTH'],
  [403, 'RequestTimeTooSkewed', 'STORE_AUTH'],
  [404, 'NoSuchBucket', 'STORE_NOT_FOUND'],
  [404, 'NoSuchKey', 'STORE_NOT_FOUND'],
  [301, 'PermanentRedirect', 'STORE_REFUSED'],
  [400, 'AuthorizationHeaderMalformed', 'STORE_REFUSED'],
  [400, 'InvalidArgument', 'STORE_REFUSED'],
  [404, '', 'STORE_REFUSED'],
  [405, 'MethodNotAllowed', 'STORE_REFUSED'],
  [501, 'NotImplemented', 'STORE_REFUSED'],
  [400, 'RequestTimeout', 'STORE_UNREACHABLE'],
  [400, 'BadDigest', 'STORE_UNREACHABLE'],
  [409, 'OperationAborted', 'STORE_UNREACHABLE'],
  [429, '', 'STORE_UNREACHABLE'],
  [500, 'InternalError', 'STORE_UNREACHABLE'],
  [502, '', 'STORE_UNREACHABLE'],
  [503, 'SlowDown', 'STORE_UNREACHABLE'],
  [504, '', 'STORE_UNREACHABLE'],
]
test('s3: every class of answer has a code, says what was said, and names a next step', (t) => {
  const location = locate({ url: 's3://lake', region: 'r', credentials: undefined })
  const attempted = { what: 'write s3://lake/a', location, now: 0 }
  for (const [status, code, expected] of ANSWERS) {
    const headers = { 'retry-after': '7', 'x-amz-bucket-region': 'eu-north-1' }
    const answer = { status, headers, body: new Uint8Array() }
    const error = problemError(attempted, { code, message: 'words' }, answer)
    t.is(error.code, expected, `${status} ${code}`)
    t.true(error.message.startsWith(`Cannot write s3://lake/a: ${status} `))
    t.true(error.message.includes(code))
    t.truthy(error.suggestion)
    t.is(error.retryAfterMs, expected === 'STORE_UNREACHABLE' ? 7_000 : undefined)
    if (status === 301) t.regex(error.suggestion ?? '', /eu-north-1/)
  }
})

test('s3: an XML answer cut short at any byte is no answer', (t) => {
  const item = '<Contents><Key>a%2Fb</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>'
  const list = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3"><EncodingType>url</EncodingType><Prefix/><IsTruncated>false</IsTruncated>${item}${item}</ListBucketResult>`
  const page = parseListPage(bytes(list))
  t.deepEqual(
    page?.objects.map(({ key, bytes: size, etag }) => [key, size, etag]),
    [
      ['a/b', 3, 'e'],
      ['a/b', 3, 'e'],
    ],
  )
  const deleted = `<DeleteResult><Error><Key>k</Key><Code>InternalError</Code></Error></DeleteResult>`
  t.is(parseDeleteProblems(bytes(deleted))?.length, 1)
  t.deepEqual(parseDeleteProblems(bytes('<?xml version="1.0"?>\n<DeleteResult/>')), [])
  for (let length = 0; length < list.length; length++)
    t.is(parseListPage(bytes(list.slice(0, length))), undefined, list.slice(0, length))
  for (let length = 0; length < deleted.length; length++)
    t.is(parseDeleteProblems(bytes(deleted.slice(0, length))), undefined)
})

test('foreign keys can be listed and read, in a folder and in a bucket', async (t) => {
  const foreign = ['a b.csv', 'a&b<c>.csv', 'a+b.csv', 'año/ü%41.csv', "it's (1)!*.csv"]
  const root = await temporaryFolder()
  await mkdir(join(root, 'año'))
  for (const key of foreign) await writeFile(join(root, key), key)
  const config = configOf(shared, 's3://lake/foreign')
  const client = createS3Client(config, deps)
  for (const key of foreign)
    await client.send({ method: 'PUT', verb: 'write', key, body: bytes(key) })
  client.close()
  const cache = await temporaryFolder()
  for (const store of [await openFolderStore(root, deps), openS3Store(config, deps)]) {
    const listed = await Array.fromAsync(store.list(''))
    t.deepEqual(
      listed.map(({ key }) => key),
      foreign.toSorted(),
    )
    for (const key of foreign) {
      t.is(text(await store.get(key)), key)
      t.is((await store.head(key))?.bytes, bytes(key).length)
      t.is(text(await store.read(key, 0, 1000)), key)
      t.is((await readFile(await store.materialise(key, cache))).toString(), key)
      await t.throwsAsync(() => store.put(key, bytes('x')), { code: 'STORE_REFUSED' })
    }
    await store[Symbol.asyncDispose]()
  }
})

test('slots: never more at once than there are, in turn, and given back by failures', async (t) => {
  const slots = createSlots(2)
  const order: number[] = []
  let now = 0
  let most = 0
  const work = (index: number) => async (): Promise<void> => {
    order.push(index)
    most = Math.max(most, ++now)
    await new Promise((resolve) => setImmediate(resolve))
    now--
    if (index % 2 === 0) throw new Error('this one fails')
  }
  await Promise.allSettled(Array.from({ length: 9 }, (_, index) => slots.use(work(index))))
  t.is(most, 2)
  t.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8])
  await t.notThrowsAsync(() => slots.use(work(1)))
})

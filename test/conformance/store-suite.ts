/**
 * The executable specification of the object store port. An adapter passes it or is no object store;
 * its test file says only how to open one.
 */
import { randomBytes } from 'node:crypto'
import { access, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext, TestFn } from 'ava'
import { HakiriError } from '../../lib/error.ts'
import type { ObjectInfo, ObjectStore } from '../../sink/store/store.ts'

export type OpenedStore = {
  /** Empty, and nobody else's. */
  readonly store: ObjectStore
  /** A second, independent opening of the same place. */
  readonly again: () => Promise<ObjectStore>
  /** Exactly what probe() has to find out. */
  readonly conditionalPut: 'honoured' | 'ignored' | 'refused'
}

/** Declares the tests; `open` is called once for each. */
export function storeSuite(test: TestFn, name: string, open: () => Promise<OpenedStore>): void {
  const check = (
    claim: string,
    body: (t: ExecutionContext, opened: OpenedStore) => Promise<void>,
  ) =>
    test(`${name}: ${claim}`, async (t) => {
      const opened = await open()
      t.teardown(() => opened.store[Symbol.asyncDispose]())
      await body(t, opened)
    })
  objects(check)
  ranges(check)
  races(check)
  files(check)
  listings(check)
  keys(check)
  housekeeping(check)
}

type Check = (
  claim: string,
  body: (t: ExecutionContext, opened: OpenedStore) => Promise<void>,
) => void

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (body: Uint8Array | undefined): string | undefined =>
  body && new TextDecoder().decode(body)

async function collect(items: AsyncIterable<ObjectInfo>): Promise<readonly ObjectInfo[]> {
  return Array.fromAsync(items)
}
const listedKeys = async (items: AsyncIterable<ObjectInfo>): Promise<readonly string[]> =>
  (await collect(items)).map(({ key }) => key)

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-store-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function objects(check: Check): void {
  check('what was put is what is read, and put again replaces it', async (t, { store, again }) => {
    t.is(await store.put('a/b/c.json', bytes('one')), 'created')
    t.is(text(await store.get('a/b/c.json')), 'one')
    t.is(await store.put('a/b/c.json', bytes('second')), 'created')
    const other = await again()
    t.teardown(() => other[Symbol.asyncDispose]())
    t.is(text(await other.get('a/b/c.json')), 'second')
  })

  check('every byte value survives', async (t, { store }) => {
    const body = Uint8Array.from({ length: 1024 }, (_, index) => index % 256)
    await store.put('bytes', body)
    t.deepEqual(Buffer.from((await store.get('bytes')) ?? []), Buffer.from(body))
  })

  check('an empty object exists and is empty', async (t, { store }) => {
    await store.put('empty', new Uint8Array())
    t.is((await store.get('empty'))?.byteLength, 0)
    t.is((await store.head('empty'))?.bytes, 0)
    t.is((await store.read('empty', 0, 10)).byteLength, 0)
  })

  check('a missing object is undefined to get and head', async (t, { store }) => {
    t.is(await store.get('none'), undefined)
    t.is(await store.head('none/below'), undefined)
    await store.put('some/thing', bytes('x'))
    t.is(await store.get('some'), undefined)
    t.is(await store.head('some'), undefined)
  })

  check('head tells size, time and a tag that changes with the content', async (t, { store }) => {
    await store.put('h', bytes('12345'))
    const first = await store.head('h')
    t.is(first?.key, 'h')
    t.is(first?.bytes, 5)
    t.true(Math.abs((first?.modifiedAt ?? 0) - Date.now()) < 3_600_000)
    await store.put('h', bytes('54321'))
    t.not((await store.head('h'))?.etag, first?.etag)
  })
}

function ranges(check: Check): void {
  check('a range gives exactly its bytes, fewer at the end, none behind it', async (t, opened) => {
    const { store } = opened
    await store.put('r', bytes('0123456789'))
    t.is(text(await store.read('r', 0, 3)), '012')
    t.is(text(await store.read('r', 3, 4)), '3')
    t.is(text(await store.read('r', 7, 100)), '789')
    t.is(text(await store.read('r', 10, 20)), '')
    t.is(text(await store.read('r', 1000, 2000)), '')
    t.is(text(await store.read('r', 4, 4)), '')
  })

  check('reading a missing object is STORE_NOT_FOUND', async (t, { store }) => {
    const cache = await temporaryFolder(t)
    const calls = [() => store.read('none', 0, 5), () => store.materialise('none', cache)]
    for (const call of calls) {
      const error = await t.throwsAsync(call, { instanceOf: HakiriError })
      t.is(error.code, 'STORE_NOT_FOUND')
    }
  })
}

function races(check: Check): void {
  check('ifAbsent finds a taken key and leaves it alone', async (t, { store }) => {
    t.is(await store.put('once', bytes('first'), { ifAbsent: true }), 'created')
    t.is(await store.put('once', bytes('second'), { ifAbsent: true }), 'exists')
    t.is(text(await store.get('once')), 'first')
  })

  check('of 20 writers that race with ifAbsent exactly one creates', async (t, opened) => {
    const other = await opened.again()
    t.teardown(() => other[Symbol.asyncDispose]())
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const store = index % 2 === 0 ? opened.store : other
        const body = `writer ${index}`
        return { body, outcome: await store.put('race', bytes(body), { ifAbsent: true }) }
      }),
    )
    const winners = outcomes.filter(({ outcome }) => outcome === 'created').map(({ body }) => body)
    const held = text(await opened.store.get('race')) ?? ''
    t.true(winners.includes(held), 'the object is that of a writer that was told so')
    if (opened.conditionalPut === 'honoured') t.is(winners.length, 1)
    else t.true(winners.length >= 1)
  })

  check('a reader beside a writer sees whole objects only', async (t, { store }) => {
    const versions = ['a', 'b', 'c'].map((letter) => letter.repeat(200_000))
    await store.put('torn', bytes(versions[0]!))
    let isWriting = true
    const writing = (async () => {
      for (let round = 0; round < 15; round++)
        await store.put('torn', bytes(versions[round % versions.length]!))
      isWriting = false
    })()
    while (isWriting) t.true(versions.includes(text(await store.get('torn')) ?? ''))
    await writing
  })
}

function files(check: Check): void {
  check('putFile of 20 MB brings every byte and takes the local file', async (t, { store }) => {
    const folder = await temporaryFolder(t)
    const local = join(folder, 'big')
    const body = randomBytes(20_000_003)
    const key = 'deep/er=a%2Fb/big.parquet'
    await writeFile(local, body)
    await store.putFile(key, local)
    await t.throwsAsync(() => access(local), { code: 'ENOENT' })
    t.is((await store.head(key))?.bytes, body.length)
    const back = await store.get(key)
    t.is(Buffer.compare(back ?? new Uint8Array(), body), 0)
  })

  check('putFile takes small and empty files and replaces what was there', async (t, { store }) => {
    const folder = await temporaryFolder(t)
    for (const content of ['', 'small', 'other']) {
      await writeFile(join(folder, 'file'), content)
      await store.putFile('f', join(folder, 'file'))
      t.is(text(await store.get('f')), content)
    }
  })

  check('a local file that is missing is an error that names it', async (t, { store }) => {
    const missing = join(await temporaryFolder(t), 'not-here')
    const error = await t.throwsAsync(() => store.putFile('f', missing), {
      instanceOf: HakiriError,
    })
    t.true(error.message.includes(missing))
    t.is(await store.head('f'), undefined)
  })

  check(
    'materialise gives a local file with the same bytes, again and again',
    async (t, opened) => {
      const { store } = opened
      const cache = join(await temporaryFolder(t), 'not', 'yet', 'there')
      const body = randomBytes(9_000_001)
      await store.put('m/x.parquet', body)
      await store.put('m/empty', new Uint8Array())
      const path = await store.materialise('m/x.parquet', cache)
      t.is(Buffer.compare(await readFile(path), body), 0)
      const { mtimeMs } = await stat(path)
      t.is(await store.materialise('m/x.parquet', cache), path)
      t.is((await stat(path)).mtimeMs, mtimeMs, 'not fetched a second time')
      t.is((await readFile(await store.materialise('m/empty', cache))).length, 0)
    },
  )
}

function listings(check: Check): void {
  check('list gives keys in byte order, below the prefix, after startAfter', async (t, opened) => {
    const { store } = opened
    const unordered = [
      'b',
      'a/x',
      'a.b',
      'a-b',
      'a0',
      'A',
      'a/b/c',
      'a/b',
      'a_',
      'a/b=1/z',
      'a/b=%2F/z',
      'a/b=%25/z',
      '_log/1',
    ]
    // A folder cannot hold both a file "a/b" and files below it.
    const written = unordered.filter((key) => key !== 'a/b')
    for (const key of written) await store.put(key, bytes(key))
    const sorted = written.toSorted()
    t.deepEqual(await listedKeys(store.list('')), sorted)
    for (const prefix of [
      'a',
      'a/',
      'a/b',
      'a/b/',
      'none',
      'a/b=1/',
      'a/b=%2',
      'a/b=%25/',
      '_log/',
    ])
      t.deepEqual(
        await listedKeys(store.list(prefix)),
        sorted.filter((key) => key.startsWith(prefix)),
      )
    for (const after of ['', 'A', 'a', 'a-b', 'a/', 'a/b', 'a/b/c', 'a/b=%25/z', 'a/zzz', 'zzz'])
      t.deepEqual(
        await listedKeys(store.list('', after)),
        sorted.filter((key) => key > after),
      )
    t.deepEqual(await listedKeys(store.list('a/', 'a/b=%2F/z')), ['a/b=1/z', 'a/x'])
  })

  check('list tells the same facts as head', async (t, { store }) => {
    await store.put('facts/one', bytes('12345'))
    const [listed] = await collect(store.list('facts/'))
    const head = await store.head('facts/one')
    t.is(listed?.bytes, 5)
    t.is(listed?.etag, head?.etag)
    t.true(Math.abs((listed?.modifiedAt ?? 0) - (head?.modifiedAt ?? 0)) < 1_000)
  })

  check('list goes on past 1000 keys, with none missing and none twice', async (t, { store }) => {
    const written = Array.from(
      { length: 1_050 },
      (_, index) => `p/${String(index).padStart(6, '0')}`,
    )
    for (let from = 0; from < written.length; from += 50)
      await Promise.all(
        written.slice(from, from + 50).map((key) => store.put(key, new Uint8Array())),
      )
    t.deepEqual(await listedKeys(store.list('p/')), written)
    t.deepEqual(await listedKeys(store.list('p/', written[20])), written.slice(21))
    await store.delete(written)
    t.deepEqual(await listedKeys(store.list('')), [])
  })

  check('list shows finished objects only, while others are being written', async (t, opened) => {
    const { store } = opened
    const folder = await temporaryFolder(t)
    await writeFile(join(folder, 'f'), randomBytes(9_000_000))
    let isWriting = true
    const writing = Promise.all([
      store.putFile('w/file', join(folder, 'f')),
      ...Array.from({ length: 10 }, (_, index) => store.put(`w/${index}`, bytes('12345'))),
    ]).finally(() => (isWriting = false))
    while (isWriting)
      for (const { key, bytes: size } of await collect(store.list(''))) {
        t.true(key.startsWith('w/'), key)
        t.is(size, key === 'w/file' ? 9_000_000 : 5)
      }
    await writing
    t.is((await listedKeys(store.list(''))).length, 11)
  })
}

function keys(check: Check): void {
  const bad = [
    '',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    '.',
    'a/./b',
    '_tmp/a',
    'a b',
    'ä',
    'a\n',
    'a\0b',
  ]
  bad.push('a%', 'a%2', '%G0', '%2E%2E/a', 'a/.%2E', 'a/%2E/b')
  bad.push('a?b', 'a#b', 'a%2fb', 'a\\b', `${'x'.repeat(256)}`, `${'abc/'.repeat(300)}d`)

  check(
    'keys that break the rules are refused by name and nothing is written',
    async (t, opened) => {
      const { store } = opened
      const folder = await temporaryFolder(t)
      await writeFile(join(folder, 'f'), 'x')
      for (const key of bad) {
        const calls = [
          () => store.put(key, bytes('x')),
          () => store.put(key, bytes('x'), { ifAbsent: true }),
          () => store.putFile(key, join(folder, 'f')),
          () => store.delete(['fine', key]),
        ]
        for (const call of calls) {
          const error = await t.throwsAsync(call, { instanceOf: HakiriError }, JSON.stringify(key))
          t.is(error.code, 'STORE_REFUSED')
          t.regex(error.message, /is no valid object key/)
        }
      }
      t.deepEqual(await listedKeys(store.list('')), [])
      await access(join(folder, 'f'))
    },
  )

  check('reading cannot leave the root either', async (t, { store }) => {
    for (const key of ['../a', 'a/../../b', '/etc/passwd', '_tmp/x', '']) {
      for (const call of [() => store.get(key), () => store.head(key), () => store.read(key, 0, 1)])
        t.is((await t.throwsAsync(call, { instanceOf: HakiriError })).code, 'STORE_REFUSED')
    }
    for (const prefix of ['../', '/etc/', 'a/../b'])
      await t.throwsAsync(() => collect(store.list(prefix)), { instanceOf: HakiriError })
  })

  check('every allowed character works in every operation', async (t, { store }) => {
    const cache = await temporaryFolder(t)
    const key = 'AZaz09._=-/day=2026-01-31/part-0.c000.zstd.parquet'
    const encoded = 'country=a%2Fb%20c%3D%25%00%C3%AB%252F%2B/part%2E%2E-0.parquet'
    const longest = `${'n'.repeat(255)}/${'m'.repeat(200)}`
    for (const legal of [key, encoded, longest]) {
      t.is(await store.put(legal, bytes('x'), { ifAbsent: true }), 'created')
      t.is(text(await store.get(legal)), 'x')
      t.is((await store.head(legal))?.bytes, 1)
      t.is((await readFile(await store.materialise(legal, cache))).toString(), 'x')
      t.deepEqual(await listedKeys(store.list(legal)), [legal])
      await store.delete([legal])
      t.is(await store.head(legal), undefined)
    }
  })
}

function housekeeping(check: Check): void {
  check('delete removes what is there and accepts what is not', async (t, { store }) => {
    for (const key of ['d/1', 'd/2', 'e/3']) await store.put(key, bytes('x'))
    await store.delete([])
    await store.delete(['d/1', 'd/none', 'none'])
    t.deepEqual(await listedKeys(store.list('')), ['d/2', 'e/3'])
    await store.delete(['d/1', 'd/2', 'd'])
    t.deepEqual(await listedKeys(store.list('')), ['e/3'])
    t.is(await store.put('d/1', bytes('again'), { ifAbsent: true }), 'created')
  })

  check('probe finds out about conditional writes and cleans up', async (t, opened) => {
    const { store, conditionalPut } = opened
    const probe = await store.probe()
    t.is(probe.conditionalPut, conditionalPut)
    t.true(probe.notes.length >= 2)
    t.deepEqual(await listedKeys(store.list('')), [])
  })

  check('the url names the place and holds no credentials', async (t, { store }) => {
    t.regex(store.url, /^(\/|s3:\/\/)/)
    t.notRegex(store.url, /@|key|secret/)
    await t.notThrowsAsync(() => store.put('u', bytes('x')))
  })
}

/** The image in memory and on LevelDB; what damage and the end of its process leave of the latter. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { HakiriError } from '../../lib/error.ts'
import { imageMark, imageSuite, loaded, put } from '../../test/conformance/image-suite.ts'
import { imageAfter, imageBatch } from '../../test/support/image-writer.ts'
import { createMemoryImage } from '../../test/support/memory-image.ts'
import { openImage } from './level-image.ts'
import { createCounter, EMPTY_TALLY, isSameTally } from './tally.ts'

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-image-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

imageSuite(test, 'memory', () => Promise.resolve(createMemoryImage()))
imageSuite(test, 'level', async (t) => {
  const folder = join(await temporaryFolder(t), 'image')
  return { open: () => openImage({ folder }) }
})

test('a tally does not depend on the order, and every record counts', (t) => {
  const given = [put('a', '1'), put('ab', ''), put('b', 'a'), put('long key', 'long value')]
  const tallyOf = (records: readonly ReturnType<typeof put>[]) => {
    const counter = createCounter(EMPTY_TALLY)
    for (const { key, value } of records) counter.add(key, value)
    return counter
  }
  const whole = tallyOf(given).tally()
  t.true(isSameTally(tallyOf(given.toReversed()).tally(), whole))
  const without = tallyOf([...given, put('x', 'y')])
  without.remove(Buffer.from('x'), Buffer.from('y'))
  t.true(isSameTally(without.tally(), whole))
  const others = [put('a', '2'), put('a1', ''), put('', 'a1'), put('b', '1'), put('a', '1\0')]
  const seen = new Set(others.map((other) => JSON.stringify(tallyOf([other]).tally())))
  t.is(seen.add(JSON.stringify(tallyOf([put('a', '1')]).tally())).size, 6)
})

/** A synced image of `batches` batches in a folder of its own, closed. */
async function closedImage(t: ExecutionContext, batches: number): Promise<string> {
  const folder = await temporaryFolder(t)
  const image = await openImage({ folder })
  for (let index = 1; index <= batches; index++) await image.write(imageBatch(index))
  await image.sync()
  await image.close()
  return folder
}

const filesOf = async (folder: string, ending: string): Promise<readonly string[]> =>
  (await readdir(join(folder, 'image-1')))
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, 'image-1', name))

test('a log of LevelDB that ends early gives an earlier image, whole', async (t) => {
  const folder = await closedImage(t, 40)
  const [log = ''] = await filesOf(folder, '.log')
  const bytes = await readFile(log)
  const found = new Set<number>()
  for (let length = bytes.length; length >= 0; length -= 997) {
    const cut = await temporaryFolder(t)
    await cp(folder, cut, { recursive: true })
    await truncate(log.replace(folder, cut), length)
    const image = await openImage({ folder: cut })
    const index = image.mark?.index ?? 0
    t.deepEqual(await loaded(image), imageAfter(index))
    found.add(index)
    await image.close()
  }
  t.true(found.size > 10 && found.has(40))
})

test('a log of LevelDB that lost its middle is refused, never half believed', async (t) => {
  const folder = await closedImage(t, 400)
  const [log = ''] = await filesOf(folder, '.log')
  const bytes = await readFile(log)
  t.true(bytes.length > 3 * 32768, 'LevelDB leaves out blocks of this size')
  let refused = 0
  for (let at = 100; at < bytes.length; at += 7919) {
    const damaged = Buffer.from(bytes)
    damaged[at]! ^= 0x10
    await writeFile(log, damaged)
    const copy = await temporaryFolder(t)
    await cp(folder, copy, { recursive: true })
    const outcome = await openAndLoad(copy)
    if (outcome instanceof HakiriError) {
      t.is(outcome.code, 'IMAGE_DAMAGED')
      t.regex(outcome.suggestion ?? '', /hakiri ctl member replace/)
      refused++
    } else t.deepEqual(outcome.records, imageAfter(outcome.index))
  }
  t.true(refused > 5, `${refused} refused`)
})

async function openAndLoad(folder: string) {
  try {
    const image = await openImage({ folder })
    try {
      return { index: image.mark?.index ?? 0, records: await loaded(image) }
    } finally {
      await image.close()
    }
  } catch (error) {
    if (error instanceof HakiriError) return error
    throw error
  }
}

test('tables that are damaged or gone, and a pointer that is, are refused', async (t) => {
  const folder = await closedImage(t, 2500)
  const tables = await filesOf(folder, '.ldb')
  t.true(tables.length > 0)
  const table = tables[0]!
  const bytes = await readFile(table)
  const damage: readonly (readonly [string, () => Promise<void>])[] = [
    [
      'a flipped bit',
      () => writeFile(table, bytes.with(bytes.length >> 1, bytes[bytes.length >> 1]! ^ 1)),
    ],
    ['an empty table', () => writeFile(table, '')],
    ['no table', () => rm(table)],
    ['no list of tables', () => rm(join(folder, 'image-1', 'CURRENT'))],
    ['no image', () => rename(join(folder, 'image-1'), join(folder, 'image-x'))],
    ['a pointer to nowhere', () => writeFile(join(folder, 'current'), 'nonsense')],
  ]
  for (const [what, act] of damage) {
    const copy = await temporaryFolder(t)
    await cp(folder, copy, { recursive: true })
    await act()
    const outcome = await openAndLoad(folder)
    t.is(outcome instanceof HakiriError && outcome.code, 'IMAGE_DAMAGED', what)
    await rm(folder, { recursive: true })
    await cp(copy, folder, { recursive: true })
  }
  const whole = await openAndLoad(folder)
  t.true(!(whole instanceof HakiriError) && whole.index === 2500)
})

test('what a crash leaves of an installation is rubbish: the pointer decides', async (t) => {
  const folder = await closedImage(t, 3)
  await cp(join(folder, 'image-1'), join(folder, 'image-2'), { recursive: true })
  await writeFile(join(folder, 'current.tmp'), 'image-2\n')
  let image = await openImage({ folder })
  t.deepEqual((await readdir(folder)).toSorted(), ['current', 'image-1'])
  await image.install(
    imageMark(70),
    (async function* () {
      yield await Promise.resolve([put('k', 'v')])
    })(),
  )
  t.deepEqual((await readdir(folder)).toSorted(), ['current', 'image-2'])
  await image.close()
  image = await openImage({ folder })
  t.deepEqual(await loaded(image), ['k=v'])
  await image.close()
})

test('a second opening is refused until the first has ended', async (t) => {
  const folder = await closedImage(t, 1)
  const image = await openImage({ folder })
  const error = await t.throwsAsync(openImage({ folder }), { instanceOf: HakiriError })
  t.is(error?.code, 'DATA_LOCKED')
  t.is((await loaded(image)).length, imageAfter(1).length)
  await image.close()
})

test('a process that is killed leaves a whole image with all it was told is written', async (t) => {
  const folder = join(await temporaryFolder(t), 'image')
  let written = 0
  for (let round = 1; round <= 6; round++) {
    const child = spawn(
      process.execPath,
      [new URL('../../test/support/image-writer.ts', import.meta.url).pathname, folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const target = written + round * 130
    for await (const line of createInterface({ input: child.stdout })) {
      written = Number(line)
      if (written >= target && !child.killed) child.kill('SIGKILL')
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    const image = await openImage({ folder })
    const index = image.mark?.index ?? 0
    t.true(index >= written, `${written} were written, ${index} are there`)
    t.deepEqual(await loaded(image), imageAfter(index))
    await image.close()
  }
})

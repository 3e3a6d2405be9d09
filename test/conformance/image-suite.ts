/** The executable specification of the image of the state; its test file says only how to open one. */
import type { ExecutionContext, TestFn } from 'ava'
import type { Image, ImageRecord } from '../../coord/image/image.ts'
import type { SnapshotMark } from '../../coord/raft/types.ts'
import { HakiriError } from '../../lib/error.ts'

/** A place for one image; it keeps what is durable between openings. */
export type ImagePlace = { open(): Promise<Image> }

const VOTERS = [1n, 2n ** 64n - 1n]
export const imageMark = (index: number, term = 1): SnapshotMark => ({
  index,
  term,
  membership: {
    voters: VOTERS,
    outgoing: [3n],
    learners: [4n],
    learnersNext: [3n],
    autoLeave: true,
  },
})

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
export const put = (key: string, value: string) => ({ key: bytes(key), value: bytes(value) })
export const gone = (key: string) => ({ key: bytes(key), value: undefined })

const ALWAYS = new AbortController().signal

/** All records as `key=value`, in the order in which they come. */
export async function texts(
  portions: AsyncIterable<readonly ImageRecord[]>,
): Promise<readonly string[]> {
  const all: string[] = []
  for await (const portion of portions)
    for (const { key, value } of portion)
      all.push(`${Buffer.from(key).toString('latin1')}=${Buffer.from(value).toString('latin1')}`)
  return all
}

export const loaded = (image: Image): Promise<readonly string[]> => texts(image.load(ALWAYS))

async function* portions(...all: readonly (readonly ImageRecord[])[]) {
  for (const portion of all) yield await Promise.resolve(portion)
}

type Check = (
  claim: string,
  body: (t: ExecutionContext, place: ImagePlace) => Promise<void>,
) => void

/** Declares the tests; `open` makes a new, empty place for each. */
export function imageSuite(
  test: TestFn,
  name: string,
  open: (t: ExecutionContext) => Promise<ImagePlace>,
): void {
  const check: Check = (claim, body) =>
    test(`${name}: ${claim}`, async (t) => body(t, await open(t)))
  writing(check)
  views(check)
  installing(check)
}

async function reopened(place: ImagePlace, image: Image): Promise<Image> {
  await image.close()
  return place.open()
}

function writing(check: Check): void {
  check('a fresh one has no mark and no records', async (t, place) => {
    let image = await place.open()
    t.is(image.mark, undefined)
    t.is(await image.sync(), undefined)
    t.deepEqual(await loaded(image), [])
    image = await reopened(place, image)
    t.is(image.mark, undefined)
    t.deepEqual(await loaded(image), [])
    await image.close()
  })

  check('records come back in the order of their keys, with the mark', async (t, place) => {
    let image = await place.open()
    const changes = [put('b', '2'), put('\xff\x00', 'high'), put('a', ''), put('\x00', 'low')]
    await image.write({ mark: imageMark(7, 3), changes })
    t.deepEqual(image.mark, imageMark(7, 3))
    t.deepEqual(await image.sync(), imageMark(7, 3))
    image = await reopened(place, image)
    t.deepEqual(image.mark, imageMark(7, 3))
    t.deepEqual(await loaded(image), ['\x00=low', 'a=', 'b=2', '\xff\x00=high'])
    await image.close()
  })

  check('later batches replace and remove; the last change of a key counts', async (t, place) => {
    let image = await place.open()
    await image.write({
      mark: imageMark(1),
      changes: [put('a', '1'), put('b', '1'), put('c', '1')],
    })
    await image.write({
      mark: imageMark(2),
      changes: [put('a', '2'), gone('b'), gone('never'), put('d', '1'), gone('d'), put('c', '2')],
    })
    await image.write({ mark: imageMark(3), changes: [gone('c'), put('c', '3'), put('e', '9')] })
    await image.write({ mark: imageMark(4), changes: [] })
    await image.sync()
    image = await reopened(place, image)
    t.deepEqual(image.mark, imageMark(4))
    t.deepEqual(await loaded(image), ['a=2', 'c=3', 'e=9'])
    await image.close()
  })

  check('batches that are given together are written in their order', async (t, place) => {
    let image = await place.open()
    const nth = Array.from({ length: 60 }, (_, index) => index + 1)
    await Promise.all(
      nth.map((index) =>
        image.write({
          mark: imageMark(index),
          changes: [put('k', `${index}`), put(`n${index % 7}`, 'x')],
        }),
      ),
    )
    t.deepEqual(await image.sync(), imageMark(60))
    image = await reopened(place, image)
    t.is((await loaded(image))[0], 'k=60')
    t.is((await loaded(image)).length, 8)
    await image.close()
  })

  check('many records come in portions, and a load can be called off', async (t, place) => {
    const image = await place.open()
    const changes = Array.from({ length: 3000 }, (_, nth) =>
      put(`k${String(nth).padStart(5, '0')}`, 'v'.repeat(200)),
    )
    await image.write({ mark: imageMark(1), changes })
    t.is((await loaded(image)).length, 3000)
    const controller = new AbortController()
    const portions = image.load(controller.signal)[Symbol.asyncIterator]()
    const first = await portions.next()
    t.true(!first.done && first.value.length < 3000)
    controller.abort(new Error('called off'))
    await t.throwsAsync(portions.next(), { message: 'called off' })
    await image.close()
  })
}

function views(check: Check): void {
  check('a view stays as it was while batches follow', async (t, place) => {
    const image = await place.open()
    await image.write({ mark: imageMark(5), changes: [put('a', '1'), put('b', '22')] })
    const view = await image.view()
    await image.write({ mark: imageMark(6), changes: [gone('a'), put('c', '3')] })
    t.deepEqual(view.mark, imageMark(5))
    t.is(view.sizeBytes, 5)
    t.deepEqual(await texts(view.records(ALWAYS)), ['a=1', 'b=22'])
    t.deepEqual(await texts(view.records(ALWAYS)), ['a=1', 'b=22'], 'and again')
    t.deepEqual(await loaded(image), ['b=22', 'c=3'])
    await view[Symbol.asyncDispose]()
    await view[Symbol.asyncDispose]()
    await image.close()
  })

  check('a view outlives the image that it was taken of', async (t, place) => {
    const image = await place.open()
    await image.write({ mark: imageMark(5), changes: [put('a', '1')] })
    const view = await image.view()
    await image.install(imageMark(9), portions([put('z', '9')]))
    t.deepEqual(await texts(view.records(ALWAYS)), ['a=1'])
    await view[Symbol.asyncDispose]()
    t.deepEqual(await loaded(image), ['z=9'])
    await image.close()
  })
}

function installing(check: Check): void {
  check('an installed image replaces all there was, and is durable', async (t, place) => {
    let image = await place.open()
    await image.write({ mark: imageMark(5), changes: [put('a', '1'), put('b', '2')] })
    await image.install(imageMark(90, 4), portions([put('b', 'new')], [], [put('c', 'new')]))
    t.deepEqual(image.mark, imageMark(90, 4))
    image = await reopened(place, image)
    t.deepEqual(image.mark, imageMark(90, 4))
    t.deepEqual(await loaded(image), ['b=new', 'c=new'])
    await image.write({ mark: imageMark(91, 4), changes: [put('b', 'newer'), gone('c')] })
    await image.sync()
    image = await reopened(place, image)
    t.deepEqual(await loaded(image), ['b=newer'])
    await image.close()
  })

  check('an image that does not arrive whole changes nothing', async (t, place) => {
    let image = await place.open()
    await image.write({ mark: imageMark(5), changes: [put('a', '1')] })
    await image.sync()
    const broken = async function* () {
      yield await Promise.resolve([put('x', 'new')])
      throw new Error('the sender has gone')
    }
    await t.throwsAsync(image.install(imageMark(90), broken()), { message: 'the sender has gone' })
    t.deepEqual(image.mark, imageMark(5))
    await image.write({ mark: imageMark(6), changes: [put('b', '2')] })
    await image.sync()
    image = await reopened(place, image)
    t.deepEqual(image.mark, imageMark(6))
    t.deepEqual(await loaded(image), ['a=1', 'b=2'])
    await image.close()
  })

  check('records that come out of order, or twice, are no image', async (t, place) => {
    const image = await place.open()
    await image.write({ mark: imageMark(5), changes: [put('a', '1')] })
    for (const wrong of [
      [put('c', '1'), put('b', '1')],
      [put('c', '1'), put('c', '1')],
    ]) {
      const error = await t.throwsAsync(image.install(imageMark(90), portions(wrong)))
      t.is(error instanceof HakiriError && error.code, 'IMAGE_DAMAGED')
    }
    t.deepEqual(await loaded(image), ['a=1'])
    await image.close()
  })

  check('writes that are given while one is installed come after it', async (t, place) => {
    const image = await place.open()
    await image.write({ mark: imageMark(1), changes: [put('a', '1')] })
    const installed = image.install(imageMark(50), portions([put('m', '1')]))
    await installed
    const written = image.write({ mark: imageMark(51), changes: [put('n', '1')] })
    await image.install(imageMark(60), portions([put('o', '1')], [put('p', '1')]))
    await written
    t.deepEqual(image.mark, imageMark(60))
    t.deepEqual(await loaded(image), ['o=1', 'p=1'])
    await image.close()
  })
}

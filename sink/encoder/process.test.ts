import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { HakiriError, isRetryable } from '../../lib/error.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { column, never, openEncoder, planOf, readRows } from '../../test/support/encoder.ts'
import type { EncoderBench } from '../../test/support/encoder.ts'
import { createChildLink } from './child-link.ts'
import type { LinkOptions } from './child-link.ts'
import type { EncodeJob } from './encoder.ts'
import { createLane } from './lane.ts'

const ID = column(1, 'id', 'long')
const TEXT = column(2, 'text', 'string')

/** A batch that takes seconds, and one that takes none. */
const LONG_ROWS = 300_000
const longText = Array.from({ length: LONG_ROWS }, (_, id) => `${id},text ${id} ${id * 7}\n`).join(
  '',
)

let bench: EncoderBench
let longPath: string
/** So long that a machine busy with other things cannot bring it to its end meanwhile. */
let longestPath: string
let shortPath: string
test.before(async () => {
  bench = await openEncoder()
  longPath = await bench.file(longText)
  longestPath = await bench.file(longText.repeat(10))
  shortPath = await bench.file('1,a\n')
})
test.after.always(async () => bench[Symbol.asyncDispose]())

const jobOf = async (path: string): Promise<EncodeJob> => ({
  input: { format: 'csv', path, columns: [ID, TEXT] },
  plan: planOf([ID, TEXT]),
  outFolder: await bench.outFolder(),
})

async function linkFor(t: ExecutionContext, more: Partial<LinkOptions> = {}) {
  const tempFolder = join(bench.folder, `temp-${t.title.replaceAll(/\W+/g, '-').slice(0, 40)}`)
  await mkdir(tempFolder)
  const link = createChildLink({
    memoryBytes: 256e6,
    tempFolder,
    child: { kind: 'file', file: new URL('./child.ts', import.meta.url) },
    clock: systemClock,
    logger: silentLogger,
    graceMs: 60_000,
    ...more,
  })
  t.teardown(() => link[Symbol.asyncDispose]())
  return { link, tempFolder }
}

/** Resolves once the job has begun to write a file. */
async function writing({ outFolder }: EncodeJob): Promise<void> {
  const watcher = watch(outFolder)
  const event = once(watcher, 'change')
  if ((await readdir(outFolder)).length === 0) await event
  watcher.close()
}

test.serial(
  'a process killed in the middle of a job fails that job for another try, and is replaced',
  async (t) => {
    const { link } = await linkFor(t)
    const job = await jobOf(longPath)
    const failed = t.throwsAsync<HakiriError>(link.call({ kind: 'encode', job }, never), {
      code: 'ENCODER_LOST',
      message: /SIGKILL/,
    } as object)
    await writing(job)
    const pid = link.pid()!
    process.kill(pid, 'SIGKILL')
    t.true(isRetryable(await failed))
    const again = await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
    t.is(again.kind, 'encoded')
    t.not(link.pid(), pid)
  },
)

test.serial('a cancelled job stops at once, and its process goes on', async (t) => {
  const { link } = await linkFor(t)
  const job = await jobOf(longPath)
  const stop = new AbortController()
  const why = new Error('enough')
  const failed = t.throwsAsync(link.call({ kind: 'encode', job }, stop.signal), { is: why })
  await writing(job)
  const pid = link.pid()
  stop.abort(why)
  await failed
  await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
  t.is(link.pid(), pid)
})

test.serial(
  'a process that does not react to a cancel is killed after the grace time',
  async (t) => {
    const { link } = await linkFor(t, { graceMs: 20 })
    const job = await jobOf(longPath)
    const stop = new AbortController()
    const failed = t.throwsAsync(link.call({ kind: 'encode', job }, stop.signal), {
      name: 'AbortError',
    })
    await writing(job)
    process.kill(link.pid()!, 'SIGSTOP')
    stop.abort()
    await failed
    const again = await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
    t.is(again.kind, 'encoded')
  },
)

test.serial('closing ends the process and removes its folder', async (t) => {
  const { link, tempFolder } = await linkFor(t)
  await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
  const pid = link.pid()!
  t.is((await readdir(tempFolder)).length, 1)
  t.true(link.peakBytes() > 50e6)
  await link[Symbol.asyncDispose]()
  t.false(existsSync(`/proc/${pid}`))
  t.deepEqual(await readdir(tempFolder), [])
})

test.serial('closing in the middle of a job fails the job', async (t) => {
  const { link } = await linkFor(t)
  const job = await jobOf(longPath)
  const failed = t.throwsAsync(link.call({ kind: 'encode', job }, never), {
    instanceOf: HakiriError,
  })
  await writing(job)
  await link[Symbol.asyncDispose]()
  await failed
  const again = link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
  await t.throwsAsync(again, { code: 'CANCELLED' }, 'whoever tries again starts no other process')
  t.is(link.pid(), undefined)
})

test.serial('Ctrl-C and SIGTERM are left to the parent to act on', async (t) => {
  const { link } = await linkFor(t)
  await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
  const pid = link.pid()!
  const job = await jobOf(longPath)
  const running = link.call({ kind: 'encode', job }, never)
  await writing(job)
  process.kill(pid, 'SIGINT')
  process.kill(pid, 'SIGTERM')
  t.like(await running, { kind: 'encoded', rows: LONG_ROWS })
  t.is(link.pid(), pid)
})

test.serial('the process ends by itself when its parent is killed', async (t) => {
  const job = await jobOf(longestPath)
  const { tempFolder } = await linkFor(t)
  const program = `
    import { createChildLink } from ${JSON.stringify(new URL('./child-link.ts', import.meta.url).href)}
    process.once('message', (job) => {
      const link = createChildLink({
        memoryBytes: 256e6, tempFolder: ${JSON.stringify(tempFolder)}, graceMs: 1000,
        child: { kind: 'file', file: new URL(${JSON.stringify(new URL('./child.ts', import.meta.url).href)}) },
        clock: { sleep: () => new Promise(() => undefined) }, logger: { log: () => undefined },
      })
      void link.call({ kind: 'encode', job }, new AbortController().signal)
      const told = setInterval(() => {
        if (link.pid() === undefined) return
        clearInterval(told)
        process.send(link.pid())
      }, 5)
    })`
  const path = join(bench.folder, 'parent.mjs')
  await writeFile(path, program)
  const parent = fork(path, { serialization: 'advanced' })
  parent.send(job)
  const [pid] = (await once(parent, 'message')) as [number]
  await writing(job)
  t.true(existsSync(`/proc/${pid}`))
  parent.kill('SIGKILL')
  await once(spawn('tail', [`--pid=${pid}`, '-s', '0.05', '-f', '/dev/null']), 'exit')
  t.false(existsSync(`/proc/${pid}`))
  t.deepEqual(await readdir(tempFolder), [])
  const written = await Promise.all(
    (await readdir(job.outFolder)).map((name) => readFile(join(job.outFolder, name), 'latin1')),
  )
  t.false(
    written.some((text) => text.endsWith('PAR1')),
    'the job went on to its end',
  )
})

test.serial('the process gets nothing of the environment but its allocator setting', async (t) => {
  const { link } = await linkFor(t)
  await link.call({ kind: 'encode', job: await jobOf(shortPath) }, never)
  const environment = (await readFile(`/proc/${link.pid()}/environ`, 'latin1')).split('\0')
  const names = environment.map((entry) => entry.split('=')[0]).filter((name) => name !== '')
  const expected = ['MALLOC_ARENA_MAX', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE']
  t.deepEqual(new Set(names), new Set(expected))
})

test.serial(
  'several processes share the jobs; a batch is encoded where it was inspected',
  async (t) => {
    await using pair = await openEncoder({ children: 2 })
    const paths = await Promise.all(
      Array.from({ length: 6 }, (_, index) => pair.file(`{"id":${index}}\n`.repeat(20_000))),
    )
    const outcomes = await Promise.all(
      paths.map(async (path) => {
        await pair.encoder.inspect({ format: 'ndjson', path }, never)
        return pair.encode({ format: 'ndjson', path }, planOf([ID]))
      }),
    )
    const firsts = await Promise.all(
      outcomes.map(async (outcome) =>
        outcome.kind === 'encoded' ? (await readRows(outcome.files[0]!, [ID]))[0]!['id'] : 'misfit',
      ),
    )
    t.deepEqual(firsts, [0n, 1n, 2n, 3n, 4n, 5n])
    t.is((await readdir(join(pair.folder, 'temp'))).length, 2)
  },
)

test.serial('an idle process is ended, and the next call starts one', async (t) => {
  await using idle = await openEncoder({ idleMs: 0 })
  const temp = join(idle.folder, 'temp')
  await idle.encode({ format: 'csv', path: shortPath, columns: [ID, TEXT] }, planOf([ID, TEXT]))
  const watcher = watch(temp)
  const gone = once(watcher, 'change')
  while ((await readdir(temp)).length > 0) await gone
  watcher.close()
  const again = await idle.encode(
    { format: 'csv', path: shortPath, columns: [ID, TEXT] },
    planOf([ID, TEXT]),
  )
  t.is(again.kind, 'encoded')
})

test.serial(
  'a temporary folder that is gone is an error with a code, and is no error once it is back',
  async (t) => {
    const { link, tempFolder } = await linkFor(t)
    await rm(tempFolder, { recursive: true })
    const job = await jobOf(shortPath)
    await t.throwsAsync(link.call({ kind: 'encode', job }, never), { instanceOf: HakiriError })
    await mkdir(tempFolder)
    t.like(await link.call({ kind: 'encode', job }, never), { kind: 'encoded' })
  },
)

test.serial('a batch that is not there is an error with a code', async (t) => {
  const missing = { format: 'csv', path: join(bench.folder, 'missing'), columns: [ID] } as const
  await t.throwsAsync(bench.encode(missing, planOf([ID])), {
    code: 'ENCODE_FAILED',
    message: /missing/,
  } as object)
})

test.serial(
  'a lane runs one job at a time; who is cancelled while waiting does not wait',
  async (t) => {
    const lane = createLane(3)
    const order: string[] = []
    const first = Promise.withResolvers<void>()
    const stop = new AbortController()
    const running = lane.run(never, async () => {
      order.push('first')
      await first.promise
    })
    const cancelled = lane.run(stop.signal, async () => void order.push('cancelled'))
    const last = lane.run(never, async () => void order.push('last'))
    await t.throwsAsync(
      lane.run(never, async () => undefined),
      { message: /more than 3/ },
    )
    stop.abort(new Error('gone'))
    await t.throwsAsync(cancelled, { message: 'gone' })
    t.is(lane.waiting(), 2)
    first.resolve()
    await Promise.all([running, last])
    t.deepEqual(order, ['first', 'last'])
    t.is(lane.waiting(), 0)
  },
)

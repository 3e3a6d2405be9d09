/** Disks, clocks and programs of a host, and what a dead run leaves: real processes meet each fault. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { clocksMissing, openClock } from './clocks.ts'
import { type DiskFault, type DiskOptions, openDisk } from './disks.ts'
import { mergeEnvironments } from './environment.ts'
import type { Lab } from './lab.ts'
import { until } from '../../support/until.ts'
import { folderOf, namespaceOf, sweepLeftovers } from './leftovers.ts'
import { openLab, requireNamespaces } from './open-lab.ts'
import { type Actor, type ActorOptions, createActor, type LogLine } from './processes.ts'

const PROGRAM = fileURLToPath(new URL('./program.ts', import.meta.url))
const missing = await requireNamespaces()
const clocksAre = missing ?? (await clocksMissing())
if (clocksAre !== undefined && process.env['HAKIRI_REQUIRE_NAMESPACES'] === '1')
  throw new Error(clocksAre)
const WAIT_MS = 20_000
const SLOW_MS = 300

/** Only where there are namespaces; else it is skipped with the reason. */
const whereLabs = (title: string, body: (t: ExecutionContext) => Promise<void>): void => {
  if (clocksAre === undefined) test.serial(title, body)
  else test.skip(`${title} (${clocksAre})`, body)
}

type Bench = AsyncDisposable & {
  readonly lab: Lab
  start(options: Partial<ActorOptions> & { readonly args: readonly string[] }): Promise<Actor>
}

/** A lab with one host, and programs on it. */
async function openBench(): Promise<Bench> {
  await using cleaning = new AsyncDisposableStack()
  const lab = cleaning.use(await openLab({ kind: 'namespaces', seed: 1 }))
  const host = await lab.addHost('host')
  const kept = cleaning.move()
  return {
    lab,
    async start({ args, ...more }) {
      const actor = kept.use(
        createActor({ host, name: 'program', program: process.execPath, ...more, args: [] }),
      )
      actor.start(more.program === undefined ? [PROGRAM, ...args] : args)
      await next(actor, () => true)
      return actor
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

const next = (actor: Actor, fits: (line: LogLine) => boolean): Promise<LogLine> =>
  actor.until(fits, 'a line', WAIT_MS)

const NOBODY = { uid: 65_534, gid: 65_534 }
const DISKS: readonly (readonly [string, Omit<DiskOptions, 'name'>])[] = [
  ['in the C library', { reach: 'preload', user: NOBODY }],
  ['in the C library, of a fixed size', { reach: 'preload', user: NOBODY, sizeBytes: 32 << 20 }],
  ['by tracing, of a fixed size', { reach: 'trace', sizeBytes: 32 << 20 }],
]

for (const [how, options] of DISKS)
  whereLabs(
    `syncs are slow, syncs fail and the disk is full, until it heals: ${how}`,
    async (t) => {
      await using bench = await openBench()
      await using disk = await openDisk(bench.lab, { name: 'data', ...options })
      const { user } = options
      const actor = await bench.start({
        args: ['write', disk.folder],
        env: disk.env,
        ...(user ? { user } : {}),
      })
      const pid = actor.pid() ?? 0
      const isWell = ({ code, ms }: LogLine): boolean => code === undefined && Number(ms) < SLOW_MS
      // The line after the next one: a write may be on its way when the fault begins.
      const met = async (fault: DiskFault): Promise<LogLine> => {
        const played = await disk.begin(fault, pid)
        await next(actor, () => true)
        const line = await next(actor, () => true)
        const hits = await played.hits()
        t.true(hits === undefined || hits >= 1, `${hits} hits`)
        await played.heal()
        await next(actor, isWell)
        return line
      }
      const slow = await met({ kind: 'slow-sync', ms: SLOW_MS })
      t.true(Number(slow['ms']) >= SLOW_MS, `${Number(slow['ms'])} ms`)
      t.is((await met({ kind: 'failing-sync' }))['code'], 'EIO')
      t.is((await met({ kind: 'full' }))['code'], 'ENOSPC')
      t.is(actor.pid(), pid, 'the program has gone on all the time')
    },
  )

whereLabs(
  'a traced disk without a size cannot be full, and tracing a gone process fails',
  async (t) => {
    await using bench = await openBench()
    await using disk = await openDisk(bench.lab, { name: 'data', reach: 'trace' })
    const actor = await bench.start({ args: ['write', disk.folder] })
    const pid = actor.pid() ?? 0
    await t.throwsAsync(async () => disk.begin({ kind: 'full' }, pid), { message: /needs a size/ })
    const played = await disk.begin({ kind: 'slow-sync', ms: 10 }, pid)
    t.is(await actor.signal('SIGKILL'), 'SIGKILL')
    await played.heal()
    await t.throwsAsync(disk.begin({ kind: 'failing-sync' }, pid), { message: /has not attached/ })
  },
)

whereLabs('files outside the disk are not concerned', async (t) => {
  await using bench = await openBench()
  await using disk = await openDisk(bench.lab, { name: 'data', reach: 'preload' })
  await using other = await openDisk(bench.lab, { name: 'data2', reach: 'preload' })
  const actor = await bench.start({ args: ['write', other.folder], env: disk.env })
  const played = await disk.begin({ kind: 'failing-sync' }, actor.pid() ?? 0)
  for (let count = 0; count < 3; count++) t.is((await next(actor, () => true))['code'], undefined)
  t.is(await played.hits(), 0)
})

whereLabs('the wall clock jumps and drifts, the monotonic clock stays true', async (t) => {
  await using bench = await openBench()
  const clock = await openClock(bench.lab, 'host')
  await using disk = await openDisk(bench.lab, { name: 'data', reach: 'preload' })
  const actor = await bench.start({
    args: ['write', disk.folder],
    env: mergeEnvironments(disk.env, clock.env),
  })
  const isOff = (low: number, high: number) => (line: LogLine) => {
    const offMs = Number(line['wall']) - Date.now()
    return offMs >= low && offMs <= high
  }
  const hourMs = 3_600_000
  const slackMs = 5_000
  await next(actor, isOff(-slackMs, slackMs))
  const before = await next(actor, () => true)
  const began = performance.now()
  await clock.set(hourMs)
  await next(actor, isOff(hourMs - slackMs, hourMs + slackMs))
  await clock.set(-hourMs)
  const after = await next(actor, isOff(-hourMs - slackMs, -hourMs + slackMs))
  const passedMs = Number(after['monotonic']) - Number(before['monotonic'])
  t.true(passedMs > 0 && passedMs < performance.now() - began + 1_000, `${passedMs} ms`)

  await clock.set(0, 1.5, actor.pid())
  const first = await next(actor, isOff(-300, 300))
  const last = await next(
    actor,
    ({ monotonic }) => Number(monotonic) > Number(first['monotonic']) + 400,
  )
  const wallMs = Number(last['wall']) - Number(first['wall'])
  const trueMs = Number(last['monotonic']) - Number(first['monotonic'])
  t.true(Math.abs(wallMs / trueMs - 1.5) < 0.1, `${wallMs} ms in ${trueMs} ms`)
  await clock.heal()
  await next(actor, isOff(-200, 0))
  const played = await disk.begin({ kind: 'failing-sync' }, actor.pid() ?? 0)
  t.is(
    (await next(actor, ({ code }) => code !== undefined))['code'],
    'EIO',
    'both libraries are in',
  )
  await played.heal()
  await t.throwsAsync(clock.set(0, 2), { message: /needs the process/ })
})

whereLabs('signals reach the program itself, as the user that was asked for', async (t) => {
  await using bench = await openBench()
  const actor = await bench.start({ args: ['report'], user: NOBODY, env: { LOOK: 'here' } })
  const line = await next(actor, () => true)
  t.is(line['pid'], actor.pid())
  t.deepEqual([line['uid'], line['gid'], line['look']], [NOBODY.uid, NOBODY.gid, 'here'])
  t.is(await actor.signal('SIGSTOP'), undefined)
  const state = async (): Promise<string | undefined> =>
    /^State:\s+(\w)/m.exec(await readFile(`/proc/${actor.pid()}/status`, 'utf8'))?.[1]
  // The kernel stops a thread when it next looks, a moment after the signal.
  await until('it is stopped', async () => (await state()) === 'T')
  t.true(actor.isRunning())
  t.is(await actor.signal('SIGCONT'), undefined)
  await next(actor, () => true)
  t.throws(() => actor.start(), { message: /running already/ })
  t.is(await actor.signal('SIGTERM'), 7, 'it has caught it and ended with a code of its own')
  t.false(actor.isRunning())
  t.is(actor.pid(), undefined)
  t.is(await actor.memory(), undefined)
  actor.start()
  t.not((await next(actor, () => true))['pid'], line['pid'])
  t.is(await actor.signal('SIGKILL'), 'SIGKILL')
  t.is(await actor.ended(), 'SIGKILL')
})

whereLabs('memory is told apart: the program, and its children', async (t) => {
  await using bench = await openBench()
  const alone = await bench.start({ args: ['report'] })
  const parent = await bench.start({ args: ['parent'] })
  await next(parent, ({ child }) => child === true)
  const [without, having] = [await alone.memory(), await parent.memory()]
  t.is(without?.childrenRssBytes, 0)
  t.true(Number(without?.rssBytes) > 20e6)
  t.true(Number(having?.childrenRssBytes) > 20e6)
})

whereLabs('output is bounded; lines are told; a wait ends with the process', async (t) => {
  await using bench = await openBench()
  const script = 'for i in $(seq 1 100); do echo "{\\"n\\":$i}"; done; echo last words >&2; exit 3'
  const actor = createActor({
    host: bench.lab.runner,
    name: 'chatter',
    program: 'sh',
    args: ['-c', script],
    keptLinesMax: 10,
  })
  const told: LogLine[] = []
  using _ = actor.onLine((line) => told.push(line))
  actor.start()
  await t.throwsAsync(
    actor.until(() => false, 'never'),
    {
      message: /chatter has ended with 3 before never\n[^]*last words/,
    },
  )
  t.is(told.length, 100)
  t.is(actor.output().length, 10)
  t.is(actor.output().includes('last words'), true)
  actor.start(['-c', 'sleep 60'])
  await t.throwsAsync(
    actor.until(() => false, 'never', 50),
    { message: /said nothing for 50 ms/ },
  )
  await actor[Symbol.asyncDispose]()
  actor.start(['-c', 'exec no-such-program'])
  t.is(await actor.ended(), 127)
})

/** Resolves when there is no such process any more. */
const gone = async (pid: number): Promise<void> => {
  await once(spawn('tail', [`--pid=${pid}`, '-s', '0.02', '-f', '/dev/null']), 'exit')
}

whereLabs('what a killed run leaves is swept; what lives is left alone', async (t) => {
  await using live = await openBench()
  const kept = await live.start({ args: ['report'] })
  const dying = fork(PROGRAM, ['lab'])
  const [made] = (await once(dying, 'message')) as [{ number: number; pid: number; child: number }]
  const left = async (): Promise<readonly boolean[]> => [
    (await readdir('/run/netns')).includes(namespaceOf(made.number, 'host')),
    (await readFile('/proc/self/mounts', 'utf8')).includes(`${folderOf(made.number)}/`),
    await access(folderOf(made.number)).then(
      () => true,
      () => false,
    ),
  ]
  t.deepEqual(await left(), [true, true, true])
  dying.kill('SIGKILL')
  await once(dying, 'close')
  await gone(made.pid)
  // Others sweep too, at any moment: where one of them is at work this one passes by.
  await until('all that is left is swept', async () => {
    await sweepLeftovers()
    return !(await left()).includes(true)
  })
  await gone(made.child)
  await next(kept, () => true)
  const again = await live.start({ args: ['report'] })
  t.true(again.isRunning(), 'the live lab can still start programs')
})

import test, { type ExecutionContext } from 'ava'
import { spawn } from 'node:child_process'
import { until } from '../../support/until.ts'
import { createTimeline } from '../timeline.ts'
import { keep, type Kept } from './kept.ts'

/** Ends by itself when it is told to, and at the second word to leave. */
const PROGRAM = `
  let words = 0
  process.on('SIGTERM', () => ++words === 2 && process.exit(0))
  process.on('SIGUSR2', () => process.exit(3))
  setInterval(() => undefined, 1e6)
  console.log('up')`

type Place = { readonly kept: Kept; readonly problems: string[] }

async function open(t: ExecutionContext): Promise<Place> {
  const problems: string[] = []
  const kept = keep({
    name: 'one',
    host: {
      name: 'here',
      address: '127.0.0.1',
      spawn: (program, args, { env } = {}) =>
        spawn(program, args, {
          env: { ...process.env, ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
    },
    program: process.execPath,
    args: ['-e', PROGRAM],
    timeline: createTimeline(() => performance.now()),
    problem: (text) => void problems.push(text),
  })
  t.teardown(() => kept[Symbol.asyncDispose]())
  kept.start()
  await isUp(kept)
  return { kept, problems }
}

async function isUp(kept: Kept): Promise<void> {
  await until('it is up', async () => kept.state() === 'running' && kept.output().includes('up'))
}

function tellToEnd(kept: Kept): void {
  process.kill(kept.pid() ?? 0, 'SIGUSR2')
}

/** Ends it, and waits for the process that takes its place. */
async function endAndComeBack(kept: Kept): Promise<void> {
  const before = kept.pid()
  tellToEnd(kept)
  await until('another has its place', async () => {
    const pid = kept.pid()
    return pid !== undefined && pid !== before
  })
}

test('an end that nothing explains is a problem, and it is started again', async (t) => {
  const { kept, problems } = await open(t)
  await endAndComeBack(kept)
  t.regex(problems[0] ?? '', /^one ended by itself with 3\nup$/)
})

test('an end that a fault is about is none, and it stays down until it is started', async (t) => {
  const { kept, problems } = await open(t)
  kept.isToEnd = true
  tellToEnd(kept)
  await until('it is down', async () => kept.state() === 'down')
  kept.isToEnd = false
  kept.start()
  await isUp(kept)
  t.deepEqual(problems, [])
})

test('what lived through a fault may end of it later; what came after it may not', async (t) => {
  const { kept, problems } = await open(t)
  kept.isToEnd = true
  kept.isToEnd = false
  await endAndComeBack(kept)
  t.deepEqual(problems, [])
  await isUp(kept)
  await endAndComeBack(kept)
  t.is(problems.length, 1)
})

test('what does not leave in time is a problem, and is killed', async (t) => {
  const { kept, problems } = await open(t)
  await kept.terminate(() => 50)
  t.is(kept.state(), 'down')
  t.regex(problems[0] ?? '', /^one was not gone \d+ ms after SIGTERM\nup$/)
})

test('the time to leave may grow while it passes', async (t) => {
  const { kept, problems } = await open(t)
  let asked = 0
  // Asked again only when the first time is up; it leaves at the second word, within the longer one.
  await kept.terminate(() => {
    if (++asked === 2) process.kill(kept.pid() ?? 0, 'SIGTERM')
    return asked === 1 ? 50 : 60_000
  })
  t.is(asked, 2)
  t.is(kept.state(), 'down')
  t.deepEqual(problems, [])
})

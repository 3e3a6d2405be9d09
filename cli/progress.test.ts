/** The display of a run, with a clock and a terminal that the test holds. */
import test from 'ava'
import type { Overlay } from './command.ts'
import { createProgress, type Progress } from './progress.ts'

type Lab = {
  readonly progress: Progress
  readonly written: string[]
  /** Lets time pass, drawing as often as the display asks to. */
  pass(ms: number): void
  readonly overlay: () => Overlay | undefined
  readonly size: { columns: number; rows: number }
  readonly isTicking: () => boolean
}

function open(isTerminal: boolean): Lab {
  let now = 1_000
  let tick: { readonly ms: number; readonly call: () => void } | undefined
  let overlay: Overlay | undefined
  const written: string[] = []
  const size = { columns: 100, rows: 30 }
  const progress = createProgress({
    isTerminal,
    size: () => size,
    write: (text) => written.push(text),
    overlay: (shown) => (overlay = shown),
    now: () => now,
    memoryBytes: () => 123e6,
    every(ms, call) {
      tick = { ms, call }
      return () => (tick = undefined)
    },
  })
  return {
    progress,
    written,
    size,
    overlay: () => overlay,
    isTicking: () => tick !== undefined,
    pass(ms) {
      for (const end = now + ms; now < end && tick; tick.call()) now += tick.ms
    },
  }
}

function begin(lab: Lab, shards: number, rowsEstimate: number | undefined): void {
  lab.progress.observe({ kind: 'run', runId: 1, pipeline: 'shop', shards, rowsEstimate })
}

function read(lab: Lab, shard: string, rows: number): void {
  lab.progress.observe({ kind: 'shard', shard, state: 'reading' })
  lab.progress.observe({ kind: 'read', shard, rows, bytes: rows * 100 })
}

const lines = (text: string | undefined): readonly string[] => (text ?? '').trimEnd().split('\n')

test('away from a terminal there is one line of totals each ten seconds', (t) => {
  const lab = open(false)
  begin(lab, 2, 40_000)
  read(lab, 'a', 10_000)
  lab.pass(9_800)
  t.deepEqual(lab.written, [])
  lab.pass(200)
  t.deepEqual(lab.written, [
    '10.0s  10,000 rows  1,000 rows/s  1.0 MB  0/2 shards  ETA 30.0s  123 MB memory\n',
  ])
  lab.pass(25_000)
  t.is(lab.written.length, 3)
  t.false(lab.written.join('').includes('\u001B'))
  lab.progress[Symbol.dispose]()
  t.is(lab.written.length, 3)
  t.false(lab.isTicking())
})

test('a run of unknown size has no ETA, and quarantined rows are shown', (t) => {
  const lab = open(false)
  begin(lab, 1, undefined)
  read(lab, 'a', 500)
  lab.progress.observe({ kind: 'committed', shard: 'a', rows: 490, bytes: 1, quarantined: 10 })
  lab.pass(10_000)
  t.is(lab.written.length, 1)
  t.notRegex(lab.written[0] ?? '', /ETA/)
  t.regex(lab.written[0] ?? '', /10 quarantined/)
})

test('on a terminal the block replaces itself and is gone at the end', (t) => {
  const lab = open(true)
  lab.pass(400)
  t.deepEqual(lab.written, [], 'nothing is drawn before the run begins')
  begin(lab, 2, 1_000)
  read(lab, 'a', 100)
  read(lab, 'b', 50)
  lab.pass(200)
  t.is(lines(lab.written[0]).length, 3)
  t.regex(
    lab.written[0] ?? '',
    /^[^\u001B]*150 rows .*\n +reading +a +100 rows\n +reading +b +50 rows\n$/,
  )
  lab.progress.observe({ kind: 'shard', shard: 'a', state: 'done' })
  lab.pass(200)
  t.true(lab.written[1]?.startsWith('\r\u001B[3A\u001B[0J'))
  t.regex(lab.written[1] ?? '', /1\/2 shards/)
  t.notRegex(lab.written[1] ?? '', / a /)
  lab.progress[Symbol.dispose]()
  t.is(lab.written.at(-1), '\r\u001B[2A\u001B[0J')
  t.is(lab.overlay(), undefined)
})

test('failing shards come first, ten are shown, the rest is counted', (t) => {
  const lab = open(true)
  begin(lab, 14, undefined)
  for (let index = 0; index < 13; index++) read(lab, `s${index}`, 1)
  lab.progress.observe({ kind: 'shard', shard: 'bad', state: 'backoff', detail: 'no answer' })
  lab.progress.observe({ kind: 'shard', shard: 'worst', state: 'failed', detail: 'refused' })
  lab.pass(200)
  const drawn = lines(lab.written[0])
  t.is(drawn.length, 12)
  t.regex(drawn[1] ?? '', /failed +worst +0 rows +refused/)
  t.regex(drawn[2] ?? '', /backoff +bad +0 rows +no answer/)
  t.is(drawn[11], '  … and 5 more')
})

test('the block fits a window of any size, also one that changes', (t) => {
  const lab = open(true)
  begin(lab, 9, undefined)
  for (let index = 0; index < 9; index++) read(lab, `a-shard-with-a-long-name-${index}`, 1)
  Object.assign(lab.size, { columns: 20, rows: 4 })
  lab.pass(200)
  const drawn = lines(lab.written[0])
  t.is(drawn.length, 3)
  for (const line of drawn) t.true(line.length <= 19)
})

test('what is printed meanwhile goes above the block', (t) => {
  const lab = open(true)
  begin(lab, 1, undefined)
  read(lab, 'a', 1)
  lab.pass(200)
  const block = lab.written[0]
  lab.overlay()?.hide()
  t.is(lab.written[1], '\r\u001B[2A\u001B[0J')
  lab.overlay()?.show()
  t.is(lab.written[2], block)
})

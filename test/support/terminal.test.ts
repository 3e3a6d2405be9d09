/** The terminal helper, on commands whose behaviour in a terminal is known. */
import test from 'ava'
import { createScreen } from './terminal-screen.ts'
import { KEYS, openTerminal } from './terminal.ts'

test('a command sees a terminal of the asked size, and its exit code comes back', async (t) => {
  await using terminal = openTerminal('sh', ['-c', 'test -t 1 && stty size; exit 7'], {
    columns: 90,
    rows: 20,
  })
  t.deepEqual(await terminal.exited, { code: 7, signal: 0 })
  t.is(terminal.screen(), '20 90')
})

test('keys arrive, and Ctrl-C is a signal to the command', async (t) => {
  const script = `trap 'echo caught; exit 130' INT; read line; echo "got $line"; read line`
  await using terminal = openTerminal('sh', ['-c', script])
  terminal.send(`hello${KEYS.enter}`)
  t.regex(await terminal.waitFor('got hello'), /^hello\ngot hello$/)
  terminal.send(KEYS.ctrlC)
  await terminal.waitFor(/caught/)
  t.is((await terminal.exited).code, 130)
})

test('waiting fails when the command ends first, and at the deadline', async (t) => {
  await using short = openTerminal('sh', ['-c', 'echo over'])
  await t.throwsAsync(short.waitFor('never'), { message: /command ended before never.*\nover$/ })
  t.is(await short.waitFor('over'), 'over', 'what is on the screen is found after the end too')
  await using long = openTerminal('cat', [])
  await t.throwsAsync(long.waitFor('never', 20), { message: /20 ms passed before never/ })
})

test('leaving the scope ends a command that ignores everything else', async (t) => {
  const terminal = openTerminal('sh', ['-c', `trap '' INT TERM HUP; echo ready; cat`])
  await terminal.waitFor('ready')
  await terminal[Symbol.asyncDispose]()
  t.is((await terminal.exited).signal, 9)
})

test('redrawn lines show their last state, whatever the chunks', (t) => {
  const redraw =
    'a\r\nold one\r\nold two\u001b[1A\r\u001b[2Knew\u001b[1B\r\u001b[32mtw\u001b[0m\u001b[K\r\nend'
  for (const size of [1, 2, 3, 7, 100]) {
    const screen = createScreen(24)
    for (let at = 0; at < redraw.length; at += size) screen.write(redraw.slice(at, at + size))
    t.is(screen.text(), 'a\nnew\ntw\nend', `chunks of ${size}`)
  }
  const cleared = createScreen(24)
  cleared.write('one\r\ntwo\r\nthree\u001b[2F\u001b[Jx')
  t.is(cleared.text(), 'x')
  t.throws(() => createScreen(24).write('\u001b[5S'), { message: /S is not known/ })
})

test('the cursor cannot climb above the window', (t) => {
  const screen = createScreen(2)
  screen.write('one\r\ntwo\r\nthree\u001b[9A\rnew')
  t.is(screen.text(), 'one\nnew\nthree')
})

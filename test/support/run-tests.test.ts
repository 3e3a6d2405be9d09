/** The two commands that say whether the repository is sound have to notice when it is not. */
import test from 'ava'
import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { closingLine, createTapReader } from './tap.ts'
import type { TapEvent } from './tap.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

function readAll(text: string): { events: TapEvent[]; complete: boolean } {
  const tap = createTapReader()
  const events = text.split('\n').flatMap((line) => tap.read(line))
  const end = tap.end()
  return { events: [...events, ...end.events], complete: end.complete }
}

test('a TAP stream becomes passes, failures with their reasons, and skips', (t) => {
  const { events, complete } = readAll(
    [
      'TAP version 13',
      'not ok 1 - a › breaks',
      '  ---',
      '    name: AssertionError',
      '    message: because',
      '  ...',
      'ok 2 - a › holds # not a directive',
      '#   a log line',
      'ok 3 - b › later # SKIP',
      'not ok 4 - c.test.ts exited with a non-zero exit code: 1',
      '1..4',
    ].join('\n'),
  )
  t.deepEqual(events, [
    { kind: 'failed', title: 'a › breaks', details: ['name: AssertionError', 'message: because'] },
    { kind: 'passed', title: 'a › holds # not a directive' },
    { kind: 'skipped', title: 'b › later' },
    { kind: 'failed', title: 'c.test.ts exited with a non-zero exit code: 1', details: [] },
  ])
  t.true(complete)
  t.false(readAll('ok 1 - a › holds').complete, 'a stream without its plan was cut off')
})

test('the closing line names skips only where there are some', (t) => {
  t.is(closingLine({ passed: 3, failed: 0, skipped: 0 }), '3 passed, 0 failed')
  t.is(closingLine({ passed: 3, failed: 1, skipped: 2 }), '3 passed, 1 failed, 2 skipped')
})

/** A small project beside the real one, with the real runner and settings. */
async function withFiles(
  files: { readonly [name: string]: string },
  command: (folder: string) => readonly [string, readonly string[]],
): Promise<{ code: number; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'run-tests-'))
  try {
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    for (const name of ['package.json', 'ava.config.js', 'tsconfig.json'])
      await copyFile(join(root, name), join(folder, name))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const [program, args] = command(folder)
    // The inner runner must not take itself for a child of the outer one.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('AVA_')),
    )
    return await run(program, args, { cwd: folder, env }).then(
      ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        output: error.stdout + error.stderr,
      }),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const runner = join(root, 'test/support/run-tests.ts')
const npmTest =
  (...files: string[]) =>
  (): readonly [string, readonly string[]] => [process.execPath, [runner, ...files]]

test('npm test counts passes and failures and shows why', async (t) => {
  const body = `import test from 'ava'
test('holds', (t) => t.pass())
test('breaks', (t) => t.is(1, Number('2'), 'the reason'))
`
  const both = await withFiles({ 'x.test.ts': body }, npmTest())
  t.is(both.code, 1)
  t.regex(both.output, /✗ breaks\n[^]*message: the reason[^]*\n1 passed, 1 failed\n$/)
  const good = await withFiles({ 'x.test.ts': body.replace("'2'", "'1'") }, npmTest('x.test.ts'))
  t.deepEqual(good, { code: 0, output: '2 passed, 0 failed\n' })
})

test('npm test fails when a test file dies, or when there is none', async (t) => {
  const dying = `import test from 'ava'
test('holds', (t) => { t.pass(); process.nextTick(() => process.kill(process.pid, 'SIGKILL')) })
`
  const died = await withFiles({ 'x.test.ts': dying }, npmTest())
  t.is(died.code, 1)
  t.regex(died.output, /\d+ passed, 1 failed\n$/)
  const none = await withFiles({}, npmTest())
  t.is(none.code, 1)
  t.regex(none.output, /0 passed, 1 failed\n$/)
})

test('npm test names the file that the runner has waited for too long', async (t) => {
  const hanging = `import test from 'ava'
test('holds', (t) => t.pass())
test('hangs', () => new Promise((resolve) => setTimeout(resolve, 100_000)))
`
  const hung = await withFiles({ 'x.test.ts': hanging }, npmTest('--timeout=10s', 'x.test.ts'))
  t.is(hung.code, 1)
  t.regex(hung.output, /begun and not ended: x\.test\.ts\n[^]*\d+ passed, 1 failed\n/)
})

test('the linter finds each planted fault that needs types', async (t) => {
  const faults = `
async function work(): Promise<void> {}
export function floating(): void { work() }
export function misused(items: readonly number[]): void { items.forEach(async () => { await work() }) }
export function inexhaustive(kind: 'a' | 'b'): number { switch (kind) { case 'a': return 1 } return 2 }
export const untyped: any = 1
export function unsafe(text: string): number { return JSON.parse(text).length }
export async function lost(): Promise<void> { try { return work() } catch { return undefined } }
export function thrown(): void { throw 'text' }
`
  const { code, output } = await withFiles({ 'lib.ts': faults }, (folder) => [
    join(root, 'node_modules/.bin/oxlint'),
    ['--type-aware', '-f', 'unix', '-c', join(root, '.oxlintrc.json'), join(folder, 'lib.ts')],
  ])
  t.is(code, 1)
  const found = (line: number): string =>
    output.split('\n').find((l) => l.includes(`:${line}:`)) ?? ''
  t.regex(found(3), /no-floating-promises/)
  t.regex(found(4), /no-misused-promises/)
  t.regex(found(5), /switch-exhaustiveness-check/)
  t.regex(found(6), /no-explicit-any/)
  t.regex(found(7), /no-unsafe/)
  t.regex(found(8), /return-await/)
  t.regex(found(9), /only-throw-error/)
})

/**
 * `npm test`: runs every test file, or those given as arguments, and prints failures, the slowest files and
 * one closing line. A runner that ends before its plan, or finds nothing to run, is a failure too.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { NOTES_VARIABLE, readNotes, slowFiles, unfinishedFiles } from './file-notes.ts'
import { closingLine, createTapReader } from './tap.ts'
import type { TapEvent } from './tap.ts'

const AVA = fileURLToPath(new URL('../../node_modules/.bin/ava', import.meta.url))
const HOOK = fileURLToPath(new URL('./file-hook.ts', import.meta.url))
const tally = { passed: 0, failed: 0, skipped: 0 }
const seen = new Set<string>()

function show(event: TapEvent): void {
  tally[event.kind]++
  showProgress(event.title)
  if (event.kind === 'failed')
    console.log(
      [`\n✗ ${event.title}`, ...event.details.map((line) => `    ${line}`), ''].join('\n'),
    )
}

/** Names each test file once, when its first result comes in. */
function showProgress(title: string): void {
  const file = title.split(' › ').slice(0, -1).join(' › ')
  if (file === '' || seen.has(file)) return
  seen.add(file)
  console.log(`  ${file}`)
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hakiri-notes-'))
  const path = join(folder, 'notes')
  writeFileSync(path, '')
  const child = spawn(AVA, ['--tap', ...process.argv.slice(2)], {
    env: { ...process.env, [NOTES_VARIABLE]: path, HAKIRI_TEST_HOOK: HOOK },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 1))
  })
  const tap = createTapReader()
  for await (const line of createInterface({ input: child.stdout }))
    for (const event of tap.read(line)) show(event)
  const { events, complete } = tap.end()
  for (const event of events) show(event)

  const code = await closed
  const notes = readNotes(path)
  rmSync(folder, { recursive: true })
  for (const line of slowFiles(notes)) console.log(line)
  const total = tally.passed + tally.failed + tally.skipped
  // So does a runner that has waited too long for its files.
  if (!complete)
    fail(
      'the test runner ended before it had reported everything',
      unfinishedFiles(notes).map((file) => `begun and not ended: ${file}`),
    )
  else if (total === 0) fail('no tests were found')
  else if (code !== 0 && tally.failed === 0) fail(`the test runner ended with ${code}`)
  console.log(closingLine(tally))
  process.exitCode = tally.failed > 0 ? 1 : 0
}

function fail(reason: string, details: readonly string[] = []): void {
  show({ kind: 'failed', title: reason, details })
}

await main()

/** One row of the table of bad input, and how it is worked off. */
import type { ExecutionContext } from 'ava'
import type { Code } from '../../lib/error.ts'
import type { Bench, Lab } from './bad-input-lab.ts'
import { readState } from './bad-input-state.ts'
import { readDelta } from './delta-reader.ts'
import type { Envelope } from './project.ts'

export type Case = {
  readonly name: string
  /** hakiri.toml; the project's own when left out. */
  readonly toml?: string
  /** What else is wrong, set up before the state is remembered. */
  readonly prepare?: (bench: Bench) => Promise<unknown>
  readonly command: readonly string[]
  readonly expect: Refusal | Acceptance
}

/** The command fails so, and the project is as it was. */
export type Refusal = {
  readonly exit: 1 | 2 | 3
  readonly code: Code
  readonly message: string
  /** "hakiri.toml:5:6" */
  readonly place?: string
  /** Where work that was done before the failure stays: what must hold instead of "as it was". */
  readonly instead?: (t: ExecutionContext, bench: Bench) => Promise<void>
}

/** Odd, but data: the command succeeds. */
export type Acceptance = {
  readonly exit: 0
  readonly holds: (t: ExecutionContext, bench: Bench, envelope: Envelope) => Promise<void>
}

/** Runs the case on a copy of the lab's project and checks all that it claims. */
export async function work(t: ExecutionContext, lab: Lab, row: Case): Promise<void> {
  await using bench = await lab.copy()
  if (row.toml !== undefined) await bench.write('hakiri.toml', row.toml)
  await row.prepare?.(bench)
  const { expect } = row
  const before = await readState(bench.folder)
  const { code, stdout, stderr, envelope } = await bench.run(...row.command)
  t.is(code, expect.exit, stdout + stderr)
  t.is(envelope.ok, expect.exit === 0)
  if (expect.exit === 0) return await expect.holds(t, bench, envelope)
  checkRefusal(t, expect, bench, envelope, stdout)
  t.notRegex(stderr, /^ +at /m, 'an operating condition is no stack trace')
  if (expect.instead) return await expect.instead(t, bench)
  t.deepEqual(await readState(bench.folder), before, 'the state has changed')
}

type Said = {
  readonly code: string
  readonly message: string
  readonly place?: { readonly file?: string; readonly line?: number; readonly column?: number }
  readonly file?: string
  readonly line?: number
  readonly column?: number
}

function checkRefusal(
  t: ExecutionContext,
  expect: Refusal,
  bench: Bench,
  envelope: Envelope,
  stdout: string,
): void {
  const said = errorsOf(envelope)
  const found = said.find(
    ({ code, message }) => code === expect.code && message.includes(expect.message),
  )
  t.truthy(found, `expected ${expect.code} with "${expect.message}": ${stdout}`)
  if (expect.place === undefined || !found) return
  const { file, line, column } = found.place ?? found
  t.is(`${file?.slice(bench.folder.length + 1)}:${line}:${column}`, expect.place)
}

/** What went wrong, wherever the command says it: the error, failed shards, or found problems. */
function errorsOf({ error, result }: Envelope): readonly Said[] {
  if (error) return [error]
  const runs = Array.isArray(result) ? (result as { failures?: readonly Said[] }[]) : []
  const { problems = [] } = (result ?? {}) as { problems?: readonly Said[] }
  return [...runs.flatMap((run) => run.failures ?? []), ...problems]
}

/** All rows of a table of the lake, by the independent reader. */
export async function rowsOf(bench: Bench, name: string): Promise<Record<string, unknown>[]> {
  const table = await readDelta(bench.table(name))
  const rows: Record<string, unknown>[] = []
  for await (const row of table.rows()) rows.push(row)
  return rows
}

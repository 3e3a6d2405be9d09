/** `hakiri ctl …` as a process, and waiting for what it shows. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { startCoordCluster, type CoordCluster } from '../support/coord-cluster.ts'
import { finished, HAKIRI, type Envelope } from '../support/project.ts'

/** Runs `hakiri ctl …` against these members and parses its one object. */
export async function ctl(endpoints: readonly string[], ...args: readonly string[]) {
  const at = endpoints.length > 0 ? ['--endpoints', endpoints.join(',')] : []
  const child = spawn(HAKIRI, ['ctl', ...args, ...at, '--json'], { cwd: tmpdir() })
  const ran = await finished(child)
  const envelope = JSON.parse(ran.stdout) as Envelope
  return { ...ran, ...envelope, result: envelope.result as never }
}

/** The same, which has to succeed. */
export async function succeeds(
  t: ExecutionContext,
  endpoints: readonly string[],
  ...args: readonly string[]
): Promise<void> {
  const { ok, stdout } = await ctl(endpoints, ...args)
  t.true(ok, stdout)
}

export type MemberRow = {
  readonly id: string
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
}

export async function membersOf(
  endpoints: readonly string[],
  ...args: readonly string[]
): Promise<readonly MemberRow[]> {
  const { result } = await ctl(endpoints, 'members', ...args)
  return (result as { readonly members: readonly MemberRow[] }).members
}

/** Looks again and again until it is so, within a deadline. */
export async function until(
  what: string,
  isDone: () => Promise<boolean> | boolean,
  ms = 30_000,
): Promise<void> {
  for (const end = performance.now() + ms; !(await isDone()); await delay(100))
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
}

/** Real members, gone when the test ends. */
export async function cluster(t: ExecutionContext, members: number): Promise<CoordCluster> {
  const started = await startCoordCluster({ members })
  t.teardown(() => started[Symbol.asyncDispose]())
  return started
}

export async function scratch(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-operations-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

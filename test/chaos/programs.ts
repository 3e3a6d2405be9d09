/** The two versions of the product that run side by side: this tree, and a later build of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeNextBuild } from '../support/next-build.ts'
import { bundleProgram, type Program, ROOT } from './cast/program.ts'

export type Programs = AsyncDisposable & { readonly now: Program; readonly next: Program }

/** The later one has a migration more, a wider protocol and another version number. */
const NEXT = {
  version: '99.0.0',
  protocol: { oldest: 1, newest: 2 },
  migration: 'alter table run add column of_the_next_version text;',
} as const

export async function preparePrograms(): Promise<Programs> {
  await using cleaning = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-chaos-program-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const build = cleaning.use(await makeNextBuild(NEXT))
  const now = await bundleProgram(ROOT, join(folder, 'now'))
  const next = await bundleProgram(build.root, join(folder, 'next'))
  const kept = cleaning.move()
  return { now, next, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

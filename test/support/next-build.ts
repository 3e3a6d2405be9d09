/**
 * Another build of this repository in a temp folder: its tracked files, with what a later version changes.
 * Nothing is bundled; the packages are those of this clone.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { POSTGRES_MIGRATIONS } from '../../catalog/migrations/postgres.ts'

export type NextBuild = AsyncDisposable & {
  /** Folder of the build. */
  readonly root: string
  /** Its launcher. */
  readonly hakiri: string
}

export type Change = {
  readonly version: string
  readonly protocol: { readonly oldest: number; readonly newest: number }
  /** SQL of one more migration of the Postgres catalog, with which programs of today go on. */
  readonly migration?: string
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FILES_BYTES_MAX = 16e6

export async function makeNextBuild(change: Change): Promise<NextBuild> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-build-'))
  const { stdout } = await promisify(execFile)(
    'git',
    [
      'ls-files',
      '-z',
      '--cached',
      '--others',
      '--exclude-standard',
      '--',
      ':!test',
      ':!bench',
      ':!docs',
    ],
    { cwd: ROOT, maxBuffer: FILES_BYTES_MAX },
  )
  for (const path of stdout.split('\0').filter((each) => each !== '')) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await cp(join(ROOT, path), join(folder, path))
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  await edit(join(folder, 'package.json'), /"version": "[^"]+"/, `"version": "${change.version}"`)
  const { oldest, newest } = change.protocol
  await edit(
    join(folder, 'lease/protocol.ts'),
    /(PROTOCOL: ProtocolRange = )\{[^}]+\}/,
    `$1{ oldest: ${oldest}, newest: ${newest} }`,
  )
  if (change.migration !== undefined) {
    const known = POSTGRES_MIGRATIONS.at(-1)?.id ?? 0
    const next = `{ id: ${known + 1}, name: 'of the next version', oldest: ${known}, sql: \`${change.migration}\` },\n]`
    await edit(join(folder, 'catalog/migrations/postgres.ts'), /\]\s*$/, next)
  }
  return {
    root: folder,
    hakiri: join(folder, 'hakiri'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function edit(path: string, what: RegExp, by: string): Promise<void> {
  const text = await readFile(path, 'utf8')
  const changed = text.replace(what, by)
  if (changed === text) throw new Error(`nothing in ${path} is like ${what}`)
  await writeFile(path, changed)
}

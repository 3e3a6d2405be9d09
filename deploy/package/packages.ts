/**
 * Files of packages that an artifact takes in: from node_modules when this machine has them, else (those of
 * another processor) fetched by npm in the version of package-lock.json and held against its checksum.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './bundle.ts'

const run = promisify(execFile)
const FETCHED = join(ROOT, 'node_modules/.cache/hakiri-package')

export type Locked = {
  readonly version: string
  readonly integrity: string
  readonly license: string | undefined
}

type Lock = { readonly packages: Readonly<Record<string, Partial<Locked>>> }

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock

export function lockedPackage(name: string): Locked {
  const { version, integrity, license } = lock.packages[`node_modules/${name}`] ?? {}
  if (version === undefined || integrity === undefined)
    throw new Error(`package-lock.json does not say which ${name}`)
  return { version, integrity, license }
}

const folders = new Map<string, Promise<string>>()

/** The folder of a package, fetched when it is not there: once, however many programs are made at once. */
export function packageFolder(name: string): Promise<string> {
  const folder = folders.get(name) ?? findFolder(name)
  folders.set(name, folder)
  return folder
}

async function findFolder(name: string): Promise<string> {
  const { version, integrity } = lockedPackage(name)
  const installed = join(ROOT, 'node_modules', name)
  if (existsSync(join(installed, 'package.json'))) return installed
  const folder = join(FETCHED, `${name.replaceAll(/[^\w.-]/g, '_')}-${version}`)
  if (existsSync(folder)) return join(folder, 'package')
  await mkdir(FETCHED, { recursive: true })
  const temporary = await mkdtemp(join(FETCHED, 'fetch-'))
  try {
    await run('npm', ['pack', '--silent', `${name}@${version}`, '--pack-destination', temporary])
    const [archive] = await readdir(temporary)
    if (archive === undefined) throw new Error(`npm fetched no ${name}`)
    checkIntegrity(name, readFileSync(join(temporary, archive)), integrity)
    await run('tar', ['-xzf', archive], { cwd: temporary })
    await rename(temporary, folder)
    return join(folder, 'package')
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
}

function checkIntegrity(name: string, archive: Buffer, integrity: string): void {
  const [algorithm = '', expected] = integrity.split(/-(.*)/s)
  const found = createHash(algorithm).update(archive).digest('base64')
  if (found !== expected) throw new Error(`${name} is not what package-lock.json names`)
}

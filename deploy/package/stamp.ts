/**
 * From what the artifacts in a folder were built, so that a file of another build is never taken for one of
 * this: beside them lies `.built-from.json`, with the checksum of everything that a build reads in the clone
 * and the checksum of each file that came out. Packages stand in for themselves by package-lock.json.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ROOT } from './bundle.ts'

export const STAMP = '.built-from.json'

/** By the name of a file: what it was built from, and the checksum of what it is. */
export type Stamp = Readonly<
  Record<string, { readonly inputs: string; readonly sha256: string } | undefined>
>

/** What a build reads; dist.test.ts holds it against what programs hold. */
const INPUTS = [
  'catalog',
  'cli',
  'connector',
  'coord',
  'deploy/package',
  'deploy/systemd',
  'lease',
  'lib',
  'manifest',
  'proto',
  'sink',
  'worker',
  'package-lock.json',
  'package.json',
  'tsconfig.json',
]

export function isInput(path: string): boolean {
  return (
    !/\.(md|test\.ts)$/.test(path) &&
    INPUTS.some((input) => path === input || path.startsWith(`${input}/`))
  )
}

/** The checksum of all that a build reads in the clone `root`. */
export async function inputsOf(root: string = ROOT): Promise<string> {
  const sum = createHash('sha256')
  const files = await Promise.all(INPUTS.map((input) => filesBelow(root, input)))
  for (const path of files.flat().filter(isInput).toSorted()) {
    const content = await readFile(join(root, path))
    sum.update(`${path}\0${content.length}\0`).update(content)
  }
  return sum.digest('hex')
}

/** The file itself, if it is one; nothing, if it is not there. */
async function filesBelow(root: string, path: string): Promise<readonly string[]> {
  const found = await stat(join(root, path)).catch(() => undefined)
  if (!found?.isDirectory()) return found ? [path] : []
  const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

/** What is not there, or is no stamp, says nothing about any file. */
export async function readStamp(folder: string): Promise<Stamp> {
  const text = await readFile(join(folder, STAMP), 'utf8').catch(() => '')
  try {
    return JSON.parse(text) as Stamp
  } catch {
    return {}
  }
}

export async function writeStamp(folder: string, stamp: Stamp): Promise<void> {
  const path = join(folder, STAMP)
  await writeFile(`${path}.part`, `${JSON.stringify(stamp, undefined, 2)}\n`)
  await rename(`${path}.part`, path)
}

/** Whether these files are there, are what a build left, and that build was of the clone as it is now. */
export async function isCurrent(folder: string, names: readonly string[]): Promise<boolean> {
  const [stamp, inputs] = await Promise.all([readStamp(folder), inputsOf()])
  for (const name of names) {
    const said = stamp[name]
    if (said?.inputs !== inputs || said.sha256 !== (await sumOf(join(folder, name)))) return false
  }
  return true
}

async function sumOf(path: string): Promise<string | undefined> {
  const sum = createHash('sha256')
  const read = await pipeline(createReadStream(path), sum).then(
    () => true,
    () => false,
  )
  return read ? sum.digest('hex') : undefined
}

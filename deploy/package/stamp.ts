/**
 * From what the artifacts in a folder were built, so that a file of another build is never taken for one of
 * this: beside them lies `.built-from.json`, with the checksum of everything that a build reads in the clone
 * and the checksum of each file that came out. Packages stand in for themselves by package-lock.json.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ROOT } from './bundle.ts'

export const STAMP = '.built-from.json'

/** By the name of a file: what it was built from, and the checksum of what it is. */
export type Stamp = Readonly<
  Record<string, { readonly inputs: string; readonly sha256: string } | undefined>
>

/** What no program can hold. Whatever is new counts until it is named here. */
const NO_INPUT =
  /^(\.|node_modules$|dist$|tmp$|test$|bench$|docs$|ava\.config\.js$|knip\.json$|deploy\/(ansible|examples)$)|\.(md|test\.ts)$/

/** The checksum of all that a build reads in the clone `root`. */
export async function inputsOf(root: string = ROOT): Promise<string> {
  const sum = createHash('sha256')
  for (const path of (await inputFiles(root, '')).toSorted()) {
    const content = await readFile(join(root, path))
    sum.update(`${path}\0${content.length}\0`).update(content)
  }
  return sum.digest('hex')
}

async function inputFiles(root: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true })
  const found = await Promise.all(
    entries.map((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (NO_INPUT.test(path)) return []
      if (entry.isDirectory()) return inputFiles(root, path)
      return entry.isFile() ? [path] : []
    }),
  )
  return found.flat()
}

/** What is not there, or is no stamp, says nothing about any file. */
export async function readStamp(folder: string): Promise<Stamp> {
  const text = await readFile(join(folder, STAMP), 'utf8').catch(() => '{}')
  return JSON.parse(text) as Stamp
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

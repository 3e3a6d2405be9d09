/**
 * Builds the small C programs of a lab: once for each version of their source, into a cache folder that
 * concurrent runs share. A finished build is moved into place whole.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readFile, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/hakiri-native', import.meta.url))

const run = promisify(execFile)

const FLAGS = {
  program: ['-O2'],
  library: ['-O2', '-shared', '-fPIC'],
} as const

/** Path of the built program or preload library; rejects without gcc, or with what gcc has to say. */
export async function buildNative(source: URL, kind: keyof typeof FLAGS): Promise<string> {
  const path = fileURLToPath(source)
  const hash = createHash('sha256').update(await readFile(path))
  const version = hash.update(FLAGS[kind].join(' ')).digest('hex').slice(0, 16)
  const built = join(CACHE, `${basename(path, '.c')}-${version}${kind === 'library' ? '.so' : ''}`)
  if (await isThere(built)) return built
  await mkdir(CACHE, { recursive: true })
  const unfinished = `${built}.${process.pid}`
  await run('gcc', [...FLAGS[kind], '-o', unfinished, path, '-ldl'])
  await rename(unfinished, built)
  return built
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

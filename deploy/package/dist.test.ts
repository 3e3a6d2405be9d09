/** What a build leaves in dist/: archives that every tool unpacks, and a stamp that lets no other build pass. */
import test from 'ava'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { archive, type Frames } from './archive.ts'
import { bundleProfile } from './bundle.ts'
import { PROFILE_FACTS, PROFILES } from './profiles.ts'
import { inputsOf, isCurrent, isInput, writeStamp } from './stamp.ts'

const run = promisify(execFile)
const BYTES = 1 << 20
const SEAMS = [4096, 600_000]

let folder: string

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hakiri-dist-'))
})

test.after.always(() => rm(folder, { recursive: true, force: true }))

const sumOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

/** The beginning of a real program. */
async function program(): Promise<Buffer> {
  await using file = await open(process.execPath)
  const { buffer } = await file.read({ buffer: Buffer.alloc(BYTES) })
  return buffer
}

test('an archive unpacks to bin/hakiri, wherever it was cut', async (t) => {
  const content = await program()
  for (const [n, seams] of [[], SEAMS, [BYTES, 0, 5]].entries()) {
    const at = join(folder, `unpacked-${n}`)
    await mkdir(at)
    await writeFile(join(at, 'a.tar.zst'), await archive('bin/hakiri', content, seams))
    await run('tar', ['--zstd', '-xf', 'a.tar.zst'], { cwd: at })
    t.true(content.equals(await readFile(join(at, 'bin/hakiri'))))
    t.is((await stat(join(at, 'bin/hakiri'))).mode & 0o777, 0o755)
  }
})

test('an archive has the same bytes with one thread, with many, and with frames that are made', async (t) => {
  const frames: Frames = new Map()
  const content = await program()
  const expected = sumOf(await archive('bin/hakiri', content, SEAMS, frames))
  const made = frames.size
  t.is(sumOf(await archive('bin/hakiri', content, SEAMS, frames)), expected)
  t.is(frames.size, made)
  await writeFile(join(folder, 'program'), content)
  const script = `
    import { archive } from ${JSON.stringify(new URL('./archive.ts', import.meta.url).href)}
    import { readFileSync, writeFileSync } from 'node:fs'
    writeFileSync(process.argv[2], await archive('bin/hakiri', readFileSync(process.argv[1]), ${JSON.stringify(SEAMS)}))`
  for (const threads of ['1', '7']) {
    const to = join(folder, `threads-${threads}`)
    await run(
      process.execPath,
      ['--input-type=module', '-e', script, join(folder, 'program'), to],
      { env: { ...process.env, UV_THREADPOOL_SIZE: threads } },
    )
    t.is(sumOf(await readFile(to)), expected, threads)
  }
})

test('a program counts as current only with the bytes and the sources of this build', async (t) => {
  const dist = await mkdtemp(join(folder, 'dist-'))
  const name = 'hakiri-full-linux-x64'
  t.false(await isCurrent(dist, [name]), 'nothing is there')
  await writeFile(join(dist, name), 'a program')
  t.false(await isCurrent(dist, [name]), 'nobody says what it was built from')
  const sha256 = sumOf(Buffer.from('a program'))
  const inputs = await inputsOf()
  await writeStamp(dist, { [name]: { inputs, sha256 } })
  t.true(await isCurrent(dist, [name]))
  t.false(await isCurrent(dist, [name, `${name}.tar.zst`]), 'its archive is not there')
  await writeFile(join(dist, name), 'half a prog')
  t.false(await isCurrent(dist, [name]), 'other bytes')
  await writeFile(join(dist, name), 'a program')
  await writeStamp(dist, { [name]: { inputs: sumOf(Buffer.from('before')), sha256 } })
  t.false(await isCurrent(dist, [name]), 'other sources')
})

test('what a program holds of this clone is read for the stamp', async (t) => {
  for (const profile of PROFILES) {
    const held = [
      ...Object.keys((await bundleProfile(profile)).inputs),
      ...PROFILE_FACTS[profile].texts,
    ].filter((path) => !/^node_modules\/|:/.test(path))
    t.true(held.length > 30 && held.includes('package.json'), profile)
    t.deepEqual(
      held.filter((path) => !isInput(path)),
      [],
    )
  }
})

test('whatever a program may hold makes another build of it; tests, docs and inventories do not', async (t) => {
  const root = await mkdtemp(join(folder, 'clone-'))
  const put = async (path: string, text: string): Promise<string> => {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
    return inputsOf(root)
  }
  let before = await put('package-lock.json', '{}')
  for (const path of [
    'cli/main.ts',
    'deploy/systemd/hakiri-coord.service',
    'package-lock.json',
    'proto/new/x.json',
  ]) {
    const after = await put(path, 'changed')
    t.not(after, before, path)
    before = after
  }
  for (const path of [
    'cli/main.test.ts',
    'docs/operating.md',
    'test/e2e/x.ts',
    'bench/x.ts',
    'deploy/ansible/site.yml',
    'inventory/hosts.yml',
    'lib/DESIGN.md',
    'node_modules/x/index.js',
    'dist/x',
    '.git/HEAD',
  ])
    t.is(await put(path, 'changed'), before, path)
})

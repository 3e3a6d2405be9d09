/** One program: the runtime without its symbols, and inside it the code and the native parts of a profile. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { NativeFile } from '../../cli/artifact/native.ts'
import { assert } from '../../lib/assert.ts'
import { bundleProfile, ROOT } from './bundle.ts'
import { addNote, stripElf } from './elf.ts'
import { packageFolder } from './packages.ts'
import {
  ADD_ON_FILES,
  type AddOn,
  type Profile,
  type ProfileFacts,
  PROFILE_FACTS,
  RUNTIME_PACKAGE,
  type Target,
} from './profiles.ts'

const run = promisify(execFile)
/** Which runtime prepares the blob does not matter, as long as it is of the same version. */
const NODE = join(ROOT, 'node_modules/.bin/node')
/** Where the runtime looks, and what it looks at: https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html */
const NOTE = 'NODE_SEA_BLOB'
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:0'

/** What is smaller is not worth a frame of its own. */
const SHARED_BYTES_MIN = 1 << 20
/** The first page has the headers, which name sizes of what was added. */
const HEADERS_BYTES = 4096

type Assets = Readonly<Record<string, string>>

export type Program = {
  readonly bytes: Buffer
  /** Where parts begin that programs of other profiles have too, or end. */
  readonly seams: readonly number[]
}

export async function buildProgram(profile: Profile, target: Target): Promise<Program> {
  await mkdir(join(ROOT, 'node_modules/.cache'), { recursive: true })
  const work = await mkdtemp(join(ROOT, 'node_modules/.cache/package-'))
  try {
    const facts = PROFILE_FACTS[profile]
    const { start, code } = await bundleProfile(profile)
    await writeFile(join(work, 'main.cjs'), start)
    await writeFile(join(work, 'rest.cjs'), code)
    const assets = await nativeAssets(facts.addOns, target, work)
    const blob = await prepareBlob(work, assets, facts)
    const node = await runtime(target)
    const bytes = addNote(node, NOTE, blob)
    const large = await largeAssets(work, Object.values(assets))
    return { bytes, seams: [HEADERS_BYTES, node.length, ...large.flatMap(placeIn(bytes))] }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function largeAssets(work: string, paths: readonly string[]): Promise<readonly Buffer[]> {
  const assets = await Promise.all(paths.map((path) => readFile(join(work, path))))
  return assets.filter(({ length }) => length >= SHARED_BYTES_MIN)
}

function placeIn(bytes: Buffer): (asset: Buffer) => readonly number[] {
  return (asset) => {
    const at = bytes.indexOf(asset)
    assert(at > 0, 'an asset lies in the program as it is')
    return [at, at + asset.length]
  }
}

/** Stripped, and told that it carries something. */
async function runtime(target: Target): Promise<Buffer> {
  const folder = await packageFolder(RUNTIME_PACKAGE[target])
  const node = stripElf(await readFile(join(folder, 'bin/node')))
  const at = node.indexOf(FUSE)
  assert(at > 0 && node.indexOf(FUSE, at + 1) < 0, 'one fuse in the runtime')
  node[at + FUSE.length - 1] = '1'.charCodeAt(0)
  return node
}

async function nativeAssets(
  addOns: readonly AddOn[],
  target: Target,
  work: string,
): Promise<Assets> {
  const assets: Record<string, string> = {}
  const manifest: Record<string, NativeFile[]> = {}
  for (const addOn of addOns) {
    const { package: name, files } = ADD_ON_FILES[target][addOn]
    const folder = await packageFolder(name)
    manifest[addOn] = []
    for (const file of files) {
      const content = stripElf(await readFile(join(folder, file)))
      const path = `native/${addOn}/${basename(file)}`
      await mkdir(dirname(join(work, path)), { recursive: true })
      await writeFile(join(work, path), content)
      assets[path] = path
      manifest[addOn].push(factsOf(basename(file), content))
    }
  }
  await writeFile(join(work, 'native.json'), JSON.stringify(manifest))
  return { 'rest.cjs': 'rest.cjs', 'native.json': 'native.json', ...assets }
}

function factsOf(name: string, content: Buffer): NativeFile {
  return { name, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }
}

/** All paths are relative: the blob remembers that of the code, and two builds shall give the same bytes. */
async function prepareBlob(
  work: string,
  assets: Assets,
  { execArgv, texts }: ProfileFacts,
): Promise<Buffer> {
  const config = {
    main: 'main.cjs',
    output: 'blob',
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: false,
    execArgv,
    // Variables of the host do not reach the runtime; the encoder process is told its own flags.
    execArgvExtension: 'cli',
    assets: { ...assets, ...Object.fromEntries(texts.map((path) => [path, join(ROOT, path)])) },
  }
  await writeFile(join(work, 'sea.json'), JSON.stringify(config))
  await run(NODE, ['--experimental-sea-config', 'sea.json'], { cwd: work })
  return readFile(join(work, 'blob'))
}

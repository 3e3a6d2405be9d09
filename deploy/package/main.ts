/** `npm run package`: writes the artifacts of all profiles and targets, or of some, to dist/. */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { archive, type Frames } from './archive.ts'
import { ROOT } from './bundle.ts'
import { type Made, sbom } from './sbom.ts'
import { buildProgram } from './program.ts'
import { type Profile, PROFILES, type Target, TARGETS } from './profiles.ts'
import { inputsOf, readStamp, type Stamp, writeStamp } from './stamp.ts'

const { values } = parseArgs({
  options: {
    profile: { type: 'string', multiple: true },
    target: { type: 'string', multiple: true },
    out: { type: 'string', default: join(ROOT, 'dist') },
    'no-archive': { type: 'boolean', default: false },
  },
})

const profiles = chosen<Profile>('profile', PROFILES, values.profile)
const targets = chosen<Target>('target', TARGETS, values.target)
const inputs = await inputsOf()
const frames: Frames = new Map()
await mkdir(values.out, { recursive: true })
await removeOthers(values.out)
// Compressing is most of the work, and each frame does it on a thread of its own.
const made = await Promise.all(
  targets.flatMap((target) => profiles.map((profile) => make(profile, target))),
)
await note(values.out, Object.fromEntries(made.flat()))
await writeSbom(values.out)
await writeSums(values.out)

function chosen<T extends string>(
  name: string,
  all: readonly T[],
  some?: readonly string[],
): readonly T[] {
  if (some === undefined) return all
  const unknown = some.find((one) => !all.includes(one as T))
  if (unknown !== undefined) throw new Error(`--${name}=${unknown}: there is ${all.join(', ')}`)
  return some as readonly T[]
}

type Written = readonly [name: string, sha256: string]

async function make(profile: Profile, target: Target): Promise<readonly Written[]> {
  const started = performance.now()
  const name = `hakiri-${profile}-${target}`
  const { bytes, seams } = await buildProgram(profile, target)
  const written = [await write(name, bytes, 0o755)]
  let compressed = ''
  if (values['no-archive']) await rm(join(values.out, `${name}.tar.zst`), { force: true })
  else {
    const packed = await archive('bin/hakiri', bytes, seams, frames)
    written.push(await write(`${name}.tar.zst`, packed, 0o644))
    compressed = `  ${(packed.length / 1e6).toFixed(1)} MB compressed`
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${name}  ${(bytes.length / 1e6).toFixed(1)} MB${compressed}  ${seconds} s`)
  return written
}

async function write(name: string, content: Buffer, mode: number): Promise<Written> {
  await replace(join(values.out, name), content, mode)
  return [name, sha256(content)]
}

/**
 * What was built from something else goes: sums and the list of what is inside are about all files that lie
 * here, and neither can say which build each is of.
 */
async function removeOthers(folder: string): Promise<void> {
  const stamp = await readStamp(folder)
  for (const name of await artifactsIn(folder)) {
    if (stamp[name]?.inputs === inputs) continue
    await rm(join(folder, name))
    console.log(`${name}  is of another build: removed`)
  }
}

async function note(folder: string, sums: Readonly<Record<string, string>>): Promise<void> {
  const before = await readStamp(folder)
  const kept = await artifactsIn(folder)
  const stamp: Stamp = {
    ...Object.fromEntries(kept.map((name) => [name, before[name]])),
    ...Object.fromEntries(
      Object.entries(sums).map(([name, sum]) => [name, { inputs, sha256: sum }]),
    ),
  }
  await writeStamp(folder, stamp)
}

async function artifactsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder)
  return names.filter((name) => /^hakiri-[\w-]+(\.tar\.zst)?$/.test(name)).toSorted()
}

/** A program that runs keeps its file; nobody sees half of one. */
async function replace(path: string, content: Buffer, mode: number): Promise<void> {
  await writeFile(`${path}.part`, content, { mode })
  await rename(`${path}.part`, path)
}

/** Of all artifacts that lie there, so that building one does not forget the others. */
async function writeSbom(folder: string): Promise<void> {
  const made: Made[] = []
  for (const target of TARGETS)
    for (const profile of PROFILES) {
      const program = await readFile(join(folder, `hakiri-${profile}-${target}`)).catch(
        () => undefined,
      )
      if (program) made.push({ profile, target, sha256: sha256(program) })
    }
  await replace(join(folder, 'sbom.spdx.json'), Buffer.from(await sbom(made)), 0o644)
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Over all artifacts that lie there, so that building one does not forget the others. */
async function writeSums(folder: string): Promise<void> {
  const names = [...(await artifactsIn(folder)), 'sbom.spdx.json']
  const lines: string[] = []
  for (const name of names) {
    const sum = sha256(await readFile(join(folder, name)))
    lines.push(`${sum}  ${name}\n`)
  }
  await replace(join(folder, 'SHA256SUMS'), Buffer.from(lines.join('')), 0o644)
}

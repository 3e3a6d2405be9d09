/** `npm run package`: writes the artifacts of all profiles and targets, or of some, to dist/. */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { archive } from './archive.ts'
import { ROOT } from './bundle.ts'
import { type Made, sbom } from './sbom.ts'
import { buildProgram } from './program.ts'
import { type Profile, PROFILES, type Target, TARGETS } from './profiles.ts'

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
await mkdir(values.out, { recursive: true })
// Compressing is most of the work, and each does it on a thread of its own.
for (const target of targets) await Promise.all(profiles.map((profile) => make(profile, target)))
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

async function make(profile: Profile, target: Target): Promise<void> {
  const started = performance.now()
  const name = `hakiri-${profile}-${target}`
  const path = join(values.out, name)
  const program = await buildProgram(profile, target)
  await replace(path, program, 0o755)
  if (values['no-archive']) await rm(`${path}.tar.zst`, { force: true })
  else await replace(`${path}.tar.zst`, await archive('bin/hakiri', program), 0o644)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${name}  ${(program.length / 1e6).toFixed(1)} MB  ${seconds} s`)
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
  const names = (await readdir(folder)).filter((name) =>
    /^hakiri-[\w-]+(\.tar\.zst)?$|^sbom\.spdx\.json$/.test(name),
  )
  const lines: string[] = []
  for (const name of names.toSorted()) {
    const sum = sha256(await readFile(join(folder, name)))
    lines.push(`${sum}  ${name}\n`)
  }
  await replace(join(folder, 'SHA256SUMS'), Buffer.from(lines.join('')), 0o644)
}

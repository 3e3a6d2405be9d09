/** What lies around the artifacts: install.sh, units, Dockerfiles, the formula, the SBOM. */
import test from 'ava'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PROFILES } from '../../deploy/package/profiles.ts'
import { bundledPackages, sbom } from '../../deploy/package/sbom.ts'

const run = promisify(execFile)
const fileOf = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const TARGET = `linux-${process.arch}`

type Ended = { readonly code: number; readonly said: string }

const ends = (program: string, args: readonly string[]): Promise<Ended> =>
  run(program, args).then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    (error: unknown) => {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
      return { code, said: stdout + stderr }
    },
  )

/** A folder as a release is, with a program that only knows its version. */
async function release(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-release-'))
  const program = '#!/bin/sh\necho 7.7.7\n'
  const sum = createHash('sha256').update(program).digest('hex')
  await writeFile(join(folder, `hakiri-full-${TARGET}`), program)
  await writeFile(join(folder, 'SHA256SUMS'), `${sum}  hakiri-full-${TARGET}\n`)
  return folder
}

const install = (...args: readonly string[]): Promise<Ended> =>
  ends('sh', [fileOf('deploy/package/install.sh'), ...args])

test('install.sh puts a program in place from a folder, and again over it', async (t) => {
  const folder = await release()
  const to = join(folder, 'bin/hakiri')
  for (let n = 0; n < 2; n++) {
    const { code, said } = await install('--from', folder, '--to', to)
    t.is(code, 0, said)
    t.regex(said, /hakiri 7\.7\.7 is in/)
  }
  t.is((await stat(to)).mode & 0o777, 0o755)
  t.deepEqual(await readdir(join(folder, 'bin')), ['hakiri'])
  await rm(folder, { recursive: true })
})

test('install.sh installs nothing whose checksum is another, or that nobody named', async (t) => {
  const folder = await release()
  const to = join(folder, 'bin/hakiri')
  await writeFile(join(folder, `hakiri-full-${TARGET}`), '#!/bin/sh\necho evil\n')
  const changed = await install('--from', folder, '--to', to)
  t.is(changed.code, 3)
  t.regex(changed.said, /checksum/)
  const unnamed = await install('--from', folder, '--profile', 'core', '--to', to)
  t.is(unnamed.code, 3)
  t.regex(unnamed.said, /does not name hakiri-core/)
  t.is((await install('--from', 'http://example.org', '--to', to)).code, 2)
  t.is((await install('--to', to)).code, 2)
  await t.throwsAsync(stat(to))
  await rm(folder, { recursive: true })
})

for (const role of ['coord', 'worker']) {
  const unit = fileOf(`deploy/systemd/hakiri-${role}.service`)

  test(`the unit of a ${role} is exposed to 2.0 at most`, async (t) => {
    const analyze = ['security', '--offline=yes', '--threshold=20']
    const good = await ends('systemd-analyze', [...analyze, unit])
    t.is(good.code, 0, good.said)
    // The same look refuses a unit that lost its hardening.
    const folder = await mkdtemp(join(tmpdir(), 'hakiri-unit-'))
    const soft = join(folder, 'soft.service')
    const text = await readFile(unit, 'utf8')
    await writeFile(soft, text.replaceAll(/^(SystemCall|Capability|Protect|Private).*$/gm, ''))
    t.not((await ends('systemd-analyze', [...analyze, soft])).code, 0)
    await rm(folder, { recursive: true })
  })

  test(`systemd understands every line of the unit of a ${role}`, async (t) => {
    const { said } = await ends('systemd-analyze', ['verify', unit])
    const complaints = said
      .split('\n')
      .filter((line) => line !== '' && !/is not executable/.test(line))
    t.deepEqual(complaints, [])
  })
}

type Instruction = { readonly word: string; readonly rest: string }

/** Instructions of a Dockerfile, with continued lines in one. */
function parseDockerfile(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, word, rest] = /^([A-Z]+)\s+(.+)$/.exec(line) ?? []
      if (word === undefined || rest === undefined) throw new Error(`no instruction: ${line}`)
      return { word, rest }
    })
}

const KNOWN = [
  'FROM',
  'ARG',
  'RUN',
  'COPY',
  'ENV',
  'USER',
  'WORKDIR',
  'VOLUME',
  'EXPOSE',
  'HEALTHCHECK',
  'STOPSIGNAL',
  'ENTRYPOINT',
  'CMD',
]

for (const profile of PROFILES)
  test(`the Dockerfile of ${profile} says what to run, as whom, and how to tell that it works`, async (t) => {
    const text = await readFile(fileOf(`deploy/package/Dockerfile.${profile}`), 'utf8')
    const instructions = parseDockerfile(text)
    const of = (word: string): readonly string[] =>
      instructions.filter((one) => one.word === word).map(({ rest }) => rest)
    t.deepEqual(
      instructions.filter(({ word }) => !KNOWN.includes(word)),
      [],
    )
    t.is(instructions[0]?.word, 'FROM')
    t.regex(of('FROM')[0] ?? '', /^debian:\d+-slim$/)
    t.deepEqual(of('USER'), ['hakiri'])
    for (const word of ['ENTRYPOINT', 'CMD']) t.true(Array.isArray(JSON.parse(of(word)[0] ?? '')))
    const health = /CMD (\[.*\])$/.exec(of('HEALTHCHECK')[0] ?? '')?.[1] ?? ''
    t.true((JSON.parse(health) as string[]).length > 1)
    t.regex(of('COPY')[0] ?? '', new RegExp(`hakiri-${profile}-linux-\\*`))
    t.throws(() => parseDockerfile('FROM a\nnonsense here\n'))
  })

test('the formula is filled in from places that a release has', async (t) => {
  const text = await readFile(fileOf('deploy/package/hakiri.rb.template'), 'utf8')
  const names = [
    ...new Set([...text.matchAll(/@([A-Z0-9_]+)@/g)].flatMap(([, name]) => name ?? [])),
  ].toSorted()
  t.deepEqual(names, ['BASE_URL', 'HOMEPAGE', 'SHA256_LINUX_ARM64', 'SHA256_LINUX_X64', 'VERSION'])
  const depth = text
    .split('\n')
    .reduce(
      (sum, line) =>
        sum + (/^\s*(class|on_\w+ do|def|test do)/.test(line) ? 1 : /^\s*end$/.test(line) ? -1 : 0),
      0,
    )
  t.is(depth, 0)
})

test('the SBOM names the runtime and every package, each with its checksum', async (t) => {
  const sums = { sha256: 'a'.repeat(64), target: 'linux-x64' } as const
  const text = await sbom([
    { ...sums, profile: 'coord' },
    { ...sums, profile: 'full' },
  ])
  const { packages, relationships } = JSON.parse(text) as {
    packages: { name: string; checksums: { checksumValue: string }[] }[]
    relationships: { spdxElementId: string; relatedSpdxElement: string }[]
  }
  const inside = (id: string): readonly string[] =>
    relationships.filter((one) => one.spdxElementId === id).map((one) => one.relatedSpdxElement)
  const coord = inside('SPDXRef-hakiri-coord-linux-x64')
  t.true(coord.includes('SPDXRef-node-linux-x64') && coord.includes('SPDXRef-classic-level'))
  t.false(coord.some((id) => id.includes('duckdb')))
  t.true(
    inside('SPDXRef-hakiri-full-linux-x64').includes('SPDXRef--duckdb-node-bindings-linux-x64'),
  )
  t.true(
    packages.every(({ checksums }) => /^[0-9a-f]{64,}$/.test(checksums[0]?.checksumValue ?? '')),
  )
  t.is(
    text,
    await sbom([
      { ...sums, profile: 'coord' },
      { ...sums, profile: 'full' },
    ]),
  )
  t.deepEqual(
    bundledPackages({
      'node_modules/@a/b/c.js': { bytes: 1, imports: [] },
      'lib/x.ts': { bytes: 1, imports: [] },
    }),
    ['@a/b'],
  )
})

/**
 * A host with next to nothing: the C and C++ libraries of this machine, sh and a few small programs. No
 * Node, npm, compiler, libraries of ours, not even a resolver. Programs run in it with a process space of
 * their own, which ends with the one that was started.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { copyFile, cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What a bare Debian brings that an artifact needs: see "DT_NEEDED" of the programs. */
const LIBRARIES =
  /\/(ld-linux[-\w]*|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so\.\d+$/
const TOOLS = ['sh', 'ls', 'cat', 'sleep']

export type Said = { readonly code: number; readonly stdout: string; readonly stderr: string }

export type BareRoot = AsyncDisposable & {
  readonly folder: string
  /** Runs a line of sh in it. */
  sh(line: string): Promise<Said>
  /** Starts a line that goes on; `unshare` passes signals of its own on by ending everything. */
  start(line: string): ChildProcess
}

/** `programs`: names in /bin to files of this machine. */
export async function makeBareRoot(programs: Readonly<Record<string, string>>): Promise<BareRoot> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bare-'))
  for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'tmp', 'work'])
    await mkdir(join(folder, name))
  for (const tool of TOOLS)
    await copyWithLibraries(await which(tool), join(folder, 'bin', tool), folder)
  for (const [name, path] of Object.entries(programs))
    await copyWithLibraries(path, join(folder, 'bin', name), folder)
  for (const [name, minor] of [
    ['null', 3],
    ['zero', 5],
    ['urandom', 9],
  ] as const)
    await run('mknod', ['-m', '666', join(folder, 'dev', name), 'c', '1', String(minor)])
  await writeFile(join(folder, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n')
  const argv = (line: string): string[] => [
    '--pid',
    '--fork',
    '--kill-child',
    '--mount',
    '--mount-proc=/proc',
    `--root=${folder}`,
    '--wd=/work',
    '/bin/sh',
    '-c',
    line,
  ]
  const env = { PATH: '/bin', HOME: '/root' }
  return {
    folder,
    sh: (line) =>
      run('unshare', argv(line), { env: { ...env, PATH: '/bin:/usr/bin' }, timeout: 60_000 }).then(
        ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
        (error: unknown) => {
          const { code, stdout = '', stderr = '' } = error as Partial<Said>
          return { code: code ?? -1, stdout, stderr }
        },
      ),
    start: (line) =>
      spawn('unshare', argv(line), {
        env: { ...env, PATH: '/bin:/usr/bin' },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function which(tool: string): Promise<string> {
  const { stdout } = await run('/bin/sh', ['-c', `command -v ${tool}`])
  return realpath(stdout.trim())
}

async function copyWithLibraries(from: string, to: string, root: string): Promise<void> {
  await copyFile(from, to)
  for (const library of await librariesOf(from)) {
    const place = join(root, library)
    await mkdir(dirname(place), { recursive: true })
    await cp(await realpath(library), place, { force: true })
  }
}

/** The C and C++ libraries alone; a tool that wants more would not start, and a test would say so. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const { stdout } = await run('ldd', [program])
  const paths = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!)
  return paths.filter((path) => LIBRARIES.test(path) || basename(program) !== 'hakiri')
}

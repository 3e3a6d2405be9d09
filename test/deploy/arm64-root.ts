/**
 * A bare host with another processor: the C and C++ libraries of Debian's arm64, and every program of it run by
 * qemu, also those that a program starts. The kernel is told so in a user namespace of its own, which it can
 * since 6.7: this machine does not learn of it.
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeBareRoot, type Said } from './bare-root.ts'

const run = promisify(execFile)
const EMULATOR = '/usr/bin/qemu-aarch64-static'
/** Where Debian's libc6-arm64-cross and libstdc++6-arm64-cross put them. */
const LIBRARIES = '/usr/aarch64-linux-gnu/lib'
const WANTED = /^(ld-linux-aarch64|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so\.\d+$/
/** The head of a program for arm64, and which of its bits matter: as qemu-binfmt-conf.sh of qemu has them. */
const MAGIC =
  String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00` +
  String.raw`:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`

/** The kernel keeps the emulator open (F), so that it need not lie in the root folder. */
const ENTER = `set -e
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s ':hakiri-arm64:M::${MAGIC}:${EMULATOR}:F' >/proc/sys/fs/binfmt_misc/register
mount -t proc proc "$1/proc"
cd "$1/work"
exec chroot "$1" /bin/sh -c "cd /work; $2"`

export type Arm64Root = AsyncDisposable & {
  /** Runs a line of sh in it; sh itself is of this machine's processor. */
  sh(line: string, timeoutMs: number): Promise<Said>
}

/** Why there can be none here; undefined: there can. At once, since tests are declared before anything waits. */
export function whyNoArm64(): string | undefined {
  const missing = [EMULATOR, join(LIBRARIES, 'libstdc++.so.6')].find((path) => !existsSync(path))
  if (missing !== undefined) return `${missing} is missing`
  const mount = 'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc'
  const { status } = spawnSync('unshare', [...NAMESPACES, '/bin/sh', '-c', mount])
  return status === 0
    ? undefined
    : 'the kernel has no binfmt_misc of its own for a user namespace (6.7 has)'
}

const NAMESPACES = ['--user', '--map-root-user', '--mount', '--pid', '--fork', '--kill-child']

/** `programs`: names in /bin to files for arm64. */
export async function makeArm64Root(
  programs: Readonly<Record<string, string>>,
): Promise<Arm64Root> {
  const root = await makeBareRoot({})
  await mkdir(join(root.folder, 'lib'), { recursive: true })
  for (const name of await readdir(LIBRARIES))
    if (WANTED.test(name)) await copyFile(join(LIBRARIES, name), join(root.folder, 'lib', name))
  for (const [name, path] of Object.entries(programs))
    await copyFile(path, join(root.folder, 'bin', name))
  return {
    sh: (line, timeoutMs) => sayIn(root.folder, line, timeoutMs),
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  }
}

function sayIn(folder: string, line: string, timeout: number): Promise<Said> {
  return run('unshare', [...NAMESPACES, '/bin/sh', '-c', ENTER, 'sh', folder, line], {
    env: { PATH: '/bin:/usr/bin:/sbin:/usr/sbin', HOME: '/root' },
    timeout,
    killSignal: 'SIGKILL',
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: unknown) => {
      const { code, stdout = '', stderr = '' } = error as Partial<Said>
      return { code: code ?? -1, stdout, stderr }
    },
  )
}

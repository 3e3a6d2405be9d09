/**
 * A host's disk: a folder whose syncs can be made slow or failing and that can be full, while programs
 * run. A program that loads the C library meets the faults through a preload library (disk-faults.c); one
 * that is linked statically, such as etcd, through strace, which holds its calls for as long as it is
 * attached. A disk of a fixed size is a tmpfs, which a ballast file fills for everybody.
 */
import { execFile, spawn } from 'node:child_process'
import { chmod, chown, mkdir, open, realpath, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Lab } from './lab.ts'
import { buildNative } from './native.ts'

export type DiskFault =
  | { readonly kind: 'slow-sync'; readonly ms: number }
  /** Every sync fails with EIO. */
  | { readonly kind: 'failing-sync' }
  /**
   * Every write fails with ENOSPC; on a disk of a fixed size only one that needs more room, so not one
   * into a file whose room was taken ahead, as etcd takes 64 MB for its log.
   */
  | { readonly kind: 'full' }

export type PlayedFault = {
  /** How many calls have met it; undefined where nobody counts. */
  hits(): Promise<number | undefined>
  /** Resolves when it is over. Once is enough; the process may be gone. */
  heal(): Promise<void>
}

export type Disk = AsyncDisposable & {
  readonly folder: string
  /** What a program needs in its environment to meet the faults. */
  readonly env: Readonly<Record<string, string>>
  /**
   * One at a time. `pid` is the program's own. With `trace` a fault of syncs ends with that process; else
   * it meets every program that runs with `env`, also those that start later.
   */
  begin(fault: DiskFault, pid: number): Promise<PlayedFault>
}

export type DiskOptions = {
  /** Unique in the lab. */
  readonly name: string
  /** How its program is reached: `trace` needs root and strace, `preload` gcc. */
  readonly reach: 'preload' | 'trace'
  /** A tmpfs of this size instead of a folder on the machine's disk; needs root. */
  readonly sizeBytes?: number
  /** Whose it is; the caller's when left out. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

const SOURCE = new URL('./disk-faults.c', import.meta.url)
const WORDS = { syncDelayMs: 0, syncErrno: 1, writeErrno: 2, hits: 3 } as const
const WORD_BYTES = 8
const ATTACH_MS = 10_000

const run = promisify(execFile)

export async function openDisk(lab: Pick<Lab, 'folder'>, options: DiskOptions): Promise<Disk> {
  const { name, reach, sizeBytes, user } = options
  await using cleaning = new AsyncDisposableStack()
  const folder = join(await realpath(lab.folder), `disk-${name}`)
  await mkdir(folder)
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  if (sizeBytes !== undefined) {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0755`, 'hakiri-chaos', folder])
    cleaning.defer(async () => void (await run('umount', ['--lazy', folder])))
  }
  if (user) await chown(folder, user.uid, user.gid)
  const control = reach === 'preload' ? await openControl(`${folder}.control`, folder) : undefined
  if (control) cleaning.use(control)
  const kept = cleaning.move()
  return {
    folder,
    env: control?.env ?? {},
    begin(fault, pid) {
      if (fault.kind === 'full' && sizeBytes !== undefined) return fill(join(folder, '.ballast'))
      if (control) return control.begin(fault)
      if (fault.kind === 'full')
        throw new Error(`the disk ${name} needs a size so that a traced program can find it full`)
      return trace(fault, pid)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

type Control = AsyncDisposable & {
  readonly env: Readonly<Record<string, string>>
  begin(fault: DiskFault): Promise<PlayedFault>
}

/** The page that the preload library of each program maps. */
async function openControl(path: string, folder: string): Promise<Control> {
  const library = await buildNative(SOURCE, 'library')
  await writeFile(path, Buffer.alloc(Object.keys(WORDS).length * WORD_BYTES))
  // Programs of any user count their hits in it.
  await chmod(path, 0o666)
  const file = await open(path, 'r+')
  const set = async (word: keyof typeof WORDS, value: number): Promise<void> => {
    const bytes = Buffer.alloc(WORD_BYTES)
    bytes.writeBigInt64LE(BigInt(value))
    await file.write(bytes, 0, WORD_BYTES, WORDS[word] * WORD_BYTES)
  }
  const hits = async (): Promise<number> => {
    const bytes = Buffer.alloc(WORD_BYTES)
    await file.read(bytes, 0, WORD_BYTES, WORDS.hits * WORD_BYTES)
    return Number(bytes.readBigInt64LE())
  }
  return {
    env: {
      LD_PRELOAD: library,
      // The kernel would do the work out of the library's sight.
      UV_USE_IO_URING: '0',
      HAKIRI_DISK_CONTROL: path,
      HAKIRI_DISK_FOLDER: folder,
    },
    async begin(fault) {
      const before = await hits()
      const [word, value] = wordOf(fault)
      await set(word, value)
      return { hits: async () => (await hits()) - before, heal: () => set(word, 0) }
    },
    async [Symbol.asyncDispose]() {
      await file.close()
      await rm(path, { force: true })
    },
  }
}

function wordOf(fault: DiskFault): readonly [keyof typeof WORDS, number] {
  switch (fault.kind) {
    case 'slow-sync':
      return ['syncDelayMs', fault.ms]
    case 'failing-sync':
      return ['syncErrno', constants.errno.EIO]
    case 'full':
      return ['writeErrno', constants.errno.ENOSPC]
  }
}

const BALLAST_BYTES = 1 << 20

/** Takes all the room there is. */
async function fill(path: string): Promise<PlayedFault> {
  const file = await open(path, 'w')
  try {
    const block = Buffer.alloc(BALLAST_BYTES)
    for (;;) await file.write(block)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    await file.close()
  }
  return { hits: () => Promise.resolve(undefined), heal: () => rm(path, { force: true }) }
}

/** Resolves when the process is held; every thread of it is. */
async function trace(
  fault: Exclude<DiskFault, { kind: 'full' }>,
  pid: number,
): Promise<PlayedFault> {
  const syncs = 'fsync,fdatasync'
  const what = fault.kind === 'slow-sync' ? `delay_enter=${fault.ms * 1_000}` : 'error=EIO'
  const args = ['-f', '-e', `trace=${syncs}`, '-e', `inject=${syncs}:${what}`, '-p', String(pid)]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const { promise: attached, resolve, reject } = Promise.withResolvers<void>()
  const { promise: gone, resolve: end } = Promise.withResolvers<void>()
  let words = ''
  let hits = 0
  strace.stderr.setEncoding('utf8').on('data', (text: string) => {
    hits += text.match(/\((INJECTED|DELAYED)\)/g)?.length ?? 0
    words = (words + text).slice(-2_000)
    if (/Process \d+ attached/.test(words)) resolve()
  })
  strace.once('error', reject)
  strace.once('close', () => {
    reject(new Error(`strace has not attached to process ${pid}: ${words}`))
    end()
  })
  const timer = setTimeout(
    () => reject(new Error(`strace has not attached to process ${pid} in ${ATTACH_MS} ms`)),
    ATTACH_MS,
  )
  const heal = async (): Promise<void> => {
    // It lets go of the process; SIGKILL would do so too, but in the middle of a call.
    if (strace.exitCode === null && strace.signalCode === null) strace.kill('SIGINT')
    await gone
  }
  try {
    await attached
  } catch (error) {
    await heal()
    throw error
  } finally {
    clearTimeout(timer)
  }
  return { hits: () => Promise.resolve(hits), heal }
}

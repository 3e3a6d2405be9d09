/**
 * A host's wall clock, which jumps and drifts while a program runs; its monotonic clock and its timers
 * stay true. libfaketime reads a file at each look at the clock. It reaches programs that load the C
 * library; a program that is linked statically, such as etcd, keeps the machine's clock.
 */
import { access, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lab } from './lab.ts'

export type HostClock = {
  /** What a program needs in its environment to live by it. */
  readonly env: Readonly<Record<string, string>>
  /**
   * From now on it differs from the machine's clock by so much. With a rate other than 1 it runs on from
   * there that many times as fast, for the process `pid`; a process that starts meanwhile begins with a
   * difference of its own.
   */
  set(offsetMs: number, rate?: number, pid?: number): Promise<void>
  /** Back to the machine's time, at once. */
  heal(): Promise<void>
}

const LIBRARIES = '/usr/lib'
/** Without it the last rate stays in force. */
const TRUE_RATE = 'x1'

/** Why clocks cannot be changed here; undefined if they can. */
export async function clocksMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'libfaketime is loaded as on Linux only'
  return (await findLibrary()) === undefined
    ? 'libfaketime is missing (Debian: apt-get install faketime)'
    : undefined
}

export async function openClock(lab: Pick<Lab, 'folder'>, name: string): Promise<HostClock> {
  const library = await findLibrary()
  if (library === undefined) throw new Error('libfaketime is not installed')
  const path = join(lab.folder, `clock-${name}`)
  const write = async (text: string): Promise<void> => {
    // Moved into place: a program reads it at any moment.
    await writeFile(`${path}.next`, `${text}\n`)
    await rename(`${path}.next`, path)
  }
  await write(`+0 ${TRUE_RATE}`)
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    async set(offsetMs, rate = 1, pid) {
      if (rate === 1) return write(`${seconds(offsetMs)} ${TRUE_RATE}`)
      if (pid === undefined) throw new Error('a drift needs the process whose clock drifts')
      // The library lets a clock drift from the start of its process on, not from now on.
      const ahead = (rate - 1) * (await ageMs(pid))
      return write(`${seconds(offsetMs - ahead)} x${rate}`)
    },
    heal: () => write(`+0 ${TRUE_RATE}`),
  }
}

const seconds = (ms: number): string => `${ms < 0 ? '-' : '+'}${Math.abs(ms / 1_000).toFixed(6)}`

/** How long ago the process was started, to a hundredth of a second. */
async function ageMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // Fields are counted from behind the program's name, which may hold anything; this is the 22nd.
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const uptime = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0])
  return uptime * 1_000 - ticks * 10
}

/** The variant for programs with several threads. */
async function findLibrary(): Promise<string | undefined> {
  const folders = await readdir(LIBRARIES).catch(() => [])
  for (const folder of folders.filter((name) => name.includes('-linux-gnu'))) {
    const path = join(LIBRARIES, folder, 'faketime', 'libfaketimeMT.so.1')
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}

/**
 * What a lab leaves on the machine when its process was killed: namespaces, processes in them, mounts and
 * a folder, all named by the lab's number. Only whoever holds the claim on a number may remove them.
 */
import { execFile } from 'node:child_process'
import { readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tryClaim } from './claim.ts'

const run = promisify(execFile)

const NAMESPACES = '/run/netns'
const DEVICES = '/sys/class/net'
/** The same for every run, whatever its TMPDIR: one finds what another has left. */
const PLACES = '/tmp'

/** Name of a network namespace of a lab. */
export const namespaceOf = (number: number, host: string): string => `hkc-${number}-${host}`

/** Name of the interface by which this process reaches the hosts of a lab. */
export const deviceOf = (number: number): string => `hkc${number}`

/** Where the lab keeps its files. Of this user alone, who could not remove another's. */
export const folderOf = (number: number): string => join(PLACES, `${FOLDER_PREFIX}${number}`)

const FOLDER_PREFIX = `hakiri-chaos-${process.getuid?.() ?? 'user'}-`

/** Removes what labs of dead runs have left; gives their numbers. Labs that live are not touched. */
export async function sweepLeftovers(): Promise<readonly number[]> {
  const swept: number[] = []
  for (const number of await numbersInUse()) {
    const claim = await tryClaim(number)
    if (!claim) continue
    await removeLab(number)
    await claim[Symbol.asyncDispose]()
    swept.push(number)
  }
  return swept
}

/** Removes everything that is named by this number, which the caller has claimed. */
export async function removeLab(number: number): Promise<void> {
  const names = (await entries(NAMESPACES)).filter((name) =>
    name.startsWith(namespaceOf(number, '')),
  )
  // A namespace goes some time after its name; its end of this link must be gone at once, for the next lab.
  if ((await entries(DEVICES)).includes(deviceOf(number)))
    await run('ip', ['link', 'delete', deviceOf(number)])
  for (const name of names) await removeNamespace(name)
  const folder = folderOf(number)
  for (const place of await mountsIn(folder)) await run('umount', ['--lazy', place])
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** Its interfaces go with it, and so do the ends that lie elsewhere. */
async function removeNamespace(name: string): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'pids', name])
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) kill(pid)
  await run('ip', ['netns', 'delete', name])
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It has ended by itself meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function numbersInUse(): Promise<ReadonlySet<number>> {
  const found = [
    ...(await entries(NAMESPACES)).map((name) => /^hkc-(\d+)-/.exec(name)),
    ...(await entries(DEVICES)).map((name) => /^hkc(\d+)$/.exec(name)),
    ...(await entries(PLACES))
      .filter((name) => name.startsWith(FOLDER_PREFIX))
      .map((name) => /-(\d+)$/.exec(name)),
  ]
  return new Set(found.flatMap((match) => (match ? [Number(match[1])] : [])))
}

async function entries(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

/** Innermost first. */
async function mountsIn(folder: string): Promise<readonly string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8').catch(() => '')
  const places = mounts.split('\n').map((line) => line.split(' ')[1] ?? '')
  return places.filter((place) => place.startsWith(`${folder}/`)).toReversed()
}

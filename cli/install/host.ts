/**
 * Looks at a host, or at a folder that is to become one, and does the steps of a plan. Invariants: a step
 * that is done already changes nothing; a file is there whole or as it was before, also after a power cut.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import {
  chmod,
  copyFile,
  lchown,
  lstat,
  mkdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { HakiriError, toHakiriError } from '../../lib/error.ts'
import { syncFile, syncFolder } from '../../lib/system/fs.ts'
import { ACCOUNT, SYSUSERS_LINE } from './layout.ts'
import { describeStep, type Owner, type Step } from './plan.ts'

const execute = promisify(execFile)

export type Host = {
  /** "/" is this machine. Under another one nothing is started. */
  readonly root: string
  /** Owners can be set: this user is root. */
  readonly isRoot: boolean
  /** systemd runs here, so that services can be started. */
  readonly hasSystemd: boolean
}

export type Outcome = { readonly what: string; readonly isChanged: boolean }

export function thisHost(root: string): Host {
  return {
    root,
    isRoot: process.getuid?.() === 0,
    hasSystemd: root === '/' && existsSync('/run/systemd/system'),
  }
}

/** Does what is not done yet; with `dryRun` only says it. */
export async function carryOut(
  steps: readonly Step[],
  host: Host,
  dryRun: boolean,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  for (const step of steps) {
    const what = describeStep(step)
    try {
      const isChanged = await carryOutOne(step, host, dryRun, outcomes)
      outcomes.push({ what, isChanged })
    } catch (error) {
      throw toHakiriError(error, 'INSTALL_FAILED', what)
    }
  }
  return outcomes
}

async function carryOutOne(
  step: Step,
  host: Host,
  dryRun: boolean,
  before: readonly Outcome[],
): Promise<boolean> {
  const at = (path: string): string => join(host.root, path)
  switch (step.kind) {
    case 'account':
      return account(host, dryRun)
    case 'folder':
      return folder(at(step.path), step, host, dryRun)
    case 'file':
      return file(at(step.path), step, host, dryRun)
    case 'program':
      return program(at(step.path), step.source, dryRun)
    case 'link':
      return link(at(step.path), step.target, dryRun)
    case 'service':
      return service(
        step,
        host,
        dryRun,
        before.some(({ isChanged }) => isChanged),
      )
    case 'stop':
      return stop(step.unit, host, dryRun)
    case 'remove':
      return remove(at(step.path), dryRun)
    case 'remove-account':
      return removeAccount(host, dryRun)
  }
}

// ── Accounts ──────────────────────────────────────────────────────────────────────────────────────

async function account(host: Host, dryRun: boolean): Promise<boolean> {
  if (idsOf(ACCOUNT, host)) return false
  if (!dryRun && host.isRoot) {
    await mkdir(join(host.root, 'etc'), { recursive: true })
    await run('systemd-sysusers', [`--root=${host.root}`, '--inline', SYSUSERS_LINE])
  }
  return true
}

async function removeAccount(host: Host, dryRun: boolean): Promise<boolean> {
  if (!idsOf(ACCOUNT, host)) return false
  const where = host.root === '/' ? [] : ['--prefix', host.root]
  if (!dryRun && host.isRoot) await run('userdel', [...where, ACCOUNT])
  return true
}

type Ids = { readonly uid: number; readonly gid: number }

function idsOf(name: Owner, { root }: Host): Ids | undefined {
  if (name === 'root') return { uid: 0, gid: 0 }
  const path = join(root, 'etc/passwd')
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const [, , uid, gid] =
    text
      .split('\n')
      .map((line) => line.split(':'))
      .find(([first]) => first === name) ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

// ── Files ─────────────────────────────────────────────────────────────────────────────────────────

type Access = { readonly owner: Owner; readonly group: Owner; readonly mode: number }

async function folder(path: string, access: Access, host: Host, dryRun: boolean): Promise<boolean> {
  const isThere = existsSync(path)
  if (!isThere && !dryRun) {
    await mkdir(dirname(path), { recursive: true })
    await mkdir(path, { mode: access.mode })
  }
  return (await allow(path, access, host, dryRun)) || !isThere
}

type FileStep = Extract<Step, { kind: 'file' }>

async function file(path: string, step: FileStep, host: Host, dryRun: boolean): Promise<boolean> {
  const present = existsSync(path) ? await readFile(path, 'utf8') : undefined
  const isGood = present === step.text || (present !== undefined && step.existing === 'keep')
  if (!isGood && !dryRun)
    await replace(path, async (temporary) => {
      await writeFile(temporary, step.text, { mode: 0o600 })
      await allow(temporary, step, host, false)
    })
  return (await allow(path, step, host, dryRun)) || !isGood
}

/** Sets owner and mode where they differ. */
async function allow(path: string, access: Access, host: Host, dryRun: boolean): Promise<boolean> {
  const stat = await lstat(path).catch(() => undefined)
  if (!stat) return false
  const ids = host.isRoot ? ownerOf(access, host) : undefined
  const isOwned = !ids || (stat.uid === ids.uid && stat.gid === ids.gid)
  const isAllowed = (stat.mode & 0o7777) === access.mode
  if (!dryRun && ids && !isOwned) await lchown(path, ids.uid, ids.gid)
  if (!dryRun && !isAllowed) await chmod(path, access.mode)
  return !isOwned || !isAllowed
}

function ownerOf({ owner, group }: Access, host: Host): Ids | undefined {
  const user = idsOf(owner, host)
  const members = idsOf(group, host)
  return user && members && { uid: user.uid, gid: members.gid }
}

async function program(path: string, source: string, dryRun: boolean): Promise<boolean> {
  const isGood = existsSync(path) && (await isSame(path, source))
  if (!isGood && !dryRun) {
    await mkdir(dirname(path), { recursive: true })
    await replace(path, async (temporary) => {
      await copyFile(source, temporary)
      await chmod(temporary, 0o755)
    })
  }
  return !isGood
}

async function link(path: string, target: string, dryRun: boolean): Promise<boolean> {
  if ((await readlink(path).catch(() => undefined)) === target) return false
  if (!dryRun) await replace(path, (temporary) => symlink(target, temporary))
  return true
}

async function remove(path: string, dryRun: boolean): Promise<boolean> {
  if (!(await lstat(path).catch(() => undefined))) return false
  if (!dryRun) await rm(path, { recursive: true, force: true })
  return true
}

/** Made beside its place, synced, and moved there in one step. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  try {
    await make(temporary)
    if ((await lstat(temporary)).isFile()) await syncFile(temporary)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** A program that installs itself from its own place is the same file, which need not be read. */
async function isSame(path: string, source: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(path), stat(source)])
  if (one.dev === other.dev && one.ino === other.ino) return true
  return one.size === other.size && (await digest(path)) === (await digest(source))
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Buffer)
  return hash.digest('hex')
}

// ── Services ──────────────────────────────────────────────────────────────────────────────────────

type ServiceStep = Extract<Step, { kind: 'service' }>

/** A service that runs is started anew when something before it has changed. */
async function service(
  { unit, start }: ServiceStep,
  host: Host,
  dryRun: boolean,
  isStale: boolean,
): Promise<boolean> {
  const isEnabled = await asks(host, ['is-enabled', '--quiet', unit])
  const isActive = host.hasSystemd && (await asks(host, ['is-active', '--quiet', unit]))
  const starts = host.hasSystemd && start && (isStale || !isActive)
  if (!dryRun) {
    if (host.hasSystemd && isStale) await systemctl(host, ['daemon-reload'])
    if (!isEnabled) await systemctl(host, ['enable', '--quiet', unit])
    if (starts) await systemctl(host, ['restart', unit])
  }
  return !isEnabled || starts
}

async function stop(unit: string, host: Host, dryRun: boolean): Promise<boolean> {
  const isEnabled = await asks(host, ['is-enabled', '--quiet', unit])
  const isActive = host.hasSystemd && (await asks(host, ['is-active', '--quiet', unit]))
  if (!dryRun && isActive) await systemctl(host, ['stop', unit])
  if (!dryRun && isEnabled) await systemctl(host, ['disable', '--quiet', unit])
  return isEnabled || isActive
}

async function asks(host: Host, args: readonly string[]): Promise<boolean> {
  return execute('systemctl', rooted(host, args)).then(
    () => true,
    () => false,
  )
}

async function systemctl(host: Host, args: readonly string[]): Promise<void> {
  await run('systemctl', rooted(host, args))
}

function rooted({ root }: Host, args: readonly string[]): readonly string[] {
  return root === '/' ? args : [`--root=${root}`, ...args]
}

async function run(program: string, args: readonly string[]): Promise<void> {
  try {
    await execute(program, args)
  } catch (error) {
    const { stderr, code } = error as { stderr?: string; code?: unknown }
    const command = [program, ...args].join(' ')
    throw new HakiriError('INSTALL_FAILED', `${command}: ${stderr?.trim() || String(error)}`, {
      cause: error,
      suggestion: code === 'ENOENT' ? `Install ${program}.` : 'See `journalctl -xe` for more.',
    })
  }
}

/**
 * The root of a host: this machine's Debian underneath, read-only, with everything taken out that a bare
 * server would not have (no Node, no npm, no source tree, no other services), and a disk of its own under
 * /var/lib/hakiri that can lose power and fill up.
 */
import { chmod, mkdir, readdir, rm, symlink, truncate, writeFile, lstat } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { run } from './shell.ts'
import { until } from '../support/until.ts'

export type HostRoot = {
  /** Where the host's root is mounted. */
  readonly root: string
  /** The file that is the disk under /var/lib/hakiri. */
  readonly disk: string
}

export type RootOptions = {
  readonly name: string
  readonly address: string
  /** A folder that only this run uses. */
  readonly folder: string
  /** Public key of the control machine. */
  readonly sshKey: string
  readonly diskMb: number
}

const UPPER_MB = 1_500
const RELEASE_MS = 30_000
const DATA = 'var/lib/hakiri'

/** Absent on a bare server; a name that ends in / loses what is in it and stays. */
const TAKEN_OUT = [
  'work',
  'home',
  'opt',
  'srv',
  'root/',
  'tmp/',
  'var/tmp/',
  'usr/local/bin/',
  'usr/local/lib/',

  'usr/bin/node',
  'usr/bin/nodejs',
  'usr/bin/npm',
  'usr/bin/npx',
  'usr/bin/gcc',
  'usr/lib/node_modules',

  'etc/fstab',
  'etc/hakiri',
  'var/lib/hakiri',
  'var/cache/hakiri',
  'var/lib/postgresql',
  'etc/postgresql/',
]

export async function makeRoot(options: RootOptions): Promise<HostRoot> {
  const { name, folder, diskMb } = options
  const [upper, work, root, disk] = ['up', 'work', 'root', 'disk.img'].map((part) =>
    join(folder, part),
  )
  if (!upper || !work || !root || !disk) throw new Error('four paths')
  await mkdir(folder, { recursive: true })
  await run('mount', ['-t', 'tmpfs', '-o', `size=${UPPER_MB}m`, `hakiri-${name}`, folder])
  for (const path of [upper, work, root]) await mkdir(path)
  await takeOut(upper)
  const layers = `lowerdir=/,upperdir=${upper},workdir=${work}`
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, root])
  await settle(root, options)
  await mkdir(join(root, DATA))
  await writeFile(disk, '')
  await truncate(disk, diskMb * 2 ** 20)
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', disk])
  await mountDisk({ root, disk })
  return { root, disk }
}

export async function mountDisk({ root, disk }: HostRoot): Promise<void> {
  await run('mount', ['-o', 'loop,commit=30', disk, join(root, DATA)])
}

/**
 * What a power cut does to a disk: whatever was not synced is gone, the journal too. Everything fails from
 * then on, until it is mounted again, which replays what the journal has.
 */
export async function cutDisk({ root }: HostRoot): Promise<void> {
  const shutdown =
    'import os,fcntl,struct,sys;fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587D,struct.pack("I",2))'
  await run('/usr/bin/python3', ['-c', shutdown, join(root, DATA)])
}

/** Resolves when nobody holds it any more: only then is a file system that was cut really gone. */
export async function unmountDisk({ root, disk }: HostRoot): Promise<void> {
  await run('umount', [join(root, DATA)])
  await until(
    `nobody holds ${disk}`,
    async () => (await run('losetup', ['--associated', disk])).stdout === '',
    RELEASE_MS,
  )
}

/** An overlay hides a file below where the layer above has a device 0:0 of that name. */
async function takeOut(upper: string): Promise<void> {
  for (const path of TAKEN_OUT) {
    const isInner = path.endsWith('/')
    const names = isInner ? await readdir(`/${path}`).catch((): string[] => []) : ['']
    for (const each of names) {
      const target = join(upper, path, each).replace(/\/$/, '')
      if (!(await exists(join('/', path, each)))) continue
      await mkdir(join(target, '..'), { recursive: true })
      await run('mknod', [target, 'c', '0', '0'])
    }
    if (isInner && names.length > 0 && path.includes('tmp')) await chmod(join(upper, path), 0o1777)
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/** Its name, its key, and no service but ssh. */
async function settle(root: string, { name, sshKey }: RootOptions): Promise<void> {
  const units = join(root, 'etc/systemd/system')
  for (const entry of await readdir(units)) await rm(join(units, entry), { recursive: true })
  await mkdir(join(units, 'multi-user.target.wants'), { recursive: true })
  await symlink(
    '/lib/systemd/system/ssh.service',
    join(units, 'multi-user.target.wants/ssh.service'),
  )
  await symlink('/lib/systemd/system/multi-user.target', join(units, 'default.target'))
  await writeFile(join(root, 'etc/hostname'), `${name}\n`)
  // One that is given: an empty one would make it a first boot, which enables every service again.
  await rm(join(root, 'etc/machine-id'), { force: true })
  await writeFile(join(root, 'etc/machine-id'), `${randomBytes(16).toString('hex')}\n`)
  await writeFile(join(root, 'etc/hosts'), `127.0.0.1 localhost ${name}\n`)
  await mkdir(join(root, 'root/.ssh'), { recursive: true, mode: 0o700 })
  await writeFile(join(root, 'root/.ssh/authorized_keys'), sshKey, { mode: 0o600 })
}

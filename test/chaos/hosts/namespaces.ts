/**
 * A lab of network namespaces: one for each host, joined by a switch of our own in another. Everything is
 * named by the lab's number, which the kernel keeps for as long as this process lives; what dead runs have
 * left is removed first.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { claimNumber } from './claim.ts'
import {
  assertHostName,
  type Host,
  type Lab,
  type LabOptions,
  RUNNER,
  type SpawnOptions,
} from './lab.ts'
import { deviceOf, folderOf, namespaceOf, removeLab, sweepLeftovers } from './leftovers.ts'
import { startSwitch } from './switch.ts'

/** The runner is number 1; numbers are the last bytes of addresses, and the switch knows so many. */
const HOSTS_MAX = 63
const RUNNER_NUMBER = 1

/** Why there can be no such lab here; undefined if there can. */
export async function namespacesMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const [tool, args] of TOOLS) {
    const failure = await failureOf(tool, args)
    if (failure !== undefined) return `${tool} does not run: ${failure}`
  }
  return undefined
}

const TOOLS = [
  ['gcc', ['--version']],
  ['ip', ['-Version']],
  ['setpriv', ['--version']],
  ['umount', ['--version']],
  ['nsenter', ['--version']],
  // A container's root may lack the right to it.
  ['unshare', ['--net', 'true']],
] as const

function failureOf(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, (error) => resolve(error?.message))
  })
}

export async function openNamespaces(options: LabOptions): Promise<Lab> {
  await sweepLeftovers()
  await using cleaning = new AsyncDisposableStack()
  const { number } = cleaning.use(await claimNumber())
  // Deferred before anything is made: half of a lab is removed as a whole one is.
  cleaning.defer(() => removeLab(number))
  await removeLab(number)
  const folder = folderOf(number)
  await mkdir(folder, { mode: 0o755 })
  const center = namespaceOf(number, 'switch')
  await ip(['netns', 'add', center])
  const hub = cleaning.use(await startSwitch(center, options.seed))
  const numbers = new Map<string, number>()
  const numberOf = (name: string): number => {
    const found = numbers.get(name)
    if (found === undefined) throw new Error(`the lab has no host "${name}"`)
    return found
  }
  const join = async (name: string, device: string, namespace?: string): Promise<number> => {
    const host = numbers.size + RUNNER_NUMBER
    if (host > HOSTS_MAX) throw new Error(`a lab has at most ${HOSTS_MAX} hosts`)
    numbers.set(name, host)
    await wire({ number, host, device, center, ...(namespace === undefined ? {} : { namespace }) })
    await hub.addPort(host, `p${host}`)
    return host
  }
  await join(RUNNER, deviceOf(number))
  const runner = hostOf(RUNNER, addressOf(number, RUNNER_NUMBER))
  const kept = cleaning.move()
  return {
    kind: 'namespaces',
    number,
    folder,
    runner,
    async addHost(name) {
      assertHostName(name)
      if (numbers.has(name)) throw new Error(`the lab has a host "${name}" already`)
      const namespace = namespaceOf(number, name)
      await ip(['netns', 'add', namespace])
      return hostOf(name, addressOf(number, await join(name, 'eth0', namespace)), namespace)
    },
    setLinks: (faults) => hub.setLinks(faults, numberOf),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

const addressOf = (lab: number, host: number): string => `10.77.${lab}.${host}`
/** The switch finds a host by the last byte. */
const etherOf = (host: number): string => `02:48:4b:00:00:${host.toString(16).padStart(2, '0')}`

type Wire = {
  readonly number: number
  readonly host: number
  /** Name of the host's end. */
  readonly device: string
  /** Where the host's end lies; this process's own namespace when it is left out. */
  readonly namespace?: string
  readonly center: string
}

/**
 * Neighbours are written down rather than asked for, so that a cut link swallows packets without a word,
 * as a network between routers does, and nobody is told that a host cannot be reached.
 */
async function wire({ number, host, device, namespace, center }: Wire): Promise<void> {
  const others = Array.from({ length: HOSTS_MAX }, (_, index) => index + 1)
  const where = namespace === undefined ? [] : ['-n', namespace]
  await ip(
    [...where, '-batch', '-'],
    [
      `link add ${device} address ${etherOf(host)} type veth peer name p${host} netns ${center}`,
      `address add ${addressOf(number, host)}/24 dev ${device}`,
      ...(namespace === undefined ? [] : ['link set lo up']),
      `link set ${device} up`,
      ...others
        .filter((other) => other !== host)
        .map(
          (other) =>
            `neighbour add ${addressOf(number, other)} lladdr ${etherOf(other)} dev ${device}`,
        ),
    ],
  )
  await ip(['-n', center, 'link', 'set', `p${host}`, 'up'])
}

function ip(args: readonly string[], lines: readonly string[] = []): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile('ip', args, (error, _, words) => {
      if (error) reject(new Error(`ip ${args.join(' ')}: ${words || error.message}`))
      else resolve()
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(lines.map((line) => `${line}\n`).join(''))
  })
}

function hostOf(name: string, address: string, namespace?: string): Host {
  return {
    name,
    address,
    spawn: (program, args, options = {}) => spawnIn(namespace, program, args, options),
  }
}

/** Each program of the chain becomes the next, so the pid is the last one's. */
function spawnIn(
  namespace: string | undefined,
  program: string,
  args: readonly string[],
  { env = {}, cwd, user }: SpawnOptions,
): ChildProcess {
  const { LD_PRELOAD: preload, ...rest } = env
  const chain = [
    ...(namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`]),
    'setpriv',
    ...(user ? ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'] : []),
    // The kernel ends it with us, whatever ends us.
    '--pdeathsig',
    'KILL',
    // For the program alone, not for what leads to it.
    ...(preload === undefined ? [] : ['env', `LD_PRELOAD=${preload}`]),
  ]
  const [first = program, ...before] = chain
  return spawn(first, [...before, program, ...args], {
    env: { ...process.env, ...rest },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
}

/**
 * A lab without privileges: each host has an address of loopback, and Node programs on it dial the other
 * hosts through a fault proxy in this process. What it cannot show stands in the contract (lab.ts). Linux
 * gives a whole network to loopback; elsewhere the addresses have to be added first.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { claimNumber } from './claim.ts'
import { type DialSettings, dialThrough } from './dial-through.ts'
import { mergeEnvironments } from './environment.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { assertHostName, type Host, type Lab, type LabOptions, RUNNER } from './lab.ts'
import { folderOf, removeLab, sweepLeftovers } from './leftovers.ts'
import { linkStates } from './links.ts'

const PRELOAD = new URL('./dial-through-preload.ts', import.meta.url)
const HOSTS_MAX = 200

export async function openProxies(options: LabOptions): Promise<Lab> {
  await sweepLeftovers()
  await using cleaning = new AsyncDisposableStack()
  const { number } = cleaning.use(await claimNumber())
  cleaning.defer(() => removeLab(number))
  await removeLab(number)
  const folder = folderOf(number)
  await mkdir(folder, { mode: 0o755 })
  const prefix = `127.77.${number}.`
  const addresses = new Map<string, string>()
  const addressOf = (name: string): string => {
    const address = addresses.get(name)
    if (address === undefined) throw new Error(`the lab has no host "${name}"`)
    return address
  }
  const nameOf = (address: string): string => {
    for (const [name, its] of addresses) if (its === address) return name
    throw new Error(`the lab has no host at ${address}`)
  }
  const proxy = cleaning.use(await startFaultProxy({ addressOf, nameOf }, createDice(options.seed)))
  const pdeathsig = await canBindLives()
  const add = async (name: string): Promise<DialSettings> => {
    if (addresses.has(name)) throw new Error(`the lab has a host "${name}" already`)
    if (addresses.size >= HOSTS_MAX) throw new Error(`a lab has at most ${HOSTS_MAX} hosts`)
    const address = `${prefix}${addresses.size + 1}`
    await assertAddress(address)
    addresses.set(name, address)
    return { host: name, address, prefix, gatePort: proxy.gatePort }
  }
  const own = await add(RUNNER)
  cleaning.use(dialThrough(own))
  const kept = cleaning.move()
  return {
    kind: 'proxies',
    number,
    folder,
    runner: hostOf(own, pdeathsig),
    async addHost(name) {
      assertHostName(name)
      return hostOf(await add(name), pdeathsig)
    },
    setLinks(faults) {
      for (const { from, to } of faults) for (const name of [from, to]) addressOf(name)
      proxy.setStates(linkStates(faults))
      return Promise.resolve()
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function hostOf(settings: DialSettings, canBind: boolean): Host {
  const dialing = {
    NODE_OPTIONS: `--import=${PRELOAD.href}`,
    HAKIRI_CHAOS_DIAL: JSON.stringify(settings),
  }
  return {
    name: settings.host,
    address: settings.address,
    spawn(program, args, { env = {}, cwd, user } = {}) {
      // The kernel ends it with us, whatever ends us.
      const chain = canBind ? ['setpriv', '--pdeathsig', 'KILL', program] : [program]
      const [first = program, ...before] = chain
      return spawn(first, [...before, ...args], {
        env: mergeEnvironments(process.env, env, dialing),
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(cwd === undefined ? {} : { cwd }),
        ...user,
      })
    },
  }
}

/** Whether a program can be told to die with this process. */
function canBindLives(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('setpriv', ['--pdeathsig', 'KILL', 'true'], (error) => resolve(error === null))
  })
}

/** Equal seeds give equal numbers (mulberry32). */
function createDice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function assertAddress(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', ({ message }) =>
      reject(
        new Error(
          `${address} is no address of this machine (${message}); where loopback has one address only, as on macOS, add it: sudo ifconfig lo0 alias ${address}`,
        ),
      ),
    )
    server.listen(0, address, () => server.close(() => resolve()))
  })
}

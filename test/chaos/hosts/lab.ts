/**
 * Where a chaos run takes place: hosts with addresses of their own, and links between them that can be
 * cut, slowed and made lossy, each direction apart. Two kinds keep this contract: network namespaces on a
 * switch of our own (root, as in CI), and loopback addresses behind fault proxies (a developer's laptop).
 *
 * With proxies, faults are those of TCP connections: loss, copies and another order of packets can only
 * show as delay, and only programs that run on Node are behind them; a foreign program (etcd, Postgres)
 * dials past every fault, and is met by those of the Node programs that dial it.
 */
import type { ChildProcess } from 'node:child_process'

export type Lab = AsyncDisposable & {
  readonly kind: 'namespaces' | 'proxies'
  /** Of this lab alone among all that live on this machine; what a lab makes is named by it. */
  readonly number: number
  /** A folder of the lab's own that every user may enter; removed with the lab. */
  readonly folder: string
  /** This process, and what it starts beside the hosts: it reaches every host over links of its own. */
  readonly runner: Host
  /** Names are a few lower-case letters, digits and hyphens. */
  addHost(name: string): Promise<Host>
  /** The links that are not sound from now on, all of them: what is not named works. */
  setLinks(faults: readonly LinkFault[]): Promise<void>
}

export type Host = {
  readonly name: string
  /** Its address, without a port, as other hosts reach it. */
  readonly address: string
  /**
   * Starts a program on this host; it must be ended by whoever started it. The pid is the program's own.
   * Its standard output and error are pipes, its standard input is empty; it dies with
   * this process, where the system can tie them.
   */
  spawn(program: string, args: readonly string[], options?: SpawnOptions): ChildProcess
}

export type SpawnOptions = {
  /** On top of the environment of this process; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Runs it as this user instead of as the caller, where the caller may choose. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

export type LabOptions = {
  /** What chance decides about packets is drawn from it. */
  readonly seed: number
}

/** The name of `Lab.runner` in faults of links. */
export const RUNNER = 'runner'

/** The name is part of the names of things of the system. */
export function assertHostName(name: string): void {
  if (!/^[a-z0-9-]{1,20}$/.test(name) || name === 'switch')
    throw new Error(`"${name}" is no name for a host: up to 20 of a-z, 0-9 and -, and not "switch"`)
}

/** What is wrong with everything that `from` sends to `to`; several for one direction add up. */
export type LinkFault = {
  /** Name of a host, or RUNNER. */
  readonly from: string
  readonly to: string
  /** Nothing arrives. */
  readonly isCut?: true
  readonly delayMs?: number
  /** At most so much more or less than the delay; it does not change the order. */
  readonly jitterMs?: number
  /** 0 to 100, of packets. */
  readonly lossPercent?: number
  readonly duplicatePercent?: number
  readonly reorderPercent?: number
  /** What a queue of half a second does not hold is lost. */
  readonly kbitPerS?: number
}

/**
 * Where a chaos run takes place: hosts with addresses of their own, and links between them that can be
 * cut, slowed and made lossy, each direction apart. Two kinds keep this contract: network namespaces on a
 * switch of our own (root, as in CI), and loopback addresses behind fault proxies (a developer's laptop).
 */
import type { ChildProcess } from 'node:child_process'

export type Lab = AsyncDisposable & {
  readonly kind: 'namespaces' | 'proxies'
  addHost(name: string): Promise<Host>
  /** The links that are not sound from now on, all of them: what is not named works. */
  setLinks(faults: readonly LinkFault[]): Promise<void>
}

export type Host = {
  readonly name: string
  /** Its address, without a port, as other hosts reach it. */
  readonly address: string
  /** Starts a program on this host; it must be ended by whoever started it. */
  spawn(program: string, args: readonly string[], options?: SpawnOptions): ChildProcess
}

export type SpawnOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Runs it as this user instead of as the caller, where the caller may choose. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

/** What is wrong with everything that `from` sends to `to`; several for one direction add up. */
export type LinkFault = {
  readonly from: string
  readonly to: string
  /** Nothing arrives. */
  readonly isCut?: true
  readonly delayMs?: number
  readonly jitterMs?: number
  /** 0 to 100, of packets. */
  readonly lossPercent?: number
  readonly duplicatePercent?: number
  readonly reorderPercent?: number
  readonly kbitPerS?: number
}

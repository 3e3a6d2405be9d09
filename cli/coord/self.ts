/**
 * Which entry of --peers is this machine? The same line has to work on every node, so nothing but the
 * machine itself tells: an explicit --advertise, else an entry that names this host or one of its
 * addresses, else, with several on one host, the one with the bound port.
 */
import { HakiriError } from '../../lib/error.ts'
import { formatAddress, isLoopback, isWildcard, type Address } from './address.ts'

export type Machine = {
  readonly hostname: string
  /** Of all interfaces, loopback included. */
  readonly addresses: readonly string[]
}

export function findSelf(
  peers: readonly Address[],
  bind: Address,
  advertise: Address | undefined,
  machine: Machine,
): Address {
  if (advertise) return findAdvertised(peers, advertise)
  const here = peers.filter((peer) => isHere(peer, machine))
  const [only, ...others] = here
  if (only && others.length === 0) return only
  const bound = here.filter(({ port }) => port === bind.port)
  const exact = bound.filter(({ host }) => host === bind.host)
  const [chosen, ...rest] = exact.length === 1 ? exact : bound
  if (chosen && rest.length === 0) return chosen
  throw unclear(peers, here, machine)
}

/** Where others reach a member that has no list of peers: it is on its own, or about to join. */
export function ownAddress(
  bind: Address,
  advertise: Address | undefined,
  machine: Machine,
): Address {
  if (advertise) return advertise
  return isWildcard(bind) ? { host: machine.hostname.toLowerCase(), port: bind.port } : bind
}

function isHere(peer: Address, { hostname, addresses }: Machine): boolean {
  const own = hostname.toLowerCase()
  const short = own.split('.')[0]
  return (
    peer.host === own || peer.host === short || isLoopback(peer) || addresses.includes(peer.host)
  )
}

function findAdvertised(peers: readonly Address[], advertise: Address): Address {
  const found = peers.find(({ host, port }) => host === advertise.host && port === advertise.port)
  if (found) return found
  throw new HakiriError('USAGE', `--advertise ${formatAddress(advertise)} is not in --peers`, {
    suggestion: `The entries are ${peers.map(formatAddress).join(', ')}.`,
  })
}

function unclear(
  peers: readonly Address[],
  here: readonly Address[],
  { hostname }: Machine,
): HakiriError {
  const entries = (list: readonly Address[]): string => list.map(formatAddress).join(', ')
  const message =
    here.length === 0
      ? `none of --peers is this host (${hostname}): ${entries(peers)}`
      : `several of --peers are this host: ${entries(here)}`
  return new HakiriError('USAGE', message, {
    suggestion: `Say which one with --advertise, for example --advertise ${entries(peers.slice(0, 1))}.`,
  })
}

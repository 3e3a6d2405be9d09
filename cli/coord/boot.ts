/**
 * How this member begins: alone, with all of --peers, or by asking a running cluster to take it in. A
 * folder that is in use already knows; the network is asked only for an empty one.
 */
import { networkInterfaces, hostname } from 'node:os'
import type { AdminClient } from '../../coord/client/admin.ts'
import { CoordError } from '../../coord/client/client.ts'
import { readIdentity } from '../../coord/node/identity-file.ts'
import type { Boot } from '../../coord/node/options.ts'
import { HakiriError } from '../../lib/error.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import type { Logger } from '../../lib/ports.ts'
import type { Member } from '../../proto/gen/rpc.ts'
import { type Address, endpointOf, formatAddress } from './address.ts'
import { findSelf, ownAddress, type Machine } from './self.ts'
import type { CoordSettings } from './settings.ts'

export type Plan = {
  readonly boot: Boot
  /** Where the others and clients reach this member. */
  readonly self: Address
  readonly url: string
}

export type BootParts = {
  readonly folder: string
  readonly logger: Logger
  /** Connects to the members of --join. */
  readonly connect: (endpoints: readonly string[]) => Promise<AdminClient>
}

export async function planBoot(settings: CoordSettings, parts: BootParts): Promise<Plan> {
  const { bind, peers, join, advertise } = settings
  const scheme = settings.tls ? 'https' : 'http'
  const urlOf = (address: Address): string => `${scheme}://${formatAddress(address)}`
  const self =
    peers.length > 0
      ? findSelf(peers, bind, advertise, machine())
      : ownAddress(bind, advertise, machine())
  const url = urlOf(self)
  if (join.length > 0) return { self, url, boot: await bootByJoining(url, join, parts) }
  const peerUrls = peers.length > 0 ? peers.map(urlOf) : [url]
  if (new Set(peerUrls).size < peerUrls.length)
    throw new HakiriError('USAGE', '--peers names a member twice', {
      suggestion: 'Each member stands once in the list.',
    })
  return { self, url, boot: { kind: 'form', token: settings.clusterToken, peerUrls, self: url } }
}

function machine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return { hostname: hostname(), addresses: addresses.map(({ address }) => address.toLowerCase()) }
}

async function bootByJoining(
  url: string,
  join: readonly Address[],
  { folder, logger, connect }: BootParts,
): Promise<Boot> {
  const known = await readIdentity(folder)
  if (known) return { kind: 'join', ...known, members: [] }
  const endpoints = join.map(endpointOf)
  await using admin = await connect(endpoints)
  try {
    return await askToJoin(url, admin, logger)
  } catch (error) {
    throw error instanceof CoordError ? notTakenIn(endpoints, error) : error
  }
}

async function askToJoin(url: string, admin: AdminClient, logger: Logger): Promise<Boot> {
  const { clusterId, members } = await admin.memberList()
  // One that waits for its first start, before one whose place it is about to take.
  const here = members.filter(({ peerUrls }) => peerUrls.includes(url))
  const reserved = here.find(({ name }) => name === '') ?? here[0]
  if (reserved && reserved.name !== '') throw lostDisk(url, reserved)
  if (reserved) return bootAs(clusterId, reserved, members)
  const added = await admin.memberAdd({ peerUrls: [url], isLearner: true })
  logger.log('info', 'the cluster has taken this member in as a learner', {
    member: added.member.id.toString(16),
  })
  return bootAs(clusterId, added.member, added.members)
}

function bootAs(clusterId: bigint, own: Member, members: readonly Member[]): Boot {
  return { kind: 'join', clusterId, memberId: own.id, members }
}

/** Nothing is written yet, so to start again is safe: a place that was made for it is found then. */
function notTakenIn(endpoints: readonly string[], error: CoordError): HakiriError {
  const isAway = error.status === STATUS.unavailable || error.status === STATUS.deadlineExceeded
  return new HakiriError(
    isAway ? 'COORD_UNREACHABLE' : 'COORD_REFUSED',
    `${endpoints.join(', ')} did not take this member in: ${error.message}`,
    {
      cause: error,
      ...(isAway ? { suggestion: 'Start again once a majority of the members answers.' } : {}),
    },
  )
}

/** Its votes and what it acknowledged are gone: under its old id it could break what was promised. */
function lostDisk(url: string, { id }: Member): HakiriError {
  const hex = id.toString(16)
  return new HakiriError(
    'MEMBER_LOST_DISK',
    `${url} is member ${hex}, but its data folder is empty`,
    {
      suggestion: `Replace it, then start again: hakiri ctl member replace ${hex}`,
    },
  )
}
